"""The data folder of an embedded journal: one owner at a time, and a version tag from the first day."""

import fcntl
import os
import socket
from datetime import datetime
from pathlib import Path

from suyuan.storage.refusals import JournalInUse, JournalUnusable, folder_refusal

DATABASE = "db"
"""The folder of RocksDB within the data folder."""

TAG = "FORMAT"
"""The file with the version tag."""

COPY = ".backup-"
"""Copies of the journal, in a node's folder, begin so; each goes when the command that wanted it ends."""

FORMAT = "suyuan journal, engine rocks, version 1"
"""What the version tag says. A change of the stored bytes that this program could not read raises the number."""


def owned(path: Path) -> int:
    """Become the only owner of the folder, which is made if need be; answers the lock, to be closed in the end.

    The lock belongs to the process, so a killed owner leaves none behind.

    Raises:
        JournalInUse: somebody else owns it; the text says who.
        JournalUnusable: the folder cannot be made or written.
    """
    owner = path / "OWNER"
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(owner, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(lock, 0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        except OSError:
            os.close(lock)
            raise
    except BlockingIOError:
        who = owner.read_text().strip() or "another process"
        raise JournalInUse(
            f"The journal in {path} is in use by {who}. Only one process can own it: "
            "send the request to that process, or stop it and try again."
        ) from None
    except OSError as error:
        raise folder_refusal(path, error) from error
    return lock


def is_new(path: Path) -> bool:
    """True when nothing is stored yet; False when what is stored is whole and of a version that we read.

    Raises:
        JournalUnusable: the version is unknown, or the database or its tag is missing.
    """
    tag, database = path / TAG, path / DATABASE / "CURRENT"
    if not tag.exists():
        if database.exists():
            raise JournalUnusable(
                f"The folder {path} holds a database without the version tag FORMAT: it was left half made. "
                "If it is a copy, make the copy again; if it was to be a new journal, delete it and start again."
            )
        return True
    said = tag.read_text(errors="replace").strip()
    if said != FORMAT:
        raise JournalUnusable(
            f"The journal in {path} says “{said[:80]}”; this program reads “{FORMAT}”. "
            "Open it with the program that wrote it, export there, and import here."
        )
    if not database.exists():
        raise JournalUnusable(
            f"The journal in {path} has lost its database ({database} is missing). "
            "Restore the folder from a copy; it is not started anew, for then paid boxes would be paid again."
        )
    return False


def tag_folder(path: Path) -> None:
    """Write the version tag, last of all, so that a folder that has it is whole.

    Raises:
        JournalUnusable: the tag cannot be written.
    """
    unfinished = path / "FORMAT.new"
    try:
        with unfinished.open("w") as tag:
            tag.write(FORMAT + "\n")
            tag.flush()
            os.fsync(tag.fileno())
        unfinished.rename(path / TAG)
        for folder in (path, path.parent):
            entries = os.open(folder, os.O_RDONLY)
            os.fsync(entries)
            os.close(entries)
    except OSError as error:
        raise folder_refusal(path, error) from error
