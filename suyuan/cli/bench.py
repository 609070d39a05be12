"""`suyuan bench`: the promised rates on this machine, each beside its raw limit."""

from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import Format, print_json, print_table, say, warn


def bench(
    *,
    boxes: Annotated[int, cyclopts.Parameter(help="Boxes in the ledger before anything is measured.")] = 1_000_000,
    sales: Annotated[int, cyclopts.Parameter(help="Sale scans in the CSV file.")] = 300_000,
    claims: Annotated[int, cyclopts.Parameter(help="Claims of 5 codes.")] = 20_000,
    scratch: Annotated[Path | None, cyclopts.Parameter(help="Where the node of the bench is made and removed.")] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Measure what is promised: recognition, bulk upload, claims, history, memory, start.

    Exit code 1 where a budget is not met. Nothing else should run on the machine meanwhile.
    """
    if boxes < sales or boxes < claims * 5:
        words = f"--boxes {boxes} must be at least --sales {sales} and five times --claims {claims}"
        raise cyclopts.ValidationError(msg=words)
    from suyuan.bench import rows, run  # noqa: PLC0415  loads everything

    done = run(boxes, sales, claims, scratch, lambda words: warn(f"… {words}"))
    if format == "json":
        print_json(done)
    else:
        say("  ".join(f"{name}: {value}" for name, value in done.machine.items()))
        columns = ("what", "measured", "unit", "budget", "met", "raw (ratio)", "note")
        print_table(columns, rows(done), f"{done.boxes:,} boxes in the ledger")
    return 0 if all(measure.met is not False for measure in done.measures) else 1
