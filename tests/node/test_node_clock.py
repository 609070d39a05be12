"""A clock that steps back: facts keep their order, and a server that would date them wrong for long does not start."""

import time
from pathlib import Path

import pytest

from suyuan import node as node_module
from suyuan.cli import run
from suyuan.formats.reading import open_documents
from suyuan.node import Node, NodeUnusable
from suyuan.storage import people
from suyuan.storage.tables import Tables

PHARMACY = "P44010000002"
HOUR = 3_600_000_000


class Clock:
    """A machine's clock that can be set."""

    def __init__(self) -> None:
        self.step = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.step * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(node_module, "time", made)
    return made


def sell(node: Node, home: Path, number: int) -> None:
    path = home / "a.csv"
    path.write_text(f"kind,code,event_time\nsold,8234567{number:013d},2026-03-01 10:00:00\n")
    for document in open_documents(path, PHARMACY):
        assert not node.take(document, PHARMACY).fatal


def test_facts_never_arrive_before_those_before_them_also_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    with Node.open(tmp_path / "node") as node:
        sell(node, tmp_path, 1)
        clock.step = -HOUR
        sell(node, tmp_path, 2)
    with Node.open(tmp_path / "node") as node:
        node.check_clock()
        sell(node, tmp_path, 3)
        clock.step = 0
        sell(node, tmp_path, 4)
        events = node.journal.since(None, 100)[0]
    assert len(events) == 4 * 2
    arrived = [event.arrived for event in events]
    assert arrived == sorted(arrived)
    times = [event.id.partition("-")[0] for event in events]
    assert times == sorted(times), "ids are in order of arrival"


def test_deadlines_wait_and_none_is_lost(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.csv"
    path.write_text("kind,code,event_time\nreturned,82345670000000000001,2026-03-01 10:00:00\n")
    with Node.open(tmp_path / "node") as node:
        for document in open_documents(path, PHARMACY):
            node.take(document, PHARMACY)
        ((deadline, _, _),) = node.journal.due(1 << 62, 10)
        clock.step = -HOUR
        assert node.take_time() == 0
        clock.step = deadline - time.time_ns() // 1000 + HOUR
        assert node.take_time() == 1
        clock.step = 0
        assert node.take_time() == 0
        assert node.journal.due(1 << 62, 10) == []


def test_a_server_far_behind_its_last_fact_does_not_start_and_says_what_to_do(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.step = 48 * HOUR
    with Node.open(tmp_path / "node") as node:
        sell(node, tmp_path, 1)
    clock.step = 0
    assert run(["serve", "--port", "0", "--dir", str(tmp_path / "node")]) == 3
    assert "set the clock" in capsys.readouterr().err
    (tmp_path / "node" / "suyuan.toml").write_text("clock_behind_hours_max = 100\n")
    with Node.open(tmp_path / "node") as node:
        node.check_clock()
    (tmp_path / "node" / "suyuan.toml").write_text("")
    with Node.open(tmp_path / "node") as node, pytest.raises(NodeUnusable, match="47 hours behind"):
        node.check_clock()


def test_a_session_does_not_live_longer_because_the_clock_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tables.open(tmp_path / "tables.sqlite") as tables:
        tables.add_person("li", "inspector", region="440100")
        token, _ = tables.open_session("li", 3600)
        assert tables.session_of(token, 600) is not None
        now = people._now()
        monkeypatch.setattr(people, "_now", lambda: now - HOUR)
        assert tables.session_of(token, 600) is None
        monkeypatch.setattr(people, "_now", lambda: now - HOUR // 60)
        assert tables.session_of(token, 600) is not None, "a minute is what clocks do"
