"""Whatever is asked of them in whatever order, both engines give the same answers."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from storage_facts import all_events, audit, fact

from suyuan.ledger.events import Event
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.rocks import RocksJournal

KEYS = ["trace20:1", "trace20:10", "claim:H31:S1", "hold:code:trace20:1", "balance:escape:H31:x:0", "医保:一"]
keys = st.sampled_from(KEYS)


class TwoEngines(RuleBasedStateMachine):
    """A journal in memory, and one on disk that is opened again from time to time, with next to no memory of its own.

    Steps: append (sometimes stale, with deadlines, long enough to spill), read everything, reopen.
    """

    @initialize()
    def empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.memory = MemoryJournal()
        self.open()
        self.positions: list[bytes] = []

    def open(self) -> None:
        self.rocks = RocksJournal(self.folder / "journal", block_cache_bytes=1 << 20, current_bytes=2_000)

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
        answer = self.rocks.append(events, expected, sealed)
        assert answer == self.memory.append(events, expected, sealed)
        assert isinstance(answer, list) == bool(off)
        if isinstance(answer, bytes):
            self.positions.append(answer)

    @rule(which=st.integers(0, 100))
    def something_falls_due(self, which: int) -> None:
        open_ = self.memory.due(1 << 40, 1_000)
        if open_:
            time, key, sequence = open_[which % len(open_)]
            last = self.memory.fetch([key])[key].sequence
            event = fact(key, last + 1, kind="due", corrects=sequence, deadline=time)
            assert self.rocks.append([event], {key: last}) == self.memory.append([event], {key: last})

    @rule(some=st.lists(keys))
    def fetch(self, some: list[str]) -> None:
        on_disk, in_memory = self.rocks.fetch(some), self.memory.fetch(some)
        assert on_disk.keys() == in_memory.keys()
        for key, history in in_memory.items():
            assert on_disk[key].sequence == history.sequence
            tail = list(on_disk[key].tail)
            assert tail == list(history.tail)[len(history.tail) - len(tail) :]

    @rule(which=st.integers(0, 100), limit=st.integers(0, 200))
    def read_on(self, which: int, limit: int) -> None:
        position = self.positions[which % len(self.positions)] if self.positions else None
        assert self.rocks.since(position, limit) == self.memory.since(position, limit)

    @rule(until=st.integers(0, 12), limit=st.integers(1, 5))
    def look_at_deadlines(self, until: int, limit: int) -> None:
        assert self.rocks.due(until, limit) == self.memory.due(until, limit)

    @rule(prefix=st.sampled_from(["", "trace20:1", "hold:", "医", "z"]))
    def list_keys(self, prefix: str) -> None:
        assert list(self.rocks.keys(prefix)) == list(self.memory.keys(prefix))

    @rule()
    def open_again(self) -> None:
        self.rocks.close()
        self.open()

    @invariant()
    def documents_agree(self) -> None:
        for digest in ("d1", "d2"):
            assert self.rocks.document(digest) == self.memory.document(digest)

    def teardown(self) -> None:
        events: list[Event] = all_events(self.memory)
        assert all_events(self.rocks, limit=7) == events
        assert audit(self.rocks) == audit(self.memory)
        self.rocks.close()
        shutil.rmtree(self.folder)


TwoEngines.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestBothEnginesAgree = TwoEngines.TestCase
