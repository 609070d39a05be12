"""The program and other scripts as processes of their own, forked from one that has imported what they need already.

Such a process is killed, writes and ends as one that was started anew; only the second that its imports cost is spared.
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

import pytest

from suyuan.storage import passwords

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "suyuan"

_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(["imported"])
_ONE = threading.Lock()
"""Held while any process is begun or asked whether it has ended: of two threads that ask only one is answered."""


@cache
def _begin_forking() -> None:
    """Start the process that forks, which finds its imports here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()


class _Passed:
    """An open file on its way to the process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getstate__(self) -> Any:
        return DupFd(self.number)

    def __setstate__(self, passed: Any) -> None:
        self.number = passed.detach()


def _begin(what: str, arguments: list[str], environment: dict[str, str], files: list[_Passed], cost: Any) -> None:
    """What the new process does first: it looks as if it had been started with these words."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for number, passed in enumerate(files):
        os.dup2(passed.number, number)
        os.close(passed.number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  it stays open
    sys.stdout, sys.stderr = (open(one, "w", 1, "utf-8", closefd=False) for one in (1, 2))  # noqa: SIM115  likewise
    sys.argv = [what, *arguments]
    passwords.N, passwords._NOBODY = cost
    if what != PROGRAM:
        sys.path.insert(0, str(Path(what).parent))
        runpy.run_path(what, run_name="__main__")
        return
    from suyuan.__main__ import main  # noqa: PLC0415  in the new process

    sys.exit(main())


class Started:
    """A process: of the program with these arguments, or of the script whose path is given first.

    It is told and tells by its standard input and output; its standard error goes into a file, or where ours goes.
    """

    def __init__(
        self, what: object, *arguments: object, log: IO[Any] | None = None, environment: Mapping[str, str] = {}
    ) -> None:
        for_input, self._put = os.pipe()
        take, for_output = os.pipe()
        self.stdout = open(take, encoding="utf-8")  # noqa: PTH123, SIM115  a pipe
        files = [for_input, for_output, 2 if log is None else log.fileno()]
        words = (str(what), list(map(str, arguments)), {**os.environ, **environment})
        self._process = _FORKING.Process(
            target=_begin,
            args=(*words, list(map(_Passed, files)), (passwords.N, passwords._NOBODY)),
            daemon=True,  # none outlives the tests
        )
        with _ONE:
            _begin_forking()
            self._process.start()
        os.close(for_input)
        os.close(for_output)
        assert self._process.pid is not None, "started"
        self.pid = self._process.pid

    def tell(self, line: str) -> None:
        """A line for its standard input."""
        os.write(self._put, f"{line}\n".encode())

    def tell_no_more(self) -> None:
        """Its standard input ends."""
        if self._put >= 0:
            os.close(self._put)
            self._put = -1

    def send_signal(self, which: signal.Signals) -> None:
        """Nothing where it has ended."""
        with _ONE:
            alive = self._process.is_alive()
        if alive:
            os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or the signal that ended it as a negative number.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(PROGRAM, timeout or 0)
        self.tell_no_more()
        with _ONE:
            code = self._process.exitcode
        assert code is not None, "it has ended"
        return code


def ran(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as a process of its own, when it has ended."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        process = Started(PROGRAM, *arguments, log=told, environment=environment)
        with process.stdout:
            out = process.stdout.read()
        code = process.wait(120)
        told.seek(0)
        return subprocess.CompletedProcess(list(map(str, arguments)), code, out, told.read())
