"""Many server processes on one PostgreSQL: tills race over all of them, and workers and database are killed."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from portal import Portal, eventually
from postgres_server import PostgresServer
from racing import SELLERS, assert_kept, codes, killed_under_load, paid_claims, race
from story import HOSPITAL_A
from till import FSI, Till, Unanswered, claim, settlement_of

from suyuan.portals.workers import _Worker

LONG = os.environ.get("SUYUAN_LONG") == "1"


@pytest.mark.slow
def test_64_tills_over_4_server_processes_that_claim_the_same_boxes_get_each_paid_once(
    tmp_path: Path, database: str
) -> None:
    """Three seeds with a dozen boxes; 20 seeds with 1,000 boxes where SUYUAN_LONG=1, each contested by 16 tills."""
    seeds, count, share = (20, 1000, 250) if LONG else (3, 12, 12)
    portal = Portal(tmp_path / "node", database=database, workers=4)
    with portal:
        assert len(portal.workers()) == 4
        for seed in range(seeds):
            boxes = codes(count, first=seed * count)
            paid = asyncio.run(race(portal, boxes, 64, share, seed))
            assert sorted(paid) == sorted(boxes), f"seed {seed}: each box is paid once, to one till"
            if LONG:
                print(f"seed {seed}: {len(boxes)} boxes, {64 * share} claims, {len(paid)} paid", flush=True)  # noqa: T201  a log to keep
    with portal.node() as node:
        assert paid_claims(node, codes(seeds * count)) == [1] * (seeds * count)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that may be killed."""
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
def test_a_database_killed_under_load_has_kept_what_was_acknowledged(
    tmp_path: Path, own_server: PostgresServer
) -> None:
    """Three times; ten where SUYUAN_LONG=1."""

    def power_cut() -> None:
        own_server.kill()
        own_server.start()

    portal = Portal(tmp_path / "node", database=own_server.new_database(), workers=2)
    killed_under_load(portal, 10 if LONG else 3, power_cut)


@pytest.mark.slow
def test_workers_killed_under_load_have_kept_what_they_acknowledged_and_are_started_anew(
    tmp_path: Path, database: str
) -> None:
    chance = random.Random(11)
    portal = Portal(tmp_path / "node", database=database, workers=3)

    def one_dies() -> None:
        before = eventually(portal.workers)
        os.kill(chance.choice(before), signal.SIGKILL)
        eventually(lambda: len(portal.workers()) == 3 and portal.workers() != before)

    killed_under_load(portal, 10 if LONG else 4, one_dies)


@pytest.mark.slow
def test_a_stop_under_load_finishes_what_was_begun_on_every_worker(tmp_path: Path, database: str) -> None:
    portal = Portal(tmp_path / "node", database=database, workers=2)
    acknowledged: dict[str, str] = {}

    async def work(place: int) -> None:
        till = Till(portal.port, portal.keys[SELLERS[place % 4]])
        with contextlib.suppress(Unanswered):
            for own in itertools.count(1):
                code = f"8234567{place:03d}{own:010d}"
                status, answer = await till.send(claim(SELLERS[place % 4], 1000 * place + own, [code]))
                if status != 200:
                    assert status == 503, answer
                    break
                acknowledged[code] = settlement_of(answer)
        till.close()

    async def story() -> None:
        working = [asyncio.create_task(work(place)) for place in range(12)]
        await asyncio.sleep(1)
        await asyncio.to_thread(portal.stop)
        await asyncio.gather(*working)

    portal.start()
    processes = [psutil.Process(one) for one in portal.workers()]
    asyncio.run(story())
    assert not [one for one in processes if one.is_running()], "no worker is left behind"
    assert acknowledged
    assert "" not in acknowledged.values()
    assert_kept(portal, acknowledged)


@pytest.mark.slow
def test_workers_stop_by_themselves_when_their_parent_is_killed(tmp_path: Path, database: str) -> None:
    portal = Portal(tmp_path / "node", database=database, workers=2)
    portal.start()
    processes = [psutil.Process(one) for one in portal.workers()]
    portal.kill()
    gone, left = psutil.wait_procs(processes, timeout=30)
    assert (len(gone), left) == (2, [])
    with portal:  # the port is free again
        assert len(portal.workers()) == 2


@pytest.mark.slow
def test_who_hangs_up_before_the_answer_and_sends_again_is_paid_once(tmp_path: Path, database: str) -> None:
    portal = Portal(tmp_path / "node", database=database, workers=2)
    boxes = codes(30)

    def hang_up(raw: bytes, after: float) -> None:
        """Send, and reset the connection at some moment of the answer's making."""
        head = (
            f"POST {FSI} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {portal.keys[HOSPITAL_A]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", portal.port)) as caller:
            caller.sendall(head.encode() + raw)
            caller.settimeout(after)
            with contextlib.suppress(TimeoutError):
                caller.recv(1)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def insist(raws: list[bytes]) -> list[str]:
        till = Till(portal.port, portal.keys[HOSPITAL_A])
        answers = [settlement_of(await till.insist(raw)) for raw in raws]
        till.close()
        return answers

    with portal:
        raws = [claim(HOSPITAL_A, number, [code]) for number, code in enumerate(boxes)]
        for number, raw in enumerate(raws):
            for times in range(3):
                hang_up(raw, 0.001 * (number % 10) + 0.0005 * times + 0.0001)
        settlements = asyncio.run(insist(raws))
    assert len(set(settlements) - {""}) == len(boxes)
    assert_kept(portal, dict(zip(boxes, settlements, strict=True)))


def test_a_worker_that_the_system_cannot_start_now_is_started_later_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.portals.workers.PAUSE_FIRST", 0.0)
    monkeypatch.setattr("suyuan.portals.workers.PAUSE_MAX", 0.0)
    came = tmp_path / "came"
    worker = _Worker([sys.executable, "-c", ""], (), str(tmp_path), "0")
    worker._command = [str(tmp_path / "no such program")]

    def started() -> bool:
        worker.look()
        return worker._process is not None

    assert eventually(lambda: not started())
    assert not started()
    worker._command = [sys.executable, "-c", f"open({str(came)!r}, 'w').close()"]
    assert eventually(lambda: started() and came.exists())
    worker.tell_to_stop()
    worker.wait(0)
