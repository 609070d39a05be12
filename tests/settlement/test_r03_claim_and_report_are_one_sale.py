"""R3: claim and sale report of one sale are one sale, whichever comes first."""

from typing import Any

import pytest
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, Line, Story, statuses


@pytest.mark.parametrize(
    ("claim", "report"),
    [
        ({"visit": "V1", "order": "O1"}, {"visit": "V1"}),
        ({"visit": "V1", "order": "O1"}, {"visit": "V9", "order": "O1"}),
    ],
    ids=["by visit", "the order decides before the visit"],
)
@pytest.mark.parametrize("first", ["claim", "report"])
def test_an_equal_reference_of_the_strongest_common_type_joins_them(
    claim: dict[str, Any], report: dict[str, Any], first: str
) -> None:
    story = Story()
    box = story.new_box()
    if first == "claim":
        assert statuses(story.settle(HOSPITAL_A, box, **claim)) == [["accepted"]]
        assert story.report_sale(HOSPITAL_A, box, **report) == "same_sale"
    else:
        assert story.report_sale(HOSPITAL_A, box, **report) == "accepted"
        assert statuses(story.settle(HOSPITAL_A, box, **claim)) == [["same_sale"]]
    [sale] = story.box(box).sales
    assert sale.claim is not None
    assert sale.report is not None
    assert (story.taken(box), story.paid(box), story.alerts()) == (1, 1, [])


@pytest.mark.parametrize("first", ["claim", "report"])
def test_a_different_reference_of_the_strongest_common_type_keeps_them_apart(first: str) -> None:
    story = Story()
    box = story.new_box()
    if first == "claim":
        story.settle(HOSPITAL_A, box, order="O1", visit="V1")
        assert story.report_sale(HOSPITAL_A, box, order="O2", visit="V1") == "conflict_sold"
    else:
        story.report_sale(HOSPITAL_A, box, order="O2", visit="V1")
        assert statuses(story.settle(HOSPITAL_A, box, order="O1", visit="V1")) == [["conflict_sold"]]
    assert story.alerts() == ["repeated_settlement"]


def test_the_settlement_id_decides_before_every_other_reference() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    settlement = story.settle(HOSPITAL_A, box, order="O1", visit="V1").settlement
    assert story.report_sale(HOSPITAL_A, box, settlement=settlement, order="other", visit="other") == "same_sale"
    story.settle(HOSPITAL_A, other, order="O2", visit="V2")
    assert story.report_sale(HOSPITAL_A, other, settlement="unknown", order="O2", visit="V2") == "conflict_sold"


def test_two_reports_are_never_joined() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    assert story.report_sale(HOSPITAL_A, box, visit="V1") == "same_sale"
    story.wait(hours=3)
    assert story.report_sale(HOSPITAL_A, box, visit="V1", order="O1") == "conflict_sold"


def test_claim_and_report_of_two_institutions_are_never_joined() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box, visit="V1")
    assert story.report_sale(HOSPITAL_B, box, visit="V1") == "conflict_sold"


# No common type of reference.


def test_without_a_common_reference_one_person_within_a_day_is_one_sale() -> None:
    story = Story()
    box, late = story.new_box(), story.new_box()
    story.settle(PHARMACY_P, box, late, visit="", person="Ann")
    assert story.report_sale(PHARMACY_P, box, receipt="R1", person="Ann") == "same_sale"
    story.wait(hours=25)
    assert story.report_sale(PHARMACY_P, late, receipt="R2", person="Ann") == "possible_same_sale"


@pytest.mark.parametrize("first", ["claim", "report"])
def test_otherwise_the_claim_opens_and_the_report_draws_nothing_and_alerts_nobody(first: str) -> None:
    story = Story()
    box = story.new_box()

    def claim() -> None:
        assert story.settle(PHARMACY_P, box, visit="", person="Ann").verdict == "pay"

    def report() -> None:
        story.report_sale(PHARMACY_P, box, receipt="R1", person="")

    for step in (claim, report) if first == "claim" else (report, claim):
        step()
    assert [sale.units for sale in story.box(box).sales if sale.report is not None] == [0]
    assert (story.paid(box), story.taken(box), story.alerts()) == (1, 1, [])


@pytest.mark.parametrize("first", ["claim", "report"])
def test_after_48_hours_the_report_is_a_second_sale_and_an_alert(first: str) -> None:
    story = Story()
    box = story.new_box()
    if first == "claim":
        story.settle(PHARMACY_P, box, visit="", person="Ann")
    story.report_sale(PHARMACY_P, box, receipt="R1", person="")
    if first == "report":
        story.settle(PHARMACY_P, box, visit="", person="Ann")
    assert (story.wait(hours=47), story.alerts()) == (0, [])
    assert (story.wait(hours=2), story.alerts()) == (1, ["repeated_settlement"])
    assert story.history(box)[-1].status == "conflict_sold"
    assert (story.wait(days=90), story.alerts()) == (0, ["repeated_settlement"])


@pytest.mark.parametrize("first", ["claim", "report"])
def test_a_doubt_ends_when_the_claim_that_caused_it_is_cancelled(first: str) -> None:
    story = Story()
    box = story.new_box()
    settlement = ""
    if first == "claim":
        settlement = story.settle(PHARMACY_P, box, visit="", person="Ann").settlement
    story.report_sale(PHARMACY_P, box, receipt="R1", person="")
    if first == "report":
        settlement = story.settle(PHARMACY_P, box, visit="", person="Ann").settlement
    story.cancel(PHARMACY_P, settlement)
    elsewhere = story.settle(HOSPITAL_B, box)
    assert (elsewhere.verdict, statuses(elsewhere)) == ("hold", [["conflict_sold"]])
    story.wait(days=3)
    assert story.alerts() == ["clone"]


def test_the_report_is_joined_once_it_comes_with_the_settlement_id() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    settlement = story.settle(HOSPITAL_A, box, visit="V1").settlement
    assert story.report_sale(HOSPITAL_A, box, visit="V1", settlement=settlement) == "same_sale"
    [sale] = story.box(box).sales
    assert sale.report is not None
    assert sale.report.references["settlement"] == settlement


def test_equal_parts_of_a_split_box_for_one_person_are_one_sale() -> None:
    story = Story()
    product = "XA11CCA351E002010101121"
    box = story.new_box(product)
    story.settle(PHARMACY_P, lines=[Line((box,), product, "6", split=True)], visit="", person="Ann")
    said = {"product": product, "split": True, "person": "Ann"}
    assert story.report_sale(PHARMACY_P, box, receipt="R1", quantity="6", **said) == "same_sale"
    assert story.report_sale(PHARMACY_P, box, receipt="R2", quantity="3", **said) == "accepted"
    assert story.taken(box) * 24 == 9
