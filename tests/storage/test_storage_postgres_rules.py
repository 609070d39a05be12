"""One schema for PostgreSQL and Citus: our tables and statements keep its nine rules, and each breach is told."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.postgres_rules import Connection, catalogue_faults, faults, text_faults

STORAGE = Path(__file__).resolve().parents[2] / "suyuan" / "storage"
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE|COPY|LOCK)\b")

LATE = (
    "CREATE TRIGGER late BEFORE UPDATE ON journal.event FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection to a database that holds a journal."""
    PostgresJournal(database).close()
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def statements() -> Iterator[str]:
    """Every text of the journal's modules that is a statement; what is filled in later is left open."""
    for path in sorted(STORAGE.glob("postgres*.py")):
        if path.name == "postgres_rules.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                text = "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
            if SQL.search(text):
                yield text


def test_our_tables_and_statements_keep_the_rules(connection: Connection) -> None:
    found = list(statements())
    assert len(found) > 20
    assert faults(connection, found) == []


@pytest.mark.parametrize(
    ("breach", "told"),
    [
        ("CREATE UNIQUE INDEX one_of_each ON journal.event (data)", "rule 1: the unique index one_of_each of event"),
        ("CREATE TABLE journal.more (code varchar(9) PRIMARY KEY)", "rule 2: more.code is character varying, not text"),
        (
            "CREATE DOMAIN label AS text; CREATE TABLE journal.more (code label PRIMARY KEY)",
            "rule 2: more.code is label",
        ),
        ("CREATE TABLE journal.more (code text)", "rule 2: more.code may be NULL"),
        (
            "CREATE TABLE journal.more (code text PRIMARY KEY, name text REFERENCES journal.meta)",
            "rule 3: the foreign key more_name_fkey from more",
        ),
        (
            LATE,
            "rule 4: event has the trigger or rule late",
        ),
        ("CREATE FUNCTION journal.one() RETURNS int LANGUAGE sql AS 'SELECT 1'", "rule 4: there is the function one"),
        ("ALTER TABLE journal.feed ADD COLUMN id bigserial", "rule 9: feed.id counts by itself"),
        ("ALTER TABLE journal.feed ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY", "rule 9: feed.id counts"),
        ("CREATE TABLE journal.more (name text PRIMARY KEY)", "more: whether it is filed by code is not said"),
    ],
)
def test_a_breach_in_the_catalogue_is_told(connection: Connection, breach: str, told: str) -> None:
    connection.execute(breach.encode())
    assert [fault for fault in catalogue_faults(connection) if told in fault]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO t (code) VALUES (%s) ON CONFLICT (code) DO UPDATE SET seen = now()", "rule 4"),
        ("UPDATE t SET seen = CURRENT_TIMESTAMP WHERE code = %s", "rule 4"),
        ("UPDATE t SET code = %s WHERE sequence = 1", "rule 2"),
        ("SELECT * FROM t WHERE code = ANY (%s) FOR UPDATE", "rule 5"),
        ("SELECT a, count(*) FROM t GROUP BY ROLLUP (a)", "rule 5"),
        ("WITH RECURSIVE t AS (SELECT 1) SELECT * FROM t", "rule 5"),
        ("INSERT INTO journal.event SELECT * FROM unnest(%s, %s, %s)", "rule 6"),
        ("SELECT pg_advisory_lock(7)", "rule 7"),
        ("LOCK TABLE journal.event", "rule 7"),
    ],
)
def test_a_breach_in_a_statement_is_told(statement: str, told: str) -> None:
    assert [fault for fault in text_faults(statement) if fault.startswith(told)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t (code, seen) VALUES (%s, %s) ON CONFLICT (code) DO UPDATE SET seen = EXCLUDED.seen",
        "UPDATE t SET seen = %s WHERE code = %s",
        "SELECT * FROM t WHERE code = %s FOR UPDATE",
        "INSERT INTO t (code, seen) VALUES (%s, now()) ON CONFLICT DO NOTHING",
    ],
)
def test_what_the_rules_allow_is_not_told(statement: str) -> None:
    assert list(text_faults(statement)) == []
