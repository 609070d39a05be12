"""R1: at most one open paid claim per box, and every sale report is kept."""

from fractions import Fraction

import pytest
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story, statuses


def test_a_box_is_paid_to_the_first_who_claims_it_and_refused_to_the_next() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    assert story.settle(HOSPITAL_A, box).verdict == "pay"
    refused = story.settle(HOSPITAL_B, box)
    assert (refused.verdict, statuses(refused)) == ("refuse", [["conflict_sold"]])
    assert (refused.paid, refused.settlement) == (0, "")
    assert story.paid(box) == 1
    assert story.settle(HOSPITAL_B, other).verdict == "pay"


def test_one_box_on_two_lines_of_one_claim_is_not_paid_twice() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    twice = story.settle(HOSPITAL_A, box, box)
    assert (twice.verdict, statuses(twice)) == ("refuse", [["accepted"], ["duplicate_in_document"]])
    assert story.paid(box) == 0
    assert story.alerts() == ["two_lines"]
    assert story.settle(HOSPITAL_A, box, other).verdict == "pay"


def test_split_claims_share_a_box_up_to_its_units() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)

    def claim(quantity: str, number: str) -> str:
        line = Line((box,), SPLITTABLE, quantity, split=True)
        return story.settle(PHARMACY_P, lines=[line], order=number, visit=number).verdict

    assert [claim("10", "1"), claim("14", "2")] == ["pay", "pay"]
    assert story.paid(box) == 1
    assert claim("1", "3") == "refuse"
    assert story.paid(box) == 1


def test_claims_beyond_the_whole_are_refused_even_where_the_goods_came_back() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    ten = Line((box,), SPLITTABLE, "10", split=True)
    story.settle(PHARMACY_P, lines=[ten])
    sale = {"product": SPLITTABLE, "visit": "V1", "order": "O1", "split": True}
    story.report_sale(PHARMACY_P, box, quantity="10", **sale)
    assert story.give_back(PHARMACY_P, box, quantity="4", **sale) == "accepted"
    assert story.taken(box) == Fraction(6, 24)
    too_much = Line((box,), SPLITTABLE, "18", split=True)
    refused = story.settle(PHARMACY_P, lines=[too_much], order="O2", visit="V2")
    assert statuses(refused) == [["over_split"]]
    assert story.paid(box) == Fraction(10, 24)
    enough = Line((box,), SPLITTABLE, "14", split=True)
    assert story.settle(PHARMACY_P, lines=[enough], order="O3", visit="V3").verdict == "pay"


def test_a_conflicting_sale_report_is_kept_as_evidence() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert story.report_sale(HOSPITAL_B, box, visit="V2") == "conflict_sold"
    assert [(event.actor, event.status) for event in story.history(box)] == [
        (HOSPITAL_A, "accepted"),
        (HOSPITAL_B, "conflict_sold"),
    ]
    assert len(story.box(box).sales) == 2


@pytest.mark.parametrize("product", [WHOLE, SPLITTABLE])
def test_a_refused_claim_of_several_boxes_draws_none_of_them(product: str) -> None:
    story = Story()
    free, taken = story.new_box(product), story.new_box(product)
    story.settle(HOSPITAL_A, taken)
    assert story.settle(HOSPITAL_B, free, taken).verdict == "refuse"
    assert story.paid(free) == 0
    assert story.settle(PHARMACY_P, free, order="O2").verdict == "pay"
