"""Where tables are kept: a SQLite file, or a PostgreSQL that several processes share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from suyuan.storage import sqlite_file

SERVER = "postgresql://"
IN_MEMORY = ":memory:"

CONNECT_SECONDS = 5
"""How long a server may take to answer a new connection."""
SILENT_MILLISECONDS = 10_000
"""How long a server may be silent in the middle of an exchange before the connection counts as lost."""
CONNECTIONS = 4
CONNECTIONS_MORE = 12
"""Connections that a process keeps, and opens besides while it has to."""

_CHANGING = 0x5375_7975_616E
"""The number of the advisory lock under which the tables are made and changed: `Suyuan`."""
_TURN = 0x5475_726E
"""And of the one that only one server process of all has: `Turn`."""


def is_server(address: str | Path) -> bool:
    """Whether this is the address of a PostgreSQL, and no path."""
    return str(address).startswith(SERVER)


def place_of(address: str | Path) -> str:
    """An address as it may be shown: without its password."""
    if not is_server(address):
        return str(address)
    if address_fault(str(address)):
        return "the database of the setting"
    told = conninfo_to_dict(str(address))
    return f"the database {told.get('dbname', '')} at {told.get('host', 'this machine')}:{told.get('port', 5432)}"


def address_fault(address: str) -> str:
    """Why this is no address of a PostgreSQL, in words that quote nothing of it; empty where it is one."""
    try:
        port = str(conninfo_to_dict(address).get("port") or "")
    except psycopg.ProgrammingError:
        port = "none"
    if all(one.isdecimal() for one in port.split(",") if one):
        return ""
    return (
        "its address is not written as postgresql://user:password@host/name; in a password, the signs % / @ : and "
        "blanks are written as %25 %2F %40 %3A and %20"
    )


def engine_at(address: str | Path) -> sa.Engine:
    """Connections to a SQLite file, a SQLite in memory (one connection for all threads), or a PostgreSQL.

    A connection that was lost is noticed before it is used again, so that who comes after a failure sees none.
    """
    if is_server(address):
        return sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: _durable(connect(str(address))),
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS_MORE,
            pool_timeout=CONNECT_SECONDS,
            hide_parameters=True,  # errors are logged: they say what was asked, and not of whom
        )
    url = sa.URL.create("sqlite", database=str(address))
    if str(address) == IN_MEMORY:
        engine = sa.create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        engine = sa.create_engine(url, hide_parameters=True)

    def prepare(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
        """Every commit is on disk before it returns."""
        sqlite_file.prepare(connection, "FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    sa.event.listen(engine, "connect", prepare)
    return engine


def connect(address: str, **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401  the driver's own options
    """A connection to a PostgreSQL; one that does not answer is given up after some seconds.

    Raises:
        psycopg.OperationalError: it cannot be reached, or lets nobody in.
    """
    if fault := address_fault(address):
        raise psycopg.OperationalError(fault)  # the driver would quote what it cannot read, which may be the password
    patience: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": SILENT_MILLISECONDS}
    return psycopg.connect(address, **patience, **options)


def said_by(error: BaseException) -> str:
    """What a database said, without the row that it would quote."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return " ".join((said or str(cause)).split()) or type(cause).__name__


def _durable(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Nothing is acknowledged before it is on disk; what is stricter than that is the operator's choice.

    How transactions see each other is ours, whatever the database is set to.
    """
    try:
        if connection.execute("SELECT current_setting('synchronous_commit')").fetchall()[0][0] == "off":
            connection.execute("SET synchronous_commit = on")
        # What is stricter here would fail one of two that change the same row, who need only wait for each other.
        connection.execute("SET default_transaction_isolation = 'read committed'")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


class DatabaseTurn:
    """The turn among all processes that share a database: it belongs to a connection, and ends with it.

    Two may believe for some seconds that they have it, while one is cut off: what they do must bear that.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None

    def take(self) -> bool:
        """Take it if nobody has it; not while the database is away."""
        try:
            if self._connection is None:
                self._connection = connect(self._address, autocommit=True, application_name="suyuan turn")
            taken = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_TURN,)).fetchone()
        except psycopg.Error:
            self.free()
            return False
        return bool(taken and taken[0])

    def holds(self) -> bool:
        """Whether the connection that has it is alive."""
        try:
            if self._connection is None:
                return False
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            self.free()
            return False
        return True

    def free(self) -> None:
        """Leave it to others."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def alone(connection: sa.Connection) -> None:
    """From here to the end of the transaction nobody else makes or changes tables."""
    if connection.dialect.name == "sqlite":
        # Its driver begins before values are written only, not before columns are added: an upgrade that
        # is cut off must leave nothing, and of two at the same time one must find nothing left to do.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHANGING)))


def or_else(
    connection: sa.Connection,
    table: sa.Table,
    row: dict[str, Any],
    changes: dict[str, Any] | None = None,
    where: sa.ColumnElement[bool] | None = None,
) -> Any:  # noqa: ANN401  each database has a type of its own for it
    """The statement that inserts a row, or else changes the one under its key: to this one, or by `changes`.

    Of several at the same time one inserts, and the others change.
    """
    insert = (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table).values(row)
    key = [column.name for column in table.primary_key]
    rest = changes or {name: insert.excluded[name] for name in row if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=rest, where=where)


def after_creation(table: sa.Table, *statements: str) -> None:
    """On a PostgreSQL, what SQLAlchemy has no words for."""
    for statement in statements:
        added: Callable[..., Any] = sa.DDL
        sa.event.listen(table, "after_create", added(statement).execute_if(dialect="postgresql"))


METADATA = sa.MetaData()
META = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Single values beside the tables."""


def value_of(connection: sa.Connection, key: str) -> str | None:
    """A single value; None where there is none."""
    value: str | None = connection.execute(sa.select(META.c.value).where(META.c.key == key)).scalar()
    return value


def keep_value(connection: sa.Connection, key: str, value: str) -> None:
    """Keep a single value; who else keeps one under this key waits for the end of the transaction."""
    connection.execute(or_else(connection, META, {"key": key, "value": value}))


def value_to_change(connection: sa.Connection, key: str) -> str:
    """A single value, empty where there is none; who else asks for it so waits for the end of the transaction."""
    asked = or_else(connection, META, {"key": key, "value": ""}, {"value": META.c.value})
    value: str = connection.execute(asked.returning(META.c.value)).scalar_one()
    return value
