"""Which of several dated rows holds on a day: each is valid from one day to another, both included."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Protocol, TypeVar, cast

import msgspec

ALWAYS = date.min
"""Valid from the beginning; an empty cell in files."""
OPEN = date.max
"""Valid until further notice; an empty cell in files."""

_DAY = timedelta(days=1)


class Dated(Protocol):
    """A row with a first and a last valid day."""

    @property
    def valid_from(self) -> date:
        """The first day on which the row holds."""
        ...

    @property
    def valid_to(self) -> date:
        """The last day on which the row holds."""
        ...


Row = TypeVar("Row", bound=Dated)


def as_of(rows: Iterable[Row], on: date) -> Row | None:
    """The row that holds on the day, or None."""
    for row in rows:
        if row.valid_from <= on <= row.valid_to:
            return row
    return None


def day_before(day: date) -> date:
    """The last day of whatever ends as `day` begins; the beginning has none before it."""
    return day if day == ALWAYS else day - _DAY


def day_after(day: date) -> date:
    """The first day after a last one; nothing follows an open end."""
    return day if day == OPEN else day + _DAY


def in_sequence(rows: Iterable[Any]) -> list[Any]:
    """Dated records of one key by first day, where an open row ends the day before the next one begins.

    So a change is one new row with its first day: nobody has to end the old one by hand.
    """
    ordered = sorted(rows, key=lambda row: cast("date", row.valid_from))
    for place, (row, following) in enumerate(pairwise(ordered)):
        if row.valid_to == OPEN and row.valid_from < following.valid_from:
            ordered[place] = msgspec.structs.replace(row, valid_to=day_before(following.valid_from))
    return ordered


def overlap(ordered: Sequence[Dated]) -> Dated | None:
    """The first row that begins before the one above it has ended, or None."""
    for row, following in pairwise(ordered):
        if following.valid_from <= row.valid_to:
            return following
    return None
