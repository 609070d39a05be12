"""The real server under a clock that a test sets: `clocked_server.py FOLDER CLOCK PORT`.

CLOCK is a file of eight bytes, µs UTC, little-endian. Deadlines fall due once a simulated hour, before the request
that finds the hour passed, as they do for `suyuan demo`.
"""

import asyncio
import mmap
import sys
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from suyuan.node import Node
from suyuan.portals.app import application
from suyuan.portals.server import listen, serve

HOUR = 3_600_000_000


class SharedClock:
    """Reads the moment that the test wrote last."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._map = mmap.mmap(self._file.fileno(), 8, access=mmap.ACCESS_READ)

    def __call__(self) -> int:
        return int.from_bytes(self._map[:8], "little")


def hourly(inner: ASGIApp, node: Node, clock: SharedClock) -> ASGIApp:
    due = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal due
        if scope["type"] == "http" and clock() >= due:
            due = clock() + HOUR
            await asyncio.to_thread(node.take_time)
        await inner(scope, receive, send)

    return app


def main() -> None:
    folder, clock_file, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    clock = SharedClock(clock_file)
    with Node.open(folder, clock) as node:
        opened = listen("127.0.0.1", port)
        sys.stdout.write(f"serving http://127.0.0.1:{opened.getsockname()[1]}/\n")
        sys.stdout.flush()
        serve(hourly(application(node), node, clock), node.settings, [opened])


if __name__ == "__main__":
    main()
