"""Who makes segments: this process, or processes of their own that are handed the feed through a pipe."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import IO, Protocol, Self

import msgspec

from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.segment import Batch, Made, SegmentMaker, Task

LENGTH_BYTES = 8
PIPE_BYTES = 1 << 20
"""As much as any user may ask for."""
AHEAD = 2
"""Segments that are handed to one process before it has answered: the one it makes and the one it makes next."""


_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",
}
"""The C library and polars keep the memory of one segment for the next: asking the system again took a tenth of the
time."""


class MakingFailed(Exception):  # noqa: N818  what is said
    """A segment could not be made; the words say why."""


class Order(msgspec.Struct, array_like=True):
    """One message to a maker: a task to begin with, events, which follow as they are, or the end of the segment."""

    task: Task | None = None
    events: int = 0
    size: int = 0
    """Bytes of the events."""
    end: bool = False


class Answer(msgspec.Struct, array_like=True):
    """What it answers to the end of a segment."""

    made: Made | None = None
    failure: str = ""
    refusal: str = ""
    """The words of a `LakeRefusal`."""


class Crew(Protocol):
    """Makes segments one after the other; answers come in the order of the tasks."""

    def begin(self, task: Task) -> None:
        """Begin a segment."""
        ...

    def take(self, batches: Sequence[Batch]) -> None:
        """Hand over the next batches of the segment that was begun last."""
        ...

    def end(self) -> None:
        """No more batches belong to it."""
        ...

    def made(self, *, wait: bool) -> Iterator[tuple[Task, Made]]:
        """Segments that are finished; with `wait`, all that were ended.

        Raises:
            MakingFailed: one could not be made.
            LakeRefusal: what was handed over are not events.
        """
        ...


class Alone:
    """This process makes the segments itself: for few events, which would not repay starting another."""

    def __init__(self) -> None:
        self._making: tuple[Task, SegmentMaker] | None = None
        self._ended: list[tuple[Task, Made]] = []

    def begin(self, task: Task) -> None:
        """Begin a segment."""
        self._making = task, SegmentMaker(task)

    def take(self, batches: Sequence[Batch]) -> None:
        """Take in the next batches."""
        assert self._making is not None, "a segment was begun"
        self._making[1].take(batches)

    def end(self) -> None:
        """Write the segment."""
        assert self._making is not None, "a segment was begun"
        task, maker = self._making
        self._ended.append((task, maker.finish()))
        self._making = None

    def made(self, *, wait: bool) -> Iterator[tuple[Task, Made]]:  # noqa: ARG002  nothing is ever under way
        """What was made since the last call."""
        ended, self._ended = self._ended, []
        yield from ended


class Workers:
    """Processes that make segments side by side. A context: they end with it."""

    def __init__(self, count: int) -> None:
        self._processes = [_start() for _ in range(count)]
        self._waiting: list[deque[Task]] = [deque() for _ in self._processes]
        self._order: deque[int] = deque()
        """Which process makes the segments that are not answered, in the order of the tasks."""
        self._now = 0
        self._done: list[tuple[Task, Made]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if kind is not None:
                process.kill()
            _end(process)

    def begin(self, task: Task) -> None:
        """Begin a segment, in the process that has least to do."""
        self._now = min(range(len(self._processes)), key=lambda worker: len(self._waiting[worker]))
        while len(self._waiting[self._now]) >= AHEAD:
            self._done.append(self._next())
        self._waiting[self._now].append(task)
        self._order.append(self._now)
        self._say(Order(task=task))

    def take(self, batches: Sequence[Batch]) -> None:
        """Hand over the next batches."""
        packed = [events for _, events in batches]
        self._say(Order(events=sum(count for count, _ in batches), size=sum(map(len, packed))), packed)

    def end(self) -> None:
        """No more batches belong to the segment."""
        self._say(Order(end=True))

    def made(self, *, wait: bool) -> Iterator[tuple[Task, Made]]:
        """Segments that are finished."""
        done, self._done = self._done, []
        yield from done
        while wait and self._order:
            yield self._next()

    def _next(self) -> tuple[Task, Made]:
        """Wait for the oldest segment that is under way."""
        worker = self._order.popleft()
        task = self._waiting[worker].popleft()
        stdout = self._processes[worker].stdout
        assert stdout is not None, "opened so"
        packed = received(stdout)
        if not packed:
            raise MakingFailed("a process that makes segments was ended from outside (often for want of memory)")
        answer = msgspec.msgpack.decode(packed, type=Answer)
        if answer.refusal:
            raise LakeRefusal(answer.refusal)
        if answer.made is None:
            raise MakingFailed(answer.failure)
        return task, answer.made

    def _say(self, order: Order, packed: Sequence[bytes] = ()) -> None:
        stdin = self._processes[self._now].stdin
        assert stdin is not None, "opened so"
        try:
            send(stdin, order, packed)
        except BrokenPipeError:
            raise MakingFailed("a process that makes segments has ended; see standard error for why") from None


def send(pipe: IO[bytes], message: Order | Answer, packed: Sequence[bytes] = ()) -> None:
    """Write one message, and the events that follow it, each copied no more than once."""
    words = msgspec.msgpack.encode(message)
    pipe.write(len(words).to_bytes(LENGTH_BYTES, "big") + words)
    for events in packed:
        pipe.write(events)
    pipe.flush()


def received(pipe: IO[bytes]) -> bytes:
    """The next message; empty where the other side has ended."""
    length = pipe.read(LENGTH_BYTES)
    return pipe.read(int.from_bytes(length, "big")) if len(length) == LENGTH_BYTES else b""


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "suyuan.lake.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=PIPE_BYTES,
        env=os.environ | _KEEP_MEMORY,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # it has ended before it read everything
                continue
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
