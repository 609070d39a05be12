"""Sign-in through an organisation's own server: a code, a proof of who asked for it, a token that is checked whole."""

from collections.abc import Iterator

import httpx
import pytest
from access_people import with_people
from portal import Portal
from sign_on_server import Running
from story import HOSPITAL_A

from suyuan.node import Node

START, BACK = "/sign-in/organisation", "/sign-in/organisation/back"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("sign-on")) as running:
        yield running


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, server: Running) -> Iterator[Portal]:
    made = with_people(tmp_path_factory.mktemp("organisation") / "node", server.settings())
    with Node.open(made.folder) as node:
        node.tables.add_person("wang", "manager", HOSPITAL_A, subject="u-1001")
        node.tables.add_person("gone", "manager", HOSPITAL_A, subject="u-1002")
        node.tables.disable_person("gone")
    with made as running:
        yield running


def signed_in(portal: Portal, start: str = START) -> httpx.Response:
    """What a browser gets at the end of the way there and back; it follows every redirect but the last."""
    with httpx.Client(base_url=portal.address, timeout=30) as browser:
        away = browser.get(start)
        assert away.status_code == 303, away.text
        there = browser.get(away.headers["location"])
        back = browser.get(there.headers["location"])
        if back.status_code == httpx.codes.SEE_OTHER:
            me = browser.get("/api/v1/me").json()
            assert (me["person"], me["role"], me["party"]) == ("wang", "manager", HOSPITAL_A)
        else:
            assert browser.get("/api/v1/me").json()["role"] == "citizen"
        return back


@pytest.mark.slow
def test_a_person_whom_the_organisation_names_is_let_in_and_led_where_they_wanted(
    portal: Portal, server: Running
) -> None:
    server.say("u-1001")
    assert signed_in(portal).headers["location"] == "/institution"
    assert signed_in(portal, f"{START}?next=/account").headers["location"] == "/account"
    assert signed_in(portal, f"{START}?next=https://example.com/").headers["location"] == "/institution"


@pytest.mark.parametrize("who", ["u-9999", "u-1002", "wang", ""])
@pytest.mark.slow
def test_nobody_gets_an_account_by_signing_in_there_and_who_is_locked_out_stays_out(
    portal: Portal, server: Running, who: str
) -> None:
    server.say(who)
    assert signed_in(portal).status_code == 401
    server.say("u-1001")
    assert signed_in(portal).status_code == 303


@pytest.mark.parametrize("fault", ["iss", "aud", "exp", "nonce", "key", "none", "state", "denied"])
@pytest.mark.slow
def test_a_token_that_is_not_right_in_one_thing_lets_nobody_in(portal: Portal, server: Running, fault: str) -> None:
    server.say("u-1001", fault)
    assert signed_in(portal).status_code == 401
    server.say("u-1001")
    assert signed_in(portal).status_code == 303


@pytest.mark.slow
def test_the_answer_of_a_sign_in_that_another_browser_began_is_nothing(portal: Portal, server: Running) -> None:
    server.say("u-1001")
    with httpx.Client(base_url=portal.address) as first, httpx.Client(base_url=portal.address) as second:
        there = first.get(first.get(START).headers["location"]).headers["location"]
        assert second.get(there).status_code == 401
        second.get(START)
        assert second.get(there).status_code == 401
        assert first.get(there).status_code == 303
        assert first.get(there).status_code == 401, "a code is good once"


@pytest.mark.slow
def test_a_person_of_the_organisation_has_no_password_here(portal: Portal) -> None:
    with httpx.Client(base_url=portal.address) as browser:
        assert browser.post("/sign-in", data={"name": "wang", "password": "one box, one code"}).status_code == 401
        assert START in browser.get("/sign-in").text


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told_on_the_page_and_passwords_still_work(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = 'oidc_issuer = "http://127.0.0.1:9"\noidc_client = "x"\noidc_secret = "y"\n'
    with with_people(tmp_path_factory.mktemp("alone") / "node", settings) as running:
        assert httpx.get(running.address + START, timeout=30).status_code == 401
        sent = {"name": "clerk", "password": "one box, one code"}
        assert httpx.post(running.address + "/sign-in", data=sent, timeout=30).status_code == 303


@pytest.mark.slow
def test_without_such_a_server_there_is_no_such_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    with with_people(tmp_path_factory.mktemp("without") / "node") as running:
        assert httpx.get(running.address + START, timeout=30).status_code == 404
        assert httpx.get(running.address + BACK, timeout=30).status_code == 404
        assert START not in httpx.get(running.address + "/sign-in", timeout=30).text
