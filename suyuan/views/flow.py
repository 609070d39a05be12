"""Goods by product, week and place, and what each firm uploaded: the numbers behind a maker's view of its own goods.

A week's facts are kept one by one while it is open; when the feed has passed its close they become sums by place, and
change no more: what comes later counts in a week that is still open. So a cube that was told once is told the same for
ever, and the sums can be made again from the feed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.ledger.packing import is_about_carton, is_emptying
from suyuan.lookup.flow import Cell, counted_in, last_closed
from suyuan.lookup.totals import NOT_A_BOX

_METADATA = sa.MetaData()
_FACTS = sa.Table(
    "flow_facts",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("product", sa.Text, primary_key=True),
    sa.Column("week", sa.Integer, nullable=False),
    sa.Column("measure", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("boxes", sa.Integer, nullable=False),
    sa.Index("flow_facts_of", "week"),
    sqlite_with_rowid=False,
)
"""Facts of weeks that are still open."""
_CELLS = sa.Table(
    "flow_cells",
    _METADATA,
    sa.Column("product", sa.Text, primary_key=True),
    sa.Column("week", sa.Integer, primary_key=True),
    sa.Column("measure", sa.Text, primary_key=True),
    sa.Column("region", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("boxes", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums of weeks that are closed."""
_CARTONS = sa.Table(
    "flow_cartons",
    _METADATA,
    sa.Column("carton", sa.Text, primary_key=True),
    sa.Column("product", sa.Text, primary_key=True),
    sa.Column("boxes", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""How many boxes of which product a carton holds."""
_FEED = sa.Table("flow_feed", _METADATA, sa.Column("moment", sa.BigInteger, nullable=False))
"""The latest arrival so far: a clock that goes back opens no week again."""
_UPLOADS = sa.Table(
    "flow_uploads",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Index("flow_uploads_of", "actor", "number"),
    sa.Index("flow_uploads_once", "actor", "document", unique=True),
)

_SUPPLY = frozenset({"produced", "packed", "unpacked", "shipped", "received", "refused", "exited", "counted"})
"""What firms upload."""
_SALES = frozenset({"sold", "claimed"})
_UNDOES = frozenset({"cancelled", "reversed", "corrected"})
_CLOSE = """INSERT INTO flow_cells SELECT product, week, measure, region, place, SUM(boxes) FROM (
    SELECT product, week, measure, region, place, key, MAX(boxes) AS boxes FROM flow_facts WHERE week <= ?
    GROUP BY product, week, measure, region, place, key) GROUP BY product, week, measure, region, place"""
"""A box counts once in a place and week, however often it was told: split sales, a claim and its report."""
_VARIABLES_MAX = 500

Contents = dict[str, Counter[str]]
"""Carton → product → boxes."""


class FlowView:
    """The view behind the functions below."""

    name = "flow"
    version = 2
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account, closing weeks as the feed passes their ends."""
        page = _Page(connection, events)
        for event in events:
            page.take(event)
        page.write()


class _Fact(NamedTuple):
    key: str
    sequence: int
    product: str
    week: int
    measure: str
    region: str
    place: str
    boxes: int


class _Page:
    """Events on their way into the tables."""

    def __init__(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        self.connection = connection
        self.moment: int = connection.execute(sa.select(sa.func.max(_FEED.c.moment))).scalar() or 0
        self.closed = last_closed(self.moment)
        self.facts: dict[tuple[str, int], list[_Fact]] = {}
        self.told: defaultdict[str, list[int]] = defaultdict(list)
        """Sequences of each key among the facts."""
        self.gone: list[tuple[str, int]] = []
        self.returned: list[tuple[str, str]] = []
        self.uploads: dict[tuple[str, str], int] = {}
        self.contents = _contents(connection, _cartons_named(events))
        self.packed: set[str] = set()

    def take(self, event: Event) -> None:
        """One event in the order of the feed."""
        if event.arrived > self.moment:
            self._pass_time(event.arrived)
        if event.kind in _SUPPLY and event.document:
            self.uploads.setdefault((event.actor, event.document), event.arrived)
        if event.key.startswith(NOT_A_BOX) or event.status in NOT_A_SALE:
            return
        if event.kind in _SALES:
            self._take_sale(event)
        elif event.kind == "received":
            self._add(event, "received", counted_in(event.event_time, self.moment))
        elif event.kind in _UNDOES and event.corrects:
            if self.facts.pop((event.key, event.corrects), None) is None:
                self.gone.append((event.key, event.corrects))
        elif event.kind == "returned" and event.corrects:
            self._take_back(event)
        elif event.kind in {"packed", "unpacked"}:
            self._pack(event)

    def _pass_time(self, moment: int) -> None:
        """The feed has come so far; weeks that end by it become sums."""
        self.moment = moment
        if last_closed(moment) > self.closed:
            self.write()
            self.closed = last_closed(moment)
            self.connection.exec_driver_sql(_CLOSE, (self.closed,))
            self.connection.execute(_FACTS.delete().where(_FACTS.c.week <= self.closed))

    def _take_sale(self, event: Event) -> None:
        """A sale that took its part of the box, or the other record of such a sale: then in the same week."""
        if event.verdict == "refuse":
            return
        if event.drawn:
            self._add(event, "sold", counted_in(event.event_time, self.moment))
        elif event.joins:
            week = self._week_of(event.key, event.joins)
            if week is not None:
                self._add(event, "sold", week)

    def _take_back(self, event: Event) -> None:
        """A return takes back both records of its sale: only who sold a box takes it back."""
        for sequence in self.told[event.key]:
            facts = self.facts.get((event.key, sequence))
            if facts and facts[0].measure == "sold" and facts[0].place == event.actor:
                del self.facts[event.key, sequence]
        self.returned.append((event.key, event.actor))

    def _week_of(self, key: str, sequence: int) -> int | None:
        """The week in which a fact counts; None where that is closed already, or the fact is undone."""
        known = self.facts.get((key, sequence))
        if known:
            return known[0].week
        query = sa.select(_FACTS.c.week).where(_FACTS.c.key == key, _FACTS.c.sequence == sequence)
        return self.connection.execute(query).scalar()

    def _add(self, event: Event, measure: str, week: int) -> None:
        inside = self.contents.get(event.key)
        found = inside or ({product: 1} if (product := product_key(event.key)) else {})
        self.told[event.key].append(event.sequence)
        self.facts[event.key, event.sequence] = [
            _Fact(event.key, event.sequence, product, week, measure, event.region, event.actor, boxes)
            for product, boxes in found.items()
            if boxes > 0
        ]

    def _pack(self, event: Event) -> None:
        """What a carton holds after this."""
        if is_emptying(event):
            self.contents[event.key] = Counter()
        elif is_about_carton(event):
            sign = 1 if event.kind == "packed" else -1
            held = self.contents.setdefault(event.key, Counter())
            for child in event.detail["children"]:
                inside = self.contents.get(child)
                for product, boxes in list((inside or {product_key(child): 1}).items()):
                    # As it will be read once written: what is not there cannot be taken out.
                    held[product] += sign * boxes
                    if held[product] <= 0 or not product:
                        del held[product]
        else:
            return
        self.packed.add(event.key)

    def write(self) -> None:
        """Everything taken so far."""
        rows = [fact for facts in self.facts.values() for fact in facts]
        run = self.connection.exec_driver_sql
        if self.gone:
            run("DELETE FROM flow_facts WHERE key = ? AND sequence = ?", self.gone)
        if self.returned:
            run("DELETE FROM flow_facts WHERE key = ? AND place = ? AND measure = 'sold'", self.returned)
        if rows:
            run("INSERT OR REPLACE INTO flow_facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if self.packed:
            run("DELETE FROM flow_cartons WHERE carton = ?", [(carton,) for carton in self.packed])
            held = [
                (carton, product, boxes)
                for carton in self.packed
                for product, boxes in self.contents[carton].items()
                if boxes > 0 and product
            ]
            if held:
                run("INSERT INTO flow_cartons VALUES (?, ?, ?)", held)
        if self.uploads:
            told = [(actor, document, arrived) for (actor, document), arrived in self.uploads.items()]
            run("INSERT OR IGNORE INTO flow_uploads (actor, document, arrived) VALUES (?, ?, ?)", told)
        self.connection.execute(_FEED.delete())
        self.connection.execute(_FEED.insert().values(moment=self.moment))
        self.facts, self.gone, self.returned, self.uploads, self.packed = {}, [], [], {}, set()
        self.told.clear()


def product_key(key: str) -> str:
    """The product key of a box key (`codes.code.Code.key`); empty where it names none."""
    system, _, rest = key.partition(":")
    if system == "trace20":
        return key[:-13]
    parts = rest.split(":", 2)
    if system == "maker":
        return f"maker:{parts[0]}:{parts[1]}" if len(parts) > 2 else ""  # noqa: PLR2004  scheme, product and serial
    return f"{system}:{parts[0]}" if system in {"gs1", "ma", "ahm"} and len(parts) > 1 else ""


def _cartons_named(events: Iterable[Event]) -> set[str]:
    """Keys whose contents these events ask for."""
    named: set[str] = set()
    for event in events:
        if event.kind == "received":
            named.add(event.key)
        elif is_about_carton(event) or is_emptying(event):
            named.add(event.key)
            if event.detail:
                named.update(event.detail.get("children", ()))
    return named


def _contents(connection: sa.Connection, keys: Iterable[str]) -> Contents:
    found: Contents = {}
    rest = iter(keys)
    while part := list(islice(rest, _VARIABLES_MAX)):
        for row in connection.execute(_CARTONS.select().where(_CARTONS.c.carton.in_(part))):
            found.setdefault(row.carton, Counter())[row.product] = row.boxes
    return found


def closed_week(connection: sa.Connection) -> int:
    """The last week that is told; a week before any where nothing has been taken yet."""
    return last_closed(connection.execute(sa.select(sa.func.max(_FEED.c.moment))).scalar() or 0)


def cubes_of(
    connection: sa.Connection, product: str, but: str, first: int, last: int
) -> dict[tuple[int, str], list[Cell]]:
    """The cells of a product by week and measure, newest first, from one week to another; closed weeks alone have any.

    `but` is the firm that asks: what it did itself it knows, and could take away from every sum.
    """
    query = (
        sa.select(
            _CELLS.c.week,
            _CELLS.c.measure,
            _CELLS.c.region,
            sa.func.sum(_CELLS.c.boxes),
            sa.func.count(_CELLS.c.place.distinct()),
        )
        .where(_CELLS.c.product == product, _CELLS.c.week.between(first, last), _CELLS.c.place != but)
        .group_by(_CELLS.c.week, _CELLS.c.measure, _CELLS.c.region)
        .order_by(_CELLS.c.week.desc(), _CELLS.c.measure, _CELLS.c.region)
    )
    cubes: dict[tuple[int, str], list[Cell]] = {}
    for week, measure, *cell in connection.execute(query):
        cubes.setdefault((week, measure), []).append(Cell(*cell))
    return cubes


class UploadOfFirm(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a firm sent it."""

    number: int
    document: str
    """Hash under which it is sealed."""
    arrived: int
    """µs UTC."""


def uploads_of(connection: sa.Connection, actor: str, after: int, limit: int) -> list[UploadOfFirm]:
    """Documents of supply that a party uploaded, in order of arrival, from above a number."""
    query = (
        sa.select(_UPLOADS.c.number, _UPLOADS.c.document, _UPLOADS.c.arrived)
        .where(_UPLOADS.c.actor == actor, _UPLOADS.c.number > after)
        .order_by(_UPLOADS.c.number)
        .limit(limit)
    )
    rows: list[Any] = list(connection.execute(query))
    return [UploadOfFirm(number=row.number, document=row.document, arrived=row.arrived) for row in rows]
