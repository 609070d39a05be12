"""What only the journal on disk has: a folder with an owner and a version, groups of writers, copies, damage."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from storage_facts import all_events, audit, fact, put, run

from suyuan.storage.packed import chunk_key
from suyuan.storage.refusals import JournalStopped, JournalUnusable
from suyuan.storage.rocks import RocksJournal


def rocks(path: Path, **settings: Any) -> RocksJournal:
    return RocksJournal(path, block_cache_bytes=1 << 20, **settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal"


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


class Disk:
    """The real database, with a disk that can be watched, slow, or broken."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.syncs = 0
        self.confirms = threading.Event()
        self.confirms.set()
        self.broken: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    def flush_wal(self, *, sync: bool) -> None:
        assert sync
        self.syncs += 1
        assert self.confirms.wait(20)
        if self.broken:
            raise self.broken
        self.database.flush_wal(sync=True)


def watched(journal: RocksJournal) -> Disk:
    disk = Disk(journal._histories)
    journal._histories = cast(Any, disk)
    return disk


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C as a person sends it: a shell that starts us in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestFolder:
    def test_everything_is_there_after_opening_again(self, folder: Path) -> None:
        journal = rocks(folder)
        put(journal, [*run("box", 1, 150), fact("hold:code:box", 1), fact("late", 1, deadline=9)], {"d": b"sealed"})
        before = audit(journal)
        position = put(journal, run("box", 151, 152))
        journal.close()
        journal = rocks(folder)
        assert audit(journal) == {**before, "box": run("box", 1, 152)}
        assert journal.since(position, 10) == ([], position)
        assert journal.document("d") == b"sealed"
        assert journal.fetch(["hold:code:box"])["hold:code:box"].sequence == 1
        journal.close()

    def test_thousands_of_keys_are_read_from_the_disk_by_two_readers(self, folder: Path) -> None:
        journal = rocks(folder)
        keys = [f"box{number:05}" for number in range(5_000)]
        put(journal, [fact(key, 1) for key in keys[::2]])
        journal.close()
        journal = rocks(folder)
        fetched = journal.fetch(keys)
        assert [fetched[key].sequence for key in keys] == [1, 0] * 2_500
        journal.close()

    def test_a_folder_of_another_version_is_refused_and_stays_as_it_is(self, folder: Path) -> None:
        rocks(folder).close()
        tag = folder / "FORMAT"
        for said in ("suyuan journal, engine rocks, version 2\n", "", "\xff" * 1_000):
            tag.write_text(said, "latin-1")
            with pytest.raises(JournalUnusable, match=r"this program reads “suyuan journal, engine rocks, version 1”"):
                rocks(folder)
            assert tag.read_text("latin-1") == said
        tag.write_text("suyuan journal, engine rocks, version 1\n")
        rocks(folder).close()

    def test_a_journal_that_was_left_half_made_is_refused(self, folder: Path) -> None:
        rocks(folder).close()
        (folder / "FORMAT").unlink()
        with pytest.raises(JournalUnusable, match=r"half made.*make the copy again.*delete it"):
            rocks(folder)

    def test_a_journal_that_lost_its_database_is_not_started_anew(self, folder: Path) -> None:
        rocks(folder).close()
        (folder / "db" / "CURRENT").unlink()
        with pytest.raises(JournalUnusable, match=r"lost its database.*paid again"):
            rocks(folder)

    def test_a_path_that_is_no_folder_is_refused_with_words(self, folder: Path) -> None:
        folder.parent.mkdir()
        folder.write_text("a file")
        with pytest.raises(JournalUnusable, match=r"cannot be used: .*choose another folder"):
            rocks(folder)
        with pytest.raises(JournalUnusable, match=r"cannot be used: .*choose another folder"):
            rocks(folder / "below")

    def test_a_tag_that_cannot_be_written_is_refused_with_words(self, folder: Path) -> None:
        (folder / "FORMAT.new").mkdir(parents=True)
        with pytest.raises(JournalUnusable, match="cannot be used: Is a directory"):
            rocks(folder)

    def test_an_owner_whose_sign_was_removed_is_still_respected(self, folder: Path) -> None:
        journal = rocks(folder)
        (folder / "OWNER").unlink()
        with pytest.raises(JournalUnusable, match=r"cannot be opened.*lock.*nothing else uses the folder"):
            rocks(folder)
        journal.close()
        rocks(folder).close()

    def test_a_closed_journal_says_so(self, folder: Path) -> None:
        journal = rocks(folder)
        put(journal, run("box", 1, 1))
        journal.close()
        for use in (
            lambda: journal.append(run("box", 2, 2), {"box": 1}),
            lambda: journal.fetch(["other"]),
            lambda: journal.due(10, 10),
            lambda: list(journal.keys("")),
        ):
            with pytest.raises(JournalStopped, match="is closed"):
                use()


class TestDamage:
    def test_a_damaged_table_is_an_error_in_words_never_an_early_end(self, folder: Path) -> None:
        journal = rocks(folder)
        chance = random.Random(1)
        put(journal, [fact(f"box{number:04}", 1, detail=chance.randbytes(500)) for number in range(500)])
        journal.close()  # moves the log into tables
        for table in (folder / "db").glob("*.sst"):
            stored = bytearray(table.read_bytes())
            if len(stored) > 20_000:
                stored[len(stored) // 3] ^= 0xFF
                table.write_bytes(stored)
        journal = rocks(folder)
        with pytest.raises(JournalUnusable, match=r"cannot be read: Corruption.*restore the folder from a copy"):
            list(journal.keys(""))
        with pytest.raises(JournalUnusable, match="cannot be read"):
            journal.fetch([f"box{number:04}" for number in range(500)])
        journal.close()

    def test_a_hole_in_the_log_is_found(self, folder: Path) -> None:
        journal = rocks(folder)
        positions = [put(journal, run("box", number, number)) for number in (1, 2, 3)]
        journal._families["log"].delete(positions[1][:8])
        with pytest.raises(JournalUnusable, match="batch 2 is missing"):
            all_events(journal)
        journal._families["log"].delete(positions[2][:8])
        with pytest.raises(JournalUnusable, match="batch 3 is missing"):
            journal.since(positions[1][:8], 10)  # as written before positions had a check
        journal.close()

    def test_a_lost_chunk_of_older_events_is_found(self, folder: Path) -> None:
        journal = rocks(folder)
        put(journal, run("box", 1, 200))
        journal._families["spill"].delete(chunk_key("box", 1))
        history = journal.fetch(["box"])["box"]
        assert list(history.tail) == run("box", 193, 200)
        with pytest.raises(JournalUnusable, match="older events of box are missing"):
            _ = history.events
        journal.close()

    def test_a_stored_value_of_a_newer_version_is_neither_read_nor_extended(self, folder: Path) -> None:
        journal = rocks(folder)
        put(journal, [*run("box", 1, 100), fact("other", 1)])
        stored = cast(bytes, journal._histories.get(b"box"))
        journal._histories.put(b"box", b"\x02" + stored[1:])
        chunk = cast(bytes, journal._families["spill"].get(chunk_key("box", 0)))
        journal._families["spill"].put(chunk_key("box", 0), b"\x02" + chunk[1:])
        journal.close()
        journal = rocks(folder)
        with pytest.raises(JournalUnusable, match="history of box has version 2; this program reads version 1"):
            _ = journal.fetch(["box"])["box"].events
        with pytest.raises(JournalStopped, match="history has version 2"):
            put(journal, run("box", 101, 101))
        journal._histories.put(b"box", stored)
        journal.close()
        journal = rocks(folder)
        with pytest.raises(JournalUnusable, match="batch has version 2"):
            _ = journal.fetch(["box"])["box"].events
        journal.close()


class TestCopy:
    def test_a_copy_holds_everything_up_to_now_and_goes_its_own_way(self, folder: Path, tmp_path: Path) -> None:
        journal = rocks(folder)
        put(journal, [*run("box", 1, 150), fact("claim", 1, deadline=5)], {"d": b"sealed"})
        journal.copy(tmp_path / "backup" / "monday")
        books = audit(journal)
        put(journal, run("box", 151, 160))
        copy = rocks(tmp_path / "backup" / "monday")
        assert audit(copy) == books
        assert copy.document("d") == b"sealed"
        put(copy, run("box", 151, 151))
        assert journal.fetch(["box"])["box"].sequence == 160
        copy.close()
        journal.close()

    def test_a_copy_never_goes_over_something_that_exists(self, folder: Path, tmp_path: Path) -> None:
        journal = rocks(folder)
        (tmp_path / "there").mkdir()
        (tmp_path / "file").write_text("x")
        with pytest.raises(JournalUnusable, match=r"there, which exists\. Name a new folder"):
            journal.copy(tmp_path / "there")
        with pytest.raises(JournalUnusable, match="cannot be used: Not a directory"):
            journal.copy(tmp_path / "file" / "copy")
        journal.close()
        with pytest.raises(JournalUnusable, match="was not finished"):
            journal.copy(tmp_path / "too late")


class TestGroups:
    """Group commit: one fdatasync for all who wait, and nobody learns of a fact that the disk has not confirmed."""

    def queued(self, journal: RocksJournal, number: int) -> bool:
        return len(journal._waiting) == number

    def waiting(self, journal: RocksJournal, disk: Disk, pool: ThreadPoolExecutor, batches: Any) -> "list[Future[Any]]":
        """Appends that are queued behind one that waits for the disk."""
        disk.confirms.clear()
        first = pool.submit(put, journal, [fact("first", 1)])
        until(lambda: disk.syncs == 1)
        rest = []
        for number, (events, expected) in enumerate(batches, 1):
            rest.append(pool.submit(journal.append, events, expected))
            until(partial(self.queued, journal, number))
        return [first, *rest]

    def test_all_who_wait_are_written_with_one_sync_and_judged_in_their_order(self, folder: Path) -> None:
        journal = rocks(folder)
        disk = watched(journal)
        batches: list[Any] = [([fact(f"box{number}", 1)], {f"box{number}": 0}) for number in range(6)]
        batches += [([fact("box0", 2)], {"box0": 1}), ([fact("box1", 1)], {"box1": 0, "box2": 0, "new": 0})]
        with ThreadPoolExecutor(10) as pool:
            answers = self.waiting(journal, disk, pool, batches)
            disk.confirms.set()
            positions = [answer.result() for answer in answers]
        assert disk.syncs == 2
        assert positions[-1] == ["box1", "box2"]
        assert [position[:8] for position in positions[:-1]] == [number.to_bytes(8, "big") for number in range(1, 9)]
        audit(journal)
        journal.close()

    def test_a_group_has_a_bound_and_the_rest_forms_the_next(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("suyuan.storage.group.GROUP_EVENTS_MAX", 10)
        journal = rocks(folder)
        disk = watched(journal)
        batches = [(run(f"box{number}", 1, length), {f"box{number}": 0}) for number, length in enumerate((5, 5, 1, 50))]
        with ThreadPoolExecutor(10) as pool:
            answers = self.waiting(journal, disk, pool, batches)
            disk.confirms.set()
            assert all(isinstance(answer.result(), bytes) for answer in answers)
        assert disk.syncs == 4
        audit(journal)
        journal.close()

    def test_nobody_reads_a_fact_before_the_disk_has_confirmed_it(self, folder: Path) -> None:
        journal = rocks(folder, current_bytes=0)
        disk = watched(journal)
        with ThreadPoolExecutor(10) as pool:
            (first,) = self.waiting(journal, disk, pool, [])
            for other in ("a", "b", "c"):
                journal.fetch([other])  # until nothing in memory knows of it any more
            reader = pool.submit(journal.fetch, ["first"])
            beginning = journal.since(None, 10)
            time.sleep(0.05)
            assert not reader.done()
            assert beginning == ([], bytes(12))
            disk.confirms.set()
            assert reader.result()["first"].sequence == 1
            assert journal.since(None, 10) == ([fact("first", 1)], first.result())
        journal.close()

    def test_when_a_write_fails_all_of_its_group_are_told_and_the_journal_stops(self, folder: Path) -> None:
        journal = rocks(folder, current_bytes=0)
        put(journal, [fact("before", 1)])
        disk = watched(journal)
        batches = [([fact(f"box{number}", 1)], {f"box{number}": 0}) for number in range(3)]
        with ThreadPoolExecutor(10) as pool:
            answers = self.waiting(journal, disk, pool, batches)
            disk.broken = OSError("the disk is gone")
            disk.confirms.set()
            for answer in answers:
                with pytest.raises(JournalStopped, match=r"could not write: the disk is gone.*unknown.*send them once"):
                    answer.result()
        with pytest.raises(JournalStopped, match="the disk is gone"):
            put(journal, [fact("after", 1)])
        for other in ("a", "b", "c"):
            journal.fetch([other])
        with pytest.raises(JournalStopped, match="the disk is gone"):
            journal.fetch(["first"])  # visible, but perhaps not for ever
        assert journal.fetch(["before"])["before"].sequence == 1
        journal.close()
        journal = rocks(folder)
        assert set(audit(journal)) <= {"before", "first"}
        put(journal, [fact("after", 1)])
        journal.close()

    def test_a_leader_interrupted_from_the_keyboard_leaves_nobody_waiting(self, folder: Path) -> None:
        journal = rocks(folder)
        disk = watched(journal)
        batches = [([fact(f"box{number}", 1)], {f"box{number}": 0}) for number in range(3)]
        with ThreadPoolExecutor(10) as pool:
            answers = self.waiting(journal, disk, pool, batches)
            disk.broken = KeyboardInterrupt()
            disk.confirms.set()
            with pytest.raises(KeyboardInterrupt):
                answers[0].result()
            for answer in answers[1:]:
                with pytest.raises(JournalStopped, match="KeyboardInterrupt"):
                    answer.result()
        journal.close()

    def test_one_who_waits_and_is_interrupted_leaves_the_queue(self, folder: Path, keyboard: None) -> None:
        journal = rocks(folder)
        disk = watched(journal)

        def interrupt() -> None:
            until(lambda: len(journal._waiting) == 1)
            time.sleep(0.05)  # let it come to wait
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        with ThreadPoolExecutor(10) as pool:
            (first,) = self.waiting(journal, disk, pool, [])
            pool.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                put(journal, [fact("interrupted", 1)])
            assert journal._waiting == []
            disk.confirms.set()
            first.result()
        assert set(audit(journal)) == {"first"}
        put(journal, [fact("interrupted", 1)])
        journal.close()

    def test_one_who_was_chosen_to_lead_and_is_interrupted_passes_the_lead_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = rocks(folder)
        disk = watched(journal)
        lead = journal._lead
        chosen: list[object] = []

        def interrupted_lead(request: Any) -> None:
            chosen.append(request)
            if len(chosen) == 1:
                raise KeyboardInterrupt
            lead(request)

        batches = [([fact(f"box{number}", 1)], {f"box{number}": 0}) for number in range(3)]
        with ThreadPoolExecutor(10) as pool:
            answers = self.waiting(journal, disk, pool, batches)
            monkeypatch.setattr(journal, "_lead", interrupted_lead)
            disk.confirms.set()
            with pytest.raises(KeyboardInterrupt):
                answers[1].result()
            assert [isinstance(answer.result(), bytes) for answer in (answers[0], *answers[2:])] == [True] * 3
        assert set(audit(journal)) == {"first", "box1", "box2"}
        journal.close()
