"""Raw limits: the least that an engine must do for a bulk upload, on the node's own database in the same run."""

import os
import time
from typing import Any

import psycopg
from rocksdict import WriteBatch, WriteOptions

from suyuan.node import Node
from suyuan.storage.rocks import RocksJournal

BATCH = 10_000
SETTLE_SECONDS_MAX = 900


def raw_rate(node: Node, keys: list[str]) -> tuple[float, str]:
    """Keys a second on the bare engine, and in words what it did."""
    if isinstance(node.journal, RocksJournal):
        words = "raw: get + put + synced write of the same histories in the same database, 10,000 at a time"
        return _rocks(node.journal, keys), words
    words = "raw: read + COPY + commit of the same rows into a table of their own, 10,000 at a time"
    return _postgres(node.settings.database, keys), words


def _rocks(journal: RocksJournal, keys: list[str]) -> float:
    """Every history is read and written back unchanged."""
    database: Any = journal._histories  # noqa: SLF001  the raw limit lies below the journal's door
    durable = WriteOptions()
    durable.sync = True
    begun = time.perf_counter()
    for first in range(0, len(keys), BATCH):
        stored = sorted(key.encode() for key in keys[first : first + BATCH])
        batch = WriteBatch(raw_mode=True)
        for key, value in zip(stored, database.get(stored), strict=True):
            batch.put(key, value)
        database.write(batch, durable)
    return len(keys) / (time.perf_counter() - begun)


_LATEST = "SELECT DISTINCT ON (code) code, data FROM journal.event WHERE code = ANY (%s) ORDER BY code, sequence DESC"


def _postgres(database: str, keys: list[str]) -> float:
    """The latest row of every key is read and stored once more, beside the journal."""
    table = f"bench_raw_{os.getpid()}"
    columns = 'code text COLLATE "C", sequence integer, data bytea, PRIMARY KEY (code, sequence)'
    with psycopg.connect(database) as connection:
        connection.execute(f"CREATE TABLE {table} ({columns})".encode())
        connection.commit()
        cursor = connection.cursor(binary=True)
        begun = time.perf_counter()
        for first in range(0, len(keys), BATCH):
            rows = cursor.execute(_LATEST, (sorted(keys[first : first + BATCH]),)).fetchall()
            with cursor.copy(f"COPY {table} (code, sequence, data) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(["text", "int4", "bytea"])
                for code, data in rows:
                    copy.write_row((code, 2, data))
            connection.commit()
        seconds = time.perf_counter() - begun
        connection.execute(f"DROP TABLE {table}".encode())
    return len(keys) / seconds


def settle_down(node: Node) -> float:
    """Wait until the engine has put in order what was filled in; answers the seconds.

    An upload measured before that would share the machine with the fill.
    """
    begun = time.perf_counter()
    journal = node.journal
    if isinstance(journal, RocksJournal):
        families = (journal._histories, *journal._families.values())  # noqa: SLF001  the raw limit's side
        busy = ("rocksdb.num-running-compactions", "rocksdb.compaction-pending", "rocksdb.num-running-flushes")
        while time.perf_counter() - begun < SETTLE_SECONDS_MAX:
            if not any(family.property_int_value(name) for family in families for name in busy):
                break
            time.sleep(0.2)
    return time.perf_counter() - begun


def stored_bytes(node: Node) -> int:
    """What the journal takes up on disk, with the tables beside it where they share its database."""
    journal = node.journal
    if not isinstance(journal, RocksJournal):
        with psycopg.connect(node.settings.database) as connection:
            return int(connection.execute("SELECT pg_database_size(current_database())").fetchall()[0][0])
    for family in (journal._histories, *journal._families.values()):  # noqa: SLF001  the raw limit's side
        family.flush()
    return sum(file.stat().st_size for file in journal._path.rglob("*") if file.is_file())  # noqa: SLF001  as above
