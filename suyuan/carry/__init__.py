"""Carrying a whole node: facts, sealed messages, catalogue and accounts in one file, verified by counts and hashes."""

import hashlib
import os
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO

import msgspec

from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.exchange import Reading, Report, export_table, read_rows, write_rejected
from suyuan.ledger.events import RECORD_VERSION, Event, decoder, encoder
from suyuan.ledger.journal import Journal
from suyuan.node import IMPORTING, SECRETS, Node, check_folder, first_keys, is_node, place_secrets, read_secrets
from suyuan.storage.audit import Line, chained, head_of
from suyuan.storage.tables import Accounts, Tables

VERSION = 1
PAGE = 10_000
"""Events in one append of an import."""
DOCUMENT_BYTES = 32 << 20
"""Sealed messages in one append of an import: with PAGE, the bound on memory."""
FRAME_BYTES_MAX = 256 << 20
"""No event or message comes near; a longer frame is damage, and must not fill the memory."""
RECENT_MAX = 100_000
"""Messages remembered while exporting, so that each is written once; one quoted again much later is written twice."""

MANIFEST = "manifest.json"
LEFT_OUT = "catalogue-left-out"
"""Folder in a new node with the rows of the catalogue that this program could not read."""
_HASH_SIZE = 64


class FileRefused(Exception):  # noqa: N818  the reader's word for it
    """A file that cannot be brought in; the words say why and what to do. Nothing was written."""


class FolderRefused(Exception):  # noqa: N818  the reader's word for it
    """A folder into which nothing can be brought; the words say why and what to do. Nothing was written."""


class Manifest(msgspec.Struct, kw_only=True):
    """What a file holds. Hashes are SHA-256 of the entries' bytes, unpacked."""

    version: int = VERSION
    events: int
    documents: int
    events_hash: str
    documents_hash: str
    catalogue_hash: str
    accounts_hash: str
    secrets_mark: str
    """Hash of the node's secrets: pseudonyms of two nodes match only where it is the same."""
    audit_head: str = ""
    """Number and hash of the last line of the audit record; empty where there is none."""


def export_node(node: Node, path: Path, *, secrets: bool = False) -> Manifest:
    """Write everything a node holds into one file, for its owner only; `secrets` adds the keys of pseudonyms and seals.

    The file is a zip archive with the entries `events` and `documents` (frames of 4 bytes of length and the bytes),
    `catalogue/<table>.csv`, `accounts.json`, `audit` (lines of JSON), `manifest.json`, and `secrets` if asked for. Its
    comment is the SHA-256 of all bytes before the comment. An older file of the name is replaced once this one is
    complete.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                manifest = _write_entries(node, archive, secrets=secrets)
                archive.comment = bytes(_HASH_SIZE)
            _sign(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def import_node(folder: Path, path: Path) -> Manifest:
    """Make a node in an empty folder from a file. All of it is verified before anything is written, and again after.

    Raises:
        FileRefused: the file is none of ours, damaged, altered or of another version.
        FolderRefused: the folder holds a node already, or the secrets that go with the file are not at hand.
        NodeUnusable: the folder holds something else, or cannot be written.
    """
    with _opened(path) as archive:
        manifest = _verified(archive, path)
        keys = archive.read("secrets") if "secrets" in archive.namelist() else b""
        _check_folder(folder, path, manifest, keys)
        folder.mkdir(parents=True, exist_ok=True)
        if keys:
            place_secrets(folder, keys)
        with Node.open(folder) as node:
            (folder / IMPORTING).touch()
            _fill(node, archive)
            node.reload_catalogue()
            found = manifest_of(node)
            expected = msgspec.structs.replace(manifest, accounts_hash=_hash(msgspec.json.encode(_accounts(archive))))
            if _leave_out(archive, folder):
                expected.catalogue_hash = _hash(*_files_of(_catalogue(archive)).values())
    if found != expected:
        raise FileRefused(f"what came of {path} is not what it holds: delete {folder} and report this")
    (folder / IMPORTING).unlink()
    return manifest


# Out


def _write_entries(node: Node, archive: zipfile.ZipFile, *, secrets: bool) -> Manifest:
    """Write all entries and, last, their manifest."""
    with archive.open("events", "w", force_zip64=True) as out:
        events = _measured(_event_frames(node.journal), out)
    with archive.open("documents", "w", force_zip64=True) as out:
        documents = _measured(_document_frames(node.journal), out)
    tables, accounts = _catalogue_files(node.tables), _accounts_file(node.tables)
    for name, data in tables.items():
        archive.writestr(name, data)
    archive.writestr("accounts.json", accounts)
    head = ""
    with archive.open("audit", "w", force_zip64=True) as out:
        for line in node.audit.lines():
            out.write(msgspec.json.encode(line) + b"\n")
            head = head_of(line)
    keys = b"".join(node.privacy.keys())
    if secrets:
        # Where no key was ever replaced, as files of the first release have it.
        replaced = len(node.publics) > 1 or node.privacy.seal_version != "1"
        archive.writestr("secrets", node.secrets_written() if replaced else keys + node.signer.seed)
    manifest = _manifest(events, documents, tables, accounts, keys=keys, audit_head=head)
    archive.writestr(MANIFEST, msgspec.json.encode(manifest))
    return manifest


def manifest_of(node: Node) -> Manifest:
    """What an export of the node as it is would say."""
    return _manifest(
        _measured(_event_frames(node.journal)),
        _measured(_document_frames(node.journal)),
        _catalogue_files(node.tables),
        _accounts_file(node.tables),
        keys=b"".join(node.privacy.keys()),
        audit_head=node.audit.verify().head,
    )


def _manifest(
    events: tuple[int, str],
    documents: tuple[int, str],
    tables: dict[str, bytes],
    accounts: bytes,
    *,
    keys: bytes,
    audit_head: str,
) -> Manifest:
    return Manifest(
        events=events[0],
        documents=documents[0],
        events_hash=events[1],
        documents_hash=documents[1],
        catalogue_hash=_hash(*tables.values()),
        accounts_hash=_hash(accounts),
        secrets_mark=_hash(keys)[:16],
        audit_head=audit_head,
    )


def _events(journal: Journal) -> Iterator[Event]:
    """The whole journal in order of arrival."""
    position: bytes | None = None
    while True:
        events, position = journal.since(position, PAGE)
        if not events:
            return
        yield from events


def _event_frames(journal: Journal) -> Iterator[bytes]:
    return map(encoder.encode, _events(journal))


def _document_frames(journal: Journal) -> Iterator[bytes]:
    """Sealed messages as hash and bytes, in the order in which events first quote them."""
    recent: OrderedDict[str, None] = OrderedDict()
    for event in _events(journal):
        digest = event.document
        if not digest or digest in recent:
            continue
        recent[digest] = None
        if len(recent) > RECENT_MAX:
            recent.popitem(last=False)
        sealed = journal.document(digest)
        if sealed is not None:
            name = digest.encode()
            yield bytes([len(name)]) + name + sealed


def _catalogue_files(tables: Tables) -> dict[str, bytes]:
    return _files_of(tables.load_catalogue())


def _files_of(content: Content) -> dict[str, bytes]:
    return {
        f"catalogue/{table.name}.csv": export_table(content, table.name)
        for table in TABLES
        if table.name not in _LATER or getattr(content, table.name)
    }


def _accounts_file(tables: Tables) -> bytes:
    return msgspec.json.encode(tables.export_accounts())


def _sign(file: IO[bytes]) -> None:
    """Put the hash of all other bytes in the place kept for it at the end: no byte can change unseen."""
    end = file.seek(0, os.SEEK_END) - _HASH_SIZE
    digest = _file_hash(file, end)
    file.seek(end)
    file.write(digest)


# In


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive in a file of which no byte has changed."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END) - _HASH_SIZE
            signed = end > 0 and _file_hash(file, end) == file.read(_HASH_SIZE)
        if signed:
            return zipfile.ZipFile(path)
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}; check the path and the permissions") from error
    except zipfile.BadZipFile as error:
        raise FileRefused(f"{path} is no export of a node: {error}") from error
    raise FileRefused(f"{path} is no export of a node, or was altered or cut off on the way: copy it again")


def _verified(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """The manifest, where the file keeps what it promises and this program can read all of it."""
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
        if manifest.version != VERSION:
            raise FileRefused(f"{path} is of version {manifest.version}, this program reads {VERSION}")
        with archive.open("events") as source:
            events = _measured(_readable(_frames(source)))
        with archive.open("documents") as source:
            documents = _measured(_frames(source))
        tables = {name: archive.read(name) for name in _catalogue_names(archive)}
        accounts = archive.read("accounts.json")
        _catalogue(archive)
        _accounts(archive)
        head = _chained_lines(archive)
    except (KeyError, ValueError, zipfile.BadZipFile, msgspec.DecodeError, EOFError, OSError) as error:
        raise FileRefused(f"{path} is damaged: {error}") from error
    found = _manifest(events, documents, tables, accounts, keys=b"", audit_head=head)
    if msgspec.structs.replace(found, secrets_mark=manifest.secrets_mark) != manifest:
        raise FileRefused(f"{path} does not hold what its manifest says: {events[0]} of {manifest.events} events")
    return manifest


def _readable(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of events, each read on the way; raises ValueError for one that this program cannot read."""
    for frame in frames:
        event = decoder.decode(frame)
        if event.version > RECORD_VERSION:
            raise ValueError(f"event {event.id} is of version {event.version}; export with the program of this version")
        yield frame


def _check_folder(folder: Path, path: Path, manifest: Manifest, keys: bytes) -> None:
    """The folder holds no node yet, and the secrets that go with the file are there or come with it."""
    if is_node(folder):
        raise FolderRefused(f"{folder} holds a node already: import into an empty folder")
    check_folder(folder)
    held = b"".join(read_secrets(folder).keys()) if (folder / SECRETS).exists() else b""
    if _hash(held or first_keys(keys))[:16] != manifest.secrets_mark:
        raise FolderRefused(
            f"{path} belongs with other secrets than are at hand: its pseudonyms and seals would not match. Export "
            f"with --with-secrets, or first copy {SECRETS} of the node it came from into {folder}"
        )


def _fill(node: Node, archive: zipfile.ZipFile) -> None:
    """Messages first, then the events that quote them, then the tables; never more than a page in memory."""
    with archive.open("documents") as source:
        for page in _pages(_frames(source)):
            node.journal.append([], {}, dict(map(_document, page)))
    with archive.open("events") as source:
        events = map(decoder.decode, _frames(source))
        while events_page := list(islice(events, PAGE)):
            _append(node.journal, events_page)
    node.tables.save_catalogue(_catalogue(archive))
    node.tables.import_accounts(_accounts(archive))
    for lines in _grouped(_audit_lines(archive)):
        node.audit.restore(lines)


def _append(journal: Journal, page: list[Event]) -> None:
    expected: dict[str, int] = {}
    reached: dict[str, int] = {}
    for event in page:
        expected.setdefault(event.key, event.sequence - 1)
        if reached.setdefault(event.key, event.sequence - 1) != event.sequence - 1:
            raise FileRefused(f"{event.key} has a gap before {event.sequence}; the file was not made by suyuan export")
        reached[event.key] = event.sequence
    stale = journal.append(page, expected)
    if not isinstance(stale, bytes):
        raise FileRefused(f"{stale[0]} has a gap; the file was not made by suyuan export")


def _catalogue(archive: zipfile.ZipFile) -> Content:
    """The catalogue in the file without the rows that cannot be read; raises ValueError where a table cannot be."""
    content = Content()
    for reading in _readings(archive):
        if reading.fatal:
            raise ValueError(f"catalogue/{reading.table}.csv: {reading.fatal}")
        setattr(content, reading.table, [row for _, row in reading.rows])
    return content


def _readings(archive: zipfile.ZipFile) -> Iterator[Reading]:
    held = _catalogue_names(archive)
    for table in TABLES:
        if f"catalogue/{table.name}.csv" in held:
            yield read_rows(table.name, archive.read(f"catalogue/{table.name}.csv"))


def _leave_out(archive: zipfile.ZipFile, folder: Path) -> list[Path]:
    """Rows of the catalogue that cannot be read, as files that can be mended and imported: no fact waits for them."""
    left: list[Path] = []
    for reading in _readings(archive):
        if reading.rejected:
            report = Report(reading.table, faults=reading.faults, headings=reading.headings, rejected=reading.rejected)
            path = folder / LEFT_OUT / f"{reading.table}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(write_rejected(report))
            left.append(path)
    return left


_LATER = frozenset({"leaflets"})
"""Tables that files of the first release do not have; they stand in a file only where they hold something."""


def _catalogue_names(archive: zipfile.ZipFile) -> list[str]:
    """Entries of the catalogue that the file must have, and those of later tables that it has."""
    names = {table.name: f"catalogue/{table.name}.csv" for table in TABLES}
    return [name for table, name in names.items() if table not in _LATER or name in archive.namelist()]


def _accounts(archive: zipfile.ZipFile) -> Accounts:
    """The accounts in the file, of this or an earlier schema."""
    return msgspec.json.decode(archive.read("accounts.json"), type=Accounts)


def _audit_lines(archive: zipfile.ZipFile) -> Iterator[Line]:
    """The lines of the audit record; none in a file from before there was one."""
    if "audit" in archive.namelist():
        with archive.open("audit") as source:
            for text in source:
                yield msgspec.json.decode(text, type=Line)


def _chained_lines(archive: zipfile.ZipFile) -> str:
    """The head of the audit record in the file; raises ValueError where its chain is broken."""
    number, before = 0, ""
    for line in _audit_lines(archive):
        if line.number != number + 1 or line.hash != chained(before, line):
            raise ValueError(f"line {line.number} of the audit record is not as it was written")
        number, before = line.number, line.hash
    return f"{number} {before}" if number else ""


def _grouped(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while group := list(islice(lines, PAGE)):
        yield group


# Frames


def _measured(frames: Iterable[bytes], out: IO[bytes] | None = None) -> tuple[int, str]:
    """Number and hash of frames (4 bytes of length, then the bytes), written to `out` on the way where it is given."""
    digest, count = hashlib.sha256(), 0
    for frame in frames:
        head = len(frame).to_bytes(4, "big")
        digest.update(head)
        digest.update(frame)
        if out is not None:
            out.write(head + frame)
        count += 1
    return count, digest.hexdigest()


def _frames(source: IO[bytes]) -> Iterator[bytes]:
    while head := source.read(4):
        size = int.from_bytes(head, "big")
        if size > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {size} bytes")
        frame = source.read(size)
        if len(head) + len(frame) < 4 + size:
            raise EOFError("a frame is cut off")
        yield frame


def _pages(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Frames in pages of about DOCUMENT_BYTES."""
    page: list[bytes] = []
    size = 0
    for frame in chain(frames, [b""]):
        if page and (size + len(frame) > DOCUMENT_BYTES or not frame):
            yield page
            page, size = [], 0
        if frame:
            page.append(frame)
            size += len(frame)


def _document(frame: bytes) -> tuple[str, bytes]:
    end = 1 + frame[0]
    return frame[1:end].decode(), frame[end:]


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _file_hash(file: IO[bytes], end: int) -> bytes:
    """Hexadecimal SHA-256 of a file's bytes up to `end`; leaves the file there."""
    file.seek(0)
    digest = hashlib.sha256()
    while left := end - file.tell():
        digest.update(file.read(min(left, 1 << 20)))
    return digest.hexdigest().encode()
