"""What the commands that take uploads have in common: the node they write to, and the faults they show."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from suyuan.cli.output import warn
from suyuan.formats.document import Document, Outcome
from suyuan.formats.summary import faults_of, notes_of
from suyuan.node import Node, is_node

SHOWN_MAX = 20
"""Faults shown on the terminal; all of them go to the rejects file."""


@contextmanager
def node_to_write(folder: Path, *, dry_run: bool) -> Iterator[Node]:
    """The node in a folder, made if need be, with what has fallen due written first.

    A dry run writes nothing, and leaves no folder behind where there is none.
    """
    none_yet = dry_run and not is_node(folder)
    scratch = TemporaryDirectory(prefix="suyuan-rehearsal-") if none_yet else nullcontext(folder)
    with scratch as place, Node.open(Path(place)) as node, joined(node):
        node.rehearse(dry_run)
        node.take_time()
        yield node


@contextmanager
def joined(node: Node) -> Iterator[None]:
    """A province asks its nation before it pays (R23), and takes nothing before it is recovered, as its server does.

    Raises:
        Unrecovered: it is to be recovered first.
    """
    if not node.settings.nation:
        yield
        return
    from suyuan.relay.heard import Unrecovered, unrecovered  # noqa: PLC0415  only a province needs it
    from suyuan.relay.station import Station  # noqa: PLC0415  likewise

    if words := unrecovered(node):
        raise Unrecovered(words)
    with closing(Station(node)):
        yield


class KeptApart:
    """What our own code fails on goes into the node's quarantine, and the rest of the files goes on."""

    def __init__(self, node: Node, by: str) -> None:
        self._node = node
        self._by = by

    def look(self, document: Document, outcome: Outcome) -> None:
        """Keep a document on which its reader failed; the outcome says so then."""
        if document.crash is not None:
            outcome.fatal = self._keep(document.format, "read", document.raw, document, document.crash)

    def failed(self, document: Document, error: Exception) -> Outcome:
        """Keep a document on which the decision failed; what is no fault of ours is raised as it was."""
        from suyuan.formats.keeping import packed_document  # noqa: PLC0415  loaded only when something went wrong
        from suyuan.portals.failing import is_poison  # noqa: PLC0415

        if not is_poison(error):
            raise error
        words = self._keep("document", "take", packed_document(document), document, error)
        return Outcome(fatal=words, problems=document.problems)

    def _keep(self, door: str, step: str, content: bytes, document: Document, error: Exception) -> str:
        """Keep it where there is room; answers why it was not taken."""
        from suyuan.formats.faults import refusal  # noqa: PLC0415  as above
        from suyuan.storage.quarantine import QuarantineFull  # noqa: PLC0415

        if self._node.ledger.rehearsing:
            return refusal("failed")
        try:
            number = self._node.quarantine.keep(door, step, content, document.institution or self._by, error)
        except QuarantineFull:
            warn("the program itself failed on a message, and the quarantine is full: suyuan quarantine list")
            return refusal("not_kept")
        warn(f"the program itself failed on a message: suyuan quarantine show {number}")
        return refusal("crashed")


class FaultsShown:
    """Faults of an upload on the terminal: the first of them, and how many more there are."""

    def __init__(self) -> None:
        self.count = 0

    def show(self, document: Document, outcome: Outcome) -> bool:
        """Show what was not taken of one document, then what was taken with a remark; true where something was not."""
        faults = list(faults_of(document, outcome))
        for where, reason in [*faults, *notes_of(document, outcome)]:
            self.count += 1
            if self.count <= SHOWN_MAX:
                warn(": ".join(filter(None, (*_place(document, where), reason))))
        return bool(faults)

    def close(self) -> None:
        """Say how many were not shown."""
        if self.count > SHOWN_MAX:
            warn(f"… and {self.count - SHOWN_MAX:,} more")


def _place(document: Document, where: str) -> Iterable[str]:
    """A line of a table by its number; a place in a message after the message's own line in its file."""
    if where.isdecimal():
        return (f"line {where}",)
    return (f"line {document.first_line}" if document.first_line and document.format != "table" else "", where)
