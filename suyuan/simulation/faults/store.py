"""A journal that fails as stores do: before a write, after it, in the middle, late, or with its whole process."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from suyuan.ledger.events import Event
from suyuan.ledger.journal import History, Journal
from suyuan.simulation.faults.clock import Clock
from suyuan.simulation.faults.stage import Stage
from suyuan.simulation.faults.weather import Note, Weather
from suyuan.storage.refusals import JournalRefusal
from suyuan.views.apart import StoredFeed

PAGE = 300
"""Events that a reader of the feed gets at once, so that a short feed too has many pages."""

SLOW_SECONDS = (1, 5, 30, 120)


class Crash(BaseException):
    """The process of a server ends here; nothing that it had in hand goes on."""


class StoreFailed(JournalRefusal):
    """What an engine says when the way to its store broke: the caller cannot know whether it was written."""


class FaultyJournal:
    """A journal behind faults. Everything it does not know itself it leaves to the engine."""

    def __init__(self, inner: Journal, weather: Weather, stage: Stage, clock: Clock, note: Note) -> None:
        self.inner = inner
        self.down = False
        """Whether the process that used it has crashed: nobody gets anything from it any more."""
        self.torn: Callable[[], None] | None = None
        """What the crash leaves undone on the disk, where it came in the middle of a write."""
        self.short_of_space: Callable[[], AbstractContextManager[None]] | None = None
        """Makes the disk full for one write, where the engine has a disk."""
        self.before_write: Callable[[], Callable[[], None]] | None = None
        """Looks at the disk before a write; what it answers undoes a part of that write."""
        self.dies_reading = 0
        """At which reading of the feed from now on the process ends that reads; 0 for none."""
        self.weather = weather
        self.stage = stage
        self._clock = clock
        self._writing = False
        self._note = note

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the engine has
        return getattr(self.inner, name)

    def fetch(self, keys: Iterable[str]) -> dict[str, History]:
        """Histories; others may write before the caller comes to use them."""
        self._turn()
        if self.weather.strikes("read fails"):
            raise StoreFailed("The connection was reset while reading.")
        if self.weather.strikes("slow store"):
            self._clock.pass_seconds(self.weather.rng.choice(SLOW_SECONDS))
        found = self.inner.fetch(keys)
        self._turn()
        return found

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        """Write all or nothing, unless a fault comes first, in between, or before the caller hears of it."""
        self._turn()
        weather = self.weather
        if weather.strikes("spuriously stale") and expected:
            return weather.rng.sample(sorted(expected), weather.rng.randint(1, len(expected)))
        if weather.strikes("error before the write"):
            raise StoreFailed("The connection was reset; whether the facts were kept is unknown.")
        if weather.strikes("crash before the write"):
            self.crash()
        full = self._full_disk() if weather.strikes("full disk") else None
        if full is not None:
            with full:
                return self._append(events, expected, documents)
        undo_part = self.before_write() if self.before_write is not None else None
        answer = self._append(events, expected, documents)
        if isinstance(answer, bytes):
            self._after_write(undo_part)
        else:
            weather.struck["really stale"] += 1
        self._turn()
        return answer

    def _append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None
    ) -> bytes | list[str]:
        """One writer of a process after the other: who waited inside for a lock would keep the stage for itself."""
        while self._writing:
            self._turn()
        self._writing = True
        try:
            return self.inner.append(events, expected, documents)
        except Crash:
            self.down = True
            raise
        finally:
            self._writing = False

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        """The feed, as the engine gives it, in pages that are shorter than asked for."""
        self._read_feed()
        return self.inner.since(position, self._page(limit))

    def stored_since(self, position: bytes | None, limit: int) -> tuple[list[bytes], bytes]:
        """The same as stored, where the engine has that."""
        self._read_feed()
        assert isinstance(self.inner, StoredFeed), "who asks knows the engine"
        return self.inner.stored_since(position, self._page(limit))

    def _read_feed(self) -> None:
        self._turn()
        if self.dies_reading:
            self.dies_reading -= 1
            if not self.dies_reading:
                raise Crash

    def _page(self, limit: int) -> int:
        return limit if self.weather.calm else min(limit, PAGE)

    def crash(self) -> None:
        """End the process that uses this journal, now.

        Raises:
            Crash: always.
        """
        self.down = True
        raise Crash

    def _after_write(self, undo_part: Callable[[], None] | None) -> None:
        weather = self.weather
        if weather.strikes("crash in mid-write"):
            self.torn = undo_part
            self.crash()
        if weather.strikes("crash after the write"):
            self.crash()
        if weather.strikes("error after the write"):
            raise StoreFailed("The connection was reset; whether the facts were kept is unknown.")

    def _full_disk(self) -> AbstractContextManager[None]:
        self._note("the disk is full")
        return self.short_of_space() if self.short_of_space is not None else _NoSpace()

    def _turn(self) -> None:
        """Somebody else's turn, perhaps; who is dead by then does not come back."""
        self.stage.pause()
        if self.down:
            raise Crash


class _NoSpace(AbstractContextManager[None]):
    """A store whose disk is full: whoever begins to write is told so."""

    def __enter__(self) -> None:
        raise StoreFailed("No space left on device: nothing was written. Free some space and send it again.")

    def __exit__(self, *_: object) -> None:
        """Nobody gets here."""
