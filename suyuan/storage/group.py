"""Group commit: who comes while nobody writes leads, takes all who wait, and writes for all of them at once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock

from suyuan.ledger.events import Event
from suyuan.storage.batch import assert_sequences, deadlines
from suyuan.storage.packed import packed
from suyuan.storage.refusals import JournalStopped

GROUP_EVENTS_MAX = 20_000
"""A group takes in no further request once it has so many events; this bounds the memory of one write."""


class Request:
    """One append that waits for its group to be written."""

    __slots__ = ("answer", "closed", "documents", "expected", "failure", "keys", "leads", "opened", "packed", "turn")

    def __init__(self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes]) -> None:
        assert_sequences(events, expected)
        self.expected = expected
        self.documents = documents
        self.opened, self.closed = deadlines(events)
        self.keys = [event.key for event in events]
        self.packed = list(map(packed, events))
        self.leads = False
        self.answer: bytes | list[str] | None = None
        self.failure: Exception | None = None
        self.turn = Lock()
        self.turn.acquire()  # released by the leader, with the answer or with the lead


class GroupCommit(ABC):
    """The queue before an engine that writes one group at a time."""

    def __init__(self) -> None:
        self._queue = Lock()  # guards the next two
        self._waiting: list[Request] = []
        self._led = False

    @abstractmethod
    def _write_group(self, group: list[Request]) -> None:
        """Give every request of the group its answer or its failure; raises nothing but an interruption."""

    def _commit(self, request: Request) -> bytes | list[str]:
        """Have the request written with those of its group; answers as `append` does."""
        try:
            self._join(request)
            if request.leads:
                self._lead(request)
        except BaseException:  # interrupted from the keyboard: nobody may wait for us for ever
            self._leave(request)
            raise
        if request.answer is None:
            assert request.failure is not None, "a group leaves nobody without an answer"
            raise request.failure
        return request.answer

    def _join(self, request: Request) -> None:
        """Queue up; come back with the answer, or with the lead."""
        with self._queue:
            self._waiting.append(request)
            request.leads, self._led = not self._led, True
        if not request.leads:
            request.turn.acquire()

    def _leave(self, request: Request) -> None:
        with self._queue:
            if request in self._waiting:
                self._waiting.remove(request)
            if request.leads:
                self._pass_lead(request)

    def _pass_lead(self, request: Request) -> None:
        """Give the lead to the first who waits; the queue is locked."""
        request.leads = False
        self._led = bool(self._waiting)
        if self._led:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()

    def _lead(self, request: Request) -> None:
        group: list[Request] = []
        try:
            with self._queue:
                self._gather(group)
            self._write_group(group)
        except BaseException:
            for other in group:
                other.failure = other.failure or JournalStopped(
                    "The writing was interrupted, and what was kept is unknown: send it again."
                )
            raise
        finally:
            with self._queue:
                self._pass_lead(request)
            for other in group:
                if other is not request:
                    other.turn.release()

    def _gather(self, group: list[Request]) -> None:
        """Take those who wait, the leader first among them; the queue is locked."""
        events = 0
        for request in self._waiting:
            events += len(request.packed)
            if group and events > GROUP_EVENTS_MAX:
                break
            group.append(request)
        del self._waiting[: len(group)]
