"""R4: settle, cancel, settle again is one sale; returns release; a return before its sale waits for it."""

import pytest
from story import HOSPITAL_A, HOSPITAL_B, SPLITTABLE, Story, statuses


def test_settle_cancel_settle_of_one_box_is_one_sale() -> None:
    story = Story()
    box = story.new_box()
    first = story.settle(HOSPITAL_A, box)
    story.report_sale(HOSPITAL_A, box, settlement=first.settlement, visit="V1")
    assert story.cancel(HOSPITAL_A, first.settlement) == "accepted"
    second = story.settle(HOSPITAL_A, box, order="O2")
    assert (second.verdict, statuses(second)) == ("pay", [["same_sale"]])
    assert story.report_sale(HOSPITAL_A, box, settlement=second.settlement, visit="V1") == "same_sale"
    assert (len(story.box(box).sales), story.paid(box), story.alerts()) == (1, 1, [])


def test_the_same_claim_after_its_cancel_is_the_next_attempt() -> None:
    story = Story()
    box = story.new_box()
    first = story.settle(HOSPITAL_A, box)
    story.cancel(HOSPITAL_A, first.settlement)
    second = story.settle(HOSPITAL_A, box)
    assert second.first
    assert second.settlement != first.settlement
    assert [event.attempt for event in story.history(box) if event.kind == "claimed"] == [1, 2]
    claims = [event for event in story.events() if event.kind == "claimed" and event.price]
    assert [event.attempt for event in claims] == [1, 2]


def test_a_return_releases_the_box_for_the_next_sale() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert story.give_back(HOSPITAL_A, box, visit="V1") == "accepted"
    assert not story.box(box).sales
    assert story.report_sale(HOSPITAL_A, box, visit="V2") == "accepted"


def test_a_return_before_its_sale_waits_and_gives_it_back_when_it_comes() -> None:
    story = Story()
    box = story.new_box()
    sold_at = story.clock()
    story.wait(hours=5)
    assert story.give_back(HOSPITAL_A, box, visit="V1") == "parked"
    assert story.report_sale(HOSPITAL_A, box, visit="V1", when=sold_at) == "accepted"
    assert not story.box(box).sales
    assert not story.box(box).parked
    assert (story.wait(days=30), story.alerts()) == (0, [])


@pytest.mark.parametrize(("returned", "left"), [("4", 6), ("10", 0)])
def test_a_waiting_return_of_part_of_a_split_box_gives_back_that_part(returned: str, left: int) -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    sold_at = story.clock()
    story.wait(hours=5)
    said = {"visit": "V1", "product": SPLITTABLE, "split": True}
    story.give_back(HOSPITAL_A, box, quantity=returned, **said)
    story.report_sale(HOSPITAL_A, box, quantity="10", when=sold_at, **said)
    assert story.taken(box) * 24 == left


def test_a_second_return_before_its_sale_waits_too() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    story.give_back(HOSPITAL_A, box, visit="V1")
    again_at = story.clock()
    story.wait(hours=5)
    assert story.give_back(HOSPITAL_A, box, visit="V2") == "parked"
    story.report_sale(HOSPITAL_A, box, visit="V2", when=again_at)
    assert not story.box(box).sales


def test_a_waiting_return_is_not_for_another_sale() -> None:
    story = Story()
    box = story.new_box()
    sold_at = story.clock()
    story.wait(hours=5)
    story.give_back(HOSPITAL_A, box, visit="V1")
    assert story.report_sale(HOSPITAL_A, box, visit="V2", when=sold_at) == "accepted"
    assert (len(story.box(box).sales), len(story.box(box).parked)) == (1, 1)


def test_a_deadline_that_another_process_has_met_is_not_met_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    box = story.new_box()
    story.give_back(HOSPITAL_A, box, visit="V1")
    waiting = story.journal.due(1 << 62, 10)
    assert story.wait(days=11) == 1
    monkeypatch.setattr(story.journal, "due", lambda until, limit: waiting)
    assert story.wait() == 0
    assert len(story.history(box)) == 2


def test_a_waiting_return_ends_with_its_window() -> None:
    story = Story()
    box = story.new_box()
    story.give_back(HOSPITAL_A, box, visit="V1")
    assert story.wait(days=11) == 1
    assert story.history(box)[-1].status == "undo_not_found"
    assert story.report_sale(HOSPITAL_A, box, visit="V1") == "accepted"
    assert len(story.box(box).sales) == 1


def test_a_waiting_return_of_what_another_sold_ends_in_an_alert() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_B, box, visit="V1")
    assert story.give_back(HOSPITAL_A, box, visit="V7") == "parked"
    assert story.alerts() == []
    story.wait(days=11)
    assert story.alerts() == ["undo_by_another"]
    assert len(story.box(box).sales) == 1


def test_a_late_sale_whose_return_is_known_contradicts_nobody_who_sold_after_it() -> None:
    story = Story()
    box = story.new_box()
    sold_at = story.clock()
    story.wait(hours=5)
    story.give_back(HOSPITAL_A, box, visit="V1")
    story.wait(hours=5)
    assert story.report_sale(HOSPITAL_B, box, visit="V2") == "accepted"
    assert story.report_sale(HOSPITAL_A, box, visit="V1", when=sold_at) == "accepted"
    assert [sale.known_by.actor for sale in story.box(box).sales] == [HOSPITAL_B]
    assert story.alerts() == []
