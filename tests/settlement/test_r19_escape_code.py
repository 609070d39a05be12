"""R19: twenty nines stand in for a split pack only, and are never a box."""

import pytest
from story import ESCAPE, HOSPITAL_A, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story, statuses


def test_the_escape_code_passes_with_the_split_flag_on_a_splittable_product() -> None:
    story = Story()
    assert story.report_sale(HOSPITAL_A, ESCAPE, visit="V1", product=SPLITTABLE, split=True) == "accepted"
    assert story.report_sale(HOSPITAL_A, ESCAPE, visit="V2", product=SPLITTABLE) == "not_scanned"
    assert story.report_sale(HOSPITAL_A, ESCAPE, visit="V3", product=WHOLE, split=True) == "not_scanned"


@pytest.mark.parametrize(
    ("product", "split", "verdict"), [(SPLITTABLE, True, "pay"), (SPLITTABLE, False, "refuse"), (WHOLE, True, "refuse")]
)
@pytest.mark.parametrize("place", [HOSPITAL_A, PHARMACY_P])
def test_a_claim_with_the_escape_code_is_judged_by_its_fee_line(
    place: str, product: str, *, split: bool, verdict: str
) -> None:
    story = Story()
    line = Line((ESCAPE,), product, split=split)
    if place == HOSPITAL_A:
        story.fees(place, [line])
        line = Line((ESCAPE,), split=split)
    answer = story.settle(place, lines=[line])
    assert (answer.verdict, statuses(answer)) == (verdict, [["accepted" if verdict == "pay" else "not_scanned"]])


def test_the_escape_code_is_counted_and_never_a_box() -> None:
    story = Story()
    for number in range(40):
        said = {"visit": f"V{number}", "product": SPLITTABLE, "split": True, "quantity": "2"}
        story.report_sale(HOSPITAL_A, ESCAPE, **said)
    assert not list(story.boxes())
    assert story.alerts() == []
    balances = [event for event in story.events() if event.key.startswith(f"balance:escape:{HOSPITAL_A}:{SPLITTABLE}:")]
    last = {event.key: event.detail["used"] for event in balances}
    assert sum(last.values()) == 80
    assert len(last) > 1


def test_the_escape_code_twice_in_one_claim_is_no_duplicate() -> None:
    story = Story()
    lines = [Line((ESCAPE,), SPLITTABLE, split=True), Line((ESCAPE,), SPLITTABLE, split=True)]
    assert story.settle(PHARMACY_P, lines=lines).verdict == "pay"
    assert story.alerts() == []
