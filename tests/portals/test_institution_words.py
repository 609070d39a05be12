"""What scripts and pages of an institution say from Python stands in Chinese too."""

from suyuan.ledger.alerts import CLASSES
from suyuan.lookup.owed import CLASSES as PRODUCT_CLASSES
from suyuan.lookup.owed import DEBTS
from suyuan.portals.pages import draft_file, institution, scan
from suyuan.portals.templating import translations


def test_every_word_of_the_institutions_pages_has_its_chinese() -> None:
    known = translations()
    tables = (
        scan.SCRIPT_TEXTS,
        institution.STATE_WORDS,
        institution.CLASS_WORDS,
        institution.URGENCY_WORDS,
        institution.STEP_WORDS,
        institution.MEND_WORDS,
        institution.PAPERS,
        draft_file.FATE_WORDS,
        *institution.WORDS.values(),
    )
    said = [*scan.REASONS, *(text for table in tables for text in table.values())]
    assert [text for text in said if text not in known] == []
    assert all(debt.title_zh and debt.meaning_zh and debt.action_zh and debt.after_zh for debt in DEBTS)
    assert all(chinese for _, chinese in PRODUCT_CLASSES.values())


def test_every_class_of_alert_has_its_words() -> None:
    assert set(institution.CLASS_WORDS) == set(CLASSES)
