"""`suyuan doctor`: is this node sound, and can this machine keep its promises?"""

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table
from suyuan.ledger.box import Box
from suyuan.ledger.events import RECORD_VERSION
from suyuan.node import Node
from suyuan.settings import read_settings

DISK_FREE_MIN = 1 << 30
PAGE = 10_000


def doctor(
    *,
    full: Annotated[bool, cyclopts.Parameter(negative="", help="Read every event and check sequences and payments.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Check the machine, the folder, the settings and, with --full, every fact: no gaps, no box paid twice."""
    rows = list(_checks(dir, full=full))
    if format == "json":
        for name, good, words in rows:
            print_json({"check": name, "good": good, "words": words})
    else:
        print_table(("check", "", "what was found"), [(name, "ok" if good else "!!", words) for name, good, words in rows])
    return 0 if all(good for _, good, _ in rows) else 1


def _checks(folder: Path, *, full: bool) -> Iterator[tuple[str, bool, str]]:
    yield "python", sys.version_info >= (3, 11), platform.python_version()
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    yield "disk", free >= DISK_FREE_MIN, f"{free >> 30} GiB free"
    if not folder.exists():
        yield "node", True, f"{folder} does not exist yet: the first command that writes makes it"
        return
    settings = read_settings(folder)
    for name in settings.__struct_fields__:
        yield f"setting {name}", True, str(getattr(settings, name))
    with Node.open(folder) as node:
        yield "journal", True, "opens"
        yield "sync", True, f"a synced write of 4 KiB takes {_sync_time(folder) * 1000:.2f} ms"
        waiting = node.journal.due(node.ledger.clock(), PAGE)
        yield "deadlines", True, f"{len(waiting)} have passed and wait for the next command that writes"
        yield "catalogue", True, f"{len(node.catalogue.content.products)} products, {len(node.catalogue.content.parties)} parties"
        if full:
            yield from _all_facts(node)


def _sync_time(folder: Path) -> float:
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


def _all_facts(node: Node) -> Iterator[tuple[str, bool, str]]:
    sequences: dict[str, int] = {}
    gaps = versions = 0
    position: bytes | None = None
    while True:
        events, position = node.journal.since(position, PAGE)
        if not events:
            break
        for event in events:
            gaps += event.sequence != sequences.get(event.key, 0) + 1
            versions += event.version > RECORD_VERSION
            sequences[event.key] = event.sequence
    yield "sequences", gaps == 0, f"{len(sequences)} keys, {sum(sequences.values())} events, {gaps} gaps"
    yield "versions", versions == 0, f"{versions} events of a newer version"
    twice = [
        key
        for key, count in sequences.items()
        if count > 1 and not key.startswith(("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "line:"))
        and Box.of(key, node.ledger.read([key])[key]).claimed_units() > 1
    ]  # fmt: skip
    words = f"{len(twice)} boxes paid for more than once: {', '.join(twice[:3])}" if twice else "no box is paid for twice"
    yield "payments", not twice, words
