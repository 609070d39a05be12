"""A connection to a SQLite file: readers beside one writer, and whoever finds it locked waits."""

import sqlite3
import time

WAIT_SECONDS = 10
"""How long somebody else may have the file locked."""
_PAUSE_SECONDS = 0.02


def prepare(connection: sqlite3.Connection, synchronous: str) -> None:
    """Make a new connection ready; `synchronous` is SQLite's word for how far a commit waits for the disk.

    Raises:
        sqlite3.OperationalError: somebody else keeps it locked, or it cannot be written.
    """
    connection.execute(f"PRAGMA busy_timeout={WAIT_SECONDS * 1000}")
    _write_ahead(connection)
    connection.execute(f"PRAGMA synchronous={synchronous}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let the file have a log of writes beside it.

    Whoever makes that change while somebody else makes it, or writes, is refused at once, for all his patience:
    SQLite lets nobody wait who reads already. So he asks again.
    """
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
