"""A node: one folder with journal, tables and secrets, wired into a desk; the only place that names an engine."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import Content
from suyuan.formats.document import Document, Outcome
from suyuan.intake import Desk, take, take_all, take_time
from suyuan.ledger.journal import Journal
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.privacy import Privacy
from suyuan.settings import Settings, read_settings
from suyuan.settlement.policy import PRESETS
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.rocks import MIB, RocksJournal
from suyuan.storage.tables import Tables

SECRETS = "secrets.json"


class NodeUnusable(Exception):  # noqa: N818  the reader's word for it
    """The node's folder cannot be opened; the words say why and what to do."""


class _Secrets(msgspec.Struct):
    person_key: bytes
    seal_key: bytes


def system_clock() -> int:
    """µs UTC now."""
    return time.time_ns() // 1000


class Node:
    """An open node. Close it, or use it as a context."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        journal: Journal,
        tables: Tables,
        privacy: Privacy,
        clock: Callable[[], int],
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.journal = journal
        self.tables = tables
        self.privacy = privacy
        self.ledger = Ledger(journal, clock)
        self.reload_catalogue()

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], int] = system_clock) -> Self:
        """Open the node in a folder, or make one there.

        Raises:
            NodeUnusable: the folder cannot be used (not writable, in use, of a newer version, secrets missing).
            SettingsWrong: its settings cannot be used.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NodeUnusable(
                f"the folder {folder} cannot be made: {error.strerror}; choose another with --dir"
            ) from error
        settings = read_settings(folder)
        privacy = _privacy(folder)
        journal = _journal(folder, settings)
        try:
            tables = Tables.open(folder / "tables.sqlite" if settings.engine != "memory" else ":memory:")
        except BaseException:
            journal.close()
            raise
        return cls(folder, settings, journal, tables, privacy, clock)

    def reload_catalogue(self) -> None:
        """Read the catalogue from the tables; uploads from now on are judged by it."""
        self.use_catalogue(self.tables.load_catalogue())

    def use_catalogue(self, content: Content) -> None:
        """Judge uploads from now on by this catalogue."""
        self.catalogue = Catalogue(content)
        self.desk = Desk(
            ledger=self.ledger,
            catalogue=self.catalogue,
            privacy=self.privacy,
            policy=PRESETS[self.settings.policy],
            accept_unknown=self.settings.accept_unknown,
            keep_documents=self.settings.keep_documents,
        )

    def take(self, document: Document, by: str = "") -> Outcome:
        """Take one document in (`intake.take`)."""
        return take(self.desk, document, by)

    def take_all(self, documents: Iterable[Document], by: str = "") -> Iterator[tuple[Document, Outcome]]:
        """Take documents in, one after the other (`intake.take_all`)."""
        return take_all(self.desk, documents, by)

    def take_time(self) -> int:
        """Write what has fallen due (`intake.take_time`); nothing in a rehearsal."""
        return 0 if self.ledger.rehearsing else take_time(self.desk)

    def rehearse(self, on: bool = True) -> None:  # noqa: FBT001, FBT002  reads as said
        """Judge and answer from now on without writing anything: each document stands alone against what is stored."""
        self.ledger.rehearsing = on

    def close(self) -> None:
        """Release the folder."""
        self.journal.close()
        self.tables.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _journal(folder: Path, settings: Settings) -> Journal:
    if settings.engine == "memory":
        return MemoryJournal()
    return RocksJournal(folder / "journal", block_cache_bytes=settings.block_cache_mb * MIB)


def _privacy(folder: Path) -> Privacy:
    """The node's secrets: made once, readable by its owner only. Lost secrets are never replaced in silence."""
    path = folder / SECRETS
    if path.exists():
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Secrets)
            return Privacy(kept.person_key, kept.seal_key)
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise NodeUnusable(f"{path} cannot be read: {error}; restore it from its backup") from error
    if (folder / "journal").exists():
        raise NodeUnusable(f"{path} is missing beside a journal: restore it, or pseudonyms would no longer match")
    keys = Privacy.new().keys()
    place_secrets(folder, b"".join(keys))
    return Privacy(*keys)


def place_secrets(folder: Path, keys: bytes) -> None:
    """Write a node's two secrets (32 and 16 bytes) into its folder, for its owner only; existing ones are never replaced.

    Raises:
        NodeUnusable: there are secrets already, or the folder cannot be written.
    """
    path = folder / SECRETS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(_Secrets(keys[:32], keys[32:])))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise NodeUnusable(f"{path} exists already: choose an empty folder with --dir") from error
    except OSError as error:
        raise NodeUnusable(f"{path} cannot be written: {error.strerror}; choose another folder with --dir") from error
