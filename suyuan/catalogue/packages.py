"""What a package holds: smallest units for split sales, and the next smaller package inside."""

from datetime import date

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN


class Package(msgspec.Struct, frozen=True, gc=False):
    """Contents of one kind of package, by its product key."""

    product_key: str
    units: int = 0
    """Smallest units handed out (tablets, ampoules) in this package: m of settlement rule R18; 0 where unknown."""
    units_reviewed: bool = False
    """Only reviewed units draw a box down; others are counted and warned about."""
    inner: str = ""
    """Product key of the next smaller coded package inside; empty at level 1."""
    inner_count: int = 0
    """How many of those; 0 where unknown."""
    source: str = ""
    reviewer: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN
