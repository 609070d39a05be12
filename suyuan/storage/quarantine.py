"""The quarantine: messages on which our own code failed, kept sealed with the error until somebody looks."""

import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from suyuan.ledger.privacy import Privacy
from suyuan.storage import sqlite_file

FILE = "quarantine.sqlite"
TRACE_MAX = 20_000
"""Characters of an error's own words that are kept, from their end."""
MESSAGES_MAX = 10_000
BYTES_MAX = 256 << 20
"""Room for messages: a fault that thousands run into is found long before, and a disk is not filled by it."""
_USUAL = 64 << 10

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, by TEXT NOT NULL, door TEXT NOT NULL,
    step TEXT NOT NULL, message TEXT NOT NULL UNIQUE, error TEXT NOT NULL, trace TEXT NOT NULL, tries INTEGER NOT NULL,
    sealed BLOB NOT NULL, words BLOB NOT NULL
)
"""
_SHOWN = "number, at, by, door, step, message, error, trace, tries"


class QuarantineFull(Exception):  # noqa: N818  the reader's word for it
    """There is no room for one more message; nothing of it was kept, and no older one was dropped for it."""


class Kept(msgspec.Struct, frozen=True):
    """One message in quarantine. What it says, and what the error says of it, is sealed."""

    number: int
    at: int
    """When it came last, µs UTC."""
    by: str
    """The party that sent it."""
    door: str
    """Which reader it is for: `nhsa`, `epcis`, `table`, `table/<kind>`, `api/<shape>`, `document`."""
    step: str
    """`read` where our reader failed, `take` where the decision or its writing did."""
    message: str
    """Hash of its bytes, of whom it came and for which reader: sent again, it is the same entry."""
    error: str
    """The kind of error; its own words may quote the message."""
    trace: str
    """Where in the program it failed."""
    tries: int
    """How often it came or was tried again."""


class Opened(NamedTuple):
    """What is sealed of a message in quarantine."""

    content: bytes
    words: str
    """The error in its own words."""


class Quarantine:
    """The messages of one node. Threads and processes may share them; an entry is on disk before `keep` returns."""

    def __init__(self, path: Path | None, privacy: Privacy) -> None:
        self._privacy = privacy
        self._one = threading.Lock()
        self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        sqlite_file.prepare(self._file, "FULL")
        self._file.execute("PRAGMA secure_delete=ON")
        self._file.execute(_SCHEMA)
        self._seal_words()
        if path is not None:
            path.chmod(0o600)

    def keep(
        self, door: str, step: str, content: bytes, by: str, error: BaseException, *, acknowledged: bool = False
    ) -> int:
        """Keep a message with what failed on it; answers its number, the same where it has come before.

        What was `acknowledged` to its sender already is kept in any case.

        Raises:
            QuarantineFull: there is no room.
        """
        name, sealed = self._privacy.seal(content)
        own = f"{name}:{by}:{door}"
        told = "".join(traceback.format_exception(error))[-TRACE_MAX:]
        _, words = self._privacy.seal(told.encode(errors="backslashreplace"))  # it may quote half a character
        trace = "".join(traceback.format_tb(error.__traceback__))[-TRACE_MAX:]
        values = (time.time_ns() // 1000, by, door, step, own, type(error).__name__, trace, sealed, words)
        with self._one, self._alone():
            known = self._file.execute("SELECT 1 FROM messages WHERE message = ?", (own,)).fetchone()
            if not (known or acknowledged or self._has_room(len(sealed) + len(words) + len(trace.encode()))):
                raise QuarantineFull
            return int(
                self._file.execute(
                    "INSERT INTO messages (at, by, door, step, message, error, trace, tries, sealed, words) "
                    "VALUES (?,?,?,?,?,?,?,1,?,?) ON CONFLICT (message) DO UPDATE SET at=excluded.at, "
                    "error=excluded.error, trace=excluded.trace, words=excluded.words, tries=tries+1 RETURNING number",
                    values,
                ).fetchone()[0]
            )

    def all(self) -> list[Kept]:
        """Everything that is kept, the oldest first."""
        with self._one:
            return [Kept(*row) for row in self._file.execute(f"SELECT {_SHOWN} FROM messages ORDER BY number")]  # noqa: S608  our own words

    def one(self, number: int) -> tuple[Kept, Opened] | None:
        """One entry, opened; None where there is none.

        Raises:
            SealBroken: it was sealed with a key that is not here.
        """
        with self._one:
            query = f"SELECT {_SHOWN}, sealed, words FROM messages WHERE number = ?"  # noqa: S608  our own words
            row = self._file.execute(query, (number,)).fetchone()
        if row is None:
            return None
        *shown, sealed, words = row
        return Kept(*shown), Opened(self._privacy.unseal(sealed), self._privacy.unseal(words).decode())

    def drop(self, number: int) -> bool:
        """Forget one; whether there was one."""
        with self._one:
            return bool(self._file.execute("DELETE FROM messages WHERE number = ?", (number,)).rowcount)

    def count(self) -> int:
        """How many are kept."""
        with self._one:
            return int(self._file.execute("SELECT count(*) FROM messages").fetchone()[0])

    def full(self) -> bool:
        """Whether the next message of usual size would find no room."""
        with self._one:
            return not self._has_room(_USUAL)

    def copy_to(self, path: Path) -> None:
        """Write all of it, as of one moment, into a file of its own, which nobody has open; an older one goes."""
        path.unlink(missing_ok=True)
        with self._one:
            self._file.execute("VACUUM INTO ?", (str(path),))
        path.chmod(0o600)

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._file.close()

    def _has_room(self, size: int) -> bool:
        sizes = "length(sealed) + length(words) + length(CAST(trace AS BLOB))"
        query = f"SELECT count(*), coalesce(sum({sizes}), 0) FROM messages"  # noqa: S608  our own words
        count, held = self._file.execute(query).fetchone()
        return bool(count < MESSAGES_MAX and held + size <= BYTES_MAX)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction, alone among all processes."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            yield

    def _seal_words(self) -> None:
        """A file of before has what errors said in the clear."""
        if self._has_words():
            return
        with self._alone():
            if self._has_words():  # another process was quicker
                return
            self._file.execute("ALTER TABLE messages ADD COLUMN words BLOB NOT NULL DEFAULT x''")
            for number, error, trace in self._file.execute("SELECT number, error, trace FROM messages").fetchall():
                row = (error.partition(":")[0], self._privacy.seal(trace.encode())[1], number)
                self._file.execute("UPDATE messages SET error = ?, trace = '', words = ? WHERE number = ?", row)
        self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _has_words(self) -> bool:
        return any(row[1] == "words" for row in self._file.execute("PRAGMA table_info(messages)"))
