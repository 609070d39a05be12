"""R12: 2102, 2207 and 2304 have one pass or fail, and advice writes nothing."""

import pytest
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, WHOLE, Line, Story


@pytest.mark.parametrize(
    ("place", "setting"), [(PHARMACY_P, "pharmacy"), (HOSPITAL_A, "outpatient"), (HOSPITAL_A, "inpatient")]
)
def test_a_refused_line_fails_the_message_draws_nothing_and_names_the_code(place: str, setting: str) -> None:
    story = Story()
    free, taken = story.new_box(), story.new_box()
    story.settle(HOSPITAL_B, taken, order="O9")
    verdict = story.settle(place, free, taken, setting=setting)
    assert (verdict.verdict, verdict.settlement, verdict.refused) == ("refuse", "", 100_000_000)
    assert story.answer["infcode"] == -1
    assert taken in story.answer["err_msg"]
    assert story.paid(free) == 0
    assert not any(event.drawn for event in story.history(free))
    good = story.settle(place, free, setting=setting, order="O2")
    assert (good.verdict, story.answer["infcode"]) == ("pay", 0)


def test_the_retry_of_a_failed_claim_without_the_bad_code_passes() -> None:
    story = Story()
    free, taken, third = story.new_box(), story.new_box(), story.new_box()
    story.settle(HOSPITAL_B, taken, order="O9")
    assert story.settle(HOSPITAL_A, free, taken).verdict == "refuse"
    retry = story.settle(HOSPITAL_A, free, third)
    assert (retry.verdict, story.answer["warn_msg"]) == ("pay", "")
    assert story.paid(free) == 1
    assert [event.attempt for event in story.history(free)] == [1, 2]


def test_a_failed_claim_is_alerted_once_however_often_it_is_retried() -> None:
    story = Story()
    taken = story.new_box()
    story.settle(HOSPITAL_B, taken, order="O9")
    for _ in range(3):
        assert story.settle(HOSPITAL_A, taken).verdict == "refuse"
    assert story.report_sale(HOSPITAL_A, taken, visit="V1") == "conflict_sold"
    assert story.alerts() == ["clone"]


def test_what_there_is_to_say_of_a_passed_claim_stands_in_warn_msg() -> None:
    story = Story()
    story.settle(HOSPITAL_A, "89999990000000000017")
    assert (story.answer["infcode"], story.answer["err_msg"]) == (0, "")
    assert "89999990000000000017" in story.answer["warn_msg"]


@pytest.mark.parametrize(
    ("place", "setting"), [(PHARMACY_P, "pharmacy"), (HOSPITAL_A, "outpatient"), (HOSPITAL_A, "inpatient")]
)
def test_advice_answers_like_the_claim_and_writes_nothing(place: str, setting: str) -> None:
    story = Story()
    free, taken = story.new_box(), story.new_box()
    story.settle(HOSPITAL_B, taken, order="O9")
    before = story.events()
    refused = story.settle(place, taken, setting=setting, advice=True)
    good = story.settle(place, free, setting=setting, advice=True)
    assert [(verdict.verdict, verdict.advice, verdict.settlement) for verdict in (refused, good)] == [
        ("refuse", True, ""),
        ("pay", True, ""),
    ]
    assert story.answer["infcode"] == 0
    assert story.events() == before
    assert story.settle(place, free, setting=setting).verdict == "pay"


def test_advice_after_the_settlement_finds_it() -> None:
    story = Story()
    box = story.new_box()
    settled = story.settle(HOSPITAL_A, box)
    before = story.events()
    advice = story.settle(HOSPITAL_A, box, advice=True)
    assert (advice.verdict, advice.advice, advice.settlement) == ("pay", True, settled.settlement)
    assert story.settle(HOSPITAL_A, story.new_box(), advice=True).verdict == "refuse"
    assert story.events() == before


def test_the_shares_of_a_claim_add_up_to_it() -> None:
    story = Story()
    verdict = story.settle(HOSPITAL_A, story.new_box(), story.new_box(), story.new_box(), amount=100)
    assert sum(line.amount for line in verdict.lines) == verdict.paid == 100_000_000
    pharmacy = story.settle(PHARMACY_P, lines=[Line((story.new_box(),), WHOLE, amount=12.5)], amount=12.5)
    assert pharmacy.paid == 12_500_000
    assert story.settle(HOSPITAL_A, order="O7", amount=8).paid == 8_000_000
