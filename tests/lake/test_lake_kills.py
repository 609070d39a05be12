"""A kill at any instant, a torn file or a full disk never loses or doubles an event in the lake."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from sealed_lake import Facts

from suyuan.lake.lake import Lake
from suyuan.node import Node

HERE = Path(__file__).resolve().parent


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["seal", "compact"])
def test_a_kill_before_any_write_leaves_a_lake_that_goes_on(tmp_path: Path, what: str) -> None:
    ran = run("kill_points.py", tmp_path, what)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.split()[-1]) > 15, "so many writes were tried"


def test_a_kill_before_some_writes_leaves_a_lake_that_goes_on(tmp_path: Path) -> None:
    ran = run("kill_points.py", tmp_path, "seal", 9)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_stops_sealing_with_words_and_later_it_goes_on(tmp_path: Path, workers: int) -> None:
    ran = run("full_disk.py", tmp_path, workers)
    assert ran.returncode == 0, ran.stderr
    words, sealed, agreed = ran.stdout.splitlines()
    assert "could not be written" in words
    assert "seal again" in words
    assert sealed == "100 0", "whole segments were kept, and nothing that is not whole"
    assert agreed == "agreed"


@pytest.mark.slow
def test_sealing_by_command_killed_at_random_times_seals_each_event_once(tmp_path: Path) -> None:
    facts, random, folder = Facts(keys=4_000), Random(1), tmp_path / "node"
    command = [sys.executable, "-m", "suyuan", "lake", "seal", "--dir", str(folder), "--workers", "2"]
    for _ in range(4):
        with Node.open(folder) as node:
            for _ in range(10):
                batch = facts.batch(4_000)
                expected: dict[str, int] = {}
                for event in batch:
                    expected.setdefault(event.key, event.sequence - 1)
                assert isinstance(node.journal.append(batch, expected), bytes)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as sealing:
            time.sleep(random.uniform(0.3, 4))
            sealing.kill()
    subprocess.run(command, check=True, capture_output=True)
    lake = Lake(folder / "lake")
    asked = "SELECT count(*), count(DISTINCT feed), count(DISTINCT key || ' ' || sequence), max(feed) FROM sealed"
    assert lake.query(asked).rows == [(160_000, 160_000, 160_000, 159_999)]
    assert not [*lake.folder.glob("**/*.part")]
