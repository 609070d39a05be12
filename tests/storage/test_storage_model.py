"""Whatever is asked of them in whatever order, all engines give the same answers."""

import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from postgres_server import PostgresServer
from storage_facts import all_events, audit, fact

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.rocks import RocksJournal

KEYS = ["trace20:1", "trace20:10", "claim:H31:S1", "hold:code:trace20:1", "balance:escape:H31:x:0", "医保:一"]
keys = st.sampled_from(KEYS)


class TwoEngines(RuleBasedStateMachine):
    """A journal in memory, and another one that is opened again from time to time.

    Steps: append (sometimes stale, with deadlines, long enough to spill), read everything, reopen.
    """

    other: Journal

    @initialize()
    def empty(self) -> None:
        self.memory = MemoryJournal()
        self.positions: list[tuple[bytes, bytes]] = []
        self.begin()
        self.open()

    def begin(self) -> None:
        """Make an empty place for the other journal."""

    def open(self) -> None:
        """Open what is there as the other journal."""

    def append_to_both(
        self, events: list[Event], expected: dict[str, int], sealed: dict[str, bytes] | None = None
    ) -> bytes | list[str]:
        in_memory = self.memory.append(events, expected, sealed)
        answer = self.other.append(events, expected, sealed)
        if isinstance(answer, bytes) and isinstance(in_memory, bytes):
            self.positions.append((answer, in_memory))
        else:
            assert answer == in_memory
        return in_memory

    @rule(
        lengths=st.dictionaries(keys, st.sampled_from([0, 1, 1, 2, 3, 63, 70]), min_size=1),
        off=st.sampled_from([0, 0, 0, 0, 1]),
        deadline=st.sampled_from([0, 0, 5, 10]),
        document=st.sampled_from(["", "d1", "d2"]),
    )
    def append(self, lengths: dict[str, int], off: int, deadline: int, document: str) -> None:
        fetched = self.memory.fetch(lengths)
        expected = {key: fetched[key].sequence for key in lengths}
        expected[min(expected)] += off
        events = [
            fact(key, expected[key] + number + 1, deadline=deadline, document=document)
            for key, count in lengths.items()
            for number in range(count)
        ]
        sealed = {document: repr(sorted(lengths)).encode()} if document else None
        assert isinstance(self.append_to_both(events, expected, sealed), list) == bool(off)

    @rule(which=st.integers(0, 100))
    def something_falls_due(self, which: int) -> None:
        open_ = self.memory.due(1 << 40, 1_000)
        if open_:
            time, key, sequence = open_[which % len(open_)]
            last = self.memory.fetch([key])[key].sequence
            event = fact(key, last + 1, kind="due", corrects=sequence, deadline=time)
            self.append_to_both([event], {key: last})

    @rule(some=st.lists(keys))
    def fetch(self, some: list[str]) -> None:
        on_disk, in_memory = self.other.fetch(some), self.memory.fetch(some)
        assert on_disk.keys() == in_memory.keys()
        for key, history in in_memory.items():
            assert on_disk[key].sequence == history.sequence
            tail = list(on_disk[key].tail)
            assert tail == list(history.tail)[len(history.tail) - len(tail) :]

    @rule(which=st.integers(0, 100), limit=st.integers(0, 200))
    def read_on(self, which: int, limit: int) -> None:
        begins: list[tuple[bytes | None, bytes | None]] = [(None, None), *self.positions]
        position, in_memory = begins[which % len(begins)]
        events, after = self.other.since(position, limit)
        same, after_in_memory = self.memory.since(in_memory, limit)
        assert events == same
        assert self.other.since(after, 1)[0] == self.memory.since(after_in_memory, 1)[0]
        assert (after == position) == (after_in_memory == in_memory)

    @rule(until=st.integers(0, 12), limit=st.integers(1, 5))
    def look_at_deadlines(self, until: int, limit: int) -> None:
        assert self.other.due(until, limit) == self.memory.due(until, limit)

    @rule(prefix=st.sampled_from(["", "trace20:1", "hold:", "医", "z"]))
    def list_keys(self, prefix: str) -> None:
        assert list(self.other.keys(prefix)) == list(self.memory.keys(prefix))

    @rule()
    def open_again(self) -> None:
        self.other.close()
        self.open()

    @invariant()
    def documents_agree(self) -> None:
        for digest in ("d1", "d2"):
            assert self.other.document(digest) == self.memory.document(digest)

    def teardown(self) -> None:
        events: list[Event] = all_events(self.memory)
        assert all_events(self.other, limit=7) == events
        assert audit(self.other) == audit(self.memory)
        self.other.close()


class MemoryAndRocks(TwoEngines):
    """RocksDB with next to no memory of its own."""

    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())

    def open(self) -> None:
        self.other = RocksJournal(self.folder / "journal", block_cache_bytes=1 << 20, current_bytes=2_000)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class MemoryAndPostgres(TwoEngines):
    """PostgreSQL, always in the same database."""

    address = ""

    def begin(self) -> None:
        PostgresJournal(self.address).close()
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute("TRUNCATE journal.event, journal.feed, journal.deadline, journal.document")

    def open(self) -> None:
        self.other = PostgresJournal(self.address)


@pytest.fixture(scope="module", autouse=True)
def one_database(postgres_server: PostgresServer) -> None:
    MemoryAndPostgres.address = postgres_server.new_database()


MemoryAndRocks.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
MemoryAndPostgres.TestCase.settings = settings(max_examples=8, stateful_step_count=20)
TestRocksAgrees = MemoryAndRocks.TestCase
TestPostgresAgrees = MemoryAndPostgres.TestCase
