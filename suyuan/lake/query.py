"""Questions over the lake in SQL: DuckDB here, and the same text on Spark where one machine is too small."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from suyuan.lake.manifest import Manifest, fault_of, read_manifest, reading
from suyuan.lake.questions import QUESTIONS, VIEWS
from suyuan.lake.refusals import LakeRefusal, QuestionRefused
from suyuan.lake.schema import LATER, PERSONAL, SCHEMA_OF_ROWS

MEMORY_MB = 2_048
"""What a question may take of the memory; more goes to disk."""
SECONDS = 600
"""A question that takes longer is ended."""
ROWS = 1_000_000
"""Rows of one answer; what a reader takes in ends long before."""

_TYPES = {"Int64": "BIGINT", "Boolean": "BOOLEAN", "Date": "DATE", "String": "VARCHAR", "List(String)": "VARCHAR[]"}
_VALUES = frozenset({"unnest", "range", "generate_series", "generate_subscripts", "json_each", "json_tree"})
"""Functions that a question may read from: they make rows of values. All others may open files, or run further SQL."""
_NAME = re.compile(r"\w+")
"""A view, or a part of the question. A path is none: the files of the lake hold columns that a view may leave out."""
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?\s", re.IGNORECASE)
# Spark's name for the same function, so that a question about `refs` reads alike.
_MACROS = "CREATE MACRO get_json_object(document, path) AS json_extract_string(document, path)"


class Rows(NamedTuple):
    """An answer."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    cut: bool = False
    """Whether there were more rows than asked for."""


def sql_of(question: str) -> str:
    """The SQL of a kept question by its name; anything else is SQL itself."""
    kept = QUESTIONS.get(question.strip())
    return kept.sql if kept else question


def ask(
    folder: Path,
    question: str,
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    personal: bool = True,
    rows: int = ROWS,
    memory_mb: int = MEMORY_MB,
    seconds: float = SECONDS,
) -> Rows:
    """Answer a question, SQL or the name of a kept one, over the views `events`, `boxes` and `sealed`.

    It can read these and nothing else: no file, no network, and it can change nothing. `parameters` fill `?` or
    `$name`. Without `personal` the columns of persons and prescribers are not there.

    Raises:
        QuestionRefused: it is not one SELECT, is wrong, or took too long.
        LakeRefusal: the lake cannot be read, or a file of it is damaged.
    """
    sql = sql_of(question)
    check(sql)
    with opened(folder, personal=personal, memory_mb=memory_mb) as connection:
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            answer = connection.execute(sql, parameters or None)
            found = answer.fetchmany(rows + 1)
            names = [column[0] for column in answer.description or ()]
        except duckdb.InterruptException:
            raise QuestionRefused(f"the question took longer than {seconds:g} seconds and was ended") from None
        finally:
            timer.cancel()
    return Rows(names, found[:rows], len(found) > rows)


@contextmanager
def opened(folder: Path, *, personal: bool, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that sees the lake and nothing else; files stay while it is open."""
    with reading(folder):
        manifest = read_manifest(folder)
        paths = [folder / file.name for file in manifest.files]
        try:
            with connected(folder, paths, personal=personal, memory_mb=memory_mb) as connection:
                connection.execute(f"SET allowed_paths = {_listed(paths)}")
                # What it spills stays within the folder; nothing else may be read, written or loaded.
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
                for name, sql in VIEWS.items():
                    connection.execute(f"CREATE VIEW {name} AS {sql}")
                yield connection
        except duckdb.Error as error:
            raise _refusal(folder, manifest, error) from error


@contextmanager
def connected(
    folder: Path, paths: Sequence[Path], *, personal: bool = True, memory_mb: int = MEMORY_MB
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the view `sealed`: every row of these files, of this schema whatever theirs is."""
    connection = duckdb.connect(config={"memory_limit": f"{memory_mb}MB", "temp_directory": str(folder / "spill")})
    try:
        connection.execute(_MACROS)
        connection.execute(f"CREATE VIEW sealed AS {_sealed(paths, personal=personal)}")
        yield connection
    finally:
        connection.close()


def _sealed(paths: Sequence[Path], *, personal: bool) -> str:
    empty = ", ".join(f"CAST(NULL AS {_TYPES[str(kind)]}) AS {name}" for name, kind in SCHEMA_OF_ROWS.items())
    sql = f"SELECT {empty} WHERE false"
    if paths:
        sql += f" UNION ALL BY NAME SELECT * FROM read_parquet({_listed(paths)}, union_by_name = true)"  # noqa: S608  our own names
    return f"SELECT {columns_of_rows(personal=personal)} FROM ({sql}) AS every_file"  # noqa: S608  likewise


def columns_of_rows(*, personal: bool) -> str:
    """The columns of the lake in SQL, those of later schemas with their defaults."""
    names = [name for name in SCHEMA_OF_ROWS if personal or name not in PERSONAL]
    return ", ".join(f"coalesce({name}, {LATER[name]}) AS {name}" if name in LATER else name for name in names)


def _listed(paths: Sequence[Path]) -> str:
    return f"[{', '.join(map(quoted, paths))}]"


def quoted(path: Path) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


@lru_cache(maxsize=64)
def check(sql: str) -> None:
    """That a question reads views and values alone, wherever in it they are named.

    Raises:
        QuestionRefused: it is not one SELECT, or reads something else.
    """
    try:
        statements = duckdb.extract_statements(_EXPLAIN.sub("", sql, count=1) if _EXPLAIN.match(sql) else sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QuestionRefused("a question is one SELECT; the lake is read, never changed by SQL")
        with duckdb.connect() as connection:
            tree = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statements[0].query])
            [[text]] = tree.fetchall()
    except duckdb.Error as error:
        raise QuestionRefused(f"this is no SQL: {error}") from error
    told = msgspec.json.decode(text)
    if told.get("error"):
        raise QuestionRefused(f"this question cannot be seen through; write it otherwise: {told.get('error_message')}")
    for source in _sources(told):
        raise QuestionRefused(
            f"a question reads the views events, boxes and sealed and nothing else; not {source!r}: name a view instead"
        )


def _sources(told: Any) -> Iterator[str]:  # noqa: ANN401  any part of a parsed question
    """What a parsed question reads that is neither a view nor made of values."""
    if isinstance(told, dict):
        if told.get("type") == "TABLE_FUNCTION":
            name = str(told["function"]["function_name"])
            if name.lower() not in _VALUES:
                yield name
        elif told.get("type") == "BASE_TABLE":
            parts = (told["catalog_name"], told["schema_name"], told["table_name"])
            if any(parts[:2]) or not _NAME.fullmatch(parts[2]):
                yield ".".join(filter(None, parts))
    for part in told.values() if isinstance(told, dict) else told if isinstance(told, list) else ():
        yield from _sources(part)


_OF_THE_QUESTION = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.OutOfMemoryException,
)


def _refusal(folder: Path, manifest: Manifest, error: duckdb.Error) -> Exception:
    """Whose fault it is: the question's, or that of a file, which is then looked for and named."""
    if not isinstance(error, _OF_THE_QUESTION):
        for file in manifest.files:
            words = fault_of(folder, file)
            if words:
                return LakeRefusal(
                    f"{folder / file.name} (segments {file.segments[0]} to {file.segments[1]}) is damaged: {words}. "
                    "Make it again from the journal with: suyuan lake mend"
                )
    return QuestionRefused(str(error))
