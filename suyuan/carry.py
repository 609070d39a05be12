"""Carrying a whole node: facts, sealed messages, catalogue and accounts in one file, verified by counts and hashes."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.exchange import export_table, read_rows
from suyuan.ledger.events import Event, decoder, encoder
from suyuan.ledger.journal import Journal
from suyuan.node import Node
from suyuan.storage.tables import Accounts

VERSION = 1
PAGE = 10_000
MANIFEST = "manifest.json"


class CarryRefused(Exception):  # noqa: N818  the reader's word for it
    """A file that cannot be imported; the words say why and what to do."""


class Manifest(msgspec.Struct, kw_only=True):
    """What a file holds. Hashes are SHA-256 of the entries' bytes."""

    version: int = VERSION
    events: int
    documents: int
    events_hash: str
    documents_hash: str
    catalogue_hash: str
    accounts_hash: str
    secrets_mark: str
    """Hash of the node's secrets: pseudonyms of two nodes match only where it is the same."""


def export_node(node: Node, path: Path, *, secrets: bool = False, on_progress: Callable[[int], None] | None = None) -> Manifest:
    """Write everything a node holds into one file; `secrets` adds the keys of pseudonyms and seals."""
    unfinished = path.with_name(path.name + ".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        digests: set[str] = set()
        with archive.open("events", "w", force_zip64=True) as out:
            count, events_hash = _write_frames(out, _event_bytes(node.journal, digests, on_progress))
        with archive.open("documents", "w", force_zip64=True) as out:
            documents, documents_hash = _write_frames(out, _document_bytes(node.journal, digests))
        content = node.tables.load_catalogue()
        catalogue_hash = hashlib.sha256()
        for table in TABLES:
            data = export_table(content, table.name)
            catalogue_hash.update(data)
            archive.writestr(f"catalogue/{table.name}.csv", data)
        accounts = msgspec.json.encode(node.tables.export_accounts())
        archive.writestr("accounts.json", accounts)
        keys = b"".join(node.privacy.keys())
        if secrets:
            archive.writestr("secrets", keys)
        manifest = Manifest(
            events=count,
            documents=documents,
            events_hash=events_hash,
            documents_hash=documents_hash,
            catalogue_hash=catalogue_hash.hexdigest(),
            accounts_hash=hashlib.sha256(accounts).hexdigest(),
            secrets_mark=hashlib.sha256(keys).hexdigest()[:16],
        )
        archive.writestr(MANIFEST, msgspec.json.encode(manifest))
    unfinished.replace(path)
    return manifest


def secrets_in(path: Path) -> bytes | None:
    """The keys that a file carries, if any."""
    with _opened(path) as archive:
        return archive.read("secrets") if "secrets" in archive.namelist() else None


def import_node(node: Node, path: Path, on_progress: Callable[[int], None] | None = None) -> Manifest:
    """Fill an empty node from a file. Everything is verified before the first event is written.

    Raises:
        CarryRefused: the node is not empty, the file is damaged, or of another version.
    """
    if node.journal.since(None, 1)[0]:
        raise CarryRefused(f"{node.folder} already holds events: import into an empty folder")
    with _opened(path) as archive:
        manifest = _verified(archive, path)
        mark = hashlib.sha256(b"".join(node.privacy.keys())).hexdigest()[:16]
        if mark != manifest.secrets_mark:
            raise CarryRefused(
                f"{path} was made by a node with other secrets: its pseudonyms and seals would not match. Export with "
                "--with-secrets, or copy secrets.json of the first node into the empty folder before importing"
            )
        with archive.open("documents") as source:
            documents = {_name_of(frame): frame[32:] for frame in _read_frames(source)}
        with archive.open("events") as source:
            _append_all(node.journal, source, documents, on_progress)
        content = Content()
        for table in TABLES:
            reading = read_rows(table.name, archive.read(f"catalogue/{table.name}.csv"))
            setattr(content, table.name, [row for _, row in reading.rows])
        node.tables.save_catalogue(content)
        node.tables.import_accounts(msgspec.json.decode(archive.read("accounts.json"), type=Accounts))
    node.reload_catalogue()
    count, found = _write_frames(None, _event_bytes(node.journal, set(), None))
    if (count, found) != (manifest.events, manifest.events_hash):
        raise CarryRefused(f"after the import the journal holds {count} events with hash {found}: not those of {path}")
    return manifest


def _name_of(frame: bytes) -> str:
    """The hash under which a document frame is filed."""
    return frame[:32].decode()


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise CarryRefused(f"{path} is no export of a node, or was cut off: {error}") from error


def _verified(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
        if manifest.version != VERSION:
            raise CarryRefused(f"{path} is of version {manifest.version}, this program reads {VERSION}")
        for name, expected, kept in (
            ("events", manifest.events, manifest.events_hash),
            ("documents", manifest.documents, manifest.documents_hash),
        ):
            with archive.open(name) as source:
                count, found = _write_frames(None, _read_frames(source))
            if (count, found) != (expected, kept):
                raise CarryRefused(f"{path}: {name} were altered: {count} of {expected}, hash {found} instead of {kept}")
        catalogue_hash = hashlib.sha256()
        for table in TABLES:
            catalogue_hash.update(archive.read(f"catalogue/{table.name}.csv"))
        accounts_hash = hashlib.sha256(archive.read("accounts.json")).hexdigest()
    except (KeyError, zipfile.BadZipFile, msgspec.DecodeError, EOFError, OSError) as error:
        raise CarryRefused(f"{path} is damaged: {error}") from error
    if (catalogue_hash.hexdigest(), accounts_hash) != (manifest.catalogue_hash, manifest.accounts_hash):
        raise CarryRefused(f"{path}: catalogue or accounts were altered")
    return manifest


def _event_bytes(journal: Journal, digests: set[str], on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    position: bytes | None = None
    while True:
        events, position = journal.since(position, PAGE)
        if not events:
            return
        for event in events:
            if event.document:
                digests.add(event.document)
            yield encoder.encode(event)
        if on_progress is not None:
            on_progress(len(events))


def _document_bytes(journal: Journal, digests: set[str]) -> Iterator[bytes]:
    for digest in sorted(digests):
        sealed = journal.document(digest)
        if sealed is not None:
            yield digest.encode() + sealed


def _append_all(
    journal: Journal, source: IO[bytes], documents: dict[str, bytes], on_progress: Callable[[int], None] | None
) -> None:
    page: list[Event] = []
    for frame in _read_frames(source):
        page.append(decoder.decode(frame))
        if len(page) >= PAGE:
            _append(journal, page, documents, on_progress)
            page = []
    if page:
        _append(journal, page, documents, on_progress)


def _append(
    journal: Journal, page: list[Event], documents: dict[str, bytes], on_progress: Callable[[int], None] | None
) -> None:
    expected: dict[str, int] = {}
    for event in page:
        expected.setdefault(event.key, event.sequence - 1)
    carried = {event.document: documents[event.document] for event in page if event.document in documents}
    result = journal.append(page, expected, carried)
    if not isinstance(result, bytes):
        raise CarryRefused(f"the journal changed during the import ({result[0]}): import into an empty folder, alone")
    if on_progress is not None:
        on_progress(len(page))


def _write_frames(out: IO[bytes] | None, frames: Iterator[bytes]) -> tuple[int, str]:
    """Write frames (4 bytes of length, then the bytes), or only count them; answers their number and hash."""
    digest = hashlib.sha256()
    count = 0
    for frame in frames:
        head = len(frame).to_bytes(4, "big")
        digest.update(head)
        digest.update(frame)
        if out is not None:
            out.write(head + frame)
        count += 1
    return count, digest.hexdigest()


def _read_frames(source: IO[bytes]) -> Iterator[bytes]:
    while head := source.read(4):
        size = int.from_bytes(head, "big")
        frame = source.read(size)
        if len(head) < 4 or len(frame) < size:  # noqa: PLR2004  size of the head
            raise EOFError("a frame is cut off")
        yield frame
