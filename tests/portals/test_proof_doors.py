"""Proofs over HTTP: anybody gets them, they tell what the page tells and nothing more, and they verify elsewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import Portal
from sealed_portal import HIDDEN, NEVER, SEALED, UNDONE, WAITING, events_of, sealed_portal
from story import HOSPITAL_A, PHARMACY_P

from suyuan.ledger.events import Event
from suyuan.proof.verifier import Key, ProofWrong, read_checkpoint, read_key, verify_file


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, list[Event]]]:
    portal = sealed_portal(tmp_path_factory.mktemp("proof") / "node")
    events = [event for box in (SEALED, UNDONE, HIDDEN, WAITING) for event in events_of(portal, box)]
    with portal:
        yield portal, events


@pytest.fixture(scope="module")
def portal(facts: tuple[Portal, list[Event]]) -> Portal:
    return facts[0]


@pytest.fixture
def anybody(portal: Portal) -> Iterator[httpx.Client]:
    with portal.client() as client:
        yield client


def key(anybody: httpx.Client) -> Key:
    return read_key(anybody.get("/api/v1/proof/keys").json()["key"])


def test_anybody_gets_the_proof_of_a_sale_and_checks_it_without_the_node(anybody: httpx.Client, tmp_path: Path) -> None:
    got = anybody.get("/api/v1/proof", params={"code": SEALED})
    assert got.status_code == 200
    assert "attachment" in got.headers["content-disposition"]
    told = verify_file(got.content, key(anybody))
    [sale] = told.records
    assert (sale.what, sale.key, sale.actor, sale.region) == ("sale", f"trace20:{SEALED}", PHARMACY_P, "440100")
    assert told.trusted
    (tmp_path / "verifier.py").write_text(anybody.get("/verifier.py").text)
    (tmp_path / "sale.json").write_bytes(got.content)
    command = [sys.executable, "-I", "verifier.py", "sale.json", "--key", key(anybody).text("suyuan/node")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert SEALED in ran.stdout


def test_a_sale_that_was_undone_is_proven_with_what_undid_it(anybody: httpx.Client) -> None:
    told = verify_file(anybody.get("/api/v1/proof", params={"code": UNDONE}).content)
    assert [each.what for each in told.records] == ["sale", "undone"]


def test_what_is_not_sealed_yet_is_promised(anybody: httpx.Client) -> None:
    told = verify_file(anybody.get("/api/v1/proof", params={"code": WAITING}).content, key(anybody))
    assert not told.records
    [promise] = told.promises
    assert (promise.what, promise.key, promise.actor) == ("sale", f"trace20:{WAITING}", PHARMACY_P)


def test_no_proof_and_no_page_tells_what_citizens_are_not_told(
    facts: tuple[Portal, list[Event]], anybody: httpx.Client
) -> None:
    private = {
        value
        for event in facts[1]
        for value in (
            event.person,
            event.prescriber,
            event.document,
            event.fact,
            event.content,
            event.id,
            *event.references.values(),
        )
        if len(value) > 4  # shorter ones stand in a signature by chance
    }
    assert len(private) > 20
    assert any(value.startswith("p1") for value in private)
    for box in (SEALED, UNDONE, HIDDEN, WAITING, NEVER):
        for address in ("/api/v1/proof", "/proof", "/check"):
            text = anybody.get(address, params={"code": box}).text
            assert not [value for value in private if value in text]
    hidden = anybody.get("/api/v1/proof", params={"code": HIDDEN})
    page = anybody.get("/proof", params={"code": HIDDEN}).text
    for text in (hidden.text, page):
        assert HOSPITAL_A not in text
        assert f"Name of {HOSPITAL_A}" not in text
        assert "440100" not in text
    assert verify_file(hidden.content).records[0].actor == ""
    # Paid or not, the record of a sale says the same.
    assert '"sold' not in hidden.text.replace("\\", "")


def test_what_cannot_be_proven_is_said(anybody: httpx.Client) -> None:
    never = anybody.get("/api/v1/proof", params={"code": NEVER})
    assert (never.status_code, never.json()["code"]) == (404, "not_found")
    assert anybody.get("/api/v1/proof").status_code == 422


def test_checkpoints_and_growth_are_public(anybody: httpx.Client) -> None:
    newest = anybody.get("/checkpoint")
    assert newest.headers["content-type"].startswith("text/plain")
    checkpoint = read_checkpoint(newest.text)
    assert checkpoint.note.is_by(key(anybody))
    kept = anybody.get(f"/checkpoint/{checkpoint.segments}")
    assert kept.text == newest.text
    assert "immutable" in kept.headers["cache-control"]
    growth = anybody.get("/api/v1/proof/growth", params={"old": 1})
    assert verify_file(growth.content, key(anybody)).old is not None
    for wrong in ("/checkpoint/0", "/checkpoint/99", "/checkpoint/x", "/api/v1/proof/growth?old=99"):
        assert anybody.get(wrong).status_code == 404, wrong
    assert anybody.get("/api/v1/proof/growth?old=0").status_code == 422


def sent(anybody: httpx.Client, data: bytes) -> httpx.Response:
    """A file given to the form, as a browser without scripts does."""
    page = anybody.get("/proof").text
    token = page.partition('name="form_token" value="')[2].partition('"')[0]
    headers = {"origin": str(anybody.base_url).rstrip("/")}
    fields: dict[str, Any] = {"form_token": token}
    return anybody.post("/proof", data=fields, files={"file": ("proof.json", data)}, headers=headers)


def test_without_a_script_a_file_is_checked_by_the_platform(anybody: httpx.Client) -> None:
    good = anybody.get("/api/v1/proof", params={"code": SEALED}).content
    checked = sent(anybody, good)
    assert checked.status_code == 200
    assert "已证明：文件与本平台签发时一致" in checked.text
    assert SEALED in checked.text
    altered = sent(anybody, good.replace(b'"sale', b'"salt').replace(b'\\"sale', b'\\"salt'))
    assert altered.status_code == 422
    assert "records[0].leaf" in altered.text
    assert "请先选择证明文件" in sent(anybody, b"").text
    assert sent(anybody, b"\xff" * 100).status_code == 422
    another = json.loads(good)
    another["keys"][0]["public"] = "A" * 43 + "="
    with pytest.raises(ProofWrong):
        verify_file(json.dumps(another).encode())


def test_the_page_offers_the_proof_in_both_languages(anybody: httpx.Client) -> None:
    assert f'href="/proof?code={SEALED}"' in anybody.get("/check", params={"code": SEALED}).text
    chinese = anybody.get("/proof", params={"code": SEALED}).text
    english = anybody.get("/proof", params={"code": SEALED, "lang": "en"}).text
    assert "这些销售记录已在签名账册中" in chinese
    assert "These sales are in the signed record" in english
    assert f"/api/v1/proof?code={SEALED}" in english
    waiting = anybody.get("/proof", params={"code": WAITING, "lang": "en"}).text
    assert "not sealed yet" in waiting
    assert "at least every 60 minutes" in waiting
    assert "There is nothing to prove yet" in anybody.get("/proof", params={"code": NEVER, "lang": "en"}).text
