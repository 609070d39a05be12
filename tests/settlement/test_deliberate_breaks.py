"""The rules' tests can fail: each of these deliberate breaks of the code makes one of them do so."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import test_r01_one_open_paid_claim as r01
import test_r05_line_identity as r05
import test_r06_the_same_fact_again as r06
import test_r07_tolerated_double_scan as r07
import test_r08_an_error_on_the_wire as r08
import test_r09_verdicts as r09
import test_r11_policy_by_place_fund_and_date as r11
import test_r12_one_pass_or_fail as r12
import test_r13_awaiting_scan as r13
import test_r17_recall_and_other_holds as r17
import test_r18_split_packs as r18
import test_r20_no_code as r20
import test_r24_persons as r24
import test_r25_undo as r25
from story import PHARMACY_P

from suyuan.intake import claims, prepare, scans, undo, upload
from suyuan.ledger import admission, balances
from suyuan.ledger.box import Box
from suyuan.ledger.keys import claim_key
from suyuan.settlement.claim_file import ClaimFile

Break = Callable[[pytest.MonkeyPatch], None]


def one_code_on_two_lines_is_paid_twice(patch: pytest.MonkeyPatch) -> None:
    judge = claims._judge_code
    patch.setattr(
        claims, "_judge_code", lambda books, prepared, fact, seen, pending: judge(books, prepared, fact, set(), {})
    )


def a_second_claim_of_a_box_is_admitted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "_conflict", lambda fact, others: "")


def a_return_by_another_actor_is_accepted(patch: pytest.MonkeyPatch) -> None:
    meant = admission._sales_meant

    def of_anybody(fact: Any, box: Box) -> list[Any]:
        return meant(fact, box) or [sale for sale in box.sales if sale.report is not None]

    patch.setattr(admission, "_sales_meant", of_anybody)


def a_cancel_by_another_actor_is_accepted(patch: pytest.MonkeyPatch) -> None:
    def owner(self: undo.PreparedUndo, institution: str) -> str:
        return claim_key(self.settlement[:12], {"settlement": self.settlement})

    patch.setattr(undo.PreparedUndo, "_pointer", owner)


def a_split_beyond_the_units_is_accepted(patch: pytest.MonkeyPatch) -> None:
    conflict = admission._conflict
    patch.setattr(admission, "_conflict", lambda fact, others: "" if fact.split and fact.m else conflict(fact, others))


def a_split_claim_beyond_the_units_is_accepted(patch: pytest.MonkeyPatch) -> None:
    a_split_beyond_the_units_is_accepted(patch)
    patch.setattr(Box, "claimed_units", lambda box, besides=0: Fraction(0))


def a_receipt_is_known_without_its_business_date(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(prepare.Preparer, "_references", lambda self, scan, when: dict(scan.references))


def a_repeated_claim_is_not_recognised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClaimFile, "open_with", lambda self, fact: None)


def a_second_settlement_is_tolerated(patch: pytest.MonkeyPatch) -> None:
    first_scan = admission._first_scan

    def of_claims_too(fact: Any, box: Box, rules: Any) -> Any:
        return first_scan(fact, box, rules) or next(
            (sale for sale in box.sales if sale.known_by.actor == fact.actor), None
        )

    patch.setattr(admission, "_first_scan", of_claims_too)
    patch.setattr(admission, "relate", _relate_with_tolerance(of_claims_too))


def _relate_with_tolerance(first_scan: Callable[[Any, Box, Any], Any]) -> Callable[..., Any]:
    relate = admission.relate

    def tolerant(fact: Any, box: Box, rules: Any, elsewhere: Any = ()) -> Any:
        first = first_scan(fact, box, rules) if box.sales else None
        return ("tolerated_repeat", first, None) if first is not None else relate(fact, box, rules, elsewhere)

    return tolerant


def a_byte_equal_message_is_judged_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(upload.Upload, "_answered_before", lambda self, books: None)


def a_refused_claim_draws_its_good_codes(patch: pytest.MonkeyPatch) -> None:
    write = claims._write_code
    patch.setattr(claims, "_write_code", lambda *args, failed: write(*args, failed=False))


def advice_is_written_down(patch: pytest.MonkeyPatch) -> None:
    take = claims.take_claim

    def as_a_claim(books: Any, prepared: Any, *, reversed_before: bool = False) -> Any:
        prepared.claim.advice = False
        return take(books, prepared, reversed_before=reversed_before)

    patch.setattr(upload, "take_claim", as_a_claim)


def observing_draws_conflicts_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "draws", lambda natural, answered, admitted, fits: answered != "refuse")


def a_recall_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "standing_holds", lambda books, fact: [])


def a_sale_that_races_a_recall_is_not_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(upload.Upload, "look_again", lambda self: None)


def a_hold_is_paid_whatever_happened_meanwhile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Box, "claimed_units", lambda box, besides=0: Fraction(0))


def a_scan_fills_a_line_without_drawing_the_box(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("suyuan.intake.fill._claim_box", lambda books, sold, settlement, line, desk: 1)


def a_balance_counts_claim_and_report(patch: pytest.MonkeyPatch) -> None:
    counts = balances._counts

    def together(last: Any) -> dict[str, int]:
        both = sum(counts(last).values())
        return {"sold": both, "claimed": both} if last is not None else {"sold": 0, "claimed": 0}

    patch.setattr(balances, "_counts", together)


def a_hash_is_made_of_the_raw_identifier(patch: pytest.MonkeyPatch) -> None:
    identity: Any = prepare.Preparer._identity

    def with_number(self: Any, scan: Any, *said: Any) -> Any:
        return identity(self, scan, *said[:-1], scan.person)

    patch.setattr(prepare.Preparer, "_identity", with_number)


def an_alert_is_raised_at_every_retry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scans, "_told_before", lambda books, fact, admitted: {})


BREAKS: list[tuple[Break, Callable[[], None]]] = [
    (one_code_on_two_lines_is_paid_twice, r01.test_one_box_on_two_lines_of_one_claim_is_not_paid_twice),
    (a_second_claim_of_a_box_is_admitted, r01.test_a_box_is_paid_to_the_first_who_claims_it_and_refused_to_the_next),
    (a_return_by_another_actor_is_accepted, r25.test_a_return_by_another_institution_is_an_alert_and_undoes_nothing),
    (
        a_cancel_by_another_actor_is_accepted,
        r25.test_a_cancel_by_another_institution_undoes_nothing_and_is_alerted_once,
    ),
    (
        a_split_beyond_the_units_is_accepted,
        r18.test_reports_draw_n_of_m_and_more_than_m_is_a_conflict_kept_as_evidence,
    ),
    (a_split_claim_beyond_the_units_is_accepted, r01.test_split_claims_share_a_box_up_to_its_units),
    (
        a_receipt_is_known_without_its_business_date,
        r05.test_a_receipt_number_that_restarts_daily_carries_the_business_date,
    ),
    (a_repeated_claim_is_not_recognised, r06.test_a_repeated_claim_gets_its_first_answer),
    (a_second_settlement_is_tolerated, r07.test_a_second_settlement_is_never_tolerated),
    (
        a_byte_equal_message_is_judged_anew,
        r06.test_a_byte_equal_message_gets_its_first_answer_even_where_it_would_now_be_judged_otherwise,
    ),
    (
        a_refused_claim_draws_its_good_codes,
        lambda: r12.test_a_refused_line_fails_the_message_draws_nothing_and_names_the_code(PHARMACY_P, "pharmacy"),
    ),
    (advice_is_written_down, r12.test_advice_after_the_settlement_finds_it),
    (
        observing_draws_conflicts_too,
        lambda: r11.test_a_conflict_is_answered_pay_but_is_never_the_open_paid_claim("warn"),
    ),
    (
        a_recall_is_not_looked_at,
        r17.test_after_the_acknowledgement_the_next_claim_of_the_batch_is_refused_and_after_its_end_paid_again,
    ),
    (
        a_sale_that_races_a_recall_is_not_looked_at_again,
        lambda: r17.test_a_sale_that_races_a_recall_is_alerted_and_not_prevented("claim"),
    ),
    (
        a_hold_is_paid_whatever_happened_meanwhile,
        r09.test_a_hold_on_a_possible_split_is_not_paid_beside_the_first_claim,
    ),
    (
        a_scan_fills_a_line_without_drawing_the_box,
        r13.test_the_scan_at_dispensing_fills_the_line_and_draws_the_box,
    ),
    (a_balance_counts_claim_and_report, r20.test_claim_and_report_of_one_sale_are_not_counted_twice),
    (a_hash_is_made_of_the_raw_identifier, r24.test_the_hash_of_what_was_said_cannot_be_tried_out_for_the_person),
    (an_alert_is_raised_at_every_retry, r12.test_a_failed_claim_is_alerted_once_however_often_it_is_retried),
    (
        a_repeated_claim_is_not_recognised,
        lambda: r08.test_a_claim_whose_answer_was_lost_is_sent_again_and_paid_once("after", ""),
    ),
]


@pytest.mark.parametrize(("broken", "check"), BREAKS, ids=[broken.__name__ for broken, _ in BREAKS])
def test_a_break_is_noticed(broken: Break, check: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check()
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        check()
