"""A hand of the bench: one process of many on the same database, doing what it is told, line by line."""

import sys
import time
from pathlib import Path

import msgspec

from suyuan.bench.cluster import Part, Told, boxes_of
from suyuan.bench.core import (
    CLAIM_THREADS,
    Codes,
    claim_messages,
    fill,
    sales_file,
    settle,
    upload_sales,
)
from suyuan.bench.raw import raw_rate
from suyuan.node import Node


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
        times, refused, seconds = settle(self.node, self.messages, max(1, CLAIM_THREADS // self.part.plan.processes))
        times_ms = [round(time * 1000, 2) for time in times]
        return Told(count=len(self.messages), seconds=seconds, times_ms=times_ms, refused=refused)


def main() -> None:
    """Read a part, then a phase a line, and answer each, until standard input ends."""
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
