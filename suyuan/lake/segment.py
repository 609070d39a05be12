"""One segment: a run of the feed as sorted Parquet, and beside it the leaf hash of each event in the feed's order."""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from suyuan.lake.columns import SCHEMA, Columns, Frames, apart, unpacked
from suyuan.proof import leaf
from suyuan.proof.tree import root_of

SEGMENT_EVENTS = 1 << 18
"""A segment is closed once it has so many events: some ten megabytes of Parquet, some hundred of memory."""

CHUNK = 512
"""Events that are unpacked together: few enough for the processor's cache (twice as fast as 10,000)."""

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
    hashing: float = 0.0
    """Seconds of processor time that hashing took."""


class SegmentMaker:
    """Makes one segment of the batches that it is given, in the order of the feed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._hidden = frozenset(task.hidden)
        self._frames = Frames()
        self._leaves: list[bytes] = []
        self._waiting: list[bytes] = []
        self._count = 0
        self._hashing = _Clock()

    @property
    def events(self) -> int:
        """How many events it has been given."""
        return self._frames.count + self._count

    @property
    def leaf_seconds(self) -> float:
        """Processor time that hashing took so far."""
        return self._hashing.seconds

    def take(self, batches: Sequence[Batch]) -> None:
        """Take in the next batches."""
        for count, events in batches:
            self._waiting.append(events)
            self._count += count
            if self._count >= CHUNK:
                self._unpack()

    def finish(self) -> Made:
        """Write what was taken in, durably, and say what it is.

        Raises:
            OSError: it could not be written.
        """
        self._unpack()
        frame = self._frames.rows(self._task.first)
        path = Path(self._task.events_path)
        told = {"suyuan.schema": str(SCHEMA), "suyuan.segment": str(self._task.number)}
        frame.write_parquet(
            path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP, metadata=told
        )
        write_durably(Path(self._task.leaves_path), b"".join(self._leaves))
        sync(path)
        with self._hashing:
            root = root_of(self._leaves)
        arrived = frame["arrived"]
        earliest, latest = arrived.min(), arrived.max()
        assert isinstance(earliest, int), "a segment holds an event"
        assert isinstance(latest, int), "a segment holds an event"
        return Made(len(frame), root, earliest, latest, path.stat().st_size, file_hash(path), self._hashing.seconds)

    def _unpack(self) -> None:
        """Take in what waits, so many events at a time, however many one append stored."""
        if not self._count:
            return
        stored = apart(self._count, b"".join(self._waiting))
        self._waiting, self._count = [], 0
        for at in range(0, len(stored), CHUNK):
            few = stored[at : at + CHUNK]
            columns = unpacked(few)
            with self._hashing:
                self._leaves += leaf.leaf_hashes(
                    _told(columns), few, self._task.first + self._frames.count, self._task.salt_key, self._hidden
                )
            self._frames.add(len(few), columns)


class _Clock:
    """Adds up the processor time that this thread spends inside it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.thread_time() - self._begun


def _told(columns: Columns) -> leaf.Columns:
    names = ("kind", "key", "event_time", "arrived", "actor", "region")
    return leaf.Columns(*(columns[name] for name in names))


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
