"""`suyuan simulate --faults`: seeds played one after another, progress, a table of what struck, and how to repeat."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cyclopts

from suyuan.cli.output import print_json, print_table, say, warn
from suyuan.simulation.country import DAYS_MIN
from suyuan.simulation.faults.campaign import Seen, Summary, command_of, play_seeds
from suyuan.simulation.faults.run import Plan
from suyuan.simulation.faults.weather import RATES


class Wanted(NamedTuple):
    """What the command was asked for."""

    seed: int
    seeds: int
    days: int
    engine: str
    database: str
    until: int
    without: tuple[str, ...]
    log: Path | None


def play_faults(wanted: Wanted, form: str) -> int:
    """Play all seeds; 0 where the auditor agrees on every one, 1 where not."""
    _check(wanted)
    summary = Summary()
    with ExitStack() as files:
        log = files.enter_context(wanted.log.open("ab")) if wanted.log else None
        for seen in play_seeds(_plans(wanted), log):
            summary.add(seen)
            _tell(seen, summary.seeds, wanted.seeds)
    if form == "json":
        print_json(summary)
    else:
        rows = [("seeds", f"{summary.seeds:,}"), ("seeds on which the auditor disagrees", f"{len(summary.failed):,}")]
        rows += [(f"seeds on {name}", f"{count:,}") for name, count in summary.engines.items()]
        rows += [(name, f"{count:,}") for name, count in summary.figures.items()]
        print_table(("what", "how many"), rows)
        faults = sorted(summary.faults.items(), key=lambda row: -row[1])
        print_table(("fault", "how many"), [(name, f"{count:,}") for name, count in faults])
    return 1 if summary.failed else 0


def _check(wanted: Wanted) -> None:
    if wanted.days < DAYS_MIN:
        raise cyclopts.ValidationError(msg=f"days {wanted.days}: a country needs at least {DAYS_MIN} days")
    if wanted.seeds < 1:
        raise cyclopts.ValidationError(msg=f"seeds {wanted.seeds}: say at least 1")
    if wanted.engine == "postgres" and not wanted.database:
        raise cyclopts.ValidationError(msg="engine postgres: name a server with --database postgresql://…")
    for fault in wanted.without:
        if fault not in RATES:
            raise cyclopts.ValidationError(
                msg=f"without {fault!r}: there is no such fault; there are {', '.join(RATES)}"
            )


def _plans(wanted: Wanted) -> list[Plan]:
    engines = [wanted.engine]
    if wanted.engine == "each":
        engines = ["memory", "rocks", *(["postgres"] if wanted.database else [])]
    return [
        Plan(
            seed=seed,
            engine=engines[seed % len(engines)],
            days=wanted.days,
            until=wanted.until,
            database=wanted.database,
            without=wanted.without,
        )
        for seed in range(wanted.seed, wanted.seed + wanted.seeds)
    ]


def _tell(seen: Seen, number: int, seeds: int) -> None:
    """One line a seed; for one that fails, what the auditor says and how to see it again."""
    result = seen.result
    figures = ", ".join(f"{count:,} {name}" for name, count in result.figures.items())
    struck = sum(count for fault, count in result.faults.items() if fault in RATES)
    warn(
        f"{number}/{seeds} seed {result.plan.seed} {result.plan.engine}: {seen.seconds:.1f} s, {figures}, "
        f"{struck:,} faults, {result.fingerprint}"
    )
    if seen.smallest is None:
        return
    say(f"seed {result.plan.seed} on {result.plan.engine}, day {result.day}: the auditor disagrees")
    for finding in result.findings:
        say(f"  {finding}")
    say(f"the shortest run that fails: {command_of(seen.smallest)}")
