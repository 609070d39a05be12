"""R6: while a fact stands, the same fact again gets its first answer; afterwards it is judged anew."""

from typing import Any

import msgspec
import pytest
from story import HOSPITAL_A, HOSPITAL_B, MONDAY, PHARMACY_P, Line, Story, statuses

from suyuan.ledger.scan import Result
from suyuan.settlement.policy import STRICT


def test_a_repeated_claim_gets_its_first_answer() -> None:
    story = Story()
    box = story.new_box()
    first = story.settle(HOSPITAL_A, box)
    again = story.settle(HOSPITAL_A, box)
    assert (again.first, again.settlement, again.paid) == (False, first.settlement, first.paid)
    assert len(story.history(box)) == 1


def test_the_first_answer_of_a_sale_repeats_its_words_and_its_alert() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_B, box, visit="V1")
    story.report_sale(HOSPITAL_A, box, visit="V1", when=MONDAY)
    first = story.outcome.results[0]
    story.report_sale(HOSPITAL_A, box, visit="V1", when=MONDAY, msgid="again")
    again = story.outcome.results[0]
    assert again.reasons == ("first_answer", "conflict_sold")  # type: ignore[union-attr]
    assert again.alert == first.alert != ""  # type: ignore[union-attr]
    assert "已有销售记录" in story.answer["warn_msg"]


def test_the_same_key_with_other_content_is_refused_and_changes_nothing() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.settle(HOSPITAL_A, box)
    reused = story.settle(HOSPITAL_A, other)
    assert (reused.verdict, reused.settlement) == ("refuse", "")
    assert "同一业务键" in reused.problems[0]
    assert not story.history(other)
    story.report_sale(HOSPITAL_A, other, visit="V2", line="1", quantity="1")
    assert story.report_sale(HOSPITAL_A, other, visit="V2", line="1", quantity="2") == "key_reused"
    assert len(story.history(other)) == 1
    assert story.alerts() == []


def test_a_refused_claim_is_judged_anew_when_it_comes_again() -> None:
    story = Story()
    box = story.new_box()
    elsewhere = story.settle(HOSPITAL_B, box, order="O2")
    assert story.settle(HOSPITAL_A, box).verdict == "refuse"
    story.cancel(HOSPITAL_B, elsewhere.settlement)
    assert story.settle(HOSPITAL_A, box).verdict == "pay"
    assert story.alerts() == ["clone"]


def test_a_byte_equal_message_gets_its_first_answer_even_where_it_would_now_be_judged_otherwise() -> None:
    story = Story()
    box = story.new_box()
    first = story.settle(HOSPITAL_A, box)
    original = story.raw
    story.cancel(HOSPITAL_A, first.settlement)
    outcome = story.send_bytes(original)
    assert outcome.repeated
    assert story.answer["output"]["setlinfo"]["setl_id"] == first.settlement
    assert story.paid(box) == 0
    assert story.settle(HOSPITAL_A, box).first


def test_a_byte_equal_retry_is_not_judged_anew_after_the_claim_was_cancelled() -> None:
    story = Story()
    box = story.new_box()
    first = story.settle(HOSPITAL_A, box)
    story.settle(HOSPITAL_A, box, msgid="retry")
    retry = story.raw
    story.cancel(HOSPITAL_A, first.settlement)
    assert story.send_bytes(retry).repeated
    assert story.paid(box) == 0


def test_a_byte_equal_refusal_stays_a_refusal() -> None:
    story = Story()
    box = story.new_box()
    elsewhere = story.settle(HOSPITAL_B, box, order="O2")
    story.settle(HOSPITAL_A, box)
    refused = story.raw
    story.cancel(HOSPITAL_B, elsewhere.settlement)
    story.send_bytes(refused)
    assert story.answer["infcode"] == -1
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_one_msgid_on_two_bodies_is_two_messages() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    assert story.settle(HOSPITAL_A, box, msgid="1234").verdict == "pay"
    assert story.settle(HOSPITAL_A, other, order="O2", msgid="1234").first
    assert (story.paid(box), story.paid(other)) == (1, 1)
    assert story.again().repeated


def test_content_leaves_out_msgid_batch_number_and_sending_time() -> None:
    story = Story()
    box = story.new_box()
    row = {"fixmedins_hilist_id": "1", "mdtrt_sn": "V1", "sel_retn_time": "2026-03-09 10:00:00", "feedetl_sn": "1"}
    row["drugtracinfo"] = [{"drug_trac_codg": box}]  # type: ignore[assignment]

    def send(number: int, **more: Any) -> str:
        said = row | {"fixmedins_bchno": f"B{number}", "sel_retn_opter_name": f"clerk {number}"} | more
        story.send("3505", HOSPITAL_A, {"selinfo": said}, msgid=f"m{number}")
        return story.outcome.results[0].status  # type: ignore[union-attr]

    assert [send(1), send(2)] == ["accepted", "first_answer"]
    assert send(3, sel_retn_cnt="2") == "key_reused"


def test_the_same_code_twice_in_one_message_counts_once() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, box, visit="V1", when=MONDAY)
    assert [result.status for result in story.outcome.results] == ["accepted", "duplicate_in_document"]  # type: ignore[union-attr]
    assert len(story.box(box).sales) == 1


def test_a_message_with_a_code_twice_can_be_sent_again_under_another_msgid() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, box, visit="V1", when=MONDAY)
    story.wait(days=2)
    story.report_sale(HOSPITAL_A, box, box, visit="V1", when=MONDAY, msgid="again")
    assert [result.status for result in story.outcome.results] == ["first_answer", "duplicate_in_document"]  # type: ignore[union-attr]
    assert len(story.box(box).sales) == 1
    assert story.alerts() == []


def test_a_charge_order_used_again_for_another_visit_is_not_paid_on_the_strength_of_the_first() -> None:
    story = Story()
    box = story.new_box()
    assert story.settle(HOSPITAL_A, box, order="O1", visit="V1").verdict == "pay"
    other_visit = story.settle(HOSPITAL_A, box, order="O1", visit="V2")
    assert (other_visit.verdict, statuses(other_visit)) == ("refuse", [["key_reused"]])
    assert (story.paid(box), other_visit.paid) == (1, 0)


def test_the_same_line_without_a_box_again_gets_its_first_answer() -> None:
    story = Story()
    said = {"product": "ZA01AAA0001010112345", "visit": "V1", "line": "1", "when": MONDAY}
    assert story.report_sale(HOSPITAL_A, **said) == "accepted"
    assert story.report_sale(HOSPITAL_A, msgid="again", **said) == "first_answer"
    assert story.report_sale(HOSPITAL_A, quantity="2", **said) == "key_reused"


def test_fee_details_sent_again_change_nothing() -> None:
    story = Story()
    lines = [Line(product="XB05BAF058B002010102345")]

    def kept() -> int:
        return sum(event.kind == "fee_line" and event.key.startswith("claim:") for event in story.events())

    story.fees(HOSPITAL_A, lines)
    story.fees(HOSPITAL_A, lines)
    again = story.raw
    assert kept() == 1
    story.fees(HOSPITAL_A, [Line(product="XB05BAF058B002010102345", quantity="2")])
    assert story.send_bytes(again).repeated, "a late copy must not put the older fees back"
    assert kept() == 2


def test_a_deletion_that_was_refused_does_not_take_effect_when_its_bytes_come_late() -> None:
    story = Story()
    box = story.new_box()
    assert story.delete(PHARMACY_P, "B1") == "undo_not_found"
    refused = story.raw
    story.report_sale(PHARMACY_P, box, receipt="1", batch="B1")
    assert story.send_bytes(refused).repeated
    assert story.answer["infcode"] == -1
    assert len(story.box(box).sales) == 1
    assert story.delete(PHARMACY_P, "B1") == "accepted", "a message of its own is judged anew"


def test_a_deletion_in_doubt_repeats_what_it_listed() -> None:
    story = Story()
    boxes = [story.new_box(), story.new_box()]
    for number, box in enumerate(boxes):
        story.report_sale(PHARMACY_P, box, receipt=str(number), batch="B1", msgid=f"m{number}")
    assert story.delete(PHARMACY_P, "B1") == "undo_ambiguous"
    refused, words = story.raw, story.answer["err_msg"]
    assert words.count("上传1条") == 2
    third = story.new_box()
    story.report_sale(PHARMACY_P, third, receipt="2", batch="B1", msgid="m2")
    assert story.send_bytes(refused).repeated
    assert story.answer["err_msg"] == words
    assert story.delete(PHARMACY_P, "B1") == "undo_ambiguous"
    assert story.answer["err_msg"].count("上传1条") == 3


def test_a_repeat_names_codes_and_reference_as_the_first_answer_did() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_B, box, visit="V1")
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in box)
    story.report_sale(HOSPITAL_A, wide, visit="V1", when=MONDAY)
    first, raw = story.answer, story.raw
    assert f"追溯码{box}" in first["warn_msg"]
    story.wait(days=1)
    assert story.send_bytes(raw).repeated
    told = ("infcode", "inf_refmsgid", "warn_msg", "output")
    assert [story.answer[name] for name in told] == [first[name] for name in told]


def test_the_reversal_of_a_reversal_that_was_refused_is_not_found() -> None:
    story = Story()
    story.settle(PHARMACY_P, story.new_box(), msgid="m1")
    story.wait(days=11)
    story.send("2601", PHARMACY_P, {"data": {"omsgid": "m1", "oinfno": "2102"}}, msgid="r1")
    assert story.answer["infcode"] == -1
    assert story.reverse(PHARMACY_P, "r1", infno="2601") == "undo_not_found"


@pytest.mark.parametrize("undo", ["reversal", "cancel"])
def test_an_undo_that_came_too_late_stays_too_late_whatever_the_policy_becomes(undo: str) -> None:
    story = Story()
    box = story.new_box()
    settlement = story.settle(PHARMACY_P, box, msgid="m1").settlement
    story.wait(days=11)
    if undo == "reversal":
        assert story.reverse(PHARMACY_P, "m1", infno="2102") == "undo_too_late"
    else:
        assert story.cancel(PHARMACY_P, settlement) == "undo_too_late"
    refused = story.raw
    story.desk.policy = msgspec.structs.replace(STRICT, undo_days={**STRICT.undo_days, "pharmacy": 60})
    assert story.send_bytes(refused).repeated
    assert (story.answer["infcode"], story.paid(box)) == (-1, 1)
    assert story.cancel(PHARMACY_P, settlement) == "accepted"


def test_a_cancel_by_another_repeats_its_alert() -> None:
    story = Story()
    settlement = story.settle(HOSPITAL_A, story.new_box()).settlement
    for _ in range(2):  # the second message finds the alert raised, and writes nothing else
        assert story.cancel(HOSPITAL_B, settlement) == "undo_by_another"
    [alert] = [event.key for event in story.events() if event.kind == "alerted"]
    outcome = story.send_bytes(story.raw)
    assert outcome.repeated
    [result] = outcome.results
    assert isinstance(result, Result)
    assert alert == f"alert:{result.alert}"


def test_a_pharmacy_claim_without_any_number_is_known_by_its_time() -> None:
    story = Story()
    box = story.new_box()
    assert story.settle(PHARMACY_P, box, order="", visit="", when=MONDAY).verdict == "pay"
    assert not story.settle(PHARMACY_P, box, order="", visit="", when=MONDAY).first
