"""The reference as a page: complete, in both languages, found by keyboard, without a fault."""

import re

import pytest
from portal import Portal, Visit, axe

from suyuan.portals.app import URLS
from suyuan.portals.openapi import described
from suyuan.portals.problem import ERRORS
from suyuan.portals.templating import translations


def test_every_operation_of_the_interface_stands_in_the_document_and_on_the_page(portal: Portal) -> None:
    with portal.client() as client:
        document = client.get("/openapi.json").json()
        told = {(path, method) for path, methods in document["paths"].items() for method in methods}
        wanted = {(re.sub(r"\{(\w+):\w+\}", r"{\1}", url.path), url.method.lower()) for url, _ in described(URLS)}
        assert told >= wanted
        page = client.get("/api?lang=en").text
        for methods in document["paths"].values():
            for one in methods.values():
                assert f'id="{one["operationId"]}"' in page
                assert one["summary"]
                assert any(status.startswith("2") for status in one["responses"])
                assert any(status.startswith("4") for status in one["responses"])


@pytest.mark.slow
def test_the_sentence_under_a_field_in_the_code_is_its_meaning_in_the_reference(portal: Portal) -> None:
    with portal.client() as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["LineAnswer"]["properties"]["first"]["description"].startswith("False where this repeats")
    silent = [name for name, one in schemas.items() if one.get("type") == "object" and not one.get("description")]
    assert not silent


@pytest.mark.slow
def test_every_address_under_api_v1_is_described(portal: Portal) -> None:
    silent = [
        url.path
        for url in URLS
        if url.path.startswith("/api/v1/") and url.kind != "api" and not hasattr(url.endpoint, "operation")
    ]
    assert not silent, f"say what they take and give with @operation: {silent}"


@pytest.mark.slow
def test_every_operation_has_a_name_of_its_own_and_a_summary_in_chinese(portal: Portal) -> None:
    operations = [told for _, told in described(URLS)]
    names = [told.name for told in operations]
    assert len(names) == len(set(names))
    chinese = translations()
    missing = {text for told in operations for text in (told.group, told.summary) if text not in chinese}
    assert not missing, f"add them to translations/zh/api.po: {missing}"


@pytest.mark.slow
def test_the_examples_of_the_document_are_taken_as_they_stand(portal: Portal) -> None:
    from story import MAKER, PHARMACY_P  # noqa: PLC0415  beside its use

    with portal.client(PHARMACY_P) as pharmacy, portal.client(MAKER) as maker:
        document = pharmacy.get("/openapi.json").json()
        for path, methods in document["paths"].items():
            body = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in body.get("examples", {}).values():
                if "{" in path or not path.startswith(
                    ("/api/v1/sc", "/api/v1/sa", "/api/v1/cl", "/api/v1/ho", "/api/v1/ep")
                ):
                    continue
                caller = maker if path.startswith(("/api/v1/ho", "/api/v1/ep")) else pharmacy
                taken = caller.post(path, json=example["value"])
                assert taken.status_code == 200, (path, taken.text)
                assert taken.json().get("problems", []) == []


@pytest.mark.slow
def test_a_word_finds_the_operations_in_which_it_stands_and_another_finds_none(portal: Portal) -> None:
    with portal.client() as client:
        found = client.get("/api", params={"q": "cancel", "lang": "en"}).text
        assert 'id="cancelClaim"' in found
        assert 'id="takeSales"' not in found
        assert "Nothing fits" in client.get("/api", params={"q": "zeppelin", "lang": "en"}).text


@pytest.mark.slow
def test_the_list_of_refusals_is_the_same_as_page_and_as_json(portal: Portal) -> None:
    with portal.client() as client:
        page, listed = client.get("/errors").text, client.get("/api/v1/errors").json()["errors"]
    assert [one["code"] for one in listed] == [error.code for error in ERRORS]
    assert all(f'id="{error.code}"' in page and error.do_zh in page for error in ERRORS)


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/api", "/errors"])
@pytest.mark.slow
def test_the_pages_have_no_fault_that_axe_or_the_console_would_name(portal: Portal, browser: object, path: str) -> None:
    for elder in ("0", "1"):
        visit = Visit(browser, portal)
        visit.page.goto(f"/preferences?elder={elder}&next={path}")
        assert axe(visit.page) == []
        wide = visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert wide, "nothing sticks out of a narrow screen"
        visit.check()


@pytest.mark.browser
@pytest.mark.slow
def test_an_operation_is_found_opened_and_read_with_the_keyboard_alone(portal: Portal, browser: object) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/api?lang=zh")
    page.keyboard.press("/")
    page.keyboard.type("claims/{settlement}/cancel")
    page.wait_for_function("document.querySelectorAll('.operation:not([hidden])').length === 1")
    assert page.locator("#found").inner_text().startswith("共 1 ")
    page.keyboard.press("Tab")  # the button
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('cancelClaim').open")
    assert page.locator("#cancelClaim pre").inner_text().startswith("curl -X POST")
    assert page.evaluate("location.hash") == "#cancelClaim"
    page.reload()
    assert page.locator("#cancelClaim").get_attribute("open") is not None
    visit.check()
