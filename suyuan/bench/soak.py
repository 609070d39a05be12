"""Soak: an even load for a long time, and whether memory, open files or threads grow by it, minute after minute."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from suyuan.bench.core import Say, machine
from suyuan.bench.http import SETTINGS, Field, Server
from suyuan.bench.load import Load
from suyuan.bench.traffic import SHAPES
from suyuan.portals.figures import used_by
from suyuan.storage.rocks import MIB

SHARES = {"api sale": 0.5, "nhsa sale": 0.15, "nhsa claim": 0.15, "check": 0.2}
"""Kind of request → its share of the load."""
CLIENTS = 16
"""Connections of each kind."""
BOXES_SPARE = 20_000

CACHES = "block_cache_mb = 32\nwrite_buffer_mb = 32\n"
"""Full within a minute, so that what grows later is something else."""

GROWTH_MAX = 0.05
"""Part of the memory by which it may grow over the second half of a run before it counts as a leak;"""
GROWTH_MIB_MIN = 30
"""less than this never does."""
FILES_MAX, THREADS_MAX = 20, 10
"""The same for open files and threads: what an even load does not open, it does not need."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is to bear."""

    minutes: int
    rate: float
    """Requests a second, evenly."""
    database: str = ""
    """An empty PostgreSQL database; without one the engine is RocksDB."""
    workers: int = 1
    minute_seconds: float = 60


class Minute(msgspec.Struct, kw_only=True):
    """One minute of even load, and what the server had at its end, with the processes that it started."""

    answered: int
    wrong: int
    """Answers that were not good."""
    median_ms: float
    p99_ms: float
    memory_mib: float
    files: int
    threads: int
    load: float
    """Of the machine."""


class Soak(msgspec.Struct, kw_only=True):
    """A run."""

    machine: dict[str, str]
    rate: float
    """Requests a second, evenly."""
    minutes: list[Minute]
    leaks: list[str]
    """What grew more than an even load explains, in words."""


def run(asked: Course, *, folder: Path | None = None, say: Say = lambda _: None) -> Soak:
    """Load a server on a fresh node; its folder is removed afterwards, a database stays filled.

    Raises:
        NodeUnusable: the database has somebody's records.
    """
    home = Path(tempfile.mkdtemp(prefix="suyuan-soak-", dir=folder))
    codes = sum(SHAPES[name].codes * share for name, share in SHARES.items())
    needed = codes * asked.rate * asked.minute_seconds * (asked.minutes + 1)
    field = Field(home, int(needed) + BOXES_SPARE, say)
    soak = Soak(machine=machine(home), rate=asked.rate, minutes=[], leaks=[])
    settings = SETTINGS + CACHES + (f'database = "{asked.database}"\n' if asked.database else "")
    try:
        with field.stocked(settings):
            pass
        field.server = Server(home / "node", *(("--workers", str(asked.workers)) if asked.workers > 1 else ()))
        try:
            for number in range(asked.minutes):
                soak.minutes.append(_minute(field, asked.rate, asked.minute_seconds))
                say(f"minute {number + 1} of {asked.minutes}: {_in_words(soak.minutes[-1])}")
        finally:
            field.server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    soak.leaks = leaks_of(soak.minutes)
    return soak


def _minute(field: Field, rate: float, seconds: float) -> Minute:
    with ThreadPoolExecutor(len(SHARES)) as senders:
        sent = [senders.submit(_send, field, name, rate * share, seconds) for name, share in SHARES.items()]
        loads = [one.result() for one in sent]
    times = sorted(time for load in loads for time in load.times_ms)
    answered = sum(load.answered for load in loads)
    memory, threads, files = (sum(values) for values in zip(*map(used_by, tree_of(field.server.process)), strict=True))
    return Minute(
        answered=answered,
        wrong=answered - sum(load.good for load in loads),
        median_ms=times[len(times) // 2],
        p99_ms=times[int(len(times) * 0.99)],
        memory_mib=memory / MIB,
        files=files,
        threads=threads,
        load=os.getloadavg()[0],
    )


def _send(field: Field, name: str, rate: float, seconds: float) -> Load:
    return field.load(name, max(1, int(rate * seconds)), clients=CLIENTS, rate=rate)


def tree_of(process: int) -> list[int]:
    """A process and those that it started, and they."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def leaks_of(minutes: Sequence[Minute]) -> list[str]:
    """What grew over the second half of a run, along a straight line through it, by more than it may."""
    half = minutes[len(minutes) // 2 :]
    if len(half) < 3:  # noqa: PLR2004  through two points goes every line
        return []
    found = []
    for name, unit, values, most in (
        ("memory", "MiB", [one.memory_mib for one in half], max(GROWTH_MIB_MIN, GROWTH_MAX * half[0].memory_mib)),
        ("open files", "", [float(one.files) for one in half], FILES_MAX),
        ("threads", "", [float(one.threads) for one in half], THREADS_MAX),
    ):
        grown = slope_of(values) * (len(values) - 1)
        if grown > most:
            found.append(f"{name} grew by {grown:,.0f} {unit} in {len(half) - 1} minutes".replace("  ", " "))
    return found


def slope_of(values: Sequence[float]) -> float:
    """Growth a step of the straight line with the least squares through values at even steps."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread if spread else 0.0


def _in_words(one: Minute) -> str:
    wrong = f", {one.wrong} not good" if one.wrong else ""
    times = f"median {one.median_ms:.1f} ms, p99 {one.p99_ms:.1f} ms"
    return (
        f"{one.answered:,} answers{wrong}, {times}, {one.memory_mib:,.0f} MiB, {one.files} files, {one.threads} threads"
    )


COLUMNS = ("minute", "answers", "not good", "median ms", "p99 ms", "memory MiB", "files", "threads", "load")


def rows(soak: Soak) -> Iterator[tuple[str, ...]]:
    """The table's cells, a row a minute."""
    for number, one in enumerate(soak.minutes, start=1):
        figures = (one.answered, one.wrong, one.median_ms, one.p99_ms, one.memory_mib, one.files, one.threads, one.load)
        yield str(number), *(f"{figure:,.1f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures)
