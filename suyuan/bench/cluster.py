"""Bench of many processes on one database: bulk uploads and claims at once, each process a node as a server has it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec

from suyuan.bench.core import CLAIM_CODES, CLAIM_THREADS, Bench, Measure, Say, machine, measured
from suyuan.node import SECRETS, Node
from suyuan.settings import FILE


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes do together."""

    database: str
    processes: int
    boxes: int
    """In the ledger before anything is measured."""
    sales: int
    """Sale scans of all processes together, each from a CSV file of its own."""
    claims: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part of one process."""

    plan: Plan
    number: int
    folder: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one process did in a phase."""

    count: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    """CPU time of the process itself; that of the database is not in it."""
    times_ms: list[float] = []
    refused: int = 0


PHASES: dict[str, tuple[str, str]] = {
    "fill": ("fill (journal only)", "boxes/s"),
    "make": ("", ""),
    "sell": ("bulk upload, CSV → verdicts → durable", "codes/s"),
    "raw": ("  the bare engine", "codes/s"),
    "settle": ("claims of 5 codes", "claims/s"),
}
"""What each process is told to do, all of them at once; name and unit of what is measured."""

BUDGETS = {"sell": 20_000, "settle": 1_000}


class Worker:
    """One process, and how it is talked to: a word a line, and its answer."""

    def __init__(self, part: Part) -> None:
        command = [sys.executable, "-m", "suyuan.bench.hand"]
        self._process = subprocess.Popen(  # noqa: S603  our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._say(msgspec.json.encode(part))

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def ask(self, phase: str) -> Told:
        """Let it do a phase; answers when it is done."""
        assert self._process.stdout is not None
        self._say(phase.encode())
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a process of the bench ended during {phase}")
        return msgspec.json.decode(answer, type=Told)

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def run(plan: Plan, *, folder: Path | None = None, say: Say = lambda _: None) -> Bench:
    """Measure on an empty database, which stays filled; the folders of the processes are removed.

    Raises:
        NodeUnusable: the database has somebody's records.
    """
    home = Path(tempfile.mkdtemp(prefix="suyuan-bench-", dir=folder))
    done = Bench(machine=machine(home), boxes=plan.boxes, measures=[])
    try:
        with _workers(plan, home) as workers, ThreadPoolExecutor(plan.processes) as together:
            for phase, (name, unit) in PHASES.items():
                say(f"{name.strip() or 'making what is sent'}: {plan.processes} processes")
                told = list(together.map(lambda worker, phase=phase: worker.ask(phase), workers))
                if name:
                    done.measures += _joined(phase, name, unit, told)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return _with_shares(done)


@contextmanager
def _workers(plan: Plan, home: Path) -> Iterator[list[Worker]]:
    """The processes, each with a folder that has the same secrets."""
    folders = [home / f"node-{number}" for number in range(plan.processes)]
    for folder in folders:
        folder.mkdir()
        (folder / FILE).write_text(f'database = "{plan.database}"\n', encoding="utf-8")
        if folder != folders[0]:
            shutil.copy(folders[0] / SECRETS, folder / SECRETS)
            continue
        Node.open(folder).close()  # makes the secrets, and the journal if nobody has one there
    workers: list[Worker] = []
    try:
        for number, folder in enumerate(folders):
            workers.append(Worker(Part(plan=plan, number=number, folder=str(folder))))
        yield workers
    finally:
        for worker in workers:
            worker.end()


def _joined(phase: str, name: str, unit: str, told: list[Told]) -> list[Measure]:
    """All that was done, over the time of who took longest."""
    count, seconds = sum(one.count for one in told), max(one.seconds for one in told)
    rate = count / seconds
    measure = measured(name, rate, unit)
    own = measured("  CPU of the processes", sum(one.processor_seconds for one in told) / count * 1e6, "µs each")
    least = BUDGETS.get(phase)
    if least:
        measure.budget, measure.met = f"≥ {least:,}", rate >= least
    if phase != "settle":
        return [measure, own]
    times = sorted(time for one in told for time in one.times_ms)
    threads = CLAIM_THREADS // len(told) * len(told)
    refused = sum(one.refused for one in told)
    measure.note = f"{threads} clients, median {times[len(times) // 2]:.1f} ms; refused as sold before: {refused}"
    return [measure, measured("  p99", times[int(len(times) * 0.99)], "ms"), own]


def _with_shares(done: Bench) -> Bench:
    """The bulk upload beside the bare engine, which ran after it."""
    named = {measure.name: measure for measure in done.measures}
    bulk, raw = named[PHASES["sell"][0]], named[PHASES["raw"][0]]
    bulk.raw, bulk.ratio = raw.value, bulk.value / raw.value
    bulk.note = "raw: read + COPY + commit of the same rows into a table of each process, 10,000 at a time"
    return done


def boxes_of(part: Part) -> tuple[list[int], list[int]]:
    """The boxes that a process sells and claims; nobody else does."""
    plan, stride = part.plan, part.plan.processes
    own = range(part.number, plan.boxes, stride)
    sold, claimed = plan.sales // stride, plan.claims // stride * CLAIM_CODES
    chosen = Random(part.number).sample(own, sold + claimed)
    return chosen[:sold], chosen[sold : sold + claimed]
