"""Fee details, settlements with their advice, and what takes them back."""

from typing import Any

import pytest
from formats_messages import CODE, OTHER, read

from suyuan.formats.document import Document
from suyuan.formats.faults import MALFORMED, NOT_TAKEN
from suyuan.settlement.claim import Claim, FeeLine, Undo

DATA = {"psn_no": "3702001", "mdtrt_id": "M1", "chrg_bchno": "C1", "medfee_sumamt": 27.6, "insutype": "390"}


def trace(line: str, code: str, **fields: Any) -> dict[str, Any]:
    return {"feedetl_sn": line, "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2", **fields}


def claim_of(document: Document) -> Claim:
    assert not document.fatal, document.fatal
    (claim,) = document.records
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize(
    ("infno", "setting", "advice"),
    [("2101", "pharmacy", True), ("2102", "pharmacy", False), ("2206", "outpatient", True),
     ("2207", "outpatient", False), ("2303", "inpatient", True), ("2304", "inpatient", False)],
)  # fmt: skip
def test_six_transactions_are_claims_three_of_them_advice(infno: str, setting: str, advice: bool) -> None:  # noqa: FBT001
    claim = claim_of(read(infno, {"druginfo" if setting == "pharmacy" else "data": DATA}))
    assert (claim.setting, claim.advice) == (setting, advice)
    assert claim.references == {"order": "C1", "visit": "M1"}
    assert (claim.person, claim.insured_area) == ("psn:3702001@370203", "370203")
    assert (claim.fund, claim.amount) == ("resident", 27_600_000)
    assert (claim.expected_drug, claim.expected_consumable) == (-1, -1)
    assert claim.event_time == 0


def test_codes_are_grouped_under_their_fee_lines() -> None:
    rows = [trace("F1", CODE), trace("F2", OTHER, trdn_flag="1"), trace("F1", OTHER), {}]
    claim = claim_of(
        read("2207", {"data": {**DATA, "minpacunt_drug_trac_cnt": "3", "mcs_trac_cnt": 0}, "drug_trac_info": rows})
    )
    assert [(line.line, [code.code for code in line.codes]) for line in claim.lines] == [
        ("F1", [CODE, OTHER]),
        ("F2", [OTHER]),
    ]
    assert claim.lines[1].codes[0].split
    assert claim.lines[0].codes[1].where == "drug_trac_info[2]"
    assert (claim.expected_drug, claim.expected_consumable) == (3, 0)


def test_a_pharmacy_brings_its_fee_lines_along() -> None:
    detail = {"feedetl_sn": "F1", "med_list_codg": "X", "medins_list_codg": "Y1", "cnt": "2.0000", "pric": "13.8",
              "det_item_fee_sumamt": "27.6"}  # fmt: skip
    document = read("2102", {
        "druginfo": {**DATA, "begntime": "2026-01-03 10:00:00", "certno": "1101", "psn_cert_type": "01"},
        "drugdetail": [detail, {"med_list_codg": "Z"}],
        "drug_trac_info": [trace("F1", CODE)],
    })  # fmt: skip
    claim = claim_of(document)
    first, second = claim.lines
    assert (first.product, first.item, first.quantity, first.price, first.amount) == (
        "X", "Y1", "2", 13_800_000, 27_600_000,
    )  # fmt: skip
    assert [code.code for code in first.codes] == [CODE]
    assert second.line == "drugdetail[1]"
    assert claim.person == "id:01:1101"
    assert claim.event_time == 1_767_405_600_000_000


@pytest.mark.parametrize("field", ["feedetl_sn", "drug_trac_codg", "trdn_flag", "min_prcunt_type"])
def test_t58_a_row_of_codes_without_one_of_its_four_fields_is_named(field: str) -> None:
    document = read("2207", {"data": DATA, "drug_trac_info": [trace("F1", CODE, **{field: ""}), trace("F2", OTHER)]})
    claim = claim_of(document)
    assert [line.line for line in claim.lines] == ["F2"]
    (problem,) = document.problems
    assert (problem.where, problem.code) == (f"drug_trac_info[0].{field}", MALFORMED)


def test_a_settlement_without_codes_is_a_claim_without_lines() -> None:
    document = read("2207", {"data": DATA})
    assert claim_of(document).lines == []
    assert not document.problems


def test_the_time_of_sending_is_no_part_of_a_claim() -> None:
    first = read("2207", {"data": DATA})
    again = read("2207", {"data": DATA}, inf_time="2026-01-03 10:20:00", msgid="other")
    assert first.records == again.records


@pytest.mark.parametrize(
    ("node", "where"),
    [(["x"], "drug_trac_info[0]"), ([trace("F1", "8.1E+19")], "drug_trac_info[0].drug_trac_codg"),
     ([trace("F1", CODE, trdn_flag="7")], "drug_trac_info[0].trdn_flag")],
)  # fmt: skip
def test_faults_of_single_codes_leave_the_claim_readable(node: Any, where: str) -> None:
    document = read("2207", {"data": DATA, "drug_trac_info": node})
    assert claim_of(document).lines == []
    assert [problem.where for problem in document.problems] == [where]


def test_one_code_row_may_come_as_an_object_and_inside_the_data() -> None:
    for body in (
        {"data": DATA, "drug_trac_info": trace("F1", CODE)},
        {"data": {**DATA, "drug_trac_info": [trace("F1", CODE)]}},
    ):
        assert claim_of(read("2207", body)).lines[0].codes[0].code == CODE


def test_amounts_and_counts_that_cannot_be_read_are_named() -> None:
    document = read("2207", {"data": {**DATA, "medfee_sumamt": "nine", "minpacunt_drug_trac_cnt": "1.5"}})
    assert {problem.where for problem in document.problems} == {"data.medfee_sumamt", "data.minpacunt_drug_trac_cnt"}


def test_a_claim_without_data_is_refused() -> None:
    assert read("2207", {"other": {}}).fatal
    assert read("2207", {"data": ["x"]}).fatal


def test_fee_details_say_which_product_each_line_is() -> None:
    row = {"feedetl_sn": "F1", "mdtrt_id": "M1", "chrg_bchno": "C1", "med_list_codg": "X", "medins_list_codg": "Y",
           "cnt": 2, "pric": 13.8, "det_item_fee_sumamt": 27.6, "fee_ocur_time": "2026-01-03 10:11:12"}  # fmt: skip
    document = read("2204", {"feedetail": [row, {**row, "feedetl_sn": ""}, {**row, "cnt": -1}]})
    (line,) = document.records
    assert isinstance(line, FeeLine)
    assert (line.line, line.product, line.item, line.quantity) == ("F1", "X", "Y", "2")
    assert (line.price, line.amount, line.references) == (13_800_000, 27_600_000, {"order": "C1", "visit": "M1"})
    assert [(problem.where, problem.code) for problem in document.problems] == [
        ("feedetail[1].feedetl_sn", MALFORMED),
        ("feedetail[2].cnt", NOT_TAKEN),
    ]
    assert len(read("2301", {"feedetail": row}).records) == 1


@pytest.mark.parametrize("infno", ["2103", "2208", "2305"])
def test_a_cancel_names_its_settlement(infno: str) -> None:
    (undo,) = read(infno, {"data": {"setl_id": "S1", "mdtrt_id": "M1", "psn_no": "3702001"}}).records
    assert isinstance(undo, Undo)
    assert (undo.kind, undo.references) == ("cancelled", {"settlement": "S1", "visit": "M1"})
    refused = read(infno, {"data": {"mdtrt_id": "M1"}})
    assert not refused.records
    assert refused.problems[0].where == "data.setl_id"


def test_a_reversal_names_the_message_it_undoes() -> None:
    (undo,) = read("2601", {"data": {"psn_no": "3702001", "omsgid": "MSG1", "oinfno": "2207A"}}).records
    assert isinstance(undo, Undo)
    assert (undo.kind, undo.references) == ("reversed", {"message": "MSG1", "transaction": "2207"})
    refused = read("2601", {"data": {"omsgid": "MSG1"}})
    assert not refused.records
    assert refused.problems[0].where == "data.oinfno"
