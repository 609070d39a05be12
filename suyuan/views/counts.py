"""Counts by day and place: codes, scans, sales, claims with their money, alerts, and who uploaded."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from suyuan.ledger.admission import iso_day
from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.lookup.totals import NOT_A_BOX, SCAN_KINDS

_METADATA = sa.MetaData()
_COUNTS = sa.Table(
    "counts",
    _METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("region", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("word", sa.Text, primary_key=True),
    sa.Column("fund", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("money", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""`day` is the day of arrival in China, so that a day that is over changes no more. `region` is a division code of
six digits. `money` is in millionths of a yuan."""
_UPLOADERS = sa.Table(
    "uploaders",
    _METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("region", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, primary_key=True),
    sqlite_with_rowid=False,
)
_ADD = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "count = count + excluded.count, money = money + excluded.money"
)

Mark = tuple[str, str, str, str, str]
"""day, region, what, word, fund."""


class CountsView:
    """The view behind the functions below."""

    name = "counts"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Add the next events, each to its day, its place and what it says."""
        counts: Counter[Mark] = Counter()
        money: Counter[Mark] = Counter()
        uploaders: set[tuple[str, str, str]] = set()
        days: dict[int, str] = {}
        for event in events:
            hour = event.arrived // 3_600_000_000
            day = days.get(hour) or days.setdefault(hour, iso_day(event.arrived))
            for what, word, fund, count, amount in _counted(event):
                mark = (day, event.region, what, word, fund)
                counts[mark] += count
                money[mark] += amount
            if event.actor and (event.kind in SCAN_KINDS or event.kind == "claimed"):
                uploaders.add((day, event.region, event.actor))
        if counts:
            connection.exec_driver_sql(_ADD, [(*mark, count, money[mark]) for mark, count in counts.items()])
        if uploaders:
            connection.exec_driver_sql("INSERT OR IGNORE INTO uploaders VALUES (?, ?, ?)", list(uploaders))


def _counted(event: Event) -> list[tuple[str, str, str, int, int]]:
    """What one event adds, as (what, word, fund, count, money)."""
    if event.kind == "alerted":
        return [("alert", event.detail["class"], "", 1, 0)] if event.sequence == 1 else []
    if event.key.startswith("claim:"):
        return _counted_claim(event)
    if not event.key.startswith("line:") and event.key.startswith(NOT_A_BOX):
        return []
    found = []
    if event.sequence == 1 and not event.key.startswith("line:"):
        found.append(("code", "", "", 1, 0))
    if event.kind in SCAN_KINDS:
        found.append(("scan", event.kind, "", 1, 0))
        sale = event.kind == "sold" and event.status not in NOT_A_SALE
        if sale or (event.kind == "sold" and event.key.startswith("line:")):
            found.append(("line_sale" if event.key.startswith("line:") else "sale", "", "", 1, 0))
        elif event.kind == "returned" and event.status == "accepted":
            found.append(("return", "", "", 1, 0))
    return found


def _counted_claim(event: Event) -> list[tuple[str, str, str, int, int]]:
    detail: Any = event.detail or {}
    if event.kind == "claimed" and "answer" in detail:
        answer = detail["answer"]
        shares = (("pay", answer["paid"]), ("hold", answer["held"]), ("refuse", answer["refused"]))
        claims = [("claim", event.verdict, event.fund, 1, 0)]
        return claims + [("money", word, event.fund, 1, amount) for word, amount in shares if amount]
    if event.kind in {"cancelled", "reversed"} and "paid" in detail:
        return [("cancelled", event.kind, event.fund, 1, detail["paid"])]
    if event.kind == "due" and "ended" in detail:
        return [("hold_ended", event.verdict, event.fund, 1, detail["held"])]
    return []


class Sums(msgspec.Struct, kw_only=True):
    """Figures over days and places. Money is in millionths of a yuan."""

    codes: int = 0
    """Codes seen for the first time, of boxes and of cartons."""
    scans: int = 0
    sales: int = 0
    """Sale reports of boxes that opened or joined a sale."""
    line_sales: int = 0
    """Sale lines without a box: lots, no-code stock, the escape code, unscanned."""
    returns: int = 0
    claims: dict[str, int] = msgspec.field(default_factory=lambda: {"pay": 0, "hold": 0, "refuse": 0})
    """Settlements by the verdict they were answered with."""
    money: dict[str, int] = msgspec.field(default_factory=lambda: {"pay": 0, "hold": 0, "refuse": 0})
    """Amounts paid, held and refused at the counter."""
    cancelled: int = 0
    cancelled_money: int = 0
    """What cancelled and reversed settlements had been paid."""
    holds_ended: dict[str, int] = {}
    """Amounts whose hold fell due, by what became of them."""
    alerts: dict[str, int] = {}
    """By class, each at the place of the institution whose record is in question."""
    institutions: int = 0
    """Different institutions and firms that uploaded."""

    @property
    def alerts_all(self) -> int:
        """Alerts of all classes."""
        return sum(self.alerts.values())

    def add(self, what: str, word: str, count: int, money: int) -> None:
        """Take one row of the table in."""
        if what in _PLAIN:
            name = _PLAIN[what]
            setattr(self, name, getattr(self, name) + count)
        elif what == "money":
            self.money[word] = self.money.get(word, 0) + money
        elif what == "cancelled":
            self.cancelled += count
            self.cancelled_money += money
        elif what == "hold_ended":
            self.holds_ended[word] = self.holds_ended.get(word, 0) + money
        else:
            words = self.claims if what == "claim" else self.alerts
            words[word] = words.get(word, 0) + count


_PLAIN = {"code": "codes", "scan": "scans", "sale": "sales", "line_sale": "line_sales", "return": "returns"}


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Which days and places; what is left empty does not narrow. Days are ISO dates, both included."""

    region: str = ""
    """Significant digits of a division code."""
    fund: str = ""
    """Narrows claims and money alone: a scan belongs to no fund."""
    first: str = ""
    last: str = ""


def sums(connection: sa.Connection, period: Period) -> Sums:
    """All figures together."""
    return sums_by(connection, period, sa.literal("")).get("", Sums())


def sums_by_region(connection: sa.Connection, period: Period, digits: int = 2) -> dict[str, Sums]:
    """Figures by the first digits of the division code: 2 for provinces, 4 for cities, 6 for counties."""
    return sums_by(connection, period, sa.func.substr(sa.literal_column("region"), 1, digits))


def sums_by_day(connection: sa.Connection, period: Period) -> dict[str, Sums]:
    """Figures by day of arrival, earliest first."""
    return sums_by(connection, period, sa.literal_column("day"))


def sums_by(connection: sa.Connection, period: Period, group: sa.ColumnElement[str]) -> dict[str, Sums]:
    """Figures by any expression over the columns `day` and `region`, in its order."""
    table = _COUNTS.c
    total = (sa.func.sum(table.count), sa.func.sum(table.money))
    grouped = sa.select(group.label("group"), table.what, table.word, *total).where(*_within(_COUNTS, period))
    if period.fund:
        grouped = grouped.where((table.fund == period.fund) | table.what.not_in(_OF_A_FUND))
    found: dict[str, Sums] = {}
    for name, *row in connection.execute(grouped.group_by("group", table.what, table.word).order_by("group")):
        found.setdefault(name, Sums()).add(*row)
    distinct = sa.select(group.label("group"), sa.func.count(_UPLOADERS.c.institution.distinct()))
    for name, count in connection.execute(distinct.where(*_within(_UPLOADERS, period)).group_by("group")):
        found.setdefault(name, Sums()).institutions = count
    return found


_OF_A_FUND = ("claim", "money", "cancelled", "hold_ended")


def _within(table: sa.Table, period: Period) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if period.region:
        found.append(table.c.region.startswith(period.region))
    if period.first:
        found.append(table.c.day >= period.first)
    if period.last:
        found.append(table.c.day <= period.last)
    return found
