"""The soak finds what goes on growing and lets pass what settles, and watches a real server while it is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suyuan.bench.soak import COLUMNS, Course, Minute, leaks_of, rows, run, slope_of, tree_of


def minutes(memory: list[float], files: int = 0, threads: int = 0) -> list[Minute]:
    """Minutes with this memory, and so many more files and threads each."""
    return [
        Minute(
            answered=6_000,
            wrong=0,
            median_ms=3.0,
            p99_ms=20.0,
            memory_mib=one,
            files=50 + number * files,
            threads=20 + number * threads,
            load=1.0,
        )
        for number, one in enumerate(memory)
    ]


def test_what_settles_is_no_leak_and_what_goes_on_growing_is_named() -> None:
    settling = [300, 400, 450, 470, 480, 482, 479, 483, 481, 482]
    assert leaks_of(minutes([float(one) for one in settling])) == []
    growing = [300 + 12.0 * number for number in range(10)]
    assert leaks_of(minutes(growing)) == ["memory grew by 48 MiB in 4 minutes"]
    assert leaks_of(minutes([500.0] * 10, files=6)) == ["open files grew by 24 in 4 minutes"]
    assert leaks_of(minutes([500.0] * 10, threads=3)) == ["threads grew by 12 in 4 minutes"]
    assert leaks_of(minutes([500.0] * 10, files=1, threads=1)) == []


def test_a_few_minutes_say_nothing_about_leaks() -> None:
    assert leaks_of(minutes([100.0, 5_000.0])) == []


def test_one_high_minute_among_even_ones_is_no_growth() -> None:
    assert slope_of([1.0, 2.0, 3.0]) == 1.0
    assert slope_of([5.0]) == 0.0
    assert leaks_of(minutes([500.0, 500.0, 500.0, 500.0, 500.0, 500.0, 560.0, 500.0, 500.0, 500.0])) == []


def test_a_process_is_seen_with_those_that_it_started() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert {os.getpid(), child.pid} <= set(tree_of(os.getpid()))
    finally:
        child.communicate(b"\n")
    assert child.pid not in tree_of(os.getpid())


@pytest.mark.slow
def test_a_short_soak_watches_every_part_of_a_server_and_all_its_answers_are_good(tmp_path: Path) -> None:
    done = run(Course(minutes=3, rate=60, minute_seconds=2), folder=tmp_path)
    assert len(done.minutes) == 3
    assert [one.wrong for one in done.minutes] == [0, 0, 0]
    assert all(one.answered >= 100 and one.memory_mib > 50 and one.files > 10 for one in done.minutes)
    assert all(len(row) == len(COLUMNS) for row in rows(done))
    assert not list(tmp_path.iterdir())
