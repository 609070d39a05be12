"""The load: a process of its own that sends requests over kept connections and notes how long each took."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import uvloop

from suyuan.bench.core import Codes
from suyuan.bench.traffic import SHAPES, request


class Plan(msgspec.Struct, kw_only=True):
    """What to send."""

    port: int
    shape: str
    """One of `traffic.SHAPES`."""
    key: str = ""
    boxes: int
    clients: int = 64
    first: int = 0
    """Number of the first request; each number is used once in a run."""
    count: int
    """Requests at most."""
    seconds: float = 0
    """Stop after this long; 0 for when the count is reached."""
    rate: float = 0
    """Requests a second, evenly; 0 for as fast as answers come."""


class Load(msgspec.Struct, kw_only=True):
    """What came of it."""

    answered: int
    good: int
    statuses: dict[str, int]
    seconds: float
    processor_seconds: float
    """CPU time of the load itself."""
    times_ms: list[float]
    """Sorted; with a rate, from the moment at which a request was due."""
    wrong: str = ""
    """The first answer that was not good."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def at(self, part: float) -> float:
        """The time in ms below which this part of the answers came."""
        return self.times_ms[min(int(len(self.times_ms) * part), len(self.times_ms) - 1)] if self.times_ms else 0.0


class _Run:
    def __init__(self, plan: Plan) -> None:
        shape = SHAPES[plan.shape]
        boxes = Codes(plan.boxes)
        numbers = range(plan.first, plan.first + plan.count)
        self.requests: Iterator[bytes] = (request(shape, plan.key, number, boxes) for number in numbers)
        self.good_mark = shape.good
        self.rate = plan.rate
        self.sent = self.good = 0
        self.statuses: dict[str, int] = {}
        self.times: list[float] = []
        self.wrong = ""
        self.begun = time.perf_counter()
        self.end = self.begun + plan.seconds if plan.seconds else float("inf")

    def next(self) -> tuple[bytes, float] | None:
        """The next request and when it is due."""
        due = self.begun + self.sent / self.rate if self.rate else time.perf_counter()
        if due > self.end:
            return None
        made = next(self.requests, None)
        self.sent += 1
        return None if made is None else (made, due)

    def answered(self, head: bytes, body: bytes, seconds: float) -> None:
        self.times.append(seconds)
        status = head[9:12].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == "200" and self.good_mark in body:
            self.good += 1
        elif not self.wrong:
            self.wrong = (head[:12] + b" " + body)[:500].decode("utf-8", "replace")


class _Connection(asyncio.Protocol):
    """One client: sends, waits for the answer, sends again."""

    def __init__(self, run: _Run, ended: Callable[[], None]) -> None:
        self._run = run
        self._ended = ended
        self._received = b""
        self._length = 0
        """Bytes of the whole answer; 0 while its head is not there."""
        self._body_at = 0
        self._due = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        self._ended()

    def _send(self) -> None:
        following = self._run.next()
        if following is None:
            self._transport.close()
            return
        made, self._due = following
        wait = self._due - time.perf_counter()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._transport.write, made)
        else:
            self._transport.write(made)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        if not self._length:
            head_end = received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = received[:head_end].lower()
            at = head.find(b"content-length:")
            assert at >= 0, "the server says how long its answers are"
            self._body_at = head_end + 4
            self._length = self._body_at + int(head[at + 15 :].split(b"\r", 1)[0])
        if len(received) >= self._length:
            seconds = time.perf_counter() - self._due
            self._run.answered(received[:12], received[self._body_at :], seconds)
            self._received, self._length = b"", 0
            self._send()


async def _drive(plan: Plan) -> Load:
    loop = asyncio.get_running_loop()
    run = _Run(plan)
    over: asyncio.Future[None] = loop.create_future()
    left = plan.clients

    def ended() -> None:
        nonlocal left
        left -= 1
        if not left and not over.done():
            over.set_result(None)

    def failed(_: object, context: dict[str, Any]) -> None:
        if not over.done():
            over.set_exception(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(failed)
    processor = time.process_time()
    for _ in range(plan.clients):
        await loop.create_connection(lambda: _Connection(run, ended), "127.0.0.1", plan.port)
    await over
    return Load(
        answered=len(run.times),
        good=run.good,
        statuses=run.statuses,
        seconds=time.perf_counter() - run.begun,
        processor_seconds=time.process_time() - processor,
        times_ms=sorted(round(seconds * 1000, 3) for seconds in run.times),
        wrong=run.wrong,
    )


def main() -> None:
    """Read a plan from standard input, drive it, write what came of it."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_drive(plan))))


if __name__ == "__main__":
    main()
