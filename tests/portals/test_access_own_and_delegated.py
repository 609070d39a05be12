"""A clerk of A never sees B: not by its code, not by its documents, and of what was delegated only until its day."""

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from access_people import MANAGER_B, Browser, with_people
from portal import FAR_INSPECTOR, Portal, eventually
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, WHOLE

from suyuan.node import Node
from suyuan.portals.app import URLS

BOX_B = "82345670000000000024"
SALES = "/api/v1/sales?day=2026-03-09"
VISIT_B, RECEIPT_B, PERSON_B = "VISIT-OF-B-7351", "RECEIPT-OF-B-9482", "PERSON-OF-B-1126"
"""What stands in documents of B alone, with a digit behind it."""

SALE_B: dict[str, Any] = {
    "infno": "3505",
    "msgid": f"{HOSPITAL_B}202603091000000001",
    "fixmedins_code": HOSPITAL_B,
    "input": {
        "selinfo": {
            "med_list_codg": WHOLE,
            "fixmedins_hilist_id": "1",
            "fixmedins_hilist_name": "氯化钠注射液",
            "fixmedins_bchno": "B1",
            "prsc_dr_certno": "1",
            "psn_no": PERSON_B,
            "mdtrt_sn": VISIT_B,
            "rtal_docno": RECEIPT_B,
            "sel_retn_cnt": "1",
            "sel_retn_time": "2026-03-09 10:00:00",
            "rx_flag": "0",
            "trdn_flag": "0",
            "drugtracinfo": [{"drug_trac_codg": BOX_B}],
        }
    },
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal in which B sold a box, twice: its documents and an alert are there to be looked for."""
    running = with_people(tmp_path_factory.mktemp("scope") / "node", 'rate_code = "100000/minute"\n')
    with Node.open(running.folder) as node:
        node.tables.delegate(HOSPITAL_A, HEAD_OFFICE, date(2026, 1, 1), date(2026, 1, 31), "expired long ago")
    with running, running.client(HOSPITAL_B) as other:
        for number in ("1", "2"):
            sale = json.loads(
                json.dumps(SALE_B).replace(VISIT_B, VISIT_B + number).replace(RECEIPT_B, RECEIPT_B + number)
            )
            sale["msgid"] = SALE_B["msgid"][:-1] + number
            sale["input"]["selinfo"]["psn_no"] += number
            answer = other.post("/fsi/api/rsfComIfsService/callService", json=sale).json()
            assert str(answer["infcode"]) == "0", answer
        eventually(lambda: VISIT_B in other.get(SALES).text)
        yield running


def filled(path: str) -> str:
    """The address with B's own names in it."""
    known = {"settlement": VISIT_B + "1", "issuer": HOSPITAL_B, "number": VISIT_B + "1", "rest": BOX_B, "token": "x"}
    return re.sub(r"\{(\w+)(?::path)?\}", lambda found: known.get(found[1], BOX_B), path)


ASKED: tuple[dict[str, str], ...] = (
    {},
    {"institution": HOSPITAL_B},
    {"party": HOSPITAL_B},
    {"code": BOX_B},
    {"text": HOSPITAL_B},
    {"limit": "500"},
)
PUBLIC = ("/catalogue/", "/static/", "/openapi.json", "/metrics")
"""Reference data, which is everybody's; it holds no document of anybody."""


@pytest.mark.slow
@pytest.mark.parametrize("who", ["clerk", "pharmacist", "manager", "vendor", "firm", HOSPITAL_A, PHARMACY_P, ""])
def test_nobody_of_another_party_sees_a_document_of_b_at_any_address(portal: Portal, who: str) -> None:
    seen = []
    client = portal.client(who) if who in portal.keys or not who else Browser(portal, who).client
    with contextlib.closing(client):
        for url in URLS:
            if url.method != "GET" or url.lane == "stream" or any(part in url.path for part in PUBLIC):
                continue
            for query in ASKED:
                text = client.get(filled(url.path), params=query).text
                # What was asked for is named in a refusal; no document of B's stands beside it.
                seen += [
                    f"{url.path} {query}: {mark}"
                    for mark in (VISIT_B, RECEIPT_B, PERSON_B)
                    if mark + "1" in text and mark + "1" not in filled(url.path)
                ]
    assert not seen, "\n".join(seen)


def test_b_itself_sees_them(portal: Portal) -> None:
    with portal.client(HOSPITAL_B) as own, portal.client(HOSPITAL_A) as other:
        for path in (SALES, f"/api/v1/history?code={BOX_B}"):
            assert VISIT_B in own.get(path).text or RECEIPT_B in own.get(path).text, path
            assert VISIT_B not in other.get(path).text
        alerts = "/api/v1/alerts"
        eventually(lambda: len(own.get(alerts).json()["alerts"]) == 1)
        assert other.get(alerts).json()["alerts"] == []


def test_an_inspector_sees_the_own_region_and_persons_only_with_a_reason(portal: Portal) -> None:
    path = f"/api/v1/history?code={BOX_B}"
    with Browser(portal, "inspector") as near, portal.client(FAR_INSPECTOR) as far, Browser(portal, "auditor") as eye:
        assert HOSPITAL_B in near.get(path).text
        assert HOSPITAL_B not in far.get(path).text
        assert not re.search(r'"person":"p', near.get(path).text)
        before = eye.get("/audit?action=read").text
        opened = near.get(path + "&reason=案件复核第7号")
        assert opened.status_code == 200, opened.text
        assert re.search(r'"person":"p', opened.text)
        assert "案件复核第7号" not in before
        assert "案件复核第7号" in eye.get("/audit?action=read").text
        short = near.get(path + "&reason=x")
        assert (short.status_code, short.json()["code"]) == (403, "reason_needed")


def test_a_drug_regulator_and_an_agency_see_no_person_with_any_reason(portal: Portal) -> None:
    path = f"/api/v1/history?code={BOX_B}&reason=案件复核第7号"
    for who in ("drug_regulator", "agency", "clerk", "firm"):
        with Browser(portal, who) as browser:
            answer = browser.get(path)
            assert '"person":"p' not in answer.text, who


def test_a_delegation_opens_the_grantors_records_until_it_ends(portal: Portal) -> None:
    def sees(client: httpx.Client) -> bool:
        return VISIT_B in client.get(SALES + f"&institution={HOSPITAL_B}").text

    with Browser(portal, MANAGER_B) as grantor, portal.client(HEAD_OFFICE) as vendor:
        assert not sees(vendor)
        until = (date.today() + timedelta(days=30)).isoformat()  # noqa: DTZ011  far enough for any zone
        here = {"sec-fetch-site": "same-origin"}
        body = {"delegate": HEAD_OFFICE, "until": until, "purpose": "总部统一上传"}
        made = grantor.client.post("/api/v1/delegations", json=body, headers=here)
        assert made.status_code == 201, made.text
        assert HOSPITAL_B in vendor.get("/api/v1/me").json()["speaks_for"]
        assert sees(vendor)
        twice = grantor.client.post("/api/v1/delegations", json=body, headers=here)
        assert (twice.status_code, twice.json()["code"]) == (409, "not_now")
        ended = grantor.client.post("/api/v1/delegations/end", json={"delegate": HEAD_OFFICE}, headers=here)
        assert ended.status_code == 200
        assert not sees(vendor)
        assert HOSPITAL_B not in vendor.get("/api/v1/me").json()["speaks_for"]


def test_a_delegation_that_is_over_opens_nothing(portal: Portal) -> None:
    with portal.client(HEAD_OFFICE) as vendor:
        assert HOSPITAL_A not in vendor.get("/api/v1/me").json()["speaks_for"]
        envelope = {
            "infno": "9001",
            "msgid": "m1",
            "fixmedins_code": HOSPITAL_A,
            "input": {"signIn": {"opter_no": "1"}},
        }
        answer = vendor.post("/fsi/api/rsfComIfsService/callService", json=envelope).json()
        assert str(answer["infcode"]) == "-1"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"until": "2020-01-01"}, "until"),
        ({"until": "2199-01-01"}, "until"),
        ({"until": "tomorrow"}, "$.until"),
        ({"until": "2026-02-30"}, "until"),
        ({"delegate": "NOBODY"}, "delegate"),
    ],
)
def test_a_delegation_without_a_sensible_end_or_to_nobody_is_refused(
    portal: Portal, changed: dict[str, str], where: str
) -> None:
    until = (date.today() + timedelta(days=30)).isoformat()  # noqa: DTZ011  as above
    with Browser(portal, "manager") as grantor:
        body = {"delegate": HEAD_OFFICE, "until": until} | changed
        refused = grantor.client.post("/api/v1/delegations", json=body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["where"] == where


def test_keys_are_listed_issued_replaced_and_ended_by_the_own_people_alone(portal: Portal) -> None:
    with Browser(portal, "manager") as own, Browser(portal, MANAGER_B) as other:
        issued = own.client.post("/api/v1/keys", json={"label": "till 3"}).json()
        bearer = {"authorization": f"Bearer {issued['id']}.{issued['secret']}"}
        me = f"{portal.address}/api/v1/me"
        assert httpx.get(me, headers=bearer).json()["party"] == HOSPITAL_A
        listed = own.get("/api/v1/keys").json()["keys"]
        assert issued["id"] in {key["id"] for key in listed}
        assert issued["secret"] not in own.get("/api/v1/keys").text
        assert {key["party"] for key in listed} == {HOSPITAL_A}
        assert other.get("/api/v1/keys", params={"party": HOSPITAL_A}).status_code == 403
        for path in ("replace", "revoke"):
            refused = other.client.post(f"/api/v1/keys/{issued['id']}/{path}", json={}, headers=_token(other))
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        replaced = own.client.post(f"/api/v1/keys/{issued['id']}/replace", json={"overlap_days": 7}).json()
        newer = {"authorization": f"Bearer {replaced['id']}.{replaced['secret']}"}
        assert httpx.get(me, headers=bearer).status_code == httpx.get(me, headers=newer).status_code == 200
        ended = own.client.post(f"/api/v1/keys/{replaced['id']}/revoke", headers=_token(own))
        assert ended.json()["open"] is False
        assert httpx.get(me, headers=newer).status_code == 401


def _token(browser: Browser) -> dict[str, str]:
    return {"x-form-token": browser.token()}


def test_software_makes_no_keys_and_gives_no_delegations(portal: Portal) -> None:
    with portal.client(MAKER) as software:
        for path, body in (("/api/v1/keys", {"label": "x"}), ("/api/v1/delegations/end", {"delegate": HEAD_OFFICE})):
            refused = software.post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


def test_an_administrator_alone_makes_no_key_of_anybody(portal: Portal) -> None:
    with Browser(portal, "administrator") as keeper, Browser(portal, "security_officer") as officer:
        asked = keeper.client.post("/api/v1/keys", json={"party": HOSPITAL_B, "label": "new till"})
        assert asked.status_code == 201
        assert asked.json()["secret"] == ""
        waiting = asked.json()["waiting"]
        assert keeper.send(f"/admin/requests/{waiting}", "/admin", decision="approve").status_code == 403
        given = officer.send(f"/admin/requests/{waiting}", "/admin", decision="approve")
        secret = re.search(r'class="secret">([^<]+)<', given.text)
        assert secret
        bearer = {"authorization": f"Bearer {secret[1]}"}
        assert httpx.get(f"{portal.address}/api/v1/me", headers=bearer).json()["party"] == HOSPITAL_B
        nobody = keeper.client.post("/api/v1/keys", json={"party": "NOBODY", "label": "x"})
        assert (nobody.status_code, nobody.json()["where"]) == (422, "party")


def test_nobody_grants_a_role_to_themselves_and_one_of_the_three_never_suffices(portal: Portal) -> None:
    with Browser(portal, "administrator") as keeper, Browser(portal, "security_officer") as officer:
        own = keeper.send("/admin/people/administrator", "/admin", what="role", role="inspector", reason="me")
        assert own.status_code == 422
        wanted = {"what": "role", "role": "inspector", "region": "440000", "reason": "more work"}
        assert officer.send("/admin/people/clerk", **wanted).status_code == 403
        asked = keeper.send("/admin/people/security_officer", "/admin", **wanted)
        assert asked.status_code == 303
        page = officer.get("/admin/people/security_officer").text
        request = page.partition("/admin/requests/")[2].partition('"')[0]
        refused = officer.send(f"/admin/requests/{request}", "/admin", decision="approve")
        assert refused.status_code == 422
        assert officer.get("/api/v1/me").json()["role"] == "security_officer"
