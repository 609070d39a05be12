"""Mapping library: trace code to insurance code to commodity code, as edges that hold on a date, reviewed or not."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN, Dated, as_of, day_after

SOURCES = ("", "maker", "institution", "agency", "official", "incumbent", "derived", "synthetic")

RIGHT_SYSTEMS = ("nhsa", "std_code", "ean13", "material", "fee")
"""Three-in-one needs the first three; the five-code linkage adds material code (物资码) and fee code (收费码)."""


class Edge(msgspec.Struct, frozen=True, gc=False):
    """One link between two codes. Prefixes lead straight to NHSA codes, never through std_code (spec/codes.md §2)."""

    left: str
    """A product key, or `nhsa:<code>`."""
    right: str
    """`nhsa:…`, `std_code:…`, `ean13:…`, `material:…` or `fee:…`."""
    reviewed: bool = False
    """Only a reviewed edge can show a swap (settlement rule R14)."""
    source: str = ""
    confidence: int = 0
    """Percent, as its source states it."""
    reviewer: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN


class Transcode(msgspec.Struct, frozen=True, gc=False):
    """The insurer renamed a code (转码): from the first day on, `former` is called `code`."""

    former: str
    code: str
    reason: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN


class ProductEdge(msgspec.Struct, frozen=True, gc=False):
    """Everything a scan needs to know of a product key, already put together for a period."""

    product_key: str
    nhsa: frozenset[str]
    """The NHSA codes it stands for: the reviewed ones, or where none is reviewed the suggested ones."""
    reviewed: bool
    """True where `nhsa` holds reviewed codes."""
    suggested: frozenset[str] = frozenset()
    """Further codes that wait for review; with one of these nobody can say `same` or `different`."""
    name: str = ""
    level: int = 1
    """1 = smallest coded package."""
    units: int = 0
    """Smallest units in this package (m of R18); 0 where unknown."""
    units_reviewed: bool = False
    splittable: bool = False
    valid_from: date = ALWAYS
    valid_to: date = OPEN


class Standing(msgspec.Struct, frozen=True):
    """What is known of a NHSA code on a day, so that the answer is never a bare `not found`."""

    state: Literal["known", "future", "disabled", "transcoded", "unknown"]
    since: date | None = None
    """The first day of that state, or for `future` the first valid day."""
    successor: str = ""

    @property
    def words(self) -> str:
        """One sentence for a reader."""
        day = self.since.isoformat() if self.since else ""
        return {
            "known": "in the catalogue",
            "future": f"valid only from {day}",
            "disabled": f"disabled since {day}",
            "transcoded": f"disabled since {day}; now {self.successor}",
            "unknown": "not in the catalogue",
        }[self.state]


def follow(code: str, transcodes: Mapping[str, Iterable[Transcode]], on: date) -> str:
    """The name a NHSA code goes by on a day, through any number of transcodes.

    A circle of transcodes names nothing, so the code that was asked for comes back unchanged.
    """
    seen = {code}
    current = code
    while (step := as_of(transcodes.get(current, ()), on)) is not None:
        current = step.code
        if current in seen:
            return code
        seen.add(current)
    return current


def circles(transcodes: Iterable[Transcode]) -> list[str]:
    """Codes that lead back to themselves on the day one of their transcodes begins, for the import to warn about."""
    steps: dict[str, list[Transcode]] = {}
    for step in transcodes:
        steps.setdefault(step.former, []).append(step)
    found = []
    for former, own in steps.items():
        for step in own:
            current: Transcode | None = step
            seen = {former}
            while current is not None and current.code not in seen:
                seen.add(current.code)
                current = as_of(steps.get(current.code, ()), step.valid_from)
            if current is not None and current.code == former:
                found.append(former)
                break
    return found


def standing(code: str, rows: Iterable[Dated], transcodes: Mapping[str, Iterable[Transcode]], on: date) -> Standing:
    """What is known of a code on a day, from its product rows and transcodes."""
    step = as_of(transcodes.get(code, ()), on)
    if step is not None:
        return Standing("transcoded", step.valid_from, follow(code, transcodes, on))
    ended = [row for row in rows if row.valid_to < on]
    ahead = [row for row in rows if row.valid_from > on]
    current = as_of(rows, on)
    if current is not None:
        return Standing("known", current.valid_from)
    if ended:
        return Standing("disabled", day_after(max(row.valid_to for row in ended)))
    if ahead:
        return Standing("future", min(row.valid_from for row in ahead))
    return Standing("unknown")
