"""Looks whether the whole record is as it was sealed: journal, leaves, chain, columns, checkpoints; names what is not.

The leaves are what was promised: each is the hash of one event at its place in the feed, and their roots are in the
chain that the checkpoints sign. Everything else is held against them, and the columns tell what an event was before.
Leaves and trees are made anew by `proof`, in Python: a fault of the C that sealed them would be found here.
"""

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl
from cryptography.hazmat.primitives import hashes

from suyuan.lake.columns import Columns
from suyuan.lake.lake import Lake
from suyuan.lake.manifest import EventFile, Sealed
from suyuan.lake.refusals import LakeRefusal, QuestionRefused
from suyuan.lake.schema import SCHEMA, SCHEMA_OF_ROWS, TEXTS
from suyuan.lake.segment import file_hash
from suyuan.ledger.events import Event, encoder
from suyuan.ledger.journal import Journal
from suyuan.proof.chain import BEGINNING
from suyuan.proof.checkpoints import CheckpointRefused, Checkpoints
from suyuan.proof.leaf import leaf
from suyuan.proof.tree import HASH, root_of
from suyuan.proof.verifier import Key

PAGE = 4_096
BUCKETS = 4_096
"""Keys are summed up in so many heaps: one that differs is looked at key by key."""
NAMED_MAX = 100
"""Findings of one segment that are told."""


class Finding(NamedTuple):
    """One thing that is not as it was sealed."""

    where: str
    """A file, a segment, or an event as `<key> event <sequence>`."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Checked(NamedTuple):
    """What was looked at, and what was found."""

    segments: int
    events: int
    """Sealed ones, each recomputed from the journal."""
    unsealed: int
    keys: int
    checkpoints: int
    findings: list[Finding]


class Secrets(NamedTuple):
    """What looking needs besides the record: the salts' secret, actors that are not told, keys that may sign."""

    salt_key: bytes
    hidden: frozenset[str]
    signers: Sequence[Key]
    unseal: Callable[[bytes], bytes]
    """Opens a sealed message; raises for one that was altered."""


def verify_record(lake: Lake, journal: Journal, checkpoints: Checkpoints, secrets: Secrets) -> Checked:
    """Look at everything, once; a large record takes some minutes for each hundred million events."""
    findings: list[Finding] = []
    try:
        manifest = lake.manifest()
    except LakeRefusal as refusal:
        findings.append(Finding(str(lake.folder), str(refusal)))
        return Checked(0, 0, 0, 0, 0, findings)
    segments = manifest.segments
    findings += _chain_faults(segments)
    findings += [fault for segment in segments for fault in _leaf_faults(lake, segment)]
    findings += [fault for file in manifest.files for fault in _file_faults(lake.folder, file)]
    findings += checkpoint_faults(checkpoints, segments, secrets.signers)
    feed = _Feed(journal, secrets.unseal)
    for segment in segments:
        findings += islice(_Window(lake, segment, secrets).faults(feed), NAMED_MAX)
    unsealed = 0
    while page := feed.take(PAGE):
        unsealed += len(page)
    findings += [*feed.documents, *([feed.broken] if feed.broken else []), *_deadline_faults(journal)]
    keys, faults = _history_faults(journal, feed)
    return Checked(len(segments), manifest.events, unsealed, keys, len(checkpoints.sizes()), findings + faults)


def _chain_faults(segments: Sequence[Sealed]) -> Iterator[Finding]:
    before, first = BEGINNING, 0
    for number, segment in enumerate(segments):
        line = segment.line
        if (line.number, line.first) != (number, first):
            yield Finding(f"segment {number}", f"in its place stands segment {line.number}, from event {line.first} on")
        elif line.before != before:
            yield Finding(
                f"segment {number}",
                f"it does not name the hash of segment {number - 1}: one of the two was altered, or segments were "
                "dropped or moved",
            )
        before, first = line.hash, first + line.events


def _leaf_faults(lake: Lake, segment: Sealed) -> Iterator[Finding]:
    try:
        raw = lake.leaves(segment.number)
    except LakeRefusal as refusal:
        yield Finding(str(lake.folder / segment.leaves), str(refusal))
        return
    if root_of(_split(raw)) != segment.line.root:
        yield Finding(
            str(lake.folder / segment.leaves),
            f"altered: its hashes no longer make the root of segment {segment.number}",
        )


def _file_faults(folder: Path, file: EventFile) -> Iterator[Finding]:
    path = folder / file.name
    try:
        found = file_hash(path)
    except OSError as error:
        yield Finding(str(path), f"it cannot be read: {error.strerror}")
        return
    if found != file.sha256:
        yield Finding(str(path), f"altered: its SHA-256 is {found}, and was {file.sha256} when it was written")


def checkpoint_faults(
    checkpoints: Checkpoints, segments: Sequence[Sealed], signers: Sequence[Key]
) -> Iterator[Finding]:
    """Checkpoints that are altered, not signed, or say something else than the record."""
    hashes = [segment.line.hash for segment in segments]
    for size in checkpoints.sizes():
        where = f"checkpoint {size}"
        try:
            found = checkpoints.read(size)
        except CheckpointRefused as refusal:
            yield Finding(where, str(refusal))
            continue
        count = len(found.note.signatures)
        if not all(any(found.note.is_signed(number, key) for key in signers) for number in range(count)):
            yield Finding(where, "its text or its signature was altered, or it was signed with a key that is not ours")
        elif size > len(hashes):
            yield Finding(where, f"it has {size} segments, the record only {len(hashes)}: segments were dropped")
        elif found.root != root_of(hashes[:size]):
            yield Finding(where, "the record no longer begins as it says: a segment was altered, dropped or moved")


class _Feed:
    """The journal's feed, event by event, with a place to put back what was read too far; sums up what passes."""

    def __init__(self, journal: Journal, unseal: Callable[[bytes], bytes]) -> None:
        self._journal = journal
        self._unseal = unseal
        self._document = ""
        self.documents: list[Finding] = []
        """Sealed messages that are not what was sealed."""
        self._position: bytes | None = None
        self._waiting: deque[Event] = deque()
        self.read = 0
        """Events taken and not put back."""
        self.broken: Finding | None = None
        """Why it cannot be read on."""
        self._limit = PAGE
        self.heaps = [0] * BUCKETS

    def take(self, count: int) -> list[Event]:
        """The next events, fewer at the end, or where the feed cannot be read on."""
        while len(self._waiting) < count and self._page():
            pass
        taken = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self.read += len(taken)
        return taken

    def put_back(self, events: Sequence[Event]) -> None:
        """Give back the last ones taken, in their order."""
        self._waiting.extendleft(reversed(events))
        self.read -= len(events)

    def _page(self) -> bool:
        if self.broken:
            return False
        try:
            events, self._position = self._journal.since(self._position, self._limit)
        except Exception as error:  # noqa: BLE001  whatever damaged bytes raise is what was looked for
            if self._limit > 1:
                self._limit = 1  # append by append up to the one that is damaged
                return self._page()
            after = self.read + len(self._waiting)
            self.broken = Finding("journal", f"its log cannot be read on after event {after}: {_words(error)}")
            return False
        self._waiting.extend(events)
        for event in events:
            self.heaps[_heap(event.key)] += _mark(event)
            if event.document not in {"", self._document}:  # the events of one message stand together
                self._document = event.document
                self._look_at(event)
        return bool(events)

    def _look_at(self, event: Event) -> None:
        """See that the message behind an event is the one that was sealed; it may not be kept at all."""
        try:
            sealed = self._journal.document(event.document)
            words = "another message was put in its place"
            if sealed is None or _name_of(self._unseal(sealed)) == event.document:
                return
        except Exception as error:  # noqa: BLE001  as above
            words = _words(error)
        if len(self.documents) < NAMED_MAX:
            where = f"document {event.document} of {_name(event)}"
            self.documents.append(Finding(where, f"altered: {words}"))


class _Window:
    """One segment held against the events that the journal has in its place."""

    def __init__(self, lake: Lake, segment: Sealed, secrets: Secrets) -> None:
        self._lake, self._segment, self._secrets = lake, segment, secrets

    def faults(self, feed: _Feed) -> Iterator[Finding]:
        """What of it is not as it was sealed."""
        segment = self._segment
        events = feed.take(segment.events)
        try:
            leaves = _split(self._lake.leaves(segment.number))
        except LakeRefusal:
            return  # told already
        key, hidden = self._secrets.salt_key, self._secrets.hidden
        hashes = [
            leaf(event, segment.first + at, key, hidden=event.actor in hidden).hash for at, event in enumerate(events)
        ]
        differ = [
            at
            for at, found in enumerate(hashes)
            if found != leaves[at] and not self._is(events[at], segment.first + at, leaves[at])
        ]
        if not differ and len(events) == segment.events:
            yield from _column_faults(self._lake, segment, events)
            return
        if not differ and feed.broken:
            return
        if len(events) == segment.events and _root_of(hashes, leaves, differ) == segment.line.root:
            return  # the journal is as it was sealed; the file of leaves is not, which is told already
        known = self._known()
        if known is None or root_of(leaves) != segment.line.root:
            # Without columns, or with altered leaves, there is only the place to name.
            for at in differ[:NAMED_MAX]:
                yield Finding(_name(events[at]), f"event {segment.first + at} of the feed is not what was sealed there")
            if len(events) < segment.events and not feed.broken:
                yield Finding(f"segment {segment.number}", f"the journal ends after {len(events)} of its events")
            return
        yield from self._told(events, feed, leaves, known)

    def _told(
        self, events: list[Event], feed: _Feed, leaves: Sequence[bytes], known: Mapping[tuple[str, int], int]
    ) -> Iterator[Finding]:
        """Which events were altered, dropped, added or moved, by the numbers that the columns have."""
        events = [*events, *feed.take(PAGE)]
        ours = [at for at, event in enumerate(events) if (event.key, event.sequence) in known]
        end = ours[-1] + 1 if ours else 0
        feed.put_back(events[end:])
        seen: set[int] = set()
        highest = -1
        for event in events[:end]:
            number = known.get((event.key, event.sequence))
            if number is None:
                yield Finding(
                    _name(event), "stands in the journal before later ones, and was never sealed: added since"
                )
            elif number in seen:
                yield Finding(_name(event), "stands in the journal twice")
            else:
                seen.add(number)
                if number < highest:
                    yield Finding(
                        _name(event), f"event {number} of the feed stands in the journal after later ones: moved"
                    )
                highest = max(highest, number)
                if not self._is(event, number, leaves[number - self._segment.first]):
                    yield Finding(_name(event), self._changes(event, number))
        if not feed.broken:
            for (key, sequence), number in known.items():
                if number not in seen:
                    yield Finding(f"{key} event {sequence}", f"event {number} of the feed is missing from the journal")

    def _changes(self, event: Event, number: int) -> str:
        """Which fields of an event differ from its columns."""
        rows = self._lake.rows_of(number, 1)
        row = rows[0] if rows else {}
        told = [
            f"{name} was {was!r} and is {now!r}"
            for name in ("kind", "event_time", "arrived", *TEXTS, "n", "m", "price", "relates", "corrects", "joins")
            if name != "references" and name in row and (was := row[name]) != (now := getattr(event, name))
        ]
        earlier = "arrived" in row and event.arrived < row["arrived"]
        what = "back-dated" if earlier else "altered"
        return f"{what} in the journal: {'; '.join(dict.fromkeys(told)) or 'a field that the columns do not hold'}"

    def _known(self) -> dict[tuple[str, int], int] | None:
        """Key and sequence → number in the feed, by the columns; None where they are gone."""
        segment = self._segment
        try:
            sql = "SELECT key, sequence, feed FROM sealed WHERE feed >= ? AND feed < ? ORDER BY feed"
            rows = self._lake.query(sql, [segment.first, segment.first + segment.events]).rows
        except (LakeRefusal, QuestionRefused):
            return None
        return {(key, sequence): feed for key, sequence, feed in rows} if len(rows) == segment.events else None

    def _is(self, event: Event, number: int, found: bytes) -> bool:
        """Whether this is the event of the leaf; a place may have become one that is not told, or one that is."""
        return any(leaf(event, number, self._secrets.salt_key, hidden=each).hash == found for each in (False, True))


def _column_faults(lake: Lake, segment: Sealed, events: Sequence[Event]) -> Iterator[Finding]:
    """Rows of the columns that say something else than the events which they were made from."""
    files = [file for file in lake.manifest().files if file.segments[0] <= segment.number <= file.segments[1]]
    if not files or any(file.schema != SCHEMA for file in files):
        return  # dropped by retention, or written with fewer columns
    columns = Columns(segment.first, b"", ())
    try:
        columns.take(len(events), b"".join(map(encoder.encode, events)))
        expected = _plain(columns.rows())
    except LakeRefusal as refusal:
        yield Finding(f"segment {segment.number}", str(refusal))
        return
    within = pl.col("feed").is_between(segment.first, segment.first + segment.events - 1)
    try:
        found = pl.concat([_plain(pl.read_parquet(lake.folder / file.name).filter(within)) for file in files])
    except (OSError, pl.exceptions.PolarsError):
        return  # told already
    found = found.sort("key", "feed")
    if found.equals(expected):
        return
    where = f"the columns ({files[0].name})"
    gone = expected.filter(~pl.col("feed").is_in(found["feed"].implode()))
    for row in gone.iter_rows(named=True):
        yield Finding(f"{row['key']} event {row['sequence']}", f"is missing from {where}")
    kept = expected.join(found.select("feed"), "feed", "semi").sort("feed").iter_rows(named=True)
    rows = found.unique("feed").sort("feed").iter_rows(named=True)
    for row, was in zip(rows, kept, strict=True):
        names = [name for name in was if row[name] != was[name]]
        if names:
            told = "; ".join(f"{name} is {row[name]!r} and should be {was[name]!r}" for name in names)
            yield Finding(f"{was['key']} event {was['sequence']}", f"altered in {where}: {told}")


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns in their order, texts as texts."""
    return frame.select(list(SCHEMA_OF_ROWS)).cast(pl.Schema(SCHEMA_OF_ROWS))


def _history_faults(journal: Journal, feed: _Feed) -> tuple[int, list[Finding]]:
    """Whether the histories by key hold the same events as the feed; how many keys there are, and what differs."""
    keys, heaps, findings = 0, list(feed.heaps), []
    for key in journal.keys(""):
        keys += 1
        events, fault = _events_of(journal, key)
        if fault:
            findings.append(fault)
        for event in events:
            heaps[_heap(key)] -= _mark(event)
    suspects = {at for at, total in enumerate(heaps) if total}
    told = {finding.where for finding in findings}
    if suspects and not feed.broken:
        findings += [each for each in _differences(journal, suspects) if each.where not in told]
    return keys, findings


def _differences(journal: Journal, suspects: set[int]) -> Iterator[Finding]:
    """The events of some heaps that are in the feed or in a history alone."""
    position: bytes | None = None
    told: dict[str, dict[int, Event]] = {}
    while (page := journal.since(position, PAGE))[0]:
        position = page[1]
        for event in page[0]:
            if _heap(event.key) in suspects:
                told.setdefault(event.key, {})[_mark(event)] = event
    kept = {key: _events_of(journal, key)[0] for key in journal.keys("") if _heap(key) in suspects}
    # What was written meanwhile is in the feed by now.
    later = {_mark(event) for event in journal.since(position, 1 << 30)[0]}
    for key in sorted({*told, *kept}):
        feed, history = told.get(key, {}), {_mark(event): event for event in kept.get(key, ())}
        altered = {event.sequence for mark, event in feed.items() if mark not in history}
        for mark, event in history.items():
            if mark not in feed and mark not in later:
                kind = (
                    "is not what the feed says: altered" if event.sequence in altered else "is not in the feed: added"
                )
                yield Finding(_name(event), f"in the history of its key it {kind}")
        for event in feed.values():
            if event.sequence in altered - {other.sequence for other in history.values()}:
                yield Finding(_name(event), "is missing from the history of its key")


def _events_of(journal: Journal, key: str) -> tuple[Sequence[Event], Finding | None]:
    try:
        return journal.fetch([key])[key].events, None
    except Exception as error:  # noqa: BLE001  whatever damaged bytes raise is what was looked for
        return (), Finding(key, f"its history cannot be read: {_words(error)}")


def _deadline_faults(journal: Journal) -> Iterator[Finding]:
    try:
        journal.due((1 << 63) - 1, 1 << 30)
    except Exception as error:  # noqa: BLE001  as above
        yield Finding("journal", f"its deadlines cannot be read: {_words(error)}")


def _name_of(raw: bytes) -> str:
    """By which a raw message is kept (`ledger.privacy`): 128 bits of its SM3."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(raw)
    return digest.finalize()[:16].hex()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _name(event: Event) -> str:
    return f"{event.key} event {event.sequence}"


def _heap(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % BUCKETS


def _mark(event: Event) -> int:
    return int.from_bytes(hashlib.sha256(encoder.encode(event)).digest()[:16], "big")


def _root_of(hashes: Sequence[bytes], leaves: Sequence[bytes], differ: Sequence[int]) -> bytes:
    """The root that the journal's events make where their leaves differ."""
    made = list(leaves)
    for at in differ:
        made[at] = hashes[at]
    return root_of(made)


def _split(raw: bytes) -> list[bytes]:
    return [raw[at : at + HASH] for at in range(0, len(raw), HASH)]
