"""The real server under a clock that a test sets: `clocked_server.py FOLDER CLOCK PORT [SOCKET LIFELINE]`.

CLOCK is a file of eight bytes, µs UTC, little-endian. Deadlines fall due once a simulated hour, before the request
that finds the hour passed, as they do for `suyuan demo`. With several workers in the settings this is their parent,
and calls itself with the socket and the lifeline of each.
"""

import asyncio
import mmap
import socket
import sys
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from suyuan.node import Node
from suyuan.portals.app import application
from suyuan.portals.control import opened_when_free
from suyuan.portals.server import listen, serve
from suyuan.portals.workers import listen_together, make_ready, serve_together, stop_with_parent
from suyuan.settings import read_settings

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
    clock, count = SharedClock(clock_file), read_settings(folder).workers
    if sys.argv[4:]:
        opened, lifeline = map(int, sys.argv[4:])
        stop_with_parent(lifeline)
        work(folder, clock, socket.socket(fileno=opened))
    elif count == 1:
        listening = listen("127.0.0.1", port)
        say_where(listening)
        work(folder, clock, listening)
    else:
        with Node.open(folder, clock) as node:
            make_ready(node)
        sockets = listen_together("127.0.0.1", port, count)
        say_where(sockets[0])
        serve_together(lambda opened, lifeline: [sys.executable, *sys.argv, f"{opened}", f"{lifeline}"], sockets)


def work(folder: Path, clock: SharedClock, opened: socket.socket) -> None:
    with opened_when_free(folder, clock) as node:
        serve(hourly(application(node), node, clock), node.settings, [opened])


def say_where(opened: socket.socket) -> None:
    sys.stdout.write(f"serving http://127.0.0.1:{opened.getsockname()[1]}/\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
