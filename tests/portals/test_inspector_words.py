"""The inspectors' words: each status has its rule, each class and state its name, and all of them their Chinese."""

import pytest

from suyuan.ledger.alerts import CLASSES
from suyuan.ledger.handling import STATES
from suyuan.ledger.statuses import STATUSES
from suyuan.lookup.explained import RULE_OF, RULES, explained
from suyuan.portals.pages import inspector_words as words
from suyuan.portals.templating import Templates, translations

SECOND = 1_000_000


def test_every_status_rests_on_a_rule_and_reasons_lead_in_order() -> None:
    assert {status.name for status in STATUSES} == set(RULE_OF)
    assert set(RULE_OF.values()) <= set(RULES)
    names = [one.status for one in explained(("unmapped", "conflict_sold", "held", "no such word"))]
    assert names == ["held", "conflict_sold", "unmapped"]
    places = [one.place for one in explained(("unmapped", "conflict_sold", "held"))]
    assert places == sorted(places)


def test_all_that_the_pages_say_has_its_chinese() -> None:
    known = translations()
    told = [*words.GAPS, *(text for meaning, innocent in CLASSES.values() for text in (meaning, *innocent))]
    for table in (
        words.CLASS_NAMES,
        words.STATE_NAMES,
        words.STEP_NAMES,
        words.KIND_NAMES,
        words.VERDICT_NAMES,
        words.REPORT_STEPS,
        words.SCRIPT_TEXTS,
    ):
        told += table.values()
    assert [text for text in told if text not in known] == []
    assert set(words.CLASS_NAMES) == {*CLASSES, "report"}
    assert set(words.STATE_NAMES) == set(STATES)


@pytest.mark.parametrize(
    ("gap", "english", "chinese"),
    [
        (0, "at the same time", "同一时刻"),
        (1, "1 seconds apart", "相隔1秒"),
        (119, "119 seconds apart", "相隔119秒"),
        (120, "2 minutes apart", "相隔2分钟"),
        (7_200, "2 hours apart", "相隔2小时"),
        (172_799, "47 hours apart", "相隔47小时"),
        (172_800, "2 days apart", "相隔2天"),
    ],
)
def test_a_gap_is_told_in_the_largest_unit_that_fits_twice(gap: int, english: str, chinese: str) -> None:
    told = Templates().text
    assert words.gap_words(gap * SECOND, told, "en") == english
    assert words.gap_words(gap * SECOND, told, "zh") == chinese
