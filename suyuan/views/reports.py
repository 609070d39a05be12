"""Citizens' reports as a queue: the newest first, by region and state, without a word of what the sender wrote."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.events import Event

_PREFIX = "report:"
_METADATA = sa.MetaData()
_REPORTS = sa.Table(
    "reports",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("receipt", sa.Text, nullable=False, unique=True),
    sa.Column("received", sa.Integer, nullable=False),
    sa.Column("happened", sa.Integer, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("box", sa.Text, nullable=False, index=True),
    sa.Column("traits", sa.Text, nullable=False),
    sa.Column("photos", sa.Integer, nullable=False),
    sa.Column("contact", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("moved", sa.Integer, nullable=False),
    sa.Index("reports_by_region", "region", "number"),
    sa.Index("reports_by_state", "state", "number"),
)
_NAMES = tuple(column.name for column in _REPORTS.columns)
STATES = ("received", "taken_up", "checking", "answered")


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One report in the queue. Times are µs since 1970 UTC."""

    number: int
    """Its place among all reports, from 1: the cursor of every list."""
    receipt: str
    received: int
    happened: int
    region: str
    institution: str
    """Code of the hospital or pharmacy named; empty for none."""
    code: str
    box: str
    traits: tuple[str, ...]
    photos: int
    contact: bool
    """Whether the sender left one; it is opened with a reason only."""
    state: str
    moved: int
    """When the state last changed."""


class ReportsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports; what is left empty does not narrow. `scope_region` is whose they are (`access.Scope`)."""

    scope_region: str = ""
    """Significant digits of a division code."""
    region: str = ""
    states: tuple[str, ...] = ()
    institution: str = ""
    text: str = ""
    """A code, a box key or a receipt number."""


class ReportsView:
    """The view behind the functions below."""

    name = "reports"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """New reports get the next number; what follows changes their row."""
        number = 0
        for event in events:
            if not event.key.startswith(_PREFIX):
                continue
            if event.sequence == 1:
                number = number or connection.execute(sa.select(sa.func.max(_REPORTS.c.number))).scalar() or 0
                number += 1
                connection.execute(_REPORTS.insert().values(_row(number, event)))
            else:
                _note(connection, event)


def _row(number: int, event: Event) -> dict[str, Any]:
    return {
        "number": number,
        "receipt": event.key.removeprefix(_PREFIX),
        "received": event.arrived,
        "happened": event.event_time,
        "region": event.region,
        "institution": event.place,
        "code": event.detail["code"],
        "box": event.detail["box"],
        "traits": " ".join(event.detail["traits"]),
        "photos": 0,
        "contact": False,
        "state": "received",
        "moved": event.arrived,
    }


def _note(connection: sa.Connection, event: Event) -> None:
    step = event.detail["step"]
    change: dict[str, Any] = {}
    if step == "photo":
        change = {"photos": _REPORTS.c.photos + 1}
    elif step == "contact":
        change = {"contact": True}
    elif step != "opened":
        state = "received" if step == "passed_on" else step
        change = {"state": state, "moved": event.arrived, "region": event.region}
    if change:
        mine = _REPORTS.c.receipt == event.key.removeprefix(_PREFIX)
        connection.execute(_REPORTS.update().where(mine).values(**change))


def reports_before(connection: sa.Connection, number: int, limit: int, wanted: ReportsWanted) -> list[ReportRow]:
    """Reports before a number (0 for all), newest first."""
    query = _query(wanted, *_REPORTS.columns).order_by(_REPORTS.c.number.desc()).limit(limit)
    if number:
        query = query.where(_REPORTS.c.number < number)
    return [_told(row) for row in connection.execute(query)]


def reports_of_boxes(connection: sa.Connection, boxes: Sequence[str], wanted: ReportsWanted) -> list[ReportRow]:
    """The reports about boxes within a scope, oldest first."""
    query = _query(wanted, *_REPORTS.columns).where(_REPORTS.c.box.in_(boxes)).order_by(_REPORTS.c.number)
    return [_told(row) for row in connection.execute(query)]


def count_by_state(connection: sa.Connection, wanted: ReportsWanted) -> dict[str, int]:
    """How many reports stand in each state."""
    query = _query(wanted, _REPORTS.c.state, sa.func.count()).group_by(_REPORTS.c.state)
    found: dict[str, int] = dict(map(tuple, connection.execute(query)))
    return {state: found.get(state, 0) for state in STATES}


def _query(wanted: ReportsWanted, *columns: Any) -> sa.Select[Any]:  # noqa: ANN401  columns of any type
    table = _REPORTS.c
    query = sa.select(*columns)
    for region in filter(None, (wanted.scope_region, wanted.region)):
        query = query.where(table.region.startswith(region, autoescape=True))
    if wanted.states:
        query = query.where(table.state.in_(wanted.states))
    if wanted.institution:
        query = query.where(table.institution == wanted.institution)
    if wanted.text:
        query = query.where(sa.or_(*(column == wanted.text for column in (table.code, table.box, table.receipt))))
    return query


def _told(row: Any) -> ReportRow:  # noqa: ANN401  a row of the driver
    values = dict(zip(_NAMES, row, strict=True))
    values["traits"] = tuple(values["traits"].split())
    return ReportRow(**values)
