"""The audit record: who opened personal data or changed an account, as lines that cannot be altered unseen."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import msgspec
from cryptography.hazmat.primitives import hashes

FILE = "audit.sqlite"
HEAD = "audit_head"
"""Under this name the tables keep number and hash of the last line: lines lost at the end are missed by it."""
PAGE = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL,
    who TEXT NOT NULL, role TEXT NOT NULL, party TEXT NOT NULL, request TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines
    BEGIN SELECT RAISE(ABORT, 'lines are never changed'); END;
CREATE TRIGGER IF NOT EXISTS lines_remain BEFORE DELETE ON lines
    BEGIN SELECT RAISE(ABORT, 'lines are never removed'); END;
"""


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
    """The record in its own file. A line is on disk before `append` returns. Threads and processes may share it."""

    def __init__(self, path: Path | None, keep_head: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._keep_head = keep_head
        self._one = threading.Lock()
        try:
            self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=10)
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise AuditBroken(
                f"the audit record {path} cannot be opened: {error}; see to the disk and its rights"
            ) from error

    @classmethod
    def open(cls, path: Path | None, keep_head: Callable[[str], None] | None = None) -> Self:
        """Open or create the record in a file; None keeps it in memory. `keep_head` is told the head after each line.

        Raises:
            AuditBroken: it cannot be opened.
        """
        return cls(path, keep_head)

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
            except sqlite3.Error as error:
                raise AuditBroken(
                    f"the audit record cannot be written: {error}; see to the disk and its rights"
                ) from error
            if self._keep_head is not None:
                self._keep_head(head_of(line))
        return line

    def _write(self, fields: tuple[int, str, str, str, str, str, str, str]) -> Line:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            last = self._file.execute("SELECT number, hash FROM lines ORDER BY number DESC LIMIT 1").fetchone()
            number, before = last or (0, "")
            line = Line(number + 1, *fields, hash="")
            line = msgspec.structs.replace(line, hash=chained(before, line))
            self._file.execute("INSERT INTO lines VALUES (?,?,?,?,?,?,?,?,?,?)", msgspec.structs.astuple(line))
            self._file.execute("COMMIT")
        except sqlite3.Error:
            self._file.execute("ROLLBACK")
            raise
        return line

    def lines(self, after: int = 0) -> Iterator[Line]:
        """All lines after a number, in order."""
        while page := self._page("number > ? ORDER BY number", (after,), PAGE):
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
        like = f"%{text.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%"
        where = "number < ? AND at BETWEEN ? AND ? AND action LIKE ? ESCAPE '!'"
        values: list[object] = [
            before,
            since,
            until,
            f"{action.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%",
        ]
        if text:
            found = " OR ".join(f"{column} LIKE ? ESCAPE '!'" for column in ("who", "subject", "reason", "party"))
            where += f" AND ({found})"
            values += [like] * 4
        return self._page(f"{where} ORDER BY number DESC", values, limit)

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
        with self._one:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(
                "INSERT INTO lines VALUES (?,?,?,?,?,?,?,?,?,?)", map(msgspec.structs.astuple, lines)
            )
            self._file.execute("COMMIT")
            if lines and self._keep_head is not None:
                self._keep_head(head_of(lines[-1]))

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._file.close()

    def _page(self, where: str, values: object, limit: int) -> list[Line]:
        assert isinstance(values, (tuple, list)), "parameters of the statement"
        query = f"SELECT * FROM lines WHERE {where} LIMIT {limit:d}"  # noqa: S608  of our own words alone
        with self._one:
            return [Line(*row) for row in self._file.execute(query, values)]


def head_of(line: Line) -> str:
    """The head of a record whose last line this is: number and hash."""
    return f"{line.number} {line.hash}"


def chained(before: str, line: Line) -> str:
    """The hash that belongs to a line after the hash of the one before."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(before.encode())
    digest.update(msgspec.json.encode(msgspec.structs.astuple(line)[:-1]))
    return digest.finalize().hex()
