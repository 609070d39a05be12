"""Two hosts on one database, each with its own folder: what was said to one holds at the other."""

import contextlib
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from access_people import Browser, with_people
from live_watch import Receiver, Subscriber, new_code, sell, sell_twice
from portal import INSPECTOR, Portal, beside, eventually
from postgres_server import PostgresServer
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q
from till import FSI, claim, settlement_of

from suyuan.node import Node, NodeUnusable
from suyuan.portals.signatures import hmac_sm3, sm3


class Hosts(NamedTuple):
    """The first with two workers, the second with one."""

    one: Portal
    other: Portal


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Hosts]:
    home = tmp_path_factory.mktemp("hosts")
    settings = (
        f'database = "{postgres_server.new_database()}"\nworkers = 2\nwebhook_private = true\nrate_code = "3/hour"\n'
    )
    one = with_people(home / "one", settings)
    other = beside(one, home / "other")
    text = (other.folder / "suyuan.toml").read_text(encoding="utf-8").replace("workers = 2", "workers = 1")
    (other.folder / "suyuan.toml").write_text(text, encoding="utf-8")
    with one, other:
        yield Hosts(one, other)


def settled(portal: Portal, raw: bytes) -> str:
    with portal.client(HOSPITAL_A) as client:
        return settlement_of(client.post(FSI, content=raw, headers={"content-type": "application/json"}).content)


def fresh(portal: Portal, path: str, **options: Any) -> httpx.Response:
    """A question over a connection of its own: it may come to any worker."""
    return httpx.get(portal.address + path, timeout=30, **options)


@pytest.mark.slow
def test_what_was_sent_to_one_host_finds_its_first_answer_at_the_other(hosts: Hosts) -> None:
    raw = claim(HOSPITAL_A, int(time.time()), [new_code()])
    first = settled(hosts.one, raw)
    assert first
    assert settled(hosts.other, raw) == first
    with hosts.other.client(HOSPITAL_A) as client:
        code = new_code()
        body = {
            "id": code,
            "sales": [{"references": {"receipt": "1"}, "time": "2026-03-09", "lines": [{"codes": [code]}]}],
        }
        asked = client.post("/api/v1/sales", json=body).json()
    with hosts.one.client(HOSPITAL_A) as client:
        again = client.post("/api/v1/sales", json=body).json()
    assert [one["first"] for told in (asked, again) for one in told["results"]] == [True, False]
    for told in (asked, again):
        told["results"][0].pop("first")
    assert again["results"] == asked["results"]


@pytest.mark.slow
def test_a_signed_request_counts_once_whichever_host_it_comes_to(hosts: Hosts) -> None:
    name, _, secret = hosts.one.keys[HOSPITAL_A].partition(".")
    at, nonce, digest = str(int(time.time())), secrets.token_hex(8), sm3(b"")
    message = f"GET\n/api/v1/me\n{at}\n{nonce}\n{digest}".encode()
    signature = hmac_sm3(secret.encode(), message).hex()
    proof = f"SUYUAN-HMAC-SM3 id={name}, time={at}, nonce={nonce}, signature={signature}"
    statuses = [fresh(host, "/api/v1/me", headers={"authorization": proof}).status_code for host in (*hosts, *hosts)]
    assert statuses == [200, 401, 401, 401]


@pytest.mark.slow
def test_wrong_passwords_and_questions_about_a_code_are_counted_together(hosts: Hosts) -> None:
    said = {"name": "pharmacist", "password": "a wrong password"}
    tried = [httpx.post(hosts[number % 2].address + "/sign-in", data=said, timeout=60).text for number in range(6)]
    assert len({len(text) for text in tried[:4]}) == 1, "wrong, and no more said"
    assert len(tried[5]) != len(tried[3]), "now the account rests, and the page says so"
    code = new_code()
    asked = [fresh(hosts[number % 2], "/api/v1/check", params={"code": code}).status_code for number in range(4)]
    assert asked == [200, 200, 200, 429]


@pytest.mark.slow
def test_a_session_begun_at_one_host_holds_at_the_other_and_ends_at_both(hosts: Hosts) -> None:
    with Browser(hosts.one, "clerk") as here, Browser(hosts.other) as there:
        there.client.cookies = here.client.cookies
        for browser in (here, there):
            assert browser.get("/institution").status_code == 200
        assert there.send("/sign-out").status_code == 303
        for browser in (here, there):
            assert browser.get("/institution").status_code == 303


@pytest.mark.slow
def test_what_changes_at_one_host_holds_at_the_other_within_seconds(hosts: Hosts) -> None:
    given = {"delegate": HEAD_OFFICE, "since": "2026-01-01", "until": "2027-06-30", "purpose": "代传"}
    with Browser(hosts.one, "manager") as manager, hosts.other.client(HEAD_OFFICE) as office:
        token = manager.token()
        headers = {"x-form-token": token, "sec-fetch-site": "same-origin"}
        made = manager.client.post("/api/v1/delegations", json=given, headers=headers)
        assert made.status_code in {200, 201}, made.text
        eventually(lambda: HOSPITAL_A in office.get("/api/v1/me").json()["speaks_for"])
        key = manager.client.post("/api/v1/keys", json={"label": "till"}, headers=headers).json()
        bearer = {"authorization": f"Bearer {key['id']}.{key['secret']}"}
        assert fresh(hosts.other, "/api/v1/me", headers=bearer).status_code == 200
        assert manager.client.post(f"/api/v1/keys/{key['id']}/revoke", json={}, headers=headers).status_code < 300
        eventually(lambda: fresh(hosts.other, "/api/v1/me", headers=bearer).status_code == 401)


@pytest.mark.slow
def test_alerts_are_streamed_by_every_worker_of_both_hosts_under_the_same_numbers(hosts: Hosts) -> None:
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Subscriber(host, INSPECTOR)) for host in (hosts.one,) * 4 + (hosts.other,)]
        codes = [sell_twice(host, HOSPITAL_A, PHARMACY_P) for host in (*hosts, *hosts)]
        for stream in streams:
            stream.await_codes(*codes)
    told = {tuple((alert["number"], alert["code"], alert["id"]) for alert in stream.alerts) for stream in streams}
    assert len(told) == 1


@pytest.mark.slow
def test_a_file_that_somebody_is_about_to_send_is_shown_by_every_worker(hosts: Hosts) -> None:
    with Browser(hosts.one, "clerk") as clerk:
        rows = "kind,code,time\n" + "".join(f"received,{new_code()},2026-03-09 10:00:00\n" for _ in range(3))
        chosen = clerk.client.post(
            "/institution/upload",
            data={"form_token": clerk.token("/institution/upload"), "kind": ""},
            files={"file": ("goods.csv", rows.encode(), "text/csv")},
            headers={"sec-fetch-site": "same-origin"},
        )
        assert chosen.status_code == 303, chosen.text
        draft, cookies = chosen.headers["location"], dict(clerk.client.cookies)

        def ready() -> bool:
            return not fresh(hosts.one, f"{draft}/progress", cookies=cookies).json()["running"]

        eventually(ready)
        assert {fresh(hosts.one, draft, cookies=cookies).status_code for _ in range(8)} == {200}
        assert clerk.send(f"{draft}/send", "/institution/upload").status_code == 303
        eventually(lambda: "Sent." in fresh(hosts.one, draft, cookies=cookies | {"language": "en"}).text or ready())


@pytest.mark.slow
def test_a_webhook_is_called_once_and_goes_on_when_the_host_that_called_it_is_killed(hosts: Hosts) -> None:
    with Receiver() as receiver, hosts.other.client(INSPECTOR) as inspector:
        made = inspector.post("/api/v1/webhooks", json={"url": receiver.url})
        assert made.status_code == 201, made.text
        codes = [sell_twice(hosts.other, HOSPITAL_A, PHARMACY_Q)]
        eventually(lambda: receiver.codes == codes)
        hosts.one.kill()
        try:
            codes += [sell_twice(hosts.other, HOSPITAL_A, PHARMACY_Q) for _ in range(2)]
            eventually(lambda: set(receiver.codes) == set(codes), 30)
        finally:
            hosts.one.start()
        codes.append(sell_twice(hosts.one, HOSPITAL_A, PHARMACY_Q))
        eventually(lambda: set(receiver.codes) == set(codes), 30)
        assert Counter(receiver.codes) == Counter(codes), "each alert was delivered once"
        inspector.delete(f"/api/v1/webhooks/{made.json()['id']}")


TAKE_TIME = """
import sys
from pathlib import Path
from suyuan.node import Node
with Node.open(Path(sys.argv[1]), lambda: int(sys.argv[2])) as node:
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(str(node.take_time()))
"""


@pytest.mark.slow
def test_deadlines_that_two_hosts_take_at_once_are_each_written_once(tmp_path: Path, database: str) -> None:
    one = Portal(tmp_path / "one", database=database)
    other = beside(one, tmp_path / "other")
    with one, one.client(HOSPITAL_B) as client:
        returns = [
            {
                "time": "2026-03-09T10:00:00+08:00",
                "references": {"visit": f"{number}"},
                "lines": [{"codes": [new_code()]}],
            }
            for number in range(300)
        ]
        assert client.post("/api/v1/returns", json={"returns": returns}).status_code == 200
    with one.node() as node:
        waiting = node.journal.due(1 << 62, 1_000)
        later = node.ledger.clock() + 60 * 86_400_000_000
    assert len(waiting) == 300
    taking = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_TIME, str(host.folder), str(later)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in (one, other)
    ]
    for process in taking:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = [process.communicate("now\n")[0] for process in taking]
    assert [process.returncode for process in taking] == [0, 0]
    with one.node() as node:
        assert node.journal.due(1 << 62, 10) == []
        for _, key, sequence in waiting:
            events = node.ledger.read([key])[key]
            assert [event.corrects for event in events if event.kind == "due"] == [sequence], told


@pytest.mark.slow
def test_a_host_with_other_secrets_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "suyuan.toml").write_bytes((hosts.one.folder / "suyuan.toml").read_bytes())
    with pytest.raises(NodeUnusable, match=r"secrets\.json"):
        Node.open(tmp_path / "stranger")


@pytest.mark.slow
def test_a_sale_at_one_host_races_an_order_and_a_carton_at_the_other_as_on_one(hosts: Hosts) -> None:
    code = new_code()
    with hosts.one.client(HOSPITAL_A) as one, hosts.other.client(PHARMACY_P) as other:
        sell(one, code, person="1")
        told = sell(other, code, person="2")
    assert told["results"][0]["status"] == "conflict_sold"
