"""The inspectors' pages without scripts: who sees which alerts, filters, pages, export, handling."""

import csv
import io
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live_watch import new_code, sell, sell_twice
from portal import INSPECTOR, eventually
from story import HOSPITAL_A, HOSPITAL_FAR, MAKER, PHARMACY_P, PHARMACY_Q
from watch_room import WatchRoom

TOKEN = re.compile(r'name="form_token" value="([\w-]+)"')


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchRoom]:
    with WatchRoom(tmp_path_factory.mktemp("room") / "node") as running:
        yield running


def alert_of(room: WatchRoom, code: str) -> str:
    """The id of the alert about a code, once it is listed."""
    with room.client(INSPECTOR) as client:
        listed = eventually(lambda: client.get("/api/v1/alerts", params={"code": code}).json()["alerts"])
    return str(listed[0]["id"])


def post(client: httpx.Client, page: str, path: str, **fields: str) -> httpx.Response:
    """A form of a page, as a browser sends it."""
    found = TOKEN.search(client.get(page).text)
    assert found, f"{page} has no form"
    return client.post(path, data={"form_token": found[1], **fields})


def test_an_inspector_sees_the_own_region_on_either_side_and_never_another_regions_own(room: WatchRoom) -> None:
    inside = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    across = sell_twice(room, HOSPITAL_FAR, PHARMACY_P)
    far = sell_twice(room, HOSPITAL_FAR, HOSPITAL_FAR)
    ids = {code: alert_of_any(room, code) for code in (inside, across, far)}
    expected = {"guangdong": {inside, across}, "beijing": {across, far}, "nation": {inside, across, far}}
    for name, codes in expected.items():
        with room.person(name) as client:
            shown = client.get("/inspector").text
            table = client.get("/inspector/alerts.csv").text
            for code in (inside, across, far):
                assert (code in shown) == (code in codes), f"{name} {code}"
                assert (code in table) == (code in codes), f"{name} {code}"
                status = client.get(f"/inspector/alerts/{ids[code]}").status_code
                assert status == (200 if code in codes else 404), f"{name} {code}"
    with room.person("agency") as client:
        assert not any(code in client.get("/inspector").text for code in (inside, across, far)), "no claim of its fund"


def alert_of_any(room: WatchRoom, code: str) -> str:
    """The id of the alert about a code, as the nation sees it."""
    with room.person("nation") as client:
        page = eventually(lambda: re.search(r"/inspector/alerts/(\w+)", client.get(f"/inspector?code={code}").text))
    return str(page[1])


def test_filters_live_in_the_address_and_narrow_the_list_and_its_export(room: WatchRoom) -> None:
    clone = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    with room.client(PHARMACY_Q) as pharmacy:
        again = new_code()
        sell(pharmacy, again)
        sell(pharmacy, again, person="2")
    alert_of(room, again)
    with room.person("guangdong") as client:
        for query, one, other in (
            (f"institution={PHARMACY_Q}", again, clone),
            ("class=clone", clone, again),
            (f"code={again}", again, clone),
        ):
            assert one in client.get(f"/inspector?{query}").text
            assert other not in client.get(f"/inspector?{query}").text
            rows = list(csv.DictReader(io.StringIO(client.get(f"/inspector/alerts.csv?{query}").text.lstrip("\ufeff"))))
            assert one in {row["code"] for row in rows}
            assert other not in {row["code"] for row in rows}
        nothing = client.get("/inspector?class=two_funds").text
        assert "Nothing here yet" in nothing
        for wrong in ("class=theft", "state=lost", "region=x", "days=3", "a=x", "from=yesterday"):
            refused = client.get(f"/inspector?{wrong}")
            assert refused.status_code == 422
            assert "text/html" in refused.headers["content-type"]


def test_the_list_turns_its_pages_and_leaves_nothing_out(room: WatchRoom) -> None:
    with room.client(HOSPITAL_A) as one, room.client(PHARMACY_P) as other:
        codes = [new_code() for _ in range(120)]
        sell(one, *codes)
        sell(other, *codes, person="2")
    alert_of(room, codes[-1])
    seen: list[str] = []
    with room.person("guangdong") as client:
        path: str | None = "/inspector?class=clone"
        while path:
            text = client.get(path).text
            seen += re.findall(r'href="/inspector/alerts/(\w+)"', text)
            following = re.search(r'rel="next" href="([^"]+)"', text)
            path = following[1].replace("&amp;", "&") if following else None
    assert len(seen) == len(set(seen)) >= 120


def test_an_alert_is_looked_at_asked_about_closed_and_taken_back(room: WatchRoom) -> None:
    page = f"/inspector/alerts/{alert_of(room, sell_twice(room, HOSPITAL_A, PHARMACY_P))}"
    with room.person("guangdong") as client:
        shown = client.get(page).text
        assert HOSPITAL_A in shown
        assert PHARMACY_P in shown
        assert "It accuses nobody" in shown
        assert "R1" in shown
        for fields in (
            {"kind": "seen"},
            {"kind": "asked", "to": PHARMACY_P, "text": "请说明进货来源"},
            {"kind": "closed", "finding": "explained", "text": "核对无误"},
        ):
            assert post(client, page, f"{page}/steps", **fields).status_code == 303
        shown = client.get(page).text
        assert "请说明进货来源" in shown
        assert "The explanation holds" in shown
        assert "guangdong" in shown
        assert post(client, page, f"{page}/steps", kind="undone").status_code == 303
        assert "taken back" in client.get(page).text
        faulty = post(client, page, f"{page}/steps", kind="asked", to=PHARMACY_P, text=" ")
        assert faulty.status_code == 422
        assert "请填写说明" in faulty.text
    with room.person("beijing") as stranger:
        assert stranger.get(page).status_code == 404
    with room.person("regulator") as regulator:
        assert regulator.get(page).status_code == 200
        assert "form_token" not in regulator.get(page).text, "who only watches has no forms"


def test_a_form_from_elsewhere_changes_nothing(room: WatchRoom) -> None:
    page = f"/inspector/alerts/{alert_of(room, sell_twice(room, HOSPITAL_A, PHARMACY_P))}"
    with room.person("guangdong") as client:
        forged = client.post(f"{page}/steps", data={"kind": "seen"}, headers={"sec-fetch-site": "cross-site"})
        assert forged.status_code == 403
        assert client.post(f"{page}/steps", data={"kind": "seen", "form_token": "x"}).status_code == 403
        assert "Nothing yet" in client.get(page).text


def test_personal_data_is_opened_with_a_reason_only_and_by_inspectors_only(room: WatchRoom) -> None:
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    page = f"/inspector/alerts/{alert_of(room, code)}"
    with room.person("guangdong") as client:
        assert "p1-" not in client.get(page).text
        refused = post(client, page, f"{page}/open", reason="x")
        assert refused.status_code == 403
        assert "p1-" not in refused.text
        opened = post(client, page, f"{page}/open", reason="案件复核 2026-17")
        assert opened.status_code == 200
        assert opened.text.count("p1-") >= 2, "both sides' pseudonyms"
        assert "44010119900101" in opened.text, "the message as it was sent"
        assert opened.headers["cache-control"] == "no-store"
        story = f"/inspector/code?code={code}"
        assert "p1-" not in client.get(story).text
        assert post(client, story, "/inspector/code/open", code=code, reason="").status_code == 403
        assert "p1-" in post(client, story, "/inspector/code/open", code=code, reason="案件复核 2026-17").text
    with room.person("regulator") as regulator:
        assert regulator.get(f"/inspector/code?code={code}").status_code == 200
        assert regulator.post(f"{page}/open", data={"reason": "案件复核"}).status_code == 403


def test_a_codes_story_shows_cartons_verdicts_and_alerts_and_hides_other_regions(room: WatchRoom) -> None:
    code, carton = new_code(), "00106901234500000010"
    with room.client(MAKER) as maker:
        made = {"kind": "produced", "code": code, "time": "2026-03-01T08:00:00+08:00"}
        packed = {"action": "packed", "parent": carton, "children": [code], "time": "2026-03-02T08:00:00+08:00"}
        for path, body in (("scans", {"scans": [made]}), ("packages", {"packages": [packed]})):
            answer = maker.post(f"/api/v1/{path}", json=body)
            assert answer.json()["problems"] == [], answer.text
    with room.client(HOSPITAL_A) as hospital, room.client(PHARMACY_P) as pharmacy:
        sell(hospital, code)
        sell(pharmacy, code, person="2")
    alert = alert_of(room, code)
    with room.person("guangdong") as guangdong:
        assert "events of other regions are not shown" in guangdong.get(f"/inspector/code?code={code}").text
    with room.person("nation") as client:
        story = client.get(f"/inspector/code?code={code}").text
        assert carton[2:] in story
        assert f"/inspector/alerts/{alert}" in story
        assert "One open paid claim a box" in story
        assert "The box was sold before." in story
        assert all(chapter in story for chapter in ("1. Produced", "2. Packed", "3. Sold", "4. Sold"))
        assert "Nothing is known of this code" in client.get("/inspector/code?code=" + new_code()).text
        assert "Type or scan a code" in client.get("/inspector/code").text
    with room.person("beijing") as far:
        assert PHARMACY_P not in far.get(f"/inspector/code?code={code}").text


def test_a_citizens_report_comes_in_the_same_queue_and_is_answered_there(room: WatchRoom) -> None:
    code = new_code()
    body = {
        "token": secrets.token_hex(16),
        "code": code,
        "region": "440100",
        "place": "街角药房",
        "traits": ["packaging"],
        "words": "盒子被打开过",
        "contact": "leave word at the counter",
    }
    with room.client() as citizen:
        sent = citizen.post("/api/v1/reports", json=body)
        assert sent.status_code in {200, 201}, sent.text
    with room.person("guangdong") as client, room.person("beijing") as far, room.person("regulator") as regulator:
        page = eventually(lambda: re.search(r'href="(/inspector/reports/[^"]+)"', client.get("/inspector").text))[1]
        for elsewhere in (far, regulator):
            assert "/inspector/reports/" not in elsewhere.get("/inspector").text
        assert far.get(page).status_code == 404
        assert regulator.get(page).status_code == 403
        assert code in client.get("/inspector?class=report").text
        assert "/inspector/reports/" not in client.get("/inspector?class=clone").text
        shown = client.get(page).text
        assert "盒子被打开过" in shown
        assert "leave word" not in shown
        assert post(client, page, f"{page}/contact", reason=" ").status_code == 403
        assert "leave word" in post(client, page, f"{page}/contact", reason="核实购买时间").text
        assert post(client, page, f"{page}/steps", step="taken_up").status_code == 303
        assert post(client, page, f"{page}/steps", step="answered").status_code == 409
        assert post(client, page, f"{page}/steps", step="answered", words="来源合法").status_code == 303
        assert "来源合法" in client.get(page).text
        assert page in client.get("/inspector?state=closed").text
        assert page not in client.get("/inspector?state=new").text
        assert page in client.get(f"/inspector/code?code={code}").text


def test_figures_keep_to_the_region_and_agree_with_the_map(room: WatchRoom) -> None:
    for code in (sell_twice(room, HOSPITAL_FAR, HOSPITAL_FAR), sell_twice(room, HOSPITAL_A, PHARMACY_P)):
        alert_of_any(room, code)
    with room.person("nation") as nation, room.person("beijing") as beijing:
        # Figures are counted every few seconds.
        for region in ("110000", "440000"):
            eventually(lambda region=region: region in nation.get("/inspector/figures").text)
        eventually(lambda: beijing.get("/inspector/figures").json()["regions"])
        whole, own = nation.get("/inspector/figures").json(), beijing.get("/inspector/figures").json()
        assert {one["code"] for one in own["regions"]} == {"110000"}
        assert {"110000", "440000"} <= {one["code"] for one in whole["regions"]}
        assert sum(one["alerts"] for one in whole["regions"]) == whole["alerts"]
        asked_for_more = beijing.get("/inspector/figures", params={"region": "440000"}).json()
        assert asked_for_more["alerts"] == own["alerts"], "a wider wish is one's own place"
        shape = nation.get("/inspector/map.json").json()
        assert len(shape["features"]) == 34


@pytest.mark.slow
def test_citizens_questions_are_counted_and_outlive_the_server(tmp_path: Path) -> None:
    room = WatchRoom(tmp_path / "node")
    with room, room.client() as citizen, room.person("nation") as client:
        for _ in range(3):
            citizen.get("/check", params={"code": new_code()})
        assert client.get("/inspector/figures").json()["checks"] == 3
    with room, room.client() as citizen, room.person("nation") as client:
        assert client.get("/inspector/figures?days=1").json()["checks"] == 3
        citizen.get("/check", params={"code": new_code()})
        assert client.get("/inspector/figures?days=7").json()["checks"] == 4


@pytest.mark.slow
def test_the_operators_own_map_and_its_approval_number_are_used(tmp_path: Path) -> None:
    own = tmp_path / "map.json"
    own.write_text('{"type":"FeatureCollection","features":[]}', encoding="utf-8")
    settings = f'map_data = "{own}"\nmap_approval = "GS(2026)0001号"\n'
    with WatchRoom(tmp_path / "node", settings) as room, room.person("nation") as client:
        assert client.get("/inspector/map.json").json()["features"] == []
        page = client.get("/inspector").text
    assert "GS(2026)0001号" in page
    assert "the operator&#39;s own" in page
    assert "Nothing was uploaded yet" in page


def test_nobody_else_sees_the_inspectors_pages(room: WatchRoom) -> None:
    for path in ("/inspector", "/inspector/figures", "/inspector/map.json", "/inspector/alerts.csv", "/inspector/code"):
        with room.client() as citizen, room.client(PHARMACY_P) as pharmacy:
            assert citizen.get(path).status_code in {303, 401}
            assert pharmacy.get(path).status_code == 403


def test_an_export_holds_no_formulas() -> None:
    from suyuan.portals.pages.inspector import _plain  # noqa: PLC0415  the one way in

    assert [_plain(text) for text in ("=1+1", "-2", "@x", "+3", "药店", "")] == [
        "'=1+1",
        "'-2",
        "'@x",
        "'+3",
        "药店",
        "",
    ]
