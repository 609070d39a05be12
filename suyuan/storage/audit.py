"""The audit record: who opened personal data or changed an account, as lines that cannot be altered unseen."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes

from suyuan.storage.database import IN_MEMORY, after_creation, engine_at, is_server, keep_value, place_of

FILE = "audit.sqlite"
HEAD = "audit_head"
"""Under this name the tables keep number and hash of the last line: lines lost at the end are missed by it."""
PAGE = 1000

METADATA = sa.MetaData()
_CHAINING = 0x6175_6469_74
"""The number of the advisory lock under which a line is added to the chain: `audit`."""


def _lines(name: str, metadata: sa.MetaData) -> sa.Table:
    texts = ("action", "subject", "reason", "who", "role", "party", "request", "hash")
    return sa.Table(
        name,
        metadata,
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(text, sa.Text, nullable=False) for text in texts),
    )


_ON_A_SERVER = _lines("audit_lines", METADATA)
_IN_A_FILE = _lines("lines", sa.MetaData())

_FILE_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL,
    who TEXT NOT NULL, role TEXT NOT NULL, party TEXT NOT NULL, request TEXT NOT NULL, hash TEXT NOT NULL)""",
    """CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines
    BEGIN SELECT RAISE(ABORT, 'lines are never changed'); END""",
    """CREATE TRIGGER IF NOT EXISTS lines_remain BEFORE DELETE ON lines
    BEGIN SELECT RAISE(ABORT, 'lines are never removed'); END""",
)
after_creation(
    _ON_A_SERVER,
    "CREATE FUNCTION audit_lines_stay() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'lines are never changed and never removed'; END $$",
    "CREATE TRIGGER audit_lines_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_lines "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_lines_stay()",
)


class Line(msgspec.Struct, frozen=True):
    """One thing that somebody did."""

    number: int
    """From 1, without gaps."""
    at: int
    """µs UTC."""
    action: str
    """Such as `trace.read` or `key.revoke`."""
    subject: str
    """What it was done to: a code, a person's pseudonym, an account, a key."""
    reason: str
    who: str
    """Account name, key, or `operator` for the command line."""
    role: str
    party: str
    request: str
    """Id of the request, as the log has it."""
    hash: str
    """SM3 over the hash of the line before and all other fields of this one."""


class Verified(msgspec.Struct):
    """What a look through the whole record found."""

    lines: int
    head: str
    """Number and hash of the last line; kept elsewhere, it proves that all lines up to it are unchanged."""
    faults: list[str]
    """Each in words; empty where all is as it was written."""


class AuditBroken(Exception):  # noqa: N818  the reader's word for it
    """The record cannot be opened or written; the words say why. Then no personal data is opened either."""


class AuditRecord:
    """The record in its own file or in a database. A line is on disk before `append` returns.

    Threads and processes may share it, and write one chain.
    """

    def __init__(self, engine: sa.Engine, keep_head: Callable[[str], None] | None = None) -> None:
        self._engine = engine
        self._keep_head = keep_head
        self._table = _IN_A_FILE if engine.dialect.name == "sqlite" else _ON_A_SERVER
        self._one = threading.Lock()

    @classmethod
    def open(cls, path: Path | str | None, keep_head: Callable[[str], None] | None = None) -> Self:
        """Open or create the record in a file, or open that of a database which `Tables` has made; None: in memory.

        `keep_head` is told the head after each line of a file; a database keeps it with the line.

        Raises:
            AuditBroken: it cannot be opened.
        """
        engine = engine_at(path or IN_MEMORY)
        try:
            if path is None or not is_server(path):
                with engine.begin() as connection:
                    for statement in _FILE_SCHEMA:
                        connection.exec_driver_sql(statement)
        except sa.exc.SQLAlchemyError as error:
            engine.dispose()
            where = place_of(path or IN_MEMORY)
            raise AuditBroken(
                f"the audit record {where} cannot be opened: {_cause(error)}; see to the disk and its rights"
            ) from error
        return cls(engine, keep_head)

    def append(
        self,
        action: str,
        subject: str,
        reason: str = "",
        *,
        who: str = "operator",
        role: str = "operator",
        party: str = "",
        request: str = "",
    ) -> Line:
        """Record one thing, durably.

        Raises:
            AuditBroken: it could not be written; what was to be recorded must not happen.
        """
        fields = (time.time_ns() // 1000, action, subject, reason, who, role, party, request)
        with self._one:
            try:
                line = self._write(fields)
            except sa.exc.SQLAlchemyError as error:
                raise AuditBroken(
                    f"the audit record cannot be written: {_cause(error)}; see to the disk and its rights"
                ) from error
            if self._keep_head is not None:
                self._keep_head(head_of(line))
        return line

    def _write(self, fields: tuple[int, str, str, str, str, str, str, str]) -> Line:
        table = self._table
        with self._engine.begin() as connection:
            self._alone(connection)
            last = connection.execute(sa.select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1))
            number, before = last.first() or (0, "")
            line = Line(number + 1, *fields, hash="")
            line = msgspec.structs.replace(line, hash=chained(before, line))
            self._add(connection, [line])
        return line

    def _alone(self, connection: sa.Connection) -> None:
        """Nobody else adds a line before the end of the transaction."""
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAINING)))

    def _add(self, connection: sa.Connection, lines: list[Line]) -> None:
        """Lines as they are; in a database with the head, which is of the same moment then."""
        connection.execute(self._table.insert(), [msgspec.structs.asdict(line) for line in lines])
        if connection.dialect.name != "sqlite":
            keep_value(connection, HEAD, head_of(lines[-1]))

    def lines(self, after: int = 0) -> Iterator[Line]:
        """All lines after a number, in order."""
        number = self._table.c.number
        while page := self._page(self._table.select().where(number > after).order_by(number).limit(PAGE)):
            yield from page
            after = page[-1].number

    def find(
        self,
        *,
        text: str = "",
        action: str = "",
        since: int = 0,
        until: int = 1 << 62,
        before: int = 1 << 62,
        limit: int = 50,
    ) -> list[Line]:
        """Lines from the latest back, before a number; of `text` those whose who, subject, reason or party holds it."""
        table = self._table.c
        query = self._table.select().where(table.number < before, table.at.between(since, until))
        query = query.where(table.action.icontains(action, autoescape=True))
        if text:
            columns = (table.who, table.subject, table.reason, table.party)
            query = query.where(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
        return self._page(query.order_by(table.number.desc()).limit(limit))

    def verify(self, *heads: str) -> Verified:
        """Look through all lines; `heads` (`<number> <hash>`) were noted earlier and must still be there."""
        known = dict(head.split(" ", 1) for head in heads if " " in head)
        number, before, faults = 0, "", list[str]()
        for line in self.lines():
            if line.number != number + 1:
                faults.append(f"lines {number + 1} to {line.number - 1} are missing")
            if line.hash != chained(before, line):
                faults.append(f"line {line.number} is not as it was written, or what stood before it was taken out")
            noted = known.pop(str(line.number), line.hash)
            if noted != line.hash:
                faults.append(f"line {line.number} is not the one that was noted as the head")
            number, before = line.number, line.hash
        faults += [
            f"line {one}, noted as the head, is missing: the record was cut off" for one in known if int(one or 0) > 0
        ]
        return Verified(number, f"{number} {before}" if number else "", faults)

    def restore(self, lines: list[Line]) -> None:
        """Take in the lines of another node's record, into an empty one, as they are."""
        if not lines:
            return
        with self._one:
            with self._engine.begin() as connection:
                self._alone(connection)
                self._add(connection, lines)
            if self._keep_head is not None:
                self._keep_head(head_of(lines[-1]))

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._engine.dispose()

    def _page(self, query: sa.Select[Any]) -> list[Line]:
        with self._engine.connect() as connection:
            return [Line(*row) for row in connection.execute(query)]


def _cause(error: sa.exc.SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())


def head_of(line: Line) -> str:
    """The head of a record whose last line this is: number and hash."""
    return f"{line.number} {line.hash}"


def chained(before: str, line: Line) -> str:
    """The hash that belongs to a line after the hash of the one before."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(before.encode())
    digest.update(msgspec.json.encode(msgspec.structs.astuple(line)[:-1]))
    return digest.finalize().hex()
