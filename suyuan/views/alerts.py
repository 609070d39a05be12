"""Alerts as a list: numbered in the order in which they arose, with both sides, evidence and the state of handling."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.handling import Standing
from suyuan.ledger.keys import alert_key

_PREFIX = alert_key("")
_COUNTED_MAX = 10_000
"""Beyond this many, a list says `more than`: nobody counts on, and the database need not."""

_METADATA = sa.MetaData()
_ALERTS = sa.Table(
    "alerts",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("class", sa.Text, nullable=False),
    sa.Column("box", sa.Text, nullable=False, index=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("event_time", sa.Integer, nullable=False),
    sa.Column("arrived", sa.Integer, nullable=False, index=True),
    sa.Column("other_institution", sa.Text, nullable=False),
    sa.Column("other_region", sa.Text, nullable=False),
    sa.Column("other_time", sa.Integer, nullable=False),
    sa.Column("other_arrived", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("fund", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("alerts_by_state", "state", "number"),
    sa.Index("alerts_by_class", "class", "number"),
)
_SIDES = sa.Table(
    "alert_sides",
    _METADATA,
    sa.Column("side", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)
"""Whose an alert is, twice where it has two sides: `44` for a province, `party:<code>`, `fund:<fund>`."""
_LEADING, _ANY = _SIDES.alias(), _SIDES.alias()
_LED = _ALERTS.join(_LEADING, _LEADING.c.number == _ALERTS.c.number)
"""Made once: one for each question would be left to the collector of cycles, as thousands a minute of a busy stream."""
_STEPS = sa.Table(
    "alert_steps",
    _METADATA,
    sa.Column("alert", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("finding", sa.Text, nullable=False),
    sa.Column("to", sa.Text, nullable=False),
    sa.Column("undone", sa.Boolean, nullable=False),
)


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert with all that is known of it. Times are µs since 1970 UTC."""

    number: int
    """Its place among all alerts, from 1 without gaps: the cursor of every list and stream."""
    id: str
    alert_class: str
    """One of `ledger.alerts.CLASSES`."""
    box: str
    code: str
    product: str
    kind: str
    """What was done: sold, claimed, returned …"""
    institution: str
    region: str
    event_time: int
    arrived: int
    other_institution: str = ""
    """The other side: where the box was sold before; empty where there is none."""
    other_region: str = ""
    other_time: int = 0
    other_arrived: int = 0
    status: str
    reasons: tuple[str, ...]
    fund: str = ""
    document: str = ""
    """Hash of the sealed message that said so."""
    evidence: dict[str, Any]
    state: str = "new"

    @property
    def gap(self) -> int:
        """µs between the two sides' events; 0 where there is one side only."""
        return abs(self.event_time - self.other_time) if self.other_time else 0


class OwnSide(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as one institution sees it: its own side, and of the other no more than kind of place and month."""

    number: int
    id: str
    alert_class: str
    code: str
    box: str
    kind: str
    """What this institution did; empty where its earlier sale is the other side."""
    institution: str
    event_time: int
    arrived: int
    questioned: bool
    """True where its own record is in question, false where somebody else's is and this one's sale came first."""
    elsewhere: bool
    """True where the other side is another institution; false for itself or none."""
    kind_of_place: str
    month: str
    """Of the other side's record: `2026-03`."""
    status: str
    reasons: tuple[str, ...]
    meaning: str
    innocent: tuple[str, ...]
    state: str


class AlertsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts; what is left empty does not narrow. The first three are whose they are: see `access.Scope`."""

    scope_parties: frozenset[str] | None = None
    """Only alerts of which one of these institutions is a side; None for no such bound, empty for none at all."""
    scope_region: str = ""
    """Significant digits of a division code, on either side."""
    scope_fund: str = ""
    region: str = ""
    institution: str = ""
    classes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    text: str = ""
    """A code, a box key or an id."""
    arrived_from: int = 0
    arrived_before: int = 0


class AlertsView:
    """The view behind the functions below."""

    name = "alerts"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Number the new alerts and note the steps taken about old ones."""
        about = [event for event in events if event.key.startswith(_PREFIX)]
        if not about:
            return
        number = connection.execute(sa.select(sa.func.max(_ALERTS.c.number))).scalar() or 0
        rows: list[tuple[Any, ...]] = []
        sides: list[tuple[str, int]] = []
        for event in about:
            # The same alert told again, by a decision that was made twice, keeps its first place.
            if event.kind == "alerted" and event.sequence == 1:
                number += 1
                row = _row(number, event)
                rows.append(row)
                sides += [(side, number) for side in _sides(event)]
        if rows:
            connection.exec_driver_sql(_INSERT_ALERT, rows)
            connection.exec_driver_sql("INSERT INTO alert_sides VALUES (?, ?)", sides)
        for event in about:
            if event.kind in {"reported", "corrected"}:
                _note_step(connection, event)


_NAMES = tuple(column.name for column in _ALERTS.columns)
_INSERT_ALERT = f"INSERT INTO alerts VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608  no value stands in it


def _row(number: int, event: Event) -> tuple[Any, ...]:
    detail = event.detail
    earlier = detail.get("earlier", {})
    other = earlier.get("institution", "")
    return (
        number,
        event.key.removeprefix(_PREFIX),
        detail["class"],
        detail["box"],
        detail["code"],
        event.product,
        detail.get("kind", ""),
        event.actor,
        event.region or region_in(event.actor),
        event.event_time,
        event.arrived,
        other,
        earlier.get("region", "") or region_in(other),
        earlier.get("event_time", 0),
        earlier.get("arrived", 0),
        event.status,
        " ".join(event.reasons),
        event.fund,
        event.document,
        msgspec.json.encode(detail).decode(),
        "new",
    )


def region_in(institution: str) -> str:
    """The division code that the insurer's institution codes carry after their letter; empty for other codes."""
    return institution[1:7] if re.fullmatch(r"[HP]\d{11}", institution) else ""


def _sides(event: Event) -> set[str]:
    earlier = event.detail.get("earlier", {})
    other = earlier.get("institution", "")
    regions = (event.region or region_in(event.actor), earlier.get("region", "") or region_in(other))
    provinces = {region[:2] for region in regions if region}
    parties = {f"party:{code}" for code in (event.actor, other) if code}
    funds = {f"fund:{fund}" for fund in (event.fund, *event.detail.get("funds", ())) if fund}
    return provinces | parties | funds


def _note_step(connection: sa.Connection, event: Event) -> None:
    alert = event.key.removeprefix(_PREFIX)
    if event.kind == "reported":
        detail = event.detail
        row = (alert, event.sequence, detail["step"], event.actor, detail["person"], event.arrived)
        connection.execute(_STEPS.insert().values((*row, detail["text"], detail["finding"], detail["to"], False)))
    else:
        undone = (_STEPS.c.alert == alert) & (_STEPS.c.sequence == event.corrects)
        connection.execute(_STEPS.update().where(undone).values(undone=True))
    standing = (
        sa.select(_STEPS.c.kind)
        .where(_STEPS.c.alert == alert, ~_STEPS.c.undone)
        .order_by(_STEPS.c.sequence.desc())
        .limit(1)
    )
    state = connection.execute(standing).scalar() or "new"
    connection.execute(_ALERTS.update().where(_ALERTS.c.id == alert).values(state=state))


def newest_number(connection: sa.Connection) -> int:
    """The number of the latest alert; 0 for none."""
    return connection.execute(sa.select(sa.func.max(_ALERTS.c.number))).scalar() or 0


def alerts_after(connection: sa.Connection, number: int, limit: int, wanted: AlertsWanted | None = None) -> list[Alert]:
    """Alerts after a number, oldest first: what a stream or a subscriber has not had yet."""
    query, order = _query(wanted or AlertsWanted(), *_ALERTS.columns)
    return [_alert(row) for row in connection.execute(query.where(order > number).order_by(order).limit(limit))]


def alerts_before(connection: sa.Connection, number: int, limit: int, wanted: AlertsWanted) -> list[Alert]:
    """Alerts before a number (0 for all), newest first: the pages of a list."""
    query, order = _query(wanted, *_ALERTS.columns)
    if number:
        query = query.where(order < number)
    return [_alert(row) for row in connection.execute(query.order_by(order.desc()).limit(limit))]


def count_alerts(connection: sa.Connection, wanted: AlertsWanted) -> int:
    """How many there are; one more than 10,000 stands for more than that."""
    query, _ = _query(wanted, sa.literal(1))
    return connection.execute(
        sa.select(sa.func.count()).select_from(query.limit(_COUNTED_MAX + 1).subquery())
    ).scalar_one()


def find_alert(connection: sa.Connection, identity: str, wanted: AlertsWanted) -> Alert | None:
    """One alert by id, within a scope; None where there is none for the asker."""
    query, _ = _query(wanted, *_ALERTS.columns)
    row = connection.execute(query.where(_ALERTS.c.id == identity)).first()
    return None if row is None else _alert(row)


def alerts_of_box(connection: sa.Connection, boxes: Iterable[str], wanted: AlertsWanted) -> list[Alert]:
    """The alerts about boxes, oldest first."""
    query, number = _query(wanted, *_ALERTS.columns)
    return [_alert(row) for row in connection.execute(query.where(_ALERTS.c.box.in_(list(boxes))).order_by(number))]


def steps_about(connection: sa.Connection, identity: str) -> list[Standing]:
    """The steps taken about an alert, in order, undone ones too."""
    columns = [column for column in _STEPS.columns if column.name != "alert"]
    query = sa.select(*columns).where(_STEPS.c.alert == identity).order_by(_STEPS.c.sequence)
    return [Standing(*row) for row in connection.execute(query)]


def steps_for(steps: Iterable[Standing], institution: str) -> list[Standing]:
    """Those steps that an institution may see: its own, what it was asked, and how the alert was closed.

    The words of a finding are the officials' own, for they may name the other side.
    """
    return [
        msgspec.structs.replace(step, text="", person="") if step.kind == "closed" else step
        for step in steps
        if institution in {step.actor, step.to} or (step.kind == "closed" and not step.undone)
    ]


def own_side(alert: Alert, institution: str) -> OwnSide:
    """The alert as that institution, one of its sides, may see it (`spec/settlement.md`, who sees what)."""
    assert institution in {alert.institution, alert.other_institution}, "it is a side of the alert"
    questioned = institution == alert.institution
    elsewhere = bool(alert.other_institution) and alert.other_institution != alert.institution
    there, when = (alert.other_institution, alert.other_time) if questioned else (alert.institution, alert.event_time)
    return OwnSide(
        number=alert.number,
        id=alert.id,
        alert_class=alert.alert_class,
        code=alert.code,
        box=alert.box,
        kind=alert.kind if questioned else "",
        institution=institution,
        event_time=alert.event_time if questioned else alert.other_time,
        arrived=alert.arrived if questioned else alert.other_arrived,
        questioned=questioned,
        elsewhere=elsewhere,
        kind_of_place=("pharmacy" if there.startswith("P") else "hospital") if elsewhere else "",
        month=iso_day(when)[:7] if when else "",
        status=alert.status,
        reasons=alert.reasons,
        meaning=alert.evidence["meaning"],
        innocent=tuple(alert.evidence["innocent"]),
        state=alert.state,
    )


def fits(alert: Alert, wanted: AlertsWanted) -> bool:
    """Whether an alert is among those wanted: the same question as the queries ask, of one alert at hand."""
    regions = (alert.region, alert.other_region)
    parties = {alert.institution, alert.other_institution} - {""}
    funds = {alert.fund, *alert.evidence.get("funds", ())} - {""}
    return (
        (wanted.scope_parties is None or not parties.isdisjoint(wanted.scope_parties))
        and any(region.startswith(wanted.scope_region) for region in regions)
        and (not wanted.scope_fund or wanted.scope_fund in funds)
        and any(region.startswith(wanted.region) for region in regions)
        and (not wanted.institution or wanted.institution in parties)
        and (not wanted.classes or alert.alert_class in wanted.classes)
        and (not wanted.kinds or alert.kind in wanted.kinds)
        and (not wanted.states or alert.state in wanted.states)
        and (not wanted.text or wanted.text in {alert.code, alert.box, alert.id})
        and (not wanted.arrived_from or alert.arrived >= wanted.arrived_from)
        and (not wanted.arrived_before or alert.arrived < wanted.arrived_before)
    )


def _query(wanted: AlertsWanted, *columns: sa.ColumnElement[Any]) -> tuple[sa.Select[Any], sa.ColumnElement[int]]:
    """The alerts wanted, unordered, and the number to order by.

    Where one side alone decides, its own list leads, so that a page costs a look at its first rows and no more.
    """
    number: sa.ColumnElement[int] = _ALERTS.c.number
    query = sa.select(*columns).select_from(_ALERTS)
    needed = _sides_wanted(wanted)
    if leading := next((sides for sides in needed if len(sides) == 1), None):
        needed.remove(leading)
        number = _LEADING.c.number
        query = sa.select(*columns).select_from(_LED).where(_LEADING.c.side == leading[0])
    for sides in needed:
        query = query.where(sa.exists().where(_ANY.c.number == _ALERTS.c.number, _ANY.c.side.in_(sides)))
    return query.where(*_conditions(wanted)), number


def _sides_wanted(wanted: AlertsWanted) -> list[list[str]]:
    """For each condition on sides the entries of `alert_sides` of which one is needed; the narrowest lists first."""
    found = []
    if wanted.institution:
        found.append([f"party:{wanted.institution}"])
    if wanted.scope_parties is not None:
        found.append([f"party:{code}" for code in sorted(wanted.scope_parties)])
    if wanted.scope_fund:
        found.append([f"fund:{wanted.scope_fund}"])
    found += [[region[:2]] for region in (wanted.region, wanted.scope_region) if region]
    return found


def _conditions(wanted: AlertsWanted) -> list[sa.ColumnElement[bool]]:
    table = _ALERTS.c
    deep = (region for region in (wanted.region, wanted.scope_region) if len(region) > len("44"))
    found: list[sa.ColumnElement[bool]] = [
        table.region.startswith(region) | table.other_region.startswith(region) for region in deep
    ]
    for column, values in ((table["class"], wanted.classes), (table.kind, wanted.kinds), (table.state, wanted.states)):
        if values:
            found.append(column.in_(values))
    if wanted.text:
        found.append((table.code == wanted.text) | (table.box == wanted.text) | (table.id == wanted.text))
    if wanted.arrived_from:
        found.append(table.arrived >= wanted.arrived_from)
    if wanted.arrived_before:
        found.append(table.arrived < wanted.arrived_before)
    return found


def _alert(row: Any) -> Alert:  # noqa: ANN401  a row of the driver
    values = dict(zip(_NAMES, row, strict=True))
    values["alert_class"] = values.pop("class")
    values["reasons"] = tuple(values["reasons"].split())
    values["evidence"] = msgspec.json.decode(values["evidence"])
    return Alert(**values)
