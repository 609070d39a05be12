"""`suyuan simulate`: write a small country as files, for the demo, for tests and for clients' own trials."""

from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import Format, print_json, print_table
from suyuan.simulation.country import write_country

Seed = Annotated[int, cyclopts.Parameter(help="The same seed gives the same files.")]
Institutions = Annotated[int, cyclopts.Parameter(help="Hospitals, clinics and pharmacies.")]
Boxes = Annotated[int, cyclopts.Parameter(help="Boxes produced.")]
Days = Annotated[int, cyclopts.Parameter(help="Length of the period; at least 14.")]
Noise = Annotated[str, cyclopts.Parameter(help="Honest noise: low, high, or a factor.")]


def simulate(
    folder: Annotated[Path, cyclopts.Parameter(help="Where to write; made if absent.")],
    /,
    *,
    seed: Seed = 1,
    institutions: Institutions = 320,
    boxes: Boxes = 100_000,
    days: Days = 60,
    noise: Noise = "low",
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Write a synthetic country: catalogue, uploads as real actors send them, play list, and the truth behind it."""
    try:
        summary = write_country(folder, seed, institutions=institutions, boxes=boxes, days=days, noise=noise)
    except ValueError as error:
        raise cyclopts.ValidationError(msg=str(error)) from error
    if format == "json":
        print_json(summary)
    else:
        rows = [("seed", summary.seed), ("institutions", summary.institutions), ("boxes", summary.boxes)]
        rows += [("uploads", summary.uploads), ("bytes", summary.bytes)]
        rows += [(f"planted {name}", count) for name, count in summary.planted.items()]
        print_table(("what", "how many"), rows)
    return 0
