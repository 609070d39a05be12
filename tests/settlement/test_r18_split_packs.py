"""R18: a split box is drawn down by n of its m units."""

from fractions import Fraction
from typing import Any

import pytest
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, SPLITTABLE, UNREVIEWED, WHOLE, Line, Story, statuses


def _sell(story: Story, box: str, quantity: str, number: str, **more: Any) -> str:
    said = {"product": SPLITTABLE, "split": True, "receipt": number, "quantity": quantity, "person": number, **more}
    return story.report_sale(PHARMACY_P, box, **said)


def test_reports_draw_n_of_m_and_more_than_m_is_a_conflict_kept_as_evidence() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    assert [_sell(story, box, "10", "1"), _sell(story, box, "14", "2")] == ["accepted", "accepted"]
    assert story.taken(box) == 1
    assert _sell(story, box, "1", "3") == "over_split"
    assert (story.taken(box), len(story.history(box))) == (1, 3)
    assert story.alerts() == ["split_exceeded"]


def test_the_quantity_of_the_fee_line_says_how_many_units_a_claim_takes() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.fees(HOSPITAL_A, [Line(product=SPLITTABLE, quantity="10")])
    assert story.settle(HOSPITAL_A, lines=[Line((box,), split=True)]).verdict == "pay"
    assert story.paid(box) == Fraction(10, 24)
    story.fees(HOSPITAL_A, [Line(product=SPLITTABLE, quantity="15")], order="O2")
    refused = story.settle(HOSPITAL_A, lines=[Line((box,), split=True)], order="O2")
    assert (refused.verdict, statuses(refused)) == ("refuse", [["over_split"]])


def test_parts_of_a_unit_are_counted_exactly() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    for number in range(16):
        assert _sell(story, box, "1.5", f"{number}") == "accepted"
    assert story.taken(box) == 1
    assert _sell(story, box, "0.5", "last") == "over_split"


def test_one_box_on_two_split_lines_of_one_claim_is_added_up() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    lines = [Line((box,), SPLITTABLE, "16", split=True), Line((box,), SPLITTABLE, "9", split=True)]
    refused = story.settle(PHARMACY_P, lines=lines)
    assert (refused.verdict, statuses(refused)) == ("refuse", [["accepted"], ["over_split"]])
    lines[1].quantity = "8"
    assert story.settle(PHARMACY_P, lines=lines, order="O2").verdict == "pay"
    assert story.paid(box) == 1


@pytest.mark.parametrize("kind", ["unreviewed units", "two codes in a row", "unknown units"])
def test_where_units_are_not_sure_uses_are_counted_and_never_refused(kind: str) -> None:
    story = Story()
    product = {"unreviewed units": UNREVIEWED, "unknown units": WHOLE}.get(kind, SPLITTABLE)
    box, other = story.new_box(product), story.new_box(product)
    for number in range(30):
        boxes = (box, other) if kind == "two codes in a row" else (box,)
        said = {"product": product, "split": True, "quantity": "12", "receipt": f"R{number}", "person": f"{number}"}
        assert story.report_sale(PHARMACY_P, *boxes, **said) == "accepted"
    assert (len(story.box(box).sales), story.taken(box)) == (30, 0)
    line = Line((box, other), product, "12", split=True)
    assert story.settle(PHARMACY_P, lines=[line], visit="V9").verdict == "pay"
    assert story.paid(box) == 0
    assert story.alerts() == []


def test_a_further_unflagged_sale_here_of_a_splittable_product_is_a_hold_without_an_alert() -> None:
    story = Story()
    box, rigid = story.new_box(SPLITTABLE), story.new_box(WHOLE)
    for one in (box, rigid):
        story.report_sale(PHARMACY_P, one, receipt="1", person="Ann")
        story.wait(hours=5)
    assert story.report_sale(PHARMACY_P, box, receipt="2", person="Bob") == "possible_split"
    assert story.alerts() == []
    assert story.report_sale(PHARMACY_P, rigid, receipt="2", person="Bob") == "conflict_sold"
    assert story.alerts() == ["swap"]
    sold = story.new_box(SPLITTABLE)
    story.settle(PHARMACY_P, sold)
    held = story.settle(PHARMACY_P, sold, order="O2", visit="V2", person="Bob")
    assert (held.verdict, statuses(held)) == ("hold", [["possible_split"]])


def test_elsewhere_a_further_sale_is_a_conflict_though_the_product_is_splittable() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.report_sale(PHARMACY_P, box, receipt="1")
    assert story.report_sale(HOSPITAL_B, box, visit="V1") == "conflict_sold"


def test_a_box_that_was_sold_whole_here_has_nothing_left_to_split() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.report_sale(PHARMACY_P, box, receipt="1", person="Ann")
    assert _sell(story, box, "1", "2") == "over_split"
    assert story.report_sale(HOSPITAL_A, box, visit="V1", product=SPLITTABLE, split=True) == "conflict_sold"


# Parts that come back.


def test_parts_given_back_may_be_sold_again() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    _sell(story, box, "20", "1")
    back = {"product": SPLITTABLE, "split": True, "receipt": "1"}
    assert story.give_back(PHARMACY_P, box, quantity="15", **back) == "accepted"
    assert story.taken(box) == Fraction(5, 24)
    assert _sell(story, box, "19", "2") == "accepted"
    assert _sell(story, box, "1", "3") == "over_split"


def test_parts_counted_in_different_fractions_are_one_box() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    _sell(story, box, "10", "1")
    back = {"product": SPLITTABLE, "split": True, "receipt": "1"}
    assert story.give_back(PHARMACY_P, box, quantity="1.5", **back) == "accepted"
    assert story.taken(box) == Fraction(17, 48)


def test_a_whole_return_gives_back_all_that_is_left_of_the_sale() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    _sell(story, box, "10", "1")
    story.give_back(PHARMACY_P, box, receipt="1", product=SPLITTABLE)
    assert not story.box(box).sales


def test_a_deleted_return_of_a_part_takes_the_part_again() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    _sell(story, box, "10", "1")
    back = {"product": SPLITTABLE, "split": True, "receipt": "1"}
    story.give_back(PHARMACY_P, box, quantity="4", batch="wrong", **back)
    assert story.delete(PHARMACY_P, "wrong") == "accepted"
    assert story.taken(box) == Fraction(10, 24)
