"""Commands beside a running server: they ask it by its control door for what it alone has open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suyuan.cli.output import warn
from suyuan.node import Node
from suyuan.storage.inbox import FOLDER as INBOX
from suyuan.storage.inbox import waiting_in
from suyuan.storage.refusals import JournalInUse


@contextmanager
def node_to_read(folder: Path) -> Iterator[Node]:
    """The node in a folder, or, while a server has it open, the node as a copy of its journal has it.

    Raises:
        JournalInUse: another process has it open, and is no server that could be asked.
    """
    try:
        opened = Node.open_existing(folder)
    except JournalInUse as error:
        from suyuan.portals.control import Asked, NobodyThere  # noqa: PLC0415  costs a second of the start

        try:
            asked = Asked(folder, "copy")
        except NobodyThere:
            raise error from None
        with asked as answer, Node.open_copy(folder, folder / answer["copy"]) as node:
            yield node
        return
    with opened as node:
        yield node


def warn_of_laid_aside(folder: Path) -> int:
    """Say how many uploads are acknowledged and in no record yet, if any; answers how many."""
    if waiting := waiting_in(folder):
        warn(
            f"{waiting} uploads are laid aside in {folder / INBOX}: acknowledged, not recorded yet, and in no export "
            "or backup. Keep the folder until its server has recorded them"
        )
    return waiting


def warn_of_quarantine(node: Node) -> None:
    """Say how many messages an export leaves behind, if any."""
    if count := node.quarantined()[0]:
        warn(
            f"{count} messages are in quarantine and in no export, though their senders need not send them again: "
            "suyuan backup and suyuan move take them along"
        )
