"""What a journal in PostgreSQL promises beyond the contract: many processes, lost commits, words for what is wrong."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from postgres_server import PostgresServer
from storage_facts import all_events, audit, fact, put, run

from suyuan.storage.group import Request
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.postgres_connections import Connection, Connections
from suyuan.storage.refusals import JournalStopped, JournalUnusable
from suyuan.storage.tables import Tables, TablesError

BOX, OTHER = "trace20:81234560000000000001", "trace20:81234560000000000002"


@pytest.fixture
def journal(database: str) -> Iterator[PostgresJournal]:
    journal = PostgresJournal(database)
    yield journal
    journal.close()


def cut_all(database: str) -> None:
    """End every connection of a journal to the database, as one that is brought to another server does."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'suyuan' AND datname = current_database()"
        )


class Waiting(PostgresJournal):
    """A journal of which each commit waits until it is let go."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.came, self.go = threading.Event(), threading.Event()

    def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
        self.came.set()
        self.go.wait()
        return super()._lost_in_commit(connection)


class TestFeed:
    def passed_by(self, database: str, *, horizon: bool) -> list[str]:
        """What a reader sees that looks once while an earlier transaction is still open, and once afterwards."""
        reader, slow, quick = PostgresJournal(database, _horizon=horizon), Waiting(database), PostgresJournal(database)
        put(quick, [fact("first", 1)])
        with ThreadPoolExecutor(1) as writer:
            writing = writer.submit(put, slow, [fact("slow", 1)])
            slow.came.wait()
            put(quick, [fact("quick", 1)])
            seen, position = reader.since(None, 10)
            slow.go.set()
            writing.result()
        rest, position = reader.since(position, 10)
        assert reader.since(position, 10) == ([], position)
        for journal in (reader, slow, quick):
            journal.close()
        return [event.key for event in (*seen, *rest)]

    def test_what_commits_late_is_not_passed_by(self, database: str) -> None:
        assert self.passed_by(database, horizon=True) == ["first", "slow", "quick"]

    def test_a_feed_in_the_order_of_numbers_alone_would_lose_it(self, database: str) -> None:
        assert self.passed_by(database, horizon=False) == ["first", "quick"]

    def test_a_position_of_another_database_is_refused(
        self, journal: PostgresJournal, postgres_server: PostgresServer
    ) -> None:
        other = PostgresJournal(postgres_server.new_database())
        there = put(other, run(BOX, 1, 1))
        put(journal, run(BOX, 1, 1))
        with pytest.raises(ValueError, match="not of this journal"):
            journal.since(there, 10)
        other.close()

    def test_a_position_is_refused_where_the_database_was_restored_to_an_earlier_time(
        self, journal: PostgresJournal, database: str
    ) -> None:
        kept = put(journal, run(BOX, 1, 1))
        lost = put(journal, run(BOX, 2, 2))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "DELETE FROM journal.feed WHERE transaction = (SELECT max(transaction) FROM journal.feed)"
            )
        assert journal.since(kept, 10)[0] == []
        with pytest.raises(ValueError, match="restored to an earlier time"):
            journal.since(lost, 10)

    def test_a_dump_brought_to_a_server_with_smaller_numbers_goes_on_in_order(
        self, journal: PostgresJournal, database: str
    ) -> None:
        put(journal, run(BOX, 1, 2))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE journal.feed SET transaction = transaction + 1000000000")
        brought = PostgresJournal(database)
        put(brought, run(BOX, 3, 3))
        assert all_events(brought) == run(BOX, 1, 3)
        brought.close()

    def test_so_it_does_for_a_process_that_goes_on_meanwhile(self, journal: PostgresJournal, database: str) -> None:
        reader = PostgresJournal(database)
        position = put(journal, run(BOX, 1, 2))
        assert reader.since(None, 10) == (run(BOX, 1, 2), position)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE journal.feed SET transaction = transaction + 1000000000")
        cut_all(database)
        put(journal, run(BOX, 3, 3))
        assert all_events(journal) == all_events(reader) == run(BOX, 1, 3)
        assert journal.latest() == reader.latest() == journal.since(None, 10)[1]
        reader.close()

    def test_another_record_in_the_place_of_this_one_is_not_written(
        self, journal: PostgresJournal, database: str
    ) -> None:
        put(journal, run(BOX, 1, 1))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE journal.meta SET value = repeat('f', 32) WHERE name = 'database'")
        cut_all(database)
        with pytest.raises(JournalUnusable, match=r"has the record ffffffff….*nothing is written"):
            put(journal, run(BOX, 2, 2))
        with psycopg.connect(database, autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM journal.event").fetchall() == [(1,)]
            connection.execute("UPDATE journal.meta SET value = %s WHERE name = 'database'", (journal.identity,))
        put(journal, run(BOX, 2, 2))


def test_another_server_is_noticed_while_somebody_still_waits_for_the_one_before(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")  # the shared one would first recover the databases of all tests
    server.start()
    connections = Connections(server.address())
    try:
        with connections.one():
            server.kill()
            server.start()
            assert connections.losses == 0
            with connections.one():
                assert connections.losses == 1, "what was seen at the one before is not believed of this one"
    finally:
        connections.close("It is over.")
        server.kill()


class TestManyProcesses:
    def test_two_journals_on_one_database_see_each_other_and_one_wins(
        self, journal: PostgresJournal, database: str
    ) -> None:
        other = PostgresJournal(database)
        put(journal, [fact(BOX, 1)])
        assert other.append([fact(BOX, 1, line="too late")], {BOX: 0}) == [BOX]
        put(other, [fact(BOX, 2), fact("hold:code:x", 1)])
        assert journal.fetch(["hold:code:x"])["hold:code:x"].sequence == 1
        assert journal.append([fact(BOX, 2)], {BOX: 1}) == [BOX]
        assert all_events(journal) == all_events(other)
        audit(journal)
        other.close()

    def test_the_tables_are_made_once_however_many_open_at_the_same_time(self, database: str) -> None:
        with ThreadPoolExecutor(8) as openers:
            journals = list(openers.map(lambda _: PostgresJournal(database), range(8)))
        assert len({journal.identity for journal in journals}) == 1
        for journal in journals:
            journal.close()

    def test_the_first_mark_of_secrets_stays(self, journal: PostgresJournal, database: str) -> None:
        assert journal.mark() == ""
        assert journal.mark("one") == "one"
        other = PostgresJournal(database)
        assert other.mark("two") == "one"
        other.close()

    def test_nobody_writes_any_more_once_it_is_closed_for_writing(
        self, journal: PostgresJournal, database: str
    ) -> None:
        other = PostgresJournal(database)
        put(other, run(BOX, 1, 1))
        journal.close_for_writing("This node has moved to another folder.")
        with pytest.raises(JournalStopped, match=r"This node has moved to another folder\."):
            put(other, run(BOX, 2, 2))
        assert other.fetch([BOX])[BOX].sequence == 1
        with pytest.raises(JournalStopped):
            journal.close_for_writing("words that no text of PostgreSQL holds: \0")
        with pytest.raises(JournalStopped, match="moved"):  # closing it once more opens it at no moment
            put(other, run(BOX, 2, 2))
        journal.reopen_for_writing()
        put(other, run(BOX, 2, 2))
        other.close()


class TestLostCommits:
    """An error means unknown: the journal looks before it writes again."""

    @pytest.mark.parametrize("kept", [True, False])
    def test_a_commit_whose_answer_was_lost_is_neither_lost_nor_doubled(self, database: str, kept: bool) -> None:  # noqa: FBT001
        class Lossy(PostgresJournal):
            losses_left = 2

            def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
                if self.losses_left:
                    self.losses_left -= 1
                    if kept:
                        connection.commit()
                    connection.close()
                    return psycopg.OperationalError("the connection is lost")
                return super()._lost_in_commit(connection)

        journal = Lossy(database)
        position = put(journal, [fact(BOX, 1, deadline=7), fact(OTHER, 1)], {"d": b"x"})
        assert journal.since(None, 10) == ([fact(BOX, 1, deadline=7), fact(OTHER, 1)], position)
        put(journal, run(BOX, 2, 2))
        assert all_events(journal)[2:] == run(BOX, 2, 2)
        audit(journal)
        journal.close()

    def test_a_commit_that_is_still_under_way_is_waited_for(self, database: str) -> None:
        class Slow(PostgresJournal):
            late: threading.Timer | None = None

            def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
                if self.late is not None:
                    return super()._lost_in_commit(connection)

                def commit() -> None:
                    connection.commit()
                    connection.close()

                give_back, self.late = self._connections._give_back, threading.Timer(1, commit)

                def keep(_: Connection) -> None:  # the server has the commit, and takes its time
                    self._connections._give_back = give_back  # type: ignore[method-assign]
                    assert self.late is not None
                    self.late.start()

                self._connections._give_back = keep  # type: ignore[method-assign, assignment]
                return psycopg.OperationalError("the connection is lost")

        journal = Slow(database)
        position = put(journal, [fact(BOX, 1)])
        assert journal.since(None, 10) == ([fact(BOX, 1)], position)
        journal.close()

    def test_every_connection_cut_at_once_is_mended_without_a_word(
        self, journal: PostgresJournal, database: str
    ) -> None:
        put(journal, run(BOX, 1, 1))
        cut_all(database)
        put(journal, run(BOX, 2, 2))
        assert journal.fetch([BOX])[BOX].sequence == 2

    @pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
    def test_serialization_failures_deadlocks_and_locks_are_tried_again(self, database: str, code: str) -> None:
        class Unlucky(PostgresJournal):
            failures_left = 3

            def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
                if self.failures_left:
                    self.failures_left -= 1
                    connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$".encode())
                return super()._lost_in_commit(connection)

        journal = Unlucky(database)
        put(journal, run(BOX, 1, 3))
        assert all_events(journal) == run(BOX, 1, 3)
        journal.close()

    def test_a_real_deadlock_ends_with_one_winner(self, journal: PostgresJournal, database: str) -> None:
        insert = "INSERT INTO journal.event VALUES (%s, 1, 'x')"
        with psycopg.connect(database) as stranger, ThreadPoolExecutor(1) as writer:
            stranger.execute("SET deadlock_timeout = '60s'")  # so that it is the journal that gives way
            stranger.execute(insert, ("b",))
            writing = writer.submit(journal.append, [fact("a", 1), fact("b", 1)], {"a": 0, "b": 0})
            until_waiting(database)
            stranger.execute(insert, ("a",))
            stranger.commit()
            assert writing.result() == ["a", "b"]

    def test_a_lock_that_is_never_let_go_is_told_in_words_and_the_journal_goes_on(self, database: str) -> None:
        journal = PostgresJournal(database, patience_seconds=0.4)
        with psycopg.connect(database) as stranger:
            stranger.execute("INSERT INTO journal.event VALUES (%s, 1, 'x')", (BOX,))
            with pytest.raises(JournalStopped, match=r"lock timeout.*nothing of this was kept.*goes on by itself"):
                put(journal, run(BOX, 1, 1))
            stranger.rollback()
        put(journal, run(BOX, 1, 1))
        assert all_events(journal) == run(BOX, 1, 1)
        journal.close()

    def test_who_writes_nothing_does_not_deny_what_the_others_have_stored(
        self, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away() -> bytes:
            raise JournalStopped("The database went away.")

        first, second = Request([], {OTHER: 0}, {}), Request([fact(BOX, 1)], {BOX: 0}, {})
        with monkeypatch.context() as patch:
            patch.setattr(journal, "latest", away)
            journal._write_group([first, second])
        assert (first.failure, second.failure) == (None, None)
        assert first.answer == second.answer == journal.latest()

    def test_what_one_brings_that_cannot_be_stored_does_not_hurt_the_others(
        self, journal: PostgresJournal, database: str
    ) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE journal.event ADD CHECK (code <> 'poison')")
        keys = ["good1", "poison", "good2", "good3"]
        start = threading.Barrier(len(keys))

        def append(key: str) -> str:
            start.wait()
            try:
                put(journal, [fact(key, 1)])
            except JournalStopped:
                return ""
            return key

        with ThreadPoolExecutor(len(keys)) as writers:
            assert sorted(filter(None, writers.map(append, keys))) == ["good1", "good2", "good3"]


def until_waiting(database: str) -> None:
    """Return when some connection of the journal waits for a lock."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'suyuan' AND wait_event_type = 'Lock'"
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(3_000):
            if connection.execute(asked).fetchall()[0][0]:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


class TestWords:
    def test_a_newer_version_is_refused(self, journal: PostgresJournal, database: str) -> None:
        put(journal, run(BOX, 1, 1))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE journal.meta SET value = 'suyuan journal, version 9' WHERE name = 'format'")
        with pytest.raises(JournalUnusable, match=r"version 9.*this program reads.*version 1.*export there"):
            PostgresJournal(database)

    def test_an_empty_database_is_not_taken_for_the_one_that_was_there(self, database: str) -> None:
        with pytest.raises(JournalUnusable, match=r"holds no journal.*paid again"):
            PostgresJournal(database, make=False)
        PostgresJournal(database).close()
        PostgresJournal(database, make=False).close()

    def test_an_address_where_nothing_answers_is_told_without_its_password(self) -> None:
        with pytest.raises(JournalStopped, match=r"name on 127\.0\.0\.1:9 cannot be reached.*setting database") as told:
            PostgresJournal("postgresql://user:secret@127.0.0.1:9/name")
        assert "secret" not in str(told.value)

    @pytest.mark.parametrize("password", ["s%zcret", "se cret", "se/cret", "se:cr/et@x"])
    def test_an_address_that_cannot_be_read_is_told_without_what_may_be_its_password(self, password: str) -> None:
        address = f"postgresql://user:{password}@127.0.0.1:9/name"
        for opened in (PostgresJournal, Tables.open):
            with pytest.raises((JournalUnusable, TablesError), match=r"of the setting.*written as %25") as told:
                opened(address)
            assert "cret" not in str(told.value)

    def test_a_database_that_cannot_hold_every_name_is_refused(self, postgres_server: PostgresServer) -> None:
        with psycopg.connect(postgres_server.address(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE ascii_only ENCODING 'SQL_ASCII' TEMPLATE template0")
        with pytest.raises(JournalUnusable, match="has the encoding SQL_ASCII"):
            PostgresJournal(postgres_server.address("ascii_only"))

    def test_a_user_without_the_right_to_make_tables_is_told(
        self, postgres_server: PostgresServer, database: str
    ) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS guest")
            connection.execute("CREATE ROLE guest LOGIN")
        with pytest.raises(JournalUnusable, match=r"permission denied.*make a schema"):
            PostgresJournal(database.replace("suyuan@", "guest@"))

    def test_a_closed_journal_says_so(self, database: str) -> None:
        journal = PostgresJournal(database)
        journal.close()
        with pytest.raises(JournalStopped, match="is closed"):
            journal.fetch([BOX])
        with pytest.raises(JournalStopped, match="is closed"):
            put(journal, run(BOX, 1, 1))

    def test_it_is_not_copied_to_a_folder(self, journal: PostgresJournal, tmp_path: Path) -> None:
        with pytest.raises(JournalUnusable, match="suyuan backup"):
            journal.copy(tmp_path / "copy")


class TestDurability:
    def test_a_database_that_would_acknowledge_too_early_is_made_to_wait_for_the_disk(self, database: str) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off".encode())
        with psycopg.connect(database) as connection:
            assert connection.execute("SHOW synchronous_commit").fetchall() == [("off",)]
        journal = PostgresJournal(database)
        shown = journal._connections.run(lambda connection: connection.execute("SHOW synchronous_commit").fetchall())
        assert shown == [("on",)]
        journal.close()

    @pytest.mark.slow
    def test_a_server_that_never_waits_for_the_disk_is_refused(self, tmp_path: Path) -> None:
        server = PostgresServer(tmp_path / "unsafe", fsync="off")
        server.start()
        try:
            with pytest.raises(JournalUnusable, match=r"fsync = off.*loss of power"):
                PostgresJournal(server.address())
        finally:
            server.stop()


class TestKeys:
    def test_a_key_that_an_index_cannot_hold_is_filed_like_any_other(self, journal: PostgresJournal) -> None:
        odd = ["claim:H1:order:" + "9" * 5_000, "claim:H1:order:a\0b", "claim:H1:order:c\x02d", "claim:H1:order:e\x7ff"]
        put(journal, [fact(key, 1, deadline=9) for key in odd])
        put(journal, [fact(key, 2) for key in odd])
        assert journal.append([fact(key, 2) for key in odd], dict.fromkeys(odd, 1)) == odd
        assert {key: history.sequence for key, history in journal.fetch(odd).items()} == dict.fromkeys(odd, 2)
        assert sorted(journal.keys("claim:H1:order:")) == sorted(odd)
        assert sorted(key for _, key, _ in journal.due(9, 10)) == sorted(odd)

    @pytest.mark.parametrize("orders", [3, 2_500, 3_000])
    def test_thousands_of_orders_asked_for_at_once_are_answered_as_one_by_one(
        self, journal: PostgresJournal, orders: int
    ) -> None:
        keys = [f"hold:code:{number}" for number in range(3_000)]
        put(journal, [fact(key, 1, kind="hold_set") for key in keys[:orders]])
        fetched = journal.fetch([*keys, BOX])
        assert [fetched[key].sequence for key in keys] == [1] * orders + [0] * (3_000 - orders)
