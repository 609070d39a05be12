"""3501 to 3507: rows, trace nodes, references and persons, with the tolerances T30 to T46."""

import json
from typing import Any

import pytest
from formats_messages import CODE, OTHER, read, sale, scans

from suyuan.settlement.claim import Undo


def test_a_sale_carries_its_typed_references_and_its_line() -> None:
    row = sale(mdtrt_id="M1", rxno="X1", stoout_no="O1", chrg_bchno="C1", feedetl_sn="F1", expy_end="2027-05-16")
    (scan,) = scans(read("3505", {"selinfo": row}))
    assert scan.references == {
        "settlement": "S1", "order": "C1", "visit": "M1", "receipt": "R1", "bill": "O1", "prescription": "X1",
        "batch": "B1",
    }  # fmt: skip
    assert (scan.kind, scan.code, scan.where) == ("sold", CODE, "selinfo.drugtracinfo[0]")
    assert (scan.line, scan.product, scan.item) == ("F1", "XR05CBA198A001010100863", "Y1")
    assert (scan.quantity, scan.price, scan.split) == ("1", 13_800_000, False)
    assert (scan.lot, scan.made, scan.expiry) == ("无", "2024-01-01", "2027-05-16")
    assert scan.event_time == 1_767_406_272_000_000


def test_a_person_is_known_by_document_else_by_number_and_area_and_never_by_name() -> None:
    named = {"psn_name": "张三", "prsc_dr_name": "医师甲"}
    (by_document,) = scans(read("3505", {"selinfo": sale(certno="11010119900101001X", **named)}))
    assert by_document.person == "id:01:11010119900101001X"
    (by_number,) = scans(read("3505", {"selinfo": sale(**named)}))
    assert by_number.person == "psn:3702001@370203"
    (by_name,) = scans(read("3505", {"selinfo": sale(psn_no="", **named)}))
    assert by_name.person == ""
    assert by_name.prescriber == "name:医师甲"
    (prescriber,) = scans(read("3505", {"selinfo": sale(prsc_dr_certno="D1", prsc_dr_cert_type="02")}))
    assert prescriber.prescriber == "id:02:D1"
    (nobody,) = scans(read("3505", {"selinfo": sale(prsc_dr_name="")}))
    assert nobody.prescriber == ""


@pytest.mark.parametrize(
    ("fields", "fund"),
    [({"mdtrt_setl_type": "2"}, "self_paid"), ({"MDTRT_SETL_TYPE": 2, "mdtrt_setl_type": ""}, "self_paid"),
     ({"hi_feesetl_type": "0"}, "self_paid"), ({"insutype": "310"}, "employee"), ({"insutype": 390}, "resident"),
     ({"insutype": "410"}, "work_injury"), ({"insutype": "999"}, ""), ({}, "")],
)  # fmt: skip
def test_the_fund_follows_from_settlement_type_and_insurance(fields: dict[str, Any], fund: str) -> None:
    assert scans(read("3505", {"selinfo": sale(**fields)}))[0].fund == fund


def test_several_codes_of_a_row_are_one_line_each_with_the_lines_quantity() -> None:
    row = sale(sel_retn_cnt=2, drugtracinfo=[{"drug_trac_codg": CODE}, {"drug_trac_codg": OTHER}])
    first, second = scans(read("3505", {"selinfo": row}))
    assert (first.code, second.code) == (CODE, OTHER)
    assert first.quantity == second.quantity == "2"
    assert first.references == second.references
    assert second.where == "selinfo.drugtracinfo[1]"


@pytest.mark.parametrize(
    "node",
    [
        {"drugtracinfo": [{"drug_trac_codg": CODE}]},
        {"drugtracinfo": {"drug_trac_codg": CODE}},
        {"drugtracinfo": [{"drug_trac_code": CODE}]},
        {"DrugTracInfo": [{"DRUG_TRAC_CODG": f" {CODE} "}]},
        {"drugtracinfo": [CODE]},
        {"drugtracinfo": json.dumps([{"drug_trac_codg": CODE}])},
        {"drugtracinfo": "", "drug_trac_codg": CODE},
        {"drugtracinfo": [{"drug_trac_codg": ""}], "drug_trac_codg": CODE},
        {"drugtracinfo": [{"drug_trac_codg": int(CODE)}]},
    ],
)
def test_t30_every_shape_of_the_trace_node_gives_the_same_code(node: dict[str, Any]) -> None:
    row = sale()
    del row["drugtracinfo"]
    document = read("3505", {"selinfo": {**row, **node}})
    assert [scan.code for scan in scans(document)] == [CODE]
    assert not document.problems


def test_t30_codes_beside_the_row_belong_to_it_only_where_it_is_alone() -> None:
    beside = {"drugtracinfo": [{"drug_trac_codg": CODE}]}
    alone = read("3505", {"selinfo": sale(drugtracinfo=""), **beside})
    assert [scan.code for scan in scans(alone)] == [CODE]
    several = read("3505A", {"selinfoDetail": [sale(drugtracinfo=""), sale(drugtracinfo="")], **beside})
    assert [scan.code for scan in scans(several)] == ["", ""]
    (problem,) = several.problems
    assert problem.value == CODE
    assert "belongs to none" in problem.what


@pytest.mark.parametrize("node", [None, "", [], [{}], [{"drug_trac_codg": ""}], {}, [None]])
def test_t31_a_row_without_code_is_taken_without_code(node: Any) -> None:
    document = read("3505", {"selinfo": sale(drugtracinfo=node)})
    (scan,) = scans(document)
    assert (scan.code, scan.where) == ("", "selinfo")
    assert not document.problems


def test_t32_to_t36_rows_stand_under_odd_nodes_and_in_odd_shapes() -> None:
    rows = [sale(), {}]
    for body in (
        {"purcinfo": json.dumps(rows)},
        {"selinfoDetail": rows},
        {"selinfoDetail": sale()},
        {"selinfo": [sale()]},
        {"SELINFO": sale()},
    ):
        document = read("3505A", body)
        assert [scan.kind for scan in scans(document)] == ["sold"]
        assert not document.problems
    (returned,) = scans(read("3504", {"selinfo": {"med_list_codg": "X", "purc_retn_cnt": "2", "dynt_no": "D1"}}))
    assert (returned.kind, returned.reason, returned.quantity) == ("shipped", "purchase_return", "2")


def test_t37_to_t39_other_spellings_and_types_mean_the_same() -> None:
    row = {
        "med_list_codg": "X", "fixmedins_hist_id": "Y9", "prodentpName": "厂", "purc_retn_cnt": "3.0000",
        "rx_flag": "否",
        "finl_trns_pric": None, "expy_end": None, "manu_date": "", "purc_retn_stoin_time": "2023/5/31 9:21:50",
    }  # fmt: skip
    (scan,) = scans(read("3503", {"purcinfo": row}))
    assert (scan.item, scan.quantity, scan.price, scan.expiry) == ("Y9", "3", 0, "")
    split, whole = scans(read("3505A", {"selinfoDetail": [sale(trdn_flag="是"), sale(trdn_flag=0)]}))
    assert (split.split, whole.split) == (True, False)


def test_t40_t42_invented_values_are_kept_and_an_unreadable_date_loses_nothing() -> None:
    row = sale(fixmedins_hilist_name="t_goods", manu_lotnum="无", manu_date="无", expy_end="永久")
    document = read("3505", {"selinfo": row})
    assert len(scans(document)) == 1
    assert [(problem.where, problem.code) for problem in document.problems] == [
        ("selinfo.expy_end", "note"),
        ("selinfo.manu_date", "note"),
    ]


@pytest.mark.parametrize(
    "code", ["(01)06901234567892(21)SN1", "MA.156.M0.100761.21234561.SX8", "010690\x1d21AB", "8" * 100]
)
def test_t45_codes_of_other_systems_are_passed_on_as_sent(code: str) -> None:
    assert scans(read("3505", {"selinfo": sale(drugtracinfo=[{"drug_trac_codg": code}])}))[0].code == code


def test_t46_joined_codes_are_split_and_a_spoilt_code_keeps_only_itself_out() -> None:
    (one, two) = scans(read("3505", {"selinfo": sale(drugtracinfo=[{"drug_trac_codg": f"{CODE},{OTHER}"}])}))
    assert (one.code, two.code) == (CODE, OTHER)
    document = read("3505", {"selinfo": sale(drugtracinfo=[{"drug_trac_codg": "8.1E+19"}, {"drug_trac_codg": CODE}])})
    assert [scan.code for scan in scans(document)] == [CODE]
    assert document.problems[0].where == "selinfo.drugtracinfo[0]"
    only = read("3505", {"selinfo": sale(drugtracinfo=[{"drug_trac_codg": "8.1E+19"}])})
    assert not scans(only)
    assert len(only.problems) == 1


def test_a_bad_row_stays_out_with_its_reason_and_the_good_ones_go_in() -> None:
    rows = [
        sale(sel_retn_cnt="two"),
        sale(),
        sale(sel_retn_time="yesterday"),
        "row",
        sale(med_list_codg="", fixmedins_hilist_id="", drugtracinfo=[]),
        sale(trdn_flag="maybe"),
    ]
    document = read("3505A", {"selinfoDetail": rows})
    assert [scan.where for scan in scans(document)] == ["selinfoDetail[1].drugtracinfo[0]"]
    assert [(problem.where, problem.value) for problem in document.problems] == [
        ("selinfoDetail[3]", "row"),
        ("selinfoDetail[0].sel_retn_cnt", "two"),
        ("selinfoDetail[2].sel_retn_time", "yesterday"),
        ("selinfoDetail[4]", ""),
        ("selinfoDetail[5].trdn_flag", "maybe"),
    ]


def test_a_stocktake_counts_and_a_stock_change_keeps_its_type() -> None:
    (counted,) = scans(read("3501", {"invinfo": {"med_list_codg": "X", "invdate": "2026-01-03", "inv_cnt": "12.50",
                                                  "drugtracinfo": [{"drug_trac_codg": CODE}]}}))  # fmt: skip
    assert (counted.kind, counted.quantity, counted.code) == ("counted", "12.5", CODE)
    rows = [
        {"med_list_codg": "X", "inv_chg_type": kind, "cnt": 1, "inv_chg_time": "2026-01-03 08:00:00", "pric": 1.5}
        for kind in ("101", "108", "105")
    ]
    moved = scans(read("3502A", {"invinfoDetail": rows}))
    assert [(scan.kind, scan.reason) for scan in moved] == [
        ("changed", "101"), ("changed", "108"), ("exited", "destroyed"),
    ]  # fmt: skip
    assert moved[0].price == 1_500_000


def test_a_purchase_names_delivery_invoice_and_supplier() -> None:
    row = {"med_list_codg": "X", "dynt_no": "D1", "purc_invo_no": "I1", "spler_name": "某公司", "purc_retn_cnt": 3,
           "purc_retn_stoin_time": "2024-08-07 00:00:00", "manu_lotnum": "L1", "expy_end": "2027-05-16"}  # fmt: skip
    (scan,) = scans(read("3503", {"purcinfo": row}))
    assert (scan.kind, scan.code, scan.counterparty, scan.quantity) == ("received", "", "某公司", "3")
    assert scan.references == {"delivery": "D1", "invoice": "I1"}


def test_a_return_quotes_the_original_sale() -> None:
    (scan,) = scans(read("3506", {"selinfo": sale(medins_prod_sel_no="SEL1")}))
    assert (scan.kind, scan.references["original"]) == ("returned", "SEL1")


def test_t35_a_deletion_names_batch_and_kind_of_data_under_either_number() -> None:
    one = {"fixmedins_bchno": "B1", "inv_data_type": "4"}
    for infno, body in (("3507", {"data": one}), ("3507A", {"goodDetail": [one]}), ("3507", {"goodDetail": [one]})):
        (undo,) = read(infno, body).records
        assert isinstance(undo, Undo)
        assert (undo.kind, undo.references, undo.data_type) == ("corrected", {"batch": "B1"}, "4")
    document = read("3507A", {"goodDetail": [one, {"fixmedins_bchno": "B1"}]})
    assert len(document.records) == 1
    assert document.problems[0].where == "goodDetail[1].inv_data_type"
