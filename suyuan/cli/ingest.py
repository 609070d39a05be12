"""`suyuan ingest`: files of any kind through the one door, with progress, a summary and the bad lines to mend."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say, warn
from suyuan.cli.progress import Progress, counted
from suyuan.formats.document import Document
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import Rejects
from suyuan.formats.summary import Summary, faults_of
from suyuan.node import Node

SHOWN_MAX = 20
"""Faults shown on the terminal; all of them go to the rejects file."""


def ingest(
    files: Annotated[tuple[Path, ...], cyclopts.Parameter(help="CSV, JSON lines, NHSA messages or EPCIS documents.")],
    /,
    *,
    by: Annotated[str, cyclopts.Parameter(help="Institution or firm that speaks, where the file does not say.")] = "",
    rejects: Annotated[Path | None, cyclopts.Parameter(help="Where to write lines that were not taken, with reasons.")] = None,
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Judge everything and write nothing.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Take files in: good lines go in durably, bad lines come back with what, where, the value and what to do."""
    summary = Summary()
    begun = time.monotonic()
    with (
        Node.open(dir) as node,
        Rejects(rejects) if rejects else nullcontext() as out,
        Progress(files, quiet=format == "json") as progress,
    ):
        node.rehearse(dry_run)
        node.take_time()
        for path in files:
            for document in counted(open_documents(path, by), progress):
                _take(node, document, by, summary, out)
    summary.seconds = round(time.monotonic() - begun, 3)
    _report(summary, format, rejects, dry_run=dry_run)
    return 1 if summary.rejected or summary.conflicts else 0


_shown = 0


def _take(node: Node, document: Document, by: str, summary: Summary, out: Any) -> None:  # noqa: ANN401  Rejects or nothing
    global _shown  # noqa: PLW0603  one terminal, one count
    outcome = node.take(document, by)
    summary.add(document, outcome)
    faults = list(faults_of(document, outcome))
    if out is not None:
        out.add(document, faults)
    for where, reason in faults[: max(0, SHOWN_MAX - _shown)]:
        warn(f"{f'line {where}: ' if where else ''}{reason}")
        _shown += 1


def documents_of(files: tuple[Path, ...], by: str) -> Iterator[Document]:
    """All documents of all files, in order."""
    for path in files:
        yield from open_documents(path, by)


def _report(summary: Summary, format: str, rejects: Path | None, *, dry_run: bool) -> None:  # noqa: A002
    if format == "json":
        print_json(summary)
        return
    names = ("read", "accepted", "repeated", "conflicts", "rejected", "seconds")
    print_table(names, [[getattr(summary, name) for name in names]])
    if summary.rejected:
        say(f"rejected lines: mend {rejects} and ingest it again" if rejects else "add --rejects FILE to keep rejected lines")
    if dry_run:
        say("dry run: nothing was written")
