"""Any bytes, any JSON, any header at the NHSA address: always an envelope in answer, and never a stranger let in."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nhsa_till import PATH, Till, message, new_code, sale, till
from story import HOSPITAL_A

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
TRACE = {"feedetl_sn": "1", "drug_trac_codg": "82345671234567890199", "trdn_flag": "0", "min_prcunt_type": "2"}
BODIES: dict[str, Any] = {
    "3505": {"selinfo": sale("82345671234567890123")},
    "3501A": {"invinfoDetail": [{"med_list_codg": "X", "inv_cnt": 1, "invdate": "2026-01-03"}]},
    "3507": {"data": {"fixmedins_bchno": "B", "inv_data_type": "4"}},
    "2204": {"feedetail": [{"feedetl_sn": "1", "mdtrt_id": "M", "cnt": 1}]},
    "2207": {"data": {"psn_no": "1", "mdtrt_id": "M1", "medfee_sumamt": 9}, "drug_trac_info": [TRACE]},
    "2601": {"data": {"omsgid": "1", "oinfno": "2207"}},
    "9001": {"signIn": {"opter_no": "1"}},
    "9002": {"signOut": {"sign_no": "1"}},
}
HEADERS = ("infno", "msgid", "insuplc_admdvs", "opter", "inf_time", "sign_no", "cainfo", "fixmedins_name", "enc_type")


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with till(tmp_path_factory.mktemp("nhsa") / "node") as running:
        yield running


def envelope(raw: bytes) -> dict[str, Any]:
    """An answer that is a whole envelope."""
    answer: dict[str, Any] = json.loads(raw)
    assert answer["infcode"] in {0, -1}
    assert answer["refmsg_time"].isdigit()
    assert (answer["output"] is None) == (answer["infcode"] == -1)
    assert bool(answer["err_msg"]) == (answer["infcode"] == -1)
    return answer


def spoilt(body: Any, place: list[int], value: Any) -> Any:
    """The body with another value somewhere inside."""
    if not place or not isinstance(body, (dict, list)) or not body:
        return value
    if isinstance(body, dict):
        name = list(body)[place[0] % len(body)]
        return {**body, name: spoilt(body[name], place[1:], value)}
    index = place[0] % len(body)
    return [*body[:index], spoilt(body[index], place[1:], value), *body[index + 1 :]]


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(BODIES)), st.lists(st.integers(0, 30), max_size=5), JSON)
def test_a_message_with_anything_anywhere_is_answered_in_the_envelope(
    his: Till, infno: str, place: list[int], value: Any
) -> None:
    sent = message(infno, spoilt(BODIES[infno], place, value))
    given_back = his.post(json.dumps(sent).encode(), his.token_path(HOSPITAL_A))
    assert given_back.status_code == 200
    envelope(given_back.content)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(HEADERS), JSON)
def test_a_header_field_of_any_kind_is_answered_in_the_envelope(his: Till, name: str, value: Any) -> None:
    sent = {**message("3505", {"selinfo": sale(new_code())}), name: value}
    given_back = his.post(json.dumps(sent).encode(), his.token_path(HOSPITAL_A))
    assert given_back.status_code == 200
    envelope(given_back.content)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=12))
def test_any_bytes_under_any_number_are_answered_in_the_envelope(his: Till, raw: bytes, infno: str) -> None:
    path = his.token_path(HOSPITAL_A) + "/" + "".join(letter for letter in infno if letter.isalnum() and letter < "~")
    given_back = his.post(raw, path)
    assert given_back.status_code == 200
    assert envelope(given_back.content)["infcode"] == -1


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["x-tif-paasid", "x-tif-timestamp", "x-tif-nonce", "x-tif-signature", "authorization"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    ),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_no_made_up_proof_lets_anybody_in(his: Till, headers: dict[str, str], sign_no: str, cainfo: str) -> None:
    code = new_code()
    sent = message("3505", {"selinfo": sale(code)}, sign_no=sign_no, cainfo=cainfo)
    given_back = his.post(json.dumps(sent).encode(), PATH, headers=headers)
    assert given_back.status_code in {200, 429}
    assert envelope(given_back.content)["infcode"] == -1
    assert not his.events(code)
