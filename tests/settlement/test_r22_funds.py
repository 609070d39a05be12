"""R22: every claim names its fund, and a box paid by two funds is an alert of its own."""

import pytest
from story import HOSPITAL_A, HOSPITAL_B, Story

from suyuan.settlement.policy import REHEARSAL


@pytest.mark.parametrize(("insutype", "fund"), [("310", "employee"), ("390", "resident"), ("410", "work_injury")])
def test_the_fund_is_stored_with_the_claim_and_with_each_of_its_boxes(insutype: str, fund: str) -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, fund=insutype)
    assert [event.fund for event in story.history(box)] == [fund]
    [claim] = [event for event in story.events() if event.key.startswith("claim:") and event.price]
    assert claim.fund == fund


def test_a_box_paid_by_two_funds_is_an_alert_of_its_own() -> None:
    story = Story(policy=REHEARSAL)
    box = story.new_box()
    story.settle(HOSPITAL_A, box, fund="310")
    assert story.settle(HOSPITAL_B, box, fund="390").verdict == "pay"
    assert sorted(story.alerts()) == ["clone", "two_funds"]
    [alert] = [event for event in story.events() if event.kind == "alerted" and event.detail["class"] == "two_funds"]
    assert alert.detail["funds"] == ["employee", "resident"]


def test_twice_by_one_fund_is_the_conflict_alone() -> None:
    for fund in ("310", ""):
        story = Story(policy=REHEARSAL)
        box = story.new_box()
        story.settle(HOSPITAL_A, box, fund="310")
        story.settle(HOSPITAL_B, box, fund=fund)
        assert story.alerts() == ["clone"]


def test_what_is_refused_is_not_paid_by_a_second_fund() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, fund="310")
    story.settle(HOSPITAL_B, box, fund="390")
    assert story.alerts() == ["clone"]
