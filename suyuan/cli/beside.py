"""Commands beside a running server: they ask it by its control door for what it alone has open."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from suyuan.cli.output import warn
from suyuan.node import Node
from suyuan.storage.folder import COPY
from suyuan.storage.inbox import FOLDER as INBOX
from suyuan.storage.inbox import waiting_in
from suyuan.storage.refusals import JournalInUse


@contextmanager
def node_to_read(folder: Path) -> Iterator[Node]:
    """The node in a folder, as a copy of its journal has it, so that a server of it goes on or can be begun meanwhile.

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
    with ExitStack() as held:
        node = held.enter_context(opened)
        if node.settings.engine != "rocks":
            yield node
            return
        place = folder / f"{COPY}{secrets.token_hex(6)}"
        held.callback(shutil.rmtree, place, ignore_errors=True)
        node.journal.copy(place / "journal")
        node.close()
        with Node.open_copy(folder, place / "journal") as copied:
            yield copied


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
