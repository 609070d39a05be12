"""The stream of alerts: told within moments, to whom it concerns, and on from the cursor after any break."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_watch import STREAM, Subscriber, new_code, sell, sell_twice
from portal import AGENCY, FAR_INSPECTOR, INSPECTOR, Portal, eventually
from story import HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, PHARMACY_Q


def test_who_watches_is_told_of_a_box_sold_twice(portal: Portal) -> None:
    with Subscriber(portal, INSPECTOR) as inspector:
        code = sell_twice(portal, HOSPITAL_A, PHARMACY_P)
        inspector.await_codes(code)
    [alert] = inspector.alerts
    assert alert["class"] == "clone"
    assert alert["side"]["institution"] == PHARMACY_P
    assert alert["other"]["institution"] == HOSPITAL_A
    assert alert["state"] == "new"
    assert str(alert["number"]) == inspector.id


def test_each_is_told_what_concerns_it_and_an_institution_never_learns_who_the_other_side_is(portal: Portal) -> None:
    with (
        Subscriber(portal, INSPECTOR) as inspector,
        Subscriber(portal, FAR_INSPECTOR) as far,
        Subscriber(portal, PHARMACY_P) as questioned,
        Subscriber(portal, HOSPITAL_A) as earlier,
        Subscriber(portal, PHARMACY_Q) as stranger,
    ):
        code = sell_twice(portal, HOSPITAL_A, PHARMACY_P)
        for one in (inspector, questioned, earlier):
            one.await_codes(code)
        own = sell_twice(portal, PHARMACY_Q, PHARMACY_Q)
        stranger.await_codes(own)
    assert far.alerts == []
    assert stranger.codes == [own]
    assert HOSPITAL_A not in str(questioned.alerts)
    assert PHARMACY_P not in str(earlier.alerts)
    [alert] = questioned.alerts
    assert alert["other"].keys() == {"kind_of_place", "month", "here"}
    assert alert["side"]["institution"] == PHARMACY_P
    assert earlier.alerts[0]["questioned"] is False


@pytest.mark.slow
def test_filters_narrow_a_stream(portal: Portal) -> None:
    with (
        Subscriber(portal, INSPECTOR, **{"class": "clone"}) as clones,
        Subscriber(portal, INSPECTOR, institution=HOSPITAL_B) as of_b,
        Subscriber(portal, INSPECTOR, region="440300") as shenzhen,
        Subscriber(portal, INSPECTOR, kind="returned") as returns,
        Subscriber(portal, INSPECTOR) as all_of_them,
    ):
        with portal.client(PHARMACY_P) as pharmacy:
            same_place = new_code()
            sell(pharmacy, same_place)
            sell(pharmacy, same_place, person="2", receipt="R2")
        elsewhere = sell_twice(portal, HOSPITAL_A, HOSPITAL_B)
        all_of_them.await_codes(same_place, elsewhere)
        clones.await_codes(elsewhere)
        of_b.await_codes(elsewhere)
    assert clones.codes == [elsewhere]
    assert of_b.codes == [elsewhere]
    assert shenzhen.codes == returns.codes == []


@pytest.mark.slow
def test_a_subscriber_that_comes_again_gets_what_it_missed_once_and_in_order(portal: Portal) -> None:
    with Subscriber(portal, INSPECTOR) as inspector:
        first = sell_twice(portal, HOSPITAL_A, PHARMACY_P)
        inspector.await_codes(first)
    missed = [sell_twice(portal, HOSPITAL_A, PHARMACY_P) for _ in range(5)]
    with Subscriber(portal, INSPECTOR, after=inspector.id) as again:
        again.await_codes(*missed)
    assert again.codes == missed
    with Subscriber(portal, INSPECTOR, after="0") as historian:
        historian.await_codes(first, *missed)
    assert historian.numbers == list(range(1, len(historian.numbers) + 1))


@pytest.mark.parametrize(
    ("party", "query", "status"),
    [
        ("", {}, 401),
        (MAKER, {}, 403),
        (INSPECTOR, {"after": "x"}, 422),
        (INSPECTOR, {"class": "theft"}, 422),
        (INSPECTOR, {"region": "Guangdong"}, 422),
        (INSPECTOR, {"colour": "red"}, 422),
        (PHARMACY_P, {"institution": HOSPITAL_A}, 403),
        (PHARMACY_P, {"region": "440100"}, 403),
    ],
)
def test_who_may_not_watch_or_asks_nonsense_is_told_so(
    portal: Portal, party: str, query: dict[str, str], status: int
) -> None:
    with portal.client(party) as client:
        for path in (STREAM, "/api/v1/alerts"):
            refused = client.get(path, params=query)
            assert refused.status_code == status, refused.text
            assert refused.headers["content-type"] == "application/problem+json"


def test_a_list_turns_its_pages_and_a_feed_can_be_followed(portal: Portal) -> None:
    codes = [sell_twice(portal, HOSPITAL_A, PHARMACY_P) for _ in range(3)]
    with portal.client(INSPECTOR) as inspector:
        eventually(lambda: inspector.get("/api/v1/alerts", params={"code": codes[-1]}).json()["alerts"])
        pages: list[list[Any]] = []
        after = ""
        while True:
            page = inspector.get("/api/v1/alerts", params={"limit": 2, "after": after}).json()
            pages.append([alert["number"] for alert in page["alerts"]])
            after = page["next"]
            if not after:
                break
        numbers = [number for page in pages for number in page]
        assert numbers == list(range(len(numbers), 0, -1))
        feed = inspector.get("/api/v1/alerts", params={"order": "oldest", "limit": 500}).json()
        assert [alert["number"] for alert in feed["alerts"]] == numbers[::-1]
        rest = inspector.get("/api/v1/alerts", params={"order": "oldest", "after": feed["next"]}).json()
        assert rest == {"alerts": [], "next": feed["next"]}


def test_an_alert_is_handled_step_by_step_by_those_whose_steps_they_are(portal: Portal) -> None:
    code = sell_twice(portal, HOSPITAL_A, PHARMACY_P)
    clients = {party: portal.client(party) for party in (INSPECTOR, AGENCY, FAR_INSPECTOR, PHARMACY_P, PHARMACY_Q)}
    inspector, pharmacy = clients[INSPECTOR], clients[PHARMACY_P]
    listed = lambda: inspector.get("/api/v1/alerts", params={"code": code}).json()["alerts"]  # noqa: E731
    path = f"/api/v1/alerts/{eventually(listed)[0]['id']}"

    def step(party: str, kind: str, **said: str) -> int:
        return clients[party].post(f"{path}/steps", json={"kind": kind, **said}).status_code

    assert step(INSPECTOR, "seen") == 200
    assert step(INSPECTOR, "asked", text="请说明进货来源", to=PHARMACY_P) == 200
    assert step(INSPECTOR, "contested", text="不归我答") == 403
    assert step(PHARMACY_P, "closed", finding="explained") == 403
    assert step(PHARMACY_P, "contested", text="扫码枪误扫") == 200
    assert step(PHARMACY_Q, "contested", text="与我无关") == 404
    assert step(FAR_INSPECTOR, "seen") == 404
    assert step(AGENCY, "closed", finding="explained") == 403
    assert step(INSPECTOR, "closed", text="没有结论") == 422
    assert step(INSPECTOR, "closed", finding="explained", text="已核对") == 200
    assert step(INSPECTOR, "closed", finding="irregular") == 409
    eventually(lambda: inspector.get(path).json()["alert"]["state"] == "closed")
    whole, own = inspector.get(path).json(), pharmacy.get(path).json()
    assert [one["kind"] for one in whole["steps"]] == ["seen", "asked", "contested", "closed"]
    assert [one["kind"] for one in own["steps"]] == ["asked", "contested", "closed"]
    assert own["steps"][-1]["finding"] == "explained"
    assert own["steps"][-1]["text"] == ""
    assert HOSPITAL_A not in str(own)
    assert clients[PHARMACY_Q].get(path).status_code == httpx.codes.NOT_FOUND
    for client in clients.values():
        client.close()


@pytest.mark.slow
def test_a_killed_server_goes_on_from_every_cursor(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node").start()
    try:
        with Subscriber(portal, INSPECTOR) as inspector:
            told = [sell_twice(portal, HOSPITAL_A, PHARMACY_P) for _ in range(3)]
            inspector.await_codes(*told)
            portal.kill()
            portal.start()
            told += [sell_twice(portal, HOSPITAL_A, PHARMACY_P) for _ in range(3)]
            inspector.await_codes(*told)
        assert inspector.codes == told
        assert inspector.numbers == [1, 2, 3, 4, 5, 6]
    finally:
        portal.kill()


@pytest.mark.slow
def test_a_server_with_open_streams_stops_without_waiting_for_them(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node").start()
    with Subscriber(portal, INSPECTOR), Subscriber(portal, HOSPITAL_A):
        portal.stop()
        assert "graceful shutdown exceeded" not in portal.logged()


def test_many_subscribers_are_each_told_everything(portal: Portal) -> None:
    watchers = [Subscriber(portal, INSPECTOR) for _ in range(8)]
    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(Subscriber.__enter__, watchers))
        codes = [sell_twice(portal, HOSPITAL_A, PHARMACY_P) for _ in range(3)]
        for watcher in watchers:
            watcher.await_codes(*codes)
        list(crowd.map(lambda watcher: watcher.__exit__(), watchers))
    assert all(watcher.codes == codes for watcher in watchers)
