"""R11: observe, warn, enforce by place of care, fund and date; admission stays what it is."""

from datetime import datetime

import pytest
from story import (
    CHINA,
    HOSPITAL_A,
    HOSPITAL_B,
    HOSPITAL_FAR,
    PHARMACY_SUSPENDED,
    SPLITTABLE,
    WHOLE,
    Line,
    Story,
    statuses,
)

from suyuan.settlement.policy import NATIONAL, PRESETS, REHEARSAL, STRICT, Policy, Step


def test_the_national_dates() -> None:
    assert NATIONAL.mode("2024-12-31", "440100", "") == "observe"
    assert NATIONAL.mode("2025-04-16", "440100", "") == "warn"
    assert NATIONAL.mode("2025-06-30", "440100", "employee") == "warn"
    assert NATIONAL.mode("2025-07-01", "440100", "employee") == "enforce"
    assert NATIONAL.mode("2026-01-01", "440100", "self_paid") == "enforce"
    assert REHEARSAL.mode("2026-01-01", "440100", "") == "warn"
    assert STRICT.mode("2000-01-01", "440100", "") == "enforce"
    assert set(PRESETS) == {"national", "rehearsal", "strict"}


def test_of_equal_dates_the_more_particular_step_applies_and_the_latest_before_all() -> None:
    policy = Policy(
        name="local",
        steps=(
            Step("2026-01-01", "warn", region="44", fund="resident"),
            Step("2026-01-01", "observe", region="4401"),
            Step("2026-01-01", "enforce"),
            Step("2026-06-01", "enforce", region="44"),
        ),
    )
    assert policy.mode("2026-02-01", "110100", "resident") == "enforce"
    assert policy.mode("2026-02-01", "440100", "employee") == "observe"
    assert policy.mode("2026-02-01", "440100", "resident") == "warn"
    assert policy.mode("2026-07-01", "440100", "resident") == "enforce"


def test_the_place_of_care_decides_which_step_applies() -> None:
    policy = Policy(name="local", steps=(Step("2026-01-01", "enforce", region="44"),))
    story = Story(policy=policy)
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    assert story.settle(HOSPITAL_B, box).verdict == "refuse"
    assert story.settle(HOSPITAL_FAR, box).verdict == "pay"


def test_the_day_of_the_claim_decides() -> None:
    story = Story(policy=NATIONAL)
    box, other = story.new_box(), story.new_box()
    story.settle(HOSPITAL_A, box, other)
    before = datetime(2025, 6, 30, tzinfo=CHINA)
    assert story.settle(HOSPITAL_B, box, order="O1", when=before).verdict == "pay"
    assert story.settle(HOSPITAL_B, other, order="O2").verdict == "refuse"


@pytest.mark.parametrize("mode", ["observe", "warn"])
def test_a_conflict_is_answered_pay_but_is_never_the_open_paid_claim(mode: str) -> None:
    story = Story(policy=Policy(name=mode, steps=(Step("2000-01-01", mode),)))  # type: ignore[arg-type]
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    second = story.settle(HOSPITAL_B, box)
    assert (second.verdict, second.paid, statuses(second)) == ("pay", 100_000_000, [["conflict_sold"]])
    assert not second.lines[0].codes[0].drawn
    assert story.paid(box) == 1
    assert story.alerts() == ["clone"]
    assert "已有销售记录" in story.answer["warn_msg"]
    # Its cancel gives back nothing that it never had.
    assert story.cancel(HOSPITAL_B, second.settlement) == "accepted"
    assert story.paid(box) == 1


def test_a_conflict_with_an_unclaimed_report_is_answered_pay_and_not_drawn() -> None:
    story = Story(policy=REHEARSAL)
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    verdict = story.settle(HOSPITAL_B, box)
    assert (verdict.verdict, story.paid(box)) == ("pay", 0)
    owner = story.settle(HOSPITAL_A, box, visit="V1")
    assert (statuses(owner), story.paid(box)) == ([["same_sale"]], 1)


def test_a_further_claim_of_a_splittable_box_is_answered_pay_and_not_drawn() -> None:
    story = Story(policy=REHEARSAL)
    box = story.new_box(SPLITTABLE)
    story.settle(HOSPITAL_A, box)
    assert story.settle(HOSPITAL_A, box, order="O2").verdict == "pay"
    assert story.paid(box) == 1


def test_technical_errors_stay_refusals_and_suspicion_does_not() -> None:
    story = Story(policy=REHEARSAL)
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    assert story.settle(HOSPITAL_A, story.new_box()).verdict == "refuse"
    swapped = story.settle(HOSPITAL_B, lines=[Line((story.new_box(),))], order="O9")
    assert swapped.verdict == "pay"


def test_a_line_without_a_code_passes_under_warn_and_not_under_enforce() -> None:
    for policy, verdict in ((REHEARSAL, "pay"), (STRICT, "refuse")):
        story = Story(policy=policy)
        story.fees(HOSPITAL_A, [Line(product=WHOLE)])
        assert story.settle(HOSPITAL_A).verdict == verdict


def test_a_suspension_is_no_matter_of_codes_and_is_not_softened() -> None:
    story = Story(policy=REHEARSAL)
    assert story.settle(PHARMACY_SUSPENDED, story.new_box()).verdict == "refuse"
