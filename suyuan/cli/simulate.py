"""`suyuan simulate`: write a small country as files, or play one after another under faults, each decided by a seed."""

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from suyuan.cli.output import Format, print_json, print_table

Seed = Annotated[int, cyclopts.Parameter(help="The same seed gives the same files, or the same faults.")]
Institutions = Annotated[int, cyclopts.Parameter(help="Hospitals, clinics and pharmacies.")]
Boxes = Annotated[int, cyclopts.Parameter(help="Boxes produced.")]
Days = Annotated[int, cyclopts.Parameter(help="Length of the period; at least 14.")]
Noise = Annotated[str, cyclopts.Parameter(help="Honest noise: low, high, or a factor.")]
Engine = Annotated[
    Literal["each", "memory", "rocks", "postgres"],
    cyclopts.Parameter(help="Of the faults: each in turn, seed by seed, or one; postgres needs --database."),
]


def simulate(
    folder: Annotated[Path | None, cyclopts.Parameter(help="Where to write a country; made if absent.")] = None,
    /,
    *,
    seed: Seed = 1,
    institutions: Institutions = 320,
    boxes: Boxes = 100_000,
    days: Days = 60,
    noise: Noise = "low",
    faults: Annotated[
        bool, cyclopts.Parameter(negative=(), help="Play small countries while everything goes wrong, and audit them.")
    ] = False,
    seeds: Annotated[int, cyclopts.Parameter(help="Of the faults: so many seeds from --seed on.")] = 1,
    engine: Engine = "each",
    database: Annotated[
        str,
        cyclopts.Parameter(show_default=False, help="Of the faults: a PostgreSQL server on which to make databases."),
    ] = "",
    until: Annotated[int, cyclopts.Parameter(help="Of the faults: the last day that is played; 0 for all.")] = 0,
    without: Annotated[
        list[str] | None, cyclopts.Parameter(negative=(), help="Of the faults: leave this one out.")
    ] = None,
    log: Annotated[
        Path | None, cyclopts.Parameter(help="Of the faults: add a line of JSON for everything that happens.")
    ] = None,
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Write a synthetic country: catalogue, uploads as real actors send them, play list, and the truth behind it.

    With --faults nothing is written: small countries are played through the real doors while stores, wires, clocks and
    processes fail, and an independent auditor compares. Exit code 1 if it disagrees; then the seed, the shortest run
    that still fails and the command that repeats it are printed.
    """
    if faults:
        from suyuan.cli.faults import Wanted, play_faults  # noqa: PLC0415  the whole house, which writing needs not

        wanted = Wanted(seed, seeds, days, engine, database, until, tuple(without or ()), log)
        return play_faults(wanted, format)
    if folder is None:
        raise cyclopts.ValidationError(msg="name the folder to write into, or say --faults")
    from suyuan.simulation.country import write_country  # noqa: PLC0415  as above

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
