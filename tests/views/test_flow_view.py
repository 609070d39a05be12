"""Goods by product, week and place: each box once, undone ones not; a week once told is told the same for ever."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import GTIN, HOSPITAL_A, MAKER, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story

from suyuan.ledger.events import Event
from suyuan.lookup.flow import Block, Cell, counted_in, iso_week, last_closed, publish
from suyuan.storage.memory import MemoryJournal
from suyuan.views.flow import FlowView, closed_week, cubes_of, product_key, uploads_of
from suyuan.views.follow import Views

PRODUCT = "trace20:8234567"
SHOPS = tuple(f"P4401040000{number:02d}" for number in range(1, 6))
"""Pharmacies of one county that the catalogue does not know: their code says where they are."""


@pytest.fixture
def story() -> Story:
    return Story(journal=MemoryJournal())


@pytest.fixture
def views(story: Story) -> Iterator[Views]:
    opened = Views.open(None, story.journal, (FlowView(),))
    yield opened
    opened.close()


def told(views: Views, measure: str = "sold", but: str = MAKER, product: str = PRODUCT) -> dict[str, list[Cell]]:
    """Closed weeks by name."""
    views.catch_up()
    with views.read() as connection:
        cubes = cubes_of(connection, product, but, 0, 10_000)
        assert all(week <= closed_week(connection) for week, _ in cubes)
    return {iso_week(week): cells for (week, kind), cells in cubes.items() if kind == measure}


def close(story: Story, weeks: int = 2) -> None:
    """Let weeks pass, and something happen that carries the feed along."""
    story.wait(days=7 * weeks)
    story.report_sale("P11010500001", story.new_box(SPLITTABLE), receipt=f"later {story.now}")


def test_a_week_is_told_when_it_is_closed_and_not_before(story: Story, views: Views) -> None:
    for number, shop in enumerate(SHOPS):
        story.report_sale(shop, story.new_box(), receipt=f"R{number}")
    assert told(views) == {}
    close(story, 1)
    assert told(views) == {}
    close(story, 1)
    assert told(views) == {"2026-W11": [Cell("440104", 5, 5)]}


def test_what_comes_late_counts_in_its_own_week_until_that_closes_and_then_in_the_oldest_open_one(
    story: Story, views: Views
) -> None:
    monday = story.clock()
    story.report_sale(SHOPS[0], story.new_box(), receipt="R1")
    story.wait(days=8)
    story.report_sale(SHOPS[1], story.new_box(), receipt="R2", when=monday)
    close(story)
    first = told(views)
    assert first["2026-W11"] == [Cell("440104", 2, 2)]
    story.report_sale(SHOPS[2], story.new_box(), receipt="R3", when=monday)
    close(story)
    close(story)
    later = told(views)
    assert later["2026-W11"] == first["2026-W11"]
    assert later["2026-W13"] == [Cell("440104", 1, 1)]


def test_a_claim_and_its_report_are_one_box_and_a_split_pack_is_one_box(story: Story, views: Views) -> None:
    box, pack = story.new_box(), story.new_box(SPLITTABLE)
    story.settle(SHOPS[0], lines=[Line((box,), WHOLE)], order="O1", visit="V1")
    story.report_sale(SHOPS[0], box, order="O1", visit="V1")
    for person in ("one", "two", "three"):
        story.report_sale(SHOPS[0], pack, receipt=f"R {person}", person=person, split=True, product=SPLITTABLE)
    close(story)
    assert told(views)["2026-W11"] == [Cell("440104", 1, 1)]
    assert told(views, product="trace20:8123456")["2026-W11"] == [Cell("440104", 1, 1)]


def test_what_is_undone_in_time_is_not_counted(story: Story, views: Views) -> None:
    kept, returned, deleted, cancelled = (story.new_box() for _ in range(4))
    story.report_sale(SHOPS[0], kept, receipt="R1")
    story.report_sale(SHOPS[0], returned, receipt="R2")
    story.give_back(SHOPS[0], returned, receipt="R2")
    story.report_sale(SHOPS[0], deleted, receipt="R3", batch="B3")
    story.delete(SHOPS[0], batch="B3")
    verdict = story.settle(SHOPS[0], lines=[Line((cancelled,), WHOLE)], order="O4", visit="V4")
    story.cancel(SHOPS[0], verdict.settlement, "V4")
    close(story)
    assert told(views)["2026-W11"] == [Cell("440104", 1, 1)]


def test_what_is_undone_after_the_close_changes_nothing_that_was_told(story: Story, views: Views) -> None:
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, receipt="R1")
    close(story)
    first = told(views)
    story.give_back(HOSPITAL_A, box, receipt="R1")
    close(story)
    assert told(views)["2026-W11"] == first["2026-W11"] == [Cell("440100", 1, 1)]


def test_a_conflicting_report_and_a_refused_claim_are_no_boxes_sold(story: Story, views: Views) -> None:
    box = story.new_box()
    story.settle(SHOPS[0], lines=[Line((box,), WHOLE)], order="O1", visit="V1")
    story.settle(SHOPS[1], lines=[Line((box,), WHOLE)], order="O2", visit="V2", person="other")
    story.report_sale(SHOPS[2], box, receipt="R3", person="third")
    close(story)
    assert told(views)["2026-W11"] == [Cell("440104", 1, 1)]


def test_a_carton_received_is_as_many_boxes_as_it_holds(story: Story, views: Views) -> None:
    boxes = [story.new_box() for _ in range(6)]
    carton = "00" + "106901234567890017"
    story.send_table(MAKER, "packed", *({"code": box, "parent": carton} for box in boxes))
    story.send_table(SHOPS[0], "received", {"code": carton})
    story.send_table(SHOPS[0], "received", {"code": story.new_box()})
    story.send_table(MAKER, "unpacked", *({"code": box, "parent": carton} for box in boxes[:4]))
    story.send_table(SHOPS[1], "received", {"code": carton})
    close(story)
    assert told(views, "received")["2026-W11"] == [Cell("440104", 9, 2)]


def test_what_a_carton_does_not_hold_cannot_be_taken_out_of_it_in_whatever_pages_that_comes(
    story: Story, views: Views
) -> None:
    carton, boxes = "00" + "106901234567890017", [story.new_box() for _ in range(3)]
    for kind in ("unpacked", "packed"):
        story.send_table(MAKER, kind, *({"code": box, "parent": carton} for box in boxes))
        views.catch_up()
    story.send_table(SHOPS[0], "received", {"code": carton})
    close(story)
    at_once = Views.open(None, story.journal, (FlowView(),))
    assert told(views, "received") == told(at_once, "received") == {"2026-W11": [Cell("440104", 3, 1)]}
    at_once.close()


def test_a_firm_is_not_told_of_itself_for_it_could_take_that_away(story: Story, views: Views) -> None:
    story.report_sale(PHARMACY_P, story.new_box(), receipt="R1")
    story.report_sale(HOSPITAL_A, story.new_box(), receipt="R2")
    close(story)
    assert told(views, but=PHARMACY_P)["2026-W11"] == [Cell("440100", 1, 1)]
    assert told(views, but="")["2026-W11"] == [Cell("440100", 2, 2)]


def test_the_list_made_again_from_the_feed_in_other_pages_is_the_same(
    story: Story, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    for week in range(4):
        for number, shop in enumerate(SHOPS):
            box = story.new_box()
            story.report_sale(shop, box, receipt=f"R{week}{number}")
            if number == week:
                story.give_back(shop, box, receipt=f"R{week}{number}")
            told(views)
        story.wait(days=7)
    close(story)
    monkeypatch.setattr("suyuan.views.follow.PAGE", 7)
    again = Views.open(None, story.journal, (FlowView(),))
    assert told(again) == told(views)
    assert len(told(again)) == 4
    again.close()


def test_what_a_firm_uploaded_is_listed_by_document_and_nobody_elses(story: Story, views: Views) -> None:
    story.produce(story.new_box(), story.new_box())
    story.produce(story.new_box())
    story.receive(SHOPS[0], story.new_box())
    views.catch_up()
    with views.read() as connection:
        found = uploads_of(connection, MAKER, 0, 10)
        assert len(found) == 2
        assert uploads_of(connection, MAKER, found[0].number, 10) == found[1:]
        assert len(uploads_of(connection, SHOPS[0], 0, 10)) == 1
    sealed = story.journal.document(found[0].document)
    assert sealed is not None
    assert b"produced" in story.desk.privacy.unseal(sealed) or b"code" in story.desk.privacy.unseal(sealed)


@pytest.mark.parametrize(
    ("key", "product"),
    [
        ("trace20:82345671000000000001", PRODUCT),
        (f"gs1:{GTIN}:SN:1", f"gs1:{GTIN}"),
        ("ma:MA.156.M0.100761:SX", "ma:MA.156.M0.100761"),
        ("maker:house:P1:S1", "maker:house:P1"),
        ("maker:virtual:000000000001", ""),
        ("sscc:106901234567890017", ""),
        ("unknown:abc:def", ""),
    ],
)
def test_the_product_of_a_box_is_told_by_its_key(key: str, product: str) -> None:
    assert product_key(key) == product


DAY = 24 * 3_600_000_000
BEGIN = 1_773_014_400_000_000 - 8 * 3_600_000_000  # Monday 2026-03-09 in China
PLACES = ("110101", "440103", "440104", "440105", "440303")


class Said(NamedTuple):
    """A sale told some hours after the one before, of some days back; or that an earlier one is undone."""

    hours: int
    back: int
    county: int
    shop: int
    undoes: int


def drawn(seed: int) -> list[Said]:
    """A month of sales, mostly told the same day and mostly of one county, with some gaps of days."""
    dice = Random(seed)
    return [
        Said(
            hours=dice.choice((0, 1, 1, 2, 2, 3, 30)),
            back=dice.choice((0, 0, 0, 1, 2, 9, 25)),
            county=dice.choice((1, 1, 1, 0, 2, 3, 4)),
            shop=dice.randrange(4),
            undoes=dice.randrange(200) if dice.random() < 0.1 else -1,
        )
        for _ in range(dice.randrange(50, 250))
    ]


def feed(things: list[Said]) -> list[Event]:
    """What was said as events: each sale of another box, an undoing of one that was sold before."""
    events: list[Event] = []
    moment = BEGIN
    for number, one in enumerate(things):
        moment += one.hours * 3_600_000_000
        sales = [event for event in events if event.kind == "sold"]
        undone = {event.key for event in events if event.kind == "corrected"}
        actor = f"P{PLACES[one.county]}{one.shop:05d}"
        about: dict[str, Any] = {"version": 1, "id": str(number), "arrived": moment, "region": PLACES[one.county]}
        if 0 <= one.undoes < len(sales) and sales[one.undoes].key not in undone:
            sale = sales[one.undoes]
            events.append(
                Event(kind="corrected", key=sale.key, sequence=2, event_time=moment, actor=actor, corrects=1, **about)
            )
        else:
            key = f"{PRODUCT}{number:013d}"
            when = moment - one.back * DAY
            events.append(Event(kind="sold", key=key, sequence=1, event_time=when, actor=actor, drawn=True, **about))
    return events


def oracle(events: list[Event]) -> dict[int, list[Block]]:
    """The same told by hand: what counts in which week, once the feed has closed it."""
    now = max((event.arrived for event in events), default=0)
    undone = {event.key: event.arrived for event in events if event.kind == "corrected"}
    weeks: dict[int, dict[str, list[str]]] = {}
    for event in events:
        if event.kind != "sold":
            continue
        week = counted_in(event.event_time, event.arrived)
        if event.key in undone and last_closed(undone[event.key]) < week:
            continue
        if week <= last_closed(now):
            weeks.setdefault(week, {}).setdefault(event.region, []).append(event.actor)
    return {
        week: blocks
        for week, counties in weeks.items()
        if (blocks := publish(Cell(region, len(by), len(set(by))) for region, by in counties.items()))
    }


class Feed(MemoryJournal):
    """A journal that gives these events, as many as have come."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self.coming = events
        self.come = 0

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        begin = int(position or b"0")
        end = min(begin + limit, self.come)
        return self.coming[begin:end], str(end).encode()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000_000), st.lists(st.integers(1, 90), max_size=4))
def test_whatever_comes_late_or_is_undone_all_that_was_ever_told_stays_and_is_what_the_rule_says(
    seed: int, visits: list[int]
) -> None:
    events = feed(drawn(seed))
    journal = Feed(events)
    views = Views.open(None, journal, (FlowView(),))
    fetched: dict[int, list[Block]] = {}
    told_until = 0
    for more in [*visits, len(events)]:
        journal.come = min(journal.come + more, len(events))
        views.catch_up()
        with views.read() as connection:
            closed = closed_week(connection)
            cubes = cubes_of(connection, PRODUCT, MAKER, 0, 10_000)
        now = {week: blocks for (week, _), cells in cubes.items() if (blocks := publish(cells))}
        assert {week: blocks for week, blocks in now.items() if week in fetched} == fetched
        assert all(week <= closed for week in now)
        assert all(week in fetched or week > told_until for week in now), "no week is told of later that was closed"
        fetched, told_until = now, closed
    assert fetched == oracle(events)
    views.close()
