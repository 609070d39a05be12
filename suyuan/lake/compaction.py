"""Compaction and retention: small files become few, old ones go; segments, leaf hashes and the chain stay for ever."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from suyuan.lake import manifest as kept
from suyuan.lake.manifest import EventFile, Manifest
from suyuan.lake.query import MEMORY_MB, connected, quoted
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.schema import SCHEMA
from suyuan.lake.segment import ROW_GROUP, file_hash, sync

FILE_EVENTS = 1 << 22
"""A file is merged with its neighbours up to so many events: about 100 MB."""
DAY = 86_400_000_000
_CHINA = timezone(timedelta(hours=8))


class Changed(NamedTuple):
    """What compaction or retention did."""

    files: int
    """That went."""
    made: int
    """New files in their place."""
    events: int
    """In the files that went."""
    size: int
    """Bytes that the lake grew less by."""


def compact(
    folder: Path, *, file_events: int = FILE_EVENTS, memory_mb: int = MEMORY_MB, threads: int = 0
) -> Changed | None:
    """Merge files that follow each other, of one month of arrival, into larger ones; None where another process works.

    Parquet files are merged, segments are not: their hashes, and every proof, stay what they are. Old files go once
    the new one is named in the manifest and nobody reads; who is interrupted has changed nothing. `threads` is how many
    processors may work at it, 0 for all.

    Raises:
        LakeRefusal: a file is damaged, or the new one could not be written.
    """
    with kept.changing(folder, wait=False) as alone:
        if not alone:
            return None
        manifest = kept.read_manifest(folder)
        kept.clean(folder, manifest)
        done = Changed(0, 0, 0, 0)
        for group in list(_groups(manifest.files, file_events)):
            try:
                merged = _merge(folder, group, memory_mb, threads)
            except (OSError, duckdb.Error) as error:
                raise LakeRefusal(
                    f"files of the lake in {folder} could not be merged: {error}. Nothing was changed by it; mend the "
                    "cause (often a full disk, or a damaged file: suyuan lake mend) and try again"
                ) from error
            manifest = _replaced(folder, manifest, group, [merged])
            saved = sum(file.size for file in group) - merged.size
            done = Changed(done.files + len(group), done.made + 1, done.events + merged.events, done.size + saved)
        kept.clean(folder, manifest)
        return done


def retain(folder: Path, days: int, now: int) -> Changed | None:
    """Drop files whose last event arrived more than so many days before `now` (µs UTC); None as for `compact`.

    The journal keeps every event. Segments and leaf hashes stay, so that what was proven stays provable.

    Raises:
        LakeRefusal: the manifest cannot be read or written.
        ValueError: no number of days.
    """
    if days < 1:
        raise ValueError("days must be at least 1")
    with kept.changing(folder, wait=False) as alone:
        if not alone:
            return None
        manifest = kept.read_manifest(folder)
        old = [file for file in manifest.files if file.arrived_last < now - days * DAY]
        if old:
            manifest = _replaced(folder, manifest, old, [])
        kept.clean(folder, manifest)
        return Changed(len(old), 0, sum(file.events for file in old), sum(file.size for file in old))


def _groups(files: Sequence[EventFile], file_events: int) -> Iterator[list[EventFile]]:
    """Runs of files to be merged; one of an older schema is written anew even alone."""
    group: list[EventFile] = []
    for file in files:
        if group and not _belongs(group, file, file_events):
            yield from _worthwhile(group)
            group = []
        group.append(file)
    yield from _worthwhile(group)


def _worthwhile(group: list[EventFile]) -> Iterator[list[EventFile]]:
    if len(group) > 1 or (group and group[0].schema < SCHEMA):
        yield group


def _belongs(group: list[EventFile], file: EventFile, file_events: int) -> bool:
    """Whether it follows them, with nothing dropped between, of their month, and the whole stays small enough."""
    return (
        group[-1].segments[1] + 1 == file.segments[0]
        and _month(group[-1]) == _month(file)
        and sum(one.events for one in group) + file.events <= file_events
    )


def _month(file: EventFile) -> tuple[int, int]:
    arrived = datetime.fromtimestamp(file.arrived_last / 1e6, UTC).astimezone(_CHINA)
    return arrived.year, arrived.month


def _merge(folder: Path, group: list[EventFile], memory_mb: int, threads: int) -> EventFile:
    """One file of what several hold, sorted anew; it holds each of their events once, or nothing comes of it."""
    first, last = group[0].segments[0], group[-1].segments[1]
    name = f"{kept.EVENTS}/{first:08}-{last:08}.{SCHEMA}.parquet"
    unfinished = folder / (name + kept.UNFINISHED)
    events, begin = sum(file.events for file in group), group[0].first
    with connected(folder, [folder / file.name for file in group], memory_mb=memory_mb) as connection:
        if threads:
            connection.execute(f"SET threads = {threads}")
        connection.execute(
            f"COPY (SELECT * FROM sealed ORDER BY key, feed) TO {quoted(unfinished)} "  # noqa: S608  our own names
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}, "
            f"KV_METADATA {{'suyuan.schema': '{SCHEMA}', 'suyuan.segment': '{first}'}})"
        )
        row = connection.execute(
            "SELECT count(*), count(DISTINCT feed), min(feed), max(feed) "  # noqa: S608  likewise
            f"FROM read_parquet({quoted(unfinished)})"
        ).fetchone()
    if row != (events, events, begin, begin + events - 1):
        raise LakeRefusal(
            f"what came of merging segments {first} to {last} of {folder} is not what they hold: {row}. Nothing was "
            "changed; look for the damaged file with: suyuan lake mend"
        )
    sync(unfinished)
    made = EventFile(
        name=name,
        segments=(first, last),
        first=begin,
        events=events,
        size=unfinished.stat().st_size,
        sha256=file_hash(unfinished),
        schema=SCHEMA,
        arrived_first=min(file.arrived_first for file in group),
        arrived_last=max(file.arrived_last for file in group),
    )
    kept.place(folder, unfinished, name)
    return made


def _replaced(folder: Path, manifest: Manifest, old: list[EventFile], new: list[EventFile]) -> Manifest:
    names = {file.name for file in old}
    files = sorted([*(file for file in manifest.files if file.name not in names), *new], key=lambda file: file.first)
    changed = msgspec.structs.replace(manifest, files=files)
    kept.write_manifest(folder, changed)
    return changed
