"""What every door has: ids, headers, refusals as words, a graceful stop."""

import json

import pytest
from portal import Portal, Visit, axe
from story import HOSPITAL_A


def test_every_answer_carries_its_request_id_and_the_headers_that_protect_its_reader(portal: Portal) -> None:
    with portal.client() as client:
        for path, status in (("/livez", 200), ("/nothing-here", 404)):
            given = client.get(path, headers={"x-request-id": "till-7.42-abc"})
            assert given.status_code == status
            assert given.headers["x-request-id"] == "till-7.42-abc"
            assert "unsafe-inline" not in given.headers["content-security-policy"]
            assert given.headers["x-content-type-options"] == "nosniff"
        made = client.get("/livez", headers={"x-request-id": "no id at all!"}).headers["x-request-id"]
        assert made != "no id at all!"


def test_a_refusal_is_problem_json_for_a_program_and_a_page_for_a_person(portal: Portal) -> None:
    with portal.client() as client:
        told = client.get("/nothing-here")
        assert told.headers["content-type"] == "application/problem+json"
        assert told.json()["code"] == "not_found"
        assert told.json()["do"]
        shown = client.get("/nothing-here", headers={"accept": "text/html"})
        assert shown.headers["content-type"].startswith("text/html")
        assert shown.status_code == told.status_code == 404


def test_a_wrong_method_is_told_the_right_one(portal: Portal) -> None:
    with portal.client() as client:
        refused = client.post("/livez")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        assert client.get("/livez").status_code == 200


def test_a_right_key_is_known_and_a_wrong_one_is_refused(portal: Portal) -> None:
    with portal.client(HOSPITAL_A) as right, portal.client() as wrong:
        assert right.get("/livez").status_code == 200
        refused = wrong.get("/livez", headers={"authorization": "Bearer nobody.secret"})
        assert (refused.status_code, refused.json()["code"]) == (401, "signature_wrong")


def test_no_file_outside_the_static_folder_is_served(portal: Portal) -> None:
    with portal.client() as client:
        assert client.get("/static/suyuan.css").status_code == 200
        for name in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "vendor/../../app.py"):
            assert client.get(f"/static/{name}").status_code == 404


def test_a_choice_of_language_is_kept_and_never_leads_to_another_site(portal: Portal) -> None:
    with portal.client() as client:
        kept = client.get("/preferences", params={"lang": "en", "next": "/nothing-here?a=1"})
        assert (kept.status_code, kept.headers["location"]) == (303, "/nothing-here?a=1")
        assert client.get("/nothing-here", headers={"accept": "text/html"}).text.count('lang="en"') == 1
        for away in ("https://example.com/", "//example.com/", r"/\example.com", "javascript:alert(1)"):
            assert client.get("/preferences", params={"next": away}).headers["location"] == "/"


def test_the_log_tells_the_pattern_of_an_address_and_never_the_address(portal: Portal) -> None:
    with portal.client() as client:
        client.get("/static/suyuan.css?secret=81234567890123456789")
    lines = [json.loads(line) for line in portal.logged().splitlines() if line.startswith("{")]
    assert any(line["route"] == "/static/{name:path}" for line in lines if line["event"] == "request")
    assert "81234567890123456789" not in portal.logged()


@pytest.mark.browser
def test_a_page_has_no_fault_that_axe_or_the_console_would_name(portal: Portal, browser: object) -> None:
    visit = Visit(browser, portal)
    visit.page.goto("/preferences?lang=zh&next=/version")
    visit.check()
    visit.page.set_extra_http_headers({"accept": "text/html"})
    visit.page.goto("/nothing-here")
    assert axe(visit.page) == []
