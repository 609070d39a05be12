"""How an institution uploads: by day and channel, how late, and how many of its lines carry the codes they need."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from suyuan.ledger.admission import HOUR, iso_day
from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.lookup.owed import LATE_HOURS, Coverage, bucket_of, class_of

_METADATA = sa.MetaData()
_CHANNELS = sa.Table(
    "uploads_channels",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("documents", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)
_COVERAGE = sa.Table(
    "uploads_coverage",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("class", sa.Text, primary_key=True),
    sa.Column("needed", sa.BigInteger, nullable=False),
    sa.Column("coded", sa.BigInteger, nullable=False),
    sa.Column("exempt", sa.BigInteger, nullable=False),
)
_BATCHES = sa.Table(
    "uploads_batches",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("batch", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("class", sa.Text, primary_key=True),
    sa.Column("needed", sa.BigInteger, nullable=False),
    sa.Column("coded", sa.BigInteger, nullable=False),
    sa.Column("exempt", sa.BigInteger, nullable=False),
)
"""What the sale reports under one batch number count for, as long as they are not deleted (3507)."""
_CLAIMS = sa.Table(
    "uploads_claims",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("awaiting", sa.Text, nullable=False),
)
"""What each open settlement counts for: JSON of class → [needed, coded, exempt]; line → [class, scans awaited]."""
_DELAYS = sa.Table(
    "uploads_delays",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("minutes", sa.Integer, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
_LATE = sa.Table(
    "uploads_late",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("arrived", sa.BigInteger, primary_key=True),
    sa.Column("document", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("oldest", sa.BigInteger, nullable=False),
)

_READINGS = sa.Table(
    "uploads_readings",
    _METADATA,
    sa.Column("fact", sa.Text, primary_key=True),
    sa.Column("arrived", sa.BigInteger, primary_key=True),
)
"""Sales under review that were counted."""

_TOLD = frozenset({"produced", "packed", "unpacked", "shipped", "received", "refused", "counted", "changed", "sold",
                   "returned", "exited"})  # fmt: skip
"""Kinds that somebody sees happen and then tells: these can be told late."""
_NO_BOX = ("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "report:")
_SALES_BATCH = "4"
_WITHOUT_A_CODE = frozenset({"legacy", "exempt", "unreadable", "virtual"})
"""Kinds of balance whose lines need no code (R20)."""

Parts = dict[tuple[str, ...], list[int]]
"""By key of a table: what is to be added to needed, coded and exempt."""


class Uploads:
    """The view: running counts a day, and what must be kept to take back exactly what is undone."""

    name = "uploads"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        page = _Page(connection)
        for event in events:
            key = event.key
            if key.startswith("claim:"):
                page.take_claim(event)
            elif key.startswith("message:"):
                page.count_document(event)
            elif key.startswith("batch:"):
                page.delete_batch(event)
            elif not key.startswith(_NO_BOX):
                page.take_fact(event)
        page.write()


class _Page:
    """One page of the feed on its way into the tables."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.claims: list[tuple[Any, ...]] = []
        self.channels: dict[tuple[str, str, str], list[int]] = {}
        self.coverage: Parts = {}
        self.batches: Parts = {}
        self.delays: dict[tuple[str, str, int], int] = {}
        self.late: dict[tuple[str, int, str, str], list[int]] = {}

    def write(self) -> None:
        """Add what was gathered to what is there."""
        self._write_claims()
        _add(self.connection, _COVERAGE, self.coverage)
        _add(self.connection, _BATCHES, self.batches)
        _write(self.connection, _DELAYS, [(*key, count) for key, count in self.delays.items()], {"count": _SUM})
        channels = [(*key, *values) for key, values in self.channels.items()]
        _write(self.connection, _CHANNELS, channels, {"documents": _SUM, "last": _LATEST})
        late = [(*key, *values) for key, values in self.late.items()]
        _write(self.connection, _LATE, late, {"count": _SUM, "oldest": _EARLIEST})

    def count_document(self, event: Event) -> None:
        """One message, table or document that was judged; what undoes a message stands under its key too."""
        if not event.detail or "answers" not in event.detail:
            return
        row = self.channels.setdefault((event.actor, iso_day(event.arrived), channel_of(event.key)), [0, 0])
        row[0] += 1
        row[1] = max(row[1], event.arrived)

    # Sale reports and other facts

    def take_fact(self, event: Event) -> None:
        """How late it came; of a sale also whether it carries the code it needs."""
        if event.kind in _TOLD and event.fact and event.status not in NOT_A_SALE:
            self._time(event)
        if event.kind != "sold" or event.status in NOT_A_SALE - {"code_review"}:
            return
        if event.status == "code_review" and not self._first_reading(event):
            return
        parts = _parts_of_sale(event)
        day, name = iso_day(event.event_time), class_of(event.product)
        _count(self.coverage, (event.actor, day, "sale", name), parts)
        if "batch" in event.references:
            _count(self.batches, (event.actor, event.references["batch"], day, name), parts)

    def _first_reading(self, event: Event) -> bool:
        """A code that reads in two ways is filed under both readings in one append, and is one line."""
        known = insert(_READINGS).values(fact=event.fact, arrived=event.arrived).on_conflict_do_nothing()
        return bool(self.connection.execute(known).rowcount)

    def _time(self, event: Event) -> None:
        delay = event.arrived - event.event_time
        key = (event.actor, iso_day(event.arrived), bucket_of(delay))
        self.delays[key] = self.delays.get(key, 0) + 1
        if delay > LATE_HOURS * HOUR:
            row = self.late.setdefault((event.actor, event.arrived, event.document, event.kind), [0, event.event_time])
            row[0] += 1
            row[1] = min(row[1], event.event_time)

    def delete_batch(self, event: Event) -> None:
        """3507: the one upload left under this number is gone, and with it all that its sales counted for."""
        if event.kind != "corrected":
            return
        _, institution, data_type, batch = event.key.split(":", 3)
        if data_type != _SALES_BATCH:
            return
        _add(self.connection, _BATCHES, self.batches)
        self.batches.clear()
        own = (_BATCHES.c.institution == institution, _BATCHES.c.batch == batch)
        for row in self.connection.execute(_BATCHES.select().where(*own)):
            parts = (-row.needed, -row.coded, -row.exempt)
            _count(self.coverage, (institution, row.day, "sale", _named(row, "class")), parts)
        self.connection.execute(_BATCHES.delete().where(*own))

    # Claims

    def take_claim(self, event: Event) -> None:
        """A settlement, its undoing, or scans that came after it."""
        if event.kind == "claimed":
            if event.verdict != "refuse":
                self._settle(event)
        elif event.kind in {"cancelled", "reversed"}:
            self._unsettle(event)
        elif event.kind == "corrected" and event.detail["filled"]:
            self._fill(event)

    def _settle(self, event: Event) -> None:
        waiting: dict[str, dict[str, Any]] = event.detail["awaiting"]
        counts: dict[str, list[int]] = {}
        for line in event.detail["answer"]["lines"]:
            parts = _parts_of_line(line, waits=line["line"] in waiting)
            of_class = counts.setdefault(class_of(line["product"]), [0, 0, 0])
            for place, part in enumerate(parts):
                of_class[place] += part
        day = iso_day(event.event_time)
        self._count_claim(event.actor, day, counts)
        awaiting = {line: [class_of(row["product"]), row["count"]] for line, row in waiting.items()}
        row = (event.key, event.sequence, event.actor, day, json.dumps(counts), json.dumps(awaiting))
        self.claims.append(row)

    def _write_claims(self) -> None:
        _write(self.connection, _CLAIMS, self.claims, {})
        self.claims.clear()

    def _unsettle(self, event: Event) -> None:
        self._write_claims()
        own = (_CLAIMS.c.key == event.key, _CLAIMS.c.sequence == event.corrects)
        row = self.connection.execute(_CLAIMS.select().where(*own)).first()
        if row is None:
            return
        undone = {name: [-part for part in parts] for name, parts in json.loads(row.counts).items()}
        self._count_claim(row.institution, row.day, undone)
        self.connection.execute(_CLAIMS.delete().where(*own))

    def _fill(self, event: Event) -> None:
        self._write_claims()
        own = (_CLAIMS.c.key == event.key, _CLAIMS.c.sequence == event.corrects)
        row = self.connection.execute(_CLAIMS.select().where(*own)).first()
        if row is None:
            return
        counts, awaiting = json.loads(row.counts), json.loads(row.awaiting)
        more: dict[str, list[int]] = {}
        for line, _, _ in event.detail["filled"]:
            if line not in awaiting:
                continue
            awaiting[line][1] -= 1
            if awaiting[line][1] <= 0:
                name = awaiting.pop(line)[0]
                counts.setdefault(name, [0, 0, 0])[1] += 1
                more.setdefault(name, [0, 0, 0])[1] += 1
        self._count_claim(row.institution, row.day, more)
        change = _CLAIMS.update().where(*own)
        self.connection.execute(change.values(counts=json.dumps(counts), awaiting=json.dumps(awaiting)))

    def _count_claim(self, institution: str, day: str, counts: dict[str, list[int]]) -> None:
        for name, parts in counts.items():
            _count(self.coverage, (institution, day, "claim", name), parts)


def channel_of(key: str) -> str:
    """By which way a message came: `nhsa:3505`, `table:sold`, `epcis`, from its own key in the journal."""
    infno = key.split(":", 3)[2]
    if infno.isdigit():
        return f"nhsa:{infno}"
    return "epcis" if infno.startswith(("EPCIS", "epcis")) else f"table:{infno}"


def _parts_of_sale(event: Event) -> tuple[int, int, int]:
    if not event.key.startswith("line:"):
        return (1, 1, 0)
    if "not_scanned" in event.reasons:
        return (1, 0, 0)
    kind = str(event.detail["balance"]).partition(":")[2].partition(":")[0]
    if kind in _WITHOUT_A_CODE:
        return (0, 0, 1)
    # The escape code says that a box was there and not which (R19); a lot is all that its label carries (R21).
    return (1, 0, 0) if kind == "escape" else (1, 1, 0)


def _parts_of_line(line: dict[str, Any], *, waits: bool) -> tuple[int, int, int]:
    codes = line["codes"]
    if not codes and line["product"][:1].isdigit():
        return (0, 0, 0)  # a treatment: there is nothing to scan
    if waits or "not_scanned" in line["reasons"] or "awaiting_scan" in line["reasons"]:
        return (1, 0, 0)
    if codes and all(not code["code"] for code in codes):
        return (0, 0, 1)
    escape = all(set(code["code"]) == {"9"} for code in codes if code["code"])
    return (1, 0, 0) if escape or not codes else (1, 1, 0)


def _count(into: Parts, key: tuple[str, ...], parts: Sequence[int]) -> None:
    row = into.setdefault(key, [0, 0, 0])
    for place, part in enumerate(parts):
        row[place] += part


def _named(row: Any, column: str) -> Any:  # noqa: ANN401  a row of the driver
    """The value of a column whose name means something else in Python."""
    return row._mapping[column]  # noqa: SLF001  SQLAlchemy's public name


_SUM, _LATEST, _EARLIEST = "sum", "latest", "earliest"


def _add(connection: sa.Connection, table: sa.Table, parts: Parts) -> None:
    rows = [(*key, *values) for key, values in parts.items() if any(values)]
    _write(connection, table, rows, {"needed": _SUM, "coded": _SUM, "exempt": _SUM})


def _write(connection: sa.Connection, table: sa.Table, rows: list[tuple[Any, ...]], how: dict[str, str]) -> None:
    """Insert rows, or merge them into those of the same key.

    The statement goes to the driver as it is: the binding of every value by SQLAlchemy costs more than the database.
    """
    if rows:
        connection.exec_driver_sql(_merging(table.name, tuple(how.items())), rows)


@lru_cache
def _merging(name: str, how: tuple[tuple[str, str], ...]) -> str:
    table = _METADATA.tables[name]
    statement = insert(table)
    merge: dict[str, Any] = {}
    for column, way in how:
        old, new = table.c[column], statement.excluded[column]
        merge[column] = old + new if way == _SUM else sa.func.max(old, new) if way == _LATEST else sa.func.min(old, new)
    keys = [column.name for column in table.primary_key]
    merged = statement.on_conflict_do_update(index_elements=keys, set_=merge) if merge else statement
    return str(merged.compile(dialect=sqlite.dialect()))


UPLOADS = Uploads()


# Questions, each about one institution.


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One way of uploading on one day."""

    day: str
    channel: str
    documents: int
    last: int


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """One upload that came late. Times are µs UTC."""

    arrived: int
    document: str
    kind: str
    count: int
    oldest: int
    """When the oldest of what it tells happened."""


def channels(connection: sa.Connection, institution: str, since: str) -> list[Channel]:
    """Uploads by day and channel from a day on, the latest day first."""
    query = (
        _CHANNELS.select()
        .where(_CHANNELS.c.institution == institution, _CHANNELS.c.day >= since)
        .order_by(_CHANNELS.c.day.desc(), _CHANNELS.c.channel)
    )
    return [
        Channel(day=row.day, channel=row.channel, documents=row.documents, last=row.last)
        for row in connection.execute(query)
    ]


def coverage(connection: sa.Connection, institution: str, since: str) -> dict[tuple[str, str, str], Coverage]:
    """Coverage by day, source (`sale`, `claim`) and product class from a day on; empty ones are left out."""
    query = (
        _COVERAGE.select()
        .where(_COVERAGE.c.institution == institution, _COVERAGE.c.day >= since)
        .order_by(_COVERAGE.c.day.desc(), _COVERAGE.c.source, _COVERAGE.c["class"])
    )
    found = {
        (row.day, row.source, _named(row, "class")): Coverage(needed=row.needed, coded=row.coded, exempt=row.exempt)
        for row in connection.execute(query)
    }
    return {key: part for key, part in found.items() if part.needed or part.exempt}


def delays(connection: sa.Connection, institution: str, since: str) -> dict[int, int]:
    """How many facts came how many minutes after what they tell, by day of arrival from a day on."""
    query = (
        sa.select(_DELAYS.c.minutes, sa.func.sum(_DELAYS.c.count))
        .where(_DELAYS.c.institution == institution, _DELAYS.c.day >= since)
        .group_by(_DELAYS.c.minutes)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def late(
    connection: sa.Connection, institution: str, *, before: tuple[int, str, str] | None = None, limit: int = 50
) -> tuple[list[Late], tuple[int, str, str] | None]:
    """Late uploads, the latest arrival first, and where the next page begins; None where there is none."""
    sort = (_LATE.c.arrived, _LATE.c.document, _LATE.c.kind)
    query = _LATE.select().where(_LATE.c.institution == institution)
    if before is not None:
        query = query.where(sa.tuple_(*sort) < sa.tuple_(*before))
    rows = connection.execute(query.order_by(*(column.desc() for column in sort)).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return (
        [
            Late(
                arrived=row.arrived, document=row.document, kind=row.kind, count=_named(row, "count"), oldest=row.oldest
            )
            for row in rows[:limit]
        ],
        None if last is None else (last.arrived, last.document, last.kind),
    )
