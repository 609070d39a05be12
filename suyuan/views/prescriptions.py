"""Prescriptions: what was prescribed under a number, and what was handed out on it, product by product."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.events import Event

_METADATA = sa.MetaData()
_LINES = sa.Table(
    "prescription_lines",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("m", sa.BigInteger, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("event_time", sa.BigInteger, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("undone", sa.Boolean, nullable=False),
    sa.Index("prescription_of", "issuer", "number"),
)
"""`said` is prescribed or sold; `key` and `sequence` name the fact in the journal."""
_UNDOING = frozenset({"returned", "corrected"})


class PrescriptionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One medicine prescribed, or one box or line handed out."""

    said: str
    institution: str
    product: str
    n: int
    m: int
    code: str
    event_time: int
    undone: bool


class PrescriptionsView:
    """The view: prescribed lines and the sales that name a prescription; what undoes a sale marks it."""

    name = "prescriptions"
    version = 2
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        rows: list[tuple[Any, ...]] = []
        undone: list[tuple[str, int]] = []
        for event in events:
            if event.kind in {"prescribed", "sold"} and "prescription" in event.references:
                rows.append(_row(event))
            elif event.kind in _UNDOING and event.corrects:
                undone.append((event.key, event.corrects))
        if rows:
            marks = ", ".join("?" * 13)
            connection.exec_driver_sql(f"INSERT OR REPLACE INTO prescription_lines VALUES ({marks})", rows)  # noqa: S608  marks
        if undone:
            statement = "UPDATE prescription_lines SET undone = 1 WHERE key = ? AND sequence = ?"
            connection.exec_driver_sql(statement, undone)


def _row(event: Event) -> tuple[Any, ...]:
    references = event.references
    detail = event.detail if isinstance(event.detail, dict) else {}
    is_line = event.key.startswith("line:")
    return (
        event.key,
        event.sequence,
        references.get("prescription_issuer") or event.actor,
        references["prescription"],
        event.kind,
        event.actor,
        event.product,
        event.n,
        1 if is_line else event.m,
        str(detail.get("code", "")) if is_line else event.key,
        event.event_time,
        event.line,
        False,
    )


def prescription(connection: sa.Connection, issuer: str, number: str) -> list[PrescriptionLine]:
    """Everything said under one number of one issuer, prescribed lines first, then by time."""
    query = (
        _LINES.select()
        .where(_LINES.c.issuer == issuer, _LINES.c.number == number)
        .order_by(_LINES.c.said, _LINES.c.event_time, sa.func.length(_LINES.c.line), _LINES.c.line, _LINES.c.key)
    )
    return [
        PrescriptionLine(
            said=row.said,
            institution=row.institution,
            product=row.product,
            n=row.n,
            m=row.m,
            code=row.code,
            event_time=row.event_time,
            undone=row.undone,
        )
        for row in connection.execute(query)
    ]
