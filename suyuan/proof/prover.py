"""Makes proofs from a sealed record: that a record is in it, and that the record only grew."""

import base64
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from suyuan.ledger.events import Event
from suyuan.ledger.signer import Link
from suyuan.proof.chain import Segment
from suyuan.proof.checkpoints import Checkpoints
from suyuan.proof.leaf import Leaf, leaf, numbers_of
from suyuan.proof.tree import HASH, consistency, inclusion, levels_of, path_in
from suyuan.proof.verifier import FORMAT, Checkpoint, Key, written

TREES_KEPT = 2
"""Segments whose trees stay in memory: some fifty megabytes each."""


class SealedSegment(Protocol):
    """What proof asks of a sealed segment."""

    @property
    def line(self) -> Segment:
        """Its line in the chain."""
        ...

    @property
    def arrived_first(self) -> int:
        """The earliest arrival in it, µs UTC."""
        ...

    @property
    def arrived_last(self) -> int:
        """The latest arrival in it."""
        ...


class Sealed(Protocol):
    """What proof asks of whoever keeps the sealed record."""

    def segments(self) -> Sequence[SealedSegment]:
        """All sealed segments in order."""
        ...

    def leaves(self, number: int) -> bytes:
        """The leaf hashes of one segment in the order of the feed, 32 bytes each."""
        ...

    def feed_of(self, key: str, sequence: int) -> int | None:
        """The number in the feed, from 0, of a sealed event, as the columns have it; None where they have it not."""
        ...


class Place(NamedTuple):
    """Where an event stands in the sealed record."""

    segment: Segment
    at: int
    """Its index in the segment, from 0."""
    leaf: Leaf
    hidden: bool


class Prover:
    """Proofs over one node's sealed record, led to its newest checkpoint."""

    def __init__(
        self, sealed: Sealed, checkpoints: Checkpoints, salt_key: bytes, chain: Sequence[Link], sm2: Key | None = None
    ) -> None:
        self._sealed = sealed
        self.checkpoints = checkpoints
        self._salt_key = salt_key
        self._chain = chain
        self.sm2 = sm2
        self._levels = lru_cache(maxsize=TREES_KEPT)(self._tree)

    def place_of(self, event: Event) -> Place | None:
        """Where an event stands in the sealed record; None while it is not sealed, or no longer what was sealed."""
        sealed = self._sealed.segments()
        number = self._sealed.feed_of(event.key, event.sequence)
        if number is not None and sealed:
            line = sealed[bisect_right([each.line.first for each in sealed], number) - 1].line
            if (found := self._at(line, event, number)) is not None:
                return found
        # The columns may be gone, or altered: the leaves alone tell it too, if more slowly.
        for each in sealed:
            if each.arrived_first <= event.arrived <= each.arrived_last:
                for number in numbers_of(event, each.line, self._hashes(each.line.number), self._salt_key):
                    return self._at(each.line, event, number)
        return None

    def is_altered(self, event: Event) -> bool:
        """Whether something was sealed in the place of this event, and this event is not it."""
        return self.place_of(event) is None and self._sealed.feed_of(event.key, event.sequence) is not None

    def _at(self, line: Segment, event: Event, number: int) -> Place | None:
        index, hashes = number - line.first, self._hashes(line.number)
        if 0 <= index < len(hashes):
            for hidden in (False, True):
                tried = leaf(event, number, self._salt_key, hidden=hidden)
                if tried.hash == hashes[index]:
                    return Place(line, index, tried, hidden)
        return None

    def _hashes(self, number: int) -> Sequence[bytes]:
        return self._levels(number)[0]

    def _tree(self, number: int) -> list[Sequence[bytes]]:
        raw = self._sealed.leaves(number)
        return levels_of([raw[at : at + HASH] for at in range(0, len(raw), HASH)])

    def proof(
        self,
        places: Iterable[Place],
        checkpoint: Checkpoint | None,
        promises: Iterable[str] = (),
        *,
        open_places: bool = False,
        open_whole: bool = False,
    ) -> bytes:
        """The proof file of records that the checkpoint covers.

        It tells what a citizen may see; `open_places` adds places that citizens are not told, `open_whole` everything.
        `promises` are signed notes about records that are not sealed yet.
        """
        tops = [each.line.hash for each in self._sealed.segments()[: checkpoint.segments]] if checkpoint else []
        records = []
        for place in places:
            assert place.segment.number < len(tops), "the checkpoint covers the segment"
            record: dict[str, Any] = {"leaf": place.leaf.text.decode()}
            if open_places and place.hidden:
                record["place"] = _opening(place.leaf.place_salt, place.leaf.place)
            if open_whole:
                record["whole"] = _opening(place.leaf.salt, place.leaf.whole)
            record["index"] = place.at
            record["path"] = _hexes(path_in(self._levels(place.segment.number), place.at))
            record["segment"] = place.segment.text.decode()
            record["segment_path"] = _hexes(inclusion(tops, place.segment.number))
            records.append(record)
        notes = [_lines(note) for note in promises]
        told = ({"records": records} if records else {}) | ({"promises": notes} if notes else {})
        return written({"suyuan proof": FORMAT, **told, **self._signed(checkpoint if records else None)})

    def is_kept(self, checkpoint: Checkpoint) -> bool:
        """Whether this node signed exactly this checkpoint."""
        note = self.checkpoints.note(checkpoint.segments)
        return note is not None and note.startswith(checkpoint.note.text + "\n")

    def growth(self, old: Checkpoint, new: Checkpoint) -> bytes:
        """The proof file that the record behind the newer checkpoint begins with that behind the older one."""
        note = self.checkpoints.note(old.segments)
        assert note is not None, "the caller has looked (`is_kept`)"
        path = _hexes(self.growth_path(old.segments, new.segments))
        return written({"suyuan proof": FORMAT, "old_checkpoint": _lines(note), "path": path, **self._signed(new)})

    def growth_path(self, old: int, new: int) -> list[bytes]:
        """The hashes that lead from the top tree of so many segments to that of more."""
        return consistency([each.line.hash for each in self._sealed.segments()[:new]], old)

    def _signed(self, checkpoint: Checkpoint | None) -> dict[str, Any]:
        note = self.checkpoints.note(checkpoint.segments) if checkpoint is not None else None
        signed = {"checkpoint": _lines(note)} if note is not None else {}
        keys = [
            {
                "public": base64.b64encode(link.public).decode(),
                "since": link.since,
                "signature": base64.b64encode(link.signature).decode(),
            }
            for link in self._chain
        ]
        sm2 = {"sm2_key": self.sm2.text(self.checkpoints.origin)} if self.sm2 is not None else {}
        return {**signed, "keys": keys, **sm2}


def _opening(salt: bytes, raw: bytes) -> dict[str, str]:
    return {"salt": base64.b64encode(salt).decode(), "bytes": base64.b64encode(raw).decode()}


def _hexes(path: Iterable[bytes]) -> list[str]:
    return [step.hex() for step in path]


def _lines(note: str) -> list[str]:
    return note.removesuffix("\n").split("\n")
