"""Merkle trees of RFC 6962 and RFC 9162: roots, proofs that something is in a tree, proofs that a tree only grew.

What checks a proof stands in `verifier.py`, which anybody can keep; here is what makes one.
"""

import hashlib
from collections.abc import Sequence

from suyuan.proof.verifier import leaf_hash, node_hash, verify_consistency, verify_inclusion

__all__ = [
    "EMPTY",
    "HASH",
    "consistency",
    "inclusion",
    "leaf_hash",
    "levels_of",
    "node_hash",
    "path_in",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

HASH = 32
"""Bytes of a hash."""
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162, 2.1.1)."""


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    level = hashes
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else EMPTY


def inclusion(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The path from one leaf to the root: the sibling at each level, lowest first (RFC 9162, 2.1.3.1).

    Raises:
        IndexError: there is no such leaf.
    """
    return path_in(levels_of(hashes), index)


def levels_of(hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """A whole tree, leaves first: for who asks for many paths in it."""
    levels = [hashes]
    while len(levels[-1]) > 1:
        levels.append(_above(levels[-1]))
    return levels


def path_in(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """The path from one leaf to the root of a tree that is at hand.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(levels[0]):
        raise IndexError(f"a tree of {len(levels[0])} leaves has no leaf {index}")
    path = []
    for level in levels:
        if (sibling := index ^ 1) < len(level):
            path.append(level[sibling])
        index >>= 1
    return path


def consistency(hashes: Sequence[bytes], old: int) -> list[bytes]:
    """What shows that the tree over the first `old` leaves is the beginning of this one (RFC 9162, 2.1.4.1).

    Raises:
        IndexError: the tree never had so few or so many leaves.
    """
    if not 0 < old <= len(hashes):
        raise IndexError(f"a tree of {len(hashes)} leaves has none before it with {old}")
    return _subproof(hashes, old, whole=True) if old < len(hashes) else []


def _subproof(hashes: Sequence[bytes], old: int, *, whole: bool) -> list[bytes]:
    """`whole` while the part under proof is itself a tree that the reader knows the root of."""
    size = len(hashes)
    if old == size:
        return [] if whole else [root_of(hashes)]
    split = 1 << (size - 1).bit_length() - 1
    if old <= split:
        return [*_subproof(hashes[:split], old, whole=whole), root_of(hashes[split:])]
    return [*_subproof(hashes[split:], old - split, whole=False), root_of(hashes[:split])]


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The level above; one left over goes up as it is."""
    sha256, each = hashlib.sha256, iter(level)
    above = [sha256(b"\x01" + left + right).digest() for left, right in zip(each, each, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above
