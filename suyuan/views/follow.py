"""Following the feed: each batch of events goes into every view in one transaction with the cursor."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from suyuan.ledger.journal import Journal
from suyuan.ledger.keys import is_beside
from suyuan.storage import sqlite_file
from suyuan.views.view import View

PAGE = 5_000
"""Events a transaction; a reader of the tables waits for none of them."""

LOOK_EVERY = 0.2
"""Seconds after which the feed is looked at again where nobody said that something was written."""

WATCH_EVERY = 0.1
"""Seconds after which a process that does not write the views looks whether the one that does has."""

_METADATA = sa.MetaData()
_CURSORS = sa.Table(
    "cursors",
    _METADATA,
    sa.Column("view", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("position", sa.LargeBinary),
)


class Views:
    """The views of one node in a SQLite file beside the journal; one writer, any number of readers."""

    def __init__(self, path: Path | None, journal: Journal, views: Sequence[View]) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="suyuan-views-")) if path is None else None
        self._engine = _engine(path if self._scratch is None else self._scratch / "views.sqlite")
        self._journal = journal
        self._views = views
        self._listeners: list[Callable[[], None]] = []
        self._writing = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._ending = False
        self.failure = ""
        """Why the views stand still, in words; empty while they follow."""

    @classmethod
    def open(cls, path: Path | None, journal: Journal, views: Sequence[View]) -> Self:
        """Open the views in a file, or for None in one that goes with them; what is of another version begins again."""
        opened = cls(path, journal, views)
        with opened._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _METADATA.create_all(connection)
            for view in views:
                _prepare(connection, view, journal)
        return opened

    def catch_up(self, most: int | None = None) -> int:
        """Take in what the feed has and the views lack, at most about `most` events; answers how many events it was."""
        taken = 0
        while most is None or taken < most:
            with self._writing:
                count = self._next_page()
            if not count:
                break
            taken += count
            self._tell()
        return taken

    def _next_page(self) -> int:
        """One page for every view that stands where the furthest behind stands."""
        with self._engine.begin() as connection:
            # Alone from the first look at the cursors on: the keeper of a server that was killed may still be writing.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            cursors = {row.view: row.position for row in connection.execute(_CURSORS.select())}
            last: dict[bytes | None, list[View]] = {}
            for view in self._views:
                last.setdefault(cursors[view.name], []).append(view)
            count = 0
            for position, together in last.items():
                events, after = self._journal.since(position, PAGE)
                if not events:
                    continue
                count += len(events)
                own = [event for event in events if not is_beside(event.key)]
                for view in together:
                    view.apply(connection, own)
                    moved = _CURSORS.update().where(_CURSORS.c.view == view.name).values(position=after)
                    connection.execute(moved)
            return count

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one consistent state; nothing is to be written through it."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every page taken in, in the following thread; answers how to stop it."""
        self._listeners.append(callback)

        def stop() -> None:
            with suppress(ValueError):
                self._listeners.remove(callback)

        return stop

    def news(self) -> None:
        """Say that something was written: the follower looks at once. Safe to call often and from any thread."""
        self._news.set()

    def start(self) -> None:
        """Follow the feed in a thread of its own until `close`; of the processes that have the file open, one does."""
        self._end_thread()
        self._begin_thread(self._follow)

    def watch(self) -> None:
        """Call back, as `listen` says, when another process has taken a page in; until `start` or `close`."""
        self._begin_thread(self._watch)

    def _begin_thread(self, work: Callable[[], None]) -> None:
        self._ending = False
        self._thread = threading.Thread(target=work, name="views", daemon=True)
        self._thread.start()

    def _end_thread(self) -> None:
        self._ending = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        with self._engine.connect() as connection:
            seen = None
            while not self._ending:
                version = connection.exec_driver_sql("PRAGMA data_version").scalar()
                connection.rollback()
                if seen not in {None, version}:
                    self._tell()
                seen = version
                self._news.wait(WATCH_EVERY)
                self._news.clear()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _follow(self) -> None:
        while not self._ending:
            self._news.wait(LOOK_EVERY)
            self._news.clear()
            try:
                self.catch_up()
                self.failure = ""
            except Exception as error:  # noqa: BLE001  uploads go on whatever happens to a list; readiness shows it
                self.failure = f"{type(error).__name__}: {error}"
                self._news.wait(1)

    def close(self) -> None:
        """Stop following and release the file. Closing twice is harmless."""
        self._end_thread()
        self._engine.dispose()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _prepare(connection: sa.Connection, view: View, journal: Journal) -> None:
    """Make the tables of a view; of another version or beyond the journal's end they are made again from the start."""
    held = connection.execute(_CURSORS.select().where(_CURSORS.c.view == view.name)).first()
    if held is not None and held.version == view.version and _is_of(journal, held.position):
        return
    view.metadata.drop_all(connection)
    view.metadata.create_all(connection)
    connection.execute(_CURSORS.delete().where(_CURSORS.c.view == view.name))
    connection.execute(_CURSORS.insert().values(view=view.name, version=view.version, position=None))


def _is_of(journal: Journal, position: bytes | None) -> bool:
    """Whether the journal has come so far; one that was restored from a copy may not have."""
    try:
        journal.since(position, 1)
    except ValueError:
        return False
    return True


def _engine(path: Path | None) -> sa.Engine:
    # An error's words are told by /readyz and the log: they say what was asked, and not of which codes.
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
    """Commits do not wait for the disk: a lost one is taken in again."""
    sqlite_file.prepare(connection, "NORMAL")
