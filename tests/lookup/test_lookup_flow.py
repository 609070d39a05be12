"""What a firm may know of its goods: no small cell is told, nor can it be worked out from all that is told."""

from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suyuan.lookup.flow import (
    BOXES_MIN,
    PLACES_MIN,
    WEEK,
    Block,
    Cell,
    counted_in,
    iso_week,
    last_closed,
    monday_of,
    publish,
    week_of,
)

# A small nation: provinces of different shapes, among them one of a single county and one of two.
COUNTIES = (
    "110101",
    "440103",
    "440104",
    "440105",
    "440303",
    "440304",
    "510104",
    "510105",
    "650102",
    "650202",
    "650203",
)

World = dict[str, tuple[int, int]]
"""County → boxes and places; at most as many places as boxes."""


def cells_of(world: World) -> list[Cell]:
    return [Cell(region, boxes, places) for region, (boxes, places) in world.items() if boxes]


def amounts() -> st.SearchStrategy[tuple[int, int]]:
    small = st.tuples(st.integers(0, 12), st.integers(1, 4))
    few = st.tuples(st.integers(10, 60), st.integers(1, 2))
    large = st.tuples(st.integers(10, 200), st.integers(3, 9))
    return st.one_of(st.just((0, 0)), small, few, large).map(lambda pair: (pair[0], min(pair[0], pair[1])))


worlds = st.fixed_dictionaries({region: amounts() for region in COUNTIES})


def told_counties(blocks: Iterable[Block]) -> set[str]:
    return {block.region for block in blocks if block.level == "county"}


def members(block: Block, blocks: list[Block]) -> set[str]:
    """Counties that a block may stand for, as a reader knows: those of its region in no block below it."""
    if block.level == "county":
        return {block.region}
    digits = {"city": 4, "province": 2, "nation": 0}
    inside = {region for region in COUNTIES if region.startswith(block.region[: digits[block.level]])}
    inside -= told_counties(blocks)
    for other in blocks:
        if other.level in digits and digits[other.level] > digits[block.level]:
            inside = {region for region in inside if not region.startswith(other.region[: digits[other.level]])}
    return inside


@given(worlds)
def test_every_number_told_is_the_sum_of_a_block_that_is_large_enough_and_blocks_never_overlap(world: World) -> None:
    blocks = publish(cells_of(world))
    seen: set[str] = set()
    for block in blocks:
        inside = members(block, blocks)
        assert not inside & seen
        seen |= inside
        assert block.boxes == sum(world[region][0] for region in inside)
        assert block.boxes >= BOXES_MIN
        assert sum(world[region][1] for region in inside) >= PLACES_MIN
        if block.level != "county":
            assert sum(world[region][0] > 0 for region in inside) > 1


@given(worlds)
def test_a_cell_that_is_not_told_could_be_another_number_for_all_that_is_told(world: World) -> None:
    """The adversary knows the rule and every number told, and still finds two worlds that give them."""
    blocks = publish(cells_of(world))
    for region in set(COUNTIES) - told_counties(blocks):
        assert any(publish(cells_of(other)) == blocks for other in other_worlds(world, region)), (region, blocks)


def other_worlds(world: World, region: str) -> Iterable[World]:
    """Worlds in which this county has another number, and perhaps one other county makes up for it."""
    boxes, places = world[region]
    for change in (1, -1, 2, -2, 3, -3):
        if boxes + change < 0:
            continue
        for own in {places, 1, 2, 3} if boxes + change else {0}:
            changed = {**world, region: (boxes + change, min(own, boxes + change))}
            yield changed
            for other in COUNTIES:
                theirs, there = world[other]
                if other != region and theirs - change >= 0:
                    for many in {there, 1, 2, 3} if theirs - change else {0}:
                        yield {**changed, other: (theirs - change, min(many, theirs - change))}


@given(worlds)
def test_no_sum_or_difference_of_numbers_told_is_that_of_a_single_untold_county(world: World) -> None:
    """Linear algebra: blocks do not overlap, so each combination of them is a union of blocks; none is one cell."""
    blocks = publish(cells_of(world))
    assert rank(blocks) == len(blocks), "each block is an equation of its own"
    for region in set(COUNTIES) - told_counties(blocks):
        assert rank(blocks, region) == len(blocks) + 1, f"{region} follows from what is told"
        low, high = bounds(region, blocks)
        assert low < high


def rank(blocks: list[Block], asked: str = "") -> int:
    """The rank of what is told as equations over counties, with the question for one county as a further row."""
    rows = [[float(region in members(block, blocks)) for region in COUNTIES] for block in blocks]
    if asked:
        rows.append([float(region == asked) for region in COUNTIES])
    found = 0
    for column in range(len(COUNTIES)):
        pivot = next((row for row in rows[found:] if abs(row[column]) > 1e-9), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows.insert(found, pivot)
        for place, row in enumerate(rows):
            if place != found and abs(row[column]) > 1e-9:
                rows[place] = [one - two * row[column] / pivot[column] for one, two in zip(row, pivot, strict=True)]
        found += 1
    return found


def bounds(region: str, blocks: list[Block]) -> tuple[int, int]:
    """The least and the most that a county can have, where the reader knows only that numbers are not negative."""
    for block in blocks:
        inside = members(block, blocks)
        if region in inside:
            return (0 if len(inside) > 1 else block.boxes), block.boxes
    return 0, BOXES_MIN - 1


@given(st.lists(worlds, min_size=2, max_size=4))
def test_several_weeks_together_tell_no_more_than_each_alone(weeks: list[World]) -> None:
    """There is no total over weeks, so what one week tells is of that week alone: differences of weeks are no cell."""
    cubes = [publish(cells_of(world)) for world in weeks]
    for one, other in combinations(range(len(weeks)), 2):
        alone = publish(cells_of(weeks[one]))
        assert alone == cubes[one]
        assert publish(cells_of(weeks[other])) == cubes[other]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([], []),
        ([("440103", 10, 3)], [("county", "440103", 10)]),
        ([("440103", 9, 3)], []),
        ([("440103", 10, 2)], []),
        ([("440103", 9, 3), ("440104", 9, 3)], [("city", "440100", 18)]),
        ([("440103", 500, 9), ("440104", 9, 3)], [("county", "440103", 500)]),
        ([("440103", 9, 3), ("440303", 9, 3)], [("province", "440000", 18)]),
        ([("440103", 9, 3), ("110101", 9, 3)], [("nation", "", 18)]),
        ([("", 500, 30)], []),
        ([("", 500, 30), ("440103", 1, 1)], [("nation", "", 501)]),
        ([("440103", 5, 1), ("440104", 5, 1)], []),
    ],
)
def test_a_county_stands_alone_or_with_others_or_is_not_told(
    cells: list[tuple[str, int, int]], told: list[tuple[str, str, int]]
) -> None:
    assert [tuple(block) for block in publish(Cell(*cell) for cell in cells)] == told


def test_weeks_begin_on_monday_in_china_and_close_a_week_after_their_end() -> None:
    monday = 1_773_014_400_000_000 - 8 * 3_600_000_000  # 2026-03-09 00:00 in China
    assert iso_week(week_of(monday)) == "2026-W11"
    assert iso_week(week_of(monday - 1)) == "2026-W10"
    assert str(monday_of(week_of(monday))) == "2026-03-09"
    assert iso_week(last_closed(monday)) == "2026-W09"
    assert iso_week(last_closed(monday - 1)) == "2026-W08"


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_nothing_counts_in_a_week_that_is_closed_or_still_to_come(happened: int, told: int) -> None:
    day = 24 * 3_600_000_000
    week = counted_in(happened * day, told * day)
    assert last_closed(told * day) < week <= week_of(told * day)
    if last_closed(told * day) < week_of(happened * day) <= week_of(told * day):
        assert week == week_of(happened * day)
    assert 7 * day == WEEK
