"""Questions by HTTP: each caller finds its own, page by page, and personal data only with a reason on record."""

import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import AGENCY, FAR_INSPECTOR, INSPECTOR, Portal, eventually
from story import HOSPITAL_A, MAKER, PHARMACY_P, PHARMACY_Q, REGULATOR, WHOLE

BOX = "82345677000000000001"


@pytest.fixture(scope="module")
def told(portal: Portal) -> Portal:
    """P sold a box, Q sold it again; each of both settled three claims, the hospital one of another fund."""
    serials = itertools.count(3_000_000_000_001)
    for party, count, fund in (
        (PHARMACY_P, 3, "employee"),
        (PHARMACY_Q, 3, "resident"),
        (HOSPITAL_A, 1, "work_injury"),
    ):
        with portal.client(party) as client:
            for number in range(count):
                body = {
                    "setting": "pharmacy",
                    "references": {"order": f"{party}-{number}"},
                    "fund": fund,
                    "person": {"document_number": "440102198001011234"},
                    "lines": [{"line": "1", "product": WHOLE, "amount": "1.00", "codes": []}],
                }
                body["lines"][0]["codes"] = [{"code": f"8234567{next(serials)}"}]  # type: ignore[index]
                assert client.post("/api/v1/claims", json=body).json()["verdict"] == "pay"
            eventually(lambda client=client, count=count: len(client.get("/api/v1/claims").json()["claims"]) >= count)
    for party in (PHARMACY_P, PHARMACY_Q):
        sale = {
            "references": {"order": f"S-{party}", "receipt": "SECRET-R"},
            "person": {"document_number": "440102198001011234"},
            "lines": [{"line": "1", "product": WHOLE, "codes": [BOX]}],
        }
        with portal.client(party) as client:
            assert client.post("/api/v1/sales", json={"sales": [sale]}).status_code == 200
    return portal


def claims(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/claims", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["claims"]
    return found


def test_an_institution_lists_its_own_claims_and_cannot_ask_for_anothers(told: Portal) -> None:
    with told.client(PHARMACY_P) as own, told.client(PHARMACY_Q) as other:
        assert {row["institution"] for row in claims(own)} == {PHARMACY_P}
        assert own.get("/api/v1/claims", params={"institution": PHARMACY_Q}).status_code == 403
        (theirs,) = (row["settlement"] for row in claims(other, limit=1))
        assert own.get(f"/api/v1/claims/{theirs}").status_code == 404
        (mine,) = (row["settlement"] for row in claims(own, limit=1))
        assert own.get(f"/api/v1/claims/{mine}").json()["answer"]["settlement"] == mine


def test_a_list_comes_page_by_page_without_a_gap_or_a_repeat(told: Portal) -> None:
    with told.client(PHARMACY_P) as client:
        found: list[str] = []
        after = ""
        while True:
            page = client.get("/api/v1/claims", params={"limit": 2, "after": after}).json()
            found += [row["order"] for row in page["claims"]]
            after = page["next"]
            if not after:
                break
        assert found == [f"{PHARMACY_P}-{number}" for number in (2, 1, 0)]


def test_an_inspector_sees_the_region_and_opens_a_claim_only_with_a_reason(told: Portal) -> None:
    with told.client(INSPECTOR) as here, told.client(FAR_INSPECTOR) as far:
        listed = claims(here)
        assert {row["institution"] for row in listed} == {PHARMACY_P, PHARMACY_Q, HOSPITAL_A}
        assert {(row["order"], row["visit"], row["receipt"]) for row in listed} == {("", "", "")}
        assert claims(far) == []
        address = f"/api/v1/claims/{listed[0]['settlement']}"
        refused = here.get(address)
        assert (refused.status_code, refused.json()["code"]) == (403, "reason_needed")
        assert here.get(address, params={"reason": "案件复核2026-17"}).json()["summary"]["order"]
        assert far.get(address, params={"reason": "案件复核2026-17"}).status_code == 404


def test_a_story_is_cut_to_its_reader(told: Portal) -> None:
    def story(party: str, **more: str) -> dict[str, Any]:
        with told.client(party) as client:
            answer = client.get("/api/v1/history", params={"code": BOX, **more})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

    assert [chapter["elsewhere"] for chapter in story(PHARMACY_Q)["chapters"]] == [True, False]
    assert PHARMACY_P not in str(story(PHARMACY_Q))
    assert story(HOSPITAL_A)["chapters"] == story(MAKER)["chapters"] == story(FAR_INSPECTOR)["chapters"] == []
    assert "SECRET-R" not in str(story(INSPECTOR)) + str(story(REGULATOR)) + str(story(AGENCY))
    opened = story(INSPECTOR, reason="案件复核2026-17")
    assert "SECRET-R" in str(opened)
    assert len({chapter["person"] for chapter in opened["chapters"]}) == 1, "one person, one pseudonym"
    with told.client(REGULATOR) as regulator, told.client(INSPECTOR) as inspector:
        asked = {"code": BOX, "reason": "案件复核2026-17"}
        assert regulator.get("/api/v1/history", params=asked).status_code == 403
        assert inspector.get("/api/v1/history", params={"code": BOX, "reason": "x"}).json()["code"] == "reason_needed"


def test_figures_of_a_region_are_its_own(told: Portal) -> None:
    with told.client(INSPECTOR) as here, told.client(FAR_INSPECTOR) as far:
        eventually(lambda: here.get("/api/v1/reports/coverage").json()["total"]["claims"]["pay"] >= 7)
        guangdong = here.get("/api/v1/reports/coverage").json()
        assert [one["region"] for one in guangdong["provinces"]] == ["440000"]
        assert far.get("/api/v1/reports/coverage").json()["total"]["claims"]["pay"] == 0


def test_anybody_may_ask_what_a_code_is_and_whether_it_was_sold(told: Portal) -> None:
    with told.client() as citizen:
        assert citizen.get("/api/v1/check", params={"code": BOX}).json()["outcome"] == "several"
        known = citizen.get("/api/v1/codes", params={"text": BOX}).json()
        assert (known["system"], known["product"]["nhsa"]) == ("trace20", [WHOLE])
        assert citizen.get("/api/v1/check").status_code == 422
        assert citizen.get("/api/v1/statuses").json()["statuses"][0]["name"] == "malformed"
        assert citizen.get("/api/v1/me").json()["role"] == "citizen"
        for path in ("/api/v1/history?code=1", "/api/v1/claims", "/api/v1/catalogue/mapping", "/api/v1/self-audit"):
            assert citizen.get(path).status_code == 401


@pytest.mark.slow
def test_readings_of_persons_the_software_of_a_sender_and_the_limits_are_kept(tmp_path: Path) -> None:
    settings = 'policy = "strict"\nblock_cache_mb = 16\nrate_query = "3/minute"\n'
    portal = Portal(tmp_path / "node", settings)
    with portal:
        software = {"x-client-software": "example/till/1.7"}
        with portal.client(PHARMACY_P, headers=software) as till, portal.client(INSPECTOR) as inspector:
            sale = {"references": {"order": "S1"}, "lines": [{"codes": [BOX]}]}
            assert till.post("/api/v1/sales", json={"sales": [sale]}).status_code == 200
            asked = {"code": BOX, "reason": "案件复核2026-17"}
            assert inspector.get("/api/v1/history", params=asked).status_code == 200
            for _ in range(2):
                assert inspector.get("/api/v1/me").status_code == 200
            refused = inspector.get("/api/v1/me")
            assert (refused.status_code, refused.json()["code"], refused.json()["where"]) == (429, "too_often", "query")
            assert "3 per 1 minute" in refused.json()["value"]
            assert int(refused.headers["retry-after"]) <= 60
    with portal.node() as node:
        (sold,) = node.ledger.read([f"trace20:{BOX}"])[f"trace20:{BOX}"]
        assert sold.software == "example/till/1.7"
        lines = list(node.audit.lines())
        assert ("read history", f"trace20:{BOX}", "案件复核2026-17") in {
            (line.action, line.subject, line.reason) for line in lines
        }


def test_an_address_with_two_methods_tells_both(told: Portal) -> None:
    with told.client(PHARMACY_P) as client:
        refused = client.delete("/api/v1/claims")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
