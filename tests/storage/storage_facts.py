"""Facts for the storage tests: short to write, and alike for every engine."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.rocks import RocksJournal


def fact(key: str, sequence: int, *, kind: Any = "sold", **more: Any) -> Event:
    """One event; its id tells it from all others."""
    return Event(1, f"{key}#{sequence}", kind, key, sequence, 1_000 + sequence, 2_000 + sequence, "H31", **more)


def run(key: str, first: int, last: int) -> list[Event]:
    """Events of one key, from one sequence to another."""
    return [fact(key, sequence) for sequence in range(first, last + 1)]


def put(journal: Journal, events: Iterable[Event], documents: Mapping[str, bytes] | None = None) -> bytes:
    """Append events at the end of what is there, and be sure that they were taken."""
    events = list(events)
    expected: dict[str, int] = {}
    for event in events:
        expected.setdefault(event.key, event.sequence - 1)
    position = journal.append(events, expected, documents)
    assert isinstance(position, bytes), position
    return position


def all_events(journal: Journal, limit: int = 100) -> list[Event]:
    """The whole record in order of arrival, read page by page."""
    events: list[Event] = []
    position = None
    while True:
        page, position = journal.since(position, limit)
        if not page:
            return events
        events += page


def opened(engine: str, path: Path, database: str = "") -> Journal:
    """An empty journal of the engine."""
    if engine == "postgres":
        return PostgresJournal(database)
    if engine == "postgres as on a cluster":
        return PostgresJournal(database, _distributed=True)
    if engine == "citus":
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS journal CASCADE")
        return PostgresJournal(database, distribute=True)
    return MemoryJournal() if engine == "memory" else RocksJournal(path / "journal", block_cache_bytes=1 << 20)


def audit(journal: Journal) -> dict[str, list[Event]]:
    """Read the log alone, keep our own books from it, and see that everything else agrees. Answers the books."""
    books: dict[str, list[Event]] = {}
    deadlines = set()
    for event in all_events(journal):
        books.setdefault(event.key, []).append(event)
        if event.deadline and event.kind != "due":
            deadlines.add((event.deadline, event.key, event.sequence))
        elif event.deadline:
            deadlines.discard((event.deadline, event.key, event.corrects))
    assert list(journal.keys("")) == sorted(books)
    for key, history in journal.fetch(books).items():
        assert [event.sequence for event in books[key]] == list(range(1, history.sequence + 1))
        assert list(history.events) == books[key]
    assert journal.due(1 << 62, 1_000_000) == sorted(deadlines)
    for events in books.values():
        assert all(journal.document(event.document) for event in events if event.document)
    return books
