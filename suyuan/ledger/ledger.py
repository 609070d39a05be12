"""Ledger: fetch everything a batch can touch, decide purely, append once."""

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from suyuan.ledger.box import Box
from suyuan.ledger.events import NUMBER_MAX, RECORD_VERSION, Event, decoder, encoder
from suyuan.ledger.journal import History, Journal
from suyuan.ledger.keys import elsewhere_key
from suyuan.ledger.origins import Known, adopted_once

Answer = TypeVar("Answer")

ATTEMPTS_MAX = 1000
"""How often a decision is made again because another one was first. Each failure means that somebody else succeeded."""

ROUNDS_MAX = 8
"""Fetching goes in rounds: codes; their cartons, claims and batches; orders on those."""


class Contention(Exception):  # noqa: N818  the field's word for it
    """The same keys changed under a decision too many times; nothing of it was written."""


class _Nothing(NamedTuple):
    """The history of a key that was never written."""

    sequence: int = 0
    tail: Sequence[Event] = ()
    events: Sequence[Event] = ()


_NOTHING = _Nothing()


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
        self.heard: dict[str, list[Event]] = {}
        """What the nation answered about boxes before this decision, each event as stored where it came from (R23)."""
        self._elsewhere: dict[str, Box | None] = {}
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

    def elsewhere(self, key: str) -> Box | None:
        """The box as others tell of it: what came down before, and what the nation has just said; None for nothing."""
        if key not in self._elsewhere:
            history = self.histories.get(elsewhere_key(key))
            told = self.heard.get(key, ())
            known = list(history.events) if history is not None else []
            events = known + adopted_once(key, Known(history or _NOTHING), told) if told else known
            self._elsewhere[key] = Box.of(key, events) if events else None
        return self._elsewhere[key]

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
        """Make and add an event that is not a scan: of a claim, a message, an order, a balance, an alert.

        Raises:
            OverflowError: its amount, a sum of what was sent, is larger than 64 bits hold.
        """
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
        if event.price > NUMBER_MAX:
            raise OverflowError(f"{key}: an amount of {event.price} millionths of a yuan is more than can be stored")
        return self.write(event)


class Transaction(NamedTuple):
    """A decision to be taken: what to fetch first, what to fetch then, and how to decide on it."""

    keys: set[str]
    decide: Callable[[Books], Any]
    """Reads and writes its books only, and may run several times."""
    more: Callable[[Books], set[str]] | None = None
    """All keys that it needs besides, as far as its books can tell by now; asked again until nothing new is missing."""


class Failure(NamedTuple):
    """What became of a transaction that raised: nothing of it was written, and the others were not hurt."""

    error: Exception


class _Case:
    """One transaction on its way: its books as read last, its answer or failure so far."""

    __slots__ = ("answer", "books", "decide", "missing", "more", "wanted")

    def __init__(self, transaction: Transaction) -> None:
        self.wanted, self.decide, self.more = transaction
        self.missing: set[str] = set()
        self.books: Books
        self.answer: Any = None

    @property
    def failed(self) -> bool:
        return isinstance(self.answer, Failure)

    def asks(self) -> bool:
        """Whether more keys are missing, now that the last ones are there."""
        assert self.more is not None, "rounds are counted only where there are any"
        try:
            self.missing = self.more(self.books) - self.books.histories.keys()
        except Exception as error:  # noqa: BLE001  it is the answer of this one; the others go on
            self.answer = Failure(error)
            return False
        return bool(self.missing)


class _Grown(NamedTuple):
    """A history with what earlier decisions of the same append add to it."""

    before: History
    added: list[Event]

    @property
    def sequence(self) -> int:
        return self.before.sequence + len(self.added)

    @property
    def tail(self) -> Sequence[Event]:
        return [*self.before.tail, *self.added]

    @property
    def events(self) -> Sequence[Event]:
        return [*self.before.events, *self.added]


class _Attempt:
    """One attempt at some cases: what was fetched for all of them, and what they have decided so far, in order."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._fetched: dict[str, History] = {}
        self._decided: dict[str, list[Event]] = {}

    def read(self, cases: list[_Case]) -> None:
        """Fetch what the cases ask for, in rounds, each round at once for all of them."""
        ledger = self._ledger
        now = ledger.clock()
        for case in cases:
            case.books, case.missing, case.answer = ledger.books({}, now), case.wanted, None
        self._fetch(cases)
        asking = [case for case in cases if case.more]
        for _round in range(ROUNDS_MAX):
            asking = [case for case in asking if case.asks()]
            if not asking:
                return
            self._fetch(asking)

    def _fetch(self, cases: list[_Case]) -> None:
        fetched, decided = self._fetched, self._decided
        missing = set().union(*(case.missing for case in cases)) - fetched.keys()
        if missing:
            fetched.update(self._ledger.journal.fetch(missing))
        for case in cases:
            histories = case.books.histories
            histories.update((key, fetched[key]) for key in case.missing)
            if decided:
                histories.update((key, self._grown(key)) for key in case.missing & decided.keys())

    def _grown(self, key: str) -> _Grown:
        # As it will be read once stored: what decides must not depend on who else is in the append.
        added = [decoder.decode(encoder.encode(event)) for event in self._decided[key]]
        return _Grown(self._fetched[key], added)

    def decide(self, case: _Case) -> bool:
        """Decide on top of what the others decided; False where that cannot be, and it must be attempted again."""
        decided = self._decided
        rests_on_others = not decided.keys().isdisjoint(case.books.histories)
        while True:
            if rests_on_others:
                self.read([case])
                if any(self._is_out_of_step(key) for key in decided.keys() & case.books.histories.keys()):
                    return False
            if case.failed:
                return True
            try:
                case.answer = case.decide(case.books)
            except Exception as error:  # noqa: BLE001  it is the answer of this one; the others go on
                case.answer = Failure(error)
                return True
            books = case.books
            unread = (books.sequences.keys() & decided.keys()) - books.histories.keys()
            if not unread:
                break
            case.wanted |= unread
            rests_on_others = True
        if not self._ledger.rehearsing:
            for event in books.events:
                decided.setdefault(event.key, []).append(event)
        return True

    def _is_out_of_step(self, key: str) -> bool:
        """Whether another wrote this key unread, as if it were new, and it is not."""
        return self._decided[key][0].sequence != self._fetched[key].sequence + 1


def _concerned(cases: list[_Case], stale: Iterable[str]) -> list[_Case]:
    """The cases that rest on a stale key, or on what another of them wrote that does; all of them if none seems to."""
    changed = set(stale)
    found = []
    for case in cases:
        written = case.books.sequences.keys()
        if not changed.isdisjoint(case.books.histories) or not changed.isdisjoint(written):
            case.wanted |= changed & written
            changed |= written
            found.append(case)
    return found or cases


class Ledger:
    """The record of all boxes over any engine that keeps a journal."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self.journal = journal
        self.clock = clock
        """µs UTC; the only clock of the ledger."""
        self.rehearsing = False
        """True while decisions are made and answered, and nothing is written."""
        self.gate: Callable[[Iterable[str]], None] | None = None
        """Called with the keys of each append, before and after; raises where nothing may be written under them."""
        self.tag = secrets.token_hex(3)
        """Tells the ids that this process makes from those of others."""
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
        (answer,) = self.transact_together([Transaction(set(keys), decide, more)])
        if isinstance(answer, Failure):
            raise answer.error
        decided: Answer = answer
        return decided

    def transact_together(self, transactions: Iterable[Transaction]) -> list[Any]:
        """Several transactions with one fetch a round and one durable commit, as if one came after the other.

        Answers what each decided, in order, or a `Failure` with what it raised, `Contention` included. A transaction
        sees what the ones before it wrote; none is hurt by the failure of another.

        Raises:
            Exception: the journal did, for a single transaction.
        """
        cases = [_Case(transaction) for transaction in transactions]
        left = cases
        for _ in range(ATTEMPTS_MAX):
            left = self._attempt_each(left)
            if not left:
                break
        words = f"the same codes changed {ATTEMPTS_MAX} times while this upload was judged; send it again"
        for case in left:
            case.answer = Failure(Contention(words))
        return [case.answer for case in cases]

    def _attempt_each(self, cases: list[_Case]) -> list[_Case]:
        """Attempt all at once; where what one of them brings cannot be read or stored at all, one by one."""
        try:
            return self._attempt(cases)
        except Exception as error:  # noqa: BLE001  it is the answer of this one
            if len(cases) == 1:
                cases[0].answer = Failure(error)
                return []
        return [left for case in cases for left in self._attempt_each([case])]

    def _attempt(self, cases: list[_Case]) -> list[_Case]:
        """Read, decide, append; answers the cases that must be decided again."""
        attempt = _Attempt(self)
        attempt.read(cases)
        decided: list[_Case] = []
        again: list[_Case] = []
        for case in cases:
            (decided if attempt.decide(case) else again).append(case)
        while decided and (stale := self._append(decided)):
            concerned = _concerned(decided, stale)
            again += concerned
            decided = [case for case in decided if case not in concerned]
        return again

    def _append(self, cases: list[_Case]) -> list[str]:
        """Write what the cases have decided, all or nothing; answers the keys that went stale."""
        events: list[Event] = []
        expected: dict[str, int] = {}
        documents: dict[str, bytes] = {}
        for case in cases:
            books = case.books
            if case.failed or not books.events:
                continue
            seen = books.histories
            for key in books.sequences:
                if key not in expected:
                    expected[key] = seen[key].sequence if key in seen else 0
            events += books.events
            documents.update(books.documents)
        if not events or self.rehearsing:
            return []
        if self.gate is not None:
            self.gate(expected)
        stale = self.journal.append(events, expected, documents)
        if self.gate is not None:
            self.gate(expected)  # nothing is acknowledged that was tried again on another server than it was judged on
        return [] if isinstance(stale, bytes) else stale

    def books(self, histories: dict[str, History], now: int) -> Books:
        """Fresh books on these histories."""
        return Books(histories, now, self.tag, self._numbers)

    def read(self, keys: Iterable[str]) -> dict[str, list[Event]]:
        """Full histories, for queries."""
        return {key: list(history.events) for key, history in self.journal.fetch(keys).items()}
