"""Scanner software by day and place: how many scans each version sent, and how many of them raised an alert."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt

import msgspec
import sqlalchemy as sa

from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.statuses import STATUS
from suyuan.lookup.totals import NOT_A_BOX

COUNTED = frozenset({"sold", "claimed", "returned"})
"""What is said at a counter: of the goods' way to it, other software tells."""

FLAG_SCANS_MIN = 200
"""Fewer say nothing about a version."""
FLAG_TIMES = 3
"""How many times the others' rate is far above it,"""
FLAG_DEVIATIONS = 4
"""and by how many standard deviations, so that it is hardly chance."""

NAME_MAX = 100
"""Characters of supplier/name/version that are kept: what a client calls itself is its own word."""

_METADATA = sa.MetaData()
_SOFTWARE = sa.Table(
    "software",
    _METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("region", sa.Text, primary_key=True),
    sa.Column("software", sa.Text, primary_key=True),
    sa.Column("scans", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("alerts", sa.BigInteger, nullable=False),
)
_ADD = sa.text(
    "INSERT INTO software AS held (day, region, software, scans, errors, alerts) "
    "VALUES (:day, :region, :software, :scans, :errors, :alerts) ON CONFLICT (day, region, software) DO UPDATE SET "
    "scans = held.scans + excluded.scans, errors = held.errors + excluded.errors, "
    "alerts = held.alerts + excluded.alerts"
)


class SoftwareView:
    """The view behind the functions below."""

    name = "software"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Count the scans of the next events, each to the software that sent it."""
        scans: Counter[tuple[str, str, str]] = Counter()
        errors: Counter[tuple[str, str, str]] = Counter()
        alerts: Counter[tuple[str, str, str]] = Counter()
        days: dict[int, str] = {}
        for event in events:
            if event.kind not in COUNTED or (event.key.startswith(NOT_A_BOX) and not event.key.startswith("line:")):
                continue
            hour = event.arrived // 3_600_000_000
            day = days.get(hour) or days.setdefault(hour, iso_day(event.arrived))
            mark = (day, event.region, event.software[:NAME_MAX])
            scans[mark] += 1
            errors[mark] += STATUS[event.status].layer == "error"
            alerts[mark] += bool(event.alert)
        rows = [
            {
                "day": day,
                "region": region,
                "software": software,
                "scans": count,
                "errors": errors[mark],
                "alerts": alerts[mark],
            }
            for mark, count in scans.items()
            for day, region, software in [mark]
        ]
        if rows:
            connection.execute(_ADD, sorted(rows, key=lambda row: (row["day"], row["region"], row["software"])))


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """One version of scanner software over some days."""

    software: str
    """supplier/name/version as it calls itself; empty for what does not say."""
    scans: int
    errors: int
    """Scans that were technically wrong."""
    alerts: int
    """Scans for which an alert speaks."""
    others_rate: float
    """Alerts a scan of all other software together; 0 where there is none."""
    flagged: bool
    """Whether its own rate is far above that."""

    @property
    def rate(self) -> float:
        """Alerts a scan."""
        return self.alerts / self.scans


def software_by_alerts(connection: sa.Connection, first: str = "", last: str = "", region: str = "") -> list[Software]:
    """Every version over days of arrival (ISO, both included) at a place; the flagged first, then by rate."""
    table = _SOFTWARE.c
    totals = [sa.func.sum(column).label(column.name) for column in (table.scans, table.errors, table.alerts)]
    query = sa.select(table.software, *totals).group_by(table.software)
    if first:
        query = query.where(table.day >= first)
    if last:
        query = query.where(table.day <= last)
    if region:
        query = query.where(table.region.startswith(region, autoescape=True))
    rows = [
        (str(name), int(scans), int(errors), int(alerts)) for name, scans, errors, alerts in connection.execute(query)
    ]
    everything = sum(row[1] for row in rows), sum(row[3] for row in rows)
    return sorted(
        (_judged(row, everything) for row in rows), key=lambda one: (not one.flagged, -one.rate, one.software)
    )


def _judged(row: tuple[str, int, int, int], everything: tuple[int, int]) -> Software:
    """A version beside all others together. Among a handful of scans, or alone, nobody stands out."""
    software, scans, errors, alerts = row
    other_scans, other_alerts = everything[0] - scans, everything[1] - alerts
    others_rate = other_alerts / other_scans if other_scans else 0.0
    expected = others_rate * scans
    flagged = (
        min(scans, other_scans) >= FLAG_SCANS_MIN
        and alerts > FLAG_TIMES * expected
        and alerts - expected > FLAG_DEVIATIONS * sqrt(expected + 1)
    )
    return Software(
        software=software, scans=scans, errors=errors, alerts=alerts, others_rate=others_rate, flagged=flagged
    )
