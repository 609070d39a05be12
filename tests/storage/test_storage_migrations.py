"""Tables of every earlier version come up to date on both engines, whole or not at all."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.script import ScriptDirectory
from old_tables import write_old

from suyuan.catalogue.catalogue import Catalogue
from suyuan.ledger.privacy import Privacy
from suyuan.storage.audit import AuditRecord
from suyuan.storage.database import engine_at, is_server
from suyuan.storage.migrations.versions import version_2
from suyuan.storage.tables import SCHEMA_VERSION, Tables, TablesError
from suyuan.storage.webhooks import Webhooks

PHARMACY = "P44010000001"
EARLIER = [str(version) for version in range(1, SCHEMA_VERSION)]


@pytest.fixture
def privacy() -> Privacy:
    return Privacy(b"p" * 32, b"s" * 16)


def shape(place: str) -> dict[str, Any]:
    """Tables, columns, keys and indexes as the database itself describes them."""
    engine = engine_at(place)
    look = sa.inspect(engine)
    found: dict[str, Any] = {
        table: (
            sorted((one["name"], str(one["type"]), one["nullable"], one["default"]) for one in look.get_columns(table)),
            sorted(look.get_pk_constraint(table)["constrained_columns"]),
            sorted(str(one["column_names"]) for one in look.get_indexes(table)),
        )
        for table in look.get_table_names()
    }
    if is_server(place):
        with engine.connect() as connection:
            kinds = "SELECT relname, relpersistence FROM pg_class WHERE relkind = 'r' AND relname = 'windows'"
            guards = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
            found["kinds"] = [tuple(row) for row in connection.exec_driver_sql(kinds)]
            found["guards"] = [tuple(row) for row in connection.exec_driver_sql(guards)]
    engine.dispose()
    return found


@pytest.mark.parametrize("version", EARLIER)
def test_tables_of_an_earlier_version_become_what_new_ones_are(place: str, version: str, tmp_path: Path) -> None:
    write_old(place, version)
    Tables.open(place).close()
    migrated = shape(place)
    if is_server(place):
        engine = engine_at(place)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        engine.dispose()
    new = place if is_server(place) else str(tmp_path / "new.db")
    Tables.open(new).close()
    assert migrated == shape(new)


def test_tables_of_version_1_come_up_to_date_and_everybody_is_still_known(place: str, privacy: Privacy) -> None:
    write_old(place, "1")
    for _ in range(2):  # the second opening finds nothing left to do
        with Tables.open(place, privacy) as tables:
            assert tables.meta("schema") == str(SCHEMA_VERSION)
            assert tables.meta("node") == "440000"
            assert tables.check_credential("0123456789abcdef", "an-old-secret-of-version-1") == PHARMACY
            assert tables.check_credential("fedcba9876543210", "an-old-secret-of-version-1") is None
            assert [(one.name, one.role, one.disabled) for one in tables.list_people()] == [
                ("li", "inspector", False),
                ("old", "clerk", True),
            ]
            assert len(tables.load_catalogue().delegations) == 1
            assert Catalogue(tables.load_catalogue()).content.parties[0].name == "示例药房"


def test_tables_of_version_2_come_up_to_date_and_everybody_is_still_known(place: str, privacy: Privacy) -> None:
    write_old(place, "2")
    with Tables.open(place, privacy) as tables:
        assert tables.meta("schema") == str(SCHEMA_VERSION)
        assert tables.check_credential("0123456789abcdef", "a-secret-of-version-2") == PHARMACY
        held = tables.find_credential("0123456789abcdef")
        assert held is not None
        assert tables.secret_of(held) == b"a-secret-of-version-2"
        assert tables.try_password("chen", "one box, one code")[0] is not None
        assert [one.id for one in tables.list_requests()] == ["aaaabbbbcccc"]
        assert tables.client("H44010000001").scan_required
        assert len(tables.list_sessions("chen")) == 1
        assert tables.load_catalogue().leaflets[0].indications == "缓解疼痛"
        assert tables.try_password("nobody", "wrong") == (None, 0)


def test_an_old_key_signs_nothing_until_it_is_replaced(place: str, privacy: Privacy) -> None:
    write_old(place, "1")
    with Tables.open(place, privacy) as tables:
        old = tables.find_credential("0123456789abcdef")
        assert old is not None
        assert tables.secret_of(old) is None
        issued = tables.replace_credential(old.id, timedelta(days=7))
        new = tables.find_credential(issued.id)
        assert new is not None
        assert tables.secret_of(new) == issued.secret.encode()


def test_an_upgrade_that_fails_midway_leaves_the_old_version_as_it_was(
    place: str, privacy: Privacy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(place, "1")
    before, step = shape(place), version_2._add

    def refused(table: str, name: str, default: str) -> None:
        step(table, name, default)
        if name == "subject":
            op.execute("SELECT * FROM nowhere")

    real = ScriptDirectory.iterate_revisions

    def iterate(self: Any, *arguments: Any) -> Any:
        for revision in real(self, *arguments):
            if revision.revision == "2":
                monkeypatch.setattr(revision.module, "_add", refused)
            yield revision

    with monkeypatch.context() as patch:
        patch.setattr(ScriptDirectory, "iterate_revisions", iterate)
        with pytest.raises(TablesError, match=r"nowhere.*Nothing in it was changed"):
            Tables.open(place, privacy)
    assert shape(place) == before
    with Tables.open(place, privacy) as tables:
        assert tables.meta("schema") == str(SCHEMA_VERSION)
        assert tables.list_credentials()


KILLED = """
import os, signal, sys
from suyuan.storage import tables
keep = tables.keep_value
def killed(connection, key, value):
    keep(connection, key, value)
    os.kill(os.getpid(), signal.SIGKILL)  # every step is taken, and nothing is committed
tables.keep_value = killed
tables.Tables.open(sys.argv[1])
"""


def test_an_upgrade_killed_before_its_end_begins_anew(place: str, privacy: Privacy) -> None:
    write_old(place, "1")
    before = shape(place)
    ran = subprocess.run([sys.executable, "-c", KILLED, place], check=False, env={**os.environ})
    assert ran.returncode == -signal.SIGKILL
    assert shape(place) == before
    with Tables.open(place, privacy) as tables:
        assert tables.check_credential("0123456789abcdef", "an-old-secret-of-version-1") == PHARMACY


def test_of_many_that_open_old_tables_at_once_one_brings_them_up_to_date(place: str) -> None:
    write_old(place, "1")
    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(lambda _: Tables.open(place), range(6)))
    assert {tables.meta("schema") for tables in opened} == {str(SCHEMA_VERSION)}
    for tables in opened:
        tables.close()


def test_tables_that_an_older_program_still_writes_to_are_opened_once_it_is_done(tmp_path: Path) -> None:
    path = str(tmp_path / "tables.db")
    write_old(path, "1")
    with closing(sqlite3.connect(path)) as older, ThreadPoolExecutor(1) as thread:
        older.execute("BEGIN IMMEDIATE")
        opening = thread.submit(Tables.open, path)
        assert not wait([opening], 0.3).done  # it has found them locked
        older.commit()
        with opening.result() as tables:
            assert tables.meta("schema") == str(SCHEMA_VERSION)


def test_of_many_that_open_an_empty_place_at_once_one_makes_the_tables(place: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(lambda _: Tables.open(place), range(6)))
    assert all(len(tables.load_catalogue().exemptions) == 3 for tables in opened)
    for tables in opened:
        tables.close()


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1), "later"])
def test_tables_of_a_newer_program_are_refused_untouched(place: str, version: str) -> None:
    Tables.open(place).close()
    engine = engine_at(place)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE meta SET value = '{version}' WHERE key = 'schema'")
    engine.dispose()
    with pytest.raises(TablesError, match=f"version {version}; this program knows versions up to {SCHEMA_VERSION}"):
        Tables.open(place)


def test_a_database_that_does_not_answer_is_refused_with_words_that_hide_its_password() -> None:
    with pytest.raises(TablesError, match=r"the database shop at 127\.0\.0\.1:1 cannot be used") as refused:
        Tables.open("postgresql://suyuan:very-secret@127.0.0.1:1/shop")
    assert "very-secret" not in str(refused.value)


def test_audit_record_and_webhooks_are_in_the_database_and_in_files_of_their_own_beside_a_file(
    database: str, tmp_path: Path
) -> None:
    write_old(database, "2")
    Tables.open(database).close()
    Tables.open(tmp_path / "tables.db").close()
    assert {"audit_lines", "webhooks"} <= shape(database).keys()
    assert not {"audit_lines", "webhooks", "lines"} & shape(str(tmp_path / "tables.db")).keys()
    record = AuditRecord.open(database)
    assert record.append("account.add", "chen").number == 1
    webhooks = Webhooks.open(database)
    assert webhooks.all() == []
    webhooks.close()
    record.close()
