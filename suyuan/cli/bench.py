"""`suyuan bench`: the promised rates on this machine, each beside its raw limit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from suyuan.cli.output import Format, print_json, print_table, say, warn

if TYPE_CHECKING:
    from suyuan.bench.core import Bench
    from suyuan.bench.sizes import Course


app = cyclopts.App(name="bench", help="Measure what is promised; `suyuan bench http` measures the server.")


@app.default
def bench(
    *,
    boxes: Annotated[int, cyclopts.Parameter(help="Boxes in the ledger before anything is measured.")] = 1_000_000,
    sales: Annotated[int, cyclopts.Parameter(help="Sale scans in the CSV file.")] = 300_000,
    claims: Annotated[int, cyclopts.Parameter(help="Claims of 5 codes.")] = 20_000,
    at: Annotated[
        str, cyclopts.Parameter(help="Measure one growing ledger at these sizes instead, as 1m,10m,50m.")
    ] = "",
    database: Annotated[str, cyclopts.Parameter(help="With --at: in this empty PostgreSQL database.")] = "",
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the node of the bench is made and removed.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Measure what is promised: recognition, bulk upload, claims, history, memory, start.

    Exit code 1 where a budget is not met. Nothing else should run on the machine meanwhile.
    """
    if at:
        from suyuan.bench.sizes import course  # noqa: PLC0415  loads everything

        try:
            asked = course(at, sales, claims, database)
        except ValueError as error:
            raise cyclopts.ValidationError(msg=str(error)) from error
        return _at_sizes(asked, scratch, format)
    if database:
        raise cyclopts.ValidationError(msg="--database goes with --at")
    if boxes < sales or boxes < claims * 5:
        words = f"--boxes {boxes} must be at least --sales {sales} and five times --claims {claims}"
        raise cyclopts.ValidationError(msg=words)
    from suyuan.bench.core import run  # noqa: PLC0415  loads everything

    done = run(boxes, sales, claims, scratch, lambda words: warn(f"… {words}"))
    return _show(done, format)


def _at_sizes(asked: "Course", scratch: Path | None, format: Format) -> int:  # noqa: A002  the option's name
    from suyuan.bench.sizes import columns, rows, run  # noqa: PLC0415  loads everything

    done = run(asked, folder=scratch, say=lambda words: warn(f"… {words}"))
    if format == "json":
        print_json(done)
    else:
        say("  ".join(f"{name}: {value}" for name, value in done.machine.items()))
        print_table(columns(done), rows(done), f"{done.engine}: one growing ledger; × is the ratio to the first size")
    return 0


@app.command
def http(
    *,
    boxes: Annotated[int, cyclopts.Parameter(help="Boxes in the ledger before anything is measured.")] = 1_000_000,
    requests: Annotated[int, cyclopts.Parameter(help="Requests of each kind.")] = 10_000,
    minutes: Annotated[float, cyclopts.Parameter(help="How long memory is watched under an even load.")] = 0.5,
    profile: Annotated[bool, cyclopts.Parameter(help="Show where the server's CPU time goes.", negative="")] = False,
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the node of the bench is made and removed.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Measure the server, the load on the same machine: sales, claims, checks, files beside the counter, memory.

    Exit code 1 where a budget is not met. Nothing else should run on the machine meanwhile.
    """
    from suyuan.bench.http import run  # noqa: PLC0415  loads everything

    done = run(boxes, requests, minutes=minutes, profile=profile, folder=scratch, say=lambda words: warn(f"… {words}"))
    return _show(done, format)


@app.command
def lake(
    *,
    events: Annotated[int, cyclopts.Parameter(help="Events in the journal that is sealed.")] = 5_000_000,
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the node of the bench is made and removed.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Measure sealing: the journal's feed into the lake, the stages of it, questions over the lake.

    Exit code 1 where a budget is not met. Nothing else should run on the machine meanwhile.
    """
    if events < 1:
        raise cyclopts.ValidationError(msg=f"--events is {events}; it must be at least 1")
    from suyuan.bench.lake import run  # noqa: PLC0415  loads everything

    return _show(run(events, scratch, lambda words: warn(f"… {words}")), format)


@app.command
def cluster(
    *,
    database: Annotated[str, cyclopts.Parameter(help="An empty database, which stays filled: postgresql://…")],
    processes: Annotated[int, cyclopts.Parameter(help="Processes that work on it at once.")] = 4,
    boxes: Annotated[int, cyclopts.Parameter(help="Boxes in the ledger before anything is measured.")] = 1_000_000,
    sales: Annotated[int, cyclopts.Parameter(help="Sale scans of all processes together.")] = 200_000,
    claims: Annotated[int, cyclopts.Parameter(help="Claims of 5 codes of all processes together.")] = 20_000,
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the folders of the processes are made.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Measure bulk uploads and claims of several processes on one PostgreSQL database or Citus cluster.

    Exit code 1 where a budget is not met. Nothing else should run on the machine meanwhile.
    """
    if processes < 1 or boxes < sales + claims * 5:
        words = (
            f"--boxes {boxes} must be at least --sales {sales} and five times --claims {claims}, of 1 process or more"
        )
        raise cyclopts.ValidationError(msg=words)
    from suyuan.bench.cluster import Plan, run  # noqa: PLC0415  loads everything

    plan = Plan(database=database, processes=processes, boxes=boxes, sales=sales, claims=claims)
    done = run(plan, folder=scratch, say=lambda words: warn(f"… {words}"))
    return _show(done, format)


@app.command
def soak(
    *,
    minutes: Annotated[int, cyclopts.Parameter(help="How long.")] = 10,
    rate: Annotated[float, cyclopts.Parameter(help="Requests a second, evenly: sales, claims and checks.")] = 100,
    database: Annotated[str, cyclopts.Parameter(help="On this empty PostgreSQL database, which stays filled.")] = "",
    workers: Annotated[int, cyclopts.Parameter(help="Server processes; several need a database.")] = 1,
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the node of the bench is made and removed.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Load a server evenly for a long time and watch memory, open files, threads and times, minute by minute.

    Exit code 1 where something of it goes on growing through the second half.
    """
    if minutes < 1 or workers < 1 or rate <= 0 or (workers > 1 and not database):
        raise cyclopts.ValidationError(msg="--minutes, --rate and --workers are more than 0; several need --database")
    from suyuan.bench.soak import COLUMNS, Course, rows, run  # noqa: PLC0415  loads everything

    asked = Course(minutes=minutes, rate=rate, database=database, workers=workers)
    done = run(asked, folder=scratch, say=lambda words: warn(f"… {words}"))
    if format == "json":
        print_json(done)
    else:
        say("  ".join(f"{name}: {value}" for name, value in done.machine.items()))
        print_table(COLUMNS, rows(done), f"{done.rate:,.0f} requests a second")
        say("; ".join(done.leaks) or "nothing went on growing")
    return 1 if done.leaks else 0


def _show(done: "Bench", format: Format) -> int:  # noqa: A002  the option's name
    from suyuan.bench.core import rows  # noqa: PLC0415  loads everything

    if format == "json":
        print_json(done)
    else:
        say("  ".join(f"{name}: {value}" for name, value in done.machine.items()))
        columns = ("what", "measured", "unit", "budget", "met", "raw (ratio)", "note")
        print_table(columns, rows(done), f"{done.boxes:,} boxes in the ledger")
    return 0 if all(measure.met is not False for measure in done.measures) else 1
