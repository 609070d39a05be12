"""The quarantine: messages on which our own code failed, kept sealed with the error until somebody looks."""

import sqlite3
import threading
import time
import traceback
from pathlib import Path

import msgspec

from suyuan.ledger.privacy import Privacy

FILE = "quarantine.sqlite"
TRACE_MAX = 20_000
"""Characters of a traceback that are kept, from its end."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, by TEXT NOT NULL, door TEXT NOT NULL,
    step TEXT NOT NULL, message TEXT NOT NULL UNIQUE, error TEXT NOT NULL, trace TEXT NOT NULL, tries INTEGER NOT NULL,
    sealed BLOB NOT NULL
)
"""
_SHOWN = "number, at, by, door, step, message, error, trace, tries"


class Kept(msgspec.Struct, frozen=True):
    """One message in quarantine. What it says is sealed."""

    number: int
    at: int
    """When it came last, µs UTC."""
    by: str
    """The party that sent it."""
    door: str
    """Which reader it is for: `nhsa`, `epcis`, `api/<shape>`, `document`."""
    step: str
    """`read` where our reader failed, `take` where the decision or its writing did."""
    message: str
    """Hash of its bytes, of whom it came and for which reader: sent again, it is the same entry."""
    error: str
    trace: str
    tries: int
    """How often it came or was tried again."""


class Quarantine:
    """The messages of one node. Threads and processes may share them; an entry is on disk before `keep` returns."""

    def __init__(self, path: Path | None, privacy: Privacy) -> None:
        self._privacy = privacy
        self._one = threading.Lock()
        self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=10)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute(_SCHEMA)
        if path is not None:
            path.chmod(0o600)

    def keep(self, door: str, step: str, content: bytes, by: str, error: BaseException) -> int:
        """Keep a message with what failed on it; answers its number, the same where it has come before."""
        name, sealed = self._privacy.seal(content)
        words = f"{type(error).__name__}: {error}"[:500]
        trace = "".join(traceback.format_exception(error))[-TRACE_MAX:]
        values = (time.time_ns() // 1000, by, door, step, f"{name}:{by}:{door}", words, trace, sealed)
        with self._one:
            return int(
                self._file.execute(
                    "INSERT INTO messages (at, by, door, step, message, error, trace, tries, sealed) "
                    "VALUES (?,?,?,?,?,?,?,1,?) ON CONFLICT (message) DO UPDATE SET at=excluded.at, "
                    "error=excluded.error, trace=excluded.trace, tries=tries+1 RETURNING number",
                    values,
                ).fetchone()[0]
            )

    def all(self) -> list[Kept]:
        """Everything that is kept, the oldest first."""
        with self._one:
            return [Kept(*row) for row in self._file.execute(f"SELECT {_SHOWN} FROM messages ORDER BY number")]  # noqa: S608  our own words

    def one(self, number: int) -> tuple[Kept, bytes] | None:
        """One entry and its message; None where there is none.

        Raises:
            SealBroken: it was sealed with a key that is not here.
        """
        with self._one:
            query = f"SELECT {_SHOWN}, sealed FROM messages WHERE number = ?"  # noqa: S608  our own words
            row = self._file.execute(query, (number,)).fetchone()
        return None if row is None else (Kept(*row[:-1]), self._privacy.unseal(row[-1]))

    def drop(self, number: int) -> bool:
        """Forget one; whether there was one."""
        with self._one:
            return bool(self._file.execute("DELETE FROM messages WHERE number = ?", (number,)).rowcount)

    def count(self) -> int:
        """How many are kept."""
        with self._one:
            return int(self._file.execute("SELECT count(*) FROM messages").fetchone()[0])

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._file.close()
