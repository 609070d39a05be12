"""Restoring: a new node from a backup, up to a moment or a batch, whole batches only, read again when it is done."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from suyuan.carry import FileRefused, FolderRefused
from suyuan.carry.backup import (
    KEYS,
    SETTINGS,
    TABLES_FILE,
    Part,
    Step,
    audit_of,
    batches_of,
    catalogue_of,
    file_of,
    place_of,
    read_parts,
    verify_parts,
)
from suyuan.carry.lakes import CHECKPOINTS, LAKE, check_lake, settle_lake
from suyuan.ledger.events import RECORD_VERSION, Event, encoder
from suyuan.ledger.journal import Journal
from suyuan.node import IMPORTING, SECRETS, Node, check_folder, is_node, secrets_mark
from suyuan.settings import FILE, Settings, toml_of
from suyuan.storage.audit import Line
from suyuan.storage.packed import unpacked_batch
from suyuan.storage.quarantine import FILE as QUARANTINE
from suyuan.storage.tables import Accounts

PAGE = 10_000
"""Events appended at once; with DOCUMENT_BYTES the bound on memory."""
DOCUMENT_BYTES = 32 << 20

Batch = tuple[list[Event], dict[str, bytes]]


@runtime_checkable
class KeepsBatches(Protocol):
    """A journal into which batches go as they were, several with one sync."""

    def append_each(self, batches: Sequence[tuple[Sequence[Event], Mapping[str, int], Mapping[str, bytes]]]) -> None:
        """Write batches one after the other."""
        ...


class Until(msgspec.Struct, frozen=True):
    """Where to stop: before the first batch that has something which arrived later, or after so many batches."""

    time: int = 0
    """µs UTC; 0 for no such end."""
    batches: int = -1
    """−1 for no such end."""

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.time and self.batches < 0


class Restored(msgspec.Struct, kw_only=True):
    """What came back."""

    events: int
    batches: int
    documents: int
    latest: int
    """Arrival of the latest fact, µs UTC."""
    parts: int
    """Parts of the backup that were read."""
    tables_made: int
    """When catalogue and accounts were as they are now, µs UTC: at the last backup before the end, or the first one."""
    audit_lines: int
    lake: bool
    """Whether the lake came back as it was; otherwise it is made again from the feed."""
    events_hash: str


def restore_node(
    folder: Path,
    backup: Path,
    *,
    until: Until = Until(),  # noqa: B008  frozen
    database: str = "",
    step: Step = lambda _: None,
) -> Restored:
    """Make a node in an empty folder from a backup. All of it is verified before anything is written.

    Raises:
        FileRefused: the backup is damaged, or does not reach so far.
        FolderRefused: the folder or the database holds a node, or the secrets that go with it are not at hand.
        NodeUnusable: the folder holds something else, or cannot be written.
    """
    parts = read_parts(backup)
    if not parts:
        raise FolderRefused(f"{backup} holds no backup")
    verify_parts(backup, parts)
    _check_until(backup, parts, until)
    tables = _tables_part(parts, until)
    _prepare_folder(folder, backup, parts[-1], database)
    with Node.open(folder) as node:
        if secrets_mark(node.privacy) != parts[-1].secrets_mark:
            raise FolderRefused(f"{backup} belongs with other secrets than stand in {folder / SECRETS}")
        if node.journal.since(None, 1)[0]:
            raise FolderRefused("the database holds a journal already: restore into an empty one")
        (folder / IMPORTING).touch()
        filled = _fill(node, backup, parts, until, step)
        node.tables.save_catalogue(catalogue_of(backup, tables))
        accounts = file_of(backup, tables, TABLES_FILE, "accounts.json") or b"{}"
        node.tables.import_accounts(msgspec.json.decode(accounts, type=Accounts))
        quarantined = file_of(backup, tables, QUARANTINE)
        if quarantined is not None:
            (folder / QUARANTINE).write_bytes(quarantined)  # not opened yet: nothing failed here
            (folder / QUARANTINE).chmod(0o600)
        lines = _restore_audit(node, audit_of(backup, parts), until)
        lake = _restore_lake(node, backup, parts, filled)
        _read_again(node, backup, parts, filled, step)
        if lake and until.everything:
            check_lake(node)
    (folder / IMPORTING).unlink()
    return Restored(
        events=filled.events,
        batches=filled.batches,
        documents=filled.documents,
        latest=filled.latest,
        parts=len(parts),
        tables_made=tables.made,
        audit_lines=lines,
        lake=lake,
        events_hash=filled.digest.hexdigest(),
    )


def _check_until(backup: Path, parts: Sequence[Part], until: Until) -> None:
    last = parts[-1]
    whole = last.batches_before + last.batches
    if until.batches > whole:
        raise FileRefused(f"{backup} holds {whole} batches: it does not reach to batch {until.batches}")


def _tables_part(parts: Sequence[Part], until: Until) -> Part:
    """The latest part whose tables are not from after the end; the first one where all are."""
    if until.everything:
        return parts[-1]
    fits = [
        part
        for part in parts
        if (not until.time or part.made <= until.time)
        and (until.batches < 0 or part.batches_before + part.batches <= until.batches)
    ]
    return fits[-1] if fits else parts[0]


def _prepare_folder(folder: Path, backup: Path, last: Part, database: str) -> None:
    if is_node(folder):
        raise FolderRefused(f"{folder} holds a node already: restore into an empty folder")
    check_folder(folder)
    keys = file_of(backup, last, KEYS)
    if keys is None and not (folder / SECRETS).exists():
        raise FolderRefused(
            f"{backup} was made without secrets: first copy {SECRETS} of the node it came from into {folder}"
        )
    settings = msgspec.json.decode(file_of(backup, last, SETTINGS) or b"{}", type=dict[str, object])
    strange = settings.keys() - (set(Settings.__struct_fields__) - {"database"})  # a copy never says where to write
    if strange:
        raise FileRefused(f"the settings of {backup} have {min(strange)!r}, which no backup holds")
    folder.mkdir(parents=True, exist_ok=True)
    if keys is not None and not (folder / SECRETS).exists():
        with os.fdopen(os.open(folder / SECRETS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(keys)
    if not (folder / FILE).exists():
        (folder / FILE).write_text(toml_of({**settings, **({"database": database} if database else {})}))
        (folder / FILE).chmod(0o600)


class _Filled:
    """What has come back so far."""

    def __init__(self) -> None:
        self.events = self.batches = self.documents = self.latest = 0
        self.digest = hashlib.sha256()

    def add(self, events: Sequence[Event], documents: Mapping[str, bytes]) -> None:
        self.events += len(events)
        self.batches += 1
        self.documents += len(documents)
        self.latest = max(self.latest, *(event.arrived for event in events))
        for event in events:
            self.digest.update(encoder.encode(event))


def _wanted(backup: Path, parts: Iterable[Part], until: Until) -> Iterator[Batch]:
    """Batches up to the end that was asked for."""
    left = until.batches
    for part in parts:
        for record, documents in batches_of(backup, part):
            if left == 0:
                return
            left -= 1
            events = unpacked_batch(record)
            if until.time and any(event.arrived > until.time for event in events):
                return
            yield events, documents


def _fill(node: Node, backup: Path, parts: Sequence[Part], until: Until, step: Step) -> _Filled:
    filled = _Filled()
    for page in pages(_wanted(backup, parts, until)):
        for events, documents in page:
            newer = next((event for event in events if event.version > RECORD_VERSION), None)
            if newer is not None:
                raise FileRefused(f"event {newer.id} is of version {newer.version}: restore with the newer program")
            filled.add(events, documents)
        append_page(node.journal, page)
        step(sum(len(events) for events, _ in page))
    return filled


def pages(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Batches in pages of bounded size."""
    page: list[Batch] = []
    events = size = 0
    for batch in batches:
        page.append(batch)
        events += len(batch[0])
        size += sum(map(len, batch[1].values()))
        if events >= PAGE or size >= DOCUMENT_BYTES:
            yield page
            page, events, size = [], 0, 0
    if page:
        yield page


def append_page(journal: Journal, page: Sequence[Batch]) -> None:
    """Append batches as they are where the engine can, and otherwise together.

    Raises:
        FileRefused: they do not follow what is there.
    """
    try:
        if isinstance(journal, KeepsBatches):
            journal.append_each([(events, _expected(events), documents) for events, documents in page])
            return
        together = [event for events, _ in page for event in events]
        documents = {digest: sealed for _, some in page for digest, sealed in some.items()}
        stale = journal.append(together, _expected(together), documents)
    except AssertionError as error:
        raise FileRefused(f"the feed has a gap: {error}") from error
    except ValueError as error:
        raise FileRefused(f"the feed does not follow what is there: {error}") from error
    if not isinstance(stale, bytes):
        raise FileRefused(f"the feed does not follow what is there: {stale[0]}")


def _expected(events: Iterable[Event]) -> dict[str, int]:
    expected: dict[str, int] = {}
    for event in events:
        expected.setdefault(event.key, event.sequence - 1)
    return expected


def _restore_audit(node: Node, lines: Iterator[Line], until: Until) -> int:
    """Lines up to the end that was asked for; the chain goes on from the last of them."""
    wanted = (line for line in lines if not until.time or line.at <= until.time)
    count = 0
    while group := list(islice(wanted, PAGE)):
        node.audit.restore(group)
        count += len(group)
    faults = node.audit.verify().faults
    if faults:
        raise FileRefused(f"the audit record of the backup is not as it was written: {faults[0]}")
    return count


def _restore_lake(node: Node, backup: Path, parts: Sequence[Part], filled: _Filled) -> bool:
    """The lake as it was at the last part that came back whole; what is missing of it is sealed anew."""
    for part in reversed(parts):
        if part.batches_before + part.batches <= filled.batches:
            break
    else:
        return False
    names = [name for name in part.files if name.startswith((f"{LAKE}/", f"{CHECKPOINTS}/"))]
    for name in names:
        source, goal = place_of(backup, parts, part, name), node.folder / name
        assert source is not None, "verified"
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, goal)
    if (node.folder / LAKE).is_dir():
        settle_lake(node)
    return bool(names)


def _whole(journal: Journal) -> Iterator[list[Event]]:
    """The whole feed, a page at a time."""
    events, position = journal.since(None, PAGE)
    while events:
        yield events
        events, position = journal.since(position, PAGE)


def _read_again(node: Node, backup: Path, parts: Sequence[Part], filled: _Filled, step: Step) -> None:
    """Read the whole new journal: as many events with the same hash, and every message.

    Raises:
        FileRefused: it is not what the backup holds.
    """
    found, digest = 0, hashlib.sha256()
    for events in _whole(node.journal):
        found += len(events)
        for event in events:
            digest.update(encoder.encode(event))
        step(len(events))
    same = (found, digest.digest()) == (filled.events, filled.digest.digest())
    if same and filled.batches == sum(part.batches for part in parts):
        same = filled.events == sum(part.events for part in parts)
    if not same:
        raise FileRefused(f"what came of {backup} is not what it holds: delete {node.folder} and report this")
    come = islice((documents for part in parts for _, documents in batches_of(backup, part)), filled.batches)
    lost = (name for documents in come for name, sealed in documents.items() if node.journal.document(name) != sealed)
    if (name := next(lost, None)) is not None:
        raise FileRefused(f"the message {name} did not come back: delete {node.folder} and report this")
