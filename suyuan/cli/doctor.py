"""`suyuan doctor`: is this node sound, and can this machine keep its promises?"""

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table
from suyuan.ledger.box import Box
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.lookup.totals import NOT_A_BOX
from suyuan.node import Node, is_node
from suyuan.settings import read_settings

DISK_FREE_MIN = 1 << 30
PAGE = 10_000

Finding = tuple[str, bool, str]
"""What was looked at, whether it is good, and what was found."""


def doctor(
    *,
    full: Annotated[
        bool, cyclopts.Parameter(negative="", help="Read every event and check sequences and payments.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Check the machine, the folder, the settings and, with --full, every fact: no gaps, no box paid twice."""
    findings = list(_findings(dir, full=full))
    if format == "json":
        for name, good, words in findings:
            print_json({"check": name, "good": good, "words": words})
    else:
        rows = [(name, "ok" if good else "!!", words) for name, good, words in findings]
        print_table(("check", "", "what was found"), rows)
    return 0 if all(good for _, good, _ in findings) else 1


def _findings(folder: Path, *, full: bool) -> Iterator[Finding]:
    yield "python", sys.version_info >= (3, 11), platform.python_version()
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    yield "disk", free >= DISK_FREE_MIN, f"{free / 2**30:.1f} GiB free"
    if not is_node(folder):
        yield "node", True, f"there is none in {folder} yet: the first upload or import makes it"
        return
    settings = read_settings(folder)
    for name in settings.__struct_fields__:
        yield f"setting {name}", True, str(getattr(settings, name))
    with Node.open_existing(folder) as node:
        yield "journal", True, "opens"
        yield "sync", True, f"a synced write of 4 KiB takes {_sync_time(folder) * 1000:.2f} ms"
        waiting = node.journal.due(node.ledger.clock(), PAGE)
        yield "deadlines", True, f"{len(waiting)} have passed and wait for the next command that writes"
        content = node.catalogue.content
        yield "catalogue", True, f"{len(content.products)} products, {len(content.parties)} parties"
        if full:
            yield from _every_fact(node)


def _sync_time(folder: Path) -> float:
    """Seconds that a synced write takes here, the mean of ten."""
    path = folder / ".sync-probe"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        begun = time.perf_counter()
        for _ in range(10):
            os.pwrite(handle, b"\0" * 4096, 0)
            os.fdatasync(handle)
        return (time.perf_counter() - begun) / 10
    finally:
        os.close(handle)
        path.unlink()


def _every_fact(node: Node) -> Iterator[Finding]:
    """Every history once, and the feed once: both must hold the same number of events."""
    keys = events = gaps = newer = 0
    twice: list[str] = []
    for key, history in _histories(node):
        keys += 1
        events += len(history)
        gaps += [event.sequence for event in history] != list(range(1, len(history) + 1))
        newer += any(event.version > RECORD_VERSION for event in history)
        if len(history) > 1 and not key.startswith(NOT_A_BOX) and Box.of(key, history).claimed_units() > 1:
            twice.append(key)
    told = _count_feed(node)
    yield "sequences", gaps == 0, f"{keys} keys, {events} events, {gaps} keys with a gap"
    yield "feed", told == events, f"{told} events in order of arrival, {events} filed by key"
    yield "versions", newer == 0, f"{newer} keys with events of a newer version"
    found = f"{len(twice)} boxes paid for more than once: {', '.join(twice[:3])}"
    yield "payments", not twice, found if twice else "no box is paid for twice"


def _histories(node: Node) -> Iterator[tuple[str, list[Event]]]:
    """Every key with its events, a page of keys at a time."""
    keys = iter(node.journal.keys(""))
    while page := list(islice(keys, PAGE)):
        yield from node.ledger.read(page).items()


def _count_feed(node: Node) -> int:
    count, position = 0, None
    while True:
        events, position = node.journal.since(position, PAGE)
        if not events:
            return count
        count += len(events)
