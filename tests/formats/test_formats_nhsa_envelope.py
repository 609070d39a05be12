"""The NHSA envelope, with the tolerances T1 to T20 that a compatible server must have."""

import json
from typing import Any

import pytest
from formats_messages import CODE, raw, read, request, sale, scans

from suyuan.formats import nhsa


@pytest.mark.parametrize(("infno", "batch"), [("3505", False), ("3505A", True), ("3505a", True)])
def test_t1_a_transaction_number_may_carry_an_a(infno: str, batch: bool) -> None:  # noqa: FBT001  a parameter
    document = read(infno, {"selinfoDetail": [sale()]})
    assert (document.infno, document.batch) == ("3505", batch)
    assert len(scans(document)) == 1


def test_t2_the_transaction_number_may_stand_in_the_path() -> None:
    body = request("", {"selinfo": sale()})
    del body["infno"]
    assert len(scans(nhsa.read(json.dumps(body).encode(), infno="3505"))) == 1
    assert "infno" in nhsa.read(json.dumps(body).encode()).fatal


@pytest.mark.parametrize(
    "header",
    [
        {"msgid": "1" * 17}, {"msgid": "ZQ" + "1" * 28}, {"serv_code": "x", "serv_sign": "y", "recer_admdvs": "1"},
        {"insuplc_admdvs": "", "cainfo": "", "dev_no": ""}, {"infver": "1"}, {"opter_type": 1}, {"opter_name": "1001"},
        {"recer_sys_code": "441500"}, {"mdtrtarea_admvs": "3702"}, {"fixmedins_code": "100001"}, {"cainfo": "04" * 129},
        {"inf_time": "2026-01-03"}, {"inf_time": "20260103101112"}, {"inf_time": "gestern"},
    ],
)  # fmt: skip
def test_t3_to_t15_odd_header_values_are_no_reason_to_refuse(header: dict[str, Any]) -> None:
    assert len(scans(read("3505", {"selinfo": sale()}, **header))) == 1


def test_t7_absent_header_fields_are_no_reason_to_refuse() -> None:
    body = {"infno": "3505", "fixmedins_code": "P37020300001", "input": {"selinfo": sale()}}
    document = nhsa.read(json.dumps(body).encode())
    assert len(scans(document)) == 1
    assert (document.msgid, document.sent, document.software) == ("", 0, "")


def test_the_header_says_who_speaks_when_and_with_which_software() -> None:
    document = read("3505", {"selinfo": sale()}, fixmedins_soft_fcty="某软件")
    assert document.institution == "P37020300001"
    assert document.institution_name == "示例药店"
    assert document.msgid == "P37020300001202601031011120001"
    assert document.sent == 1_767_406_272_000_000
    assert document.software == "某软件"


def test_t16_to_t18_json_inside_json_is_decoded_once_more() -> None:
    body = request("3505", {"selinfo": sale()})
    as_text = {**body, "input": json.dumps(body["input"])}
    for sent in (
        json.dumps(as_text),
        json.dumps(json.dumps(body)),
        json.dumps(body) + "\n",
        "\ufeff" + json.dumps(body),
    ):
        assert scans(nhsa.read(sent.encode()))[0].code == CODE
    assert nhsa.read(json.dumps(json.dumps(json.dumps(body))).encode()).fatal


def test_gbk_bytes_are_read_as_what_they_say() -> None:
    body = json.dumps(request("3505", {"selinfo": sale()}), ensure_ascii=False)
    assert nhsa.read(body.encode("gb18030")).institution_name == "示例药店"


def test_t19_the_wrapper_of_a_chain_is_taken_as_a_purchase() -> None:
    inner = request("9950", {"purcinfo": {"med_list_codg": "Q02000000", "purc_retn_cnt": 3}}, fixmedins_code="")
    sent = {"baseData": {"accessId": "P37020300009"}, "bizData": inner}
    document = nhsa.read(json.dumps(sent).encode())
    assert (document.infno, document.institution) == ("3503", "P37020300009")
    assert scans(document)[0].kind == "received"
    other = {"baseData": {}, "bizData": request("9950", {"selinfo": sale()})}
    assert "9950" in nhsa.read(json.dumps(other).encode()).fatal


def test_t20_a_stray_insured_area_in_input_counts_where_the_header_has_none() -> None:
    document = read("3505", {"selinfo": sale(), "insuplcAdmdvs": "210106"}, insuplc_admdvs="")
    assert scans(document)[0].person == "psn:3702001@210106"


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b"", "nothing"),
        (b" \n", "nothing"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"7", "object"),
        (b'{"infno":"3505"}', "`input`"),
        (b'{"infno":"3505","input":[]}', "`input`"),
        (b'{"infno":"3505","input":"x"}', "JSON"),
        (b'{"infno":"3505","input":{}}', "row"),
        (b'{"infno":"3505","input":{"selinfo":{}}}', "row"),
        (b'{"infno":"9999","input":{}}', "9999"),
        (b'{"infno":"drop table","input":{}}', "drop table"),
        (b'{"infno":{},"input":{}}', "infno"),
        (b"[" * 100_000, "nested"),
        (b'{"infno":"3505","input":{"x":1e999}}', "JSON"),
        (b'{"infno":"3505","input":{"x":"\\ud800"}}', "JSON"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{"a":"\xff\xff"}', "UTF-8"),
    ],
)
def test_what_is_no_message_is_refused_with_words(sent: bytes, word: str) -> None:
    document = nhsa.read(sent)
    assert word in document.fatal
    assert not document.records


def test_a_message_beyond_the_limit_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suyuan.formats.decoding.MESSAGE_BYTES_MAX", 100)
    assert "limit 100" in nhsa.read(raw("3505", {"selinfo": sale()})).fatal
