"""`suyuan ingest`: files of any kind through the one door, with progress, a summary and the bad lines to mend."""

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, By, Folder, Format, print_json, print_table, say
from suyuan.cli.progress import Progress
from suyuan.cli.writing import FaultsShown, KeptApart, node_to_write
from suyuan.formats.document import Document
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import Rejects
from suyuan.formats.summary import Summary, faults_of


def ingest(
    files: Annotated[tuple[Path, ...], cyclopts.Parameter(help="CSV, JSON lines, NHSA messages or EPCIS documents.")],
    /,
    *,
    by: By = "",
    rejects: Annotated[
        Path | None, cyclopts.Parameter(help="Where to write lines that were not taken, with reasons.")
    ] = None,
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Judge everything and write nothing.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Take files in: good lines go in durably, bad lines come back with what, where, the value and what to do."""
    _check_rejects(rejects, files)
    summary, faults = Summary(), FaultsShown()
    begun = time.monotonic()
    with (
        node_to_write(dir, dry_run=dry_run) as node,
        Rejects(rejects) if rejects else nullcontext() as out,
        Progress(files, quiet=format == "json") as progress,
    ):
        apart = KeptApart(node, by)
        for document, outcome in node.take_all(_documents(files, by), by, apart.failed):
            apart.look(document, outcome)
            summary.add(document, outcome)
            faults.show(document, outcome)
            if out is not None:
                out.add(document, faults_of(document, outcome))
            progress.step(len(document.raw), len(document.records))
    summary.seconds = round(time.monotonic() - begun, 3)
    faults.close()
    _report(summary, format, rejects if out is not None and out.count else None, dry_run=dry_run)
    return 1 if summary.rejected or summary.conflicts else 0


def _documents(files: Iterable[Path], by: str) -> Iterator[Document]:
    for path in files:
        for document in open_documents(path, by):
            if by and document.format == "epcis":
                # Events name their sender by a location number, if at all, and not by the code of a party.
                document.institution = by
            yield document


def _check_rejects(rejects: Path | None, files: Iterable[Path]) -> None:
    """Before anything is taken: can the rejects be written at all, and not over what is being read?"""
    if rejects is None:
        return
    if any(rejects.exists() and path.exists() and path.samefile(rejects) for path in files):
        raise cyclopts.ValidationError(msg=f"--rejects {rejects} is one of the files to read: name another")
    if rejects.is_dir() or not rejects.parent.is_dir():
        raise cyclopts.ValidationError(
            msg=f"--rejects {rejects} cannot be written: name a file in a folder that exists"
        )


def _report(summary: Summary, format: str, rejects: Path | None, *, dry_run: bool) -> None:  # noqa: A002
    if format == "json":
        print_json(summary)
        return
    names = ("read", "accepted", "repeated", "conflicts", "rejected", "seconds")
    print_table(names, [[getattr(summary, name) for name in names]])
    if rejects is not None:
        say(f"rejected lines are in {rejects}: mend them and ingest the file")
    elif summary.rejected:
        say("--rejects FILE keeps rejected lines, to be mended and sent again")
    if dry_run:
        say("dry run: nothing was written")
