"""R25: an undo is of the same institution, in its window, and resolves to one original; else nothing is undone."""

from datetime import timedelta
from typing import Any

import pytest
from story import ESCAPE, HOSPITAL_A, HOSPITAL_B, MONDAY, PHARMACY_P, PHARMACY_Q, SPLITTABLE, WHOLE, Line, Story

from suyuan.formats.document import Document
from suyuan.ledger.scan import Result
from suyuan.settlement.claim import Undo

# Returns (3506).


def test_a_return_resolves_to_the_one_open_sale_of_that_code_here() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="1")
    assert story.give_back(PHARMACY_P, box) == "accepted"
    assert story.give_back(PHARMACY_P, box, when=MONDAY + timedelta(days=1)) == "undo_not_found"
    assert not story.box(box).sales


def test_a_return_that_fits_several_open_sales_is_ambiguous_unless_it_quotes_one() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    for number in ("1", "2"):
        said: dict[str, Any] = {"product": SPLITTABLE, "split": True, "quantity": "4", "person": number}
        story.report_sale(PHARMACY_P, box, receipt=number, **said)
    assert story.give_back(PHARMACY_P, box, product=SPLITTABLE) == "undo_ambiguous"
    assert len(story.box(box).sales) == 2
    assert story.give_back(PHARMACY_P, box, product=SPLITTABLE, original="2@2026-03-09") == "accepted"
    assert [sale.known_by.person for sale in story.box(box).sales] == [story.history(box)[0].person]


def test_a_return_by_another_institution_is_an_alert_and_undoes_nothing() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="1")
    assert story.give_back(PHARMACY_Q, box) == "undo_by_another"
    assert story.alerts() == ["undo_by_another"]
    assert len(story.box(box).sales) == 1
    assert story.give_back(PHARMACY_P, box) == "accepted"


@pytest.mark.parametrize(("place", "days"), [(PHARMACY_P, 10), (HOSPITAL_A, 60)])
def test_a_return_after_its_window_is_too_late(place: str, days: int) -> None:
    story = Story()
    box, late = story.new_box(), story.new_box()
    story.report_sale(place, box, late, visit="V1")
    story.wait(days=days - 1)
    assert story.give_back(place, box, visit="V1") == "accepted"
    story.wait(days=2)
    assert story.give_back(place, late, visit="V1") == "undo_too_late"
    assert len(story.box(late).sales) == 1


def test_a_return_may_quote_what_only_the_claim_knows() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    settlement = story.settle(HOSPITAL_A, box, visit="V1").settlement
    assert story.give_back(HOSPITAL_A, box, settlement=settlement) == "accepted"
    assert story.box(box).sales[0].report is None
    assert story.paid(box) == 1


def test_a_return_that_quotes_another_sale_waits_for_it() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert story.give_back(HOSPITAL_A, box, visit="V2") == "parked"
    assert story.give_back(HOSPITAL_A, box, original="unknown number") == "undo_not_found"
    assert len(story.box(box).sales) == 1


def test_a_repeated_return_gets_its_first_answer() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert story.give_back(HOSPITAL_A, box, visit="V1", when=MONDAY) == "accepted"
    assert story.give_back(HOSPITAL_A, box, visit="V1", when=MONDAY) == "first_answer"
    assert len([event for event in story.history(box) if event.kind == "returned"]) == 1


# Cancels (2103, 2208, 2305).


@pytest.mark.parametrize("place", [HOSPITAL_A, PHARMACY_P])
@pytest.mark.parametrize("claimed", [{"visit": "V1"}, {"visit": ""}], ids=["with a visit", "without a visit"])
@pytest.mark.parametrize("quoted", ["V1", ""])
def test_a_cancel_finds_the_settlement_by_its_id_alone_and_restores_the_box_exactly(
    place: str, claimed: dict[str, Any], quoted: str
) -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.settle(place, other, order="O2", **claimed)
    before = [story.box(box).sales, story.box(box).claimed_units()]
    settlement = story.settle(place, box, **claimed).settlement
    assert story.cancel(place, settlement, quoted) == "accepted"
    assert [story.box(box).sales, story.box(box).claimed_units()] == before
    assert story.paid(other) == 1


def test_a_cancel_releases_exactly_the_codes_of_its_claim() -> None:
    story = Story()
    first, second, third = (story.new_box() for _ in range(3))
    settlement = story.settle(HOSPITAL_A, first, second).settlement
    story.settle(HOSPITAL_A, third, order="O2")
    story.cancel(HOSPITAL_A, settlement)
    assert [story.paid(box) for box in (first, second, third)] == [0, 0, 1]


def test_a_repeated_cancel_succeeds_and_changes_nothing() -> None:
    story = Story()
    box = story.new_box()
    settlement = story.settle(HOSPITAL_A, box).settlement
    assert story.cancel(HOSPITAL_A, settlement) == "accepted"
    before = len(story.history(box))
    assert story.cancel(HOSPITAL_A, settlement) == "first_answer"
    assert story.answer["infcode"] == 0
    assert len(story.history(box)) == before


def test_a_cancel_of_what_never_was_is_refused_with_words() -> None:
    story = Story()
    assert story.cancel(HOSPITAL_A, "H44010000001202603090000000000") == "undo_not_found"
    assert story.cancel(HOSPITAL_A, "typed wrongly") == "undo_not_found"
    assert (story.answer["infcode"], story.alerts()) == (-1, [])


def test_a_cancel_by_another_institution_undoes_nothing_and_is_alerted_once() -> None:
    story = Story()
    box = story.new_box()
    settlement = story.settle(HOSPITAL_A, box).settlement
    for _ in range(2):
        assert story.cancel(HOSPITAL_B, settlement) == "undo_by_another"
    assert story.alerts() == ["undo_by_another"]
    assert story.paid(box) == 1
    assert story.cancel(HOSPITAL_A, settlement) == "accepted"


@pytest.mark.parametrize(
    ("place", "setting", "days"), [(PHARMACY_P, "", 10), (HOSPITAL_A, "", 30), (HOSPITAL_A, "inpatient", 60)]
)
def test_a_cancel_after_its_window_is_too_late(place: str, setting: str, days: int) -> None:
    for late in (False, True):
        story = Story()
        box = story.new_box()
        settlement = story.settle(place, box, setting=setting).settlement
        story.wait(days=days, hours=1 if late else -1)
        assert story.cancel(place, settlement) == ("undo_too_late" if late else "accepted")
        assert story.paid(box) == late


def test_a_cancel_without_a_number_is_ambiguous_where_a_visit_has_several_settlements() -> None:
    story = Story()
    first = story.settle(HOSPITAL_A, story.new_box(), order="O1").settlement
    second = story.settle(HOSPITAL_A, story.new_box(), order="O2").settlement

    def cancel(**references: str) -> Result:
        undo = Undo(kind="cancelled", where="1", references={"visit": "V1", **references})
        [result] = story.take(Document(format="table", institution=HOSPITAL_A, records=[undo]))
        return result

    ambiguous = cancel()
    assert ambiguous.status == "undo_ambiguous"
    assert first in ambiguous.message
    assert second in ambiguous.message
    assert cancel(order="O1").status == "accepted"
    assert cancel().status == "accepted"
    assert cancel().status == "undo_not_found"


# Reversals (2601).


def test_a_reversal_undoes_by_msgid_and_is_idempotent() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, msgid="m1")
    assert story.reverse(HOSPITAL_A, "m1", infno="2102") == "parked"
    assert story.paid(box) == 1
    assert [story.reverse(HOSPITAL_A, "m1") for _ in range(2)] == ["accepted", "first_answer"]
    assert story.paid(box) == 0
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_a_reversal_that_arrives_first_meets_its_claim() -> None:
    story = Story()
    box = story.new_box()
    assert story.reverse(HOSPITAL_A, "m1") == "parked"
    assert story.answer["infcode"] == 0
    refused = story.settle(HOSPITAL_A, box, msgid="m1")
    assert (refused.verdict, refused.settlement, refused.paid, refused.refused) == ("refuse", "", 0, 100_000_000)
    assert "2601" in refused.problems[0]
    assert story.paid(box) == 0
    assert story.settle(HOSPITAL_A, box, msgid="m2").verdict == "pay"


def test_a_reversal_that_arrived_first_is_spent_on_one_claim() -> None:
    story = Story()
    story.reverse(HOSPITAL_A, "1234")
    assert story.settle(HOSPITAL_A, story.new_box(), msgid="1234").verdict == "refuse"
    assert story.settle(HOSPITAL_A, story.new_box(), order="O2", msgid="1234").verdict == "pay"


def test_the_reversal_of_a_retry_undoes_the_claim_that_it_found() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, msgid="m1")
    story.settle(HOSPITAL_A, box, msgid="m2")
    assert story.reverse(HOSPITAL_A, "m2") == "accepted"
    assert story.paid(box) == 0


def test_the_reversal_of_a_refused_or_cancelled_claim_succeeds_and_changes_nothing() -> None:
    story = Story()
    box, free = story.new_box(), story.new_box()
    settlement = story.settle(HOSPITAL_B, box).settlement
    story.settle(HOSPITAL_A, box, msgid="m1")
    assert story.reverse(HOSPITAL_A, "m1") == "accepted"
    assert story.paid(box) == 1
    settlement = story.settle(HOSPITAL_A, free, order="O2", msgid="m2").settlement
    story.cancel(HOSPITAL_A, settlement)
    assert story.reverse(HOSPITAL_A, "m2") == "accepted"


def test_the_reversal_of_a_msgid_on_two_bodies_is_ambiguous() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.settle(HOSPITAL_A, box, msgid="1234")
    story.settle(HOSPITAL_A, other, order="O2", msgid="1234")
    assert story.reverse(HOSPITAL_A, "1234") == "undo_ambiguous"
    assert (story.paid(box), story.paid(other)) == (1, 1)


def test_the_reversal_of_a_message_that_claimed_nothing_is_not_found() -> None:
    story = Story()
    story.report_sale(HOSPITAL_A, story.new_box(), visit="V1", msgid="m1")
    assert story.reverse(HOSPITAL_A, "m1", infno="3505") == "undo_not_found"


def test_a_reversal_after_the_window_is_too_late() -> None:
    story = Story()
    box = story.new_box()
    story.settle(PHARMACY_P, box, msgid="m1")
    story.wait(days=11)
    assert story.reverse(PHARMACY_P, "m1", infno="2102") == "undo_too_late"
    assert story.paid(box) == 1


# Deletions (3507).


def test_a_deletion_undoes_what_one_message_made_and_succeeds_again() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="1", batch="B1")
    story.report_sale(PHARMACY_P, other, receipt="2", batch="B2")
    assert [story.delete(PHARMACY_P, "B1") for _ in range(2)] == ["accepted", "first_answer"]
    assert [len(story.box(one).sales) for one in (box, other)] == [0, 1]
    assert story.delete(PHARMACY_P, "B9") == "undo_not_found"
    assert story.delete(PHARMACY_Q, "B2") == "undo_not_found"


def test_a_deletion_of_a_batch_that_several_messages_made_is_ambiguous() -> None:
    story = Story()
    story.report_sale(PHARMACY_P, story.new_box(), receipt="1", batch="0001")
    story.report_sale(PHARMACY_P, story.new_box(), receipt="2", batch="0001")
    assert story.delete(PHARMACY_P, "0001") == "undo_ambiguous"
    result = story.outcome.results[0]
    assert isinstance(result, Result)
    assert result.message.count("上传1条") == 2
    assert "20260309" in result.message


def test_a_deletion_of_sales_has_the_window_of_a_return() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="1")
    story.wait(days=11)
    assert story.delete(PHARMACY_P) == "undo_too_late"
    assert len(story.box(box).sales) == 1


def test_a_deletion_of_a_sale_does_not_touch_the_claim_beside_it() -> None:
    story = Story()
    box = story.new_box()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    assert story.delete(HOSPITAL_A) == "accepted"
    [sale] = story.box(box).sales
    assert (sale.report, sale.paid) == (None, True)


def test_a_box_twice_in_a_deleted_message_is_free_again() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, box, receipt="1")
    story.delete(PHARMACY_P)
    assert not story.box(box).sales


def test_what_was_given_back_before_the_deletion_stays_given_back() -> None:
    story = Story()
    box, kept = story.new_box(), story.new_box()
    story.report_sale(PHARMACY_P, box, kept, receipt="1", batch="B1")
    story.give_back(PHARMACY_P, box, receipt="1", batch="B2")
    assert story.delete(PHARMACY_P, "B1") == "accepted"
    assert not story.box(box).sales
    assert not story.box(kept).sales


@pytest.mark.parametrize("claimed", ["never", "before the sale", "after the sale"])
def test_a_deleted_return_lets_the_sale_stand_again(claimed: str) -> None:
    story = Story()
    box = story.new_box()
    if claimed == "before the sale":
        story.settle(HOSPITAL_A, box)
    story.report_sale(HOSPITAL_A, box, visit="V1", batch="B1")
    if claimed == "after the sale":
        story.settle(HOSPITAL_A, box)
    story.give_back(HOSPITAL_A, box, visit="V1", batch="B2")
    assert story.delete(HOSPITAL_A, "B2") == "accepted"
    [sale] = story.box(box).sales
    assert sale.report is not None
    assert (sale.claim is None) == (claimed == "never")
    assert story.give_back(HOSPITAL_A, box, visit="V1", batch="B3") == "accepted"


def test_a_deleted_return_of_a_sale_that_was_told_again_since_makes_no_second_sale() -> None:
    story = Story()
    box = story.new_box()
    for batch in ("B1", "B3"):
        assert story.report_sale(HOSPITAL_A, box, visit="V1", batch=batch, when=MONDAY) == "accepted"
        if batch == "B1":
            story.give_back(HOSPITAL_A, box, visit="V1", batch="B2")
    assert story.delete(HOSPITAL_A, "B2") == "accepted"
    assert len(story.box(box).sales) == 1


def test_a_deleted_sale_without_a_scan_gives_back_nothing() -> None:
    story = Story()
    story.report_sale(HOSPITAL_A, visit="V1", product=WHOLE)
    assert story.delete(HOSPITAL_A) == "accepted"
    assert not [event for event in story.events() if event.key.startswith("balance:")]


def test_a_deleted_return_that_was_waiting_takes_back_nothing() -> None:
    story = Story()
    box = story.new_box()
    sold_at = story.clock()
    story.wait(hours=1)
    assert story.give_back(HOSPITAL_A, box, visit="V1", batch="B2") == "parked"
    story.delete(HOSPITAL_A, "B2")
    story.report_sale(HOSPITAL_A, box, visit="V1", when=sold_at)
    assert len(story.box(box).sales) == 1
    assert story.wait(days=30) == 1
    assert story.alerts() == []


def test_a_deleted_return_that_had_waited_lets_the_sale_stand() -> None:
    story = Story()
    box = story.new_box()
    sold_at = story.clock()
    story.wait(hours=1)
    story.give_back(HOSPITAL_A, box, visit="V1", batch="B2")
    story.report_sale(HOSPITAL_A, box, visit="V1", when=sold_at)
    assert not story.box(box).sales
    story.delete(HOSPITAL_A, "B2")
    assert len(story.box(box).sales) == 1


def test_a_deleted_report_of_destruction_lets_the_box_be_sold() -> None:
    story = Story()
    box = story.new_box()
    story.destroy(HOSPITAL_A, box, batch="B7")
    assert story.report_sale(HOSPITAL_A, box, visit="V1") == "destroyed"
    assert story.delete(HOSPITAL_A, "B7", data_type="2") == "accepted"
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_the_escape_code_in_a_cancelled_claim_and_a_deleted_sale_is_given_back() -> None:
    story = Story()
    line = Line((ESCAPE,), SPLITTABLE, "5", split=True)
    settlement = story.settle(PHARMACY_P, lines=[line]).settlement
    story.cancel(PHARMACY_P, settlement)
    story.report_sale(PHARMACY_P, ESCAPE, receipt="1", product=SPLITTABLE, quantity="5", split=True)
    story.delete(PHARMACY_P)
    last = {event.key: event.detail["used"] for event in story.events() if event.key.startswith("balance:escape:")}
    assert set(last.values()) == {0}
