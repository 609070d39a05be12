"""R5: what makes a fact the same fact: institution, kind, typed reference, line, code; a receipt carries its date."""

from datetime import timedelta
from typing import Any

import pytest
from story import HOSPITAL_A, IMPLANT, MONDAY, PHARMACY_P, PHARMACY_Q, WHOLE, Story

IMPLANT_CODE = "(01)06931234567899(10)LOT7"


def test_the_batch_number_and_the_msgid_are_no_part_of_the_key() -> None:
    story = Story()
    box = story.new_box()
    said: dict[str, Any] = {"visit": "V1", "when": MONDAY}
    assert story.report_sale(HOSPITAL_A, box, batch="B1", msgid="m1", **said) == "accepted"
    assert story.report_sale(HOSPITAL_A, box, batch="B2", msgid="m2", **said) == "first_answer"
    assert len(story.history(box)) == 1


@pytest.mark.parametrize(
    "change",
    [{"visit": "V2"}, {"line": "7"}, {"place": PHARMACY_Q}, {"box": "another"}],
    ids=["another reference", "another line", "another institution", "another code"],
)
def test_every_part_of_the_key_tells_facts_apart(change: dict[str, Any]) -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, visit="V1", when=MONDAY)
    place = change.pop("place", PHARMACY_P)
    box = story.new_box() if change.pop("box", "") else box
    said = {"visit": "V1", "when": MONDAY, **change}
    assert story.report_sale(place, box, **said) not in {"first_answer", "key_reused"}


def test_a_receipt_number_that_restarts_daily_carries_the_business_date() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="0001", when=MONDAY)
    tomorrow = MONDAY + timedelta(days=1)
    assert story.report_sale(PHARMACY_P, box, receipt="0001", when=MONDAY) == "first_answer"
    assert story.report_sale(PHARMACY_P, box, receipt="0001", when=tomorrow) == "conflict_sold"


def test_the_business_date_is_that_of_china() -> None:
    story = Story()
    box = story.new_box()
    before_midnight = MONDAY.replace(hour=23, minute=30)
    story.report_sale(PHARMACY_P, box, receipt="0001", when=before_midnight)
    [event] = story.history(box)
    assert event.references["receipt"] == "0001@2026-03-09"


def test_a_claim_and_a_report_that_quote_one_receipt_of_one_day_are_one_sale() -> None:
    story = Story()
    box = story.new_box()
    table = {"code": box, "receipt": "0001", "event_time": "2026-03-09 10:00:00"}
    story.send_table(PHARMACY_P, "sold", table)
    body = {
        "druginfo": {"psn_no": "Ann", "rtal_docno": "0001", "setl_time": "2026-03-09 10:01:00", "medfee_sumamt": 10},
        "drug_trac_info": [{"feedetl_sn": "1", "drug_trac_codg": box, "trdn_flag": "0", "min_prcunt_type": "2"}],
    }
    story.send("2102", PHARMACY_P, body)
    assert len(story.box(box).sales) == 1
    assert story.paid(box) == 1


def test_without_any_reference_the_time_stands_in() -> None:
    story = Story()
    box = story.new_box()
    assert story.report_sale(PHARMACY_P, box, when=MONDAY) == "accepted"
    assert story.report_sale(PHARMACY_P, box, when=MONDAY) == "first_answer"
    assert story.report_sale(PHARMACY_P, box, when=MONDAY + timedelta(hours=3)) == "conflict_sold"


def test_equal_lines_of_one_message_that_name_no_box_are_told_apart_by_their_order() -> None:
    story = Story()
    said = {"product": IMPLANT, "visit": "V1"}
    story.report_sale(HOSPITAL_A, IMPLANT_CODE, IMPLANT_CODE, when=MONDAY, **said)
    lines = [event for event in story.events() if event.key.startswith("line:")]
    assert [event.status for event in lines] == ["accepted", "accepted"]
    story.report_sale(HOSPITAL_A, IMPLANT_CODE, IMPLANT_CODE, when=MONDAY, msgid="again", **said)
    assert [result.status for result in story.outcome.results if hasattr(result, "status")] == ["first_answer"] * 2
    assert len([event for event in story.events() if event.key.startswith("line:")]) == 2


def test_a_line_without_a_number_is_known_by_what_it_says_without_its_times() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, visit="V1", product=WHOLE, when=MONDAY)
    later = MONDAY + timedelta(days=3)
    assert story.report_sale(PHARMACY_P, box, visit="V1", product=WHOLE, when=later) == "first_answer"
    assert story.report_sale(PHARMACY_P, box, visit="V1", product=WHOLE, quantity="2", when=later) == "conflict_sold"
