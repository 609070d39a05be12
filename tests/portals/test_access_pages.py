"""Pages of accounts in a real browser: no fault that axe or the console would name, in both languages and sizes."""

from collections.abc import Iterator
from typing import Any

import pytest
from access_people import PASSWORD, with_people
from portal import Portal, Visit, axe
from story import HEAD_OFFICE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "manager": ["/account", "/account/password"],
    "administrator": [
        "/admin",
        "/admin/people/clerk",
        "/admin/keys",
        "/admin/changes",
        "/admin?text=nobody-of-this-name",
    ],
    "security_officer": ["/admin", "/admin/people/clerk"],
    "auditor": ["/audit", "/audit?text=nothing-of-this-kind"],
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with with_people(tmp_path_factory.mktemp("pages") / "node") as running:
        yield running


def small(page: Any, least: int) -> list[str]:
    """Links and buttons that are smaller than a finger, those within a line of text excepted."""
    found: list[str] = page.evaluate(
        """least => [...document.querySelectorAll('main :is(button, a.button, input, select), .top a, .tabs a')]
            .filter(one => one.offsetParent && one.type !== 'hidden' && one.type !== 'checkbox')
            .map(one => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
            .filter(([, box]) => box.height < least - 0.5)
            .map(([html, box]) => `${html} ${box.height}`)""",
        least,
    )
    return found


@pytest.mark.parametrize("role", PAGES)
@pytest.mark.parametrize(("language", "elder"), [("zh", "0"), ("en", "0"), ("zh", "1")])
def test_every_page_of_accounts_is_free_of_faults(
    portal: Portal, browser: Any, role: str, language: str, elder: str
) -> None:
    visit = Visit(browser, portal)
    visit.page.goto(f"/preferences?lang={language}&elder={elder}&next=/sign-in")
    assert axe(visit.page) == []
    visit.sign_in(role, PASSWORD)
    for path in PAGES[role]:
        visit.page.goto(path)
        visit.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert axe(visit.page) == [], path
        assert small(visit.page, 60 if elder == "1" else 44) == [], path
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert visit.page.evaluate(wide) <= 0, f"{path} is wider than a phone"
        text = visit.page.inner_text("main")
        assert ("的" in text or "户" in text or "记" in text) == (language == "zh"), path
    visit.faults = [fault for fault in visit.faults if "404" not in fault]  # the role's home may not be there yet
    visit.check()


def test_a_person_signs_in_and_out_by_the_keyboard_alone(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/sign-in?next=/account")
    page.focus("#name")
    page.keyboard.type("manager")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account")
    page.focus("form[action='/sign-out'] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in?out=1")
    assert "已退出登录" in page.inner_text("main")
    visit.check()


def test_a_wrong_password_is_told_and_the_name_stays(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    visit.sign_in("clerk", "one box, two codes")
    assert "账户名或密码不正确" in visit.page.inner_text("[role=alert]")
    assert visit.page.input_value("#name") == "clerk"
    assert axe(visit.page) == []


def test_who_looks_after_a_party_makes_a_key_and_a_delegation_and_ends_both(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    visit.sign_in("manager", PASSWORD)
    page.goto("/account")
    page.click("#keys summary")
    page.fill("#label", "收费窗口1")
    page.click("form[action='/account/keys'] button")
    assert page.inner_text(".secret")
    assert axe(page) == []
    page.goto("/account")
    assert page.locator(".secret").count() == 0
    page.click("#keys tr:has-text('收费窗口1') button.bad")
    assert "密钥已停用" in page.inner_text("[role=status]")
    page.click("#delegations summary")
    page.fill("#delegate", HEAD_OFFICE)
    page.fill("#until", "2099-01-01")
    page.click("form[action='/account/delegations'] button")
    assert page.locator("[role=alert]").count() == 1, "a hundred years are refused"
    page.click("#delegations summary")
    page.fill("#delegate", HEAD_OFFICE)
    page.fill("#until", page.get_attribute("#until", "min"))
    page.click("form[action='/account/delegations'] button")
    assert "委托已登记" in page.inner_text("[role=status]")
    page.click(f"#delegations tr:has-text('{HEAD_OFFICE}') button.bad")
    assert "委托已结束" in page.inner_text("[role=status]")


def test_an_account_goes_from_the_request_to_the_first_sign_in(portal: Portal, browser: Any) -> None:
    keeper, officer, person = (Visit(browser, portal) for _ in range(3))
    keeper.sign_in("administrator", PASSWORD)
    keeper.page.fill("#name", "zhao")
    keeper.page.select_option("#role", "inspector")
    keeper.page.fill("#region", "440000")
    keeper.page.fill("#reason", "新入职")
    keeper.page.click("form[action='/admin/people'] button")
    assert "账户已建立" in keeper.page.inner_text("[role=status]")
    officer.sign_in("security_officer", PASSWORD)
    officer.page.click("tr:has-text('zhao') button.main")
    once = officer.page.inner_text(".secret")
    assert axe(officer.page) == []
    person.sign_in("zhao", once)
    person.page.wait_for_url("**/account/password")
    person.page.fill("#old", once)
    person.page.fill("#new", "一盒一码 一码一销 我自己的话")
    person.page.fill("#again", "一盒一码 一码一销 我自己的话")
    person.page.click("form[action='/account/password'] button")
    assert "密码已修改" in person.page.inner_text("[role=status]")
    keeper.page.goto("/admin/people/zhao")
    keeper.page.click("button[value=disable]")
    assert "账户已锁定" in keeper.page.inner_text("[role=status]")
    keeper.page.click("button[value=enable]")
    assert "账户已恢复" in keeper.page.inner_text("[role=status]")


def test_an_auditor_verifies_the_record_and_notes_its_head(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    visit.sign_in("auditor", PASSWORD)
    visit.page.click("form[action='/audit/verify'] button")
    head = visit.page.inner_text(".notice code")
    assert "审计记录完整" in visit.page.inner_text("[role=status]")
    assert axe(visit.page) == []
    visit.page.fill("#head", head)
    visit.page.click("form[action='/audit/verify'] button")
    assert "审计记录完整" in visit.page.inner_text("[role=status]")
    visit.page.fill("#head", f"1 {'0' * 64}")
    visit.page.click("form[action='/audit/verify'] button")
    assert "被改动" in visit.page.inner_text("[role=alert]")
    assert axe(visit.page) == []
    with visit.page.expect_download() as saved:
        visit.page.click("a[download]")
    assert "audit.verify" in saved.value.path().read_text(encoding="utf-8")
    visit.check()
