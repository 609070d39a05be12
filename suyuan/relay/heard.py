"""Whether the nation hears this record: one that may lack boxes which were paid takes in nothing of its own."""

import time
from collections.abc import Iterable
from typing import Literal

from suyuan.ledger.keys import is_beside
from suyuan.ledger.ledger import Books
from suyuan.node import Node
from suyuan.relay.filing import HEARD, last_of
from suyuan.relay.speaker import speaker_of
from suyuan.storage.refusals import JournalRefusal

LOOK_EVERY = 1.0
"""Seconds between two looks of a gate: another process may have learned more."""


class Unrecovered(JournalRefusal):
    """The record may lack what its nation has: nothing of its own is written until it is recovered."""


def note_heard(node: Node, speaker: str, by: Literal["nation", "operator"] = "nation") -> None:
    """Keep in the record itself under which name it is heard, or with an empty one that it is not.

    A copy and a backup have the note too, and another name. What the operator has decided for this name, the nation
    confirms, and its refusal does not change. A node without a nation notes nothing.
    """
    if not node.settings.nation:
        return
    detail = {"speaker": speaker, "by": by}

    def decide(books: Books) -> None:
        last = books.last(HEARD)
        decided = last is not None and last.detail == {"speaker": speaker_of(node), "by": "operator"}
        if (last is None or last.detail != detail) and (speaker or not decided):
            books.add(HEARD, "relayed", detail=detail)

    node.ledger.transact({HEARD}, decide)


def unrecovered(node: Node) -> str:
    """Why nothing of this record's own may be written, and what to do, in words; empty where it may.

    It may not where the nation refused it, or heard it under another name: it was restored, copied or moved since.
    A node without a nation may, and one that was never heard.
    """
    last = last_of(node.journal.fetch([HEARD])[HEARD]) if node.settings.nation else None
    if last is None or last.detail["speaker"] == speaker_of(node):
        return ""
    return (
        "the nation does not hear this record: it was restored, copied or moved, or another node speaks in its place, "
        "and boxes may have been paid that it does not know. Until it is recovered no claim is decided, and a server "
        "lays uploads aside. If this node is to speak for the province: as soon as the nation can be reached, stop "
        f"the server, run `suyuan relay recover --dir {node.folder}`, and start it again"
    )


class Gate:
    """Stands before all that is written to a province's record. Any number of threads may use it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._looked = 0.0
        self._words = ""

    def __call__(self, keys: Iterable[str]) -> None:
        """Let through what goes under these keys; what the relay files beside the record always may.

        Raises:
            Unrecovered: the record is to be recovered first.
        """
        if all(map(is_beside, keys)):
            return
        if not self._looked or time.monotonic() - self._looked > LOOK_EVERY:
            self._words = unrecovered(self._node)
            self._looked = time.monotonic()
        if self._words:
            raise Unrecovered(self._words)
