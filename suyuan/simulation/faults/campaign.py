"""Many seeds one after the other, what struck in all of them, and for one that fails the shortest way to see it."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from suyuan.simulation.faults.run import Plan, Result, Run
from suyuan.simulation.faults.weather import RATES, Note

ENGINES = ("memory", "rocks", "postgres")


class Seen(msgspec.Struct, kw_only=True):
    """One seed with what came of it."""

    result: Result
    seconds: float
    smallest: Plan | None = None
    """Of a seed that fails: the shortest run, with the fewest kinds of faults, that still fails."""


class Summary(msgspec.Struct, kw_only=True):
    """What came of all seeds."""

    seeds: int = 0
    failed: list[int] = []
    engines: dict[str, int] = {}
    figures: dict[str, int] = {}
    faults: dict[str, int] = {}
    seconds: float = 0.0

    def add(self, seen: Seen) -> None:
        """Count one seed."""
        result = seen.result
        self.seeds += 1
        self.seconds += seen.seconds
        if result.findings:
            self.failed.append(result.plan.seed)
        self.engines[result.plan.engine] = self.engines.get(result.plan.engine, 0) + 1
        self.figures = dict(Counter(self.figures) + Counter(result.figures))
        self.faults = dict(Counter(self.faults) + Counter(result.faults))


def play_seeds(plans: Iterable[Plan], log: BinaryIO | None = None) -> Iterator[Seen]:
    """Play each plan in a folder of its own, which is removed; a line of the log for everything that happened."""
    for plan in plans:
        begun = time.monotonic()
        note = _noting(log)
        note("began", **msgspec.to_builtins(plan))
        result = play_once(plan, note)
        seen = Seen(result=result, seconds=time.monotonic() - begun)
        note("ended", **msgspec.to_builtins(result))
        if log is not None:
            log.flush()
        if result.findings:
            seen.smallest = shrink(result)
        yield seen


def play_once(plan: Plan, note: Note) -> Result:
    """One run."""
    folder = Path(tempfile.mkdtemp(prefix="suyuan-faults-"))
    try:
        return Run(plan, folder, note).play()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shrink(failed: Result) -> Plan:
    """The shortest prefix that still fails, found by halving its days, and then with every fault left out that can be.

    A shorter run is a prefix of the whole one, so what it takes less days to see is found quickly.
    """
    plan = msgspec.structs.replace(failed.plan, until=max(1, failed.day + 1))
    if not _fails(plan):
        return failed.plan
    low, high = 0, plan.until
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(msgspec.structs.replace(plan, until=middle)):
            high = middle
        else:
            low = middle
    return _milder(msgspec.structs.replace(plan, until=high), [name for name in RATES if failed.faults.get(name)])


def _milder(plan: Plan, struck: list[str]) -> Plan:
    """Leave faults out, many at a time and then fewer, as long as it still fails."""
    size = len(struck)
    while size:
        for start in range(0, len(struck), size):
            group = [fault for fault in struck[start : start + size] if fault not in plan.without]
            milder = msgspec.structs.replace(plan, without=(*plan.without, *group))
            if group and _fails(milder):
                plan = milder
        size //= 2
    return plan


def command_of(plan: Plan) -> str:
    """The command that plays a plan again."""
    parts = ["suyuan simulate --faults", f"--seed {plan.seed}", f"--engine {plan.engine}", f"--days {plan.days}"]
    if plan.until:
        parts.append(f"--until {plan.until}")
    parts += [f"--without '{fault}'" for fault in plan.without]
    if plan.engine == "postgres":
        parts.append("--database postgresql://…")
    return " ".join(parts)


def _fails(plan: Plan) -> bool:
    return bool(play_once(plan, _noting(None)).findings)


def _noting(log: BinaryIO | None) -> Note:
    encoder = msgspec.json.Encoder()

    def note(what: str, **particulars: Any) -> None:  # noqa: ANN401  whatever the line says
        if log is not None:
            log.write(encoder.encode({"what": what, **particulars}) + b"\n")

    return note
