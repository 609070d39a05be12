"""A hand of the bench: one process of many on the same database, doing what it is told, line by line."""

import asyncio
import gc
import sys
import time
from pathlib import Path

import msgspec

from suyuan import COLLECT_AFTER
from suyuan.bench.cluster import Part, Told, boxes_of
from suyuan.bench.core import (
    CLAIM_THREADS,
    Codes,
    claim_messages,
    fill,
    sales_file,
    upload_sales,
)
from suyuan.bench.raw import raw_rate
from suyuan.formats import nhsa
from suyuan.node import Node
from suyuan.portals.counter import Counter


class Hand:
    """What one process does in each phase."""

    def __init__(self, part: Part, node: Node) -> None:
        self.part, self.node = part, node
        self.codes = Codes(part.plan.boxes)
        self.sold, self.claimed = boxes_of(part)
        node.use_catalogue(self.codes.catalogue())

    def fill(self) -> Told:
        """Register its part of the boxes: one stretch of their numbers."""
        plan, number = self.part.plan, self.part.number
        first, last = (plan.boxes * at // plan.processes for at in (number, number + 1))
        begun = time.perf_counter()
        fill(self.node, Codes(last), lambda _: None, first)
        return Told(count=last - first, seconds=time.perf_counter() - begun)

    def make(self) -> Told:
        """Prepare what is sent, so that no time goes into it later."""
        self.file = sales_file(Path(self.part.folder, "sales.csv"), self.codes, self.sold)
        self.messages = claim_messages(self.codes, self.claimed, self.part.number * self.part.plan.claims)
        return Told()

    def sell(self) -> Told:
        """Upload its file."""
        taken, seconds = upload_sales(self.node, self.file)
        return Told(count=taken, seconds=seconds)

    def raw(self) -> Told:
        """The same on the bare engine."""
        rate, _ = raw_rate(self.node, [f"trace20:{self.codes[box]}" for box in self.sold])
        return Told(count=len(self.sold), seconds=len(self.sold) / rate)

    def settle(self) -> Told:
        """Settle its claims."""
        return asyncio.run(_settled(self.node, self.messages, max(1, CLAIM_THREADS // self.part.plan.processes)))


async def _settled(node: Node, messages: list[bytes], clients: int) -> Told:
    """Claims of so many clients, each waiting for its answer, taken in as a server does it: by the counter."""
    counter, times, refused = Counter(node), list[float](), list[bytes]()

    async def client(own: list[bytes]) -> None:
        for raw in own:
            begun = time.perf_counter()
            document = nhsa.read(raw)
            answer = nhsa.answer(document, await counter.take(document, document.institution))
            times.append(time.perf_counter() - begun)
            if b'"infcode":0' not in answer:
                refused.append(answer)

    counter.start()
    begun = time.perf_counter()
    await asyncio.gather(*(client(messages[number::clients]) for number in range(clients)))
    seconds = time.perf_counter() - begun
    await counter.stop()
    assert len(refused) < len(messages), refused[0]
    times_ms = [round(one * 1000, 2) for one in times]
    return Told(count=len(messages), seconds=seconds, times_ms=times_ms, refused=len(refused))


def main() -> None:
    """Read a part, then a phase a line, and answer each, until standard input ends."""
    gc.set_threshold(COLLECT_AFTER)  # as a server does
    part = msgspec.json.decode(sys.stdin.buffer.readline(), type=Part)
    with Node.open(Path(part.folder)) as node:
        hand = Hand(part, node)
        for line in sys.stdin.buffer:
            before = time.process_time()
            told: Told = getattr(hand, line.decode().strip())()
            told = msgspec.structs.replace(told, processor_seconds=time.process_time() - before)
            sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
