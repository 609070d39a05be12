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
    """The histories a decision may read, and what it has decided so far. Lives for one attempt of one transaction."""

    def __init__(self, histories: dict[str, History], now: int, tag: str, numbers: Iterator[int]) -> None:
        self.now = now
        self.histories = histories
        self.events: list[Event] = []
        self.documents: dict[str, bytes] = {}
        self.sequences: dict[str, int] = {}
        """Latest sequence of every key written so far."""
        self.written: dict[str, int] = {}
        """Sequence of the event that each fact (R5) became, of several the first."""
        self._boxes: dict[str, Box] = {}
        self.asked: set[str] = set()
        """Rounds of fetching that are done, by name."""
        self._late: dict[str, list[Event]] = {}
        """Events decided on boxes already read, folded in when the box is looked at again."""
        self._orders: dict[str, list[Event]] = {}
        self.order_keys: set[str] = set()
        """Keys under which orders on products and batches of this decision would be filed."""
        self._holding: bool | None = None
        self._id = f"{now:013x}-{tag}-"
        self._numbers = numbers

    def box(self, key: str) -> Box:
        """The box as it stands after what has been decided so far."""
        box = self._boxes.get(key)
        if box is None:
            box = self._boxes[key] = Box.of(
                key, self.past(key) if key in self.sequences else self.histories[key].events
            )
        elif key in self._late:
            for event in self._late.pop(key):
                box.apply(event)
        return box

    def any_orders(self) -> bool:
        """Whether any order at all is filed on what this decision is about: mostly there is none."""
        if self._holding is None:
            self._holding = any(self.next_sequence(key) > 1 for key in self.order_keys)
        return self._holding

    def orders(self, key: str) -> list[Event]:
        """The holds filed under a batch or product that are not lifted."""
        found = self._orders.get(key)
        if found is None:
            past = self.past(key)
            lifted = {event.corrects for event in past if event.kind == "hold_lifted"}
            found = [event for event in past if event.kind == "hold_set" and event.sequence not in lifted]
            self._orders[key] = found
        return found

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
        return f"{self._id}{next(self._numbers):x}"

    def write(self, event: Event) -> Event:
        """Add one decided event; who asks for its box again sees it."""
        key = event.key
        self.sequences[key] = event.sequence
        self.events.append(event)
        if event.fact:
            self.written.setdefault(event.fact, event.sequence)
        if key in self._boxes:
            self._late.setdefault(key, []).append(event)
        elif key in self._orders:
            del self._orders[key]
            self._holding = None
        return event

    def add(self, key: str, kind: str, **fields: object) -> Event:
        """Make and add an event that is not a scan: of a claim, a message, an order, a balance, an alert."""
        values = {"event_time": self.now, "actor": "", **fields}
        event = Event(
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
        self._tag = secrets.token_hex(3)
        self._numbers = itertools.count()

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
        wanted = set(keys)
        for _ in range(ATTEMPTS_MAX):
            books = Books(self.journal.fetch(wanted), self.clock(), self._tag, self._numbers)
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
            stale = self.journal.append(books.events, expected, books.documents)
            if isinstance(stale, bytes):
                return answer
            wanted.update(stale)
        raise Contention(f"the same codes changed {ATTEMPTS_MAX} times while this upload was judged; send it again")

    def read(self, keys: Iterable[str]) -> dict[str, list[Event]]:
        """Full histories, for queries."""
        return {key: list(history.events) for key, history in self.journal.fetch(keys).items()}
