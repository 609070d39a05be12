"""Sales and returns as they were uploaded: an index by institution and day, and by the numbers they were sent under."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event

_METADATA = sa.MetaData()
_SALES = sa.Table(
    "sales",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("facts", sa.LargeBinary, nullable=False),
    sa.Index("sales_of", "institution", "day", "number"),
)
"""A row is what one document, as it came once, says of one day: `facts` are (key, sequence), MessagePack.

What became of them stands in the journal, and is read there: the index says only where to look.
"""
_NUMBERS = sa.Table(
    "sales_numbers",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)

FOUND_BY = ("order", "visit", "receipt", "original", "delivery", "bill", "prescription")
"""Types of numbers by which a sale is found again."""
_OTHERS = ("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "report:")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, int]]).decode


class SalesView:
    """The view: one row a document and day, one row a number."""

    name = "sales"
    version = 2
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        # By arrival too: a document that comes again is a row again, in whatever pages the feed comes.
        documents: dict[tuple[str, str, str, int], list[tuple[str, int]]] = {}
        numbers: list[tuple[Any, ...]] = []
        for event in events:
            if event.kind not in {"sold", "returned"} or event.key.startswith(_OTHERS):
                continue
            day = iso_day(event.event_time)
            documents.setdefault((event.actor, day, event.document, event.arrived), []).append(
                (event.key, event.sequence)
            )
            references = event.references
            if references:
                numbers += [
                    (event.actor, name, references[name], event.key, event.sequence)
                    for name in FOUND_BY
                    if name in references
                ]
        if documents:
            rows = [(institution, day, _encode(facts)) for (institution, day, *_), facts in documents.items()]
            connection.exec_driver_sql("INSERT INTO sales (institution, day, facts) VALUES (?, ?, ?)", rows)
        if numbers:
            connection.exec_driver_sql("INSERT OR IGNORE INTO sales_numbers VALUES (?, ?, ?, ?, ?)", numbers)


class SalesOfDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What one document said of one day."""

    number: int
    institution: str
    facts: list[tuple[str, int]]


def list_sales(
    connection: sa.Connection, institutions: Iterable[str], day: str, after: int, limit: int
) -> list[SalesOfDocument]:
    """Sales of a day in the order in which they came, from above a number; `limit` counts documents."""
    query = (
        _SALES.select()
        .where(_SALES.c.institution.in_(sorted(institutions)), _SALES.c.day == day, _SALES.c.number > after)
        .order_by(_SALES.c.number)
        .limit(limit)
    )
    return [
        SalesOfDocument(number=row.number, institution=row.institution, facts=_decode(row.facts))
        for row in connection.execute(query)
    ]


def facts_under(
    connection: sa.Connection, institution: str, kind: str, reference: str, most: int
) -> list[tuple[str, int]]:
    """(key, sequence) of the sales and returns that an institution sent under a number; at most `most`."""
    query = (
        sa.select(_NUMBERS.c.key, _NUMBERS.c.sequence)
        .where(_NUMBERS.c.institution == institution, _NUMBERS.c.type == kind, _NUMBERS.c.reference == reference)
        .order_by(_NUMBERS.c.key, _NUMBERS.c.sequence)
        .limit(most)
    )
    return [(row.key, row.sequence) for row in connection.execute(query)]
