"""What an acknowledgement is worth: killed processes, torn logs, full disks, and the order of fdatasync and answer."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from started import Started
from storage_facts import all_events, audit, fact, put, run
from storage_load import BOXES, SHARED, claim_events

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.refusals import JournalInUse, JournalUnusable
from suyuan.storage.rocks import RocksJournal

LOAD = Path(__file__).with_name("storage_load.py")
ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("SUYUAN_LONG") == "1"


def start_load(folder: Path, *options: str) -> Started:
    return Started(LOAD, folder, *options)


def start_watched(folder: Path, *options: str, before: tuple[str, ...]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{LOAD.parent}"}
    command = [*before, sys.executable, str(LOAD), str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def read_lines(load: "Started | subprocess.Popen[str]", enough: int = 0) -> list[str]:
    """The lines that the loader has said, until it ends, or is killed because there were enough."""
    assert load.stdout is not None
    lines: list[str] = []
    for line in load.stdout:
        lines.append(line.strip())
        if len(lines) == enough:
            load.send_signal(signal.SIGKILL)
            break
    lines += [line.strip() for line in load.stdout]  # what was said before it died is in the pipe
    load.wait()
    load.stdout.close()
    return lines


def acknowledged(lines: list[str]) -> set[tuple[int, int]]:
    said = [re.fullmatch(r"ack (\d+) (\d+)", line) for line in lines]
    return {(int(ack[1]), int(ack[2])) for ack in said if ack}


def audit_load(journal: Journal, acks: set[tuple[int, int]]) -> None:
    """Everything acknowledged is there; whatever is there is whole; nothing is there that was never sent."""
    books = audit(journal)
    claims = {key: events[0] for key, events in books.items() if key.startswith("claim:")}
    drawn = [event.line for event in books.pop(SHARED, [])]
    for claim, event in claims.items():
        assert all(books[box][0].line == claim for box in event.detail["boxes"])
        assert drawn.count(claim) == 1
    assert len(drawn) == len(claims)
    assert len(books) == len(claims) * (1 + BOXES)
    kept = {(int(thread), int(number)) for thread, number in re.findall(r"claim:H(\d+):(\d+)", " ".join(claims))}
    assert acks <= kept
    for thread in {thread for thread, _ in kept}:
        mine = sorted(number for owner, number in kept if owner == thread)
        assert mine == list(range(len(mine)))
        assert len(mine) <= sum(owner == thread for owner, _ in acks) + 1, "more than the one that was on its way"


class TestKilled:
    """`kill -9` under load."""

    def killed_and_audited(self, folder: Path, times: int, lines_max: int) -> None:
        chance = random.Random(times)
        for turn in range(times):
            journal = folder / f"journal{turn}"
            wanted = chance.randrange(2, lines_max)
            lines = read_lines(start_load(journal, "8", "100000"), enough=wanted)
            assert len(acknowledged(lines)) >= wanted - 1
            opened = RocksJournal(journal, block_cache_bytes=1 << 20)
            audit_load(opened, acknowledged(lines))
            opened.close()
            shutil.rmtree(journal)

    def test_three_kills_lose_nothing_acknowledged_and_leave_nothing_half(self, tmp_path: Path) -> None:
        self.killed_and_audited(tmp_path, 3, 300)

    @pytest.mark.slow
    def test_many_kills_lose_nothing_acknowledged_and_leave_nothing_half(self, tmp_path: Path) -> None:
        """Eight; twenty where SUYUAN_LONG=1."""
        self.killed_and_audited(tmp_path, 20 if LONG else 8, 3_000)


class TestTornLog:
    """What a loss of power can leave: the log ends anywhere."""

    @pytest.fixture
    def batches(self) -> list[list[Event]]:
        """Batches of all sizes, some larger than the 32 KiB in which the log is framed, with spilled histories."""
        chance, sequences = random.Random(7), dict.fromkeys(("a", "b", "c"), 0)
        batches = []
        for number in range(60):
            batch = [fact(f"box{number}:{box}", 1, deadline=number + 1) for box in range(chance.randrange(4))]
            for key in sequences:
                count = chance.choice((0, 1, 5, 30))
                batch += run(key, sequences[key] + 1, sequences[key] + count)
                sequences[key] += count
            large = "x" * chance.choice((10, 10, 40_000))
            batches.append([*batch, fact(f"last{number}", 1, document=f"d{number}", detail=large)])
        return batches

    @pytest.fixture
    def killed(self, tmp_path: Path, batches: list[list[Event]]) -> Path:
        """The folder as it stood when all batches were acknowledged and nothing was closed."""
        journal = RocksJournal(tmp_path / "running", block_cache_bytes=1 << 20)
        for number, batch in enumerate(batches):
            put(journal, batch, {f"d{number}": b"sealed"})
        shutil.copytree(tmp_path / "running", tmp_path / "killed")
        journal.close()
        return tmp_path / "killed"

    def cut_and_audited(self, killed: Path, batches: list[list[Event]], times: int) -> None:
        chance, folder = random.Random(times), killed.with_name("cut")
        sizes = set()
        for _ in range(times):
            shutil.copytree(killed, folder)
            log = max((folder / "db").glob("*.log"))
            os.truncate(log, chance.randrange(log.stat().st_size))
            journal = RocksJournal(folder, block_cache_bytes=1 << 20)
            books = audit(journal)
            kept = sum(len(books.get(f"last{number}", [])) for number in range(len(batches)))
            assert all_events(journal) == [event for batch in batches[:kept] for event in batch]
            sizes.add(kept)
            put(journal, [fact("after the cut", 1)])
            journal.close()
            again = RocksJournal(folder, block_cache_bytes=1 << 20)
            assert all_events(again)[-1].key == "after the cut"
            again.close()
            shutil.rmtree(folder)
        assert len(sizes) > min(times, len(batches)) // 3

    def test_a_log_cut_at_any_byte_opens_to_a_prefix_of_whole_batches(
        self, killed: Path, batches: list[list[Event]]
    ) -> None:
        self.cut_and_audited(killed, batches, 15)

    @pytest.mark.slow
    def test_a_log_cut_at_many_random_bytes_opens_to_a_prefix_of_whole_batches(
        self, killed: Path, batches: list[list[Event]]
    ) -> None:
        """Seventy; two hundred where SUYUAN_LONG=1."""
        self.cut_and_audited(killed, batches, 200 if LONG else 70)

    def test_damage_in_the_middle_of_the_log_is_not_passed_over_in_silence(
        self, killed: Path, batches: list[list[Event]]
    ) -> None:
        log = max((killed / "db").glob("*.log"))
        damaged = bytearray(log.read_bytes())
        damaged[len(damaged) // 2] ^= 0xFF
        log.write_bytes(damaged)
        with pytest.raises(JournalUnusable, match=r"damaged.*Restore the folder from a copy.*stop_at_damage"):
            RocksJournal(killed)
        journal = RocksJournal(killed, stop_at_damage=True)
        kept = all_events(journal)
        assert 0 < len(kept) < sum(map(len, batches))
        assert kept == [event for batch in batches for event in batch][: len(kept)]
        audit(journal)
        journal.close()


class TestFdatasync:
    """`kill -9` alone passes even without syncing, so look at the system calls themselves."""

    @pytest.fixture(autouse=True)
    def strace(self) -> None:
        works = (
            shutil.which("strace") and not subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode
        )
        if not works:
            assert os.environ.get("SUYUAN_REQUIRE_STRACE") != "1", "SUYUAN_REQUIRE_STRACE=1, but strace does not work"
            pytest.skip("strace does not work: that fdatasync comes before each acknowledgement was NOT tested")

    def unsynced_acknowledgements(self, folder: Path, *options: str) -> list[str]:
        """Acknowledgements written while the log held bytes that no fdatasync had covered."""
        trace = folder / "trace.txt"
        calls = "trace=fdatasync,fsync,write,pwrite64"
        lines = read_lines(
            start_watched(folder / "journal", *options, before=("strace", "-f", "-y", "-o", str(trace), "-e", calls))
        )
        said = list(acknowledgements_and_debt(trace.read_text()))
        assert [ack for ack, _ in said] == [line for line in lines if line.startswith("ack")]
        return [ack for ack, in_debt in said if in_debt]

    def test_the_disk_has_confirmed_a_batch_before_it_is_acknowledged(self, tmp_path: Path) -> None:
        assert self.unsynced_acknowledgements(tmp_path, "1", "20") == []

    def test_a_build_that_does_not_sync_would_be_noticed(self, tmp_path: Path) -> None:
        assert len(self.unsynced_acknowledgements(tmp_path, "1", "20", "nosync")) == 20


def acknowledgements_and_debt(trace: str) -> Iterator[tuple[str, bool]]:
    """From the calls of one loading thread: each acknowledgement, and whether the log was then ahead of the disk."""
    unsynced: set[str] = set()
    started: dict[str, str] = {}
    for line in trace.splitlines():
        process, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            started[process] = call
            continue
        whole = started.pop(process, "") + call
        path = re.search(r"\(\d+<(.*?)>", whole)
        if path is None:
            continue
        log = re.search(r"/db/\d+\.log$", path[1])
        ack = re.search(r'"(ack \d+ \d+)\\n"', whole)
        if log and "write" in whole.partition("(")[0]:
            unsynced.add(path[1])
        elif log and re.search(r"sync.*= 0$", whole):
            unsynced.discard(path[1])
        elif ack:
            yield ack[1], bool(unsynced)


class TestFullDisk:
    """No space left: words, no further facts, and everything acknowledged is there when space is."""

    def test_a_log_that_cannot_grow_stops_the_journal_with_words(self, tmp_path: Path) -> None:
        lines = read_lines(start_load(tmp_path / "journal", "4", "100000", "file-limit=1000000"))
        acks = acknowledged(lines)
        stopped = [line for line in lines if line.startswith("stopped")]
        assert len(acks) > 10
        assert len(stopped) == 4, "each of the threads was told"
        assert all("could not write" in words and "full disk" in words for words in stopped)
        journal = RocksJournal(tmp_path / "journal")
        audit_load(journal, acks)
        journal.close()

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 16 MiB."""
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("no right to mount a small disk: a disk that is full or read-only was NOT tested for real")
        yield disk
        subprocess.run(["umount", "-l", str(disk)], check=True)

    def test_a_full_disk_loses_nothing_acknowledged(self, small_disk: Path) -> None:
        lines = read_lines(start_load(small_disk / "journal", "4", "100000"))
        acks = acknowledged(lines)
        assert len(acks) > 10
        assert [line for line in lines if line.startswith("stopped")]
        (refused,) = read_lines(start_load(small_disk / "new", "1", "1"))
        assert refused.startswith("refused")
        assert "space" in refused
        subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
        journal = RocksJournal(small_disk / "journal")
        audit_load(journal, acks)
        put(journal, [fact("space again", 1)])
        journal.close()

    def test_a_read_only_disk_is_refused_with_words(self, small_disk: Path) -> None:
        RocksJournal(small_disk / "journal").close()
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(JournalUnusable, match=r"Read-only file system.*right to write"):
            RocksJournal(small_disk / "journal")


def test_a_second_process_is_refused_and_told_who_owns_the_folder(tmp_path: Path) -> None:
    journal = RocksJournal(tmp_path / "journal")
    (refused,) = read_lines(start_load(tmp_path / "journal", "1", "1"))
    assert refused.startswith("refused")
    assert f"in use by process {os.getpid()} on " in refused
    with pytest.raises(JournalInUse, match="Only one process can own it"):
        RocksJournal(tmp_path / "journal")
    journal.close()
    assert read_lines(start_load(tmp_path / "journal", "1", "2")) == ["open", "ack 0 0", "ack 0 1"]


def test_the_auditor_of_these_tests_finds_what_is_lost_and_what_is_half() -> None:
    whole, torn = MemoryJournal(), MemoryJournal()
    for number in (0, 1):
        put(whole, claim_events(0, number, number + 1), {f"claim:H0:{number}": b"x"})
    audit_load(whole, {(0, 0), (0, 1)})
    with pytest.raises(AssertionError):
        audit_load(whole, {(0, 2)})
    put(torn, claim_events(0, 0, 1)[:-2], {"claim:H0:0": b"x"})
    with pytest.raises((AssertionError, KeyError)):
        audit_load(torn, {(0, 0)})
