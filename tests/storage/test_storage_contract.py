"""The contract of a journal, the same for every engine."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storage_facts import all_events, audit, fact, opened, put, run

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.refusals import JournalUnusable

BOX, OTHER = "trace20:81234560000000000001", "trace20:81234560000000000002"


@pytest.fixture(params=["memory", "rocks", "postgres", "postgres as on a cluster", "citus"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    database = request.getfixturevalue("database") if request.param.startswith("postgres") else ""
    if request.param == "citus":
        database = os.environ.get("SUYUAN_TEST_CITUS_DSN", "")
        if not database:
            pytest.skip("SUYUAN_TEST_CITUS_DSN names no cluster: the contract was NOT tested on Citus")
    journal = opened(request.param, tmp_path, database)
    yield journal
    journal.close()
    journal.close()  # closing twice is harmless


class TestHistories:
    def test_a_key_never_written_has_no_events(self, journal: Journal) -> None:
        for key in (BOX, "hold:batch:trace20:8123456:B1"):
            history = journal.fetch([key])[key]
            assert (history.sequence, list(history.tail), list(history.events)) == (0, [], [])

    def test_what_was_appended_comes_back_as_it_was(self, journal: Journal) -> None:
        sold = fact(
            BOX,
            1,
            reasons=("conflict_sold", "unmapped"),
            verdict="refuse",
            references={"settlement": "S1", "医嘱": "O9"},
            price=12_340_000,
            detail={"lines": [1, "二", None, 2.5, {"deep": True}]},
        )
        put(journal, [sold])
        assert list(journal.fetch([BOX, OTHER])[BOX].events) == [sold]

    def test_a_fetched_history_does_not_change_under_its_reader(self, journal: Journal) -> None:
        put(journal, run(BOX, 1, 2))
        seen = journal.fetch([BOX])[BOX]
        put(journal, run(BOX, 3, 200))
        assert (seen.sequence, list(seen.events)) == (2, run(BOX, 1, 2))
        assert journal.fetch([BOX])[BOX].sequence == 200

    def test_the_same_key_may_be_asked_for_twice_and_from_a_generator(self, journal: Journal) -> None:
        put(journal, run(BOX, 1, 1))
        assert set(journal.fetch(key for key in (BOX, OTHER, BOX))) == {BOX, OTHER}

    @pytest.mark.parametrize("length", [1, 63, 64, 65, 66, 128, 129, 1000])
    def test_a_long_history_is_whole_however_it_grew(self, journal: Journal, length: int) -> None:
        put(journal, run(BOX, 1, length))  # at once
        for sequence in range(1, min(length, 130) + 1):  # one by one
            put(journal, run(OTHER, sequence, sequence))
        for key, count in ((BOX, length), (OTHER, min(length, 130))):
            history = journal.fetch([key])[key]
            assert history.sequence == count
            assert list(history.events) == run(key, 1, count)
            tail = list(history.tail)
            assert 1 <= len(tail) <= 64
            assert tail == run(key, 1, count)[-len(tail) :]
            assert count > 64 or len(tail) == count

    def test_many_keys_are_fetched_at_once(self, journal: Journal) -> None:
        keys = [f"trace20:{number:020}" for number in range(3_000)]
        put(journal, [fact(key, 1) for key in keys[::2]])
        fetched = journal.fetch(reversed(keys))
        assert [fetched[key].sequence for key in keys] == [1, 0] * 1_500


class TestAppend:
    def test_when_one_key_is_stale_nothing_at_all_is_written(self, journal: Journal) -> None:
        before = put(journal, run(BOX, 1, 2))
        batch = [fact(OTHER, 1, deadline=5), fact(BOX, 2)]
        assert journal.append(batch, {OTHER: 0, BOX: 1}, {"d1": b"sealed"}) == [BOX]
        assert journal.fetch([OTHER])[OTHER].sequence == 0
        assert journal.since(before, 10) == ([], before)
        assert journal.due(10, 10) == []
        assert journal.document("d1") is None
        put(journal, [fact(OTHER, 1), fact(BOX, 3)])

    def test_a_key_that_was_only_read_can_be_expected_too(self, journal: Journal) -> None:
        put(journal, run(OTHER, 1, 1))
        assert journal.append(run(BOX, 1, 1), {BOX: 0, OTHER: 0}) == [OTHER]
        assert isinstance(journal.append(run(BOX, 1, 1), {BOX: 0, OTHER: 1}), bytes)

    def test_all_stale_keys_are_named(self, journal: Journal) -> None:
        put(journal, [fact(BOX, 1), fact(OTHER, 1)])
        assert journal.append([], {OTHER: 0, BOX: 7, "new": 0}) == [OTHER, BOX]

    @pytest.mark.parametrize(
        ("events", "expected"),
        [
            (run(BOX, 2, 2), {BOX: 0}),
            ([fact(BOX, 1), fact(BOX, 3)], {BOX: 0}),
            ([fact(BOX, 1), fact(BOX, 1)], {BOX: 0}),
            (run(BOX, 1, 1), {OTHER: 0}),
            ([fact(BOX, 1, kind="due", deadline=5)], {BOX: 0}),
        ],
        ids=["does not follow", "gap", "twice", "not expected", "due without what fell due"],
    )
    def test_a_fault_of_our_own_code_is_caught_before_anything_is_written(
        self, journal: Journal, events: list[Event], expected: dict[str, int]
    ) -> None:
        with pytest.raises(AssertionError):
            journal.append(events, expected)
        assert all_events(journal) == []
        put(journal, run(BOX, 1, 2))

    def test_what_cannot_be_stored_is_not_taken(self, journal: Journal) -> None:
        with pytest.raises(TypeError):
            journal.append([fact(BOX, 1, detail=object())], {BOX: 0})
        put(journal, run(BOX, 1, 1))

    def test_an_append_of_nothing_answers_where_the_record_stands(self, journal: Journal) -> None:
        start = journal.append([], {})
        assert journal.since(None, 10) == ([], start)
        position = put(journal, run(BOX, 1, 1))
        assert journal.append([], {BOX: 1}, {"d": b"x"}) == position
        assert journal.document("d") == b"x"

    def test_documents_are_kept_once_each(self, journal: Journal) -> None:
        put(journal, run(BOX, 1, 1), {"d1": b"first", "d2": b"\x00" * 100_000})
        put(journal, run(BOX, 2, 2), {"d1": b"second"})
        assert journal.document("d1") == b"first"
        assert journal.document("d2") == b"\x00" * 100_000
        assert journal.document("d3") is None


class TestOrder:
    def test_batches_come_back_whole_and_in_order_of_arrival(self, journal: Journal) -> None:
        positions = [put(journal, run(f"box{number}", 1, number)) for number in (3, 1, 2, 50)]
        expected = [event for number in (3, 1, 2, 50) for event in run(f"box{number}", 1, number)]
        with_last = put(journal, run("box9", 1, 1))
        assert all_events(journal, limit=4)[: len(expected)] == expected
        assert journal.since(None, 4)[1] == positions[1]  # a batch is never parted
        assert journal.since(None, 0)[1] == positions[0]  # one at least, or nobody would get on
        assert journal.since(positions[2], 7) == (run("box50", 1, 50), positions[3])
        assert journal.since(with_last, 7) == ([], with_last)

    @pytest.mark.parametrize("position", [b"", b"abc", b"\0" * 7 + b"\2", b"\xff" * 8])
    def test_a_position_of_another_journal_is_refused_with_words(self, journal: Journal, position: bytes) -> None:
        put(journal, run(BOX, 1, 1))
        with pytest.raises(ValueError, match="not of this journal"):
            journal.since(position, 10)

    def test_a_position_of_a_history_that_went_on_otherwise_is_refused(self, journal: Journal) -> None:
        put(journal, run(BOX, 1, 1))
        other = MemoryJournal()
        same, apart = put(other, run(BOX, 1, 1)), put(other, run(BOX, 2, 2))
        put(journal, [fact(OTHER, 1)])
        if journal.since(None, 1)[1] != same:
            pytest.skip("positions of this engine are not compared with those of another")
        assert journal.since(same, 10)[0] == [fact(OTHER, 1)], "so far they agree"
        with pytest.raises(ValueError, match="not of this journal"):
            journal.since(apart, 10)

    def test_a_reader_beside_eight_writers_sees_each_fact_once_in_one_order(self, journal: Journal) -> None:
        def write(name: str) -> None:
            for sequence in range(1, 41):
                put(journal, [fact(name, sequence), fact(f"claim:{name}:{sequence}", 1)])

        seen: list[Event] = []
        position: bytes | None = None
        with ThreadPoolExecutor(8) as writers:
            running = [writers.submit(write, f"box{number}") for number in range(8)]
            finished = False
            while not finished:
                finished = all(one.done() for one in running)
                page, position = journal.since(position, 5)
                seen += page
            while page:
                page, position = journal.since(position, 5)
                seen += page
        for one in running:
            one.result()
        assert len(seen) == 8 * 40 * 2
        assert seen == all_events(journal)
        audit(journal)

    def test_of_64_threads_that_race_for_the_same_boxes_one_wins_each(self, journal: Journal) -> None:
        boxes = [f"trace20:{number:020}" for number in range(20)]
        start = threading.Barrier(64)

        def claim(claimant: int) -> list[str]:
            start.wait()
            return [box for box in boxes if journal.append([fact(box, 1, line=str(claimant))], {box: 0}) != [box]]

        with ThreadPoolExecutor(64) as claimants:
            won = list(claimants.map(claim, range(64)))
        assert sorted(box for boxes_won in won for box in boxes_won) == boxes
        for claimant, boxes_won in enumerate(won):
            assert all(journal.fetch([box])[box].events[0].line == str(claimant) for box in boxes_won)
        audit(journal)


class TestDeadlines:
    def test_a_deadline_is_listed_until_a_due_event_corrects_it(self, journal: Journal) -> None:
        put(journal, [fact(BOX, 1, deadline=300), fact(BOX, 2, deadline=100), fact(OTHER, 1, deadline=200)])
        assert journal.due(99, 10) == []
        assert journal.due(200, 10) == [(100, BOX, 2), (200, OTHER, 1)]
        assert journal.due(1_000, 2) == [(100, BOX, 2), (200, OTHER, 1)]
        put(journal, [fact(BOX, 3, kind="due", corrects=2, deadline=100)])
        assert journal.due(1_000, 10) == [(200, OTHER, 1), (300, BOX, 1)]

    def test_what_opens_and_closes_in_one_batch_leaves_nothing(self, journal: Journal) -> None:
        put(journal, [fact(BOX, 1, deadline=300), fact(BOX, 2, kind="due", corrects=1, deadline=300)])
        assert journal.due(1_000, 10) == []

    def test_a_deadline_that_has_long_spilled_can_still_be_closed(self, journal: Journal) -> None:
        put(journal, [fact(BOX, 1, deadline=300), *run(BOX, 2, 200)])
        assert journal.due(1_000, 10) == [(300, BOX, 1)]
        put(journal, [fact(BOX, 201, kind="due", corrects=1, deadline=300)])
        assert journal.due(1_000, 10) == []


class TestKeys:
    def test_keys_are_listed_by_prefix_and_in_order(self, journal: Journal) -> None:
        keys = ["alert:2", "alert:10", "alerts", "alert:", "claim:医院:1", "hold:code:x", "zz"]
        put(journal, [fact(key, 1) for key in keys])
        journal.append([], {"alert:never": 0})
        assert list(journal.keys("alert:")) == ["alert:", "alert:10", "alert:2"]
        assert list(journal.keys("claim:医")) == ["claim:医院:1"]
        assert list(journal.keys("hold:")) == ["hold:code:x"]
        assert list(journal.keys("zzz")) == []
        assert list(journal.keys("")) == sorted(keys)

    def test_thousands_of_keys_are_listed_once_each_while_others_are_added(self, journal: Journal) -> None:
        keys = [f"box{number:05}" for number in range(2_500)]
        put(journal, [fact(key, 1) for key in keys])
        listing = iter(journal.keys("box"))
        first = next(listing)
        put(journal, [fact("a", 1), fact("c", 1)])
        assert [first, *listing] == keys


class TestHolds:
    def test_a_hold_is_seen_at_once_by_the_next_fetch(self, journal: Journal) -> None:
        hold = "hold:batch:trace20:8123456:B1"
        assert journal.fetch([hold])[hold].sequence == 0
        put(journal, [fact(hold, 1, kind="hold_set")])
        assert journal.fetch([hold])[hold].sequence == 1
        assert journal.append([fact(hold, 1)], {hold: 0}) == [hold]
        put(journal, [fact(hold, 2, kind="hold_lifted", corrects=1)])
        assert [event.kind for event in journal.fetch([hold])[hold].events] == ["hold_set", "hold_lifted"]


def test_a_journal_in_memory_says_that_it_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(JournalUnusable, match="Export it"):
        MemoryJournal().copy(tmp_path / "copy")
