"""The counter: uploads wait in line here, small ones at the counter itself, bulk beside it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from suyuan.formats.document import Document, Outcome
from suyuan.node import Node


class Counter:
    """Takes documents in, off the event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lanes = {"counter": ThreadPoolExecutor(8, "counter"), "bulk": ThreadPoolExecutor(1, "bulk")}

    def start(self) -> None:
        """Begin to take."""

    async def take(self, document: Document, by: str, lane: str = "counter") -> Outcome:
        """Take one document in (`intake.take`); answers when it is durable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lanes[lane], self._node.take, document, by)

    async def stop(self) -> None:
        """Finish what was begun."""
        for lane in self._lanes.values():
            await asyncio.to_thread(lane.shutdown)
