"""Citizens' reports over HTTP: with and without a script, once and twice, and who may open what."""

import base64
import io
import json
import re
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from portal import FAR_INSPECTOR, INSPECTOR, Portal, eventually
from story import HOSPITAL_A, PHARMACY_P, REGULATOR

BOX = "82345671000000000001"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One running portal that takes many reports from here."""
    settings = 'policy = "strict"\nblock_cache_mb = 16\nrate_report = "1000/hour"\n'
    with Portal(tmp_path_factory.mktemp("portal") / "node", settings) as running:
        yield running


@pytest.fixture(scope="module")
def portal_of_faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One that takes as many as it does by itself."""
    with Portal(tmp_path_factory.mktemp("portal") / "node") as running:
        yield running


def picture() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Phone of Zhang San"
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(file, "JPEG", exif=exif)
    return file.getvalue()


def body(token: str, **said: object) -> dict[str, object]:
    return {"token": token, "region": "440100", "traits": ["print"], **said}


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="report_token" value="([\w-]+)"', page.text)
    assert found
    return found[1]


def test_the_form_works_without_a_script_and_twice_sent_is_one_report(portal: Portal) -> None:
    with portal.client() as client:
        form = client.get("/report", params={"code": BOX})
        assert form.headers["cache-control"] == "private, no-cache"
        fields = {
            "report_token": token_in(form),
            "code": BOX,
            "traits": ["print", "no_receipt"],
            "region": "440100",
            "words": "字迹模糊",
            "contact": "13800138000",
            "happened": "2026-03-09",
        }
        files = [("photos", ("a.jpg", picture(), "image/jpeg")), ("photos", ("", b"", "application/octet-stream"))]
        first, again = (client.post("/report", data=fields, files=files) for _ in range(2))
        assert (first.status_code, again.status_code) == (303, 303)
        path = first.headers["location"].partition("?")[0]
        assert again.headers["location"] == f"{path}?sent=again"
        changed = client.post("/report", data={**fields, "words": "别的"}, files=files)
        assert changed.headers["location"] == f"{path}?sent=changed"
        page = client.get(first.headers["location"])
        number = path.rpartition("/")[2]
        assert number in page.text
        assert "no-store" in page.headers["cache-control"]
        assert "noindex" in page.headers["x-robots-tag"]
        for secret in ("字迹模糊", "13800138000"):
            assert secret not in page.text
        typed = client.get("/report", params={"receipt": number.lower().replace("-", " ")})
        assert (typed.status_code, typed.headers["location"]) == (303, path)
    with portal.client(INSPECTOR) as inspector:
        assert inspector.get(f"/api/v1/reports/{number}").json()["photos"] == 1


def test_a_form_with_faults_comes_back_with_what_was_typed_and_nothing_is_taken(portal: Portal) -> None:
    with portal.client() as client:
        form = client.get("/report")
        fields = {"report_token": token_in(form), "words": "<b>保留我</b>", "happened": "2999-01-01"}
        back = client.post("/report", data=fields, files=[("photos", ("a.svg", b"<svg/>", "image/jpeg"))])
        assert back.status_code == 422
        assert "&lt;b&gt;保留我&lt;/b&gt;" in back.text
        for words in ("请选择发生地", "十年以内", "无法识别该文件"):
            assert words in back.text
        assert token_in(back) == fields["report_token"]
        mended = {**fields, "region": "440100", "happened": ""}
        assert client.post("/report", data=mended).headers["location"].endswith("?sent=new")


def test_too_many_photos_are_told_as_such(portal: Portal) -> None:
    with portal.client() as client:
        fields = {"report_token": token_in(client.get("/report")), "traits": "price", "region": "440100"}
        files = [("photos", (f"{number}.jpg", picture(), "image/jpeg")) for number in range(7)]
        told = client.post("/report", data=fields, files=files)
        assert told.status_code == 422
        assert "最多上传5张照片" in told.text
        assert client.post("/report", data=fields, files=files[:5]).status_code == 303


@pytest.mark.parametrize("typed", ["ABCD", "7KQ2-M9XP-3HTA", "../../etc", "0000-0000-0000"])
def test_a_wrong_receipt_number_is_told_in_words(portal: Portal, typed: str) -> None:
    with portal.client() as client:
        told = client.get("/report", params={"receipt": typed})
        assert told.status_code == 422
        assert "受理编号不正确" in told.text
        assert client.get("/report/7KQ2-M9XP-3HTA").status_code == 404


def test_the_interface_takes_a_report_and_follows_it_to_its_answer(portal: Portal) -> None:
    with portal.client() as citizen, portal.client(INSPECTOR) as inspector:
        said = body("interface-token-0001", code=BOX, photos=[base64.b64encode(picture()).decode()], words="我叫张三")
        taken = citizen.post("/api/v1/reports", json=said).json()
        assert citizen.post("/api/v1/reports", json=said).json() == {**taken, "first": False}
        number = taken["receipt"]
        assert taken["address"] == f"{portal.address}/report/{number}"
        listed = eventually(
            lambda: [one for one in inspector.get("/api/v1/reports").json()["reports"] if one["receipt"] == number]
        )
        assert (listed[0]["region"], listed[0]["box"], listed[0]["photos"]) == ("440100", f"trace20:{BOX}", 1)
        evidence = inspector.get(f"/api/v1/reports/{number}/evidence").json()
        assert evidence["words"] == "我叫张三"
        photo = inspector.get(evidence["photos"][0])
        assert photo.headers["content-type"] == "image/jpeg"
        assert b"Zhang San" not in photo.content
        for step in ("taken_up", "answered"):
            moved = inspector.post(f"/api/v1/reports/{number}/steps", json={"step": step, "words": "来源合法"})
            assert moved.json()["state"] == step
        refused = inspector.post(f"/api/v1/reports/{number}/steps", json={"step": "taken_up", "words": "又"})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_now")
        told = citizen.get(f"/api/v1/reports/{number}").json()
        assert (told["state"], told["steps"][-1]["words"]) == ("answered", "来源合法")
        assert told["steps"][-1]["by"] == "示例监管处"
        assert "张三" not in json.dumps(told, ensure_ascii=False)
        assert "来源合法" in citizen.get(f"/report/{number}").text


def test_the_contact_is_opened_by_the_places_inspector_with_a_reason_alone(portal: Portal) -> None:
    with portal.client() as citizen, portal.client(INSPECTOR) as inspector, portal.client(FAR_INSPECTOR) as far:
        said = body("contact-token-000001", contact="13800138000")
        number = citizen.post("/api/v1/reports", json=said).json()["receipt"]
        path = f"/api/v1/reports/{number}/contact"
        assert inspector.post(path, json={"reason": " "}).json()["code"] == "reason_needed"
        assert far.post(path, json={"reason": "好奇"}).status_code == 404
        assert inspector.post(path, json={"reason": "核实购买时间"}).json() == {"contact": "13800138000"}
        openings = inspector.get(f"/api/v1/reports/{number}/evidence").json()["openings"]
        assert [one["words"] for one in openings] == ["核实购买时间"]
        assert "13800138000" not in portal.logged()


def test_nobody_but_inspectors_of_the_place_sees_what_was_written(portal: Portal) -> None:
    with portal.client() as citizen:
        number = citizen.post("/api/v1/reports", json=body("secrecy-token-000001")).json()["receipt"]
    for party, expected in (
        (INSPECTOR, 200),
        (FAR_INSPECTOR, 404),
        (HOSPITAL_A, 403),
        (PHARMACY_P, 403),
        (REGULATOR, 403),
        ("", 401),
    ):
        with portal.client(party) as client:
            for path in ("evidence", "photos/1"):
                status = client.get(f"/api/v1/reports/{number}/{path}").status_code
                assert status == (404 if (party, path) == (INSPECTOR, "photos/1") else expected)
            assert client.post(f"/api/v1/reports/{number}/steps", json={"step": "checking"}).status_code == (
                409 if party == INSPECTOR else expected
            )
    with portal.client(FAR_INSPECTOR) as far:
        assert far.get("/api/v1/reports").json()["reports"] == []


def test_pages_of_the_queue_show_each_report_once(portal: Portal) -> None:
    with portal.client() as citizen, portal.client(INSPECTOR) as inspector:
        sent = [
            citizen.post("/api/v1/reports", json=body(f"paging-token-00000{number}", region="440300")).json()["receipt"]
            for number in range(3)
        ]
        query: dict[str, str | int] = {"region": "440300", "limit": 2}
        eventually(lambda: inspector.get("/api/v1/reports", params=query).json()["states"]["received"] == 3)
        first = inspector.get("/api/v1/reports", params=query).json()
        second = inspector.get("/api/v1/reports", params={**query, "after": first["next"]}).json()
        assert [one["receipt"] for one in first["reports"] + second["reports"]] == sent[::-1]
        assert second["next"] == ""
        found = inspector.get("/api/v1/reports", params={"text": sent[0].lower()}).json()["reports"]
        assert [one["receipt"] for one in found] == [sent[0]]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"region": "999999"}, "region"),
        ({"institution": "13800138000"}, "institution"),
        ({"traits": ["rude"]}, "traits"),
        ({"traits": [], "words": " "}, "traits"),
        ({"photos": ["not base64!"]}, "photos"),
        ({"photos": [base64.b64encode(b"%PDF").decode()]}, "photos"),
        ({"happened": "yesterday"}, "happened"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(
    portal_of_faults: Portal, said: dict[str, object], where: str
) -> None:
    with portal_of_faults.client() as client:
        refused = client.post("/api/v1/reports", json=body("faulty-token-0000001", **said))
        assert (refused.status_code, refused.json()["where"]) == (422, where)


def test_one_address_sends_so_many_reports_an_hour_and_is_told_when_to_come_again(portal_of_faults: Portal) -> None:
    with portal_of_faults.client() as client:
        answers = [client.post("/api/v1/reports", json=body(f"many-token-00000{number:04}")) for number in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert int(refused[0].headers["retry-after"]) > 0
        assert all(answer.status_code in {200, 429} for answer in answers)


def test_a_sale_that_is_chosen_names_the_institution_and_the_region(portal: Portal) -> None:
    sale = {
        "infno": "3505",
        "msgid": "M-report-1",
        "insuplc_admdvs": "440100",
        "infver": "V1.0",
        "fixmedins_code": PHARMACY_P,
        "input": {
            "selinfo": {
                "fixmedins_bchno": "B1",
                "rtal_docno": "S1",
                "psn_no": "p1",
                "sel_retn_cnt": "1",
                "sel_retn_time": "2026-11-20 10:00:00",
                "drugtracinfo": [{"drug_trac_codg": BOX}],
            }
        },
    }
    with portal.client(PHARMACY_P) as till:
        assert till.post("/fsi/api/rsfComIfsService/callService", json=sale).json()["infcode"] == 0
    with portal.client() as client, portal.client(INSPECTOR) as inspector:
        form = client.get("/report", params={"code": BOX})
        mark = re.search(r'name="sale" value="(2026[^"]+)"', form.text)
        assert mark
        fields = {"report_token": token_in(form), "code": BOX, "sale": mark[1], "traits": "not_mine"}
        number = client.post("/report", data=fields).headers["location"].split("/")[2].partition("?")[0]
        report = inspector.get(f"/api/v1/reports/{number}/evidence").json()["report"]
        assert (report["institution"], report["region"]) == (PHARMACY_P, "440100")


def test_the_compensation_sheet_is_filled_from_the_check_and_asks_for_nothing(portal: Portal) -> None:
    with portal.client() as client:
        sheet = client.get("/compensation", params={"code": BOX})
        assert sheet.status_code == 200
        assert "8234 5671 0000 0000 0001" in sheet.text
        assert "<form" not in sheet.text
        assert "第三十八条" in sheet.text
        assert client.get("/compensation").status_code == 200
        assert "implementing rules" in client.get("/compensation", params={"lang": "en"}).text


@pytest.mark.slow
def test_a_report_that_got_its_number_survives_the_power(portal: Portal) -> None:
    said = body("power-token-00000001", photos=[base64.b64encode(picture()).decode()], contact="13800138000")
    with portal.client() as client:
        number = client.post("/api/v1/reports", json=said).json()["receipt"]
    portal.kill()
    portal.start()
    with portal.client() as client, portal.client(INSPECTOR) as inspector:
        told = client.get(f"/api/v1/reports/{number}").json()
        assert (told["photos"], told["contact"]) == (1, True)
        assert client.post("/api/v1/reports", json=said).json()["first"] is False
        photo = inspector.get(f"/api/v1/reports/{number}/photos/1")
        assert photo.content.startswith(b"\xff\xd8")
