"""Backups: a folder that grows by one part a run, each whole or absent, verified by hashes before and after."""

import fcntl
import gzip
import hashlib
import io
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from suyuan import __version__
from suyuan.carry import FileRefused, FolderRefused
from suyuan.carry.lakes import CHECKPOINTS, LAKE, knows
from suyuan.catalogue.content import TABLES, Content
from suyuan.ledger.events import Event, encoder
from suyuan.node import Node, secrets_mark
from suyuan.settings import SECRET, settings_written
from suyuan.storage.audit import Line, head_of
from suyuan.storage.packed import batch_size, unpacked_batch
from suyuan.storage.quarantine import FILE as QUARANTINE
from suyuan.views.apart import StoredFeed

VERSION = 1
PAGE = 10_000
"""Events read at once; with the size of a message the bound on memory."""
MANIFEST = "manifest.json"
FEED, TABLES_FILE, AUDIT, SETTINGS, KEYS = "feed.gz", "tables.zip", "audit.jsonl.gz", "settings.json", "secrets.json"
OPTIONAL = {KEYS, QUARANTINE}
"""Files that a part may lack: secrets were not asked for, nothing was in quarantine."""
BATCH, DOCUMENT = b"B", b"D"
"""Frames of a feed: a batch as stored, and before the first batch that quotes it a sealed message with its hash."""
RECENT_MAX = 100_000
"""Messages remembered, so that each is written once; one quoted again much later is written twice, and kept once."""
LOOK_BACK_SECONDS = 5
"""An engine on which others write is followed until it gives only what came after the backup began."""
_HEAD = 5

Step = Callable[[int], None]
"""Told how many events more are done."""


class Part(msgspec.Struct, kw_only=True):
    """What one run added. Hashes are SHA-256; times are µs UTC."""

    version: int = VERSION
    number: int
    before: str
    """Hash of the manifest of the part before: a part that was exchanged or lost is noticed."""
    node: str
    made: int
    program: str
    secrets_mark: str
    """Pseudonyms and seals belong with secrets of this mark (`carry.Manifest`)."""
    begins: str
    """Position in the journal, hexadecimal; empty for its beginning."""
    ends: str
    batches_before: int
    batches: int
    events: int
    documents: int
    events_hash: str
    """Of the events of this part, each as encoded."""
    latest: int
    """The latest arrival of this and all earlier parts."""
    catalogue_hash: str
    catalogue_part: int
    """The part that holds the catalogue as it was at this one."""
    audit_head: str
    """Number and hash of the audit record's last line; empty where there is none."""
    files: dict[str, tuple[int, str]]
    """Size and hash of each file of the part."""

    @property
    def audit_lines(self) -> int:
        """Lines of the audit record up to here."""
        return int(self.audit_head.partition(" ")[0] or 0)


# Making one


def back_up(node: Node, folder: Path, *, secrets: bool = False, step: Step = lambda _: None) -> Part:
    """Add to the backup in `folder` all that it lacks of the node; a new or empty folder begins one.

    Tables first, then the audit record: the lines that the tables know of are in it.

    Raises:
        FolderRefused: the folder holds something else, a backup of another node or of another history, or is in use.
        FileRefused: what the folder holds already is damaged.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _owned(folder):
        parts = read_parts(folder)
        before = parts[-1] if parts else None
        if before is not None and before.secrets_mark != secrets_mark(node.privacy):
            raise FolderRefused(f"{folder} is the backup of another node: name a new folder")
        unfinished = folder / f".{_name(len(parts) + 1)}"
        shutil.rmtree(unfinished, ignore_errors=True)  # what a run that was cut off has left
        unfinished.mkdir(mode=0o700)
        part = _written(node, unfinished, before, folder, secrets=secrets, step=step)
        _sync_all(unfinished)
        unfinished.rename(folder / _name(part.number))
        _sync(folder)
    return part


def _written(node: Node, place: Path, before: Part | None, folder: Path, *, secrets: bool, step: Step) -> Part:
    number = before.number + 1 if before else 1
    tables, catalogue = _catalogue_of(node)
    fresh = before is None or before.catalogue_hash != catalogue
    _write_tables(node, place / TABLES_FILE, tables if fresh else {})
    head = _write_audit(node, place / AUDIT, before)
    (place / SETTINGS).write_bytes(msgspec.json.encode(_settings(node, secrets=secrets)))
    if secrets:
        (place / KEYS).write_bytes(node.secrets_written())
    if node.quarantined()[0]:
        node.quarantine.copy_to(place / QUARANTINE)
    lake = _write_lake(node, place, before)
    made = time.time_ns() // 1000
    feed = _write_feed(node, place / FEED, before, made, step)
    files = {**lake, **{one.name: measured(one) for one in sorted(place.iterdir()) if one.is_file()}}
    part = Part(
        number=number,
        before=_hash_of_manifest(folder, before),
        node=node.settings.name,
        made=made,
        program=__version__,
        secrets_mark=secrets_mark(node.privacy),
        begins=before.ends if before else "",
        ends=feed.position.hex(),
        batches_before=before.batches_before + before.batches if before else 0,
        batches=feed.batches,
        events=feed.events,
        documents=feed.documents,
        events_hash=feed.digest.hexdigest(),
        latest=max(feed.latest, before.latest if before else 0),
        catalogue_hash=catalogue,
        catalogue_part=number if fresh or before is None else before.catalogue_part,
        audit_head=head,
        files=files,
    )
    (place / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(part)))
    return part


class _Feed:
    """What was written of the feed so far."""

    def __init__(self, position: bytes | None) -> None:
        self.position = position or b""
        self.batches = self.events = self.documents = self.latest = 0
        self.digest = hashlib.sha256()
        self._recent: dict[str, None] = {}

    def new(self, digest: str) -> bool:
        """Whether a message was not written yet, as far as is remembered."""
        if not digest or digest in self._recent:
            return False
        self._recent[digest] = None
        if len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        return True


def _write_feed(node: Node, path: Path, before: Part | None, made: int, step: Step) -> _Feed:
    """The feed from where the part before ended to where the journal stands: at least all acknowledged by now."""
    journal = node.journal
    if not isinstance(journal, StoredFeed):
        raise FolderRefused("a node in memory cannot be backed up: export it, or use the engine rocks")
    position = bytes.fromhex(before.ends) if before else None
    feed = _Feed(position)
    with gzip.open(path, "wb", compresslevel=1) as out:
        while True:
            try:
                records, position = journal.stored_since(position, PAGE)
            except ValueError as error:
                raise FolderRefused(
                    f"{path.parent.parent} is the backup of another history of this node: it was restored since. "
                    "Keep that backup, and name a new folder for this one"
                ) from error
            feed.position = position
            if not records:
                return feed
            late = True
            for record in records:
                events = unpacked_batch(record)
                _write_batch(node, out, feed, record, events)
                late = late and min(event.arrived for event in events) > made + LOOK_BACK_SECONDS * 1_000_000
            step(sum(map(batch_size, records)))
            if late:
                return feed


def _write_batch(node: Node, out: gzip.GzipFile, feed: _Feed, record: bytes, events: Sequence[Event]) -> None:
    for event in events:
        feed.digest.update(encoder.encode(event))
        feed.latest = max(feed.latest, event.arrived)
        if feed.new(event.document):
            sealed = node.journal.document(event.document)
            if sealed is not None:
                name = event.document.encode()
                _put(out, DOCUMENT, bytes([len(name)]) + name + sealed)
                feed.documents += 1
    _put(out, BATCH, record)
    feed.batches += 1
    feed.events += len(events)


def _put(out: gzip.GzipFile, kind: bytes, content: bytes) -> None:
    out.write(kind + len(content).to_bytes(_HEAD - 1, "big") + content)


def _catalogue_of(node: Node) -> tuple[dict[str, bytes], str]:
    """The catalogue's rows by table, and their hash."""
    content = node.tables.load_catalogue()
    tables = {table.name: msgspec.json.encode(getattr(content, table.name)) for table in TABLES}
    return tables, hashlib.sha256(b"\n".join(tables.values())).hexdigest()


def _write_tables(node: Node, path: Path, tables: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("accounts.json", msgspec.json.encode(node.tables.export_accounts()))
        for name, data in tables.items():
            archive.writestr(f"catalogue/{name}.json", data)


def _write_audit(node: Node, path: Path, before: Part | None) -> str:
    """The lines that the part before lacks; answers the head."""
    head = before.audit_head if before else ""
    with gzip.open(path, "wb", compresslevel=1) as out:
        for line in node.audit.lines(before.audit_lines if before else 0):
            out.write(msgspec.json.encode(line) + b"\n")
            head = head_of(line)
    return head


def _settings(node: Node, *, secrets: bool) -> dict[str, object]:
    """What stands in the node's file of settings; never where its database is: a copy must not write there."""
    written = settings_written(node.folder)
    return {name: value for name, value in written.items() if name != "database" and (secrets or name not in SECRET)}


def _write_lake(node: Node, place: Path, before: Part | None) -> dict[str, tuple[int, str]]:
    """Files of the lake; those that an earlier part holds as they are, are only named.

    Its lists are read before its segments: what a list names is there.
    """
    held = {name: one for name, one in (before.files if before else {}).items() if "/" in name}
    if not _lake_fits(node):
        return held
    found: dict[str, tuple[int, str]] = {}
    paths = [
        one
        for name in (CHECKPOINTS, LAKE)
        for one in (node.folder / name).rglob("*")
        if one.is_file() and not one.name.startswith(".") and one.suffix != ".part"
    ]
    for path in sorted(paths, key=lambda one: (one.suffix == ".parquet", one)):
        name = path.relative_to(node.folder).as_posix()
        goal = place / name
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, goal)
        except FileNotFoundError:  # it was merged into another meanwhile
            continue
        found[name] = measured(goal)
        if held.get(name) == found[name]:
            goal.unlink()
    return found


def _lake_fits(node: Node) -> bool:
    """Whether the lake has sealed nothing that came after the copy of the journal that is being backed up."""
    from suyuan.lake.manifest import read_manifest  # noqa: PLC0415  many nodes have no lake

    return not (node.folder / LAKE).is_dir() or knows(node.journal, read_manifest(node.folder / LAKE).position)


# Reading one


def read_parts(folder: Path) -> list[Part]:
    """The parts of a backup in order, each seen to follow the one before; empty for an empty or absent folder.

    Raises:
        FolderRefused: the folder holds something else.
        FileRefused: a part is missing, damaged, or of another version.
    """
    names = sorted(one.name for one in folder.iterdir() if one.name[0] != ".") if folder.is_dir() else []
    parts: list[Part] = []
    for number, name in enumerate(names, 1):
        if not name.startswith("part-") or not (folder / name / MANIFEST).is_file():
            raise FolderRefused(f"{folder} holds something else ({name}): name the folder of a backup, or a new one")
        try:
            part = msgspec.json.decode((folder / name / MANIFEST).read_bytes(), type=Part)
        except (OSError, msgspec.DecodeError) as error:
            raise FileRefused(f"{folder / name / MANIFEST} cannot be read: {error}; copy the backup again") from error
        if part.version != VERSION:
            raise FileRefused(f"{folder / name} is of version {part.version}, this program reads {VERSION}")
        expected = _hash_of_manifest(folder, parts[-1] if parts else None)
        if name != _name(number) or part.number != number or part.before != expected:
            raise FileRefused(f"{folder / name} does not follow the part before it: a part is missing or was altered")
        _check_names(folder / name, part, parts[-1].files if parts else {})
        parts.append(part)
    return parts


def _check_names(place: Path, part: Part, before: Mapping[str, object]) -> None:
    """A part names its own files and those of a lake, and nothing that could lie elsewhere.

    Each names all files of a lake: what the part `before` named is not looked at again.

    Raises:
        FileRefused: it names something else, or less than every part has.
    """
    own = {FEED, TABLES_FILE, AUDIT, SETTINGS, *OPTIONAL}
    for name in sorted(part.files.keys() - before.keys()):
        pieces = name.split("/")
        inside = name in own or (pieces[0] in {LAKE, CHECKPOINTS} and len(pieces) > 1)
        if not inside or any(one in {"", ".", ".."} or "\0" in one for one in pieces):
            raise FileRefused(
                f"{place / MANIFEST} names {name!r}, which no backup holds: it was not made by suyuan backup"
            )
    for path in (place, *place.rglob("*")):
        if path.is_symlink():
            raise FileRefused(f"{path} is a link: copy the backup again, with what it links to")
    missing = sorted(own - OPTIONAL - part.files.keys())
    if missing or not 1 <= part.catalogue_part <= part.number:
        raise FileRefused(
            f"{place / MANIFEST} does not name {missing or 'a part with the catalogue'}: copy the backup again"
        )


def verify_parts(folder: Path, parts: Sequence[Part]) -> None:
    """See that every file of these parts is as it was written.

    Raises:
        FileRefused: one is missing or was altered; the words name it.
    """
    for part in parts:
        for name, said in part.files.items():
            path = place_of(folder, parts, part, name)
            if path is None or measured(path) != said:
                where = path or folder / _name(part.number) / name
                raise FileRefused(f"{where} is missing, or not as it was written: copy the backup again")


def place_of(folder: Path, parts: Sequence[Part], part: Part, name: str) -> Path | None:
    """Where a file of a part lies: with it, or, of the lake, with the earlier part that had it last."""
    for number in range(part.number, 0, -1):
        path = folder / _name(number) / name
        if path.is_file():
            return path
        if "/" not in name or parts[number - 1].files.get(name) != part.files[name]:
            return None
    return None


def batches_of(folder: Path, part: Part) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """Each batch of a part with the sealed messages that come with it.

    Raises:
        FileRefused: the feed is cut off.
    """
    documents: dict[str, bytes] = {}
    with gzip.open(folder / _name(part.number) / FEED) as source:
        while head := source.read(_HEAD):
            content = source.read(int.from_bytes(head[1:], "big"))
            if head[:1] == BATCH:
                yield content, documents
                documents = {}
            else:
                documents[content[1 : 1 + content[0]].decode()] = content[1 + content[0] :]


def catalogue_of(folder: Path, part: Part) -> Content:
    """The catalogue as it was at a part, row for row: nothing is judged anew."""
    with zipfile.ZipFile(folder / _name(part.catalogue_part) / TABLES_FILE) as archive:
        held = archive.namelist()
        rows = {
            table.name: msgspec.json.decode(archive.read(f"catalogue/{table.name}.json"), type=list[table.row])  # type: ignore[name-defined]
            for table in TABLES
            if f"catalogue/{table.name}.json" in held
        }
    return Content(**rows)


def file_of(folder: Path, part: Part, name: str, entry: str = "") -> bytes | None:
    """The bytes of a file of a part, or of an entry of it; None where it has none."""
    path = folder / _name(part.number) / name
    if not path.is_file():
        return None
    if not entry:
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(entry)


def audit_of(folder: Path, parts: Sequence[Part]) -> Iterator[Line]:
    """The audit record up to the last of these parts."""
    for part in parts:
        with gzip.open(folder / _name(part.number) / AUDIT) as source:
            for text in io.BufferedReader(source):
                yield msgspec.json.decode(text, type=Line)


def measured(path: Path) -> tuple[int, str]:
    """Size and hash of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _name(number: int) -> str:
    return f"part-{number:06}"


def _hash_of_manifest(folder: Path, part: Part | None) -> str:
    return measured(folder / _name(part.number) / MANIFEST)[1] if part else ""


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """One backup at a time into a folder."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FolderRefused(f"another backup into {folder} is under way: wait for it") from error
    finally:
        os.close(lock)


def _sync_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    entry = os.open(path, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
