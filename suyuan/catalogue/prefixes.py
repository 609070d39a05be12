"""Identification library: which code prefix, GTIN or DI belongs to which package, at which level."""

import re
from datetime import date

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN

_RATIO = re.compile(r"[1-9]\d*(?::[1-9]\d*)*")


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """A registered identification. Every package level of a product has its own."""

    product_key: str
    """`trace20:<7>`, `gs1:<gtin14>`, `ma:<di>`, `ahm:<di>` or `maker:<scheme>:<product>`."""
    name: str = ""
    spec: str = ""
    level: int = 1
    """1 = smallest coded package; the opposite display numbering is turned round on import by its owner."""
    ratio: str = ""
    """Package ratio as declared, largest package first, such as `1:5:10`; kept literally."""
    holder: str = ""
    """Party code of the registrant."""
    source: str = ""
    synthetic: bool = False
    valid_from: date = ALWAYS
    valid_to: date = OPEN

    @property
    def system(self) -> str:
        """The code system, from the key."""
        return self.product_key.partition(":")[0]


class MakerScheme(msgspec.Struct, frozen=True, gc=False):
    """A provider's own way of writing codes; `codes.makers.MakerRule` says what the pattern may hold."""

    scheme: str
    pattern: str
    holder: str = ""
    """Party code of the registrant."""
    source: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN


VIRTUAL_SCHEME = MakerScheme("virtual", r"SYV(?P<serial>\d{12})", source="platform")
"""How codes look that the platform issues for goods without one; their keys are `maker:virtual:<12 digits>`."""


def ratio_readings(literal: str) -> tuple[tuple[int, ...], ...]:
    """What a ratio can mean, each as smallest packages in one package of level 1, 2, …; empty for no ratio.

    Written largest first, `1:5:10` may count cumulatively (one large holds 5 middle, that is 10 small) or step by step
    (5 middle, each of 10 small). Public evidence only suggests the first (spec/codes.md §2), so both are given, the
    cumulative one first, and real child counts decide. One reading where both agree.
    """
    if not _RATIO.fullmatch(literal):
        return ()
    parts = [int(part) for part in literal.split(":")]
    stepwise = [1]
    for part in reversed(parts[1:]):
        stepwise.append(stepwise[-1] * part)
    small = parts[-1]
    readings = [tuple(stepwise)] if parts[0] == 1 else []
    if parts[0] == 1 and all(small % part == 0 for part in parts):
        readings.insert(0, tuple(small // part for part in reversed(parts)))
    return tuple(dict.fromkeys(readings))
