"""R13: hospitals settle before they dispense: a line waits for its scan until the policy's deadline."""

from datetime import date
from fractions import Fraction

import msgspec
from story import HERB, HOSPITAL_A, HOSPITAL_B, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story, catalogue, statuses

from suyuan.catalogue.no_code import Exemption
from suyuan.settlement.claim_file import ClaimFile


def _waiting(story: Story, visit: str = "V1") -> dict[str, int]:
    """Lines that wait for scans, and for how many."""
    key = f"claim:{HOSPITAL_A}:visit:{visit}"
    file = ClaimFile.of(story.journal.fetch([key])[key].events)
    return {line: row["count"] for entry in file.waiting() for line, row in entry.awaiting.items()}


def test_a_line_whose_expected_count_exceeds_its_codes_waits_and_is_paid() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    waiting = story.settle(HOSPITAL_A, expected=1)
    assert (waiting.verdict, statuses(waiting), waiting.paid) == ("pay", [["awaiting_scan"]], 100_000_000)
    assert _waiting(story) == {"1": 1}
    story.fees(HOSPITAL_A, [Line(product=WHOLE)], visit="V2", order="O2")
    complete = story.settle(HOSPITAL_A, expected=0, visit="V2", order="O2")
    assert (complete.verdict, statuses(complete)) == ("refuse", [["not_scanned"]])


def test_the_scan_at_dispensing_fills_the_line_and_draws_the_box() -> None:
    story = Story()
    box = story.new_box()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    settlement = story.settle(HOSPITAL_A, expected=1).settlement
    assert story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE) == "accepted"
    assert (story.paid(box), _waiting(story), len(story.box(box).sales)) == (1, {}, 1)
    assert (story.wait(days=20), story.alerts()) == (0, [])
    # It now belongs to the settlement, and is released with it.
    assert story.cancel(HOSPITAL_A, settlement) == "accepted"
    assert story.paid(box) == 0


def test_without_a_scan_the_line_is_not_scanned_after_the_deadline() -> None:
    story = Story()
    box = story.new_box()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    assert story.wait(days=2) == 0
    assert story.wait(days=2) == 1
    [due] = [event for event in story.events() if event.kind == "due"]
    assert (due.status, due.verdict, due.detail) == ("not_scanned", "refuse", {"not_scanned": ["1"]})
    # Too late: the scan is a sale report like any other.
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    assert story.paid(box) == 0


def test_codes_missing_beside_others_make_the_fullest_line_wait() -> None:
    story = Story()
    first, second, third = (story.new_box() for _ in range(3))
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE, quantity="2")])
    verdict = story.settle(HOSPITAL_A, first, second, expected=3)
    assert [line.status for line in verdict.lines] == ["accepted", "awaiting_scan"]
    assert _waiting(story) == {"2": 1}
    # The reports of boxes that are claimed already fill nothing and contradict nothing.
    for box in (first, second):
        assert story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE) == "same_sale"
    assert _waiting(story) == {"2": 1}
    story.report_sale(HOSPITAL_A, third, visit="V1", product=WHOLE)
    assert (_waiting(story), story.paid(third), story.alerts()) == ({}, 1, [])


def test_the_count_of_the_claim_is_surer_than_a_quantity_in_tablets() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.fees(HOSPITAL_A, [Line(product=SPLITTABLE, quantity="24")])
    story.settle(HOSPITAL_A, expected=1)
    assert _waiting(story) == {"1": 1}
    story.report_sale(HOSPITAL_A, box, visit="V1", product=SPLITTABLE, quantity="24")
    assert _waiting(story) == {}


def test_several_lines_share_the_expected_count() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE, quantity="1"), Line(product=SPLITTABLE, quantity="9")])
    story.settle(HOSPITAL_A, expected=4)
    assert _waiting(story) == {"1": 1, "2": 3}


def test_a_claim_that_expects_codes_and_names_no_line_waits_for_any_scan_of_the_visit() -> None:
    story = Story()
    box = story.new_box()
    verdict = story.settle(HOSPITAL_A, expected=1)
    assert (verdict.verdict, statuses(verdict)) == ("pay", [["awaiting_scan"]])
    story.report_sale(HOSPITAL_A, box, visit="V1")
    assert (story.paid(box), _waiting(story)) == (1, {})
    refused = story.settle(PHARMACY_P, expected=1, visit="V2")
    assert (refused.verdict, statuses(refused)) == ("refuse", [["not_scanned"]])


def test_a_scan_of_another_product_or_another_settlement_fills_nothing() -> None:
    story = Story()
    other, box = story.new_box(SPLITTABLE), story.new_box()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    story.report_sale(HOSPITAL_A, other, visit="V1", product=SPLITTABLE)
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE, order="O9")
    assert _waiting(story) == {"1": 1}
    assert (story.paid(other), story.paid(box)) == (0, 0)


def test_a_box_that_is_not_free_fills_nothing_and_is_alerted() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_B, box, order="O9")
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    assert story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE) == "conflict_sold"
    assert (story.paid(box), _waiting(story), story.alerts()) == (1, {"1": 1}, ["clone"])


def test_a_swapped_box_fills_nothing_though_its_line_number_fits() -> None:
    story = Story()
    swapped = story.new_box(SPLITTABLE)
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    story.report_sale(HOSPITAL_A, swapped, visit="V1", line="1")
    assert (_waiting(story), story.paid(swapped), story.alerts()) == ({"1": 1}, 0, ["product_differs"])


def test_a_recalled_box_fills_nothing() -> None:
    story = Story()
    box = story.new_box()
    story.recall(box, scope="product")
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    assert story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE) == "held"
    assert (_waiting(story), story.paid(box), story.alerts()) == ({"1": 1}, 0, ["recalled"])


def test_a_repeated_scan_and_a_code_under_review_fill_nothing() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    verdict = story.settle(HOSPITAL_A, expected=2)
    # One box was dispensed and reported before; it is found, and one more is missing.
    assert statuses(verdict) == [["same_sale"]]
    assert _waiting(story) == {"1": 1}
    assert story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE, line="7") == "tolerated_repeat"
    assert story.report_sale(HOSPITAL_A, "010690123456789210A123456721B1234567", visit="V1", line="1") == "code_review"
    assert _waiting(story) == {"1": 1}


def test_a_claim_with_a_line_waiting_and_another_on_hold_ends_each_in_its_time() -> None:
    story = Story()
    held, box = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)])
    verdict = story.settle(HOSPITAL_A, held, expected=2)
    assert (verdict.verdict, statuses(verdict)) == ("hold", [["conflict_sold"], ["awaiting_scan"]])
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE, line="2")
    assert (_waiting(story), story.paid(box), story.paid(held)) == ({}, 1, 0)
    assert story.wait(days=10) == 0
    assert story.wait(days=10) == 1
    assert story.paid(held) == 1


def test_a_hold_outlasts_the_lines_that_were_never_scanned() -> None:
    story = Story()
    held = story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)])
    settlement = story.settle(HOSPITAL_A, held, expected=2).settlement
    assert (story.wait(days=4), story.paid(held)) == (1, 0)
    assert (story.wait(days=12), story.paid(held)) == (1, 1)
    assert story.cancel(HOSPITAL_A, settlement) == "accepted"
    assert (story.paid(held), story.wait(days=90)) == (0, 0)


def test_the_deadlines_of_a_cancelled_settlement_do_nothing() -> None:
    story = Story()
    held = story.new_box()
    story.report_sale(HOSPITAL_B, held, visit="V9")
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)])
    settlement = story.settle(HOSPITAL_A, held, expected=2).settlement
    story.cancel(HOSPITAL_A, settlement)
    before = len(story.history(held))
    story.wait(days=30)
    assert len(story.history(held)) == before
    assert story.wait(days=30) == 0


# Inpatient claims carry no codes: they take those of the visit's sale reports.


def test_an_inpatient_claim_takes_the_codes_of_its_visits_reports() -> None:
    story = Story()
    first, second = story.new_box(), story.new_box()
    story.report_sale(HOSPITAL_A, first, visit="V1", product=WHOLE)
    story.report_sale(HOSPITAL_A, second, visit="V1", product=WHOLE)
    lines = [Line(product=WHOLE), Line(product=WHOLE), Line(product=SPLITTABLE)]
    story.fees(HOSPITAL_A, lines, infno="2301")
    verdict = story.settle(HOSPITAL_A, setting="inpatient")
    assert statuses(verdict) == [["same_sale"], ["same_sale"], ["awaiting_scan"]]
    assert (story.paid(first), story.paid(second), _waiting(story)) == (1, 1, {"3": 1})


def test_a_report_goes_to_the_line_that_it_names() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE, line="2")
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)], infno="2301")
    verdict = story.settle(HOSPITAL_A, setting="inpatient")
    assert statuses(verdict) == [["awaiting_scan"], ["same_sale"]]


def test_boxes_beyond_the_quantities_go_to_the_last_line_of_their_product() -> None:
    story = Story()
    for _ in range(3):
        story.report_sale(HOSPITAL_A, story.new_box(), visit="V1", product=WHOLE)
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=WHOLE)], infno="2301")
    verdict = story.settle(HOSPITAL_A, setting="inpatient")
    assert statuses(verdict) == [["same_sale"], ["same_sale", "same_sale"]]


def test_what_was_given_back_or_claimed_before_is_not_taken() -> None:
    story = Story()
    back, claimed = story.new_box(), story.new_box()
    for box in (back, claimed):
        story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    story.give_back(HOSPITAL_A, back, visit="V1", product=WHOLE)
    story.settle(HOSPITAL_A, claimed, order="O1")
    story.fees(HOSPITAL_A, [Line(product=WHOLE)], infno="2301", order="O2")
    verdict = story.settle(HOSPITAL_A, setting="inpatient", order="O2")
    assert statuses(verdict) == [["awaiting_scan"]]
    assert (story.paid(back), story.paid(claimed)) == (0, 1)


def test_the_parts_of_a_split_box_are_those_of_the_report() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.report_sale(HOSPITAL_A, box, visit="V1", product=SPLITTABLE, quantity="6", split=True)
    story.fees(HOSPITAL_A, [Line(product=SPLITTABLE, quantity="2")], infno="2301")
    assert story.settle(HOSPITAL_A, setting="inpatient").verdict == "pay"
    assert story.paid(box) == Fraction(6, 24)


# Exempt by dated policy.


def test_herbal_slices_need_no_scan_while_the_policy_says_so() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=HERB)])
    assert statuses(story.settle(HOSPITAL_A)) == [["accepted"]]
    ended = msgspec.structs.replace(
        catalogue(), exemptions=[Exemption("herbal_slices", name="herbal_slices", valid_to=date(2026, 1, 1))]
    )
    story = Story(content=ended)
    story.fees(HOSPITAL_A, [Line(product=HERB)])
    assert statuses(story.settle(HOSPITAL_A)) == [["not_scanned"]]


def test_an_exemption_holds_in_its_setting_only() -> None:
    content = msgspec.structs.replace(catalogue(), exemptions=[Exemption("", setting="inpatient", name="ward_stock")])
    for setting, expected in (("inpatient", "accepted"), ("outpatient", "not_scanned")):
        story = Story(content=content)
        story.fees(HOSPITAL_A, [Line(product=WHOLE)])
        assert statuses(story.settle(HOSPITAL_A, setting=setting)) == [[expected]]


def test_split_doses_reported_by_a_hospital_need_no_code() -> None:
    story = Story()
    assert story.report_sale(HOSPITAL_A, visit="V1", product=SPLITTABLE, split=True) == "accepted"
    assert story.report_sale(HOSPITAL_A, visit="V2", product=SPLITTABLE) == "not_scanned"
    assert story.report_sale(PHARMACY_P, visit="V1", product=SPLITTABLE, split=True) == "not_scanned"
