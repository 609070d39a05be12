"""The tables keep catalogue, keys and people, hide every secret, and refuse what they do not understand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psycopg
import pytest

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import Content
from suyuan.catalogue.parties import Party
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.storage.database import is_server
from suyuan.storage.tables import SCHEMA_VERSION, Tables, TablesError

SINCE, UNTIL = date(2025, 7, 1), date(2026, 6, 30)


@pytest.fixture
def tables(place: str) -> Iterator[Tables]:
    with Tables.open(place) as opened:
        yield opened


def test_new_tables_hold_the_national_exemptions_and_nothing_else(tables: Tables) -> None:
    assert tables.load_catalogue() == Content()


def test_a_catalogue_comes_back_as_it_was_saved(tables: Tables, place: str) -> None:
    content = synthetic_catalogue(5, 200)
    tables.save_catalogue(content)
    assert tables.load_catalogue() == content
    with Tables.open(place) as again:
        assert again.load_catalogue() == content


def test_tables_in_memory_are_the_same_for_every_thread() -> None:
    with Tables.open(":memory:") as tables, ThreadPoolExecutor(1) as other:
        tables.save_catalogue(Content(parties=[Party("P1", "甲药店")]))
        assert other.submit(tables.load_catalogue).result() == tables.load_catalogue()
        assert tables.load_catalogue().parties == [Party("P1", "甲药店")]


def test_saving_one_table_leaves_the_others(tables: Tables) -> None:
    content = synthetic_catalogue(5, 50)
    tables.save_catalogue(content)
    tables.save_catalogue(Content(parties=[Party("P1", "甲药店")]), only=["parties"])
    loaded = tables.load_catalogue()
    assert loaded.parties == [Party("P1", "甲药店")]
    assert loaded.products == content.products


def test_a_save_that_fails_changes_nothing(tables: Tables) -> None:
    content = synthetic_catalogue(5, 50)
    tables.save_catalogue(content)
    twice = Content(parties=[Party("P1", "甲"), Party("P1", "乙")])
    with pytest.raises(Exception, match=r"(?i)unique"):
        tables.save_catalogue(twice)
    assert tables.load_catalogue() == content


def stored(place: str) -> bytes:
    """All that is kept, as whoever opens the file or reads the database finds it."""
    if not is_server(place):
        return b"".join(path.read_bytes() for path in Path(place).parent.iterdir())
    with psycopg.connect(place) as connection:
        tables = connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
        return "".join(
            str(connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()) for (name,) in tables
        ).encode()


def test_a_secret_is_shown_once_and_only_its_hash_is_kept(tables: Tables, place: str) -> None:
    issued = tables.create_credential("H44030500001")
    assert tables.check_credential(issued.id, issued.secret) == "H44030500001"
    assert tables.check_credential(issued.id, issued.secret + "x") is None
    assert tables.check_credential("nobody", issued.secret) is None
    assert issued.secret.encode() not in stored(place)
    assert issued.id.encode() in stored(place)
    assert issued.secret not in str(tables.list_credentials())


def test_two_keys_of_one_institution_are_told_apart_and_salted_apart(tables: Tables) -> None:
    first, second = tables.create_credential("P1"), tables.create_credential("P1")
    tables.create_credential("P2")
    listed = tables.list_credentials("P1")
    assert {row.id for row in listed} == {first.id, second.id}
    assert len({row.salt for row in listed}) == 2
    assert len(tables.list_credentials()) == 3


def test_a_revoked_key_opens_nothing_and_its_first_revocation_stands(tables: Tables) -> None:
    issued, other = tables.create_credential("P1"), tables.create_credential("P1")
    tables.revoke(issued.id)
    first = [row.revoked for row in tables.list_credentials() if row.id == issued.id]
    tables.revoke(issued.id)
    assert [row.revoked for row in tables.list_credentials() if row.id == issued.id] == first
    assert tables.check_credential(issued.id, issued.secret) is None
    assert tables.check_credential(other.id, other.secret) == "P1"
    with pytest.raises(TablesError, match="no credential 'nobody'"):
        tables.revoke("nobody")


def test_people_have_one_name_a_known_role_and_can_be_locked_out(tables: Tables) -> None:
    person = tables.add_person("li", "inspector", region="440000")
    assert tables.list_people() == [person]
    with pytest.raises(TablesError, match="taken"):
        tables.add_person("li", "agency")
    with pytest.raises(TablesError, match="no role 'king'"):
        tables.add_person("wang", "king")
    with pytest.raises(TablesError, match="needs a name"):
        tables.add_person("  ", "agency")
    tables.disable_person("li")
    assert [one.disabled for one in tables.list_people()] == [True]
    tables.disable_person("li", disabled=False)
    assert tables.list_people() == [person]
    with pytest.raises(TablesError, match="nobody named"):
        tables.disable_person("wang")


def test_a_delegation_is_recorded_with_its_end_and_never_twice_for_one_day(tables: Tables) -> None:
    tables.delegate("P1", "V1", SINCE, UNTIL, "代传")
    catalogue = Catalogue(tables.load_catalogue())
    assert [catalogue.may_speak("P1", "V1", day) for day in (SINCE, UNTIL, date(2026, 7, 1))] == [True, True, False]
    with pytest.raises(TablesError, match="already speaks"):
        tables.delegate("P1", "V1", UNTIL, date(2027, 1, 1))
    with pytest.raises(TablesError, match="needs a last day"):
        tables.delegate("P1", "V2", SINCE, date.max)
    with pytest.raises(TablesError, match="ends before it begins"):
        tables.delegate("P1", "V2", UNTIL, SINCE)
    assert len(tables.load_catalogue().delegations) == 1


def test_accounts_move_from_one_node_to_another_as_a_pair(tables: Tables, tmp_path: Path) -> None:
    issued, gone = tables.create_credential("P1"), tables.create_credential("P2")
    tables.revoke(gone.id)
    tables.add_person("li", "inspector", region="440000")
    with Tables.open(tmp_path / "other.db") as other:
        other.create_credential("P3")
        other.import_accounts(tables.export_accounts())
        assert other.export_accounts() == tables.export_accounts()
        assert other.check_credential(issued.id, issued.secret) == "P1"
        assert other.check_credential(gone.id, gone.secret) is None


def test_single_values_are_kept_and_the_schema_tag_is_not_for_sale(tables: Tables) -> None:
    assert tables.meta("node") is None
    tables.set_meta("node", "440000")
    tables.set_meta("node", "450000")
    assert tables.meta("node") == "450000"
    assert tables.meta("schema") == str(SCHEMA_VERSION)
    with pytest.raises(TablesError, match="belongs to the tables"):
        tables.set_meta("schema", "9")


def test_a_file_that_is_no_database_and_a_place_that_does_not_exist_are_refused_with_words(tmp_path: Path) -> None:
    strange = tmp_path / "strange.db"
    strange.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(TablesError, match="cannot be opened as tables"):
        Tables.open(strange)
    with pytest.raises(TablesError, match="cannot be opened as tables"):
        Tables.open(tmp_path / "nowhere" / "tables.db")
    assert strange.read_bytes().startswith(b"this is no database")


def test_a_commit_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "tables.db"
    with Tables.open(path) as tables:
        with tables._engine.connect() as connection:
            assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
        tables.close()
