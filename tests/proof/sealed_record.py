"""A small sealed record in memory, signed, for tests of what is proven by it."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from suyuan.ledger.events import Event
from suyuan.ledger.signer import Link, Signer, followed
from suyuan.ledger.sm2 import public_of, sign_sm2
from suyuan.proof.chain import BEGINNING, Segment
from suyuan.proof.checkpoints import Checkpoints, Hand
from suyuan.proof.leaf import leaf
from suyuan.proof.prover import Prover
from suyuan.proof.tree import root_of
from suyuan.proof.verifier import ED25519, SM2, Checkpoint, Key

SALT_KEY = b"s" * 32
NOW = 1_790_000_000_000_000
PHARMACY, CLINIC = "P32010000001", "H32010000009"
SM2_PRIVATE = "0123456789ABCDEF" * 4


def sale(number: int, actor: str = PHARMACY) -> Event:
    """A sale, with all that must stay private."""
    return Event(
        version=1,
        id=f"{number:x}",
        kind="sold",
        key=f"trace20:8123456{number:013d}",
        sequence=2,
        event_time=NOW + number,
        arrived=NOW + 10 * number,
        actor=actor,
        region="320102",
        references={"receipt": f"S{number:04d}"},
        person="p1-0123456789abcdef01234567",
        prescriber="p1-fedcba9876543210fedcba98",
        document="d" * 32,
    )


class OneSegment(msgspec.Struct):
    """A segment in memory."""

    line: Segment
    arrived_first: int
    arrived_last: int
    leaves: bytes


class SmallRecord:
    """Segments in memory; the columns know nothing, so that proofs are found by the leaves alone."""

    def __init__(self, folder: Path, signers: Sequence[Signer], sm2_private: str = "") -> None:
        self.kept: list[OneSegment] = []
        self.events: list[Event] = []
        self.chain: list[Link] = []
        for before, signer in pairwise(signers):
            self.chain = followed(self.chain, before, signer, NOW)
        self.chain = self.chain or [Link(signers[-1].public, 0)]
        self.hands = [Hand(Key(ED25519, signers[-1].public), signers[-1].sign)]
        sm2 = None
        if sm2_private:
            sm2 = Key(SM2, public_of(sm2_private))
            self.hands.append(Hand(sm2, lambda message: bytes.fromhex(sign_sm2(sm2_private, message))))
        self.checkpoints = Checkpoints(folder, "suyuan/test")
        self.prover = Prover(self, self.checkpoints, SALT_KEY, self.chain, sm2)

    def seal(self, events: Sequence[Event]) -> Checkpoint:
        """Add one segment, and sign."""
        first = len(self.events)
        hashes = [
            leaf(event, first + at, SALT_KEY, hidden=event.actor == CLINIC).hash for at, event in enumerate(events)
        ]
        before = self.kept[-1].line.hash if self.kept else BEGINNING
        line = Segment(len(self.kept), first, len(events), root_of(hashes), before)
        arrived = [event.arrived for event in events]
        self.kept.append(OneSegment(line, min(arrived), max(arrived), b"".join(hashes)))
        self.events += events
        signed = self.checkpoints.sign([each.line for each in self.kept], self.hands, NOW + len(self.kept) * 60_000_000)
        assert signed is not None
        return signed

    def segments(self) -> Sequence[OneSegment]:
        """All of them."""
        return self.kept

    def leaves(self, number: int) -> bytes:
        """Of one segment."""
        return self.kept[number].leaves

    def feed_of(self, key: str, sequence: int) -> int | None:
        """Not known."""
        del key, sequence
        return None

    def proof(self, event: Event, *, open_places: bool = False, open_whole: bool = False) -> bytes:
        """The proof file of one event, by the newest checkpoint."""
        place, checkpoint = self.prover.place_of(event), self.checkpoints.latest()
        assert place is not None
        assert checkpoint is not None
        return self.prover.proof([place], checkpoint, open_places=open_places, open_whole=open_whole)
