"""The lake of a node: seals the journal's feed into segments, exactly once, and says what is sealed."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import polars as pl

from suyuan.lake import manifest as kept
from suyuan.lake.crew import Alone, Crew, MakingFailed, Workers
from suyuan.lake.manifest import EventFile, Manifest, Sealed
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.schema import SCHEMA
from suyuan.lake.segment import SEGMENT_EVENTS, Batch, Made, Task
from suyuan.proof.chain import BEGINNING
from suyuan.proof.tree import HASH

if TYPE_CHECKING:
    from suyuan.lake.query import Rows

PAGE = 8_192
"""Events that are read from the journal at once."""

FEW = 1 << 16
"""So many events one process seals itself: starting others takes as long."""

Say = Callable[[int], None]
"""Told now and then how many events are sealed."""


Page = tuple[list[Batch], bytes]
"""Batches, and the journal's position after them."""


class Feed(Protocol):
    """The journal's feed as sealing reads it."""

    def __call__(self, position: bytes | None, limit: int) -> Page:
        """Batches after a position, about `limit` events in all and at least one if any, and the position after them.

        Raises:
            ValueError: the position is none of this journal's.
        """
        ...


class Source(NamedTuple):
    """What sealing takes from a node."""

    feed: Feed
    salt_key: bytes
    """Secret from which the salts of proofs are made."""
    hidden: Callable[[], frozenset[str]]
    """Actors that a proof keeps to itself (`proof.leaf.hidden_places`)."""
    clock: Callable[[], int]
    """µs UTC now."""


class Lake:
    """The lake in a folder. Reading needs the folder alone; sealing needs a source.

    Any number of processes may use it at once: one of them changes it, the others read what was whole before.
    """

    def __init__(self, folder: Path, source: Source | None = None) -> None:
        self.folder = folder
        self._held = source

    @property
    def source(self) -> Source:
        """What sealing takes from the node."""
        assert self._held is not None, "who seals has a journal"
        return self._held

    def manifest(self) -> Manifest:
        """What is sealed now.

        Raises:
            LakeRefusal: the manifest cannot be read.
        """
        return kept.read_manifest(self.folder)

    def segments(self) -> list[Sealed]:
        """Every segment, in the order of the feed."""
        return self.manifest().segments

    def leaves(self, number: int) -> bytes:
        """The leaf hashes of a segment, 32 bytes each, in the order of the feed.

        Raises:
            LakeRefusal: they are missing or cut off, or there is no such segment.
        """
        segments = self.segments()
        if not 0 <= number < len(segments):
            raise LakeRefusal(f"there is no segment {number} in {self.folder}: {len(segments)} are sealed")
        segment = segments[number]
        path = self.folder / segment.leaves
        try:
            found = path.read_bytes()
        except OSError as error:
            raise LakeRefusal(f"segment {number}: {path} cannot be read: {error.strerror}") from error
        if len(found) != HASH * segment.events:
            raise LakeRefusal(f"segment {number} is damaged: {path} is not as long as its {segment.events} hashes")
        return found

    def feed_of(self, key: str, sequence: int) -> int | None:
        """Number in the feed, from 0, of one event; None where no file that is kept and readable has it."""
        if not self.segments():
            return None
        try:
            found = self.query("SELECT feed FROM sealed WHERE key = ? AND sequence = ?", [key, sequence]).rows
        except LakeRefusal:
            return None
        return found[0][0] if found else None

    def rows_of(self, first: int, count: int) -> list[dict[str, Any]]:
        """So many rows from this number in the feed on, in its order, with every column; those dropped are missing.

        Raises:
            LakeRefusal: a file is damaged.
        """
        sql = "SELECT * FROM sealed WHERE feed >= ? AND feed < ? ORDER BY feed"
        answer = self.query(sql, [first, first + count])
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def seal(
        self,
        *,
        workers: int | None = None,
        most: int | None = None,
        segment_events: int = SEGMENT_EVENTS,
        say: Say | None = None,
    ) -> int | None:
        """Seal what the journal has and the lake lacks; answers how many events, None where another process seals.

        Each segment is in the lake, whole, as soon as it is made: whoever is interrupted loses nothing, and the next
        one goes on after it. `workers` are processes beside this one; 0 for none, by default as many as there are
        processors where there is enough to do. With `most`, about so many events at once and no more.

        Raises:
            LakeRefusal: it could not be written, or the lake knows what the journal does not.
        """
        with ExitStack() as held:
            try:
                alone = held.enter_context(kept.changing(self.folder, wait=False))
                if not alone:
                    return None
                manifest = self.manifest()
                if not manifest.generation:
                    kept.write_manifest(self.folder, manifest)  # before any file: one without the other is damage
                kept.clean(self.folder, manifest)
                return _Sealing(self.folder, self.source, manifest, segment_events, say).run(workers, most)
            except (OSError, pl.exceptions.PolarsError, MakingFailed) as error:
                with suppress(OSError, LakeRefusal):  # it would only take room
                    kept.clean(self.folder, self.manifest())
                raise LakeRefusal(_stopped(self.folder, error)) from error

    def query(
        self, question: str, parameters: Sequence[object] | Mapping[str, object] = (), *, rows: int = 1_000_000
    ) -> "Rows":
        """Answer a question in SQL, or a kept one by its name (`query.ask`).

        Raises:
            QuestionRefused: it is not one SELECT, is wrong, or took too long.
            LakeRefusal: the lake cannot be read, or a file of it is damaged.
        """
        from suyuan.lake.query import ask  # noqa: PLC0415  who seals does not need DuckDB

        return ask(self.folder, question, parameters, rows=rows)


class _Sealing:
    """One run, alone in changing the lake."""

    def __init__(self, folder: Path, source: Source, manifest: Manifest, segment_events: int, say: Say | None) -> None:
        self._folder = folder
        self._source = source
        self._manifest = manifest
        self._segment_events = segment_events
        self._say = say
        self._hidden = sorted(source.hidden())
        self._mark = f".{token_hex(4)}{kept.UNFINISHED}"
        """Of this run's unfinished files: makers of a run that was killed may write theirs for a moment longer."""
        self._afters: dict[int, bytes] = {}
        """Number of a segment under way → the position after it."""

    def run(self, workers: int | None, most: int | None) -> int:
        before = self._manifest.events
        pages = self._pages(most)
        first, few = [], 0
        for page in pages:
            first.append(page)
            few += sum(count for count, _ in page[0])
            if few > FEW:
                break
        if workers is None:
            workers = 0 if few <= FEW else os.cpu_count() or 1
        if few:
            self._make(chain(first, pages), workers)
        return self._manifest.events - before

    def _pages(self, most: int | None) -> Iterator[Page]:
        position, read = self._manifest.position, 0
        limit = min(PAGE, self._segment_events)
        try:
            while most is None or read < most:
                batches, position = self._source.feed(position, limit)
                if not batches:
                    return
                read += sum(count for count, _ in batches)
                yield batches, position
        except ValueError as error:
            raise LakeRefusal(
                f"the lake in {self._folder} has sealed what the journal does not know: {error}. The journal was "
                "restored from an older copy, or is another one. Restore a newer copy; or, to give up what was lost, "
                f"move {self._folder} away, and the lake is made again from the journal, under new checkpoints"
            ) from error

    def _make(self, pages: Iterator[Page], workers: int) -> None:
        with ExitStack() as ending:
            crew: Crew = ending.enter_context(Workers(workers)) if workers else Alone()
            number, first, count, after = len(self._manifest.segments), self._manifest.events, 0, b""
            for batches, position in pages:
                if not count:
                    crew.begin(self._task(number, first))
                crew.take(batches)
                after = position
                count += sum(events for events, _ in batches)
                if count >= self._segment_events:
                    crew.end()
                    self._afters[number] = after
                    number, first, count = number + 1, first + count, 0
                    self._keep(crew, wait=False)
            if count:
                crew.end()
                self._afters[number] = after
            self._keep(crew, wait=True)

    def _task(self, number: int, first: int) -> Task:
        return Task(
            number=number,
            first=first,
            events_path=str(self._folder / (events_name(number) + self._mark)),
            leaves_path=str(self._folder / f"{kept.LEAVES}/{number:08}.leaves{self._mark}"),
            salt_key=self._source.salt_key,
            hidden=self._hidden,
        )

    def _keep(self, crew: Crew, *, wait: bool) -> None:
        for task, made in crew.made(wait=wait):
            self._add(task, made)
            if self._say is not None:
                self._say(self._manifest.events)

    def _add(self, task: Task, made: Made) -> None:
        """Name a segment's files, then name them in the manifest: from then on it is sealed."""
        manifest = self._manifest
        assert (task.number, task.first) == (len(manifest.segments), manifest.events), "segments follow each other"
        segment = Sealed(
            number=task.number,
            first=task.first,
            events=made.events,
            root=made.root.hex(),
            before=head(manifest).hex(),
            after=self._afters.pop(task.number).hex(),
            arrived_first=made.arrived_first,
            arrived_last=made.arrived_last,
            sealed=self._source.clock(),
        )
        file = file_of(task.number, task.first, made)
        kept.place(self._folder, Path(task.leaves_path), segment.leaves)
        kept.place(self._folder, Path(task.events_path), file.name)
        changed = msgspec.structs.replace(
            manifest, segments=[*manifest.segments, segment], files=[*manifest.files, file]
        )
        kept.write_manifest(self._folder, changed)
        self._manifest = changed


def head(manifest: Manifest) -> bytes:
    """The hash of the last segment, which the next one names (`proof.chain`)."""
    if not manifest.segments:
        return BEGINNING
    return manifest.segments[-1].line.hash


def events_name(number: int) -> str:
    """Name of the Parquet file of one segment, within the lake's folder."""
    return f"{kept.EVENTS}/{number:08}-{number:08}.{SCHEMA}.parquet"


def file_of(number: int, first: int, made: Made) -> EventFile:
    """What the manifest says of the Parquet file of one segment; `first` is the number of its first event."""
    return EventFile(
        name=events_name(number),
        segments=(number, number),
        first=first,
        events=made.events,
        size=made.size,
        sha256=made.sha256,
        schema=SCHEMA,
        arrived_first=made.arrived_first,
        arrived_last=made.arrived_last,
    )


def _stopped(folder: Path, error: Exception) -> str:
    return (
        f"the lake in {folder} could not be written: {error}. What was sealed before is whole and nothing else is in "
        "it; mend the cause (often a full disk) and seal again: it goes on where it stopped"
    )
