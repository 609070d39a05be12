"""Software at the door: keys sent or signed with, SM2 signatures, listed networks; each proves its owner alone."""

import hashlib
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import Portal
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P

from suyuan.node import Node
from suyuan.portals.signatures import hmac_sm3, new_sm2_key, sign_sm2, sm3

ME = "/api/v1/me"
SCANS = "/api/v1/scans"
SCAN = b'{"scans":[{"kind":"received","code":"81234560000000000001","time":"2026-03-09T10:00:00+08:00"}]}'

PRIVATE, PUBLIC = new_sm2_key()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal that knows an SM2 key of hospital A, a key for one network, an ended one, and a listed network."""
    folder = tmp_path_factory.mktemp("callers") / "node"
    running = Portal(folder, 'policy = "strict"\nblock_cache_mb = 16\nrate_sign_in = "100000/minute"\n')
    with Node.open(folder) as node:
        tables = node.tables
        running.keys["sm2"] = tables.register_public_key(HOSPITAL_A, PUBLIC).id
        for name, networks in (
            ("here", "127.0.0.0/8"),
            ("elsewhere", "192.0.2.0/24"),
            ("revoked", ""),
            ("replaced", ""),
        ):
            issued = tables.create_credential(HOSPITAL_A, networks=networks)
            running.keys[name] = f"{issued.id}.{issued.secret}"
        tables.revoke(running.keys["revoked"].partition(".")[0])
        tables.replace_credential(running.keys["replaced"].partition(".")[0], timedelta(0))
    with running:
        yield running


def signed(portal: Portal, key: str, method: str, target: str, body: bytes = b"", **changed: str) -> dict[str, str]:
    """Headers of a request signed with a secret, or where there is none with the SM2 key."""
    name, _, secret = portal.keys[key].partition(".")
    told = {"id": name, "time": str(int(time.time())), "nonce": secrets.token_hex(8), "digest": sm3(body)} | changed
    message = "\n".join((method, target, told["time"], told["nonce"], told["digest"])).encode()
    if secret:
        scheme, signature = "SUYUAN-HMAC-SM3", hmac_sm3(secret.encode(), message).hex()
    else:
        scheme, signature = "SUYUAN-SM2", sign_sm2(PRIVATE, message)
    signature = changed.get("signature", signature)
    proof = f"id={told['id']}, time={told['time']}, nonce={told['nonce']}, signature={signature}"
    return {"authorization": f"{scheme} {proof}", "x-content-sm3": told["digest"], "content-type": "application/json"}


def asked(portal: Portal, headers: Any, method: str = "GET", target: str = ME, body: bytes = b"") -> Any:
    return httpx.request(method, portal.address + target, headers=headers, content=body, timeout=30)


@pytest.mark.parametrize("key", [HOSPITAL_A, "sm2"])
def test_a_signed_request_is_its_owners_and_another_signature_nobodys(portal: Portal, key: str) -> None:
    known = asked(portal, signed(portal, key, "GET", ME))
    assert (known.status_code, known.json()["party"]) == (200, HOSPITAL_A)
    refused = asked(portal, signed(portal, key, "GET", ME, signature="00" * 64))
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_wrong")


@pytest.mark.parametrize("key", [HOSPITAL_A, "sm2"])
def test_what_was_signed_is_what_is_asked_method_address_and_query(portal: Portal, key: str) -> None:
    target = "/api/v1/codes?text=81234560000000000001"
    assert asked(portal, signed(portal, key, "GET", target), target=target).status_code == 200
    for method, other in (("GET", "/api/v1/codes?text=81234560000000000002"), ("POST", target), ("GET", ME)):
        assert asked(portal, signed(portal, key, method, other), target=target).status_code == 401


@pytest.mark.parametrize("key", [HOSPITAL_A, "sm2"])
def test_a_body_is_the_one_that_was_signed_or_nothing_of_it_is_taken(portal: Portal, key: str) -> None:
    headers = signed(portal, key, "POST", SCANS, SCAN)
    altered = asked(portal, headers, "POST", SCANS, SCAN.replace(b"0001", b"0002"))
    assert (altered.status_code, altered.json()["code"]) == (401, "signature_wrong")
    taken = asked(portal, signed(portal, key, "POST", SCANS, SCAN), "POST", SCANS, SCAN)
    assert taken.status_code not in (401, 403), taken.text
    unsigned = {name: value for name, value in signed(portal, key, "POST", SCANS).items() if name != "x-content-sm3"}
    assert asked(portal, unsigned, "POST", SCANS, SCAN).status_code == 401


def test_a_request_sent_again_by_a_listener_is_refused(portal: Portal) -> None:
    headers = signed(portal, HOSPITAL_A, "GET", ME)
    assert asked(portal, headers).status_code == 200
    again = asked(portal, headers)
    assert again.status_code == 401
    assert "nonce was used" in again.json()["detail"]
    name, nonce = HOSPITAL_B, headers["authorization"].partition("nonce=")[2].partition(",")[0]
    assert asked(portal, signed(portal, name, "GET", ME, nonce=nonce)).status_code == 200, "nonces are each key's own"


@pytest.mark.parametrize("apart", [-301, 330, -100_000])
def test_a_clock_too_far_from_ours_is_told_our_time(portal: Portal, apart: int) -> None:
    refused = asked(portal, signed(portal, HOSPITAL_A, "GET", ME, time=str(int(time.time()) + apart)))
    assert refused.status_code == 401
    assert "seconds from ours" in refused.json()["detail"]


def test_what_was_signed_before_the_server_started_is_not_taken_after_it(portal: Portal, tmp_path: Path) -> None:
    fresh = Portal(tmp_path / "node")
    early = str(int(time.time()) - 5)
    with fresh:
        refused = asked(fresh, signed(fresh, HOSPITAL_A, "GET", ME, time=early))
        assert refused.status_code == 401
        assert "before the server started" in refused.json()["detail"]
        assert asked(fresh, signed(fresh, HOSPITAL_A, "GET", ME)).status_code == 200


def test_a_key_of_one_network_is_taken_from_there_alone(portal: Portal) -> None:
    def status(key: str) -> int:
        return int(asked(portal, {"authorization": f"Bearer {portal.keys[key]}"}).status_code)

    assert (status("here"), status("elsewhere")) == (200, 401)


@pytest.mark.parametrize("key", ["revoked", "replaced"])
def test_a_key_that_ended_proves_nothing_neither_sent_nor_signed_with(portal: Portal, key: str) -> None:
    assert asked(portal, {"authorization": f"Bearer {portal.keys[key]}"}).status_code == 401
    assert asked(portal, signed(portal, key, "GET", ME)).status_code == 401


@pytest.mark.parametrize(
    "proof",
    [
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "SUYUAN-HMAC-SM3",
        "SUYUAN-HMAC-SM3 id=x, time=now, nonce=12345678, signature=0",
        "SUYUAN-HMAC-SM3 id=x, time=1, nonce=short, signature=0",
        "SUYUAN-HMAC-SM3 id=x, time=²²²²²²²²²²²²², nonce=12345678, signature=0",
        "SUYUAN-SM2 id=x, time=1, nonce=12345678, signature=zz",
    ],
)
def test_a_proof_that_is_none_is_refused_with_words_and_never_taken_for_a_citizen(portal: Portal, proof: str) -> None:
    refused = asked(portal, {"authorization": proof.encode()})
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_wrong")
    assert refused.json()["detail"]


def test_a_secret_cannot_be_used_as_the_key_of_another_kind(portal: Portal) -> None:
    name = portal.keys["sm2"]
    assert asked(portal, {"authorization": f"Bearer {name}."}).status_code == 401
    message = f"GET\n{ME}\n{int(time.time())}\n{'a' * 8}\n{sm3(b'')}".encode()
    forged = hmac_sm3(b"", message).hex()
    proof = f"SUYUAN-HMAC-SM3 id={name}, time={int(time.time())}, nonce={'a' * 8}, signature={forged}"
    assert asked(portal, {"authorization": proof}).status_code == 401


@pytest.mark.slow
def test_wrong_proofs_are_limited_by_address_and_right_ones_are_not(tmp_path: Path) -> None:
    strict = Portal(tmp_path / "node", 'block_cache_mb = 16\nrate_sign_in = "3/hour"\n')
    with strict:
        wrong = [asked(strict, {"authorization": "Bearer a.b"}) for _ in range(4)]
        assert [one.status_code for one in wrong] == [401, 401, 401, 429]
        assert wrong[-1].json()["where"] == "sign_in"
        assert int(wrong[-1].headers["retry-after"]) > 0
        assert asked(strict, {"authorization": f"Bearer {strict.keys[HOSPITAL_A]}"}).status_code == 200


def test_each_caller_has_limits_of_its_own(tmp_path: Path) -> None:
    narrow = Portal(tmp_path / "node", 'block_cache_mb = 16\nrate_query = "5/hour"\nrate_code = "2/hour"\n')
    with narrow, narrow.client(HOSPITAL_A) as first, narrow.client(HOSPITAL_B) as second, narrow.client() as citizen:
        assert [first.get(ME).status_code for _ in range(6)] == [200] * 5 + [429]
        refused = first.get(ME)
        assert (refused.json()["where"], refused.json()["value"]) == ("query", "5 per 1 hour")
        assert int(refused.headers["retry-after"]) > 0
        assert second.get(ME).status_code == 200
        box, other = "81234560000000000001", "81234560000000000002"
        statuses = [citizen.get("/api/v1/check", params={"code": box}).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert citizen.get("/check", params={"code": box}).status_code == 429, "the page asks the same question"
        assert citizen.get("/api/v1/check", params={"code": other}).status_code == 200


def test_a_listed_network_speaks_at_the_nhsa_address_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    old = Portal(folder)
    with Node.open(folder) as node:
        node.tables.register_network(PHARMACY_P, "127.0.0.1")
    with old, old.client() as client:
        assert client.get(ME).json()["party"] == ""
        envelope = {
            "infno": "9001",
            "msgid": "m1",
            "fixmedins_code": PHARMACY_P,
            "input": {"signIn": {"opter_no": "1"}},
        }
        answer = client.post("/fsi/api/rsfComIfsService/callService", json=envelope).json()
        assert str(answer["infcode"]) == "0", answer
        other = client.post(
            "/fsi/api/rsfComIfsService/callService", json={**envelope, "fixmedins_code": HOSPITAL_A}
        ).json()
        assert str(other["infcode"]) == "-1"


def test_the_worked_example_of_the_page_signs_as_the_server_reads_it(portal: Portal) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    name, _, secret = portal.keys[HOSPITAL_A].partition(".")
    names: dict[str, Any] = {"ADDRESS": portal.address, "KEY": name, "SECRET": secret}
    exec(code.replace("ADDRESS = ", "_ = ").replace("KEY = ", "_ = ").replace("SECRET = ", "_ = "), names)
    assert names["answer"].json()["party"] == HOSPITAL_A
    assert hashlib.new("sm3", b"").hexdigest() == sm3(b"")
