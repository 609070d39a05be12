"""Tables beside the journal: catalogue, credentials, people and settings, on SQLite here and PostgreSQL on a server."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import UTC, date, datetime
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
from suyuan.storage.clients import Client, ClientRows

SCHEMA_VERSION = 1
"""Raised with every change of a column, together with the step that brings an older file up to it."""

ROLES = ("institution", "firm", "agency", "inspector", "drug_regulator", "vendor", "administrator")
"""Who sees what is decided by role (spec/settlement.md); citizens need no account."""

_ROWS_PER_INSERT = 20_000
_IN_MEMORY = ":memory:"
_TYPES: dict[Any, type[Any]] = {str: sa.Text, int: sa.BigInteger, bool: sa.Boolean, date: sa.Date}


class TablesError(Exception):
    """The tables cannot be used or a change cannot be made; the text says what to do."""


class Credential(msgspec.Struct, frozen=True):
    """A key with which an institution or firm signs in. The secret itself is never kept."""

    id: str
    institution: str
    """Party code of the one it speaks as."""
    salt: str
    digest: str
    """SHA-256 of salt and secret; a secret of 256 random bits needs no slow hash."""
    created: datetime
    revoked: datetime | None = None


class IssuedCredential(msgspec.Struct, frozen=True):
    """A new key with its secret, shown this once."""

    id: str
    institution: str
    secret: str


class Person(msgspec.Struct, frozen=True):
    """Somebody who works with the system, and for whom."""

    name: str
    """Account name, unique."""
    role: str
    institution: str = ""
    region: str = ""
    """Six-digit division code, for inspectors and agencies."""
    disabled: bool = False


class Accounts(msgspec.Struct):
    """All credentials, people and message clients, for the export and import of a whole node."""

    credentials: list[Credential] = []
    people: list[Person] = []
    clients: list[Client] = []


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
_CREDENTIALS = sa.Table(
    "credentials",
    _METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False, index=True),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.BigInteger),
)
"""Times are µs since 1970 UTC, as in the journal."""
_PEOPLE = sa.Table(
    "people",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
)
_CLIENTS = ClientRows(_METADATA)


class Tables:
    """One open set of tables. Every public function is one transaction; threads may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open or create tables in a SQLite file, or at a SQLAlchemy address such as `postgresql+psycopg://…`.

        `:memory:` keeps them until they are closed.

        Raises:
            TablesError: the file is no SQLite database, cannot be opened, or was written by a newer program.
        """
        address = str(path)
        engine = _engine(address)
        try:
            with engine.begin() as connection:
                _check_version(connection, address)
                _METADATA.create_all(connection)
                if _meta(connection, "schema") is None:
                    _save(connection, Content(), _CATALOGUE)
                    _set_meta(connection, "schema", str(SCHEMA_VERSION))
        except DatabaseError as fault:
            engine.dispose()
            what = f"{path} cannot be opened as tables ({fault.orig})"
            raise TablesError(f"{what}. Name a writable place, or a file that suyuan wrote.") from None
        except TablesError:
            engine.dispose()
            raise
        return cls(engine)

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

    # Credentials and people

    def create_credential(self, institution: str) -> IssuedCredential:
        """A new key for an institution or firm; the only moment at which its secret can be read."""
        issued = IssuedCredential(secrets.token_hex(8), institution, secrets.token_urlsafe(32))
        salt = secrets.token_hex(16)
        row = Credential(issued.id, institution, salt, _digest(salt, issued.secret), datetime.now(UTC))
        with self._engine.begin() as connection:
            connection.execute(_CREDENTIALS.insert(), _credential_values(row))
        return issued

    def check_credential(self, credential_id: str, secret: str) -> str | None:
        """The institution the key belongs to; None for an unknown or revoked key or a wrong secret."""
        with self._engine.begin() as connection:
            found = connection.execute(_CREDENTIALS.select().where(_CREDENTIALS.c.id == credential_id)).first()
        if found is None or found.revoked is not None:
            return None
        right = hmac.compare_digest(found.digest, _digest(found.salt, secret))
        return str(found.institution) if right else None

    def list_credentials(self, institution: str = "") -> list[Credential]:
        """All keys, or those of one institution, oldest first; revoked ones included."""
        query = _CREDENTIALS.select().order_by(_CREDENTIALS.c.created, _CREDENTIALS.c.id)
        if institution:
            query = query.where(_CREDENTIALS.c.institution == institution)
        with self._engine.begin() as connection:
            return [_credential(row) for row in connection.execute(query)]

    def revoke(self, credential_id: str) -> None:
        """End a key at once. Revoking twice keeps the first time.

        Raises:
            TablesError: there is no such key.
        """
        own = _CREDENTIALS.c.id == credential_id
        with self._engine.begin() as connection:
            if connection.execute(_CREDENTIALS.select().where(own)).first() is None:
                raise TablesError(f"There is no credential {credential_id!r}. List the credentials to see their ids.")
            open_key = sa.and_(own, _CREDENTIALS.c.revoked.is_(None))
            connection.execute(_CREDENTIALS.update().where(open_key).values(revoked=_micros(datetime.now(UTC))))

    def add_person(self, name: str, role: str, institution: str = "", region: str = "") -> Person:
        """Record somebody with a role, for an institution or a region.

        Raises:
            TablesError: the name is taken or empty, or the role is not one of `ROLES`.
        """
        if role not in ROLES:
            raise TablesError(f"There is no role {role!r}. Use one of: {', '.join(ROLES)}.")
        if not name.strip():
            raise TablesError("A person needs a name. Give an account name.")
        person = Person(name.strip(), role, institution, region)
        with self._engine.begin() as connection:
            if connection.execute(_PEOPLE.select().where(_PEOPLE.c.name == person.name)).first() is not None:
                raise TablesError(f"The name {person.name!r} is taken. Choose another.")
            connection.execute(_PEOPLE.insert(), msgspec.structs.asdict(person))
        return person

    def list_people(self) -> list[Person]:
        """Everybody by name, disabled ones included."""
        with self._engine.begin() as connection:
            return [Person(*row) for row in connection.execute(_PEOPLE.select().order_by(_PEOPLE.c.name))]

    def disable_person(self, name: str, disabled: bool = True) -> None:  # noqa: FBT001, FBT002  reads as said
        """Lock somebody out, or let them in again.

        Raises:
            TablesError: there is nobody of that name.
        """
        with self._engine.begin() as connection:
            change = _PEOPLE.update().where(_PEOPLE.c.name == name).values(disabled=disabled)
            if not connection.execute(change).rowcount:
                raise TablesError(f"There is nobody named {name!r}. List the people to see their names.")

    def export_accounts(self) -> Accounts:
        """All credentials (hashed) and people."""
        return Accounts(self.list_credentials(), self.list_people(), self.list_clients())

    def import_accounts(self, accounts: Accounts) -> None:
        """Replace all credentials and people, in one transaction."""
        with self._engine.begin() as connection:
            connection.execute(_CREDENTIALS.delete())
            connection.execute(_PEOPLE.delete())
            if accounts.credentials:
                connection.execute(_CREDENTIALS.insert(), [_credential_values(row) for row in accounts.credentials])
            if accounts.people:
                connection.execute(_PEOPLE.insert(), [msgspec.structs.asdict(person) for person in accounts.people])
            _CLIENTS.replace(connection, accounts.clients)

    # Clients of the NHSA address

    def list_clients(self) -> list[Client]:
        """What is agreed with institutions about their messages, by institution."""
        with self._engine.begin() as connection:
            return _CLIENTS.all(connection)

    def client(self, institution: str) -> Client:
        """What is agreed with an institution; the defaults where nothing is."""
        with self._engine.begin() as connection:
            return _CLIENTS.one(connection, institution) or Client(institution=institution)

    def client_called(self, paasid: str) -> Client | None:
        """The client of this name at an x-tif gateway."""
        with self._engine.begin() as connection:
            return _CLIENTS.called(connection, paasid)

    def save_client(self, client: Client) -> None:
        """Keep what is agreed with an institution, in place of what was."""
        with self._engine.begin() as connection:
            _CLIENTS.save(connection, client)

    def end_sign_in(self, sign_no: str, day: str) -> None:
        """A sign-in (9001) of an ISO day in China ends before its midnight."""
        with self._engine.begin() as connection:
            _CLIENTS.end(connection, sign_no, day)

    def ended_sign_ins(self, day: str) -> list[str]:
        """Sign-ins of an ISO day in China that ended before their midnight."""
        with self._engine.begin() as connection:
            return _CLIENTS.ended_on(connection, day)

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


def _check_version(connection: sa.Connection, where: str) -> None:
    """Refuse tables of a newer program: it may have meant something that this one would destroy."""
    if not sa.inspect(connection).has_table("meta"):
        return
    found = _meta(connection, "schema")
    if found is None:
        return
    if not found.isdigit() or int(found) > SCHEMA_VERSION:
        raise TablesError(
            f"{where} has tables of version {found}; this program knows versions up to {SCHEMA_VERSION}. "
            "Use the newer program that wrote them, or another data folder."
        )


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


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _credential_values(row: Credential) -> dict[str, Any]:
    values = msgspec.structs.asdict(row)
    values["created"] = _micros(row.created)
    values["revoked"] = None if row.revoked is None else _micros(row.revoked)
    return values


def _credential(row: Any) -> Credential:  # noqa: ANN401  a row of the driver
    revoked = None if row.revoked is None else datetime.fromtimestamp(row.revoked / 1_000_000, UTC)
    created = datetime.fromtimestamp(row.created / 1_000_000, UTC)
    return Credential(row.id, row.institution, row.salt, row.digest, created, revoked)
