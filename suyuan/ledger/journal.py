"""Journal: the few things the ledger asks of an engine."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from suyuan.ledger.events import Event


class History(Protocol):
    """What a journal knows of one key."""

    @property
    def sequence(self) -> int:
        """Number of events so far; 0 for a key never written."""
        ...

    @property
    def tail(self) -> Sequence[Event]:
        """The latest events, oldest first: all of them up to 64, at least the last one beyond."""
        ...

    @property
    def events(self) -> Sequence[Event]:
        """All events, oldest first; reads what has spilled."""
        ...


class Journal(Protocol):
    """An append-only record of facts, filed by key, with one order of arrival.

    Every key in `expected` is invariant: if its sequence is no longer what the caller saw, nothing at all is written.
    """

    def fetch(self, keys: Iterable[str]) -> dict[str, History]:
        """The histories of the keys; a key never written has sequence 0."""
        ...

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        """Write all or nothing, durably before it returns; answers the new position, or the keys that went stale.

        Each event carries its own `sequence`; those of one key follow `expected[key]` without a gap.
        `documents` are sealed raw messages by hash, kept once each.
        An event with a `deadline` is listed by `due` until a `due` event of its key that `corrects` it is appended.
        """
        ...

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        """Events after a position in order of arrival, at most about `limit`, and the position after them.

        Positions are opaque; None is the beginning. At the end: an empty list and the same position.
        """
        ...

    def due(self, until: int, limit: int) -> list[tuple[int, str, int]]:
        """Open deadlines up to `until` (µs UTC), earliest first, as (deadline, key, sequence)."""
        ...

    def keys(self, prefix: str) -> Iterable[str]:
        """All keys that begin with the prefix, in order."""
        ...

    def document(self, digest: str) -> bytes | None:
        """A sealed raw message by its hash."""
        ...

    def copy(self, path: Path) -> None:
        """A consistent copy of the journal up to now, openable by the same engine."""
        ...

    def close(self) -> None:
        """Release files and locks. Closing twice is harmless."""
        ...
