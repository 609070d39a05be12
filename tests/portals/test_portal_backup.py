"""A server is backed up while it is used: what it had acknowledged by then comes back, once, and nothing half."""

import asyncio
import itertools
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from portal import Portal
from started import ran as suyuan
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q
from test_portal_country import KilledServer, assert_sound
from till import Till, claim, settlement_of

from suyuan.cli.beside import node_to_read
from suyuan.cli.doctor import doctor
from suyuan.ledger.box import Box
from suyuan.node import Node
from suyuan.portals.control import Asked, ControlRefused, NobodyThere, opened_when_free
from suyuan.simulation.country import write_country
from suyuan.simulation.demo import examine
from suyuan.simulation.play import play

SELLERS = (HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q)


async def backed_up_under_load(portal: Portal, backup: Path, runs: int, tills: int) -> list[dict[str, str]]:
    """Tills claim contested boxes until the last backup is made; answers what was acknowledged before each."""
    acknowledged: dict[str, str] = {}
    before: list[dict[str, str]] = []
    numbers = itertools.count(1)

    async def work(place: int) -> None:
        institution = SELLERS[place % len(SELLERS)]
        till = Till(portal.port, portal.keys[institution])
        for own in itertools.count():
            if len(before) > runs:
                break
            code = f"8234567{place:03d}{own:010d}" if own % 3 else f"8234567{own:013d}"
            settlement = settlement_of(await till.insist(claim(institution, next(numbers), [code])))
            if settlement:
                assert acknowledged.setdefault(code, settlement) == settlement, "one box, two settlements"
        till.close()

    async def operator() -> None:
        for _ in range(runs):
            await asyncio.sleep(0.5)
            before.append(dict(acknowledged))
            made = await asyncio.to_thread(suyuan, "backup", backup, "--dir", portal.folder, "--with-secrets")
            assert made.returncode == 0, made.stderr
        before.append({})

    await asyncio.gather(operator(), *map(work, range(tills)))
    return before[:-1]


def audited(folder: Path, acknowledged: dict[str, str]) -> None:
    """By the program's own look at every fact, and by what the tills noted."""
    assert doctor(full=True, dir=folder, format="json") in {0, None} or os.statvfs(folder).f_bavail < 1 << 18
    with Node.open(folder) as node:
        paid: dict[str, list[str]] = {}
        for key in node.journal.keys("trace20:"):
            events = node.ledger.read([key])[key]
            assert sum(sale.paid for sale in Box.of(key, events).sales) <= 1, f"{key} is paid twice"
            paid[key.removeprefix("trace20:")] = [
                event.references["settlement"] for event in events if event.kind == "claimed" and event.verdict == "pay"
            ]
        for code, settlement in acknowledged.items():
            assert paid.get(code) == [settlement], f"{code} was acknowledged before the backup began"


def under_load(tmp_path: Path, runs: int) -> None:
    backup = tmp_path / "backup"
    with Portal(tmp_path / "node") as portal:
        before = asyncio.run(backed_up_under_load(portal, backup, runs, tills=8))
    assert not list((tmp_path / "node").glob(".backup-*")), "no copy is left behind"
    assert before[-1]
    restored = suyuan("restore", backup, "--dir", tmp_path / "again", "--format", "json")
    assert restored.returncode == 0, restored.stderr
    audited(tmp_path / "again", before[-1])


def test_a_backup_made_under_load_comes_back_with_all_that_was_acknowledged_by_then(tmp_path: Path) -> None:
    under_load(tmp_path, runs=1)


@pytest.mark.slow
def test_a_country_backed_up_while_it_plays_comes_back_and_the_independent_auditor_agrees(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    written = write_country(tmp_path / "country", 5, institutions=20, boxes=300, days=14, noise="high")
    server = KilledServer(tmp_path, written.uploads, kills=1)
    ended = threading.Event()
    runs: list[subprocess.CompletedProcess[str]] = []

    def operator() -> None:
        while not ended.wait(0.5):
            runs.append(suyuan("backup", backup, "--dir", server.folder, "--with-secrets"))

    running = threading.Thread(target=operator)
    running.start()
    try:
        played = play(tmp_path / "country", server.take)
        ended.set()
        running.join()
        assert suyuan("backup", backup, "--dir", server.folder, "--with-secrets").returncode == 0
    finally:
        ended.set()
        running.join()
        server.stop()
    assert sum(run.returncode == 0 for run in runs) > 1, runs[-1].stderr
    assert suyuan("restore", backup, "--dir", tmp_path / "again").returncode == 0
    with Node.open(tmp_path / "again") as again:
        assert_sound(examine(tmp_path / "country", again, played, seconds=0, codes=0))


@pytest.mark.slow
def test_further_backups_under_load_each_add_to_the_one_before(tmp_path: Path) -> None:
    """Two, to save time; five where SUYUAN_LONG=1."""
    under_load(tmp_path, runs=5 if os.environ.get("SUYUAN_LONG") == "1" else 2)


@pytest.mark.slow
def test_the_control_door_is_for_the_owner_of_the_folder_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    with Portal(tmp_path / "node") as portal:
        door = portal.folder / "control.sock"
        assert door.stat().st_mode & 0o077 == 0
        with pytest.raises(ControlRefused, match="does not know"):
            Asked(portal.folder, "dance")
        with Asked(portal.folder, "copy") as answer:
            assert (portal.folder / answer["copy"] / "FORMAT").exists()
        portal.kill()
        with pytest.raises(NobodyThere):
            Asked(portal.folder, "copy")
        portal.start()  # the socket that the killed one left is no obstacle
        with Asked(portal.folder, "copy") as answer:
            assert answer
    assert not door.exists()


def test_who_backs_a_node_up_does_not_keep_its_server_from_beginning(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node") as node:
        node.tables.add_person("li", "inspector", region="440100")
    with node_to_read(tmp_path / "node") as copied, Node.open(tmp_path / "node") as node:
        assert copied.tables.person("li") == node.tables.person("li")
        assert copied.journal.since(None, 1)[0] == node.journal.since(None, 1)[0] == []
    assert not list((tmp_path / "node").glob(".backup-*"))


def test_a_server_that_begins_waits_for_a_command_that_has_its_folder_open(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node"):
        waiting = ThreadPoolExecutor(1).submit(opened_when_free, tmp_path / "node")
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
    waiting.result(30).close()


@pytest.mark.slow
def test_a_second_server_on_one_folder_refuses_with_words_and_the_first_goes_on(tmp_path: Path) -> None:
    with Portal(tmp_path / "node") as portal:
        second = suyuan("serve", "--dir", portal.folder, "--port", 0)
        assert second.returncode == 3
        assert "in use by process" in second.stderr
        assert "Only one process can own it" in second.stderr
        with portal.client() as client:
            assert client.get("/readyz").status_code == 200
