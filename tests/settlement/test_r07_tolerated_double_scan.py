"""R7: a sale scanned twice within the window is tolerated; a second settlement never is."""

from datetime import timedelta
from typing import Any

import pytest
from story import HOSPITAL_A, HOSPITAL_B, MONDAY, SPLITTABLE, WHOLE, Story, statuses

LATER = MONDAY + timedelta(minutes=119)


def _said(**more: Any) -> dict[str, Any]:
    # Lines have numbers of their own, so that the second scan is a fact of its own.
    return {"visit": "V1", "person": "Ann", "when": MONDAY, "line": "1", **more}


def test_a_second_scan_within_the_window_is_counted_and_alerts_nobody() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, **_said())
    assert story.report_sale(HOSPITAL_A, box, **_said(line="2", when=LATER)) == "tolerated_repeat"
    assert len(story.box(box).sales) == 1
    assert [event.status for event in story.history(box)] == ["accepted", "tolerated_repeat"]
    assert story.alerts() == []


@pytest.mark.parametrize(
    "change",
    [
        {"when": MONDAY + timedelta(minutes=121)},
        {"person": "Bob"},
        {"quantity": "2", "split": True},
        {"visit": "V2"},
        {"place": HOSPITAL_B},
    ],
    ids=["after the window", "another person", "another quantity", "another reference", "another institution"],
)
def test_anything_else_is_a_second_sale(change: dict[str, Any]) -> None:
    story = Story()
    box = story.new_box(SPLITTABLE if "split" in change else WHOLE)
    story.report_sale(HOSPITAL_A, box, **_said())
    place = change.pop("place", HOSPITAL_A)
    said = _said(line="2", **{"when": LATER, **change}) if "when" not in change else _said(line="2") | change
    assert story.report_sale(place, box, **said) in {"conflict_sold", "over_split"}


def test_the_same_line_with_a_new_time_is_a_second_scan_too() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, **_said())
    assert story.report_sale(HOSPITAL_A, box, **_said(when=LATER)) == "tolerated_repeat"


def test_an_unknown_product_scanned_twice_is_still_one_sale() -> None:
    story = Story()
    box = "89999990000000000017"
    assert story.report_sale(HOSPITAL_A, box, **_said()) == "unmapped"
    assert story.report_sale(HOSPITAL_A, box, **_said(line="2", when=LATER)) == "tolerated_repeat"
    assert len(story.box(box).sales) == 1
    assert story.give_back(HOSPITAL_A, box, visit="V1") == "accepted"


def test_a_second_settlement_is_never_tolerated() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, when=MONDAY)
    second = story.settle(HOSPITAL_A, box, order="O2", when=MONDAY)
    assert (second.verdict, statuses(second)) == ("refuse", [["conflict_sold"]])
    assert story.alerts() == ["repeated_settlement"]


def test_a_stock_scan_may_be_repeated() -> None:
    story = Story()
    box = story.new_box()
    row = {"code": box, "event_time": "2026-03-09 10:00:00", "delivery": "D1"}
    story.send_table(HOSPITAL_A, "received", row)
    [again] = story.send_table(HOSPITAL_A, "received", row | {"event_time": "2026-03-09 10:30:00"})
    assert again.status == "tolerated_repeat"
