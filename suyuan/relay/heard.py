"""Whether the nation hears this record: one that may lack boxes which were paid takes in nothing of its own."""

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal, NamedTuple

import msgspec

from suyuan.ledger.events import Event
from suyuan.ledger.keys import is_beside
from suyuan.ledger.ledger import Books
from suyuan.node import Node
from suyuan.relay.feed import Feed
from suyuan.relay.filing import HEARD, last_of
from suyuan.relay.speaker import speaker_of
from suyuan.storage.refusals import JournalRefusal

TOLD = ".told"
"""The file of a node's folder that keeps up to where the nation has its journal, beside that and apart from it."""
LOOK_EVERY = 1.0
"""Seconds between two looks of a gate: another process may have learned more."""


class Unrecovered(JournalRefusal):
    """The record may lack what its nation has: nothing of its own is written until it is recovered."""


class Told(msgspec.Struct, frozen=True):
    """What the nation has of this journal, as the folder keeps it."""

    place: str
    """In the feed: up to there it was sent."""
    steps: int
    """Where the nation stood when it last answered (`State.steps`)."""
    since: int
    """Arrival of the note by which this record was heard then, µs UTC: what was told of an earlier one is past."""


def note_heard(node: Node, speaker: str, by: Literal["nation", "operator", "recovery"] = "nation") -> None:
    """Keep in the record itself under which name it is heard, or with an empty one that it is not.

    A copy and a backup have the note too, and another name. What the operator has decided for this name, the nation
    confirms, and its refusal does not change. A decision of the operator and a recovery are noted anew each time: what
    was told before them (`Told.since`) is past. A node without a nation notes nothing.
    """
    if not node.settings.nation:
        return

    def decide(books: Books) -> None:
        last = books.last(HEARD)
        was, operators = (last.detail["speaker"], _is_operators(last, node)) if last is not None else (None, False)
        if by != "nation" or (was != speaker) != operators:
            books.add(HEARD, "relayed", detail={"speaker": speaker, "by": by})

    node.ledger.transact({HEARD}, decide)
    if isinstance(node.ledger.gate, Gate):
        node.ledger.gate.look_again()


def keep_told(node: Node, place: str, steps: int) -> None:
    """Keep in the folder up to where the nation has the journal, or is about to have it.

    Where the file cannot be written, the one of before is left: it only notices less.
    """
    if not node.settings.nation:
        return
    told = Told(place, steps, _since(_noted(node)))
    fresh = node.folder / f"{TOLD}.fresh"
    with suppress(OSError):
        fresh.write_bytes(msgspec.json.encode(told))
        fresh.replace(node.folder / TOLD)


def unrecovered(node: Node) -> str:
    """Why nothing of this record's own may be written, and what to do, in words; empty where it may.

    It may not where the nation refused it, or heard it under another name: it was restored, copied or moved since. Nor
    where the journal or the database was put back to before what the nation has. A node without a nation may, and one
    that was never heard.
    """
    if not node.settings.nation:
        return ""
    noted = _noted(node)
    heard = noted is None or noted.detail["speaker"] == speaker_of(node)
    if heard and not _is_older(node, noted):
        return ""
    return (
        "the nation does not hear this record: it was restored, copied, moved or put back to an earlier time, or "
        "another node speaks in its place, "
        "and boxes may have been paid that it does not know. Until it is recovered no claim is decided, and a server "
        "lays uploads aside. If this node is to speak for the province: as soon as the nation can be reached, stop "
        f"the server, run `suyuan relay recover --dir {node.folder}`, and start it again"
    )


def is_forgotten(node: Node, steps: int) -> bool:
    """Whether a nation that stands there and hears another node has lost that it heard this one: it was restored."""
    told, noted = _told(node), _noted(node)
    return told is not None and 0 < steps < told.steps and told.since == _since(noted) and not unrecovered(node)


def _is_older(node: Node, noted: Event | None) -> bool:
    """Whether the journal lacks what was told of it: the place up to where, or the note by which it was heard then."""
    told = _told(node)
    if told is None or told.since != _since(noted):
        return told is not None and told.since > _since(noted)
    try:
        Feed(node, told.place).check()
    except ValueError:
        return True
    return False


def _told(node: Node) -> Told | None:
    """What the folder keeps; none where that is nothing, or a loss of power tore it."""
    try:
        return msgspec.json.decode((node.folder / TOLD).read_bytes(), type=Told)
    except (OSError, msgspec.MsgspecError):
        return None


def _noted(node: Node) -> Event | None:
    return last_of(node.journal.fetch([HEARD])[HEARD])


def _since(noted: Event | None) -> int:
    return noted.arrived if noted is not None else 0


def _is_operators(noted: Event, node: Node) -> bool:
    return bool(noted.detail == {"speaker": speaker_of(node), "by": "operator"})


class _Look(NamedTuple):
    """What a gate saw."""

    at: float
    """Monotonic, s."""
    mark: tuple[int, int]
    """Changes where it must look again: by what was noted here, and by connections that may lead elsewhere."""
    words: str


class Gate:
    """Stands before all that is written to a province's record. Any number of threads may use it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._notes = 0
        self._look = _Look(0.0, (-1, 0), "")

    def look_again(self) -> None:
        """Rest on nothing that was seen before: this process has noted something else."""
        self._notes += 1

    def __call__(self, keys: Iterable[str]) -> None:
        """Let through what goes under these keys; what the relay files beside the record always may.

        Raises:
            Unrecovered: the record is to be recovered first.
        """
        if all(map(is_beside, keys)):
            return
        look, now = self._look, time.monotonic()
        # A new connection may lead to a database that was put back, or to a standby that lacks the last facts.
        mark = self._notes, getattr(self._node.journal, "greeted", 0)
        if look.mark != mark or now - look.at > LOOK_EVERY:
            self._look = look = _Look(now, mark, unrecovered(self._node))
        if look.words:
            raise Unrecovered(look.words)
