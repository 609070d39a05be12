"""Ledger: fetch everything a batch can touch, decide purely, append once."""

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from suyuan.ledger.box import Box
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.ledger.journal import History, Journal

Answer = TypeVar("Answer")

ATTEMPTS_MAX = 1000
"""How often a decision is made again because another one was first. Each failure means that somebody else succeeded."""

ROUNDS_MAX = 8
"""Fetching goes in rounds: codes; their cartons, claims and batches; orders on those."""


class Contention(Exception):  # noqa: N818  the field's word for it
    """The same keys changed under a decision too many times; nothing of it was written."""


class Books:
    """The histories a decision may read, and the facts it has decided so far. Lives for one attempt of one transaction."""

    def __init__(self, histories: dict[str, History], now: int, ids: Iterator[str]) -> None:
        self.now = now
        self.histories = histories
        self.events: list[Event] = []
        self.documents: dict[str, bytes] = {}
        self.sequences: dict[str, int] = {}
        """Latest sequence of every key written so far."""
        self._boxes: dict[str, Box] = {}
        self._ids = ids

    def box(self, key: str) -> Box:
        """The box as it stands after what has been decided so far."""
        box = self._boxes.get(key)
        if box is None:
            box = self._boxes[key] = Box.of(key, self.histories[key].events)
        return box

    def past(self, key: str) -> list[Event]:
        """All events of a key, including those decided so far in this transaction."""
        history = self.histories.get(key)
        events = list(history.events) if history is not None else []
        if key in self.sequences:
            events.extend(event for event in self.events if event.key == key)
        return events

    def last(self, key: str) -> Event | None:
        """The latest event of a key, without reading what has spilled."""
        if key in self.sequences:
            return next(event for event in reversed(self.events) if event.key == key)
        tail = self.histories[key].tail
        return tail[-1] if tail else None

    def next_sequence(self, key: str) -> int:
        """The sequence that the next event of this key will have."""
        sequence = self.sequences.get(key)
        if sequence is None:
            history = self.histories.get(key)
            sequence = history.sequence if history is not None else 0
        return sequence + 1

    def next_id(self) -> str:
        """A time-ordered id for a new event."""
        return f"{self.now:013x}-{next(self._ids)}"

    def write(self, event: Event) -> Event:
        """Add one decided event; boxes already read see it."""
        assert event.sequence == self.next_sequence(event.key), "sequences have no gaps"
        self.sequences[event.key] = event.sequence
        self.events.append(event)
        box = self._boxes.get(event.key)
        if box is not None:
            box.apply(event)
        return event

    def add(self, key: str, kind: str, **fields: object) -> Event:
        """Make and add an event that is not a scan: of a claim, a message, an order, a balance, an alert."""
        values = {"event_time": self.now, "actor": "", **fields}
        event = Event(  # type: ignore[misc]
            version=RECORD_VERSION,
            id=self.next_id(),
            kind=kind,  # type: ignore[arg-type]
            key=key,
            sequence=self.next_sequence(key),
            arrived=self.now,
            **values,  # type: ignore[arg-type]
        )
        return self.write(event)


class Ledger:
    """The record of all boxes over any engine that keeps a journal."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self.journal = journal
        self.clock = clock
        """µs UTC; the only clock of the ledger."""
        self.rehearsing = False
        """True while decisions are made and answered, and nothing is written."""
        tag = secrets.token_hex(3)
        self._ids = (f"{number:x}-{tag}" for number in itertools.count())

    def transact(
        self,
        keys: Iterable[str],
        decide: Callable[[Books], Answer],
        more: Callable[[Books], set[str]] | None = None,
    ) -> Answer:
        """Fetch `keys` (and what `more` asks for, in rounds), decide, and append all of it in one durable commit.

        `decide` reads and writes its books only and may run several times: when a key that it wrote has changed
        meanwhile, nothing is written and it decides again on fresh books.

        Raises:
            Contention: when that happened `ATTEMPTS_MAX` times.
        """
        wanted = list(keys)
        for _ in range(ATTEMPTS_MAX):
            books = Books(self.journal.fetch(wanted), self.clock(), self._ids)
            for _round in range(ROUNDS_MAX if more else 0):
                assert more is not None, "rounds are counted only where there are any"
                missing = more(books) - books.histories.keys()
                if not missing:
                    break
                books.histories.update(self.journal.fetch(missing))
            answer = decide(books)
            if not books.events or self.rehearsing:
                return answer
            seen = books.histories
            expected = {key: seen[key].sequence if key in seen else 0 for key in books.sequences}
            if isinstance(self.journal.append(books.events, expected, books.documents), bytes):
                return answer
        raise Contention(f"the same codes changed {ATTEMPTS_MAX} times while this upload was judged; send it again")

    def read(self, keys: Iterable[str]) -> dict[str, list[Event]]:
        """Full histories, for queries."""
        return {key: list(history.events) for key, history in self.journal.fetch(keys).items()}
