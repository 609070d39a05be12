"""R15: a box that was not received here is noted where inbound codes are known to be complete; it never refuses."""

import msgspec
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, WHOLE, Line, Story, statuses

from suyuan.settlement.policy import STRICT

COVERED = msgspec.structs.replace(STRICT, stock_covered=frozenset({(HOSPITAL_A, WHOLE), (PHARMACY_P, WHOLE)}))


def test_a_box_that_was_not_received_is_noted_and_paid() -> None:
    story = Story(policy=COVERED)
    missing, received = story.new_box(), story.new_box()
    assert story.receive(HOSPITAL_A, received) == "accepted"
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)])
    verdict = story.settle(HOSPITAL_A, missing, received)
    assert (verdict.verdict, statuses(verdict)) == ("pay", [["not_received"], ["accepted"]])
    assert story.alerts() == []


def test_a_sale_report_is_noted_likewise() -> None:
    story = Story(policy=COVERED)
    assert story.report_sale(PHARMACY_P, story.new_box(), receipt="R1", product=WHOLE) == "not_received"


def test_where_inbound_codes_are_not_known_to_be_complete_nothing_is_said() -> None:
    for story, place in ((Story(), HOSPITAL_A), (Story(policy=COVERED), HOSPITAL_B)):
        story.fees(place, [Line(product=WHOLE)])
        assert statuses(story.settle(place, story.new_box())) == [["accepted"]]
