"""Accept and replay: while the store is down uploads are kept, claims are not called paid, and all is recorded once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from bounded_files import no_file_beyond
from portal import AGENCY, ROOT, Portal, content, eventually
from postgres_server import PostgresServer
from story import PHARMACY_P
from till import claim

from suyuan.formats import nhsa
from suyuan.formats.api.documents import read
from suyuan.formats.document import Document, Outcome
from suyuan.node import Node
from suyuan.portals.app import URLS, application
from suyuan.portals.control import Asked
from suyuan.portals.counter import Counter
from suyuan.portals.deferral import Deferral
from suyuan.portals.openapi import described, document
from suyuan.portals.problem import Refused
from suyuan.storage.refusals import JournalStopped

SETTINGS = 'policy = "strict"\nblock_cache_mb = 8\ndefer = "uploads"\ndefer_mb = 1\n'


def sale(number: int) -> Document:
    line = {"line": "1", "product": "XB05BAF058B002010102345", "codes": [f"8234567{number:013d}"]}
    told = {"time": "2026-03-09T10:00:00+08:00", "references": {"receipt": f"R{number}"}, "lines": [line]}
    document = read("sales", json.dumps({"id": f"till-{number}", "sales": [told]}).encode())
    assert not document.problems
    return document


def node_in(folder: Path, more: str = "") -> Node:
    folder.mkdir(exist_ok=True)
    (folder / "suyuan.toml").write_text(SETTINGS + more)
    return Node.open(folder)


class Store:
    """The journal of a node with a switch."""

    def __init__(self, node: Node) -> None:
        self._append = node.journal.append
        self.down = False
        self.words = "The disk is away."
        node.journal.append = self.append  # type: ignore[method-assign, assignment]

    def append(self, *arguments: Any) -> Any:
        if self.down:
            raise JournalStopped(self.words)
        return self._append(*arguments)


def run(node: Node, story: Callable[[Counter], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        counter = Counter(node)
        await counter.deferral.start()
        counter.start()
        try:
            await story(counter)
        finally:
            await counter.stop()
            await counter.deferral.stop()

    asyncio.run(opened())


async def refusal(coming: Coroutine[Any, Any, Outcome]) -> str:
    try:
        await coming
    except Refused as refused:
        return refused.error.code
    return "taken"


async def until(question: Callable[[], bool]) -> None:
    for _ in range(500):
        if question():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


def order(node: Node) -> list[int]:
    """Numbers of the sales as the journal has them."""
    events, _ = node.journal.since(None, 10_000)
    return [int(event.key[-13:]) for event in events if event.kind == "sold" and event.key.startswith("trace20:")]


def test_uploads_are_laid_aside_while_the_store_is_down_and_recorded_in_order_when_it_is_back(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        store = Store(node)

        async def story(counter: Counter) -> None:
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "taken"
            store.down = True
            assert [await refusal(counter.take(sale(number), PHARMACY_P)) for number in (2, 3, 4)] == ["deferred"] * 3
            assert counter.deferral.notice() == "deferring; waiting=3"
            assert counter.deferral.waits(PHARMACY_P, "till-3")
            assert await refusal(counter.take(sale(3), PHARMACY_P)) == "deferred", "a sender that repeats is no harm"
            document = nhsa.read(claim(PHARMACY_P, 9, ["82345670000000000009"]))
            assert await refusal(counter.take(document, PHARMACY_P)) == "unavailable"
            store.down = False
            await until(lambda: not counter.deferral.reason)
            assert await refusal(counter.take(sale(5), PHARMACY_P)) == "taken"

        run(node, story)
        assert order(node) == [1, 2, 3, 4, 5]


def test_what_is_laid_aside_outlives_a_restart_and_is_recorded_before_anything_new(tmp_path: Path) -> None:
    with node_in(tmp_path / "node", 'defer_claims = "accept"\n') as node:
        store = Store(node)

        async def story(counter: Counter) -> None:
            store.down = True
            document = nhsa.read(claim(PHARMACY_P, 1, ["82345670000000000001"]))
            assert await refusal(counter.take(document, PHARMACY_P)) == "deferred", "kept, and not called paid"
            assert await refusal(counter.take(sale(2), PHARMACY_P)) == "deferred"

        run(node, story)
        assert order(node) == []
    with node_in(tmp_path / "node") as node:

        async def second(counter: Counter) -> None:
            assert counter.deferral.reason == ""
            again = await counter.take(nhsa.read(claim(PHARMACY_P, 1, ["82345670000000000001"])), PHARMACY_P)
            assert again.results[0].verdict == "pay"  # type: ignore[union-attr]
            assert again.repeated or not again.results[0].first

        run(node, second)
        assert order(node) == [2]


def test_what_a_process_that_is_gone_has_laid_aside_is_recorded_by_one_that_lays_nothing_aside(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        store = Store(node)

        async def story(counter: Counter) -> None:
            store.down = True
            assert [await refusal(counter.take(sale(number), PHARMACY_P)) for number in (1, 2)] == ["deferred"] * 2

        run(node, story)
    for file in (tmp_path / "node" / "inbox").iterdir():  # of a second worker, and there is only one from now on
        file.rename(file.with_name(file.name.replace("00", "01")))
    with node_in(tmp_path / "node") as node:
        store = Store(node)

        async def second(counter: Counter) -> None:
            assert counter.deferral.reason, "the store failed on it at once"
            store.down = False
            await until(lambda: not counter.deferral.reason)
            assert order(node) == [1, 2]

        store.down = True
        run(node, second)


def test_what_the_operator_says_to_one_process_holds_for_all_and_after_a_restart(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        other = Deferral(node)

        async def story(counter: Counter) -> None:
            await other.start()
            counter.deferral.force(on=True)
            await until(lambda: other.forced and other.reason == "the operator said so")
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "deferred"
            assert other.waits(PHARMACY_P, "till-1"), "whichever process is asked"
            assert not other.waits(PHARMACY_P, "till-2")
            assert (other.waiting, other.waiting_anywhere()) == (0, 1)
            await other.stop()

        run(node, story)
        assert order(node) == []

        async def second(counter: Counter) -> None:
            assert counter.deferral.forced
            assert counter.deferral.notice() == "deferring; waiting=1"
            assert counter.deferral.waits(PHARMACY_P, "till-1"), "after a restart too"
            counter.deferral.force(on=False)
            await until(lambda: not counter.deferral.reason)
            assert not counter.deferral.waits(PHARMACY_P, "till-1")
            assert counter.deferral.waiting_anywhere() == 0

        run(node, second)
        assert order(node) == [1]


def test_every_door_that_lays_uploads_aside_says_so_in_its_description(tmp_path: Path) -> None:
    described_as = document(URLS)["paths"]
    with node_in(tmp_path / "node", 'defer_claims = "accept"\n') as node:
        node.tables.save_catalogue(content())
        node.reload_catalogue()
        keys = {party: node.tables.create_credential(party) for party in (PHARMACY_P, AGENCY)}

        async def asked() -> dict[str, int]:
            app = application(node)
            site = app.site  # type: ignore[attr-defined]
            await site.start()
            site.counter.deferral.force(on=True)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            found = {}
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                for url, operation in described(URLS):
                    if url.lane != "counter" and operation.name not in {"takeFile", "captureEpcis"}:
                        continue
                    key = keys[PHARMACY_P if "pharmacist" in url.who else AGENCY]
                    headers = {"authorization": f"Bearer {key.id}.{key.secret}", "content-type": "application/json"}
                    message = claim(PHARMACY_P, 9, ["82345670000000000009"])
                    raw = message if operation.example is None else json.dumps(operation.example).encode()
                    path = url.path.replace("{settlement}", "S1")
                    answer = await client.post(path, headers=headers, content=raw)
                    assert str(answer.status_code) in described_as[url.path]["post"]["responses"], answer.text
                    found[url.path] = answer.status_code
                headers["authorization"] = f"Bearer {keys[PHARMACY_P].id}.{keys[PHARMACY_P].secret}"
                told = await client.get("/api/v1/outcomes", params={"id": "till-7-000123"}, headers=headers)
                found["/api/v1/outcomes"] = told.status_code
            assert not site.counter.deferral.waits(PHARMACY_P, f"{PHARMACY_P}{9:018d}"), "nothing of a file waits"
            await site.stop()
            return found

        found = asyncio.run(asked())
    assert {path for path, status in found.items() if status == 202} == {
        path for path, methods in described_as.items() for one in methods.values() if "202" in one["responses"]
    }
    assert found["/api/v1/files"] == 503, "a file is sent again"
    assert found["/api/v1/holds"] == 503


def test_no_room_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        store = Store(node)

        async def story(counter: Counter) -> None:
            store.down = True
            large = sale(1)
            large.raw += os.urandom(700_000)
            other = sale(2)
            other.raw += os.urandom(700_000)
            assert await refusal(counter.take(large, PHARMACY_P)) == "deferred"
            assert await refusal(counter.take(other, PHARMACY_P)) == "no_room"
            assert await refusal(counter.take(sale(3), PHARMACY_P)) == "deferred"
            store.down = False
            await until(lambda: not counter.deferral.reason)

        run(node, story)
        assert order(node) == [1, 3]


def test_a_server_without_room_begins_and_says_so_and_lays_aside_as_soon_as_there_is_room(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node, no_file_beyond(1_000_000) as freed:
        store = Store(node)

        async def story(counter: Counter) -> None:
            deferral = counter.deferral
            assert "needs 1 MB. Free space there" in deferral.told()
            assert (deferral.notice(), deferral.refusing) == ("", False)
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "taken", "the store is well"
            with pytest.raises(Refused) as refused:
                deferral.force(on=True)
            assert "Free space there" in refused.value.what
            store.down = True
            assert await refusal(counter.take(sale(2), PHARMACY_P)) == "unavailable", "nothing of it is kept"
            freed()
            await until(lambda: not deferral.told())
            assert await refusal(counter.take(sale(3), PHARMACY_P)) == "deferred"
            store.down = False
            await until(lambda: not deferral.reason)
            assert await refusal(counter.take(sale(2), PHARMACY_P)) == "taken"

        run(node, story)
        assert order(node) == [1, 3, 2]


def test_what_the_operator_holds_is_refused_where_there_is_no_room_and_everybody_is_told(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node, no_file_beyond(1_000_000) as freed:
        (tmp_path / "node" / "inbox").mkdir()
        (tmp_path / "node" / "inbox" / "FORCED").touch()

        async def asked() -> None:
            app = application(node)
            site = app.site  # type: ignore[attr-defined]
            await site.start()
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                assert await refusal(site.counter.take(sale(1), PHARMACY_P)) == "no_room"
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.headers["x-suyuan-store"]) == (503, "deferring; waiting=0; no room")
                assert "the operator said so" in ready.json()["notes"]["store"]
                assert "Free space there" in ready.json()["findings"]["store"]
                assert "暂存空间不足" in (await client.get("/", headers={"accept-language": "zh"})).text
                freed()
                await until(lambda: not site.counter.deferral.refusing)
                assert await refusal(site.counter.take(sale(1), PHARMACY_P)) == "deferred"
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.headers["x-suyuan-store"]) == (200, "deferring; waiting=1")
                assert "暂存空间不足" not in (await client.get("/", headers={"accept-language": "zh"})).text
            await site.stop()

        asyncio.run(asked())
        assert order(node) == []


def test_why_uploads_are_laid_aside_is_told_to_its_end_for_there_stands_what_to_do(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        store = Store(node)
        store.words = f"The disk {'d' * 300} is away. Bring it back."

        async def story(counter: Counter) -> None:
            store.down = True
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "deferred"
            assert counter.deferral.reason.endswith(store.words)
            await until(lambda: counter.deferral.reason == f"the store does not write: {store.words}")
            counter.deferral.force(on=True)
            assert counter.deferral.reason == "the operator said so", "it waits for nothing else from now on"

        run(node, story)


def test_a_slow_store_is_noticed_and_nobody_is_overtaken(tmp_path: Path) -> None:
    with node_in(tmp_path / "node", "defer_after_seconds = 0.2\n") as node:
        append, waits = node.journal.append, [1.5]

        def slow(*arguments: Any) -> Any:
            if waits and arguments[0]:
                time.sleep(waits.pop())
            return append(*arguments)

        node.journal.append = slow  # type: ignore[method-assign, assignment]

        async def story(counter: Counter) -> None:
            first = asyncio.create_task(counter.take(sale(1), PHARMACY_P))
            await until(lambda: bool(counter.deferral.reason))
            assert "waited" in counter.deferral.reason
            assert await refusal(counter.take(sale(2), PHARMACY_P)) == "deferred"
            assert isinstance(await first, Outcome)
            await until(lambda: not counter.deferral.reason)

        run(node, story)
        assert order(node) == [1, 2]


def test_without_the_setting_nothing_is_laid_aside_and_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    with node_in(tmp_path / "node") as node:
        node.settings = type(node.settings)(policy="strict")
        store = Store(node)

        async def story(counter: Counter) -> None:
            store.down = True
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "unavailable"
            store.down = False
            assert await refusal(counter.take(sale(1), PHARMACY_P)) == "taken"

        run(node, story)
        assert not (tmp_path / "node" / "inbox").exists()


STEPS = ("put", "synced", "taking", "taken", "marked")
KILLED = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    sys.path[:0] = {paths!r}
    from test_deferral import Store, node_in, refusal, run, sale, until, PHARMACY_P
    from suyuan.portals import deferral
    from suyuan.storage import inbox

    step = sys.argv[2]

    def dies(where, function, *, after):
        def wrapped(*arguments, **named):
            if where == step and not after:
                os.kill(os.getpid(), 9)
            result = function(*arguments, **named)
            if where == step and after:
                os.kill(os.getpid(), 9)
            return result
        return wrapped

    inbox._write = dies("put", inbox._write, after=True) if step == "put" else inbox._write
    deferral.take_together = dies("taking", dies("taken", deferral.take_together, after=True), after=False)
    inbox.Inbox.take_out = dies("marked", inbox.Inbox.take_out, after=True)
    inbox.Inbox.put = dies("synced", inbox.Inbox.put, after=True)

    with node_in(Path(sys.argv[1])) as node:
        store = Store(node)

        async def story(counter):
            store.down = True
            for number in (1, 2, 3):
                if await refusal(counter.take(sale(number), PHARMACY_P)) == "deferred":
                    print("acknowledged", number, flush=True)
            store.down = False
            await until(lambda: not counter.deferral.reason)

        run(node, story)
    """
)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step == "taken" else pytest.mark.slow) for step in STEPS]
)
def test_killed_between_any_two_steps_every_acknowledged_upload_is_recorded_exactly_once(
    tmp_path: Path, step: str
) -> None:
    paths = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(paths=paths))
    command = [sys.executable, str(script), str(tmp_path / "node"), step]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    acknowledged = [int(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("ack")]
    assert acknowledged == ([] if step in {"put", "synced"} else [1, 2, 3])
    with node_in(tmp_path / "node") as node:

        async def nothing(_: Counter) -> None:
            return

        run(node, nothing)
        recorded = order(node)
        assert recorded == sorted(set(recorded)), "in order, each once"
        assert set(acknowledged) <= set(recorded)
        events = [event for event in node.journal.since(None, 10_000)[0] if event.kind == "sold"]
        assert {event.status for event in events} <= {"accepted", "awaiting_scan", "unmapped", "product_differs"}


@pytest.mark.slow
def test_the_operator_lays_uploads_aside_and_everybody_can_see_it(tmp_path: Path) -> None:
    with Portal(tmp_path / "node", SETTINGS) as portal, portal.client(PHARMACY_P) as client:
        body: dict[str, Any] = {"id": "till-1"}
        line = {"line": "1", "codes": ["82345670000000000001"]}
        body["sales"] = [{"time": "2026-03-09T10:00:00+08:00", "references": {"receipt": "R1"}, "lines": [line]}]
        assert "x-suyuan-store" not in client.get("/version").headers
        with Asked(portal.folder, "defer", on=True) as answer:
            assert answer["reason"] == "the operator said so"
        told = client.post("/api/v1/sales", json=body)
        assert (told.status_code, told.json()["code"]) == (202, "deferred")
        assert told.headers["x-suyuan-store"] == "deferring; waiting=1"
        asked = client.get("/api/v1/outcomes", params={"id": "till-1"})
        assert (asked.status_code, asked.json()["code"]) == (202, "deferred")
        assert "暂不可写" in client.get("/check", headers={"accept-language": "zh"}).text
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["notes"]["store"].startswith("deferring; waiting=1")
        eventually(lambda: "suyuan_uploads_deferred 1.0" in client.get("/metrics").text)
        sold = {
            "infno": "3505", "msgid": "M1", "fixmedins_code": PHARMACY_P, "input": {"selinfo": [{
                "med_list_codg": "X", "fixmedins_bchno": "B1", "rtal_docno": "R2", "sel_retn_cnt": "1",
                "sel_retn_time": "2026-03-09 10:00:00", "drugtracinfo": [{"drug_trac_codg": "82345670000000000002"}],
            }]},
        }  # fmt: skip
        answer = client.post("/fsi/api/rsfComIfsService/callService", json=sold).json()
        assert (answer["infcode"], answer["output"]["result"]["retRslt"]) == (0, "1")
        assert "暂存" in answer["output"]["result"]["msgRslt"]
        raw = claim(PHARMACY_P, 3, ["82345670000000000003"])
        refused = client.post("/fsi/api/rsfComIfsService/callService", content=raw)
        assert refused.json()["infcode"] == -1
        with Asked(portal.folder, "defer", on=False):
            pass
        eventually(lambda: "x-suyuan-store" not in client.get("/version").headers)
        assert client.post("/api/v1/sales", json=body).json()["repeated"]


@pytest.mark.slow
def test_while_postgresql_is_away_uploads_are_laid_aside_and_recorded_once_when_it_is_back(tmp_path: Path) -> None:
    home = tempfile.TemporaryDirectory(prefix="suyuan-postgres-")  # whose path no other test run closes
    server = PostgresServer(Path(home.name) / "postgres")
    server.start()
    try:
        settings = SETTINGS + f'defer_after_seconds = 0.5\ndatabase = "{server.new_database()}"\n'
        with Portal(tmp_path / "node", settings) as portal, portal.client(PHARMACY_P) as client:
            assert client.post("/api/v1/sales", json=told(1)).status_code == 200
            eventually(lambda: client.get("/api/v1/me").status_code == 200)
            server.kill()
            answers = [client.post("/api/v1/sales", json=told(number)) for number in range(2, 12)]
            assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
            server.start()
            eventually(lambda: "x-suyuan-store" not in client.get("/version").headers, seconds=60)
            assert all(client.post("/api/v1/sales", json=told(number)).json()["repeated"] for number in range(1, 12))
        with portal.node() as node:
            assert order(node) == list(range(1, 12))
    finally:
        server.kill()
        home.cleanup()


@pytest.mark.slow
def test_whichever_of_several_processes_is_asked_tells_the_same_of_what_is_laid_aside(
    tmp_path: Path, database: str
) -> None:
    portal = Portal(tmp_path / "node", SETTINGS, database=database, workers=2)
    apart = httpx.Limits(max_keepalive_connections=0)  # the system spreads connections over both
    with portal, portal.client(PHARMACY_P, limits=apart) as client:

        def answers(number: int) -> set[tuple[int, str]]:
            asked = [client.get("/api/v1/outcomes", params={"id": f"till-{number}"}) for _ in range(12)]
            return {(answer.status_code, answer.json().get("code", "")) for answer in asked}

        def sent(number: int) -> int:
            return client.post("/api/v1/sales", json=told(number)).status_code

        assert answers(1) == {(404, "outcome_unknown")}
        with Asked(portal.folder, "defer", on=True):
            eventually(lambda: {sent(9) for _ in range(12)} == {202})  # a moment until both have heard
        assert sent(1) == 202
        with Asked(portal.folder, "defer") as answer:
            assert answer["waiting"] >= 13, "those of both"
        assert answers(1) == {(202, "deferred")}
        assert answers(2) == {(404, "outcome_unknown")}
        with Asked(portal.folder, "defer", on=False):
            eventually(lambda: answers(1) == {(200, "")})


def told(number: int) -> dict[str, Any]:
    line = {"line": "1", "codes": [f"8234567{number:013d}"]}
    references = {"receipt": f"R{number}"}
    return {
        "id": f"till-{number}",
        "sales": [{"time": "2026-03-09T10:00:00+08:00", "references": references, "lines": [line]}],
    }
