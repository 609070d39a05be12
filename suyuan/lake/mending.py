"""Finding damaged Parquet files of the lake, and making them again from the journal."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import polars as pl

from suyuan.lake import manifest as kept
from suyuan.lake.lake import PAGE, Lake, Source, events_name, file_of
from suyuan.lake.manifest import EventFile, Manifest, Sealed
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.segment import Made, SegmentMaker, Task
from suyuan.proof.tree import HASH


def damages(lake: Lake) -> list[tuple[EventFile, str]]:
    """Parquet files that are not as they were sealed, each with what is wrong; reads every byte.

    Raises:
        LakeRefusal: the manifest cannot be read.
    """
    found = [(file, kept.fault_of(lake.folder, file)) for file in lake.manifest().files]
    return [(file, words) for file, words in found if words]


def mend(lake: Lake, source: Source) -> list[EventFile]:
    """Make every damaged Parquet file again from the journal, one for each of its segments; answers the new ones.

    Raises:
        LakeRefusal: another process changes the lake, or the journal no longer says what was sealed.
    """
    with kept.changing(lake.folder, wait=False) as alone:
        if not alone:
            raise LakeRefusal("another process is changing the lake: try again when it is done")
        made = [one for file, _ in damages(lake) for one in _made_again(lake, source, file)]
        kept.clean(lake.folder, lake.manifest())
        return made


def _made_again(lake: Lake, source: Source, file: EventFile) -> list[EventFile]:
    """The new files of one damaged file, in its place."""
    manifest = lake.manifest()
    first, last = file.segments
    made = [_file_again(lake, source, manifest, segment) for segment in manifest.segments[first : last + 1]]
    for one in made:
        kept.place(lake.folder, lake.folder / (one.name + kept.UNFINISHED), one.name)
    files = [one for old in manifest.files for one in (made if old.name == file.name else [old])]
    kept.write_manifest(lake.folder, msgspec.structs.replace(manifest, files=files))
    return made


def _file_again(lake: Lake, source: Source, manifest: Manifest, segment: Sealed) -> EventFile:
    """The Parquet file of one segment from the journal, unfinished, if that still says what was sealed."""
    name = events_name(segment.number)
    sealed = _hashes(lake.leaves(segment.number))
    made, found = _made(lake.folder, source, manifest, segment, source.hidden())
    if found != sealed:
        # The catalogue may have changed since as to whose place is told: then each leaf is one of two.
        actors = pl.read_parquet(lake.folder / (name + kept.UNFINISHED), columns=["actor"])["actor"].unique()
        _, told = _made(lake.folder, source, manifest, segment, [])
        made, untold = _made(lake.folder, source, manifest, segment, actors)
        if len(told) != len(sealed) or any(leaf not in pair for leaf, *pair in zip(sealed, told, untold, strict=True)):
            raise LakeRefusal(
                f"the journal no longer says what was sealed in segment {segment.number}: nothing was made again; "
                "find out what was altered with: suyuan verify"
            )
    return file_of(segment.number, segment.first, made)


def _made(
    folder: Path, source: Source, manifest: Manifest, segment: Sealed, hidden: Iterable[str]
) -> tuple[Made, list[bytes]]:
    """A segment made of the journal as it is now, and its leaf hashes."""
    events = folder / (events_name(segment.number) + kept.UNFINISHED)
    leaves = folder / (segment.leaves + kept.UNFINISHED)
    position = bytes.fromhex(manifest.segments[segment.number - 1].after) if segment.number else None
    maker = SegmentMaker(Task(segment.number, segment.first, str(events), str(leaves), source.salt_key, sorted(hidden)))
    try:
        while maker.events < segment.events:
            batches, position = source.feed(position, min(PAGE, segment.events - maker.events))
            if not batches:
                break
            maker.take(batches)
        if not maker.events:
            raise LakeRefusal(f"the journal no longer has the events of segment {segment.number}")
        made = maker.finish()
    except (ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeRefusal(f"segment {segment.number} cannot be made again from the journal: {error}") from error
    found = _hashes(leaves.read_bytes())
    leaves.unlink()
    return made, found


def _hashes(leaves: bytes) -> list[bytes]:
    return [leaves[at : at + HASH] for at in range(0, len(leaves), HASH)]
