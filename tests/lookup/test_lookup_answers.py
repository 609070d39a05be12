"""What people may see, on a node in memory: sales counted as the ledger counts them, places shown as they may be."""

from datetime import date

import msgspec
import pytest
from story import GS1_DRUG, GTIN, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, SPLITTABLE, Story, catalogue

from suyuan.catalogue.parties import Party
from suyuan.codes.recognise import recognise
from suyuan.lookup.advice import ADVICE
from suyuan.lookup.citizen import CitizenAnswer, check
from suyuan.lookup.moment import iso_time
from suyuan.lookup.story import Story as Tale
from suyuan.lookup.story import keys_of, tell
from suyuan.lookup.totals import count_all


def asked(field: Story, code: str) -> CitizenAnswer:
    return check(field.desk.ledger, field.desk.catalogue, code)


def told(field: Story, code: str) -> Tale:
    return tell(field.desk.ledger, field.desk.catalogue, code)


def test_a_report_that_may_belong_to_a_claim_is_the_same_sale_until_it_is_known_to_be_another() -> None:
    field = Story()
    box = field.new_box()
    field.settle(HOSPITAL_A, box, visit="V1", order="O1", person="li")
    assert field.report_sale(HOSPITAL_A, box, receipt="R1", person="wang") == "possible_same_sale"
    answer = asked(field, box)
    assert (answer.outcome, len(answer.sales)) == ("one", 1)
    field.wait(days=3)
    answer = asked(field, box)
    assert (answer.outcome, len(answer.sales)) == ("several", 2)


def test_settled_cancelled_and_settled_again_is_one_sale() -> None:
    field = Story()
    box = field.new_box()
    first = field.settle(HOSPITAL_A, box, visit="V1", order="O1")
    field.report_sale(HOSPITAL_A, box, visit="V1", settlement=first.settlement)
    field.cancel(HOSPITAL_A, first.settlement)
    second = field.settle(HOSPITAL_A, box, visit="V1", order="O2")
    field.report_sale(HOSPITAL_A, box, visit="V1", settlement=second.settlement)
    answer = asked(field, box)
    assert (answer.outcome, [sale.undone for sale in answer.sales]) == ("one", [False])


def test_a_cancelled_claim_that_nobody_reported_is_shown_as_undone() -> None:
    field = Story()
    box = field.new_box()
    verdict = field.settle(HOSPITAL_A, box)
    field.cancel(HOSPITAL_A, verdict.settlement)
    answer = asked(field, box)
    assert (answer.outcome, [sale.undone for sale in answer.sales]) == ("none", [True])


def test_part_of_a_split_sale_given_back_leaves_the_sale_standing() -> None:
    field = Story()
    box = field.new_box(SPLITTABLE)
    field.report_sale(PHARMACY_P, box, receipt="R1", product=SPLITTABLE, quantity="12", split=True)
    field.give_back(PHARMACY_P, box, receipt="R1", product=SPLITTABLE, quantity="4", split=True)
    assert [(sale.undone, sale.split) for sale in asked(field, box).sales] == [(False, True)]
    field.give_back(PHARMACY_P, box, receipt="R1", product=SPLITTABLE, quantity="8", split=True)
    assert asked(field, box).outcome in {"none", "one"}


@pytest.mark.parametrize(
    ("first_day", "region"), [(date(2020, 1, 1), "440106"), (date(2027, 1, 1), "440106"), (date(2020, 1, 1), "")]
)
def test_a_sensitive_place_stays_unnamed_also_where_it_was_listed_later(first_day: date, region: str) -> None:
    content = catalogue()
    party = Party(HOSPITAL_B, name="某精神病院", kind="hospital", region=region, sensitive=True, valid_from=first_day)
    content.parties = [row for row in content.parties if row.code != HOSPITAL_B] + [party]
    field = Story(content=content)
    box = field.new_box()
    field.report_sale(HOSPITAL_B, box, receipt="R1")
    [sale] = asked(field, box).sales
    assert "某精神病院" not in sale.institution
    assert HOSPITAL_B not in sale.institution
    assert "医院" in sale.institution


def test_no_answer_accuses_or_is_empty() -> None:
    for text in (text for advice in ADVICE.values() for words in advice for text in (words.zh, words.en)):
        assert text
        assert text.strip() == text
        assert not any(word in text for word in ("假药", "fake", "fraud", "criminal", "骗"))


def test_a_story_names_no_person_and_no_prescriber() -> None:
    field = Story()
    box = field.new_box()
    field.report_sale(HOSPITAL_A, box, receipt="R1", person="110101199003077758")
    [event] = field.journal.fetch([f"trace20:{box}"])[f"trace20:{box}"].events
    assert event.person
    shown = repr(told(field, box)) + repr(asked(field, box))
    assert event.person not in shown
    assert "110101199003077758" not in shown


def test_a_split_sale_shows_its_part_and_an_exit_its_reason() -> None:
    field = Story()
    box = field.new_box(SPLITTABLE)
    field.report_sale(PHARMACY_P, box, receipt="R1", product=SPLITTABLE, quantity="3", split=True)
    field.destroy(PHARMACY_P, box)
    sold, exited = told(field, box).chapters
    assert (sold.quantity, exited.kind) == ("3/24", "exited")
    assert exited.reason


def test_both_readings_of_a_text_are_asked_and_the_repaired_one_stands_first() -> None:
    code = recognise(f"01{GTIN}17271231102X45ABC21SN0001")
    assert code.review
    assert keys_of(code)[-1] == code.readings[0]
    assert set(keys_of(code)) == set(code.readings)
    plain = recognise(f"(01){GTIN}(21)SN0001")
    assert keys_of(plain) == (plain.key,)


def test_what_is_filed_under_the_other_reading_alone_follows_and_says_so() -> None:
    field = Story()
    text, literal, repaired = f"01{GTIN}21ABCDEF17280101", f"(01){GTIN}(21)ABCDEF17280101", f"(01){GTIN}(21)ABCDEF"
    assert keys_of(recognise(text)) == (recognise(repaired).key, recognise(literal).key)
    field.send_table(MAKER, "produced", {"code": literal})
    assert told(field, text).key == recognise(literal).key
    field.send_table(MAKER, "counted", {"code": text})
    field.send_table(MAKER, "produced", {"code": repaired})
    tale = told(field, text)
    assert tale.key == recognise(repaired).key
    assert [(one.kind, one.reading) for one in tale.chapters] == [
        ("counted", ""),
        ("produced", ""),
        ("produced", recognise(literal).key),
    ]


def test_the_lot_on_the_box_finds_its_recall_and_the_maker_knows_it_better() -> None:
    field = Story()
    box = field.new_box(GS1_DRUG, lot="L1")
    order = {"code": box, "scope": "batch", "lot": "L1", "reason": "异物"}
    field.send_table(MAKER, "hold_set", order)
    assert asked(field, box).holds == told(field, box).holds == ("本批 its batch: 异物",)
    field.send_table(MAKER, "hold_lifted", order)
    assert asked(field, box).holds == ()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, ""),
        (1, "1970-01-01T08:00:00.000001+08:00"),
        (1_772_000_000_000_000, "2026-02-25T14:13:20+08:00"),
        (-2_208_988_800_000_000, "1900-01-01T08:00:00+08:00"),
    ],
)
def test_a_moment_is_written_for_people_in_china(moment: int, text: str) -> None:
    assert iso_time(moment) == text


def test_totals_count_boxes_sales_claims_and_money_apart() -> None:
    field = Story()
    boxes = [field.new_box() for _ in range(3)]
    field.produce(*boxes)
    field.settle(HOSPITAL_A, boxes[0], visit="V1", order="O1", amount=10)
    field.settle(HOSPITAL_B, boxes[0], visit="V2", order="O2", amount=20)
    field.report_sale(PHARMACY_P, boxes[1], receipt="R1")
    totals, alerts = count_all(field.journal)
    assert (totals.boxes, totals.sales) == (3, 1)
    assert totals.claims == {"pay": 1, "hold": 0, "refuse": 1}
    assert totals.money == {"pay": 10_000_000, "hold": 0, "refuse": 20_000_000}
    assert totals.reasons == {"conflict_sold": 1}
    assert totals.alerts == {"clone": 1}
    assert [(alert["class"], alert["institution"]) for alert in alerts] == [("clone", HOSPITAL_B)]


def test_an_unmapped_package_has_the_name_of_the_identification_library() -> None:
    content = catalogue()
    content.edges = []
    content.prefixes = [msgspec.structs.replace(row, name="某药") for row in content.prefixes]
    field = Story(content=content)
    assert asked(field, field.new_box()).product == "某药"


def test_each_reader_gets_one_language_and_the_terminal_both() -> None:
    field = Story()
    box = field.new_box(GS1_DRUG, lot="L1")
    field.report_sale(PHARMACY_P, box, receipt="R1", product=GS1_DRUG)
    field.send_table(MAKER, "hold_set", {"code": box, "scope": "batch", "lot": "L1", "reason": ""})
    chinese, english, both = (
        check(field.desk.ledger, field.desk.catalogue, box, language) for language in ("zh", "en", "both")
    )
    for name in ("advice_mine", "advice_not_mine", "advice_unsure"):
        assert getattr(both, name) == f"{getattr(chinese, name)} {getattr(english, name)}"
        assert getattr(english, name).isascii()
        assert chinese.advice_mine.startswith("该药品涉及召回或停售")
    assert (chinese.holds, english.holds) == (("本批：召回或停售",), ("its batch: recalled or stopped",))


def test_an_expired_box_is_said_to_be_so_before_anything_about_sales() -> None:
    field = Story()
    good, bad = field.new_box(GS1_DRUG, expiry="311231"), field.new_box(GS1_DRUG, expiry="200131")
    facts = asked(field, good).facts
    assert (facts.expiry, facts.expired) == ("2031-12-31", False)
    answer = asked(field, bad)
    assert (answer.facts.expiry, answer.facts.expired) == ("2020-01-31", True)
    assert "expiry date" in answer.advice_mine
    assert "expiry date" not in asked(field, good).advice_mine


@pytest.mark.parametrize(
    ("typed", "hint", "meant"),
    [
        ("", "Type or scan", ""),
        ("8234567000000000001", "1 are missing", ""),
        ("823456700000000000172", "1 too many", ""),
        ("82345670 0000 0000 0O17", "no digit", "82345670000000000017"),
        ("B2345670000000000017", "no digit", "82345670000000000017"),
        ("八二三四五六七零零零零零零零零零零零一七", "type the 20 digits", "82345670000000000017"),
        ("42345670000000000017", "begins with 8", ""),
        ("6901234567891", "check digit does not fit", ""),
        ("(01)06901234567891(21)A1", "check digit does not fit", ""),
        ("国药准字H20053333", "approval number", ""),
        ("9" * 20, "without a scan", ""),
        ("https://example.org/about", "web address", ""),
        ("药品追溯码药品追溯码药品", "type the 20 digits", ""),
    ],
)
def test_a_mistyped_code_is_told_what_may_be_wrong(typed: str, hint: str, meant: str) -> None:
    field = Story()
    answer = check(field.desk.ledger, field.desk.catalogue, typed, "en")
    assert answer.outcome == "unknown"
    assert hint in answer.hints[0]
    assert answer.meant == meant


def test_a_code_of_a_listed_product_has_no_hint_and_one_of_none_asks_to_look_again() -> None:
    field = Story()
    known = field.new_box()
    assert asked(field, known).hints == ()
    [hint] = asked(field, f"8999999{known[7:]}").hints
    assert "8999999" in hint
