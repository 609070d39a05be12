"""A lake goes with its node: the same segments and checkpoints, with positions that the new journal knows."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from suyuan.carry import FileRefused
from suyuan.ledger.journal import Journal
from suyuan.node import Node
from suyuan.storage.packed import batch_size
from suyuan.views.apart import StoredFeed

LAKE = "lake"
CHECKPOINTS = "checkpoints"
"""What the node has signed of its lake: it goes where the lake goes."""
PAGE = 10_000


def carry_lake(folder: Path, node: Node) -> bool:
    """Copy the lake of another folder into the node's, which holds the same feed; false where there is none."""
    for name in (CHECKPOINTS, LAKE):
        source, goal = folder / name, node.folder / name
        if source.is_dir():
            shutil.rmtree(goal, ignore_errors=True)
            shutil.copytree(source, goal, ignore=shutil.ignore_patterns(".*", "*.part"))
    if not (folder / LAKE).is_dir():
        return False
    settle_lake(node)
    return True


def settle_lake(node: Node) -> None:
    """Give a lake that was brought here the positions of this journal, by the number of events up to each.

    Raises:
        FileRefused: it has sealed more than this journal holds.
    """
    from suyuan.lake.manifest import read_manifest, write_manifest  # noqa: PLC0415  most that is carried has no lake

    folder = node.folder / LAKE
    manifest = read_manifest(folder)
    if not manifest.segments or knows(node.journal, manifest.position):
        return
    ends = [segment.first + segment.events for segment in manifest.segments]
    places = _positions(node.journal, ends)
    manifest.segments = [
        msgspec.structs.replace(segment, after=place.hex())
        for segment, place in zip(manifest.segments, places, strict=True)
    ]
    write_manifest(folder, manifest)


def check_lake(node: Node) -> None:
    """See that journal, lake and checkpoints agree, event by event, where there is a lake.

    Raises:
        FileRefused: they do not; the words name what is not as it was sealed.
    """
    if not (node.folder / LAKE).is_dir():
        return
    node.reload_catalogue()
    found = node.verify_record().findings
    if found:
        raise FileRefused(f"the sealed record does not agree with the journal: {found[0].where}: {found[0].what}")


def knows(journal: Journal, position: bytes | None) -> bool:
    """Whether a position is one of this journal's."""
    try:
        journal.since(position, 1)
    except ValueError:
        return False
    return True


def _positions(journal: Journal, ends: Iterable[int]) -> list[bytes]:
    """The position after so many events, for each of these numbers in order."""
    assert isinstance(journal, StoredFeed), "every engine that lasts gives its feed as stored"
    places: list[bytes] = []
    count, position = 0, None
    for end in ends:
        while count < end:
            records, position = journal.stored_since(position, min(PAGE, end - count))
            count += sum(map(batch_size, records))
            if not records or count > end:
                raise FileRefused(f"the lake has sealed {end} events and the journal holds {count} there: leave it out")
        assert position is not None, "a segment holds something"
        places.append(position)
    return places
