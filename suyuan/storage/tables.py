"""Tables beside the journal: catalogue, credentials, people and settings, on SQLite here and PostgreSQL on a server."""

import secrets
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from suyuan.catalogue.columns import notes
from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.dating import in_sequence, overlap
from suyuan.catalogue.parties import Delegation
from suyuan.ledger.privacy import Privacy
from suyuan.storage.audit import METADATA as AUDIT_LINES
from suyuan.storage.clients import Client, ClientRows, SignIn
from suyuan.storage.common import CommonSchema, CommonTables
from suyuan.storage.credentials import (
    Credential,
    CredentialTables,
    IssuedCredential,
    TablesError,
    credential_table,
    credential_values,
)
from suyuan.storage.database import (
    META,
    METADATA,
    after_creation,
    alone,
    engine_at,
    is_server,
    keep_value,
    place_of,
    value_of,
    value_to_change,
)
from suyuan.storage.people import ROLES, Password, PeopleSchema, PeopleTables, Person, Request, Session
from suyuan.storage.webhooks import METADATA as WEBHOOKS

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

SCHEMA_VERSION = 3
"""Raised with every change of the tables, together with the step in `migrations` that brings older ones up to it."""

_ROWS_PER_INSERT = 20_000
_VERSION = "schema"
_CHANGED = "changed catalogue_"
"""Under this and a table's name stands another word after every change of it: other processes look at that."""
_PLACE = "place"
_TYPES: dict[Any, type[Any]] = {str: sa.Text, int: sa.BigInteger, bool: sa.Boolean, date: sa.Date}


class Accounts(msgspec.Struct):
    """All credentials, people and message clients, for the export and import of a whole node; no sessions."""

    credentials: list[Credential] = []
    people: list[Person] = []
    clients: list[Client] = []
    passwords: list[Password] = []
    requests: list[Request] = []


def _catalogue_table(name: str, row: type[Any], key: tuple[str, ...]) -> sa.Table:
    """A SQL table with the fields of a row type, in their order."""
    columns = [
        sa.Column(field.name, _TYPES[field.type], primary_key=field.name in (*key, "valid_from"), nullable=False)
        for field in msgspec.structs.fields(row)
    ]
    table = sa.Table(f"catalogue_{name}", METADATA, *columns)
    # A file keeps rows in the order in which they came; a server does not, and an export must not come out otherwise.
    after_creation(table, f"ALTER TABLE {table.name} ADD COLUMN {_PLACE} BIGINT GENERATED ALWAYS AS IDENTITY")
    return table


_CATALOGUE = {table.name: _catalogue_table(*table) for table in TABLES}

_CREDENTIALS = credential_table(METADATA)
_PEOPLE = PeopleSchema(METADATA)
_CLIENTS = ClientRows(METADATA)
_COMMON = CommonSchema(METADATA)
_ON_A_SERVER = (AUDIT_LINES, WEBHOOKS)
"""Tables of their own files in a folder."""


class Tables(CredentialTables, PeopleTables, CommonTables):
    """One open set of tables. Every public function is one transaction; threads may share it."""

    _credentials = _CREDENTIALS
    _schema = _PEOPLE
    _common = _COMMON

    def __init__(self, engine: sa.Engine, privacy: Privacy | None = None) -> None:
        super().__init__()
        self._engine = engine
        self._privacy = privacy

    @classmethod
    def open(cls, path: Path | str, privacy: Privacy | None = None) -> Self:
        """Open or create tables in a SQLite file, or at the address of a PostgreSQL (`postgresql://…`).

        `:memory:` keeps them until they are closed. With the node's secrets, keys can also sign (HMAC-SM3); without,
        new ones serve as bearer keys alone. Those of an older program are brought up to date, whole or not at all.

        Raises:
            TablesError: it cannot be opened, is no database of ours, or was written by a newer program.
        """
        engine = engine_at(path)
        try:
            with engine.begin() as connection:
                held = _version(connection, path)
            if held != SCHEMA_VERSION:
                with engine.begin() as connection:
                    alone(connection)
                    _bring_up_to_date(connection, _version(connection, path))
        except SQLAlchemyError as fault:
            engine.dispose()
            raise TablesError(_unusable(path, fault)) from None
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

    def load_catalogue(self, only: Iterable[str] | None = None) -> Content:
        """Everything of the catalogue, or of the tables named in `only`; new tables hold the default content."""
        named = [table for table in TABLES if only is None or table.name in set(only)]
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                # All of one moment, though others change tables meanwhile.
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return Content(**{table.name: _rows(connection, _CATALOGUE[table.name], table.row) for table in named})

    def catalogue_changes(self) -> dict[str, str]:
        """Table of the catalogue → a word that is another one after every change of it, whoever made it."""
        with self._engine.begin() as connection:
            rows = connection.execute(META.select().where(META.c.key.startswith(_CHANGED)))
            return {key.removeprefix(_CHANGED): word for key, word in rows}

    def save_catalogue(self, content: Content, only: Iterable[str] | None = None) -> None:
        """Replace the catalogue, or the tables named in `only`, in one transaction."""
        with self._engine.begin() as connection:
            _save(connection, content, sorted(_CATALOGUE if only is None else only))

    def change_catalogue(self, name: str, change: Callable[[list[Any]], list[Any]]) -> None:
        """Replace one table by what becomes of it: nobody else, in any process, changes it meanwhile."""
        row = next(table.row for table in TABLES if table.name == name)
        with self._engine.begin() as connection:
            _note_change(connection, name)
            _replace(connection, _CATALOGUE[name], change(_rows(connection, _CATALOGUE[name], row)))

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
            _note_change(connection, "delegations")
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
            _note_change(connection, "delegations")
            dropped = connection.execute(table.delete().where(pair, table.c.valid_from > last)).rowcount
            ended = connection.execute(table.update().where(pair).values(valid_to=last)).rowcount
        return bool(dropped + ended)

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
            return value_of(connection, key)

    def change_value(self, key: str, change: Callable[[str], str]) -> str:
        """Put in place of a single value (empty: none yet) what becomes of it; answers that. Nobody else meanwhile.

        Raises:
            TablesError: as for `set_meta`.
        """
        self._check_key(key)
        with self._engine.begin() as connection:
            changed = change(value_to_change(connection, key))
            keep_value(connection, key, changed)
        return changed

    def set_meta(self, key: str, value: str) -> None:
        """Keep a single value.

        Raises:
            TablesError: the key belongs to the tables themselves.
        """
        self._check_key(key)
        with self._engine.begin() as connection:
            keep_value(connection, key, value)

    def _check_key(self, key: str) -> None:
        if key == _VERSION:
            raise TablesError("The key 'schema' belongs to the tables themselves. Choose another.")


def _version(connection: sa.Connection, where: Path | str) -> int | None:
    """The version of the tables; None for new ones.

    Those of a newer program are refused: it may have meant something that this one would destroy.
    """
    if not sa.inspect(connection).has_table("meta"):
        return None
    found = value_of(connection, _VERSION)
    if found is None:
        return None
    if not found.isdigit() or not 0 < int(found) <= SCHEMA_VERSION:
        raise TablesError(
            f"{place_of(where)} has tables of version {found}; this program knows versions up to {SCHEMA_VERSION}. "
            "Use the newer program that wrote them, or another data folder or database."
        )
    return int(found)


def _bring_up_to_date(connection: sa.Connection, held: int | None) -> None:
    """From any version to the present one; whoever else opens the tables meanwhile waits."""
    if held is None:
        METADATA.create_all(connection)
        if connection.dialect.name == "postgresql":
            for tables in _ON_A_SERVER:
                tables.create_all(connection)
        _save(connection, Content(), _CATALOGUE)
    elif held < SCHEMA_VERSION:
        from suyuan.storage.migrations import upgrade  # noqa: PLC0415  costs a tenth of a second of the start

        upgrade(connection, str(held), str(SCHEMA_VERSION))
    keep_value(connection, _VERSION, str(SCHEMA_VERSION))


def _unusable(where: Path | str, fault: SQLAlchemyError) -> str:
    cause = " ".join(str(getattr(fault, "orig", None) or fault).split())
    if is_server(where):
        return (
            f"{place_of(where)} cannot be used for the tables ({cause}). Nothing in it was changed. "
            "See that it runs, that the setting database is right, and that its user may create tables."
        )
    return (
        f"{where} cannot be opened as tables ({cause}). Name a writable place, or a file that suyuan wrote. "
        "Nothing in it was changed."
    )


def _rows(connection: sa.Connection, table: sa.Table, row: type[Any]) -> list[Any]:
    """All rows, in the order in which they were saved."""
    query = table.select()
    if connection.dialect.name != "sqlite":
        query = query.order_by(sa.literal_column(_PLACE))
    return [row(*values) for values in connection.execute(query)]


def _note_change(connection: sa.Connection, name: str) -> None:
    """Before a table of the catalogue is changed: others see that it was, and who else changes it waits for this."""
    keep_value(connection, _CHANGED + name, secrets.token_hex(8))


def _save(connection: sa.Connection, content: Content, names: Iterable[str]) -> None:
    for name in names:
        _note_change(connection, name)
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
