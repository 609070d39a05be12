"""The citizen's answer through the program: what was sold where and when, what kind of code it is, what to do."""

import json
from pathlib import Path

import pytest
from cli_shell import DRUG, FAR_AWAY, GTIN, HOSPITAL, MAKER, MENTAL, PHARMACY, Shell

BOX, OTHER = "82345670000000000017", "82345670000000000024"
TABLETS = "81234560000000000017"
NOON = "2026-03-09 12:00:00"


def sold(code: str, **said: str) -> dict[str, str]:
    return {"code": code, "event_time": NOON, "product": DRUG, "receipt": f"R{said.get('event_time', NOON)}", **said}


def outcome(shell: Shell, code: str) -> str:
    word: str = shell.ask("check", code)["outcome"]
    return word


def test_a_box_that_nobody_sold_has_no_sale_and_one_that_was_sold_has_one(town: Shell) -> None:
    assert town.ingest("sold", PHARMACY, sold(BOX))["accepted"] == 1
    answer = town.ask("check", BOX)
    [sale] = answer["sales"]
    assert answer["outcome"] == "one"
    assert (answer["code"], answer["product"]) == (BOX, "氯化钠注射液")
    assert sale["event_time"] == "2026-03-09T12:00:00+08:00"
    assert sale["arrived"].endswith("+08:00")
    assert (sale["institution"], sale["region"], sale["undone"]) == ("示例药房", "广东省广州市天河区", False)
    assert "lawful" in answer["advice_mine"]
    assert "receipt" in answer["advice_not_mine"]
    nothing = town.ask("check", OTHER)
    assert (nothing["outcome"], nothing["sales"]) == ("none", [])
    assert "two days" in nothing["advice_mine"]


def test_two_sales_are_several_and_one_that_was_given_back_is_shown_and_not_counted(town: Shell) -> None:
    town.ingest("sold", PHARMACY, sold(BOX), sold(OTHER))
    town.ingest("sold", FAR_AWAY, sold(BOX, event_time="2026-03-12 09:00:00"))
    answer = town.ask("check", BOX)
    assert answer["outcome"] == "several"
    assert [sale["institution"] for sale in answer["sales"]] == ["示例药房", "示例外地药房"]
    assert "accuse" not in json.dumps(answer)
    town.ingest("returned", PHARMACY, {"code": OTHER, "event_time": "2026-03-10 09:00:00"})
    town.ingest("sold", FAR_AWAY, sold(OTHER, event_time="2026-03-12 09:00:00"))
    again = town.ask("check", OTHER)
    assert again["outcome"] == "one"
    assert [sale["undone"] for sale in again["sales"]] == [True, False]
    assert "undone" in town("check", OTHER).out


def test_a_claim_and_its_report_are_one_sale_and_a_refused_claim_is_none(town: Shell) -> None:
    assert town.settle(PHARMACY, BOX, visit="V1").values[0]["verdict"] == "pay"
    assert outcome(town, BOX) == "one"
    town.ingest("sold", PHARMACY, sold(BOX, visit="V1", event_time="2026-03-09 10:00:00", person="psn:person 1"))
    assert town.settle(FAR_AWAY, BOX, visit="V2").code == 1
    answer = town.ask("check", BOX)
    assert (answer["outcome"], len(answer["sales"])) == ("one", 1)


def test_parts_of_a_split_box_count_as_one_sale_until_they_are_more_than_the_box(town: Shell) -> None:
    for number, hour in enumerate(("09", "10", "11")):
        part = sold(TABLETS, split="1", quantity="8", event_time=f"2026-03-09 {hour}:00:00", receipt=f"S{number}")
        town.ingest("sold", PHARMACY, part)
    answer = town.ask("check", TABLETS)
    assert (answer["outcome"], [sale["split"] for sale in answer["sales"]]) == ("one", [True] * 3)
    part = sold(TABLETS, split="1", quantity="8", event_time="2026-03-09 18:00:00", receipt="S9")
    assert town.ingest("sold", PHARMACY, part)["conflicts"] == 1
    assert outcome(town, TABLETS) == "several"


def test_of_a_sensitive_place_only_kind_and_city_are_told(town: Shell) -> None:
    town.ingest("sold", MENTAL, sold(BOX))
    answer = town.ask("check", BOX)
    [sale] = answer["sales"]
    assert (sale["institution"], sale["region"]) == ("医院 hospital（广东省广州市）", "广东省广州市")
    shown = json.dumps(answer, ensure_ascii=False) + town("check", BOX).out
    assert MENTAL not in shown
    assert "精神" not in shown


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("6901234567892", "retail_barcode"),
        (f"(01){GTIN}", "retail_barcode"),
        (f"(01){GTIN}(17)271231(10)L7", "lot"),
        ("(00)095200000123456788", "carton"),
        ("82345600000000000019", "carton"),
        ("SYV000000000001", "virtual"),
        ("SYV000000000002", "unknown"),
        ("9" * 20, "unknown"),
        ("8234567" + "0" * 13, "unknown"),
        ("hello world", "unknown"),
        ("国药准字H20053333", "unknown"),
        ("", "unknown"),
        ("82345670000000000017", "none"),
        (f"(01){GTIN}(21)A1", "none"),
    ],
)
def test_what_kind_of_code_it_is_decides_what_is_said(catalogued_once: Shell, code: str, expected: str) -> None:
    answer = catalogued_once.ask("check", code)
    assert answer["outcome"] == expected
    assert answer["sales"] == []
    assert answer["advice_mine"]
    assert answer["advice_not_mine"]


@pytest.fixture(scope="module")
def catalogued_once(catalogued: Path) -> Shell:
    """The shared node itself, which is only asked here and never written to."""
    shell = Shell(catalogued.parent)
    assert shell.folder == catalogued
    return shell


def test_a_carton_tells_what_it_holds_even_where_its_own_code_has_no_name(town: Shell) -> None:
    carton = "(00)095200000123456788"
    town.ingest("packed", MAKER, *({"code": box, "parent": carton, "event_time": NOON} for box in (BOX, OTHER)))
    answer = town.ask("check", carton)
    assert (answer["outcome"], answer["contains"], answer["product"]) == ("carton", 2, "氯化钠注射液")
    assert "scan the code on the box" in answer["advice_mine"]


def test_a_message_and_an_event_lead_to_the_same_answer_as_a_table(town: Shell) -> None:
    sale = {
        "fixmedins_hilist_id": "1",
        "fixmedins_bchno": "B1",
        "med_list_codg": DRUG,
        "rtal_docno": "R1",
        "mdtrt_sn": "V1",
        "psn_no": "person 1",
        "sel_retn_cnt": 1,
        "sel_retn_time": NOON,
        "trdn_flag": "0",
        "drugtracinfo": [{"drug_trac_codg": BOX}],
    }
    message = {"infno": "3505", "msgid": "M1", "fixmedins_code": HOSPITAL, "input": {"selinfo": sale}}
    event = {
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        "type": "ObjectEvent",
        "eventTime": "2026-03-09T12:00:00+08:00",
        "eventTimeZoneOffset": "+08:00",
        "epcList": [f"https://id.gs1.org/01/{GTIN}/21/A1"],
        "action": "OBSERVE",
        "bizStep": "retail_selling",
    }
    town("ingest", town.write("3505.json", json.dumps(message)))
    town("ingest", town.write("event.json", json.dumps(event)), "--by", HOSPITAL)
    for code in (BOX, f"(01){GTIN}(21)A1"):
        answer = town.ask("check", code)
        assert answer["outcome"] == "one"
        assert answer["sales"][0]["institution"] == "示例医院"
