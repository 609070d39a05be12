"""`suyuan backup` and `suyuan restore`: what a node holds in a folder that grows by parts, and a node from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.beside import node_to_read, warn_of_laid_aside, warn_of_quarantine
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.cli.progress import Progress
from suyuan.lookup.moment import iso_time


def backup(
    goal: Annotated[
        Path, cyclopts.Parameter(help="A folder, which each run adds to; or a new FILE.zip, as `suyuan export` writes.")
    ],
    /,
    *,
    with_secrets: Annotated[
        bool, cyclopts.Parameter(negative="", help="Add the keys of pseudonyms and seals: guard the backup like them.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Back a node up, also while it is served: all that was acknowledged by now is in it."""
    from suyuan.carry import export_node  # noqa: PLC0415  only this command needs it
    from suyuan.carry.backup import back_up  # noqa: PLC0415

    with node_to_read(dir) as node, Progress((), quiet=format == "json") as progress:
        warn_of_laid_aside(dir)  # before it is read: what is recorded meanwhile is in it all the same
        node.audit.append("backup.make", str(goal), "with secrets" if with_secrets else "")
        if goal.suffix == ".zip":
            _print(format, export_node(node, goal, secrets=with_secrets))
            warn_of_quarantine(node)
            return 0
        part = back_up(node, goal, secrets=with_secrets, step=lambda count: progress.step(0, count))
    if format == "json":
        print_json(part)
    else:
        said = f"{part.batches:,} batches with {part.events:,} events and {part.documents:,} messages"
        say(f"part {part.number} of {goal}: {said}; up to batch {part.batches_before + part.batches:,}")
    return 0


def restore(
    source: Annotated[Path, cyclopts.Parameter(help="A backup: its folder, or a file of `suyuan export`.")],
    /,
    *,
    until: Annotated[
        str, cyclopts.Parameter(help="Leave out what arrived after this time, China's or with a zone.")
    ] = "",
    batches: Annotated[int, cyclopts.Parameter(help="Leave out what came after so many batches.")] = -1,
    database: Annotated[
        str, cyclopts.Parameter(help="Restore journal and tables into this empty PostgreSQL.", show_default=False)
    ] = "",
    parts: Annotated[bool, cyclopts.Parameter(negative="", help="Only list the parts of the backup.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Make a node in an empty folder from a backup; verified before anything is written, and read again after."""
    from suyuan.carry import import_node  # noqa: PLC0415  only this command needs it
    from suyuan.carry.backup import read_parts  # noqa: PLC0415
    from suyuan.carry.restore import Until, restore_node  # noqa: PLC0415
    from suyuan.formats.times import instant  # noqa: PLC0415

    end = instant(until) if until else 0
    if end is None or (until and not end):
        raise cyclopts.ValidationError(msg=f"--until {until} is no time: write it as 2026-03-09 17:30:00")
    if source.is_file():
        if until or batches >= 0 or database or parts:
            raise cyclopts.ValidationError(msg=f"{source} is an export and comes back as a whole, into a folder")
        _print(format, import_node(dir, source))
        return 0
    held = read_parts(source)
    if parts:
        rows = [
            (part.number, iso_time(part.made), part.batches_before + part.batches, part.events, iso_time(part.latest))
            for part in held
        ]
        _rows(("part", "made", "up to batch", "events", "latest arrival"), rows, format)
        return 0
    with Progress((), quiet=format == "json") as progress:
        progress.total = 2 * sum(part.events for part in held)
        found = restore_node(
            dir,
            source,
            until=Until(end, batches),
            database=database,
            step=lambda count: progress.step(count, count),
        )
    _print(format, found)
    return 0


def _print(format: str, record: object) -> None:  # noqa: A002  the option's name
    import msgspec  # noqa: PLC0415  as small as can be at the start

    if format == "json":
        print_json(record)
    else:
        print_table(("what", "value"), msgspec.to_builtins(record).items())


def _rows(columns: tuple[str, ...], rows: Sequence[tuple[object, ...]], format: str) -> None:  # noqa: A002
    if format == "json":
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    else:
        print_table(columns, rows)
