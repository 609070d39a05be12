"""One segment: a run of the feed as sorted Parquet, and beside it the leaf hash of each event in the feed's order."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from suyuan.lake.columns import Columns, root_of
from suyuan.lake.schema import SCHEMA

SEGMENT_EVENTS = 1 << 18
"""A segment is closed once it has so many events: some ten megabytes of Parquet, some hundred of memory."""

ROW_GROUP = 1 << 16
"""Rows of which Parquet keeps the least and greatest value: a key is found by reading one such group."""

ZSTD_LEVEL = 1

Batch = tuple[int, bytes]
"""Number of events, and their MessagePack one after the other."""


class Task(msgspec.Struct, array_like=True):
    """What is to be made."""

    number: int
    """Of the segment, from 0."""
    first: int
    """Number of its first event in the feed, from 0."""
    events_path: str
    leaves_path: str
    salt_key: bytes
    hidden: list[str]
    """Actors that a proof keeps to itself."""


class Made(msgspec.Struct, array_like=True):
    """What was made."""

    events: int
    root: bytes
    arrived_first: int
    """The earliest arrival, µs UTC."""
    arrived_last: int
    size: int
    """Bytes of the Parquet file."""
    sha256: str
    """Of the Parquet file."""


class SegmentMaker:
    """Makes one segment of the batches that it is given, in the order of the feed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._columns = Columns(task.first, task.salt_key, task.hidden)

    @property
    def events(self) -> int:
        """How many events it has been given."""
        return self._columns.count

    def take(self, batches: Sequence[Batch]) -> None:
        """Take in the next batches.

        Raises:
            LakeRefusal: something in them is not an event.
        """
        for count, events in batches:
            self._columns.take(count, events)

    def finish(self) -> Made:
        """Write what was taken in, durably, and say what it is.

        Raises:
            LakeRefusal: something in it is not an event.
            OSError: it could not be written.
        """
        frame, leaves = self._columns.rows(), self._columns.leaves
        path = Path(self._task.events_path)
        told = {"suyuan.schema": str(SCHEMA), "suyuan.segment": str(self._task.number)}
        frame.write_parquet(
            path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP, metadata=told
        )
        write_durably(Path(self._task.leaves_path), leaves)
        sync(path)
        arrived = frame["arrived"]
        earliest, latest = arrived.min(), arrived.max()
        assert isinstance(earliest, int), "a segment holds an event"
        assert isinstance(latest, int), "a segment holds an event"
        return Made(len(frame), root_of(leaves), earliest, latest, path.stat().st_size, file_hash(path))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file whole and see it to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """See a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
