"""People at the door: passwords, one-time passwords, sessions that end, forms that another site cannot send."""

import time
from collections.abc import Iterator

import httpx
import pytest
from access_people import PASSWORD, Browser, secret_on, with_people
from portal import Portal
from story import HOSPITAL_A

COOKIE = "suyuan_session"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with with_people(tmp_path_factory.mktemp("sessions") / "node") as running:
        yield running


def test_a_right_password_opens_a_session_and_a_wrong_one_tells_nothing(portal: Portal) -> None:
    with Browser(portal, "clerk") as right, Browser(portal, "clerk", "one box, two codes") as wrong:
        assert (right.signed_in.status_code, right.signed_in.headers["location"]) == (303, "/institution")
        me = right.get("/api/v1/me").json()
        assert (me["role"], me["party"], me["person"]) == ("clerk", HOSPITAL_A, "clerk")
        assert wrong.signed_in.status_code == 401
        assert COOKIE not in wrong.client.cookies
        with Browser(portal, "nobody at all", PASSWORD) as unknown:
            assert unknown.signed_in.status_code == 401
            same = [one.signed_in.text.partition('role="alert"')[2][:60] for one in (wrong, unknown)]
            assert same[0] == same[1] != ""


@pytest.mark.slow
def test_the_cookie_is_kept_from_scripts_and_other_sites(portal: Portal) -> None:
    with Browser(portal, "clerk") as browser:
        told = browser.signed_in.headers["set-cookie"].lower()
        assert "httponly" in told
        assert "samesite=lax" in told
        assert browser.get("/account").headers["cache-control"] == "no-store"


@pytest.mark.slow
def test_behind_a_proxy_with_tls_the_cookie_is_secure(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("secure") / "node"
    with with_people(folder, 'address = "https://suyuan.example"\n') as running, Browser(running, "clerk") as browser:
        assert "secure" in browser.signed_in.headers["set-cookie"].lower()


@pytest.mark.slow
def test_each_sign_in_has_a_new_session_and_ends_the_one_before(portal: Portal) -> None:
    with Browser(portal, "clerk") as browser:
        first = browser.client.cookies[COOKIE]
        browser.client.post("/sign-in", data={"name": "clerk", "password": PASSWORD})
        assert browser.client.cookies[COOKIE] != first
        planted = httpx.get(f"{portal.address}/api/v1/me", cookies={COOKIE: first})
        assert planted.json()["role"] == "citizen"


@pytest.mark.slow
def test_signing_out_ends_the_session_wherever_its_cookie_still_is(portal: Portal) -> None:
    with Browser(portal, "clerk") as browser:
        kept = browser.client.cookies[COOKIE]
        assert browser.send("/sign-out").headers["location"] == "/sign-in?out=1"
        assert httpx.get(f"{portal.address}/api/v1/me", cookies={COOKIE: kept}).json()["role"] == "citizen"


@pytest.mark.slow
def test_signing_out_everywhere_leaves_this_browser_alone(portal: Portal) -> None:
    with (
        Browser(portal, "pharmacist") as here,
        Browser(portal, "pharmacist") as there,
        Browser(portal, "clerk") as other,
    ):
        assert here.send("/account/sessions").status_code == 303
        assert here.get("/account").status_code == 200
        assert there.get("/account").status_code == 303
        assert other.get("/account").status_code == 200


@pytest.mark.slow
def test_a_page_leads_to_sign_in_and_back_and_never_to_another_site(portal: Portal) -> None:
    with Browser(portal) as browser:
        away = browser.get("/account?x=1")
        assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Faccount%3Fx%3D1")
        for given, led in (
            ("/account?x=1", "/account?x=1"),
            ("https://example.com/", "/institution"),
            ("//example.com", "/institution"),
            (r"/\example.com", "/institution"),
            ("javascript:alert(1)", "/institution"),
        ):
            with Browser(portal) as fresh:
                sent = fresh.client.post("/sign-in", data={"name": "clerk", "password": PASSWORD, "next": given})
                assert sent.headers["location"] == led


@pytest.mark.slow
def test_a_form_without_the_token_of_its_page_or_with_another_ones_is_refused(portal: Portal) -> None:
    with Browser(portal, "manager") as browser, Browser(portal, "manager_b") as other:
        right, strange = browser.token(), other.token()
        for token in ("", "x", strange, right[:-1]):
            refused = browser.client.post("/account/keys", data={"form_token": token, "label": "forged"})
            assert refused.status_code == 403
            part = {"form_token": (None, token), "label": (None, "forged")}
            assert browser.client.post("/account/keys", files=part).status_code == 403
        assert browser.client.post("/account/keys", content=b"").status_code == 403
        assert browser.client.post("/account/keys", headers={"content-type": "text/plain"}).status_code == 403
        assert "forged" not in browser.get("/account").text
        taken = browser.client.post("/account/keys", data={"form_token": right, "label": "right"})
        assert taken.status_code == 200
        parts = {"form_token": (None, right), "label": (None, "in parts")}
        assert browser.client.post("/account/keys", files=parts).status_code == 200
        header = {"x-form-token": right}
        assert browser.client.post("/account/keys", data={"label": "by script"}, headers=header).status_code == 200
        shown = browser.get("/account").text
        assert all(label in shown for label in ("right", "in parts", "by script"))


@pytest.mark.slow
def test_a_signed_in_person_shows_a_photo_with_the_form_of_the_first_page(portal: Portal) -> None:
    with Browser(portal, "clerk") as browser:
        token, photo = {"form_token": browser.token("/")}, {"photo": ("a.png", b"no picture", "image/png")}
        assert browser.client.post("/check/photo", data=token, files=photo).status_code != 403
        assert browser.client.post("/check/photo", files=photo).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "null"}, 403),
        ({}, 200),
    ],
)
@pytest.mark.slow
def test_even_with_the_token_a_form_comes_from_our_own_pages(
    portal: Portal, headers: dict[str, str], status: int
) -> None:
    with Browser(portal, "manager") as browser:
        sent = {"form_token": browser.token(), "label": "origin"}
        assert browser.client.post("/account/keys", data=sent, headers=headers).status_code == status
        signed_in = {"name": "clerk", "password": PASSWORD}
        with Browser(portal) as fresh:
            answer = fresh.client.post("/sign-in", data=signed_in, headers=headers).status_code
            assert answer == (303 if status == 200 else 403)


@pytest.mark.slow
def test_json_of_another_site_is_refused_and_of_our_own_pages_taken(portal: Portal) -> None:
    with Browser(portal, "manager") as browser:
        body = {"label": "by json"}
        foreign = browser.client.post("/api/v1/keys", json=body, headers={"sec-fetch-site": "cross-site"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "forged_form")
        own = browser.client.post("/api/v1/keys", json=body, headers={"sec-fetch-site": "same-origin"})
        assert own.status_code == 201


@pytest.mark.slow
def test_a_session_ends_when_it_is_idle_and_when_its_time_is_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("short") / "node"
    short = with_people(folder, "session_idle_seconds = 1\nsession_seconds = 3\n")
    with short as running, Browser(running, "clerk") as browser:
        assert browser.get("/account").status_code == 200
        time.sleep(1.2)
        assert browser.get("/account").headers["location"].startswith("/sign-in")
        refused = browser.get("/api/v1/history", params={"code": "81234560000000000001"})
        assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")


@pytest.mark.slow
def test_a_person_who_is_locked_out_is_out_at_once(portal: Portal) -> None:
    with Browser(portal, "agency") as person, Browser(portal, "administrator") as keeper:
        assert person.get("/account").status_code == 200
        assert keeper.send("/admin/people/agency", "/admin", what="disable", reason="left").status_code == 303
        assert person.get("/account").status_code == 303
        with Browser(portal, "agency") as again:
            assert again.signed_in.status_code == 401
        assert keeper.send("/admin/people/agency", "/admin", what="enable", reason="back").status_code == 303
        with Browser(portal, "agency") as again:
            assert again.signed_in.status_code == 303


@pytest.mark.slow
def test_guessing_makes_the_account_rest_and_says_how_long(tmp_path_factory: pytest.TempPathFactory) -> None:
    with with_people(tmp_path_factory.mktemp("guessed") / "node") as running:
        statuses = []
        for _ in range(5):
            with Browser(running, "clerk", "a wrong guess") as guess:
                statuses.append(guess.signed_in.status_code)
        assert statuses == [401, 401, 401, 401, 429]
        with Browser(running, "clerk") as right:
            assert right.signed_in.status_code == 429
            assert 0 < int(right.signed_in.headers["retry-after"]) <= 30
        with Browser(running, "pharmacist") as other:
            assert other.signed_in.status_code == 303


@pytest.mark.slow
def test_a_one_time_password_opens_nothing_but_the_choice_of_another(portal: Portal) -> None:
    with Browser(portal, "administrator") as keeper, Browser(portal, "security_officer") as officer:
        made = keeper.send(
            "/admin/people", "/admin", name="li", role="inspector", region="440000", reason="new in the office"
        )
        assert made.headers["location"] == "/admin/people/li?done=added"
        asked = officer.get("/admin").text.partition("/admin/requests/")[2].partition('"')[0]
        once = secret_on(officer.send(f"/admin/requests/{asked}", "/admin", decision="approve"))
        with Browser(portal, "li", once) as person:
            assert person.signed_in.headers["location"] == "/account/password"
            assert person.get("/account").headers["location"] == "/account/password"
            refused = person.get("/api/v1/history", params={"code": "81234560000000000001"})
            assert (refused.status_code, refused.json()["code"]) == (403, "password_change_needed")
            own = {"old": once, "new": "a sentence of my own", "again": "a sentence of my own"}
            for wrong in ({"new": "short", "again": "short"}, {"again": "another one"}, {"old": "not this"}):
                assert person.send("/account/password", "/account/password", **{**own, **wrong}).status_code == 422
            assert person.send("/account/password", "/account/password", **own).status_code == 303
            assert person.get("/account").status_code == 200
            assert person.get("/api/v1/history", params={"code": "81234560000000000001"}).status_code == 200
