"""Several server processes on one port: a parent that listens, starts them, and starts anew the one that died."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from suyuan.node import Node
from suyuan.portals.server import GRACE, configure_log, listen

LOOK_EVERY = 0.1
"""Seconds between two looks whether all are alive."""
LIVED_SECONDS = 10.0
"""Who dies younger than this is likely to die again: the next one is started after a pause."""
PAUSE_FIRST, PAUSE_MAX = 0.5, 30.0
"""Seconds of that pause, doubled each time."""
STOP_SECONDS = GRACE + 15
"""What is not over so long after it was told to stop is killed; what it had acknowledged is stored."""
FIGURES = "PROMETHEUS_MULTIPROC_DIR"
FIGURES_PLACE = "SUYUAN_FIGURES_PLACE"
"""Both as in `figures`, which this process loads only where somebody died."""

Command = Callable[[int, int], list[str]]
"""The command of a worker, for the number of its listening socket and that of the pipe which ends with the parent."""


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """A listening socket for each worker, all on one port; the system spreads callers over them.

    They stay open here: who calls a worker that has died waits for the next one, and is not sent away.

    Raises:
        OSError: the address cannot be used.
    """
    if port:
        listen(host, port).close()  # another server's port, which would otherwise be shared with it
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(_shared_socket(host, port))
            port = opened[0].getsockname()[1]
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _shared_socket(host: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((host, port))
        opened.listen(2048)
    except OSError:
        opened.close()
        raise
    return opened


def serve_together(command: Command, sockets: list[socket.socket]) -> None:
    """Serve with one worker for each socket until SIGTERM or Ctrl+C; then let all of them finish what they began."""
    configure_log()
    stopping = threading.Event()
    figures = tempfile.mkdtemp(prefix="suyuan-figures-")
    lifeline, held = os.pipe()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stopping.set())
    workers = [
        _Worker(command(one.fileno(), lifeline), (one.fileno(), lifeline), figures, f"{place}")
        for place, one in enumerate(sockets)
    ]
    try:
        while not stopping.wait(LOOK_EVERY):
            for worker in workers:
                worker.look()
        for worker in workers:
            worker.tell_to_stop()
        until = time.monotonic() + STOP_SECONDS
        for worker in workers:
            worker.wait(until)
    finally:
        os.close(held)
        os.close(lifeline)
        shutil.rmtree(figures, ignore_errors=True)


class _Worker:
    """One place among the workers, and the process that has it now."""

    def __init__(self, command: list[str], passed: tuple[int, ...], figures: str, place: str) -> None:
        self._command = command
        self._passed = passed
        self._figures = figures
        self._place = place
        self._log = structlog.get_logger("suyuan")
        self._pause = PAUSE_FIRST
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def _start(self) -> None:
        self._begun = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603  our own
            self._command,
            pass_fds=self._passed,
            env={**os.environ, FIGURES: self._figures, FIGURES_PLACE: self._place},
        )

    def _start_again(self) -> None:
        try:
            self._start()
        except OSError as error:  # no memory, or no process more, just now: the others go on
            self._log.warning("worker cannot begin", error=str(error))
            self._pause = min(self._pause * 2, PAUSE_MAX)
            self._start_at = time.monotonic() + self._pause

    def look(self) -> None:
        """Start another process where this one has died."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start_again()
            return
        code = self._process.poll()
        if code is None:
            return
        from suyuan.portals.figures import forget  # noqa: PLC0415  only where somebody died

        forget(Path(self._figures), self._place)
        self._log.warning("worker ended", process=self._process.pid, code=code)
        young = time.monotonic() - self._begun < LIVED_SECONDS
        self._pause = min(self._pause * 2, PAUSE_MAX) if young else PAUSE_FIRST
        self._start_at = time.monotonic() + (self._pause if young else 0)
        self._process = None

    def tell_to_stop(self) -> None:
        """Let it finish."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, until: float) -> None:
        """Wait for its end; kill it after a moment (monotonic)."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def command_of(folder: Path) -> Command:
    """The command of a worker on a folder."""
    return lambda opened, lifeline: [
        sys.executable,
        "-m",
        "suyuan.portals.worker",
        str(folder),
        f"{opened}",
        f"{lifeline}",
    ]


def stop_with_parent(lifeline: int) -> None:
    """Stop this process, as if it was told to, when its parent is gone: nobody else would ever do so."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def make_ready(node: Node) -> None:
    """What several workers would otherwise each make: the key that signs, the lists' file."""
    _ = node.signer, node.views
