"""The counter: uploads wait in line here, those of people at the counter itself, those of files beside it."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import NamedTuple

from suyuan.formats.document import Document, Outcome
from suyuan.formats.keeping import packed_document
from suyuan.intake import take_together
from suyuan.node import Node
from suyuan.portals.deferral import RETRY_AFTER, Back, Deferral, said_by
from suyuan.portals.failing import is_poison, is_store_down
from suyuan.portals.problem import Refused
from suyuan.portals.quarantined import put_apart
from suyuan.relay.heard import Unrecovered

GROUP_DOCUMENTS_MAX = 16
"""Uploads stored by one append. More save hardly any time, and all of them wait for the last one (measured)."""

GROUPS = 2
"""Groups under way at once where the journal is in a database: a second one if the first left some (decision 15)."""

GROUP_RECORDS_MAX = 200
"""A group takes in no further upload once it has so many records."""

WAITING_MAX = 4_000
"""Uploads in line, some seconds of work: who comes then is told to come again, and not left to wait in vain."""

GIVING_WAY_SECONDS = 0.5
"""How long a file stands back for the counter before one of its uploads is taken all the same."""

BREATH_SECONDS = 0.005
"""How long an upload of a file, once begun, stands back each time it takes a breath."""

SWITCH_SECONDS = 0.001
"""After so long a thread hands Python's lock on: with the usual 5 ms, answers wait for the next group to be judged."""

LOOK_SECONDS = 0.002
"""How often a file that stands back looks whether the counter is free."""


class _Waiting(NamedTuple):
    """An upload in line."""

    document: Document
    by: str
    answer: "asyncio.Future[Outcome]"
    since: float


class Counter:
    """Takes documents in, off the event loop: a thread for each lane, all that wait at the counter by one append.

    A database answers each question only after a while: there, several groups are under way at the counter.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        counter = _Lane("counter", self._take, GROUP_DOCUMENTS_MAX, GROUPS if node.settings.database else 1)
        self._lanes = {"counter": counter, "bulk": _Lane("bulk", self._take_file, 1)}
        self.deferral = Deferral(node)
        self.deferral.idle = lambda: not any(lane.busy for lane in self._lanes.values())
        self.deferral.since = lambda: self._lanes["counter"].since  # of a file nobody waits for an answer

    def start(self) -> None:
        """Begin to take; called in the event loop that `take` will be awaited in."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for lane in self._lanes.values():
            lane.start(asyncio.get_running_loop())

    async def take(self, document: Document, by: str, lane: str = "counter") -> Outcome:
        """Take one document in (`intake.take_together`); answers when it is durable.

        Raises:
            Refused: too many wait already, or the server is being stopped; nothing of it was taken.
        """
        if self.deferral.reason:
            with suppress(Back):
                return await asyncio.to_thread(self.deferral.lay_aside, document, by)
        try:
            return await self._lanes[lane].join(document, by)
        except Exception as error:
            if is_store_down(error):
                return await self._failed(document, by, error)
            if is_poison(error) and not isinstance(error, Panic):
                raise await asyncio.to_thread(self._quarantined, document, by, error) from error
            raise

    async def _failed(self, document: Document, by: str, error: Exception) -> Outcome:
        """The store could not take it: whether it was kept is unknown, and to record it once more is harmless."""
        if isinstance(error, Unrecovered):
            await asyncio.to_thread(self.deferral.follow)
        else:
            self.deferral.begin(f"the store failed: {said_by(error)}")
        if self.deferral.reason and not self.deferral.refuses(document):
            with suppress(Back):
                return await asyncio.to_thread(self.deferral.lay_aside, document, by)
        raise Refused("unavailable", headers=RETRY_AFTER) from error

    def _quarantined(self, document: Document, by: str, error: Exception) -> Refused:
        """Our own code failed on it: it is kept with the error, for the operator, where there is room."""
        try:
            content = packed_document(document)
        except Exception:  # noqa: BLE001  what was read of it may be what is wrong with it
            content = b""
        door = "document" if content else document.format
        return put_apart(self._node, door, "take", content or document.raw, by, error=error)

    async def stop(self) -> None:
        """Finish what was begun; what still waits is refused."""
        for lane in self._lanes.values():
            await lane.stop()

    def waiting(self) -> dict[str, int]:
        """How many uploads are in line, by lane."""
        return {name: lane.length for name, lane in self._lanes.items()}

    def oldest_seconds(self) -> float:
        """Since when the group under way has been waiting; 0 while nothing is."""
        since = min((lane.since for lane in self._lanes.values() if lane.since), default=0.0)
        return time.monotonic() - since if since else 0.0

    def _take(self, group: Sequence[_Waiting]) -> list[Outcome | Exception]:
        return take_together(self._node.desk, [(one.document, one.by) for one in group])

    def _take_file(self, group: Sequence[_Waiting]) -> list[Outcome | Exception]:
        """Stand back while people wait at the counter, before and within an upload, though not for ever."""
        self._give_way(GIVING_WAY_SECONDS)
        desk = replace(self._node.desk, breathe=lambda: self._give_way(BREATH_SECONDS))
        return take_together(desk, [(one.document, one.by) for one in group])

    def _give_way(self, seconds: float) -> None:
        counter = self._lanes["counter"]
        end = time.monotonic() + seconds
        while counter.busy and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)


class Panic(RuntimeError):  # noqa: N818  the word for it
    """The engine's own code gave up; it says nothing of the messages that were in its hands."""


class _Lane:
    """A line and the threads that serve it."""

    def __init__(
        self,
        name: str,
        take: Callable[[Sequence[_Waiting]], list[Outcome | Exception]],
        together: int,
        groups: int = 1,
    ) -> None:
        self._take = take
        self._together = together
        self._line: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=name, daemon=True) for place in range(groups)
        ]
        self._loop: asyncio.AbstractEventLoop
        self._stopping = False
        self._turn = threading.Lock()
        """Who has it takes from the line, and keeps it where nobody is left there: the next group grows meanwhile."""
        self._since = [0.0] * groups
        """When the first of each group under way came (monotonic); 0 where nobody is served."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for thread in self._threads:
            thread.start()

    @property
    def since(self) -> float:
        """When the first of those who are served came (monotonic); 0 while nobody is."""
        return min((since for since in self._since if since), default=0.0)

    @property
    def length(self) -> int:
        return self._line.qsize()

    @property
    def busy(self) -> bool:
        return bool(self.since) or not self._line.empty()

    async def join(self, document: Document, by: str) -> Outcome:
        if self._stopping:
            raise Refused("stopping", headers={"retry-after": "30"})
        if self._line.qsize() >= WAITING_MAX:
            raise Refused("busy", headers={"retry-after": "2"})
        answer: asyncio.Future[Outcome] = self._loop.create_future()
        self._line.put(_Waiting(document, by, answer, time.monotonic()))
        return await answer

    async def stop(self) -> None:
        self._stopping = True
        self._line.put(None)
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join)
        await asyncio.sleep(0)  # what the threads have told the loop is handed out

    def _serve(self, place: int) -> None:
        while True:
            with ExitStack() as turn:
                turn.enter_context(self._turn)
                first = self._line.get()
                if first is None:
                    break
                if self._stopping:
                    self._refuse(first)
                    continue
                self._since[place] = first.since
                group = self._group(first)
                if not self._line.empty():
                    turn.close()
                results = self._results(group)
                self._since[place] = 0.0
                self._loop.call_soon_threadsafe(_tell, group, results)
        self._line.put(None)  # the next thread ends by it

    def _results(self, group: list[_Waiting]) -> list[Outcome | Exception]:
        try:
            return self._take(group)
        except Exception as error:  # noqa: BLE001  whatever it is, everybody who waits is told
            return [error] * len(group)
        except BaseException as error:  # noqa: BLE001  a panic in the engine's own code is one; nobody waits for ever
            return [Panic(f"{type(error).__name__}: {error}")] * len(group)

    def _group(self, first: _Waiting) -> list[_Waiting]:
        """Who came first, and others who wait, as many as are taken together."""
        group = [first]
        records = len(first.document.records)
        while len(group) < self._together and records < GROUP_RECORDS_MAX:
            try:
                one = self._line.get_nowait()
            except queue.Empty:
                break
            if one is None:
                self._line.put(None)
                break
            group.append(one)
            records += len(one.document.records)
        return group

    def _refuse(self, one: _Waiting) -> None:
        """The server stops: what is not taken yet is not taken any more."""
        refusal = Refused("stopping", headers={"retry-after": "30"})
        self._loop.call_soon_threadsafe(_tell, [one], [refusal])


def _tell(group: Sequence[_Waiting], results: Sequence[Outcome | Exception]) -> None:
    """Hand out the answers, in the event loop; who has gone meanwhile is told when the same comes again."""
    for one, result in zip(group, results, strict=True):
        if one.answer.done():
            continue
        if isinstance(result, StopIteration):  # which a future does not take
            one.answer.set_exception(RuntimeError("an upload ran out of records"))
        elif isinstance(result, Exception):
            one.answer.set_exception(result)
        else:
            one.answer.set_result(result)
