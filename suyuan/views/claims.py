"""Settlements as a list: who asked for how much, what was answered, and whether it still stands."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.events import Event

_METADATA = sa.MetaData()
_CLAIMS = sa.Table(
    "claims",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("province", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("settlement", sa.Text, nullable=False),
    sa.Column("order", sa.Text, nullable=False),
    sa.Column("visit", sa.Text, nullable=False),
    sa.Column("receipt", sa.Text, nullable=False),
    sa.Column("event_time", sa.BigInteger, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("setting", sa.Text, nullable=False),
    sa.Column("fund", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("paid", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("claims_of", "institution", "number"),
    sa.Index("claims_in", "province", "number"),
    sa.Index("claims_made", "key", "sequence", unique=True),
    sa.Index("claims_settled", "settlement"),
    *(
        sa.Index(f"claims_by_{name}", name, sqlite_where=sa.text(f"\"{name}\" != ''"))
        for name in ("order", "visit", "receipt")
    ),
)
"""`state` is open, cancelled or reversed; what was refused is refused and stays so. `province` are the first two digits
of the region: a list of a province is read from its index in order, whatever the others hold."""


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """One settlement, or one refusal. Times are µs UTC, amounts millionths of a yuan."""

    number: int
    institution: str
    region: str
    key: str
    sequence: int
    settlement: str
    order: str
    visit: str
    receipt: str
    event_time: int
    arrived: int
    setting: str
    fund: str
    verdict: str
    status: str
    amount: int
    paid: int
    held: int
    refused: int
    state: str


class ClaimsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which claims a reader may see and wants to; empty means all."""

    parties: frozenset[str] | None = None
    """Institutions whose claims are seen; None for all of the region."""
    region: str = ""
    """Beginning of the division code."""
    fund: str = ""
    institution: str = ""
    verdict: str = ""
    state: str = ""
    since: int = 0
    """Arrived at or after, µs UTC."""
    until: int = 0
    """Arrived before."""


class ClaimsView:
    """The view: a row with each settlement; what undoes it changes its state."""

    name = "claims"
    version = 2
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        rows: list[tuple[Any, ...]] = []
        for event in events:
            if not event.key.startswith("claim:"):
                continue
            if event.kind == "claimed" and event.detail and "answer" in event.detail:
                rows.append(_row(event))
            elif event.kind in {"cancelled", "reversed"} and event.corrects:
                _insert(connection, rows)
                rows = []
                made = (_CLAIMS.c.key == event.key) & (_CLAIMS.c.sequence == event.corrects)
                connection.execute(_CLAIMS.update().where(made).values(state=event.kind))
        _insert(connection, rows)


_QUOTED = [f'"{column.name}"' for column in _CLAIMS.columns][1:]
_INSERT = f"INSERT INTO claims ({', '.join(_QUOTED)}) VALUES ({', '.join('?' * len(_QUOTED))})"  # noqa: S608  own names


def _insert(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(_INSERT, rows)


def _row(event: Event) -> tuple[Any, ...]:
    answer = event.detail["answer"]
    references = event.references
    return (
        event.actor,
        event.region,
        event.region[:2],
        event.key,
        event.sequence,
        references.get("settlement", ""),
        references.get("order", ""),
        references.get("visit", ""),
        references.get("receipt", ""),
        event.event_time,
        event.arrived,
        event.detail.get("setting", ""),
        event.fund,
        event.verdict,
        event.status,
        answer["amount"],
        answer["paid"],
        answer["held"],
        answer["refused"],
        "refused" if event.verdict == "refuse" else "open",
    )


def list_claims(connection: sa.Connection, wanted: ClaimsWanted, before: int, limit: int) -> list[ClaimRow]:
    """Claims, the latest first, from below a number (0 for the newest)."""
    query = _CLAIMS.select().where(*_conditions(wanted))
    if before:
        query = query.where(_CLAIMS.c.number < before)
    query = query.order_by(_CLAIMS.c.number.desc()).limit(limit)
    return [_claim(row) for row in connection.execute(query)]


def claim_of(connection: sa.Connection, settlement: str, wanted: ClaimsWanted) -> ClaimRow | None:
    """The claim that was given this settlement id, if the reader may see it."""
    query = _CLAIMS.select().where(_CLAIMS.c.settlement == settlement, *_conditions(wanted))
    row = connection.execute(query.order_by(_CLAIMS.c.number)).first()
    return None if row is None else _claim(row)


def _claim(row: Any) -> ClaimRow:  # noqa: ANN401  a row of the driver
    return ClaimRow(**{name: getattr(row, name) for name in ClaimRow.__struct_fields__})


def files_under(connection: sa.Connection, institution: str, kind: str, number: str) -> set[str]:
    """Keys of the claim files in which an institution's order, visit or receipt stands."""
    column = _CLAIMS.c[kind]
    query = sa.select(_CLAIMS.c.key.distinct()).where(column == number, column != "")
    return set(connection.execute(query.where(_CLAIMS.c.institution == institution)).scalars())


def _conditions(wanted: ClaimsWanted) -> list[sa.ColumnElement[bool]]:
    table = _CLAIMS.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.parties is not None:
        found.append(table.institution.in_(sorted(wanted.parties)))
    if wanted.region:
        found.append(table.province == wanted.region[:2])
    if len(wanted.region) > len("44"):
        found.append(table.region.startswith(wanted.region, autoescape=True))
    for column, value in (
        (table.fund, wanted.fund),
        (table.institution, wanted.institution),
        (table.verdict, wanted.verdict),
        (table.state, wanted.state),
    ):
        if value:
            found.append(column == value)
    if wanted.since:
        found.append(table.arrived >= wanted.since)
    if wanted.until:
        found.append(table.arrived < wanted.until)
    return found
