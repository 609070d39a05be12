"""R9: pay, hold or refuse, per code, per line, per claim."""

from story import (
    GS1_DRUG,
    HOSPITAL_A,
    HOSPITAL_B,
    LEGACY,
    PHARMACY_P,
    PHARMACY_Q,
    PHARMACY_SUSPENDED,
    SERVICE,
    SPLITTABLE,
    WHOLE,
    Line,
    Story,
    statuses,
)

from suyuan.ledger.statuses import STATUSES

UNKNOWN = "89999990000000000017"
# The separators behind lot and serial were lost: either everything is one unknown text, or it divides into its parts.
AMBIGUOUS = "0106901234567892" + "10ABCDEFGH17300101" + "21SN123456"
READ_AGAIN = "(01)06901234567892(17)300101(10)ABCDEFGH(21)SN123456"
AMBIGUOUS_LOT = "0106901234567892" + "10A123456721B1234567"


def test_every_status_has_the_verdict_of_the_rule() -> None:
    verdicts = {status.name: status.verdict for status in STATUSES}
    paid = {name for name, verdict in verdicts.items() if verdict == "pay"}
    held = {name for name, verdict in verdicts.items() if verdict == "hold"}
    assert paid == {
        "accepted",
        "same_sale",
        "awaiting_scan",
        "not_received",
        "unmapped",
        "possible_same_sale",
    }
    assert held == {"code_review", "possible_split", "product_differs", "parked"}
    assert {name for name, verdict in verdicts.items() if not verdict} == {"first_answer", "tolerated_repeat"}


def test_an_unknown_product_is_paid() -> None:
    story = Story()
    verdict = story.settle(HOSPITAL_A, UNKNOWN)
    assert (verdict.verdict, statuses(verdict)) == ("pay", [["unmapped"]])
    assert story.paid(UNKNOWN) == 1


def test_a_conflict_with_a_report_that_nobody_claimed_is_held_and_one_with_a_claim_is_refused() -> None:
    story = Story()
    reported, claimed = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_A, reported, visit="V1")
    story.settle(HOSPITAL_A, claimed)
    held = story.settle(HOSPITAL_B, reported)
    assert (held.verdict, held.paid, held.held) == ("hold", 0, 100_000_000)
    assert story.settle(HOSPITAL_B, claimed, order="O2").verdict == "refuse"


def test_a_claim_shows_its_worst_line_and_lines_stand_alone() -> None:
    story = Story()
    held, paid = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    verdict = story.settle(HOSPITAL_A, lines=[Line((held,), amount=30), Line((paid,), amount=70)], amount=100)
    story.fees(HOSPITAL_A, [Line(product=WHOLE, amount=30), Line(product=WHOLE, amount=70)], order="O2", visit="V2")
    assert [line.verdict for line in verdict.lines] == ["hold", "pay"]
    assert verdict.verdict == "hold"
    assert (verdict.paid, verdict.held, verdict.refused) == (50_000_000, 50_000_000, 0)


def test_the_amounts_of_fee_lines_decide_the_shares() -> None:
    story = Story()
    held, paid = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    story.fees(HOSPITAL_A, [Line(product=WHOLE, amount=30), Line(product=WHOLE, amount=70)])
    verdict = story.settle(HOSPITAL_A, held, paid)
    assert (verdict.paid, verdict.held) == (70_000_000, 30_000_000)


def test_pay_and_hold_draw_the_box_down_and_refuse_does_not() -> None:
    story = Story()
    paid, held, refused = story.new_box(), story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    story.settle(HOSPITAL_B, refused, order="O9")
    story.settle(HOSPITAL_A, paid, order="O1")
    story.settle(HOSPITAL_A, held, order="O2")
    story.settle(HOSPITAL_A, refused, order="O3")
    last = [story.history(box)[-1] for box in (paid, held, refused)]
    assert [event.drawn for event in last] == [True, True, False]
    # Only what is paid is the box's open paid claim.
    assert [story.box(box).claimed_units() for box in (paid, held)] == [1, 0]
    next_one = story.settle(PHARMACY_P, held)
    assert next_one.verdict == "refuse"


def test_the_loser_of_a_race_sees_the_kind_of_place_and_the_date_band_but_no_name() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    [code] = story.settle(PHARMACY_P, box).lines[0].codes
    assert code.facts == {
        "earlier_sale": "elsewhere",
        "kind_of_place": "hospital",
        "date_band": "2026-03",
        "claimed": "yes",
    }
    assert HOSPITAL_A not in str(story.answer)


def test_a_suspended_institution_is_refused_and_alerted_and_another_is_paid() -> None:
    story = Story()
    box = story.new_box()
    refused = story.settle(PHARMACY_SUSPENDED, box)
    assert (refused.verdict, statuses(refused)) == ("refuse", [["institution_suspended"]])
    assert story.alerts() == ["suspended"]
    assert story.report_sale(PHARMACY_SUSPENDED, story.new_box(), receipt="R1") == "accepted"
    assert story.settle(PHARMACY_P, box).verdict == "pay"


def test_a_destroyed_box_is_refused_and_alerted() -> None:
    story = Story()
    box = story.new_box()
    assert story.destroy(HOSPITAL_A, box) == "accepted"
    assert statuses(story.settle(HOSPITAL_B, box)) == [["destroyed"]]
    assert story.alerts() == ["destroyed"]
    assert story.receive(HOSPITAL_B, box) == "destroyed"


# A code that can be read in two ways.


def test_a_code_under_review_is_held_draws_nothing_and_is_kept_under_both_readings() -> None:
    story = Story()
    verdict = story.settle(HOSPITAL_A, AMBIGUOUS)
    assert (verdict.verdict, statuses(verdict)) == ("hold", [["code_review"]])
    readings = [box for box in story.boxes() if box.sequence]
    assert len(readings) == 2
    assert all(not box.sales and not box.claimed_units() for box in readings)


def test_neither_reading_of_a_code_under_review_is_held_against_its_sender() -> None:
    story = Story()
    story.settle(HOSPITAL_B, AMBIGUOUS)
    story.settle(HOSPITAL_B, READ_AGAIN, order="O2")
    assert story.paid(READ_AGAIN) == 1
    verdict = story.settle(PHARMACY_P, AMBIGUOUS)
    assert statuses(verdict) == [["code_review"]]
    assert story.report_sale(PHARMACY_P, AMBIGUOUS, receipt="R1") == "code_review"
    assert story.give_back(PHARMACY_P, AMBIGUOUS, receipt="R1") == "code_review"
    assert story.alerts() == []


def test_a_reading_as_a_lot_is_no_box_and_is_held_as_well() -> None:
    story = Story()
    verdict = story.settle(HOSPITAL_A, AMBIGUOUS_LOT)
    assert (verdict.verdict, statuses(verdict)) == ("hold", [["code_review"]])
    assert [box.key for box in story.boxes()] == ["gs1:06901234567892:B1234567"]
    only_lots = story.settle(HOSPITAL_A, "0106901234567892" + "10A12345678" + "17300101", order="O2")
    assert (only_lots.verdict, statuses(only_lots)) == ("hold", [["code_review"]])
    assert not [event for event in story.events() if event.key.startswith("balance:")]


def test_a_code_under_review_is_scanned_again_and_judged_at_once() -> None:
    story = Story()
    held = story.settle(HOSPITAL_A, AMBIGUOUS)
    story.cancel(HOSPITAL_A, held.settlement)
    assert story.settle(HOSPITAL_A, READ_AGAIN).verdict == "pay"


def test_a_code_that_is_never_read_again_is_not_paid_when_the_hold_ends() -> None:
    story = Story()
    story.settle(HOSPITAL_A, AMBIGUOUS)
    assert story.wait(days=16) == 1
    [end] = [event for event in story.events() if event.kind == "due" and event.key.startswith("claim:")]
    assert end.verdict == "refuse"
    assert [box.claimed_units() for box in story.boxes()] == [0, 0]


# A hold has an owner, a deadline and a way out.


def test_a_hold_ends_at_its_deadline_and_is_paid_if_the_box_is_free() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    story.settle(HOSPITAL_B, box)
    assert (story.wait(days=14), story.paid(box)) == (0, 0)
    assert (story.wait(days=2), story.paid(box)) == (1, 1)
    assert story.settle(PHARMACY_P, box).verdict == "refuse"


def test_whoever_reported_first_is_paid_while_the_other_waits_and_the_hold_ends_in_a_refusal() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert story.settle(HOSPITAL_B, box, order="O2", visit="V2").verdict == "hold"
    owner = story.settle(HOSPITAL_A, box, visit="V1")
    assert (owner.verdict, statuses(owner)) == ("pay", [["same_sale"]])
    assert story.wait(days=16) == 1
    assert story.paid(box) == 1
    assert [sale.known_by.actor for sale in story.box(box).sales] == [HOSPITAL_A]
    [end] = [event for event in story.events() if event.kind == "due" and event.key.startswith("claim:")]
    assert (end.verdict, end.detail["held"]) == ("refuse", 100_000_000)


def test_a_hold_on_a_possible_split_is_not_paid_beside_the_first_claim() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.settle(PHARMACY_P, box)
    second = story.settle(PHARMACY_P, box, order="O2", visit="V2")
    assert (second.verdict, statuses(second)) == ("hold", [["possible_split"]])
    story.wait(days=16)
    assert story.paid(box) == 1


def test_the_way_out_of_a_hold_is_to_cancel_and_scan_again() -> None:
    story = Story()
    box, right = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_B, box, visit="V9")
    held = story.settle(HOSPITAL_A, box)
    assert story.cancel(HOSPITAL_A, held.settlement) == "accepted"
    assert story.settle(HOSPITAL_A, right).verdict == "pay"
    assert story.wait(days=16) == 0
    assert story.paid(box) == 0


def test_two_claims_of_one_institution_are_not_both_paid_while_the_first_is_on_hold() -> None:
    story = Story()
    swapped = story.new_box(SPLITTABLE)
    story.report_sale(PHARMACY_P, swapped, receipt="R1", person="")
    held = story.settle(PHARMACY_P, lines=[Line((swapped,), WHOLE)], visit="")
    assert held.lines[0].codes[0].reasons == ("possible_same_sale", "product_differs")
    assert held.verdict == "hold"
    second = story.settle(PHARMACY_P, swapped, order="O2", visit="")
    assert second.verdict == "hold"
    story.wait(days=16)
    assert story.paid(swapped) == 1


# Under observe and warn.


def test_a_line_without_a_code_is_judged_by_what_it_bills() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=SERVICE, amount=60), Line(product=LEGACY, amount=40)])
    verdict = story.settle(HOSPITAL_A)
    assert (verdict.verdict, statuses(verdict), verdict.paid) == ("pay", [["accepted"], ["accepted"]], 100_000_000)
    missing = story.settle(PHARMACY_Q, lines=[Line((), WHOLE, amount=10)])
    assert (missing.verdict, statuses(missing)) == ("refuse", [["not_scanned"]])


def test_a_claim_of_which_a_part_cannot_be_read_is_refused_as_a_whole() -> None:
    story = Story()
    box = story.new_box(GS1_DRUG)
    good = {"feedetl_sn": "1", "drug_trac_codg": box, "trdn_flag": "0", "min_prcunt_type": "2"}
    bad = {"feedetl_sn": "2", "drug_trac_codg": "", "trdn_flag": "0", "min_prcunt_type": "2"}
    head = {"psn_no": "Ann", "mdtrt_id": "V1", "chrg_bchno": "O1", "medfee_sumamt": 10}
    story.send("2207", HOSPITAL_A, {"data": head, "drug_trac_info": [good, bad]})
    assert story.answer["infcode"] == -1
    assert "drug_trac_info[1]" in story.answer["err_msg"]
    assert story.paid(box) == 0
    story.send("2206", HOSPITAL_A, {"data": head, "drug_trac_info": [good, bad]})
    assert story.outcome.results[0].verdict == "refuse"  # type: ignore[union-attr]
    story.send("2207", HOSPITAL_A, {"data": head, "drug_trac_info": [good]})
    assert story.answer["infcode"] == 0
    assert story.paid(box) == 1
