"""A journal in memory with events of every shape, and a lake beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from suyuan.lake.lake import Lake, Page, Source
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.packed import batch_parts

START = 1_767_200_400_000_000
DAY = 86_400_000_000
KINDS = ("produced", "shipped", "received", "sold", "sold", "claimed", "returned")
ACTORS = ("H44010000001", "P44010000002", "M11010000003")


class Facts:
    """Makes events whose sequences follow each other, the same from the same seed."""

    def __init__(self, seed: int = 1, keys: int = 40) -> None:
        self._random = Random(seed)
        self._keys = keys
        self._sequences: dict[str, int] = {}
        self._count = 0

    def batch(self, size: int, days: int = 0) -> list[Event]:
        return [self.event(days) for _ in range(size)]

    def event(self, days: int = 0, **fields: Any) -> Event:
        pick = self._random.choice
        number = self._random.randrange(self._keys)
        key = fields.pop("key", None) or pick(
            (f"trace20:8{number:019d}", f"gs1:0952000001632{number % 7}:S{number}", f"claim:H44:visit:{number}")
        )
        self._sequences[key] = self._sequences.get(key, 0) + 1
        self._count += 1
        given: dict[str, Any] = {
            "kind": pick(KINDS),
            "event_time": START + days * DAY + self._count * 1_000_000,
            "arrived": START + days * DAY + self._count * 1_000_000 + 5,
            "actor": pick(ACTORS),
            "region": pick(("440100", "")),
            "status": pick(("accepted", "conflict_sold")),
            "reasons": pick(((), ("conflict_sold", "unmapped"))),
            "verdict": pick(("", "pay")),
            "references": pick(({}, {"visit": f"V{number}", "order": "第 1 号"})),
            "lot": pick(("", "L1")),
            "price": pick((0, 12_500_000)),
            "person": pick(("", f"p{number}")),
            "drawn": pick((True, False)),
            "software": pick(("", "S/till/1.0")),
            "detail": pick((None, {"children": ["a"]})),
            **fields,
        }
        return Event(version=RECORD_VERSION, id=f"{self._count:x}", key=key, sequence=self._sequences[key], **given)


def journal_of(batches: Iterable[Sequence[Event]]) -> MemoryJournal:
    journal = MemoryJournal()
    for batch in batches:
        append(journal, batch)
    return journal


def append(journal: MemoryJournal, batch: Sequence[Event]) -> None:
    expected: dict[str, int] = {}
    for event in batch:
        expected.setdefault(event.key, event.sequence - 1)
    assert isinstance(journal.append(batch, expected), bytes)


def source_of(journal: MemoryJournal, hidden: frozenset[str] = frozenset()) -> Source:
    def feed(position: bytes | None, limit: int) -> Page:
        records, reached = journal.stored_since(position, limit)
        return [batch_parts(record) for record in records], reached

    return Source(feed, b"k" * 32, lambda: hidden, lambda: START)


def lake_of(folder: Path, journal: MemoryJournal) -> Lake:
    return Lake(folder / "lake", source_of(journal))


def everything(journal: MemoryJournal) -> list[Event]:
    events, _ = journal.since(None, 1 << 40)
    return events


def agreed(lake: Lake, journal: MemoryJournal) -> None:
    """The lake holds every event of the journal once, at its place in the feed, with its key and sequence."""
    expected = [(number, event.key, event.sequence) for number, event in enumerate(everything(journal))]
    assert lake.query("SELECT feed, key, sequence FROM sealed ORDER BY feed").rows == expected
    assert lake.manifest().events == len(expected)
