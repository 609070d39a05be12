"""The same questions on Spark, over the same files, for what outgrows one machine; needs the extra `spark` and Java."""

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from suyuan.lake.manifest import read_manifest, reading
from suyuan.lake.query import ROWS, Rows, check, columns_of_rows, sql_of
from suyuan.lake.questions import VIEWS
from suyuan.lake.refusals import LakeRefusal, QuestionRefused
from suyuan.lake.schema import SCHEMA_OF_ROWS

_TYPES = {"Int64": "BIGINT", "Boolean": "BOOLEAN", "Date": "DATE", "String": "STRING", "List(String)": "ARRAY<STRING>"}
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # As DuckDB has it: what overflows or is no number is an error, never NULL in silence.
    "spark.sql.ansi.enabled": "true",
}


class SparkLake:
    """The lake in a folder, asked on the Spark cluster of a master such as `spark://host:7077` or `local[2]`.

    A context; files of the lake stay while it is open. Every worker must see the folder under the same path.

    Raises:
        QuestionRefused: Spark is not installed, or nobody answers at that address.
        LakeRefusal: the lake cannot be read.
    """

    def __init__(self, folder: Path, master: str, *, personal: bool = True) -> None:
        self._folder = folder.absolute()
        self._master = master
        self._personal = personal
        self._held = ExitStack()
        self._spark: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(reading(self._folder))
            self._spark = _session(self._master)
            held.callback(self._spark.stop)
            self._prepare()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def query(self, question: str, *, rows: int = ROWS) -> Rows:
        """Answer a question in SQL, or a kept one by its name; the same text that DuckDB takes.

        Raises:
            QuestionRefused: it is wrong, or Spark could not answer it.
        """
        from pyspark.errors import PySparkException  # noqa: PLC0415  an extra

        sql = sql_of(question)
        check(sql)  # Spark itself would read any file that its workers can, and write too
        try:
            frame = self._spark.sql(sql)
            found = [tuple(row) for row in frame.limit(rows + 1).collect()]
        except PySparkException as error:
            raise QuestionRefused(f"Spark: {_first_line(error)}") from error
        return Rows(list(frame.columns), found[:rows], len(found) > rows)

    def _prepare(self) -> None:
        """The same views as in DuckDB, by the same SQL."""
        files = read_manifest(self._folder).files
        missing = [file.name for file in files if not (self._folder / file.name).exists()]
        if missing:
            raise LakeRefusal(f"{self._folder / missing[0]} is missing: make it again with: suyuan lake mend")
        schema = ", ".join(f"{name} {_TYPES[str(kind)]}" for name, kind in SCHEMA_OF_ROWS.items())
        frame = self._spark.createDataFrame([], schema)
        if files:
            paths = [(self._folder / file.name).as_uri() for file in files]
            sealed = self._spark.read.option("mergeSchema", "true").parquet(*paths)
            frame = frame.unionByName(sealed, allowMissingColumns=True)
        frame.createOrReplaceTempView("every_file")
        everything = f"SELECT {columns_of_rows(personal=self._personal)} FROM every_file"  # noqa: S608  our own names
        for name, sql in {"sealed": everything, **VIEWS}.items():
            self._spark.sql(sql).createOrReplaceTempView(name)
        self._spark.catalog.dropTempView("every_file")  # it has the columns that a view may leave out


def _session(master: str) -> Any:  # noqa: ANN401  no types without the extra
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  an extra, and half a gigabyte
    except ImportError:
        raise QuestionRefused("Spark is not installed: install Suyuan with its extra, suyuan[spark]") from None
    logging.getLogger("SQLQueryContextLogger").disabled = True  # pages of Java where one line tells it
    builder = SparkSession.builder.appName("suyuan").master(master)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:
        raise QuestionRefused(f"Spark at {master} cannot be used: {_first_line(error)}; is Java there?") from error
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
