"""Bench at size: the same measures at each size of one growing ledger, so that whatever grows with it shows."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from suyuan.bench.core import (
    CLAIM_CODES,
    Codes,
    Measure,
    Say,
    bulk,
    claim_all,
    fill,
    history,
    machine,
    measured,
    peak_gib,
    shown,
)
from suyuan.bench.raw import settle_down, stored_bytes
from suyuan.node import Node
from suyuan.settings import FILE

_SIZE = re.compile(r"(\d+)(k|m|g)?", re.IGNORECASE)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class Stage(msgspec.Struct, kw_only=True):
    """What was measured when the ledger had so many boxes."""

    boxes: int
    load: float
    """Of the machine, when it began (1 minute)."""
    measures: list[Measure]


class Growth(msgspec.Struct, kw_only=True):
    """A run at several sizes."""

    machine: dict[str, str]
    engine: str
    stages: list[Stage]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured: at which sizes, with so many sale scans and claims at each."""

    sizes: list[int]
    sales: int
    claims: int
    database: str = ""
    """An empty PostgreSQL database; without one the engine is RocksDB."""


def course(at: str, sales: int, claims: int, database: str = "") -> Course:
    """The course over sizes written as `1m,10m,50m`.

    Raises:
        ValueError: as for `sizes_in`, or the first size has not enough boxes for what is measured at each.
    """
    sizes = sizes_in(at)
    if sizes[0] < (sales + claims * CLAIM_CODES) * len(sizes):
        raise ValueError(f"{at}: the first size is too small for {sales} sales and {claims} claims at each size")
    return Course(sizes=sizes, sales=sales, claims=claims, database=database)


def sizes_in(text: str) -> list[int]:
    """`1m,10m,50m` as numbers.

    Raises:
        ValueError: one of them is no number, with k, m or g behind it, or they do not grow.
    """
    found = []
    for word in text.replace(" ", "").split(","):
        size = _SIZE.fullmatch(word)
        if size is None:
            raise ValueError(f"{word!r} is no size: write numbers such as 500k, 1m or 50m, separated by commas")
        found.append(int(size[1]) * _TIMES[(size[2] or "").lower()])
    if found != sorted(set(found)) or not found[0]:
        raise ValueError(f"{text}: the ledger only grows, so each size must be greater than the one before")
    return found


def run(asked: Course, *, folder: Path | None = None, say: Say = lambda _: None) -> Growth:
    """Measure at each size in one ledger; its folder is removed afterwards, a database stays filled.

    Raises:
        NodeUnusable: the database has somebody's records.
    """
    home = Path(tempfile.mkdtemp(prefix="suyuan-bench-", dir=folder))
    growth = Growth(machine=machine(home), engine="postgres" if asked.database else "rocks", stages=[])
    steps, needed = len(asked.sizes), asked.sales + asked.claims * CLAIM_CODES
    try:
        (home / "node").mkdir()
        if asked.database:
            (home / "node" / FILE).write_text(f'database = "{asked.database}"\n', encoding="utf-8")
        with Node.open(home / "node") as node:
            node.use_catalogue(Codes(0).catalogue())
            before = 0
            for step, boxes in enumerate(asked.sizes):
                # Boxes whose number leaves this rest are for this step alone.
                drawn = Random(step).sample(range(step, boxes, steps), needed)
                rung = _Rung(node, Codes(boxes), home, before, say)
                growth.stages.append(rung.measure(drawn[: asked.sales], drawn[asked.sales :]))
                before = boxes
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return growth


class _Rung:
    """One size: the ledger is grown to it and measured."""

    def __init__(self, node: Node, codes: Codes, home: Path, before: int, say: Say) -> None:
        self.node, self.codes, self.home, self.before, self.say = node, codes, home, before, say
        self.stage = Stage(boxes=codes.boxes, load=os.getloadavg()[0], measures=[])

    def measure(self, sold: list[int], claimed: list[int]) -> Stage:
        """Everything; the boxes sold and claimed are nobody else's."""
        node, codes, say = self.node, self.codes, self.say
        self._add(fill(node, codes, say, self.before))
        say("the engine puts it in order")
        self._add(measured("  and put in order", settle_down(node), "s"))
        bulked = bulk(node, codes, self.home, sold, say)
        self._add(bulked)
        if bulked.raw:
            self._add(measured("  the bare engine", bulked.raw, "codes/s"))
            self._add(measured("  share of it", bulked.ratio, "ratio"))
        self._add(measured("  pace of the machine", pace(), "million rounds/s"))
        self._add(*claim_all(node, codes, claimed, say, first=self.before))
        self._add(history(node, codes, say))
        self._add(measured("on disk", stored_bytes(node) / codes.boxes, "bytes a box"))
        self._add(measured("memory now", memory_gib(), "GiB"), measured("memory, peak", peak_gib(), "GiB"))
        return self.stage

    def _add(self, *found: Measure) -> None:
        for one in found:
            self.stage.measures.append(one)
            if one.processor:  # unlike a rate, hardly touched by what else the machine does
                name = f"  processor time, {one.name.split(',')[0]}"
                self.stage.measures.append(measured(name, one.processor, "µs each"))
            self.say(f"{self.codes.boxes:,} boxes: {one.name.strip()}: {one.value:,.6g} {one.unit} {one.note}")


def pace() -> float:
    """Million rounds a second of a fixed loop in one thread: by it, runs beside other work can be compared."""
    begun = time.perf_counter()
    for _ in range(20_000_000):
        pass
    return 20 / (time.perf_counter() - begun)


def memory_gib() -> float:
    """What this process has in memory now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024 / 1024


def rows(growth: Growth) -> Iterator[tuple[str, ...]]:
    """The table's cells: each measure at each size, with its ratio to the first."""
    first = {one.name: one.value for one in growth.stages[0].measures}
    later = [{one.name: one.value for one in stage.measures} for stage in growth.stages[1:]]
    for one in growth.stages[0].measures:
        cells = [f"{shown(stage[one.name])} (×{stage[one.name] / (first[one.name] or 1):.2f})" for stage in later]
        yield one.name, one.unit, shown(one.value), *cells
    yield "load of the machine before", "", *(f"{stage.load:.2f}" for stage in growth.stages)


def columns(growth: Growth) -> tuple[str, ...]:
    """The table's head."""
    return "what", "unit", *(f"{stage.boxes:,} boxes" for stage in growth.stages)
