"""Tables beside the journal: catalogue, credentials, people and settings, on SQLite here and PostgreSQL on a server."""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from suyuan.catalogue.columns import notes
from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.dating import in_sequence, overlap
from suyuan.catalogue.parties import Delegation
from suyuan.ledger.privacy import Privacy
from suyuan.storage.clients import Client, ClientRows, SignIn
from suyuan.storage.credentials import (
    Credential,
    CredentialTables,
    IssuedCredential,
    TablesError,
    credential_table,
    credential_values,
)
from suyuan.storage.people import ROLES, Password, PeopleSchema, PeopleTables, Person, Request, Session

__all__ = [
    "ROLES",
    "SCHEMA_VERSION",
    "Accounts",
    "Credential",
    "IssuedCredential",
    "Password",
    "Person",
    "Request",
    "Session",
    "Tables",
    "TablesError",
]

SCHEMA_VERSION = 2
"""Raised with every change of a column, together with the step in `STEPS` that brings an older file up to it."""

_ROWS_PER_INSERT = 20_000
_IN_MEMORY = ":memory:"
_TYPES: dict[Any, type[Any]] = {str: sa.Text, int: sa.BigInteger, bool: sa.Boolean, date: sa.Date}


class Accounts(msgspec.Struct):
    """All credentials, people and message clients, for the export and import of a whole node; no sessions."""

    credentials: list[Credential] = []
    people: list[Person] = []
    clients: list[Client] = []
    passwords: list[Password] = []
    requests: list[Request] = []


_METADATA = sa.MetaData()


def _catalogue_table(name: str, row: type[Any], key: tuple[str, ...]) -> sa.Table:
    """A SQL table with the fields of a row type, in their order."""
    columns = [
        sa.Column(field.name, _TYPES[field.type], primary_key=field.name in (*key, "valid_from"), nullable=False)
        for field in msgspec.structs.fields(row)
    ]
    return sa.Table(f"catalogue_{name}", _METADATA, *columns)


_CATALOGUE = {table.name: _catalogue_table(*table) for table in TABLES}

_META = sa.Table(
    "meta",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
_CREDENTIALS = credential_table(_METADATA)
_PEOPLE = PeopleSchema(_METADATA)
_CLIENTS = ClientRows(_METADATA)


def _to_version_2(connection: sa.Connection) -> None:
    """Keys of more kinds that end by themselves; people with a fund and a name at a sign-on server.

    Software has keys and no account: a person recorded as `institution` becomes one with the least rights there.
    """
    for table, columns in (
        (_CREDENTIALS, ("kind", "sealed", "public_key", "networks", "label", "valid_until", "made_by")),
        (_PEOPLE.people, ("fund", "subject")),
    ):
        for name in columns:
            column = sa.schema.CreateColumn(table.c[name]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column}")
    people = _PEOPLE.people
    connection.execute(people.update().where(people.c.role == "institution").values(role="clerk"))


STEPS: dict[int, Callable[[sa.Connection], None]] = {1: _to_version_2}
"""From each older version the step to the next; new tables need none."""


class Tables(CredentialTables, PeopleTables):
    """One open set of tables. Every public function is one transaction; threads may share it."""

    _credentials = _CREDENTIALS
    _schema = _PEOPLE

    def __init__(self, engine: sa.Engine, privacy: Privacy | None = None) -> None:
        super().__init__()
        self._engine = engine
        self._privacy = privacy
        self._strangers = {}

    @classmethod
    def open(cls, path: Path | str, privacy: Privacy | None = None) -> Self:
        """Open or create tables in a SQLite file, or at a SQLAlchemy address such as `postgresql+psycopg://…`.

        `:memory:` keeps them until they are closed. With the node's secrets, keys can also sign (HMAC-SM3); without,
        new ones serve as bearer keys alone.

        Raises:
            TablesError: the file is no SQLite database, cannot be opened, or was written by a newer program.
        """
        address = str(path)
        engine = _engine(address)
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "sqlite":
                    # Its driver begins before values are written only, not before columns are added: an upgrade that
                    # is cut off must leave nothing, and of two at the same time one must find nothing left to do.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                held = _version(connection, address)
                _METADATA.create_all(connection)
                if held is None:
                    _save(connection, Content(), _CATALOGUE)
                for version in range(held or SCHEMA_VERSION, SCHEMA_VERSION):
                    STEPS[version](connection)
                if held != SCHEMA_VERSION:
                    _set_meta(connection, "schema", str(SCHEMA_VERSION))
        except DatabaseError as fault:
            engine.dispose()
            what = f"{path} cannot be opened as tables ({fault.orig})"
            raise TablesError(f"{what}. Name a writable place, or a file that suyuan wrote.") from None
        except TablesError:
            engine.dispose()
            raise
        return cls(engine, privacy)

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The catalogue

    def load_catalogue(self) -> Content:
        """Everything of the catalogue; new tables hold the default content."""
        with self._engine.begin() as connection:
            return Content(**{table.name: _rows(connection, _CATALOGUE[table.name], table.row) for table in TABLES})

    def save_catalogue(self, content: Content, only: Iterable[str] | None = None) -> None:
        """Replace the catalogue, or the tables named in `only`, in one transaction."""
        with self._engine.begin() as connection:
            _save(connection, content, _CATALOGUE if only is None else only)

    def delegate(self, grantor: str, delegate: str, since: date, until: date, purpose: str = "") -> Delegation:
        """Let `delegate` speak for `grantor` from one day to another, both included.

        Raises:
            TablesError: no last day, the same party twice, or an overlap with an earlier delegation.
        """
        row = Delegation(grantor, delegate, purpose, since, until)
        for note in notes(row):
            raise TablesError(f"Delegation not recorded: {note.field} {note.value}: {note.what}. {note.do}")
        table = _CATALOGUE["delegations"]
        with self._engine.begin() as connection:
            pair = sa.and_(table.c.grantor == grantor, table.c.delegate == delegate)
            held = [Delegation(*found) for found in connection.execute(table.select().where(pair))]
            if overlap(in_sequence([*held, row])) is not None:
                raise TablesError(
                    f"Delegation not recorded: {delegate} already speaks for {grantor} on some of these days. "
                    "Choose days that do not overlap, or import the delegations with a new last day."
                )
            connection.execute(table.insert(), msgspec.structs.asdict(row))
        return row

    def end_delegation(self, grantor: str, delegate: str, last: date) -> bool:
        """Let what runs after `last` end on it; what would begin later never begins. Whether there was any."""
        table = _CATALOGUE["delegations"]
        pair = sa.and_(table.c.grantor == grantor, table.c.delegate == delegate, table.c.valid_to > last)
        with self._engine.begin() as connection:
            dropped = connection.execute(table.delete().where(pair, table.c.valid_from > last)).rowcount
            ended = connection.execute(table.update().where(pair).values(valid_to=last)).rowcount
        return bool(dropped + ended)

    def load_delegations(self) -> list[Delegation]:
        """Every delegation of the catalogue."""
        with self._engine.begin() as connection:
            return _rows(connection, _CATALOGUE["delegations"], Delegation)

    # Accounts as a whole

    def export_accounts(self) -> Accounts:
        """All credentials (hashed and sealed), people and what is kept of their passwords."""
        with self._engine.begin() as connection:
            passwords = [Password(*row) for row in connection.execute(_PEOPLE.passwords.select().order_by("name"))]
            requests = [Request(*row) for row in connection.execute(_PEOPLE.requests.select().order_by("asked", "id"))]
        return Accounts(self.list_credentials(), self.list_people(), self.list_clients(), passwords, requests)

    def import_accounts(self, accounts: Accounts) -> None:
        """Replace all credentials and people, in one transaction; every session ends."""
        rows: tuple[tuple[sa.Table, list[dict[str, Any]]], ...] = (
            (_CREDENTIALS, [credential_values(row) for row in accounts.credentials]),
            (_PEOPLE.people, [msgspec.structs.asdict(row) for row in accounts.people]),
            (_PEOPLE.passwords, [msgspec.structs.asdict(row) for row in accounts.passwords]),
            (_PEOPLE.requests, [msgspec.structs.asdict(row) for row in accounts.requests]),
            (_PEOPLE.sessions, []),
        )
        with self._engine.begin() as connection:
            for table, values in rows:
                connection.execute(table.delete())
                if values:
                    connection.execute(table.insert(), values)
            _CLIENTS.replace(connection, accounts.clients)
        self._forget()

    # Clients of the NHSA address

    def list_clients(self) -> list[Client]:
        """What is agreed with institutions about their messages, by institution."""
        with self._engine.begin() as connection:
            return _CLIENTS.all(connection)

    def client(self, institution: str) -> Client:
        """What is agreed with an institution; the defaults where nothing is."""
        with self._engine.begin() as connection:
            return _CLIENTS.one(connection, institution) or Client(institution=institution)

    def save_client(self, client: Client) -> None:
        """Keep what is agreed with an institution, in place of what was."""
        with self._engine.begin() as connection:
            _CLIENTS.save(connection, client)

    def begin_sign_in(self, signed: SignIn) -> None:
        """Keep a sign-in (9001); durable when this returns."""
        with self._engine.begin() as connection:
            _CLIENTS.begin(connection, signed)

    def sign_in(self, sign_no: str) -> SignIn | None:
        """The sign-in of a number; None for one that is unknown or over."""
        with self._engine.begin() as connection:
            return _CLIENTS.signed(connection, sign_no)

    def end_sign_in(self, sign_no: str) -> None:
        """A sign-in ends before its midnight (9002)."""
        with self._engine.begin() as connection:
            _CLIENTS.end(connection, sign_no)

    # Single values

    def meta(self, key: str) -> str | None:
        """A single value kept beside the tables, such as the node's name."""
        with self._engine.begin() as connection:
            return _meta(connection, key)

    def set_meta(self, key: str, value: str) -> None:
        """Keep a single value.

        Raises:
            TablesError: the key belongs to the tables themselves.
        """
        if key == "schema":
            raise TablesError("The key 'schema' belongs to the tables themselves. Choose another.")
        with self._engine.begin() as connection:
            _set_meta(connection, key, value)


def _engine(address: str) -> sa.Engine:
    """A SQLite file, a SQLite in memory (one connection for all threads, or each would see its own), or a server."""
    if "://" in address:
        return sa.create_engine(address)
    url = sa.URL.create("sqlite", database=address)
    if address == _IN_MEMORY:
        engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
    """Readers beside one writer, and every commit on disk before it returns."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _version(connection: sa.Connection, where: str) -> int | None:
    """The version of the tables; None for new ones.

    Those of a newer program are refused: it may have meant something that this one would destroy.
    """
    if not sa.inspect(connection).has_table("meta"):
        return None
    found = _meta(connection, "schema")
    if found is None:
        return None
    if not found.isdigit() or not 0 < int(found) <= SCHEMA_VERSION:
        raise TablesError(
            f"{where} has tables of version {found}; this program knows versions up to {SCHEMA_VERSION}. "
            "Use the newer program that wrote them, or another data folder."
        )
    return int(found)


def _meta(connection: sa.Connection, key: str) -> str | None:
    return connection.execute(sa.select(_META.c.value).where(_META.c.key == key)).scalar()


def _set_meta(connection: sa.Connection, key: str, value: str) -> None:
    connection.execute(_META.delete().where(_META.c.key == key))
    connection.execute(_META.insert(), {"key": key, "value": value})


def _rows(connection: sa.Connection, table: sa.Table, row: type[Any]) -> list[Any]:
    """All rows, in the order in which they were saved on SQLite and by key elsewhere."""
    return [row(*values) for values in connection.execute(table.select())]


def _save(connection: sa.Connection, content: Content, names: Iterable[str]) -> None:
    for name in names:
        _replace(connection, _CATALOGUE[name], getattr(content, name))


def _replace(connection: sa.Connection, table: sa.Table, rows: list[Any]) -> None:
    """The rows in place of all that were there.

    The statement goes to the driver as it is: the binding of every value by SQLAlchemy costs more than the database.
    Dates travel as ISO text, which both databases take for a date column.
    """
    connection.execute(table.delete())
    insert = table.insert().compile(dialect=connection.dialect)
    for start in range(0, len(rows), _ROWS_PER_INSERT):
        values = [msgspec.to_builtins(row) for row in rows[start : start + _ROWS_PER_INSERT]]
        ordered = [tuple(row.values()) for row in values] if insert.positional else values
        connection.exec_driver_sql(str(insert), ordered)
