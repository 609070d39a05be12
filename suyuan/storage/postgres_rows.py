"""How a plan becomes rows: COPY for many events, one statement with rows of values for all else."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import psycopg

from suyuan.storage.postgres_connections import Connection
from suyuan.storage.postgres_plan import Plan, copied

Cursor = psycopg.Cursor[tuple[Any, ...]]

COPY_ROWS_MIN = 50
"""From so many rows on COPY costs the database less than rows of values (measured, decision 14)."""

VALUES_ROWS_MAX = 500
"""Rows in one statement."""

_TRANSACTION = "pg_current_xact_id()::text::bigint"
_FEED_COLUMNS = "feed (transaction, era, ordinal, batch, events, data)"
_FEED_TYPES = (_TRANSACTION, "integer", "integer", "bytea", "integer", "bytea")
_COPY = "COPY journal.event (code, sequence, data) FROM STDIN (FORMAT BINARY)"

_CLOSE_DEADLINES = """
DELETE FROM journal.deadline WHERE code = ANY (%(codes)s) AND (code, sequence, due) IN (
    SELECT * FROM unnest(%(codes)s::text[], %(sequences)s::integer[], %(times)s::bigint[])
)
"""


def copy_events(connection: Connection, plan: Plan) -> None:
    """All events at once.

    Raises:
        UniqueViolation: one of them is there already.
    """
    with connection.cursor().copy(_COPY) as copy:
        copy.write(copied(plan.events))


def insert_events(connection: Connection, plan: Plan) -> list[Cursor]:
    """Rows of values; an event that is there already is left out, which the number of rows tells."""
    cast = ("text", "integer", "bytea")
    return [_insert(connection, "event (code, sequence, data)", cast, rows) for rows in _parts(plan.events)]


def insert_rest(connection: Connection, plan: Plan, era: int) -> Cursor | None:
    """The feed, deadlines and documents of a plan; answers the cursor that has the number of the transaction."""
    feed = None
    for batches in _parts(plan.batches):
        rows = [(era, *batch) for batch in batches]
        feed = _insert(connection, _FEED_COLUMNS, _FEED_TYPES, rows, "RETURNING transaction")
    for deadlines in _parts(sorted((key, sequence, time) for time, key, sequence in plan.opened)):
        _insert(connection, "deadline (code, sequence, due)", ("text", "integer", "bigint"), deadlines)
    if plan.closed:
        times, codes, sequences = map(list, zip(*plan.closed, strict=True))
        connection.execute(_CLOSE_DEADLINES, {"codes": codes, "sequences": sequences, "times": times})
    for documents in _parts(sorted(plan.documents.items())):
        _insert(connection, "document (digest, data)", ("text", "bytea"), documents)
    return feed


def _insert(
    connection: Connection,
    into: str,
    types: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    ending: str = "ON CONFLICT DO NOTHING",
) -> Cursor:
    """Rows as one statement with a parameter for each value."""
    statement = _values(into, types, len(rows), ending)
    values = [value for row in rows for value in row]
    return psycopg.RawCursor(connection).execute(statement, values, prepare=False)


@lru_cache(1_000)
def _values(into: str, types: tuple[str, ...], count: int, ending: str) -> bytes:
    # Parameters are numbered here: it is dearer to have that done for each statement (a tenth of a claim, measured).
    rows, number = [], 0
    for _ in range(count):
        values = []
        for kind in types:
            number += kind != _TRANSACTION
            values.append(kind if kind == _TRANSACTION else f"${number}::{kind}")
        rows.append(f"({', '.join(values)})")
    return f"INSERT INTO journal.{into} VALUES {', '.join(rows)} {ending}".encode()  # noqa: S608  our own text


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while part := list(islice(rest, VALUES_ROWS_MAX)):
        yield part
