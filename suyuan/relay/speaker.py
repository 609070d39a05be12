"""Which node speaks for a province: a name that belongs to the place of its record, and not to a copy of it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from suyuan.ledger.keys import digest
from suyuan.node import Node

FILE = ".speaker"
"""Holds the name of a folder's node, and where the file itself lies: in a copy it lies elsewhere."""
MACHINE = Path("/etc/machine-id")


@runtime_checkable
class Named(Protocol):
    """A journal that has a name of its own, whichever folders and hosts use it."""

    identity: str


def speaker_of(node: Node) -> str:
    """The name of the node that speaks; a folder that was copied, restored or moved gets a new one.

    Raises:
        OSError: the folder cannot be written.
    """
    if isinstance(node.journal, Named):
        return node.journal.identity
    path = node.folder / FILE
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as file:
        name, _, place = file.read().partition(" ")
        if name and place == _place(file.fileno()):
            return name
    return _new(path)


def _new(path: Path) -> str:
    name, unfinished = secrets.token_hex(16), path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with unfinished.open("x", encoding="utf-8") as file:
        file.write(f"{name} {_place(file.fileno())}")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    entries = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)
    return name


def _place(file: int) -> str:
    """Which machine and which file: a copied file has another number, also where its name is the same."""
    machine = MACHINE.read_text(encoding="utf-8") if MACHINE.exists() else ""
    return digest(machine, str(os.fstat(file).st_ino))
