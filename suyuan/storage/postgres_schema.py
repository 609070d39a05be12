"""The tables of a journal in PostgreSQL or Citus: made once, tagged with a version, never changed in silence."""

from typing import Any

import psycopg

from suyuan.storage.refusals import JournalUnusable

Connection = psycopg.Connection[tuple[Any, ...]]

FORMAT = "suyuan journal, engine postgresql, version 1"
"""What the version tag says. A change that this program could not read raises the number."""

_SCHEMA_LOCK = 0x5375_7975_616E_0001
"""One at a time makes the tables. Nothing else rests on a lock: see rule 7 in decision 14."""

TABLES = """
CREATE SCHEMA IF NOT EXISTS journal;

CREATE TABLE journal.meta (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE journal.event (
    code text COLLATE "C" NOT NULL,
    sequence integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (code, sequence)
);

CREATE TABLE journal.deadline (
    code text COLLATE "C" NOT NULL,
    sequence integer NOT NULL,
    due bigint NOT NULL,
    PRIMARY KEY (code, sequence)
);
CREATE INDEX deadline_due ON journal.deadline (due, code, sequence);

CREATE TABLE journal.document (
    digest text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL
);
ALTER TABLE journal.document ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE journal.feed (
    era integer NOT NULL,
    transaction bigint NOT NULL,
    ordinal integer NOT NULL,
    batch bytea NOT NULL,
    events integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (era, transaction, ordinal)
);
"""
"""`event` and `deadline` are filed by code, `document` by its own hash; `feed` and `meta` stay on one node.

The feed repeats the events, packed as they arrived together: it is read in large pieces in the order of transactions,
which on a cluster only the node through which they came can tell.
"""

DISTRIBUTE = (
    "SELECT create_distributed_table('journal.event', 'code')",
    "SELECT create_distributed_table('journal.deadline', 'code', colocate_with => 'journal.event')",
    "SELECT create_distributed_table('journal.document', 'digest', colocate_with => 'none')",
)


def prepare(connection: Connection, *, make: bool = True, distribute: bool = False) -> dict[str, str]:
    """Make the tables if there are none and `make` allows it; answers what is noted of the record.

    Raises:
        JournalUnusable: the tables are of another version, or there are none.
    """
    if not _is_made(connection):
        if not make:
            raise JournalUnusable(
                "The database holds no journal, and this folder had one: name the right database, or restore it from "
                "a backup. It is not started anew, for then paid boxes would be paid again."
            )
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            if not _is_made(connection):
                _make(connection, distribute=distribute)
    noted = notes(connection)
    if noted.get("format") != FORMAT:
        raise JournalUnusable(
            f"The journal in the database says “{noted.get('format', '')[:80]}”; this program reads “{FORMAT}”. "
            "Open it with the program that wrote it, export there, and import here."
        )
    return noted if distribute is False or noted["distributed"] else _refuse_late(noted)


def notes(connection: Connection) -> dict[str, str]:
    """What is noted of the record."""
    return dict(connection.execute("SELECT name, value FROM journal.meta").fetchall())


def current_era(connection: Connection) -> int:
    """The era in which transactions are numbered now; a new one where the feed is ahead of this server's numbers.

    That is so when the tables were dumped on one server and brought to another: what came with them is older than
    anything to come, whatever its numbers.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        era, ahead = connection.execute(
            "SELECT value::integer, EXISTS (SELECT FROM journal.feed WHERE era = value::integer AND transaction >= "
            "pg_snapshot_xmax(pg_current_snapshot())::text::bigint) FROM journal.meta WHERE name = 'era'"
        ).fetchall()[0]
        if ahead:
            connection.execute("UPDATE journal.meta SET value = %s WHERE name = 'era'", (str(era + 1),))
        return int(era) + bool(ahead)


CLOSED = "closed_for_writing"
"""Name of the constraint that refuses new rows: no trigger, and no lock that a killed process could leave behind."""

_CLOSED_TABLES = ("event", "feed", "document")


def close_tables(connection: Connection, words: str) -> None:
    """Refuse new rows for the reason said. Waits for the transactions that are writing."""
    with connection.transaction():
        open_tables(connection)  # within it: tables that are closed already take nothing in between
        for table in _CLOSED_TABLES:
            connection.execute(f"ALTER TABLE journal.{table} ADD CONSTRAINT {CLOSED} CHECK (false) NOT VALID".encode())
        connection.execute("INSERT INTO journal.meta (name, value) VALUES ('closed', %s)", (words,))


def open_tables(connection: Connection) -> None:
    """Take new rows again."""
    with connection.transaction():
        for table in _CLOSED_TABLES:
            connection.execute(f"ALTER TABLE journal.{table} DROP CONSTRAINT IF EXISTS {CLOSED}".encode())
        connection.execute("DELETE FROM journal.meta WHERE name = 'closed'")


def _is_made(connection: Connection) -> bool:
    # Not to_regclass: within a transaction it goes on believing that there is none.
    asked = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'journal' AND tablename = 'meta'"
    return bool(connection.execute(asked).fetchall()[0][0])


def _make(connection: Connection, *, distribute: bool) -> None:
    """All tables in one transaction; the version tag comes with them."""
    connection.execute(TABLES)
    if _knows_lz4(connection):
        connection.execute("ALTER TABLE journal.feed ALTER COLUMN data SET COMPRESSION lz4")
    else:  # the older way to compress costs as much as all the rest of writing the feed (measured)
        connection.execute("ALTER TABLE journal.feed ALTER COLUMN data SET STORAGE EXTERNAL")
    if distribute:
        for statement in DISTRIBUTE:
            connection.execute(statement)
    connection.execute(
        "INSERT INTO journal.meta (name, value) VALUES "
        "('format', %s), ('database', replace(gen_random_uuid()::text, '-', '')), ('era', '1'), ('distributed', %s)",
        (FORMAT, "yes" if distribute else ""),
    )


def _knows_lz4(connection: Connection) -> bool:
    found = connection.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'").fetchall()
    return bool(found) and "lz4" in found[0][0]


def _refuse_late(_: dict[str, str]) -> dict[str, str]:
    raise JournalUnusable(
        "The database holds a journal whose tables are not distributed. Make the journal in a new database of the "
        "cluster, and bring the facts over with suyuan export and import."
    )
