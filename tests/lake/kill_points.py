"""Kills sealing or merging at every write, one after the other, and finishes what was left: a program of its own.

    python kill_points.py FOLDER seal|compact [EVERY]

Each run is a fork that kills itself with SIGKILL just before its n-th write; what it left unfinished is then cut off
somewhere, as a lost page cache would, and another fork goes on and compares the lake with the journal.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from sealed_lake import Facts, agreed, append, journal_of, lake_of

from suyuan.lake.compaction import compact
from suyuan.lake.lake import Lake
from suyuan.storage.memory import MemoryJournal

WRITES = {"open", "os.rename", "os.remove", "os.mkdir"}


class Killer:
    """Counts what is about to be written below a folder, and ends the process at one of it."""

    def __init__(self, folder: Path, at: int) -> None:
        self._folder = str(folder)
        self._left = at
        sync = os.fsync

        def fsync(handle: Any) -> None:
            self._count()
            sync(handle)

        os.fsync = fsync  # type: ignore[assignment]  # for this process alone
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in WRITES and str(arguments[0]).startswith(self._folder):
            reads = event == "open" and not int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
            if not reads:
                self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def in_fork(work: Callable[..., object], *arguments: object) -> int:
    """The exit code of a forked process that does the work; negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001  the parent tells it
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def work(lake: Lake, what: str, at: int) -> None:
    Killer(lake.folder.parent, at)
    if what == "seal":
        lake.seal(workers=0, segment_events=80)
    else:
        compact(lake.folder)


def finish(lake: Lake, journal: MemoryJournal) -> None:
    lake.seal(workers=0, segment_events=80)
    compact(lake.folder)
    agreed(lake, journal)
    assert not [*lake.folder.glob("**/*.part")], "leftovers are swept up"


def seal_some(lake: Lake) -> None:
    lake.seal(workers=0, segment_events=40)


def main(home: Path, what: str, every: int) -> int:
    facts = Facts()
    journal = journal_of([facts.batch(40) for _ in range(4)])
    original = home / "original"
    original.mkdir()
    if what == "compact" and in_fork(seal_some, lake_of(original, journal)):
        return 1
    append(journal, facts.batch(40))
    for at in range(1, 1_000, every):
        copy = home / f"{at}"
        shutil.copytree(original, copy)
        lake = lake_of(copy, journal)
        ended = in_fork(work, lake, what, at)
        if ended != -signal.SIGKILL:
            sys.stdout.write(f"{at - 1}\n")
            return ended
        for path in lake.folder.glob("**/*.part"):
            path.write_bytes(path.read_bytes()[: Random(at).randrange(path.stat().st_size + 1)])
        if in_fork(finish, lake, journal):
            sys.stderr.write(f"after a kill at write {at}\n")
            return 1
        shutil.rmtree(copy)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))
