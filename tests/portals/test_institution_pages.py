"""An institution's pages: what it owes, its conflicts without the other side's name, files judged before sending."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk_people import Desks
from portal import axe, eventually
from story import HOSPITAL_A, HOSPITAL_B, LEGACY, PHARMACY_P, PHARMACY_Q, WHOLE

SOLD_BEFORE = "82345670000000000077"


def box(number: int) -> str:
    return f"8234567{number:013d}"


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    """One portal in which two hospitals have claimed one box, and one of them owes codes."""
    with Desks(tmp_path_factory.mktemp("desks") / "node") as running:
        _settle(running, HOSPITAL_B, "V1", [SOLD_BEFORE])
        _fees(running, HOSPITAL_A, "V2")
        _settle(running, HOSPITAL_A, "V2", [], expected=3)
        _settle(running, HOSPITAL_A, "V3", [SOLD_BEFORE])
        _report(running, HOSPITAL_A, "89999990000000000001", "2026-03-09 10:00:00")
        with running.client(HOSPITAL_A) as client:
            eventually(lambda: _conflict_ids(client))
        yield running


def _send(desks: Desks, place: str, infno: str, body: dict[str, Any], mark: str) -> dict[str, Any]:
    message = {
        "infno": infno,
        "msgid": f"{place}{infno}{mark:0>14}",
        "insuplc_admdvs": "440100",
        "infver": "V1.0",
        "fixmedins_code": place,
        "input": body,
    }
    with desks.client(place) as client:
        answer = client.post("/fsi/api/rsfComIfsService/callService", json=message)
    told: dict[str, Any] = answer.json()
    return told


def _settle(desks: Desks, place: str, visit: str, boxes: list[str], expected: int = 0) -> None:
    rows = [{"feedetl_sn": "1", "min_prcunt_type": "2", "drug_trac_codg": one, "trdn_flag": "0"} for one in boxes]
    data = {"psn_no": visit, "chrg_bchno": f"O{visit}", "mdtrt_id": visit, "insutype": "310", "medfee_sumamt": 80}
    data |= {"minpacunt_drug_trac_cnt": expected} if expected else {}
    _send(desks, place, "2207", {"data": data, "drug_trac_info": rows}, visit)


def _fees(desks: Desks, place: str, visit: str) -> None:
    rows = [
        {
            "feedetl_sn": line,
            "mdtrt_id": visit,
            "chrg_bchno": f"O{visit}",
            "med_list_codg": product,
            "cnt": count,
            "pric": "10",
            "det_item_fee_sumamt": "20",
        }
        for line, product, count in (("1", WHOLE, "3"), ("2", LEGACY, "1"))
    ]
    _send(desks, place, "2204", {"feedetail": rows}, visit)


def _report(desks: Desks, place: str, code: str, when: str) -> None:
    row = {
        "fixmedins_hilist_id": "1",
        "fixmedins_bchno": "B1",
        "sel_retn_cnt": "1",
        "sel_retn_time": when,
        "drugtracinfo": [{"drug_trac_codg": code}],
    }
    _send(desks, place, "3505", {"selinfo": row}, "1")


def _conflict_ids(client: httpx.Client) -> list[str]:
    return [alert["id"] for alert in client.get("/api/v1/alerts").json()["alerts"]]


def test_what_is_owed_today_stands_on_one_page_with_where_to_mend_it(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "zh-CN"}) as client:
        page = client.get("/institution").text
        rows = client.get("/institution/owed/awaiting").text
        empty = client.get("/institution/owed/code_review").text
    for words in (
        "待扫码",
        "被拒且未重新结算",
        "待映射的追溯码",
        "trace20:8999999",
        "无码库存",
        LEGACY,
        "迟传",
        "西药",
    ):
        assert words in page, words
    assert "/scan?mode=sell&amp;visit=V2" in rows
    assert ("就诊号 V2" in rows, WHOLE in rows, "此类没有应办事项" in empty) == (True, True, True)
    with desks.client(PHARMACY_Q, headers={"accept-language": "zh-CN"}) as client:
        assert "今日无应办事项" in client.get("/institution").text


def test_a_list_can_be_filtered_in_its_address_and_downloaded(desks: Desks) -> None:
    with desks.client(HOSPITAL_A) as client:
        assert "V2" in client.get("/institution/owed/awaiting", params={"product": WHOLE[:5], "until": "7"}).text
        assert "V2" not in client.get("/institution/owed/awaiting", params={"product": "C"}).text
        answer = client.get("/institution/owed/awaiting/csv", params={"product": WHOLE})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        [row] = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
        assert (row["kind"], row["product"], row["count"], row["reference"]) == ("awaiting", WHOLE, "2", "visit:V2")
        for address in ("/institution/coverage?format=csv", "/institution/late?format=csv"):
            assert len(client.get(address).text.splitlines()) > 1
        assert client.get("/institution/owed/nothing").status_code == 404
        assert client.get("/institution/owed/awaiting?after=a~b~c~d~e&until=x").status_code == 200


def test_a_conflict_names_the_kind_of_place_and_the_month_and_never_the_partner(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        identity = _conflict_ids(client)[-1]
        pages = [client.get(f"/institution/conflicts{rest}").text for rest in ("", f"/{identity}")]
    for page in pages:
        assert "elsewhere, a hospital" in page
        assert SOLD_BEFORE in page
        assert HOSPITAL_B not in page
    with desks.client(HOSPITAL_B, headers={"accept-language": "en"}) as client:
        other = client.get(f"/institution/conflicts/{identity}").text
    assert "the other one; yours came first" in other
    assert (HOSPITAL_A in other, "V3" in other) == (False, False), "nor the other side's numbers"


def test_nobody_opens_what_is_not_theirs_by_another_id_in_the_address(desks: Desks) -> None:
    with desks.client(HOSPITAL_A) as client:
        identity = _conflict_ids(client)[-1]
    with desks.client(PHARMACY_P) as client:
        assert client.get(f"/institution/conflicts/{identity}").status_code == 404
        assert client.post(f"/institution/conflicts/{identity}", data={"text": "not mine"}).status_code == 404
        assert f"<code>{SOLD_BEFORE}" not in client.get("/institution/conflicts", params={"code": SOLD_BEFORE}).text
        assert "V2" not in client.get("/institution/owed/awaiting").text
    for name in ("", "ann"):
        with desks.client(headers={"cookie": f"suyuan_session={desks.sessions[name]}"} if name else {}) as client:
            shown = client.get(f"/institution/conflicts/{identity}")
            assert shown.status_code == (404 if name else 303)


def test_a_contest_becomes_a_step_of_the_alert_once(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        identity = _conflict_ids(client)[-1]
        address = f"/institution/conflicts/{identity}"
        assert client.post(address, data={"text": "  "}).status_code == 422
        words = {"text": "Moved from our branch", "delivery": "DN-4711"}
        for _ in range(2):
            assert client.post(address, data=words).status_code == 303
        page = client.get(address).text
    assert page.count("Moved from our branch") == 1
    assert ("Delivery note: DN-4711" in page, "You have answered" in page) == (True, True)
    with desks.client(HOSPITAL_B, headers={"accept-language": "en"}) as client:
        assert "Moved from our branch" not in client.get(address).text, "what one side says is not the other's to read"


TABLE = (
    "kind,code,event_time,receipt\r\n"
    f"received,{box(1)},2026-03-09 10:00:00,\r\n"
    "sold,8.2345E+19,2026-03-09 10:00:00,R1\r\n"
    f'"nope, or so",{box(2)},,R2\r\n'
    f"sold,{SOLD_BEFORE},2026-03-09 10:00:00,R3\r\n"
    f"received,{box(3)},2026-03-09 10:00:00,\r\n"
)


def _events(desks: Desks, *codes: str) -> int:
    """How often codes are told of, as the institution that asks may see it: here its own uploads."""
    with desks.client(HOSPITAL_A) as client:
        found = [client.get("/api/v1/history", params={"code": code}) for code in codes]
    return sum(one.text.count('"kind":"received"') + one.text.count('"kind":"sold"') for one in found)


def _begin(client: httpx.Client, raw: str, name: str = "goods.csv", kind: str = "") -> str:
    begun = client.post("/institution/upload", files={"file": (name, raw.encode())}, data={"kind": kind})
    assert begun.status_code == 303, begun.text
    return _ended(client, begun.headers["location"])


def _ended(client: httpx.Client, address: str) -> str:
    eventually(lambda: not client.get(f"{address}/progress").json()["running"])
    return address


def test_a_file_is_judged_without_writing_then_mended_and_sent(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        address = _begin(client, TABLE)
        page = client.get(address).text
        assert "Judged, and nothing written yet." in page
        assert ("scientific notation" in page, "nope, or so" in page, "conflict" in page) == (True, True, True)
        assert _events(desks, box(1), box(3)) == 0, "a rehearsal leaves nothing behind"
        mended = {"3.0": "sold", "3.1": box(4), "3.2": "2026-03-09 10:00:00", "3.3": "R1"}
        mended |= {"4.0": "sold", "4.1": box(2), "4.2": "2026-03-09 11:00:00", "4.3": 'R"2'}
        assert client.post(f"{address}/lines", data=mended).status_code == 303
        page = client.get(_ended(client, address)).text
        assert "scientific notation" not in page
        assert "Send it: 5 lines" in page
        assert client.post(f"{address}/send").status_code == 303
        page = client.get(_ended(client, address)).text
        assert "Sent. What is listed as taken is kept for good." in page
        assert client.post(f"{address}/send").status_code == 303
        assert _events(desks, box(1), box(2), box(3), box(4)) == 4, "sent once, however often it is asked"
        assert client.post(f"{address}/undo").status_code == 303
        assert "It was taken back." in client.get(address).text
        again = client.get(_begin(client, TABLE)).text
        assert "Judged, and nothing written yet." in again


def test_what_was_not_taken_comes_back_as_a_file_that_can_be_mended_and_sent(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        address = _begin(client, TABLE)
        rejects = client.get(f"{address}/rejects")
        assert rejects.headers["content-disposition"] == 'attachment; filename="goods-rejects.csv"'
        lines = rejects.text.splitlines()
        assert lines[0] == "_line,_reason,kind,code,event_time,receipt"
        assert [line.split(",")[0] for line in lines[1:]] == ["3", "4"]
        mended = rejects.text.replace("8.2345E+19", box(21)).replace('"nope, or so"', "received")
        assert "Send it: 2 lines" in client.get(_begin(client, mended)).text


def test_a_draft_is_opened_by_who_made_it_alone(desks: Desks) -> None:
    with desks.client(HOSPITAL_A) as client:
        address = _begin(client, TABLE)
    for party in (HOSPITAL_B, PHARMACY_P):
        with desks.client(party) as client:
            for rest in ("", "/progress", "/rejects"):
                assert client.get(address + rest).status_code == 404
            for rest in ("/lines", "/send", "/undo", "/drop"):
                assert client.post(address + rest).status_code == 404
    with desks.client(headers={"cookie": f"suyuan_session={desks.sessions['cai']}"}) as client:
        assert client.get(address).status_code == 404, "a colleague has a draft of their own"
    with desks.client(HOSPITAL_A) as client:
        assert client.post(f"{address}/drop").status_code == 303
        assert client.get(address).status_code == 404


def test_any_file_is_answered_with_words(desks: Desks) -> None:
    message = '{"infno":"3505","msgid":"%s","fixmedins_code":"%s","input":{"selinfo":[{}]}}'
    files = {
        "empty.csv": "",
        "picture.png": "\x89PNG\0\0",
        "table.csv": "no,such,columns\n1,2,3\n",
        "message.json": message % (f"{HOSPITAL_A}000000000000000099", HOSPITAL_A),
        "stranger.json": message % (f"{PHARMACY_Q}000000000000000099", PHARMACY_Q),
        "claim.json": _claim_message(),
        "lines.jsonl": f'{{"kind":"received","code":"{box(31)}"}}\n{{"kind":"nope"}}\n{{broken\n',
    }
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        for name, raw in files.items():
            if not raw:
                continue
            page = client.get(_begin(client, raw, name))
            assert page.status_code == 200, name
            assert "notice bad" in page.text or "not taken" in page.text, name
        missing = client.post("/institution/upload", data={"kind": ""})
        assert (missing.status_code, "Choose a file first." in missing.text) == (422, True)


def _claim_message() -> str:
    row = {"feedetl_sn": "1", "min_prcunt_type": "2", "drug_trac_codg": SOLD_BEFORE, "trdn_flag": "0"}
    data = {"psn_no": "N9", "chrg_bchno": "O9", "mdtrt_id": "V9", "insutype": "310", "medfee_sumamt": 80}
    message = {
        "infno": "2207",
        "msgid": f"{HOSPITAL_A}000000000000000098",
        "insuplc_admdvs": "440100",
        "infver": "V1.0",
        "fixmedins_code": HOSPITAL_A,
        "input": {"data": data, "drug_trac_info": [row]},
    }
    return json.dumps(message)


def test_a_claim_in_a_file_is_judged_line_by_line_and_a_large_file_is_refused_before_it_is_read(desks: Desks) -> None:
    with desks.client(HOSPITAL_A, headers={"accept-language": "en"}) as client:
        page = client.get(_begin(client, _claim_message(), "claim.json")).text
        assert "refuse: The box was sold before." in page
        chunked = client.post(
            "/institution/upload", content=iter([b"x"]), headers={"content-type": "multipart/form-data"}
        )
        assert chunked.status_code == 413


@pytest.mark.browser
def test_a_file_is_judged_mended_and_sent_in_a_browser(desks: Desks, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "goods.csv"
    path.write_text(TABLE.replace(box(1), box(41)).replace(box(2), box(42)), encoding="utf-8")
    visit = desks.visit(browser, "cai")
    page = visit.page
    page.goto("/institution/upload")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="试判（不提交）").click()
    page.wait_for_selector(".figures")
    assert axe(page) == []
    page.fill("input[name='3.1']", box(43))
    page.get_by_role("button", name="按修改重新试判").click()
    page.wait_for_selector("button:has-text('提交4行')")
    page.get_by_role("button", name="提交4行").click()
    page.wait_for_selector(".notice.good")
    assert axe(page) == []
    visit.check()


@pytest.mark.browser
@pytest.mark.slow
def test_every_page_is_worked_by_keys_on_a_phone_and_a_desk_and_has_no_fault(desks: Desks, browser: Any) -> None:
    visit = desks.visit(browser, "cai")
    page = visit.page
    with desks.client(HOSPITAL_A) as client:
        identity = _conflict_ids(client)[-1]
    addresses = ("", "/owed/awaiting", "/owed/refused", "/owed/hold", "/late", "/coverage", "/conflicts", "/upload")
    for address in (*addresses, f"/conflicts/{identity}"):
        for width in (1280, 375):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(f"/institution{address}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
            assert axe(page) == [], address
    page.goto("/institution")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/institution/owed/awaiting":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/institution/owed/awaiting")
    visit.check()


@pytest.mark.browser
def test_the_elder_version_shows_large_text_and_large_targets(desks: Desks, browser: Any) -> None:
    visit = desks.visit(browser, "cai", viewport={"width": 375, "height": 740})
    visit.context.add_cookies([{"name": "elder", "value": "1", "url": desks.address}])
    for address in ("/institution", "/scan"):
        visit.page.goto(address)
        small = visit.page.evaluate(
            "[...document.querySelectorAll('main button, main a.button')].filter((one) => one.offsetParent)"
            ".filter((one) => one.getBoundingClientRect().height < 60).map((one) => one.textContent.trim())"
        )
        assert small == []
        assert visit.page.evaluate("parseFloat(getComputedStyle(document.querySelector('main p')).fontSize)") >= 20
        assert axe(visit.page) == []
