"""Moving: a node goes on in another folder, or in a database, and the place that it left is closed for good."""

import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from suyuan.carry import RECENT_MAX, FolderRefused, Manifest, manifest_of
from suyuan.carry.backup import Step
from suyuan.carry.lakes import carry_lake, check_lake
from suyuan.carry.restore import PAGE, Batch, append_page, pages
from suyuan.node import (
    JOURNAL,
    MOVED,
    MOVING,
    SECRETS,
    Node,
    check_folder,
    is_node,
    kept_at,
    place_secrets,
    secrets_mark,
)
from suyuan.settings import FILE, settings_written, toml_of
from suyuan.storage.folder import TAG
from suyuan.storage.inbox import FOLDER as INBOX
from suyuan.storage.inbox import is_served, waiting_in
from suyuan.storage.packed import unpacked_batch
from suyuan.storage.quarantine import FILE as QUARANTINE
from suyuan.storage.webhooks import Webhooks
from suyuan.views.apart import StoredFeed

WEBHOOKS = "webhooks.sqlite"
KEPT_VALUES = ("citizen_checks",)
"""Single values of the tables that are of the node and not of its place."""


class Moved(msgspec.Struct, kw_only=True):
    """What went, as the new place was measured, equal to the old one."""

    manifest: Manifest
    found: int
    """Batches that an earlier run, which was cut off, had brought already."""
    webhooks: int


def move_node(source: Path, goal: Path, *, database: str = "", step: Step = lambda _: None) -> Moved:
    """Carry the node in `source` to the empty folder `goal`, its journal and tables into `database` if that is named.

    Cut off at any point, it is run again: it goes on where it was, and both places stay shut until it is done. Both
    are measured in the end, by the counts and hashes of an export; then the old one says where the node went.

    Raises:
        FolderRefused: the goal holds something else, uploads are laid aside in the source or a server may do so, or
            the two places differ in the end.
        NodeUnusable: the source is no node, is in use, or went elsewhere.
    """
    _check_places(source, goal)
    _check_inbox(source, goal)
    with Node.open(source, half_made=True) as old:
        _prepare(old, goal, database)
        with Node.open(goal, half_made=True) as new:
            if secrets_mark(new.privacy) != secrets_mark(old.privacy):
                raise FolderRefused(f"{goal} has other secrets than {source}: name an empty folder")
            found, skip, position = _already(old, new)
            position = _copy(old, new, position, step, skip)
            words = f"it goes on in {goal.resolve()}"
            close = getattr(old.journal, "close_for_writing", None)
            if close is not None:  # others may write to a database until here
                close(f"This node is being moved: {words}. Nothing more is taken here.")
                _copy(old, new, position, step)
            webhooks = _copy_tables(old, new)
            manifest = manifest_of(new)
            if manifest != manifest_of(old):
                raise FolderRefused(f"what came to {goal} is not what is in {source}: delete {goal} and move again")
            if carry_lake(old.folder, new):
                check_lake(new)
        _check_inbox(source, goal)  # a server that was begun meanwhile may have laid something aside
        _mark(source / MOVED, f"{words}. Use that folder; this one only proves where it went.\n")
        _unmark(goal / MOVING)
    return Moved(manifest=manifest, found=found, webhooks=webhooks)


def give_up(source: Path, goal: Path) -> None:
    """Open the source for writing again, after a move that is not to be finished; the goal stays shut.

    Raises:
        FolderRefused: the move was finished.
    """
    if not (goal / MOVING).exists():
        raise FolderRefused(f"no move into {goal} is under way: a node that has moved is moved back, not given up")
    _unmark(source / MOVED)
    with Node.open(source) as node:
        reopen = getattr(node.journal, "reopen_for_writing", None)
        if reopen is not None:
            reopen()


def _check_places(source: Path, goal: Path) -> None:
    if not is_node(source):
        raise FolderRefused(f"there is no node in {source}: name its folder with --dir")
    under_way = (goal / MOVING).exists()
    if not under_way:
        check_folder(source)  # one that has moved says so
        if is_node(goal):
            raise FolderRefused(f"{goal} holds a node already: name an empty or new folder")
        check_folder(goal)
    elif (goal / MOVING).read_text().strip() != str(source.resolve()):
        raise FolderRefused(f"a move into {goal} from {(goal / MOVING).read_text().strip()} is under way: finish that")


def _check_inbox(source: Path, goal: Path) -> None:
    """See that nothing acknowledged stays behind: what is laid aside is in the folder alone."""
    if is_served(source):
        raise FolderRefused(f"a server of {source} is running, and may lay uploads aside there: stop it and move again")
    if waiting := waiting_in(source):
        undo = f" (after `suyuan move {goal} --give-up --dir {source}`)" if (goal / MOVING).exists() else ""
        raise FolderRefused(
            f"{waiting} uploads are laid aside in {source / INBOX}: acknowledged, not recorded yet, and not moved with "
            f"the rest. Start the server of {source}{undo}, which records them; where `suyuan relay status` or `suyuan "
            "defer` says why they have to wait, see to that first. Then stop it and move again"
        )


def _prepare(old: Node, goal: Path, database: str) -> None:
    """The folder with a mark that keeps it shut, the secrets and the settings; what stands there already stays."""
    goal.mkdir(parents=True, exist_ok=True)
    if not (goal / MOVING).exists():
        _mark(goal / MOVING, f"{old.folder.resolve()}\n")
    if (goal / JOURNAL).exists() and not (goal / JOURNAL / TAG).exists():
        shutil.rmtree(goal / JOURNAL)  # cut off while it was made: nothing is in it
    if not (goal / SECRETS).exists():
        place_secrets(goal, old.secrets_written())
    if not (goal / FILE).exists():
        settings = {name: value for name, value in settings_written(old.folder).items() if name != "database"}
        (goal / FILE).write_text(toml_of({**settings, **({"database": database} if database else {})}))
        (goal / FILE).chmod(0o600)


def _stored(node: Node, position: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Each batch from a position on; with the last one of a page the position after it, with the others none."""
    journal = node.journal
    assert isinstance(journal, StoredFeed), "a node in memory lives in no folder"
    while True:
        records, position = journal.stored_since(position, PAGE)
        for number, record in enumerate(records, 1):
            yield record, position if number == len(records) else b""
        if not records:
            return


def _already(old: Node, new: Node) -> tuple[int, int, bytes | None]:
    """How many batches are there, each seen to be the same; how many to skip after the position to go on from."""
    count, skip, position = 0, 0, None
    come = _stored(old, None)
    for record, _ in _stored(new, None):
        other, after = next(come, (b"", b""))
        if record != other:
            raise FolderRefused(f"{new.folder} does not go on as {old.folder} does: name an empty folder")
        count, skip = count + 1, skip + 1
        if after:
            skip, position = 0, after
    return count, skip, position


def _copy(old: Node, new: Node, position: bytes | None, step: Step, skip: int = 0) -> bytes | None:
    """All batches after a position, but for those that are there; answers the position after them."""
    reached = position
    recent: OrderedDict[str, None] = OrderedDict()

    def come() -> Iterator[Batch]:
        nonlocal reached
        for number, (record, after) in enumerate(_stored(old, position)):
            reached = after or reached
            if number < skip:
                continue
            events = unpacked_batch(record)
            quoted = dict.fromkeys(event.document for event in events if event.document)
            yield events, {name: sealed for name in quoted if (sealed := _document(old, name, recent)) is not None}

    for page in pages(come()):
        append_page(new.journal, page)
        step(sum(len(events) for events, _ in page))
    return reached


def _document(old: Node, name: str, recent: OrderedDict[str, None]) -> bytes | None:
    if name in recent:
        return None
    recent[name] = None
    if len(recent) > RECENT_MAX:
        recent.popitem(last=False)
    return old.journal.document(name)


def _copy_tables(old: Node, new: Node) -> int:
    """Catalogue, accounts, audit record, quarantine and webhooks; answers how many webhooks there are."""
    new.tables.save_catalogue(old.tables.load_catalogue())
    new.tables.import_accounts(old.tables.export_accounts())
    for name in KEPT_VALUES:
        value = old.tables.meta(name)
        if value is not None:
            new.tables.set_meta(name, value)
    have = int(new.audit.verify().head.partition(" ")[0] or 0)
    lines = list(old.audit.lines(have))
    if lines:
        new.audit.restore(lines)
    if old.quarantined()[0]:
        old.quarantine.copy_to(new.folder / QUARANTINE)
    return _copy_webhooks(old, new)


def _copy_webhooks(old: Node, new: Node) -> int:
    ours = Webhooks.open(kept_at(old.folder, old.settings, WEBHOOKS))
    theirs = Webhooks.open(kept_at(new.folder, new.settings, WEBHOOKS))
    try:
        held = {one.id for one in theirs.all()}
        for one in ours.all():
            if one.id not in held:
                theirs.add(one)
        return len(theirs.all())
    finally:
        ours.close()
        theirs.close()


def _mark(path: Path, text: str) -> None:
    """Write a mark, on disk when this returns."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync(path.parent)


def _unmark(path: Path) -> None:
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    entries = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)
