"""Asking the nation before a claim is judged (R23): within a budget, and not at all for a while after it failed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimedOut

from suyuan.ledger.events import Event
from suyuan.relay.link import Link, Unreachable
from suyuan.relay.messages import Unreadable
from suyuan.relay.province import events_in

BUDGET = 0.2
"""Seconds that a claim waits for the nation."""
REST_FIRST, REST_MAX = 1.0, 30.0
"""Seconds during which nothing is asked after a failure, doubled each time up to the second figure."""
ASKERS = 4


class Asking:
    """Asks for one province. Any number of threads may use it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._askers = ThreadPoolExecutor(ASKERS, "ask-nation")
        self._lock = threading.Lock()
        self._rest = 0.0
        self._resting_until = 0.0
        self.asked = self.unanswered = self.spared = 0
        """Questions that were answered in time, that were not, and that were not asked because of those before."""

    def ask(self, keys: set[str]) -> dict[str, list[Event]] | None:
        """What others said of these boxes; None where no answer came in time."""
        with self._lock:
            if time.monotonic() < self._resting_until:
                self.spared += 1
                return None
            if self._rest:
                # One goes ahead and tries; the others rest until it is known what came of it.
                self._resting_until = time.monotonic() + BUDGET * 2
        try:
            found = self._askers.submit(self._told, sorted(keys)).result(BUDGET)
        except (Unreachable, Unreadable, TimedOut, RuntimeError):
            self._failed()
            return None
        with self._lock:
            self.asked += 1
            self._rest = self._resting_until = 0.0
        return found

    def _told(self, keys: list[str]) -> dict[str, list[Event]]:
        answer = self._link.ask("boxes", keys, timeout=BUDGET)
        if answer.refused:
            raise Unreachable(answer.words)
        told: dict[str, list[Event]] = {}
        for event in events_in(answer):
            told.setdefault(event.key, []).append(event)
        return told

    def _failed(self) -> None:
        with self._lock:
            self.unanswered += 1
            self._rest = min(REST_MAX, self._rest * 2 or REST_FIRST)
            self._resting_until = time.monotonic() + self._rest

    @property
    def resting(self) -> bool:
        """Whether nothing is asked at the moment."""
        return time.monotonic() < self._resting_until

    def close(self) -> None:
        """Ask no more."""
        self._askers.shutdown(wait=False, cancel_futures=True)
