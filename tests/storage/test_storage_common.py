"""What server processes keep in common: proofs that count once, and how often somebody came."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from suyuan.storage.database import engine_at
from suyuan.storage.tables import Tables

SECOND = 1_000_000


def test_a_proof_counts_for_the_first_body_alone_until_it_is_out_of_its_time(place: str) -> None:
    with Tables.open(place) as one, Tables.open(place) as other:
        assert one.use_proof("nonce", "a", until=100, now=10) == "a"
        assert other.use_proof("nonce", "b", until=100, now=20) == "a", "whichever process it comes to"
        assert other.use_proof("another", "b", until=100, now=20) == "b"
        assert one.use_proof("nonce", "c", until=200, now=101) == "c"


def test_of_many_that_use_one_proof_at_once_one_is_the_first(place: str) -> None:
    with Tables.open(place) as one, Tables.open(place) as other, ThreadPoolExecutor(8) as threads:
        found = list(
            threads.map(lambda number: (one, other)[number % 2].use_proof("n", str(number), 100, 10), range(40))
        )
    assert len(set(found)) == 1


def test_everybody_who_comes_is_counted_whichever_process_they_come_to(place: str) -> None:
    with Tables.open(place) as one, Tables.open(place) as other, ThreadPoolExecutor(8) as threads:
        counted = threads.map(
            lambda number: (one, other)[number % 2].count("sign_in", "here", 60 * SECOND, SECOND), range(40)
        )
        assert sorted(came for came, _ in counted) == list(range(1, 41))
        assert one.count("sign_in", "elsewhere", 60 * SECOND, SECOND) == (1, 61 * SECOND)
        assert one.count("sign_in", "here", 60 * SECOND, 60 * SECOND) == (41, 61 * SECOND)
        assert one.count("sign_in", "here", 60 * SECOND, 61 * SECOND) == (1, 121 * SECOND), "a new window"


def test_a_change_of_the_catalogue_is_noticed_table_by_table(place: str) -> None:
    with Tables.open(place) as one, Tables.open(place) as other:
        before = other.catalogue_changes()
        one.change_catalogue("parties", list)
        after = other.catalogue_changes()
    assert {name for name in after if after[name] != before[name]} == {"parties"}


def test_changes_of_one_table_by_many_processes_are_all_kept(place: str) -> None:
    from suyuan.catalogue.parties import Party  # noqa: PLC0415  beside its use

    with Tables.open(place) as one, Tables.open(place) as other, ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda number: (one, other)[number % 2].change_catalogue(
                    "parties", lambda rows: [*rows, Party(f"P{number}")]
                ),
                range(16),
            )
        )
        assert {party.code for party in one.load_catalogue().parties} == {f"P{number}" for number in range(16)}


@pytest.mark.parametrize(("set_to", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_what_tables_acknowledge_is_on_disk_whatever_the_database_would_do(
    database: str, set_to: str, used: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = {set_to}".encode())
    engine = engine_at(database)
    for _ in range(2):
        with engine.begin() as one:
            assert one.exec_driver_sql("SHOW synchronous_commit").scalar() == used
    engine.dispose()


def test_what_is_shared_is_counted_and_changed_whatever_isolation_the_database_would_give(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode())
    with Tables.open(database) as one, Tables.open(database) as other, ThreadPoolExecutor(8) as threads:

        def work(number: int) -> int:
            tables = (one, other)[number % 2]
            tables.use_proof("nonce", str(number), until=100, now=10)
            tables.change_value("sum", lambda text: str(int(text or 0) + 1))
            return tables.count("sign_in", "here", 60 * SECOND, SECOND)[0]

        assert sorted(threads.map(work, range(40))) == list(range(1, 41))
        assert one.meta("sum") == "40"
        assert one.load_catalogue() == other.load_catalogue(), "which looks at one moment, and leaves nothing behind"
        assert sorted(threads.map(work, range(40))) == list(range(41, 81))
