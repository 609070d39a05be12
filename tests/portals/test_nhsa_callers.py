"""Who may speak at the NHSA address: each way of proving it, beside the same call that proves nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nhsa_till import PATH, Till, fine, message, new_code, sale, till
from portal import INSPECTOR
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_Q

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "nhsa"


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with till(tmp_path_factory.mktemp("nhsa") / "node") as running:
        running.node.tables.register_network(HEAD_OFFICE, "10.1.0.0/16")
        yield running


def key(his: Till, party: str) -> dict[str, str]:
    issued = his.node.tables.create_credential(party)
    return {"authorization": f"Bearer {issued.id}.{issued.secret}"}


def refused(given: httpx.Response) -> str:
    """The words of a refusal in the envelope."""
    answer = given.json()
    assert (given.status_code, answer["infcode"], answer["output"]) == (200, -1, None)
    assert given.headers["content-type"].startswith("application/json")
    return str(answer["err_msg"])


def test_a_call_without_any_proof_is_refused_in_the_envelope_and_stores_nothing(his: Till) -> None:
    code = new_code()
    sent = message("3505", {"selinfo": sale(code)})
    assert "令牌" in refused(his.post(sent, PATH))
    assert "令牌" in refused(his.post({**sent, "sign_no": "000001"}, PATH))
    assert "令牌" in refused(his.post({**sent, "fixmedins_code": ""}, PATH))
    assert refused(his.post(message("9001", {"signIn": {"opter_no": "1"}}), PATH))
    assert refused(his.post(sent, PATH, headers={"authorization": "Bearer nobody.secret"}))
    assert not his.events(code)
    assert fine(his.post(sent).json())


def test_a_path_token_opens_for_its_own_institution_alone(his: Till) -> None:
    right = his.token_path(HOSPITAL_A)
    own = right.split("/")[2]
    code = new_code()
    sent = message("3505", {"selinfo": sale(code)})
    mark = own.partition(".")[2]
    for token in (own[:-1], f"{his.keys[HOSPITAL_B].id}.{mark}", his.keys[HOSPITAL_A].id, HOSPITAL_A, f"nobody.{mark}"):
        assert "令牌" in refused(his.post(sent, right.replace(own, token)))
    assert HOSPITAL_B in refused(his.post(message("3505", {"selinfo": sale(code)}, HOSPITAL_B), right))
    bearer = {"authorization": f"Bearer {own}"}
    assert refused(his.post(sent, PATH, headers=bearer)), "it is good in the address alone"
    assert not his.events(code)
    assert fine(his.post(sent, right).json())


def test_a_path_token_ends_with_its_key(his: Till) -> None:
    his.agree("H44010000050")
    sent = message("3505", {"selinfo": sale(new_code())}, "H44010000050")
    assert fine(his.post(sent).json())
    his.node.tables.revoke(his.keys["H44010000050"].id)
    assert "令牌" in refused(his.post(sent))


def test_a_listed_network_speaks_for_its_party_and_its_delegations_alone(his: Till) -> None:
    code = new_code()
    by_network = {"headers": {"x-forwarded-for": "10.1.2.3"}}
    for institution, taken in ((HOSPITAL_A, False), (PHARMACY_Q, True)):
        given = his.post(message("3505", {"selinfo": sale(code)}, institution), PATH, **by_network)
        assert (given.json()["infcode"] == 0) is taken, institution
    assert [event.actor for event in his.events(code, "sold")] == [PHARMACY_Q]
    elsewhere = {"headers": {"x-forwarded-for": "10.2.0.1"}}
    assert refused(his.post(message("3505", {"selinfo": sale(code)}, PHARMACY_Q), PATH, **elsewhere))


def test_a_key_for_some_networks_opens_from_nowhere_else(his: Till) -> None:
    issued = his.node.tables.create_credential(HOSPITAL_A, networks="192.0.2.0/24")
    path = f"/fsi/{his.proofs.path_token(issued.id)}/api/rsfComIfsService/callService"
    sent = message("3505", {"selinfo": sale(new_code())})
    assert "网络" in refused(his.post(sent, path))
    assert fine(his.post(sent, path, headers={"x-forwarded-for": "192.0.2.77"}).json())


def test_a_key_speaks_for_its_party_and_for_those_that_delegated_to_it(his: Till) -> None:
    office = key(his, HEAD_OFFICE)
    code, other = new_code(), new_code()
    given = his.post(message("3505", {"selinfo": sale(code)}, PHARMACY_Q), PATH, headers=office)
    assert fine(given.json())
    assert [event.actor for event in his.events(code, "sold")] == [PHARMACY_Q]
    assert HOSPITAL_A in refused(his.post(message("3505", {"selinfo": sale(other)}), PATH, headers=office))
    assert HOSPITAL_A in refused(his.post(message("9001", {"signIn": {}}), PATH, headers=office))
    signed = his.post(message("9001", {"signIn": {}}, PHARMACY_Q), PATH, headers=office).json()
    assert signed["output"]["signinoutb"]["sign_no"]
    assert not his.events(other)


def test_who_sends_nothing_is_refused_though_the_key_is_right(his: Till) -> None:
    sent = message("3505", {"selinfo": sale(new_code())}, INSPECTOR)
    assert refused(his.post(sent, PATH, headers=key(his, INSPECTOR)))
    his.agree(INSPECTOR)
    assert INSPECTOR in refused(his.post(sent))
    own = {**message("3503", {"purcinfo": {"med_list_codg": "X", "purc_retn_cnt": 1}}, MAKER)}
    assert fine(his.post(own, PATH, headers=key(his, MAKER)).json())


def test_a_message_without_institution_is_its_callers(his: Till) -> None:
    code = new_code()
    sent = message("3505", {"selinfo": sale(code)}, fixmedins_code="")
    assert fine(his.post(sent, his.token_path(HOSPITAL_B)).json())
    assert [event.actor for event in his.events(code, "sold")] == [HOSPITAL_B]


def test_the_software_of_a_client_is_kept_with_what_it_said(his: Till) -> None:
    one, other = new_code(), new_code()
    header = {"x-client-software": "maker/his/3.1"}
    assert fine(his.post(message("3505", {"selinfo": sale(one)}, fixmedins_soft_fcty="某厂"), headers=header).json())
    assert fine(his.post(message("3505", {"selinfo": sale(other)}), headers=header).json())
    assert [his.events(code)[0].software for code in (one, other)] == ["某厂", "maker/his/3.1"]


def test_signing_out_ends_one_sign_in_and_no_other(his: Till) -> None:
    first, second = (
        his.send("9001", {"signIn": {"opter_no": who}})["output"]["signinoutb"]["sign_no"] for who in ("1", "2")
    )
    assert first != second
    assert his.send("9002", {"signOut": {"sign_no": first}})["output"]["signoutoutb"]["sign_time"]
    assert his.send("9002", {"signOut": {"sign_no": first}})["infcode"] == 0
    sent = message("3505", {"selinfo": sale(new_code())})
    assert refused(his.post({**sent, "sign_no": first}, PATH))
    assert fine(his.post({**sent, "sign_no": second}, PATH).json())


def test_a_sign_in_ends_with_the_key_that_made_it(his: Till) -> None:
    his.agree("H44010000051")
    sign_no = his.send("9001", {"signIn": {}}, "H44010000051")["output"]["signinoutb"]["sign_no"]
    sent = message("3505", {"selinfo": sale(new_code())}, "H44010000051", sign_no=sign_no)
    assert fine(his.post(sent, PATH).json())
    his.node.tables.revoke(his.keys["H44010000051"].id)
    assert refused(his.post(sent, PATH))


def test_a_sign_in_by_delegation_ends_with_the_delegation(his: Till) -> None:
    given = his.post(message("9001", {"signIn": {}}, PHARMACY_Q), PATH, headers=key(his, HEAD_OFFICE)).json()
    sign_no = given["output"]["signinoutb"]["sign_no"]
    sent = message("3505", {"selinfo": sale(new_code())}, PHARMACY_Q, sign_no=sign_no)
    assert fine(his.post(sent, PATH).json())
    reference = his.node.tables.load_catalogue()
    reference.delegations = []
    his.node.use_catalogue(reference)
    assert "无权代表" in refused(his.post({**sent, "msgid": "another"}, PATH))
    his.node.reload_catalogue()


def test_an_encrypted_body_is_told_what_is_possible(his: Till) -> None:
    sent = message("3505", "8f3a9c0d", enc_type="SM4")
    assert "加密" in refused(his.post(sent))


def test_other_methods_and_addresses_are_told_as_such(his: Till) -> None:
    assert his.http.get(PATH).status_code == 405
    assert his.http.post("/fsi/api/other").status_code == 404


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not beside this repository")
def test_messages_made_by_others_are_taken_or_refused_by_name(his: Till) -> None:
    taken = {
        "2206A-presettle-liaoning": "setlinfo",
        "2207-settle-chongqing": "setlinfo",
        "3503-purchase-qingdao": "result",
        "9001-sign-in-guangdong": "signinoutb",
    }
    for path in sorted(SAMPLES.glob("*.request.json")):
        raw = path.read_bytes()
        sent: dict[str, Any] = json.loads(raw)
        institution = sent.get("fixmedins_code") or sent["baseData"]["accessId"]
        his.agree(institution)
        answer = his.post(raw, his.token_path(institution)).json()
        node = taken.get(path.name.split(".")[0])
        if node is None:
            assert (answer["infcode"], answer["output"]) == (-1, None), path.name
            assert path.name[:4] in answer["err_msg"]
        else:
            assert answer["infcode"] == 0, path.name
            assert node in answer["output"]
