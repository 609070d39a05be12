"""A journal in memory: the contract in its plainest form, for tests and for comparing engines with."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from suyuan.ledger.events import Event, decoder, encoder
from suyuan.ledger.journal import History
from suyuan.storage.batch import Deadline, assert_sequences, batches_before, deadlines, position_of
from suyuan.storage.packed import packed, packed_batch
from suyuan.storage.refusals import JournalUnusable


@dataclass(frozen=True, slots=True)
class KeptHistory:
    """The events of one key as they were when it was fetched."""

    events: tuple[Event, ...] = ()

    @property
    def sequence(self) -> int:
        """Number of events so far."""
        return len(self.events)

    @property
    def tail(self) -> Sequence[Event]:
        """The latest 64 events, oldest first."""
        return self.events[-64:]


class MemoryJournal:
    """A journal that lives as long as its process; any number of threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._histories: dict[str, tuple[Event, ...]] = {}
        self._batches: list[list[Event]] = []
        self._deadlines: set[Deadline] = set()
        self._documents: dict[str, bytes] = {}

    def fetch(self, keys: Iterable[str]) -> dict[str, History]:
        """The histories of the keys; a key never written has sequence 0."""
        wanted = list(keys)
        with self._lock:
            return {key: KeptHistory(self._histories.get(key, ())) for key in wanted}

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        """Write all or nothing; answers the new position, or the keys that went stale."""
        assert_sequences(events, expected)
        opened, closed = deadlines(events)
        # What cannot be stored must fail here too, and what is stored comes back as from any other engine.
        kept = [decoder.decode(encoder.encode(event)) for event in events]
        with self._lock:
            stale = [key for key, sequence in expected.items() if len(self._histories.get(key, ())) != sequence]
            if stale:
                return stale
            for event in kept:
                self._histories[event.key] = (*self._histories.get(event.key, ()), event)
            if kept:
                self._batches.append(kept)
            self._deadlines.update(opened)
            self._deadlines.difference_update(closed)
            for digest, sealed in (documents or {}).items():
                self._documents.setdefault(digest, sealed)
            return self._position(len(self._batches))

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        """Whole batches after a position, in order of arrival, and the position after them; at least one if any."""
        events: list[Event] = []
        with self._lock:
            reached = batches_before(position, len(self._batches), self._record)
            for batch in self._batches[reached:]:
                if events and len(events) + len(batch) > limit:
                    break
                events += batch
                reached += 1
            return events, self._position(reached)

    def stored_since(self, position: bytes | None, limit: int) -> tuple[list[bytes], bytes]:
        """The same batches as an engine on disk stores them."""
        records: list[bytes] = []
        events = 0
        with self._lock:
            reached = batches_before(position, len(self._batches), self._record)
            for batch in self._batches[reached:]:
                events += len(batch)
                if records and events > limit:
                    break
                reached += 1
                records.append(self._record(reached))
            return records, self._position(reached)

    def _position(self, reached: int) -> bytes:
        return position_of(reached, self._record(reached) if reached else b"")

    def _record(self, number: int) -> bytes:
        batch = self._batches[number - 1]
        return packed_batch(len(batch), b"".join(map(packed, batch)))

    def due(self, until: int, limit: int) -> list[Deadline]:
        """Open deadlines up to `until` (µs UTC), earliest first."""
        with self._lock:
            return sorted(entry for entry in self._deadlines if entry[0] <= until)[:limit]

    def keys(self, prefix: str) -> Iterable[str]:
        """All keys that begin with the prefix, in order."""
        with self._lock:
            known = sorted(self._histories)
        for key in known[bisect_left(known, prefix) :]:
            if not key.startswith(prefix):
                break
            yield key

    def document(self, digest: str) -> bytes | None:
        """A sealed raw message by its hash."""
        with self._lock:
            return self._documents.get(digest)

    def copy(self, path: Path) -> None:
        """Memory has no folder to copy to."""
        raise JournalUnusable(f"A journal in memory cannot be copied to {path}. Export it, or use the engine `rocks`.")

    def close(self) -> None:
        """Nothing to release."""
