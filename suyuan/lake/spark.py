"""The same questions on Spark, over the same files, for what outgrows one machine; needs the extra `spark` and Java."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suyuan.lake.columns import SCHEMA_OF_ROWS
from suyuan.lake.manifest import LakeRefusal, read_manifest, reading
from suyuan.lake.query import ROWS, QuestionRefused, Rows, columns_of_rows, sql_of
from suyuan.lake.questions import VIEWS

_TYPES = {"Int64": "BIGINT", "Boolean": "BOOLEAN", "Date": "DATE", "String": "STRING", "List(String)": "ARRAY<STRING>"}


def ask_spark(folder: Path, question: str, master: str, *, rows: int = ROWS) -> Rows:
    """Answer a question on the Spark cluster of this master, such as `spark://host:7077` or `local[2]`.

    Every worker must see the lake's folder under the same path: a shared file system.

    Raises:
        QuestionRefused: Spark is not installed or cannot be reached, or the question is wrong.
        LakeRefusal: the lake cannot be read.
    """
    sql = sql_of(question)
    with reading(folder), _session(master) as spark:
        from pyspark.errors import PySparkException  # noqa: PLC0415  as below

        try:
            _prepare(spark, folder)
            frame = spark.sql(sql)
            found = [tuple(row) for row in frame.limit(rows + 1).collect()]
        except PySparkException as error:
            raise QuestionRefused(f"Spark: {str(error).splitlines()[0]}") from error
        return Rows(list(frame.columns), found[:rows], len(found) > rows)


@contextmanager
def _session(master: str) -> Iterator[Any]:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  an extra, and half a gigabyte
    except ImportError:
        raise QuestionRefused("Spark is not installed: install Suyuan with its extra, suyuan[spark]") from None
    builder = SparkSession.builder.appName("suyuan").master(master)
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        # As DuckDB has it: what overflows or cannot be read as a number is an error, never NULL in silence.
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "8",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # Java is missing, or nobody answers: its own words
        raise QuestionRefused(f"Spark at {master} cannot be used: {str(error).splitlines()[0]}") from error
    try:
        yield spark
    finally:
        spark.stop()


def _prepare(spark: Any, folder: Path) -> None:  # noqa: ANN401  no types without the extra
    """The same views as in DuckDB."""
    files = read_manifest(folder).files
    missing = [file.name for file in files if not (folder / file.name).exists()]
    if missing:
        raise LakeRefusal(f"{folder / missing[0]} is missing: make it again with: suyuan lake check --mend")
    schema = ", ".join(f"{name} {_TYPES[str(kind)]}" for name, kind in SCHEMA_OF_ROWS.items())
    frame = spark.createDataFrame([], schema)
    if files:
        paths = [(folder / file.name).absolute().as_uri() for file in files]
        frame = frame.unionByName(spark.read.option("mergeSchema", "true").parquet(*paths), allowMissingColumns=True)
    frame.createOrReplaceTempView("every_file")
    spark.sql(f"SELECT {columns_of_rows()} FROM every_file").createOrReplaceTempView("sealed")  # noqa: S608  our own
    for name, sql in VIEWS.items():
        spark.sql(sql).createOrReplaceTempView(name)
