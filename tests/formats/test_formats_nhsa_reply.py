"""Answers in the sender's own envelope: two-level success, error lists, refused claims."""

import json
from typing import Any

import pytest
from formats_messages import CODE, OTHER, answered, read, sale

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome
from suyuan.ledger.scan import Problem, Result
from suyuan.ledger.statuses import STATUSES
from suyuan.settlement.claim import ClaimVerdict, CodeVerdict, LineVerdict

DATA = {"psn_no": "3702001", "mdtrt_id": "M1", "chrg_bchno": "C1", "medfee_sumamt": 27.6}


def test_an_answer_has_the_fields_of_its_envelope() -> None:
    reply = answered(read("3505", {"selinfo": sale()}), "accepted")
    assert reply == {
        "infcode": 0,
        "inf_refmsgid": "3702" + "0" * 26,
        "refmsg_time": "20260103101112000",
        "respond_time": "20260103101112000",
        "err_msg": "",
        "warn_msg": "",
        "cainfo": "",
        "signtype": "",
        "output": {"result": {"retRslt": "1", "msgRslt": "成功"}},
    }


def test_a_message_that_cannot_be_read_fails_in_the_envelope() -> None:
    reply = answered(read("3505", {}), received=0)
    assert (reply["infcode"], reply["output"], reply["inf_refmsgid"]) == (-1, None, "")
    assert reply["err_msg"].startswith("未找到业务数据节点")
    refused = answered(read("3505", {"selinfo": sale()}), "accepted", fatal="The store is full. Try later.")
    assert (refused["infcode"], refused["err_msg"]) == (-1, "The store is full. Try later.")


@pytest.mark.parametrize("status", [status.name for status in STATUSES])
def test_an_upload_succeeds_unless_the_sender_made_an_error(status: str) -> None:
    reply = answered(read("3505", {"selinfo": sale()}), status)
    failed = status in {"malformed", "not_allowed", "key_reused"} or status.startswith("undo_")
    assert reply["infcode"] == 0
    assert reply["output"]["result"]["retRslt"] == ("0" if failed else "1")


def test_a_conflicting_report_is_kept_and_the_sender_is_told() -> None:
    reply = answered(read("3505", {"selinfo": sale()}), "conflict_sold")
    assert reply["output"]["result"]["retRslt"] == "1"
    assert CODE in reply["warn_msg"]
    assert "已有销售记录" in reply["warn_msg"]
    assert "更换另一盒" in reply["warn_msg"]


def test_a_repeat_gets_the_words_of_its_first_answer() -> None:
    document = read("3505", {"selinfo": sale()})
    result = Result(where="selinfo.drugtracinfo[0]", code=CODE, key="", status="first_answer",
                    reasons=("first_answer", "conflict_sold"), first=False)  # fmt: skip
    reply = json.loads(nhsa.answer(document, Outcome(results=[result])))
    assert "已有销售记录" in reply["warn_msg"]


def test_a_batch_lists_the_rows_there_is_something_to_say_of() -> None:
    rows = [sale(), sale(sel_retn_cnt="two", fixmedins_bchno="B2"), sale(fixmedins_bchno="B3")]
    reply = answered(read("3505A", {"selinfoDetail": rows}), "accepted", "conflict_sold")
    assert reply["infcode"] == 0
    assert reply["output"]["result"] == {"retRslt": "0", "msgRslt": "共3行，成功2行，失败1行"}
    warned, failed = reply["output"]["selinfoErrDetail"]
    assert (warned["retRslt"], warned["fixmedins_bchno"]) == ("1", "B3")
    assert (failed["retRslt"], failed["fixmedins_bchno"]) == ("0", "B2")
    assert "数值格式错误[two]" in failed["msgRslt"]
    assert failed["memo"] == "selinfoDetail[1]"


@pytest.mark.parametrize(
    ("infno", "node", "row", "errors"),
    [
        ("3501A", "invinfoDetail", {"inv_cnt": "x"}, "invinfoErrDetail"),
        ("3502A", "invinfoDetail", {"cnt": "x", "inv_chg_type": "101"}, "invinfoErrDetail"),
        ("3503A", "purcinfoDetail", {"purc_retn_cnt": "x"}, "purcinfoErrDetail"),
        ("3504A", "purcinfoDetail", {"purc_retn_cnt": "x"}, "purcinfoErrDetail"),
        ("3506A", "selinfoDetail", {"sel_retn_cnt": "x"}, "selinfoErrDetail"),
    ],
)
def test_each_batch_has_its_own_error_list(infno: str, node: str, row: dict[str, str], errors: str) -> None:
    reply = answered(read(infno, {node: json.dumps([{"med_list_codg": "X", **row}])}))
    (told,) = reply["output"][errors]
    assert (told["med_list_codg"], told["retRslt"]) == ("X", "0")
    assert reply["output"]["result"]["retRslt"] == "0"


def test_a_batch_without_faults_has_no_error_list() -> None:
    reply = answered(read("3505A", {"selinfoDetail": [sale()]}), "tolerated_repeat")
    assert reply["output"] == {"result": {"retRslt": "1", "msgRslt": "共1行，成功1行，失败0行"}}


def test_a_deletion_that_failed_says_so_where_its_sender_looks() -> None:
    one = {"fixmedins_bchno": "B1", "inv_data_type": "4"}
    assert answered(read("3507", {"data": one}), "accepted")["infcode"] == 0
    assert answered(read("3507", {"data": one}), "first_answer")["infcode"] == 0
    failed = answered(read("3507", {"data": one}), "undo_ambiguous")
    assert (failed["infcode"], failed["output"]) == (-1, None)
    assert "不唯一" in failed["err_msg"]
    partly = answered(read("3507A", {"goodDetail": [one, one]}), "accepted", "undo_not_found")
    assert (partly["infcode"], partly["output"]["result"]["retRslt"]) == (0, "0")
    assert partly["output"]["goodErrDetail"][0]["fixmedins_bchno"] == "B1"


def verdict(word: str, *codes: tuple[str, str, str], **fields: Any) -> ClaimVerdict:
    lines = [
        LineVerdict(
            line="F1", where="", product="X", verdict=word, status=codes[0][1] if codes else "accepted", reasons=(),
            codes=[CodeVerdict(code=code, where="", key="", status=status, reasons=(status, "unmapped"), verdict=one)
                   for code, status, one in codes],
        )
    ]  # fmt: skip
    return ClaimVerdict(verdict=word, lines=lines, **fields)


def settled(document: Document, given: ClaimVerdict, **fields: Any) -> dict[str, Any]:
    outcome = Outcome(results=[given], reference="1" * 30, **fields)
    reply: dict[str, Any] = json.loads(nhsa.answer(document, outcome))
    return reply


def test_a_paid_claim_gets_its_settlement_number_and_amounts() -> None:
    document = read("2207", {"data": DATA})
    reply = settled(
        document, verdict("pay", (CODE, "accepted", "pay"), settlement="SETL1", amount=27_600_000, paid=27_600_000)
    )
    assert reply["infcode"] == 0
    assert reply["output"]["setlinfo"] == {
        "setl_id": "SETL1", "mdtrt_id": "M1", "medfee_sumamt": 27.6, "fund_pay_sumamt": 27.6,
        "trac_hold_sumamt": 0.0, "trac_refuse_sumamt": 0.0,
    }  # fmt: skip
    (row,) = reply["output"]["trac_verdicts"]
    assert (row["drug_trac_codg"], row["feedetl_sn"], row["verdict"], row["status"]) == (CODE, "F1", "pay", "accepted")
    assert row["reasons"] == ["accepted", "unmapped"]
    assert row["next_action"] == "无需处理"


def test_r12_a_refused_claim_fails_and_names_its_codes_the_worst_first() -> None:
    document = read("2207", {"data": DATA})
    refused = verdict(
        "refuse", (OTHER, "code_review", "hold"), (CODE, "conflict_sold", "refuse"), contest="可向经办机构申诉"
    )
    reply = settled(document, refused)
    assert (reply["infcode"], reply["output"]) == (-1, None)
    assert reply["err_msg"].index(CODE) < reply["err_msg"].index(OTHER)
    assert "该追溯码已有销售记录，追溯码未映射，更换另一盒" in reply["err_msg"]
    assert reply["err_msg"].endswith("可向经办机构申诉")


def test_advice_never_fails_and_says_what_settling_would_meet() -> None:
    reply = settled(read("2206", {"data": DATA}), verdict("refuse", (CODE, "conflict_sold", "refuse"), advice=True))
    assert reply["infcode"] == 0
    assert CODE in reply["warn_msg"]
    assert reply["output"]["setlinfo"]["setl_id"] == ""
    assert reply["output"]["trac_verdicts"][0]["verdict"] == "refuse"


def test_a_line_without_codes_speaks_for_itself() -> None:
    line = LineVerdict(
        line="F7", where="", product="X", verdict="refuse", status="not_scanned", reasons=("not_scanned",)
    )
    reply = settled(read("2207", {"data": DATA}), ClaimVerdict(verdict="refuse", lines=[line]))
    assert reply["err_msg"] == "费用明细F7：未扫追溯码，请扫码"
    paid = settled(read("2207", {"data": DATA}), ClaimVerdict(verdict="pay", lines=[line]))
    assert paid["output"]["trac_verdicts"][0]["drug_trac_codg"] == ""


def test_t58_a_claim_with_a_row_that_cannot_be_read_names_the_field() -> None:
    document = read("2207", {"data": DATA, "drug_trac_info": [{"feedetl_sn": "F1"}]})
    reply = settled(
        document, ClaimVerdict(verdict="refuse", problems=("追溯码信息不完整",)), problems=document.problems
    )
    assert reply["infcode"] == -1
    assert "追溯码信息不完整" in reply["err_msg"]
    assert reply["err_msg"].count("drug_trac_info[0].drug_trac_codg：必填字段为空") == 1


def test_a_claim_that_was_not_judged_fails_with_what_is_known() -> None:
    document = read("2207", {"data": DATA})
    assert json.loads(nhsa.answer(document, Outcome()))["err_msg"] == "未能处理该结算"


def test_many_refused_codes_are_cut_between_two_of_them() -> None:
    codes = [(f"8{number:019d}", "conflict_sold", "refuse") for number in range(200)]
    reply = settled(read("2207", {"data": DATA}), verdict("refuse", *codes))
    assert len(reply["err_msg"]) <= 2000
    assert reply["err_msg"].endswith("；等")


def test_fee_details_come_back_line_by_line() -> None:
    row = {"feedetl_sn": "F1", "cnt": 2, "pric": 13.8, "det_item_fee_sumamt": 27.6}
    reply = answered(read("2204", {"feedetail": [row, {"cnt": 1}]}), "accepted")
    assert reply["output"]["result"] == [{"feedetl_sn": "F1", "det_item_fee_sumamt": 27.6, "cnt": "2", "pric": 13.8}]
    assert "feedetail[1].feedetl_sn：必填字段为空" in reply["warn_msg"]
    failed = answered(read("2204", {"feedetail": [{"cnt": 1}]}))
    assert (failed["infcode"], failed["output"]) == (-1, None)


def test_a_cancel_and_a_reversal_pass_or_fail_as_a_whole() -> None:
    cancel = read("2208", {"data": {"setl_id": "S1", "mdtrt_id": "M1"}})
    assert answered(cancel, "accepted")["output"] == {"setlinfo": {"setl_id": "S1", "mdtrt_id": "M1"}}
    late = answered(cancel, "undo_too_late")
    assert (late["infcode"], late["output"]) == (-1, None)
    assert "超过撤销期限" in late["err_msg"]
    reversal = read("2601", {"data": {"omsgid": "MSG1", "oinfno": "2207"}})
    assert answered(reversal, "accepted")["output"] == {}
    unreadable = read("2601", {"data": {"omsgid": "MSG1"}})
    assert answered(unreadable)["infcode"] == -1


def test_faults_found_later_are_told_once_each() -> None:
    document = read("3505", {"selinfo": sale(expy_end="永久")})
    later = [*document.problems, Problem(where="selinfo", what="something", do="wait")]
    reply = answered(document, "accepted", problems=later)
    words = reply["output"]["result"]["msgRslt"]
    assert words.count("日期格式错误") == 1
    assert "selinfo：something，wait" in words
