"""A small country plays over HTTP, its server is killed again and again, and the independent auditor agrees."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from portal import ADDRESS, ROOT
from till import FSI

from suyuan.node import Node
from suyuan.simulation.country import write_country
from suyuan.simulation.demo import Demonstration, examine, read_catalogue
from suyuan.simulation.play import play
from suyuan.simulation.report import false_alarms

PROGRAM = Path(__file__).with_name("clocked_server.py")


class KilledServer:
    """A server under the country's clock that is killed before, during or after every so many uploads."""

    def __init__(self, home: Path, uploads: int, kills: int, settings: str = "") -> None:
        self.folder, self.clock = home / "node", home / "clock"
        self.home = home
        chance = random.Random(kills)
        self.moments = set(chance.sample(range(1, uploads), kills))
        self.chance = chance
        self.sent = self.killed = self.port = 0
        self.clock.write_bytes(bytes(8))
        self.folder.mkdir()
        (self.folder / "suyuan.toml").write_text(settings, encoding="utf-8")
        with Node.open(self.folder) as node:
            content = read_catalogue(home / "country")
            node.tables.save_catalogue(content)
            issued = {party.code: node.tables.create_credential(party.code) for party in content.parties}
            self.keys = {code: f"{key.id}.{key.secret}" for code, key in issued.items()}
        self.log = (home / "log").open("ab")
        # A connection for each upload: with several workers it may come to any of them.
        self.client = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(PROGRAM), str(self.folder), str(self.clock), str(self.port)]
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=environment)
        assert self.process.stdout is not None
        found = ADDRESS.search(self.process.stdout.readline().decode())
        assert found, (self.home / "log").read_text()[-3000:]
        self.port = int(found[1].rpartition(":")[2])

    def die(self) -> None:
        """The whole server at once, workers and all."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, 10)

    def kill(self) -> None:
        self.die()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.killed += 1

    def take(self, raw: bytes, by: str, arrival: int, kind: str) -> bytes:
        """Send one upload until it is answered; now and then the server dies over it."""
        with self.clock.open("r+b") as file:
            file.write(arrival.to_bytes(8, "little"))
        self.sent += 1
        if self.sent in self.moments:
            self._send_to_the_dying(raw, by, kind)
        return self._send(raw, by, kind)

    def _send_to_the_dying(self, raw: bytes, by: str, kind: str) -> None:
        """The answer is never seen: the process dies some instant after the request was written."""
        killer = threading.Timer(self.chance.uniform(0, 0.01), self.die)
        killer.start()
        with contextlib.suppress(httpx.TransportError):
            self._send(raw, by, kind)
        killer.join()
        self.kill()
        self.start()

    def _send(self, raw: bytes, by: str, kind: str) -> bytes:
        path, content = {
            "nhsa": (FSI, "application/json"),
            "epcis": ("/api/v1/epcis/capture", "application/ld+json"),
            "table": ("/api/v1/files", "text/csv"),
        }[kind]
        headers = {"authorization": f"Bearer {self.keys[by]}", "content-type": content}
        answer = self.client.post(f"http://127.0.0.1:{self.port}{path}", content=raw, headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.content if kind == "nhsa" else json.dumps(summary_of(answer.json())).encode()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.client.close()
        self.log.close()


def summary_of(answer: dict[str, Any]) -> dict[str, int]:
    """The counts of an upload, as the command line prints them."""
    summary: dict[str, int] = answer["summary"]
    return {name: summary[name] for name in ("read", "accepted", "repeated", "conflicts", "rejected")}


def played_over_http(
    home: Path, seed: int, *, institutions: int, boxes: int, days: int, kills: int, settings: str = ""
) -> Demonstration:
    written = write_country(home / "country", seed, institutions=institutions, boxes=boxes, days=days, noise="high")
    server = KilledServer(home, written.uploads, kills, settings)
    begun = time.monotonic()
    try:
        played = play(home / "country", server.take)
    finally:
        server.stop()
    assert server.killed == kills
    with Node.open(server.folder) as node:
        return examine(home / "country", node, played, seconds=time.monotonic() - begun, codes=0)


def assert_sound(done: Demonstration) -> None:
    assert done.audit.differences == []
    assert false_alarms(done.findings) == 0
    assert done.played.claims_taken > 0


@pytest.mark.slow
def test_a_country_whose_server_is_killed_again_and_again_comes_to_the_same_books(tmp_path: Path) -> None:
    """Six times; twenty in a larger country where SUYUAN_LONG=1."""
    boxes, days, kills = (900, 20, 20) if os.environ.get("SUYUAN_LONG") == "1" else (300, 14, 6)
    assert_sound(played_over_http(tmp_path, 3, institutions=20, boxes=boxes, days=days, kills=kills))


@pytest.mark.slow
def test_a_country_played_over_two_server_processes_on_a_database_comes_to_the_same_books(
    tmp_path: Path, database: str
) -> None:
    settings = f'database = "{database}"\nworkers = 2\n'
    assert_sound(played_over_http(tmp_path, 4, institutions=20, boxes=300, days=14, kills=2, settings=settings))
