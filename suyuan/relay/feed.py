"""A province's own facts in the order of its journal, from a place on: what goes up in slices."""

import msgspec

from suyuan.ledger.events import Event
from suyuan.node import Node
from suyuan.relay.filing import is_own

PAGE = 4_000
"""Feed events read at once; a page is never smaller than one append."""


class Feed:
    """A node's own facts from a place in its journal on. The place is a text that only the same journal reads.

    Raises:
        ValueError: it is no place of any journal.
    """

    def __init__(self, node: Node, place: str = "") -> None:
        self._journal = node.journal
        self._position: bytes | None = None
        self._skip = 0
        if place:
            self._position, self._skip = msgspec.msgpack.decode(bytes.fromhex(place), type=tuple[bytes | None, int])
        self._rest: list[Event] = []
        self._after: bytes | None = None

    @property
    def place(self) -> str:
        """After what was taken so far: a journal position, and how many events behind it."""
        return msgspec.msgpack.encode((self._position, self._skip)).hex()

    def take(self, most: int) -> list[Event]:
        """The next facts, at most so many; none at the end.

        Raises:
            ValueError: the place is none of this journal.
        """
        own: list[Event] = []
        while len(own) < most and (self._rest or self._turn()):
            part = self._rest[: most - len(own)]
            self._rest = self._rest[len(part) :]
            self._skip += len(part)
            own += filter(is_own, part)
            if not self._rest:
                self._position, self._skip = self._after, 0
        return own

    def check(self) -> None:
        """See that the place is one of this journal, which has come so far.

        Raises:
            ValueError: it is not.
        """
        position, left = self._position, self._skip
        while True:
            events, position = self._journal.since(position, max(left, 1))
            left -= len(events)
            if left <= 0:
                return
            if not events:
                raise ValueError(f"the journal ends {left} events before the place")

    def _turn(self) -> bool:
        """Read the next page; false at the end."""
        events, self._after = self._journal.since(self._position, max(PAGE, self._skip + 1))
        self._rest = events[self._skip :]
        if events and not self._rest:
            # What had been taken of a page was all of this one, or more, where pages are cut otherwise now.
            self._position, self._skip = self._after, self._skip - len(events)
            return self._turn()
        return bool(events)
