"""Every address as every role, against the table in `docs/access.md`: what the server does is what the page says."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_people import PEOPLE, Browser, with_people
from portal import Portal
from story import HOSPITAL_A

from suyuan.portals.access import ROLES, TITLES, Role
from suyuan.portals.app import URLS
from suyuan.portals.callers import form_token_of
from suyuan.portals.door import Url
from suyuan.portals.problem import ERROR
from tools.docs import access_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"
ROW = re.compile(r"^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \|(.*)\|$", re.MULTILINE)

LAST = ("/sign-out",)
"""What ends the session that walks."""


def allowed_by_the_page() -> dict[tuple[str, str], frozenset[str]]:
    """Who may use what, as the page tells its readers."""
    page = PAGE.read_text(encoding="utf-8")
    table: dict[tuple[str, str], frozenset[str]] = {}
    for method, path, cells in ROW.findall(page):
        marks = [cell.strip() for cell in cells.split("|")]
        if len(marks) == len(ROLES):
            table[method, path] = frozenset(role for role, mark in zip(ROLES, marks, strict=True) if mark == "✓")
    return table


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    limits = "".join(f'rate_{lane} = "1000000/minute"\n' for lane in ("report", "code", "stream", "bulk"))
    with with_people(tmp_path_factory.mktemp("walk") / "node", limits) as running:
        yield running


def caller(portal: Portal, role: Role) -> httpx.Client:
    """Somebody of this role: a citizen, software, or a person with the token that forms carry."""
    if role == "citizen":
        return portal.client()
    if role == "institution":
        return portal.client(HOSPITAL_A)
    browser = Browser(portal, role)
    assert browser.signed_in.status_code == 303, role
    browser.client.headers["x-form-token"] = form_token_of(browser.client.cookies["suyuan_session"])
    return browser.client


def filled(path: str) -> str:
    """An address of nothing that is there; an account that is, for pages of accounts."""
    known = {"name": "clerk", "infno": "2102", "place": "1", "library": "prefixes", "rest": "06901234567892"}
    return re.sub(r"\{(\w+)(?::path)?\}", lambda found: known.get(found[1], "x1"), path)


def was_let_in(client: httpx.Client, url: Url) -> tuple[bool, str]:
    """Whether the door let the caller in, and what came of it."""
    with client.stream(url.method, filled(url.path)) as answer:
        if "event-stream" in answer.headers.get("content-type", ""):
            return True, "stream"
        text = answer.read().decode(errors="replace")
    assert answer.status_code < 500, (url.path, answer.status_code, text[:500])
    if answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?next"):
        return False, "sign in"
    if answer.status_code == 303 and answer.headers["location"] == "/sign-in" and url.path != "/sign-in":
        return False, "sign in"
    if url.kind == "nhsa":
        # Its clients read words: a citizen may come in and prove something in the message itself.
        return ERROR["not_allowed"].title_zh not in text, text
    if answer.status_code not in (401, 403):
        return True, str(answer.status_code)
    told: Any = answer.json() if "json" in answer.headers["content-type"] else {}
    # An endpoint may refuse what is asked; the door refuses whoever asks it, and names the address.
    refused = not told or (told["code"] in {"not_signed_in", "not_allowed"} and told["where"] == url.path)
    if url.path == "/sign-in":
        refused = False  # a wrong password, on the page that everybody may open
    return not refused, text


def test_the_page_lists_every_address_as_the_program_has_it() -> None:
    assert allowed_by_the_page() == {(url.method, url.path): url.who for url in URLS}, "run: make docs"
    assert access_page() == PAGE.read_text(encoding="utf-8"), "run: make docs"


def test_the_page_says_of_every_role_what_it_sees() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{role}` | {title} | {sees} |" in page for role, (title, sees) in TITLES.items())
    assert set(PEOPLE) | {"citizen", "institution"} == set(ROLES)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_every_address_lets_in_whom_the_page_says_and_nobody_else(portal: Portal, role: Role) -> None:
    table = allowed_by_the_page()
    wrong = []
    with contextlib.closing(caller(portal, role)) as client:
        for url in sorted(URLS, key=lambda url: url.path in LAST):
            let_in, what = was_let_in(client, url)
            if let_in != (role in table.get((url.method, url.path), frozenset())):
                wrong.append(f"{url.method} {url.path}: {'in' if let_in else 'out'}, {what[:200]}")
    assert not wrong, "\n".join(wrong)


def test_no_role_that_keeps_accounts_may_use_an_address_with_business_data() -> None:
    business = {"institution", "clerk", "inspector", "agency", "firm", "drug_regulator"}
    everybody = frozenset(ROLES)
    for url in URLS:
        for keeper in {"auditor", "security_officer", "administrator"} & url.who:
            if url.who == everybody or url.path.startswith(("/account", "/admin", "/audit", "/api/v1/keys")):
                continue
            assert not url.who & business, f"{keeper} may use {url.path}"
