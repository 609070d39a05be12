"""Connections to PostgreSQL: a few, given out one at a time, made again when they break, with bounded patience."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Lock
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus

from suyuan.storage.database import address_fault, said_by
from suyuan.storage.refusals import JournalRefusal, JournalStopped, JournalUnusable

Connection = psycopg.Connection[tuple[Any, ...]]
Found = TypeVar("Found")

CONNECTIONS_MAX = 6
"""Of one process. One writes, the others read; who comes while all are out waits."""

PATIENCE_SECONDS = 20.0
"""How long a call goes on trying while the database is away: about what a restart or a promotion takes."""

PAUSE_SECONDS = (0.02, 0.5)
"""The first pause before trying again, and the longest."""

AGAIN = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: nothing was written, and the same may succeed now."""

AWAY = frozenset({"25006", "25P03", "53300", "57P01", "57P02", "57P03", "57P05"})
"""Read-only (a standby), idle for too long, too many connections, shutting down, crashed, starting, forgotten."""

_SESSION = (
    "SET idle_in_transaction_session_timeout = '15s'; "
    "SET statement_timeout = 0; SET default_transaction_isolation = 'read committed'; "
    "SET synchronous_commit = "
)
_DURABILITY = (
    "SELECT current_setting('fsync'), current_setting('server_encoding'), "
    "current_setting('server_version_num')::integer, current_setting('synchronous_commit'), "
    "pg_postmaster_start_time()::text"
)
_VERSION_MIN = 150_000


def is_away(error: psycopg.Error) -> bool:
    """Whether the error says that the database was not reached or went away, rather than what it thinks of the work."""
    state = error.sqlstate
    if isinstance(error, psycopg.errors.PipelineAborted):
        return False
    return (state is None and isinstance(error, psycopg.OperationalError)) or (
        state is not None and (state in AWAY or state.startswith("08"))
    )


def may_succeed_again(error: psycopg.Error) -> bool:
    """Whether the same work may succeed when it is tried again."""
    return error.sqlstate in AGAIN or isinstance(error, psycopg.errors.PipelineAborted) or is_away(error)


def shown(address: str) -> str:
    """The address for people: without its password."""
    if address_fault(address):
        return "of the setting"
    parts = conninfo.conninfo_to_dict(address)
    place = f"{parts.get('host', 'localhost')}:{parts.get('port', '5432')}"
    return f"{parts.get('dbname', '')} on {place}"


class Connections:
    """The connections of one journal. Any number of threads may use it."""

    def __init__(self, address: str, most: int = CONNECTIONS_MAX, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.name = shown(address)
        if fault := address_fault(address):
            raise JournalUnusable(f"The database {self.name} cannot be used: {fault}.")
        self._address = address
        self._patience_seconds = patience_seconds
        self._free: list[Connection] = []
        self._lock = Lock()
        self._out = BoundedSemaphore(most)
        self.losses = 0
        """Rises whenever the server seems to be lost."""
        self._away = False
        """True from the end of somebody's patience until somebody reaches the database again."""
        self._closed = ""
        self._server = ""
        """When the server began that was reached last: another one began at another time."""
        self.greet: Callable[[Connection], None] = lambda _: None
        """Looks at each new connection before anybody has it."""

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for as long as the context lasts; what was not committed in it is rolled back."""
        with self._out:
            connection = self._taken()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _taken(self) -> Connection:
        with self._lock:
            if self._closed:
                raise JournalStopped(self._closed)
            while self._free:
                connection = self._free.pop()
                if not connection.broken:
                    return connection
        return self.connected()

    def _give_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rollback()
            connection.autocommit = True
            with self._lock:
                if not self._closed and connection.info.transaction_status == TransactionStatus.IDLE:
                    self._free.append(connection)
                    return
        connection.close()

    def connected(self) -> Connection:
        """A new connection, on which nothing is acknowledged before it is on disk.

        Raises:
            JournalUnusable: the database promises less than that, or cannot hold every text.
        """
        connection = psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=10,
            client_encoding="utf8",
            application_name="suyuan",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
        try:
            fsync, encoding, version, commit, began = connection.execute(_DURABILITY).fetchall()[0]
            self._check(fsync, encoding, version)
            # `off` would acknowledge what a crash can still lose; what is stricter than `on` is the operator's choice.
            connection.execute((_SESSION + ("on" if commit == "off" else commit)).encode())
            # Who waits so long for another transaction tries again, which counts towards the patience.
            connection.execute(f"SET lock_timeout = {int(self._patience_seconds * 500)}".encode())
            self._reached_server(began)
            self.greet(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reached_server(self, began: str) -> None:
        """Note which server answers: a promoted one may be reached while somebody still waits for the one before."""
        with self._lock:
            self.losses += bool(self._server) and self._server != began
            self._server = began

    def _check(self, fsync: str, encoding: str, version: int) -> None:
        if fsync != "on":
            raise JournalUnusable(
                f"The database {self.name} runs with fsync = {fsync}: what it acknowledges does not survive a loss of "
                "power. Set fsync = on in postgresql.conf."
            )
        if encoding != "UTF8":
            raise JournalUnusable(
                f"The database {self.name} has the encoding {encoding}, which cannot hold every name. "
                "Make a database with ENCODING 'UTF8'."
            )
        if version < _VERSION_MIN:
            raise JournalUnusable(f"The database {self.name} is PostgreSQL {version // 10_000}; 15 or newer is needed.")

    def run(self, work: Callable[[Connection], Found]) -> Found:
        """Do work that changes nothing, or that may be done twice; tried again while the database is away.

        Raises:
            JournalRefusal: it stayed away, or cannot do it.
        """
        patience = self.patience()
        while True:
            try:
                with self.one() as connection:
                    found = work(connection)
            except psycopg.Error as error:
                patience.wait(error)
            else:
                self.reached()
                return found

    def patience(self) -> "Patience":
        """How long one call may go on trying: but once where somebody found just now that it is of no use."""
        return Patience(self, 0.0 if self._away else self._patience_seconds)

    def reached(self) -> None:
        """Note that the database answers."""
        self._away = False

    def lost(self) -> None:
        """Note that it does not, for longer than anybody waits; connections that are left are of no use."""
        self._away = True
        self.drop_free()

    def drop_free(self) -> None:
        """Close those that nobody uses: they may be to a server that is gone."""
        with self._lock:
            self.losses += 1
            dropped, self._free = self._free, []
        for connection in dropped:
            connection.close()

    def close(self, words: str) -> None:
        """Give out no more, for the reason said."""
        with self._lock:
            self._closed = words
        self.drop_free()


class Patience:
    """How often one call tries again, and for how long."""

    def __init__(self, connections: Connections, seconds: float) -> None:
        self._connections = connections
        self._until = time.monotonic() + seconds
        self._pause, self._pause_most = PAUSE_SECONDS

    def wait(self, error: psycopg.Error) -> None:
        """Wait a moment before the next attempt.

        Raises:
            JournalRefusal: trying again is of no use, or has been for too long.
        """
        away = is_away(error)
        if not may_succeed_again(error):
            raise refusal(self._connections.name, error) from error
        if time.monotonic() >= self._until:
            if away:
                self._connections.lost()
            raise refusal(self._connections.name, error) from error
        if away:
            self._connections.drop_free()
        time.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311  so that not all come back at once
        self._pause = min(self._pause * 2, self._pause_most)


def refusal(name: str, error: psycopg.Error, *, unknown: bool = False) -> JournalRefusal:
    """Words for what the database said; `unknown` where a commit was under way."""
    said = said_by(error)
    kept = "whether the last facts were kept is unknown" if unknown else "nothing of this was kept"
    return JournalStopped(
        f"The journal in the database {name} cannot be reached or written: {said}. "
        f"As long as that lasts nothing is taken, and {kept}. Mend the cause (often a server that is down, or a full "
        "disk) and send it once more: what was kept is recognised. The journal goes on by itself."
    )
