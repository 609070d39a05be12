"""A node that is killed under load keeps what it acknowledged, whole, and pays no box twice."""

import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from node_load import claim, codes_of
from started import Started

from suyuan.formats import nhsa
from suyuan.node import Node

LOAD = Path(__file__).with_name("node_load.py")


class Records:
    """What clients noted: the claims they sent, and the answers they got before each kill."""

    def __init__(self) -> None:
        self.asked: set[int] = set()
        self.answered: dict[int, str] = {}

    def read(self, lines: list[str]) -> None:
        for line in lines:
            words = line.split()
            if words[:1] == ["asked"] and len(words) == 2:
                self.asked.add(int(words[1]))
            elif words[:1] == ["answered"] and len(words) == 3:
                self.answered[int(words[1])] = words[2]


def run_and_kill(folder: Path, records: Records, after: int, threads: int = 8) -> None:
    """Start the load, let `after` answers come, kill -9 in the middle of the next ones."""
    first = max(records.asked, default=-1) + 1
    process = Started(LOAD, folder, first, threads)
    lines: list[str] = []
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    answers = 0
    for line in process.stdout:
        lines.append(line)
        answers += line.startswith("answered")
        if answers == after:
            os.kill(process.pid, signal.SIGKILL)
    watchdog.cancel()
    process.wait()
    process.stdout.close()
    assert answers >= after, "the load ended by itself"
    records.read([line for line in lines if line.endswith("\n")])


def books_of(node: Node) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """The auditor's own reading of the journal: settlements by box, claims by settlement."""
    paid: dict[str, list[str]] = {}
    claims: dict[str, dict[str, Any]] = {}
    alerts: set[str] = set()
    named: set[str] = set()
    position: bytes | None = None
    while True:
        events, position = node.journal.since(position, 10_000)
        if not events:
            break
        for event in events:
            settlement = event.references.get("settlement", "")
            if event.kind == "alerted":
                alerts.add(event.key.removeprefix("alert:"))
            elif event.key.startswith("trace20:") and event.kind == "claimed":
                if event.alert:
                    named.add(event.alert)
                if event.verdict == "pay" and event.drawn:
                    paid.setdefault(event.key, []).append(settlement)
            elif event.key.startswith("claim:") and event.kind == "claimed" and event.verdict == "pay":
                claims[settlement] = event.detail
    assert named <= alerts, "a conflict was stored without its alert"
    return paid, claims


def assert_nothing_lost_or_doubled(folder: Path, records: Records) -> None:
    with Node.open(folder) as node:
        paid, claims = books_of(node)
        for number, settlement in records.answered.items():
            if settlement != "-":
                assert settlement in claims, f"claim {number} was acknowledged as {settlement} and is gone"
        for settlement, detail in claims.items():
            drawn = [key for key, _ in detail["codes"]]
            assert len(drawn) == 5, f"{settlement} is half applied: {drawn}"
            assert all(settlement in paid.get(key, []) for key in drawn), f"{settlement} lacks some of its boxes"
        twice = {key: found for key, found in paid.items() if len(found) > 1}
        assert not twice, f"paid twice: {twice}"
        assert sum(map(len, paid.values())) == 5 * len(claims)


def assert_retries_converge(folder: Path, records: Records) -> None:
    """Claims whose answer never came are sent again: each finds itself or is judged, once."""
    with Node.open(folder) as node:
        for number in sorted(records.asked):
            document = nhsa.read(claim(number, codes_of(number)))
            answer = json.loads(nhsa.answer(document, node.take(document)))
            settlement = answer["output"]["setlinfo"]["setl_id"] if answer["infcode"] == 0 else "-"
            known = records.answered.get(number)
            assert known in {None, settlement}, f"claim {number}: first answered {known}, now {settlement}"


def kill_often(folder: Path, kills: int, seed: int) -> Records:
    rng = random.Random(seed)
    records = Records()
    for _ in range(kills):
        run_and_kill(folder, records, after=rng.randint(1, 25))
        assert_nothing_lost_or_doubled(folder, records)
    assert_retries_converge(folder, records)
    assert_nothing_lost_or_doubled(folder, records)
    return records


def test_a_node_killed_twice_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    kill_often(tmp_path / "node", kills=2, seed=1)


@pytest.mark.slow
def test_a_node_killed_often_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """Eight times; twenty where SUYUAN_LONG=1."""
    kills = 20 if os.environ.get("SUYUAN_LONG") == "1" else 8
    records = kill_often(tmp_path / "node", kills=kills, seed=2)
    assert len(records.answered) >= kills
    assert any(settlement != "-" for settlement in records.answered.values())
    assert any(settlement == "-" for settlement in records.answered.values())
