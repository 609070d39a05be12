"""A firm's own goods: which products are provenly its own, and what may be told of where they went."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa

from suyuan.catalogue.prefixes import Prefix
from suyuan.catalogue.regions import region_name
from suyuan.intake.desk import day_of
from suyuan.lookup.flow import MEASURES, Block, monday_of, publish
from suyuan.portals.access import Caller, scope_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site
from suyuan.views.flow import closed_week, cubes_of

HORIZON_WEEKS = 520
"""Ten years: a list ends there, whether or not anything is to be told of so long ago; and at the first week counted."""


class Cube(NamedTuple):
    """What may be told of one product, measure and week."""

    week: int
    measure: str
    """received or sold."""
    blocks: list[Block]


class Flow(NamedTuple):
    """Cubes of some weeks, newest first."""

    closed: int
    """The last week that is closed."""
    cubes: list[Cube]
    before: int
    """The week before which to go on; 0 at the horizon."""


def own_products(site: Site, caller: Caller) -> list[Prefix]:
    """Rows of the identification library that name the caller's party as holder today, by product key.

    That registration alone proves a prefix: neither what a firm uploads nor who makes the product in the catalogue.
    """
    catalogue = site.node.catalogue
    day = day_of(site.node.ledger.clock())
    keys = scope_of(caller, catalogue, day).products or frozenset()
    held = [row for row in catalogue.held_by(caller.party) if row.product_key in keys]
    return sorted(
        (row for row in held if row.valid_from <= day <= row.valid_to), key=lambda row: (row.level, row.product_key)
    )


def flow_of(site: Site, caller: Caller, product: str, before: int, weeks: int) -> Flow:
    """What may be told of a product, some weeks back from one (0: from the last that is closed).

    Raises:
        Refused: the product is not provenly the caller's.
    """
    if all(row.product_key != product for row in own_products(site, caller)):
        raise Refused("not_found", where="product", value=product, what="It is no proven prefix of yours.")
    with site.views.read() as connection:
        closed = closed_week(connection)
        last = min(before - 1, closed) if before else closed
        oldest = max(closed - HORIZON_WEEKS, 0)
        first = max(last - weeks + 1, oldest)
        cubes = [
            cube for cube in _cubes(connection, caller, product, first, last) if _held(site, caller, cube, product)
        ]
    return Flow(closed, cubes, first if first > oldest else 0)


def _cubes(connection: sa.Connection, caller: Caller, product: str, first: int, last: int) -> Iterator[Cube]:
    """The cubes with anything in them that may be told."""
    found = cubes_of(connection, product, caller.party, first, last)
    for week in range(last, first - 1, -1):
        for measure in MEASURES:
            blocks = publish(found.get((week, measure), ()))
            if blocks:
                yield Cube(week, measure, blocks)


def _held(site: Site, caller: Caller, cube: Cube, product: str) -> bool:
    """Whether the prefix was the caller's throughout the week: what went before belongs to its former holder."""
    monday = monday_of(cube.week)
    rows = [row for row in site.node.catalogue.held_by(caller.party) if row.product_key == product]
    return any(row.valid_from <= monday and monday + timedelta(days=6) <= row.valid_to for row in rows)


def name_of(block: Block, language: str) -> str:
    """Where a block is, in words, without what kind of block it is; empty for the nation."""
    return region_name(block.region, language) if block.region else ""
