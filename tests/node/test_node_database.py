"""A node whose journal is in a database: what belongs together, and what is refused in words."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
import pytest
from postgres_server import PostgresServer

from suyuan.cli import run
from suyuan.ledger.events import Event
from suyuan.node import DATABASE, JOURNAL, SECRETS, Node, NodeUnusable, check_folder, is_node
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.refusals import JournalUnusable

BOX = "trace20:81234560000000000001"


@pytest.fixture
def address(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh database, and the setting that names it."""
    monkeypatch.setenv("SUYUAN_DATABASE", database)
    return database


def sold(sequence: int) -> Event:
    return Event(1, f"{BOX}#{sequence}", "sold", BOX, sequence, 1_000 + sequence, 2_000 + sequence, "H31")


def test_two_hosts_with_the_same_secrets_are_one_node(address: str, tmp_path: Path) -> None:
    with Node.open(tmp_path / "one") as one:
        assert one.settings.engine == "postgresql"
        assert isinstance(one.journal, PostgresJournal)
        assert not (tmp_path / "one" / JOURNAL).exists()
        (tmp_path / "two").mkdir()
        shutil.copy(tmp_path / "one" / SECRETS, tmp_path / "two")
        with Node.open(tmp_path / "two") as two, Node.open(tmp_path / "one") as again:
            one.journal.append([sold(1)], {BOX: 0})
            two.journal.append([sold(2)], {BOX: 1})
            assert again.ledger.read([BOX]) == {BOX: [sold(1), sold(2)]}
            assert [node.views.catch_up() for node in (one, two)] == [2, 2]
        assert is_node(tmp_path / "two")
        assert address


def test_the_setting_of_the_engine_is_ignored_beside_a_database(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYUAN_ENGINE", "memory")
    with Node.open(tmp_path / "node") as node:
        node.journal.append([sold(1)], {BOX: 0})
    with Node.open(tmp_path / "node") as node:
        assert node.ledger.read([BOX]) == {BOX: [sold(1)]}
    assert address


class TestRefused:
    @pytest.fixture
    def folder(self, address: str, tmp_path: Path) -> Path:
        """The folder of a node on the database."""
        assert address
        with Node.open(tmp_path / "node") as node:
            node.journal.append([sold(1)], {BOX: 0})
        return tmp_path / "node"

    def test_a_host_without_the_secrets_or_with_others(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(NodeUnusable, match=r"secrets are not in .*copy secrets\.json there"):
            Node.open(tmp_path / "other")
        assert not (tmp_path / "other" / SECRETS).exists(), "none are made that would stand in the way"
        mixed = tmp_path / "mixed"
        mixed.mkdir()
        kept = msgspec.json.decode((folder / SECRETS).read_bytes())
        (mixed / SECRETS).write_bytes(msgspec.json.encode({**kept, "person_key": bytes(32)}))
        with pytest.raises(NodeUnusable, match=r"not those of the database.*Copy secrets\.json"):
            Node.open(mixed)

    def test_a_folder_whose_setting_was_lost_does_not_begin_a_journal_of_its_own(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SUYUAN_DATABASE")
        with pytest.raises(NodeUnusable, match=r"is in a database.*paid again"):
            Node.open(folder)
        assert not (folder / JOURNAL).exists()

    def test_another_database_even_an_empty_one(
        self, folder: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty, other = postgres_server.new_database(), postgres_server.new_database()
        monkeypatch.setenv("SUYUAN_DATABASE", empty)
        with pytest.raises(JournalUnusable, match=r"holds no journal.*paid again"):
            Node.open(folder)
        with psycopg.connect(empty) as connection:
            assert connection.execute("SELECT to_regnamespace('journal')").fetchall() == [(None,)]
        PostgresJournal(other).close()
        monkeypatch.setenv("SUYUAN_DATABASE", other)
        with pytest.raises(NodeUnusable, match="belongs with the record"):
            Node.open(folder)

    def test_a_folder_that_keeps_a_journal_of_its_own(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SUYUAN_DATABASE")
        Node.open(tmp_path / "rocks").close()
        monkeypatch.setenv("SUYUAN_DATABASE", address)
        with pytest.raises(NodeUnusable, match="keeps a journal of its own"):
            check_folder(tmp_path / "rocks")

    def test_a_note_of_the_record_that_was_cut_off_is_written_again_and_a_whole_one_is_left_alone(
        self, folder: Path
    ) -> None:
        named = (folder / DATABASE).read_text()
        (folder / DATABASE).write_text("")
        Node.open(folder).close()
        assert (folder / DATABASE).read_text() == named
        (folder / DATABASE).chmod(0o444)
        before = (folder / DATABASE).stat()
        Node.open(folder).close()
        after = (folder / DATABASE).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_lost_secrets_are_never_made_anew(self, folder: Path) -> None:
        (folder / SECRETS).unlink()
        with pytest.raises(NodeUnusable, match="secrets are not in"):
            Node.open(folder)
        assert (folder / DATABASE).exists()


class TestCommands:
    def test_init_makes_the_tables_and_check_holds_them_to_the_rules(
        self, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ask: Callable[[str], int] = lambda command: run(["database", command, "--dir", str(tmp_path / "node")])  # noqa: E731
        assert ask("check") == 3
        assert "holds no journal" in capsys.readouterr().err
        assert (ask("init"), ask("init"), ask("check")) == (0, 0, 0)
        first, second, kept = capsys.readouterr().out.splitlines()
        assert first == second
        assert "holds the record" in first
        assert "keep all rules" in kept
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE UNIQUE INDEX one_of_each ON journal.event (data)")
        assert ask("check") == 1
        assert "rule 1: the unique index one_of_each of event" in capsys.readouterr().out
        with Node.open(tmp_path / "node") as node:
            assert isinstance(node.journal, PostgresJournal)
            assert node.journal.identity in first

    def test_without_a_database_there_is_nothing_to_make(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("SUYUAN_DATABASE", raising=False)
        assert run(["database", "init", "--dir", str(tmp_path)]) == 3
        assert "no database is set" in capsys.readouterr().err
