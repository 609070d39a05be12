"""Where a maker's goods went, as far as a firm may know: fixed cubes of county and week, small cells never told.

A cube is one product and one measure in one closed week. Its numbers are sums over *blocks* of counties that never
overlap: a county alone where it is large enough, else all such counties of a city together, else of a province, else
of the nation, and otherwise nowhere. Every block is large enough in itself, and a block of several counties has at
least two that count. So whatever is added up or taken away, what remains is a block again or is nothing: there is no
total that holds more than the blocks shown (settlement specification, who sees what).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal, NamedTuple

BOXES_MIN = 10
PLACES_MIN = 3

MEASURES = ("received", "sold")

WEEK = 7 * 24 * 3_600_000_000
_CHINA_MONDAY = (8 + 3 * 24) * 3_600_000_000
"""From a week's beginning in China to that of the epoch's own count: 1970-01-01 was a Thursday in UTC."""
_FIRST_MONDAY = date(1969, 12, 29)

GRACE_WEEKS = 1
"""Whole weeks after its end during which a week is still open for uploads that come late; then it never changes."""

Level = Literal["county", "city", "province", "nation"]
_POOLS: tuple[tuple[Level, int], ...] = (("city", 4), ("province", 2), ("nation", 0))
"""Levels in which counties that are too small are put together, with the digits that name them."""


class Cell(NamedTuple):
    """What happened in one county; other than the firm's own doings."""

    region: str
    """Six-digit division code; empty where it is not known."""
    boxes: int
    places: int
    """Different institutions and firms."""


class Block(NamedTuple):
    """One number that may be told: a county, or all counties of a region that are in no smaller block."""

    level: Level
    region: str
    """Six-digit division code; empty for the nation."""
    boxes: int


def week_of(time: int) -> int:
    """The number of the week (Monday to Sunday in China) in which a moment falls; µs UTC."""
    return (time + _CHINA_MONDAY) // WEEK


def monday_of(week: int) -> date:
    """The first day of a week."""
    return _FIRST_MONDAY + timedelta(weeks=week)


def iso_week(week: int) -> str:
    """`2026-W11`."""
    year, number, _ = monday_of(week).isocalendar()
    return f"{year}-W{number:02d}"


def last_closed(now: int) -> int:
    """The last week that changes no more at a moment of the feed."""
    return week_of(now) - 1 - GRACE_WEEKS


def counted_in(event_time: int, now: int) -> int:
    """The week in which something counts that is told now: its own while that is open, else the oldest open one.

    What is said to happen later than now happens now.
    """
    return min(max(week_of(event_time), last_closed(now) + 1), week_of(now))


def publish(cells: Iterable[Cell]) -> list[Block]:
    """The blocks of one cube that may be told; the same cells give the same blocks.

    Whether a block is absent because nothing happened or because too little did cannot be told apart.
    """
    told, small = [], []
    for cell in cells:
        if cell.region and _large_enough([cell]):
            told.append(Block("county", cell.region, cell.boxes))
        elif cell.boxes:
            small.append(cell)
    for level, digits in _POOLS:
        pools: dict[str, list[Cell]] = {}
        for cell in small:
            pools.setdefault(cell.region[:digits], []).append(cell)
        small = []
        for name, pool in pools.items():
            if len(pool) > 1 and _large_enough(pool) and len(name) == digits:
                told.append(Block(level, f"{name:0<6}" if name else "", sum(cell.boxes for cell in pool)))
            else:
                small += pool
    return sorted(told, key=lambda block: (block.region, block.level))


def _large_enough(cells: list[Cell]) -> bool:
    return sum(cell.boxes for cell in cells) >= BOXES_MIN and sum(cell.places for cell in cells) >= PLACES_MIN
