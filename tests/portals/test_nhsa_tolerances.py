"""T1 to T58 of the NHSA interface over HTTP: what a compatible server must take, and how it answers."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from nhsa_till import PATH, Till, clock, fine, message, new_code, new_number, now, sale, till
from story import (
    ESCAPE,
    GTIN,
    HERB,
    HOSPITAL_A,
    HOSPITAL_B,
    PHARMACY_P,
    PHARMACY_Q,
    SPLITTABLE,
    WHOLE,
)

from suyuan.portals import nhsa
from suyuan.portals.nhsa_proofs import proofs_of
from suyuan.portals.signatures import hmac_sm3, new_sm2_key, sign_sm2, sm3, x_tif_signature


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with till(tmp_path_factory.mktemp("nhsa") / "node") as running:
        yield running


def sold_once(his: Till, code: str) -> bool:
    return [event.status for event in his.events(code, "sold")] == ["accepted"]


# Envelope

HEADERS = {
    "t3 msgid of 17": {"msgid": "20210626000000001"},
    "t3 msgid of 20": {"msgid": "20221211154403240156"},
    "t3 msgid of 21": {"msgid": "202302270953542206A82"},
    "t3 msgid of 26": {"msgid": "H4418020000120210411183001"},
    "t3 msgid of 27": {"msgid": "H44180200001202104111830002"},
    "t3 msgid of 30": {"msgid": "H33070300001202201081901470019"},
    "t4 msgid of another institution": {"msgid": "H99999999999202601031011120001"},
    "t6 unknown keys": {"serv_code": "REPLACED", "serv_sign": "REPLACED", "recer_admdvs": "440100"},
    "t7 optional keys absent": {"signtype": None, "enc_type": None, "fixmedins_soft_fcty": None},
    "t8 empty fields": {"insuplc_admdvs": "", "dev_no": "", "dev_safe_info": "", "cainfo": "", "sign_no": ""},
    "t9 infver 1.0.0": {"infver": "1.0.0"},
    "t9 infver 1.0": {"infver": "1.0"},
    "t9 infver 1": {"infver": "1"},
    "t10 opter_type as number": {"opter_type": 1},
    "t11 opter_name an id": {"opter_name": "1000000000000001"},
    "t12 inf_time a date": {"inf_time": "2026-01-03"},
    "t12 inf_time compact": {"inf_time": "20260103101112"},
    "t13 recer_sys_code an area": {"recer_sys_code": "441500"},
    "t14 area of four digits": {"mdtrtarea_admvs": "4401"},
    "t23 cainfo of 258 characters": {"cainfo": "04" * 129},
    "t23 cainfo a digest of nonsense": {"signtype": "SM3", "cainfo": sm3(b"com.example.Signer")},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_t3_to_t14_and_t23_odd_header_values_are_accepted(his: Till, header: dict[str, Any]) -> None:
    code = new_code()
    assert fine(his.send("3505", {"selinfo": sale(code)}, **header))
    assert sold_once(his, code)


@pytest.mark.parametrize("infno", ["3505", "3505A", "3505a"])
def test_t1_infno_may_have_an_a(his: Till, infno: str) -> None:
    code = new_code()
    assert fine(his.send(infno, {"selinfoDetail": [sale(code)]}))
    assert sold_once(his, code)
    assert his.send("2206A", {"data": {"mdtrt_id": new_number(), "psn_no": "1", "medfee_sumamt": 1}})["infcode"] == 0


def test_t2_infno_may_stand_in_the_path_in_the_body_or_in_both(his: Till) -> None:
    for in_path, in_body in ((True, False), (False, True), (True, True)):
        code = new_code()
        sent = message("3505" if in_body else "", {"selinfo": sale(code)})
        if not in_body:
            del sent["infno"]
        assert fine(his.post(sent, his.token_path(HOSPITAL_A, "3505" if in_path else "")).json())
        assert sold_once(his, code)
    del sent["infno"]
    told = his.post(sent, his.token_path(HOSPITAL_A)).json()
    assert (told["infcode"], "infno" in told["err_msg"]) == (-1, True)


def test_t5_one_msgid_on_two_bodies_is_two_messages(his: Till) -> None:
    one, other = new_code(), new_code()
    for code in (one, other):
        assert fine(his.send("3505", {"selinfo": sale(code)}, msgid="H44010000001202601031011121234"))
    assert sold_once(his, one)
    assert sold_once(his, other)


def test_t15_an_institution_code_of_other_length_is_taken_from_who_holds_its_token(his: Till) -> None:
    his.agree("100001")
    code = new_code()
    assert fine(his.send("3505", {"selinfo": sale(code)}, "100001"))
    assert [event.actor for event in his.events(code, "sold")] == ["100001"]
    told = his.post(message("3505", {"selinfo": sale(code)}, "100001"), his.token_path(HOSPITAL_A)).json()
    assert (told["infcode"], "100001" in told["err_msg"]) == (-1, True)


def test_t16_to_t18_json_within_json_and_a_line_feed_at_the_end(his: Till) -> None:
    wraps: tuple[Callable[[dict[str, Any]], str], ...] = (
        lambda sent: json.dumps({**sent, "input": json.dumps(sent["input"])}),
        lambda sent: json.dumps(json.dumps(sent)),
        lambda sent: json.dumps(sent) + "\n",
        lambda sent: "\ufeff" + json.dumps(sent, ensure_ascii=False),
    )
    for wrap in wraps:
        code = new_code()
        assert fine(his.post(wrap(message("3505", {"selinfo": sale(code)})).encode()).json())
        assert sold_once(his, code)


def test_t19_the_wrapper_of_a_chain_is_taken_as_a_purchase(his: Till) -> None:
    row = {"med_list_codg": WHOLE, "purc_retn_cnt": 3, "purc_retn_stoin_time": "2024-08-07 00:00:00"}
    inner = message("9950", {"purcinfo": row}, PHARMACY_P)
    wrapped = json.dumps({"baseData": {"accessId": PHARMACY_P, "sign": "0" * 64}, "bizData": inner}).encode()
    assert fine(his.post(wrapped, his.token_path(PHARMACY_P)).json())


def test_t20_stray_keys_in_input_are_ignored(his: Till) -> None:
    code = new_code()
    assert fine(his.send("3505", {"selinfo": sale(code), "insuplcAdmdvs": "210106"}))
    assert sold_once(his, code)


def test_t21_a_sign_in_number_serves_until_midnight_and_after_a_restart(his: Till) -> None:
    given = his.send("9001", {"signIn": {"opter_no": "1001", "mac": "00-00-00-00-00-00", "ip": "192.0.2.100"}})
    sign_no = given["output"]["signinoutb"]["sign_no"]
    assert given["infcode"] == 0
    for _ in range(2):
        code = new_code()
        assert fine(his.post(message("3505", {"selinfo": sale(code)}, sign_no=sign_no), PATH).json())
        assert sold_once(his, code)
    assert proofs_of(his.node).by_sign_in(HOSPITAL_A, sign_no).party, "another start of the program knows it"
    assert not his.proofs.by_sign_in(HOSPITAL_B, sign_no).party
    assert not his.proofs.by_sign_in(HOSPITAL_A, f"20260101{sign_no[8:]}").party
    assert his.send("9002", {"signOut": {"sign_no": sign_no, "opter_no": "1001"}})["infcode"] == 0
    told = his.post(message("3505", {"selinfo": sale(new_code())}, sign_no=sign_no), PATH).json()
    assert (told["infcode"], told["output"]) == (-1, None)
    assert not proofs_of(his.node).by_sign_in(HOSPITAL_A, sign_no).party


# Transport and signing


def x_tif(his: Till, institution: str = HOSPITAL_A, stamp: str = "", **wrong: str) -> dict[str, str]:
    key = his.keys[institution]
    stamp = stamp or str(int(now().timestamp()))
    nonce = new_number("n")
    headers = {
        "x-tif-paasId": key.id,
        "X-TIF-TIMESTAMP": stamp,
        "x-tif-nonce": nonce,
        "X-Tif-Signature": x_tif_signature(stamp, key.secret, nonce),
    }
    return {**headers, **wrong}


def test_t22_x_tif_headers_are_known_in_any_letter_case_with_seconds_or_milliseconds(his: Till) -> None:
    for stamp in ("", str(int(now().timestamp() * 1000))):
        code = new_code()
        assert fine(his.post(message("3505", {"selinfo": sale(code)}), PATH, headers=x_tif(his, stamp=stamp)).json())
        assert sold_once(his, code)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"X-Tif-Signature": "0" * 64}, "x-tif-signature"),
        ({"x-tif-paasId": "undefined"}, "undefined"),
        ({"X-TIF-TIMESTAMP": "yesterday"}, "x-tif-timestamp"),
        ({"X-TIF-TIMESTAMP": "1767406272"}, "时钟"),
        ({"x-tif-nonce": ""}, "x-tif-nonce"),
        ({"x-tif-nonce": "another"}, "x-tif-signature"),
    ],
)
def test_t22_x_tif_headers_that_prove_nothing_are_refused_in_words(his: Till, wrong: dict[str, str], word: str) -> None:
    code = new_code()
    given = his.post(message("3505", {"selinfo": sale(code)}), PATH, headers=x_tif(his, **wrong))
    assert (given.status_code, given.json()["infcode"], given.json()["output"]) == (200, -1, None)
    assert word in given.json()["err_msg"]
    assert not his.events(code)


def test_t22_the_headers_of_one_call_do_not_serve_for_another_body(his: Till) -> None:
    headers, sent = x_tif(his), message("3505", {"selinfo": sale(new_code())})
    assert fine(his.post(sent, PATH, headers=headers).json())
    assert fine(his.post(sent, PATH, headers=headers).json()), "the network repeated it"
    code = new_code()
    assert his.post(message("3505", {"selinfo": sale(code)}), PATH, headers=headers).json()["infcode"] == -1
    assert not his.events(code)


def signed(sent: dict[str, Any], sign: Any) -> dict[str, Any]:
    """The construction of the Hubei client: header without cainfo and input, keys sorted, k=v joined."""
    header = {name: value for name, value in sent.items() if name not in {"cainfo", "input"}}
    return {**sent, "cainfo": sign("&".join(f"{name}={header[name]}" for name in sorted(header)).encode())}


def test_t24_with_sm2_agreed_the_signed_header_opens_the_door_and_a_changed_one_does_not(his: Till) -> None:
    private, public = new_sm2_key()
    his.agree("H42010000001", verify="sm2")
    his.node.tables.register_public_key("H42010000001", public)
    code = new_code()
    sent = signed(message("3505", {"selinfo": sale(code)}, "H42010000001"), lambda text: sign_sm2(private, text))
    assert fine(his.post(sent, PATH).json())
    assert sold_once(his, code)
    other = new_code()
    for changed in (
        {**sent, "opter": "02"},
        {**sent, "cainfo": ""},
        {**sent, "cainfo": "04" * 129},
        {**sent, "input": {"selinfo": sale(other)}},
        {**sent, "fixmedins_code": HOSPITAL_A},
        signed(
            message("3505", {"selinfo": sale(other)}, "H42010000001"), lambda text: sign_sm2(new_sm2_key()[0], text)
        ),
        signed(
            message("3505", {"selinfo": sale(other)}, "H42010000001", inf_time=clock(now(hours=1))),
            lambda text: sign_sm2(private, text),
        ),
    ):
        told = his.post(changed, PATH).json()
        assert (told["infcode"], told["output"]) == (-1, None)
        assert told["err_msg"]
    assert not his.events(other)
    token = his.post({**sent, "cainfo": ""}, his.token_path("H42010000001")).json()
    assert token["infcode"] == -1, "where a signature is agreed, a token does not stand in for it"


def test_t24_with_keyed_sm3_agreed_the_digest_of_the_header_is_checked(his: Till) -> None:
    his.agree("H42010000002", verify="sm3")
    token = his.keys["H42010000002"].secret.encode()
    code = new_code()
    sent = message("3505", {"selinfo": sale(code)}, "H42010000002", signtype="SM3")
    right = signed(sent, lambda text: hmac_sm3(token, text).hex().upper())
    assert fine(his.post(right, PATH).json())
    wrong = signed(sent, sm3)
    assert his.post(wrong, PATH).json()["infcode"] == -1
    assert sold_once(his, code)
    other = new_code()
    again = {**right, "cainfo": right["cainfo"].lower(), "input": {"selinfo": sale(other)}}
    assert his.post(again, PATH).json()["infcode"] == -1, "one signature in two spellings signs one message"
    assert not his.events(other)
    assert fine(his.post(right, PATH).json()), "the network repeated it"


def test_t25_an_answer_comes_before_clients_give_up_or_says_that_the_outcome_is_unknown(
    his: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [new_code() for _ in range(1500)]
    sent = message("3505A", {"selinfoDetail": [sale(code) for code in codes]})
    with monkeypatch.context() as hurried:
        hurried.setattr(nhsa, "ANSWER_SECONDS", 0.001)
        given = his.post(sent)
        assert given.status_code == 504
        assert "结果未知" in given.json()["err_msg"]
    assert fine(his.post(sent).json()), "the same message again asks for the outcome"
    assert all(sold_once(his, code) for code in codes)


# Response


def test_t26_infcode_is_a_number_or_a_text_as_agreed(his: Till) -> None:
    his.agree("H42010000003", infcode="text")
    for institution, success, failure in ((HOSPITAL_A, 0, -1), ("H42010000003", "0", "-1")):
        assert his.send("3505", {"selinfo": sale(new_code())}, institution)["infcode"] == success
        assert his.send("3505", {}, institution)["infcode"] == failure
        assert his.send("1101", {"data": {}}, institution)["infcode"] == failure
        assert his.send("9001", {"signIn": {}}, institution)["infcode"] == success


def test_t27_times_and_ids_have_their_digits_and_an_error_has_no_output(his: Till) -> None:
    given, told = his.send("3505", {"selinfo": sale(new_code())}), his.send("3505", {"selinfo": {}})
    for answer in (given, told, his.send("9001", {"signIn": {}})):
        assert len(answer["refmsg_time"]) == len(answer["respond_time"]) == 17
        assert answer["refmsg_time"].isdigit()
    assert (len(given["inf_refmsgid"]), given["inf_refmsgid"].isdigit()) == (30, True)
    assert (told["inf_refmsgid"], told["output"]) == ("", None)
    assert told["err_msg"]


def test_t28_a_business_failure_is_in_the_result_and_a_transport_failure_in_infcode(his: Till) -> None:
    business = his.send("3505", {"selinfo": sale("8.1234E+19")})
    assert (business["infcode"], business["output"]["result"]["retRslt"]) == (0, "0")
    assert "科学计数法" in business["output"]["result"]["msgRslt"]
    transport = his.post(b"{").json()
    assert (transport["infcode"], transport["output"]) == (-1, None)
    assert "JSON" in transport["err_msg"]


# Shape of nodes


def nodes(code: str) -> dict[str, dict[str, Any]]:
    rest = {name: value for name, value in sale(code).items() if name != "drugtracinfo"}
    listed = [{"drug_trac_codg": code}]
    return {
        "t30 list": {"selinfo": {**rest, "drugtracinfo": listed}},
        "t30 object": {"selinfo": {**rest, "drugtracinfo": listed[0]}},
        "t30 beside the row": {"selinfo": {**rest, "drugtracinfo": ""}, "drugtracinfo": listed},
        "t30 misspelt": {"selinfo": {**rest, "drugtracinfo": [{"drug_trac_code": code}]}},
        "t30 flat": {"selinfo": {**rest, "drug_trac_codg": code}},
        "t32 another node": {"purcinfo": {**rest, "drugtracinfo": listed}},
        "t32 text of a list": {"purcinfo": json.dumps([{**rest, "drugtracinfo": listed}])},
        "t33 empty row at the end": {"selinfo": [{**rest, "drugtracinfo": listed}, {}]},
        "t36 object for a list": {"selinfoDetail": {**rest, "drugtracinfo": listed}},
    }


@pytest.mark.parametrize("shape", nodes(""))
def test_t30_to_t36_odd_shapes_give_the_same_stored_code(his: Till, shape: str) -> None:
    code = new_code()
    assert fine(his.send("3505", nodes(code)[shape]))
    assert sold_once(his, code)


def test_t30_codes_beside_several_rows_are_assigned_to_none_and_named(his: Till) -> None:
    code = new_code()
    rows = [sale(drugtracinfo=""), sale(drugtracinfo="")]
    told = his.send("3505A", {"selinfoDetail": rows, "drugtracinfo": [{"drug_trac_codg": code}]})
    assert told["infcode"] == 0
    assert code in json.dumps(told, ensure_ascii=False)
    assert not his.events(code)


@pytest.mark.parametrize("node", [None, "", [], [{}], [{"drug_trac_codg": ""}], {}])
def test_t31_a_row_without_code_is_stored_without_code(his: Till, node: Any) -> None:
    row = sale(drugtracinfo=node)
    assert his.send("3505", {"selinfo": row})["infcode"] == 0
    assert len(his.lines(HOSPITAL_A, row["mdtrt_sn"])) == 1


def test_t34_a_purchase_return_under_selinfo_is_one(his: Till) -> None:
    row = {"med_list_codg": WHOLE, "purc_retn_cnt": 2, "purc_retn_stoin_time": clock(now()), "spler_name": "某公司"}
    assert fine(his.send("3504", {"selinfo": row}))


def test_t35_a_list_under_3507_deletes_like_3507a(his: Till) -> None:
    code = new_code()
    row = sale(code)
    assert fine(his.send("3505", {"selinfo": row}))
    told = his.send("3507", {"goodDetail": [{"fixmedins_bchno": row["fixmedins_bchno"], "inv_data_type": "4"}]})
    assert told["infcode"] == 0
    assert len(his.events(code, "corrected")) == 1


# Keys, types, dates

ROWS = {
    "t37 capitals": {"MDTRT_SETL_TYPE": "2"},
    "t37 hist": {"fixmedins_hist_id": "Y9", "fixmedins_hist_name": "药", "prodentpName": "厂", "prdr_name": "厂"},
    "t38 numbers as texts": {"finl_trns_pric": "13.8000", "sel_retn_cnt": "1.0000", "rx_flag": 1, "trdn_flag": 0},
    "t38 empty and null": {"finl_trns_pric": None, "manu_date": "", "expy_end": None, "bchno": None},
    "t39 labels": {"rx_flag": "否", "trdn_flag": "否"},
    "t40 misused text": {"fixmedins_hilist_name": "t_goods", "sel_retn_opter_name": "unknown"},
    "t41 no blank": {"sel_retn_time": f"{now(minutes=1):%Y-%m-%d%H:%M:%S}"},
    "t41 date alone": {"sel_retn_time": f"{now():%Y-%m-%d}"},
    "t41 slashes": {"sel_retn_time": f"{now(days=1):%Y/%m/%d %H:%M:%S}"},
    "t41 compact": {"sel_retn_time": f"{now(minutes=1):%Y%m%d%H%M%S}"},
    "t41 midnight": {"sel_retn_time": f"{now():%Y-%m-%d 00:00:00}"},
    "t42 invented values": {"manu_lotnum": "无", "aprvno": "无", "manu_date": "2024-01-01", "phar_name": "药师"},
    "t43 constant batch number": {"fixmedins_bchno": "0001"},
    "t43 constant batch number again": {"fixmedins_bchno": "0001"},
    "t43 long batch number": {"fixmedins_bchno": "B" * 100},
    "t54 months late": {"sel_retn_time": clock(now(days=70))},
}


@pytest.mark.parametrize("fields", ROWS.values(), ids=ROWS)
def test_t37_to_t43_and_t54_other_spellings_and_invented_values_are_accepted(his: Till, fields: dict[str, Any]) -> None:
    code = new_code()
    assert fine(his.send("3505", {"selinfo": sale(code, **fields)}))
    assert sold_once(his, code)


def test_t44_a_change_type_is_stored_as_sent(his: Till) -> None:
    for kind in ("101", "102"):
        code = new_code()
        row = {"med_list_codg": WHOLE, "inv_chg_type": kind, "cnt": 1, "pric": 1, "inv_chg_time": clock(now())}
        assert fine(his.send("3502", {"invinfo": {**row, "drugtracinfo": [{"drug_trac_codg": code}]}}))
        (event,) = his.events(code, "changed")
        assert kind in json.dumps([event.references, event.detail])


# Codes


def test_t45_codes_of_every_system_are_stored(his: Till) -> None:
    number = new_number("SN")
    codes = (f"(01){GTIN}(21){number}", f"MA.156.M0.100761.21234561.S{number}", f"KEEN{number}" + "8" * 80, "7301946")
    for code in codes:
        assert fine(his.send("3505", {"selinfo": sale(code, med_list_codg="")}))
        assert len(his.events(code, "sold")) == 1, code


def test_t46_joined_codes_are_taken_apart(his: Till) -> None:
    for joint in (",", ";"):
        one, other = new_code(), new_code()
        assert fine(his.send("3505", {"selinfo": sale(f"{one}{joint}{other}", sel_retn_cnt=2)}))
        assert sold_once(his, one)
        assert sold_once(his, other)


def test_t47_twenty_nines_with_a_split_sale_are_never_a_duplicate(his: Till) -> None:
    for _ in range(3):
        told = his.send("3505", {"selinfo": sale(ESCAPE, med_list_codg=SPLITTABLE, trdn_flag="1")})
        assert fine(told)
        assert "重复" not in told["output"]["result"]["msgRslt"]
    assert not his.events(ESCAPE)


def test_t48_a_code_repeated_in_split_sales_is_no_duplicate_and_in_whole_ones_it_is(his: Till) -> None:
    split, whole = new_code(SPLITTABLE), new_code()
    for place in (HOSPITAL_A, HOSPITAL_A, HOSPITAL_A):
        row = sale(split, med_list_codg=SPLITTABLE, trdn_flag="1", psn_no=new_number("p"))
        assert fine(his.send("3505", {"selinfo": row}, place))
    assert {event.status for event in his.events(split, "sold")} == {"accepted"}
    assert fine(his.send("3505", {"selinfo": sale(whole)}, HOSPITAL_A))
    told = his.send("3505", {"selinfo": sale(whole, psn_no="other")}, HOSPITAL_B)
    assert fine(told), "the report itself is kept as evidence"
    assert [event.status for event in his.events(whole, "sold")] == ["accepted", "conflict_sold"]
    assert told["output"]["result"]["msgRslt"] != "成功"
    assert len(his.events(whole, "alerted")) <= 1


def test_t49_an_unflagged_split_is_called_a_possible_split(his: Till) -> None:
    code = new_code(SPLITTABLE)
    for person in ("one", "two"):
        assert fine(his.send("3505", {"selinfo": sale(code, med_list_codg=SPLITTABLE, psn_no=person)}))
    assert [event.status for event in his.events(code, "sold")] == ["accepted", "possible_split"]


def test_t50_an_unknown_prefix_is_accepted_and_marked_for_mapping(his: Till) -> None:
    code = f"8999999{new_code()[7:]}"
    assert fine(his.send("3505", {"selinfo": sale(code)}))
    (event,) = his.events(code, "sold")
    assert event.status == "unmapped"
    assert event.drawn


# Behaviour


def test_t51_a_row_sent_again_under_new_numbers_is_the_same_sale(his: Till) -> None:
    code = new_code()
    row = sale(code, setl_id=new_number("S"))
    assert fine(his.send("3505", {"selinfo": row}))
    again = his.send("3505", {"selinfo": {**row, "fixmedins_bchno": new_number("B")}})
    assert fine(again)
    assert again["output"]["result"]["msgRslt"] == "成功"
    assert sold_once(his, code)


def test_t52_a_double_click_from_several_processes_is_one_stored_event(his: Till) -> None:
    code = new_code()
    row = sale(code)
    with ThreadPoolExecutor(8) as clerks:
        answers = list(clerks.map(lambda _: his.send("3505", {"selinfo": row}), range(16)))
    assert all(map(fine, answers))
    assert sold_once(his, code)


def test_t53_a_batch_keeps_its_good_rows_and_names_its_bad_ones(his: Till) -> None:
    codes = [new_code() for _ in range(300)]
    rows = [sale(code) for code in codes]
    rows[7]["sel_retn_cnt"] = "two"
    rows[250]["drugtracinfo"] = [{"drug_trac_codg": "8.1E+19"}]
    told = his.send("3505A", {"selinfoDetail": rows})
    assert (told["infcode"], told["output"]["result"]["retRslt"]) == (0, "0")
    failed = {row["memo"] for row in told["output"]["selinfoErrDetail"] if row["retRslt"] == "0"}
    assert failed == {"selinfoDetail[7]", "selinfoDetail[250]"}
    assert all(sold_once(his, code) for place, code in enumerate(codes) if place not in {7, 250})
    assert not his.events(codes[7])


def test_t53_a_batch_beyond_the_size_is_refused_with_the_size_and_nothing_is_stored(his: Till) -> None:
    limit = his.node.settings.body_bytes_max
    code = new_code()
    sent = json.dumps(message("3505A", {"selinfoDetail": [sale(code)]})).encode()
    given = his.post(sent + b" " * (limit - len(sent) + 1))
    assert (given.status_code, given.json()["infcode"], given.json()["output"]) == (413, -1, None)
    assert str(limit) in given.json()["err_msg"]

    def chunks() -> Iterator[bytes]:  # no Content-Length tells how much will come
        yield sent
        for _ in range(limit // 1_000_000 + 1):
            yield b" " * 1_000_000

    given = his.http.post(his.token_path(HOSPITAL_A), content=chunks())
    assert (given.status_code, given.json()["infcode"]) == (413, -1)
    assert not his.events(code)
    assert fine(his.post(sent).json())


def test_t55_a_return_before_its_sale_waits_for_it(his: Till) -> None:
    code = new_code()
    row = sale(code)
    early = his.send("3506", {"selinfo": {**row, "sel_retn_time": clock(now())}})
    assert early["infcode"] == 0
    assert [event.status for event in his.events(code, "returned")] == ["parked"]
    assert fine(his.send("3505", {"selinfo": row}))
    assert his.send("3505", {"selinfo": sale(code, psn_no="next")}, HOSPITAL_A)["infcode"] == 0
    assert his.events(code, "sold")[-1].status == "accepted", "returned once the sale had come, and sold anew"


def test_t56_a_deletion_takes_the_sale_and_its_return_and_may_be_repeated(his: Till) -> None:
    code = new_code()
    row = sale(code)
    assert fine(his.send("3505", {"selinfo": row}))
    gone = {"data": {"fixmedins_bchno": row["fixmedins_bchno"], "inv_data_type": "4"}}
    assert his.send("3507", gone)["infcode"] == 0
    assert his.send("3507", gone)["infcode"] == 0
    assert len(his.events(code, "corrected")) == 1
    assert fine(his.send("3505", {"selinfo": sale(code)}, PHARMACY_Q))
    assert his.events(code, "sold")[-1].status == "accepted"


def test_t57_herbs_and_goods_without_codes_are_accepted(his: Till) -> None:
    row = sale(med_list_codg=HERB)
    assert fine(his.send("3505", {"selinfo": row}))
    assert len(his.lines(HOSPITAL_A, row["mdtrt_sn"])) == 1


def settle(visit: str, *rows: dict[str, str], **data: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"data": {"psn_no": "1", "mdtrt_id": visit, "chrg_bchno": visit, "medfee_sumamt": 9, **data}}
    if rows:
        body["drug_trac_info"] = list(rows)
    return body


def test_t58_a_settlement_row_without_one_of_its_four_fields_is_refused(his: Till) -> None:
    whole = {"feedetl_sn": "1", "drug_trac_codg": new_code(), "trdn_flag": "0", "min_prcunt_type": "2"}
    for missing in whole:
        told = his.send("2207", settle(new_number("V"), {**whole, missing: ""}))
        assert (told["infcode"], told["output"]) == (-1, None)
        assert missing in told["err_msg"]
    assert not his.events(whole["drug_trac_codg"], "claimed")
    given = his.send("2207", settle(new_number("V"), whole))
    assert given["infcode"] == 0
    assert given["output"]["setlinfo"]["setl_id"]


def test_t58_a_settlement_without_codes_passes_unless_the_institution_settles_by_code_only(his: Till) -> None:
    assert his.send("2207", settle(new_number("V")))["infcode"] == 0
    his.agree("H42010000004", scan_required=True)
    told = his.send("2207", settle(new_number("V")), "H42010000004")
    assert told["infcode"] == -1
    assert "无码不结" in told["err_msg"]
    assert his.send("2206", settle(new_number("V")), "H42010000004")["infcode"] == 0, "advice refuses nothing"
    assert his.send("2207", settle(new_number("V"), minpacunt_drug_trac_cnt=0), "H42010000004")["infcode"] == 0
