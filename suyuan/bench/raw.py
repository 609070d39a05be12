"""Raw limits: the least that an engine must do for a bulk upload, on the node's own database in the same run."""

import time
from typing import Any

from rocksdict import WriteBatch, WriteOptions

from suyuan.ledger.journal import Journal
from suyuan.storage.rocks import RocksJournal

BATCH = 10_000


def raw_rate(journal: Journal, keys: list[str]) -> tuple[float, str]:
    """Keys a second on the bare engine, and in words what it did; 0 for an engine that has no bare side."""
    if isinstance(journal, RocksJournal):
        return _rocks(journal, keys), (
            "raw: get + put + synced write of the same histories in the same database, 10,000 at a time"
        )
    return 0.0, ""


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


def stored_bytes(journal: Journal) -> int:
    """What the journal takes up in its database once everything is where it belongs: RocksDB writes out its memory."""
    assert isinstance(journal, RocksJournal), "asked for embedded journals"
    for family in (journal._histories, *journal._families.values()):  # noqa: SLF001  as above
        family.flush()
    return sum(file.stat().st_size for file in journal._path.rglob("*") if file.is_file())  # noqa: SLF001  as above
