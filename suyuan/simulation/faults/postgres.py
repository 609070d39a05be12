"""PostgreSQL under the simulation: a real server, with transactions held open, failed, cut off and half heard."""

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg

from suyuan.simulation.faults.stage import Stage
from suyuan.simulation.faults.store import Crash
from suyuan.simulation.faults.weather import Weather
from suyuan.storage.database import connect, said_by
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.postgres_connections import Connection, Connections, Patience, is_away, may_succeed_again, refusal
from suyuan.storage.refusals import JournalUnusable

WAITS_MAX = 60
"""How often one call tries again before it gives up; on the stage, waiting is letting the others go on."""

LOCK_WAIT = "20ms"
"""Who holds the lock stands still while another moves, so that waiting longer is of no use."""

FAILURES = {
    "serialization failure": "40001",
    "deadlock": "40P01",
    "lock not available": "55P03",
    "full disk": "53100",
}
"""Errors that the server itself raises in an open transaction, by their codes in PostgreSQL."""


class FaultyPostgres(PostgresJournal):
    """The journal of one server process on a real database; its transactions stay open while others write."""

    def __init__(self, address: str, weather: Weather, stage: Stage, *, horizon: bool = True) -> None:
        self._weather = weather
        self._stage = stage
        super().__init__(address, _horizon=horizon)
        self._staged = _Staged(address, stage, weather)
        self._connections.close("replaced by staged ones")
        self._connections = self._staged
        self._staged.greet = self._greet

    def cut_idle(self) -> None:
        """End the idle connections at the server, without a word to whoever will take them next."""
        self._staged.cut_idle()

    def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
        """Commit, unless something comes between; others write while the transaction is open."""
        weather = self._weather
        self._stage.pause()
        for fault, state in FAILURES.items():
            if weather.strikes(fault):
                connection.execute(
                    f"DO $$ BEGIN RAISE EXCEPTION 'simulated' USING ERRCODE = '{state}'; END $$".encode()
                )
        if weather.strikes("connection cut"):
            connection.close()
        elif weather.strikes("connection cut after the commit"):
            connection.commit()
            connection.close()
        elif weather.strikes("crash in mid-write"):
            if weather.rng.random() < 0.5:  # noqa: PLR2004  half of them are kept
                connection.commit()
            connection.close()
            raise Crash
        return super()._lost_in_commit(connection)


class _Staged(Connections):
    """Connections whose patience lets the other actors go on instead of sleeping."""

    def __init__(self, address: str, stage: Stage, weather: Weather) -> None:
        super().__init__(address)
        self._stage = stage
        self._weather = weather

    def connected(self) -> Connection:
        """A new connection that does not wait for locks."""
        connection = super().connected()
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'".encode())
        return connection

    def patience(self) -> Patience:
        """How often one call may try again."""
        return _StagedPatience(self, self._stage, self._weather)

    def cut_idle(self) -> None:
        """End the idle connections at the server."""
        for connection in self._free:
            with psycopg.connect(self._address, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))


class _StagedPatience(Patience):
    """Waits by letting others go on; its measure is turns, not seconds."""

    def __init__(self, connections: Connections, stage: Stage, weather: Weather) -> None:
        super().__init__(connections, 0)
        self._name = connections.name
        self._left = WAITS_MAX
        self._stage = stage
        self._weather = weather
        self._drop_free: Callable[[], None] = connections.drop_free

    def wait(self, error: psycopg.Error) -> None:
        """Let the others go on before the next attempt.

        Raises:
            JournalRefusal: trying again is of no use, or has been too often.
        """
        self._left -= 1
        if not may_succeed_again(error) or not self._left:
            raise refusal(self._name, error) from error
        if is_away(error):
            self._drop_free()
        self._weather.struck["tried again by the engine"] += 1
        self._stage.pause()


def new_database(server: str, seed: str) -> str:
    """Make an empty database on a server, under a name that nobody else has; answers its address.

    Raises:
        JournalUnusable: the server cannot be reached, or this user may make no databases there.
    """
    name = f"suyuan_faults_{seed}_{secrets.token_hex(4)}"
    try:
        with connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
    except psycopg.Error as error:
        raise JournalUnusable(
            f"No database can be made on the server that --database names: {said_by(error)}. "
            "See that it runs and that this user may create databases."
        ) from error
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def drop_database(server: str, address: str) -> None:
    """Drop it again, whoever is still connected."""
    name = urlsplit(address).path[1:]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
