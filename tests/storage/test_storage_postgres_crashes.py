"""What an acknowledgement of PostgreSQL is worth: killed servers, cut connections, a full disk, many processes."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from postgres_load import drawn_on
from postgres_server import PostgresServer
from started import Started
from storage_facts import all_events, audit, fact, put
from storage_load import BOXES

from suyuan.ledger.events import Event
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.refusals import JournalStopped

LOAD = Path(__file__).with_name("postgres_load.py")
ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("SUYUAN_LONG") == "1"


class Loader:
    """A loading process and what it has said so far."""

    def __init__(self, address: str, number: int, threads: int, patience: float) -> None:
        self.process = Started(LOAD, address, number, threads, patience)
        self.lines: list[str] = []
        self.code: int | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def end(self) -> None:
        """Let it finish what it is at."""
        self.process.tell_no_more()
        self._close()

    def kill(self) -> None:
        """Let it finish nothing."""
        self.process.kill()
        self._close()

    def _close(self) -> None:
        self.code = self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def said(self, word: str) -> set[tuple[int, int]]:
        """Thread and number of the claims of which it said this."""
        found = [re.fullmatch(rf"{word} (\d+) (\d+)", line) for line in self.lines]
        return {(int(one[1]), int(one[2])) for one in found if one}


@contextmanager
def loading(address: str, patience: float) -> Iterator[list[Loader]]:
    """Three processes of four threads each; none outlives the test."""
    loaders = [Loader(address, number, 4, patience) for number in range(3)]
    try:
        until(lambda: all(len(loader.lines) > 1 for loader in loaders))
        yield loaders
    finally:
        for loader in loaders:
            if loader.code is None:
                loader.kill()


def until(what: Callable[[], bool]) -> None:
    """Wait for it; a minute is far more than it takes."""
    for _ in range(6_000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def audited(address: str, loaders: list[Loader]) -> int:
    """What all loaders were told is there, once and whole, and nothing else. Answers how many claims there are."""
    journal = PostgresJournal(address)
    books = audit(journal)
    journal.close()
    drawn = Counter(event.line for key in list(books) if key.startswith("balance:") for event in books.pop(key))
    claims = {key: events for key, events in books.items() if key.startswith("claim:")}
    for claim, (event,) in claims.items():
        assert all([box.line for box in books[key]] == [claim] for key in event.detail["boxes"])
    assert drawn == Counter(dict.fromkeys(claims, 1))
    assert len(books) == len(claims) * (1 + BOXES)
    kept = {tuple(map(int, key.removeprefix("claim:H").split(":"))) for key in claims}
    acked = [claim for loader in loaders for claim in sorted(loader.said("ack") | loader.said("found"))]
    assert len(acked) == len(set(acked))
    assert set(acked) <= kept
    if all(loader.code == 0 for loader in loaders):
        assert set(acked) == kept, "each claim was sent until it was in"
    return len(kept)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that may be killed."""
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


def killed_and_audited(server: PostgresServer, times: int, seed: int) -> None:
    chance, address = random.Random(seed), server.new_database()
    with loading(address, patience=1.0) as loaders:
        for _ in range(times):
            before = [len(loader.lines) for loader in loaders]
            until(lambda: all(len(one.lines) > far + 5 for one, far in zip(loaders, before, strict=True)))  # noqa: B023
            time.sleep(chance.random() / 5)
            server.kill()
            time.sleep(chance.choice((0, 0, 1.5)))  # longer than anybody waits, or not
            server.start()
        for loader in loaders:
            loader.end()
    count = audited(address, loaders)
    refused = sum(line.startswith("refused") for loader in loaders for line in loader.lines)
    found = sum(len(loader.said("found")) for loader in loaders)
    assert count > 10 * times
    if LONG:
        sys.stderr.write(f"{times} kills: {count} claims, {refused} refusals, {found} claims found themselves\n")


def test_two_kills_of_postgresql_lose_nothing_acknowledged_and_every_claim_finds_itself(server: PostgresServer) -> None:
    killed_and_audited(server, 2, 1)


@pytest.mark.slow
def test_ten_kills_of_postgresql_lose_nothing_acknowledged_and_every_claim_finds_itself(
    server: PostgresServer,
) -> None:
    killed_and_audited(server, 10, 2)


@pytest.mark.slow
def test_killed_clients_and_cut_connections_leave_nothing_half(server: PostgresServer) -> None:
    chance, address = random.Random(3), server.new_database()
    with loading(address, patience=20.0) as loaders:
        with psycopg.connect(server.address(), autocommit=True) as connection:
            for turn in range(60):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'suyuan' "
                    "AND random() < 0.4"
                )
                time.sleep(chance.random() / 10)
                if turn == 30:
                    loaders[0].kill()
        for loader in loaders[1:]:
            loader.end()
    assert audited(address, loaders) > 60
    assert not [line for loader in loaders for line in loader.lines if line.startswith("refused")]


def test_a_reader_beside_writers_in_several_processes_sees_each_fact_once(database: str) -> None:
    journal = PostgresJournal(database)
    seen: list[Event] = []
    position: bytes | None = None
    with loading(database, patience=20.0) as loaders:
        until_then = time.monotonic() + 1.5
        while time.monotonic() < until_then:
            page, position = journal.since(position, 7)
            seen += page
        for loader in loaders:
            loader.end()
    page = seen[-1:]
    while page:
        page, position = journal.since(position, 7)
        seen += page
    assert seen == all_events(journal)
    assert len(seen) == audited(database, loaders) * (BOXES + 2)
    journal.close()


class TestFullDisk:
    """No space left where the database is: words, and it goes on by itself when there is space again."""

    @pytest.fixture
    def small_server(self, tmp_path: Path) -> Iterator[PostgresServer]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(disk)], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("no right to mount a small disk: a full disk of PostgreSQL was NOT tested for real")
        server = PostgresServer(disk / "postgres", shared_buffers="16MB", max_wal_size="32MB", min_wal_size="32MB")
        server.start()
        yield server
        server.stop()
        subprocess.run(["umount", "-l", str(disk)], check=True)

    @pytest.mark.slow
    def test_a_full_disk_is_told_in_words_and_the_same_journal_goes_on_afterwards(
        self, small_server: PostgresServer, tmp_path: Path
    ) -> None:
        journal = PostgresJournal(small_server.new_database(), patience_seconds=1.0)
        put(journal, [fact("first", 1)])
        taken: list[str] = []

        def fill() -> None:
            for number in range(10_000):
                put(journal, [fact(f"box{number}", 1, detail=os.urandom(100_000))])
                taken.append(f"box{number}")

        with pytest.raises(JournalStopped, match=r"nothing is taken.*full disk.*goes on by itself"):
            fill()
        subprocess.run(["mount", "-o", "remount,size=1g", str(tmp_path / "disk")], check=True)
        if psycopg_refused(small_server):  # a log that cannot grow ends the whole server
            small_server.kill()
            small_server.start()
        refused = f"box{len(taken)}"
        if not journal.fetch([refused])[refused].sequence:
            put(journal, [fact(refused, 1)])
        put(journal, [fact("space again", 1)])
        assert [event.key for event in all_events(journal)] == ["first", *taken, refused, "space again"]
        audit(journal)
        journal.close()


def psycopg_refused(server: PostgresServer) -> bool:
    """Whether the server has gone down, after it had a moment to come back by itself."""
    for _ in range(30):
        try:
            psycopg.connect(server.address(), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return False
    return True


def test_the_shared_histories_of_the_load_are_few() -> None:
    assert len({drawn_on(thread, number) for thread in range(20) for number in range(20)}) == 4
