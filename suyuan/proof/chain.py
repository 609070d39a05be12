"""The chain of segments: each names the hash of the one before, and all are leaves of the top tree.

A segment is a run of events in the order of the feed, with a Merkle tree of its own. Its line in the chain is JSON:
the words `suyuan segment 1`, its number from 0, the number of its first event in the feed, how many, root, and the hash
of the line before. The hash of a line is its leaf hash, so that one hash is both link and leaf.
"""

from typing import NamedTuple

import msgspec

from suyuan.proof.verifier import leaf_hash

NAME = "suyuan segment 1"
BEGINNING = bytes(32)
"""What the first segment names as the hash before it."""


class Segment(NamedTuple):
    """One segment as the chain has it."""

    number: int
    """From 0: its place in the top tree."""
    first: int
    """Number of its first event in the whole feed, from 0."""
    events: int
    root: bytes
    before: bytes
    """Hash of the segment before."""

    @property
    def text(self) -> bytes:
        """The line that is hashed."""
        return msgspec.json.encode((NAME, self.number, self.first, self.events, self.root.hex(), self.before.hex()))

    @property
    def hash(self) -> bytes:
        """What the next segment names, and what stands in the top tree."""
        return leaf_hash(self.text)


def chained(before: bytes, number: int, first: int, events: int, root: bytes) -> bytes:
    """The hash of a new segment, from that of the one before (`BEGINNING` for the first)."""
    return Segment(number, first, events, root, before).hash
