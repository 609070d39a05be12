"""Checkpoints that a node signed: made after each sealing, kept for ever, never one that contradicts an earlier one."""

import base64
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from suyuan.ledger.events import Event
from suyuan.proof.chain import Segment
from suyuan.proof.leaf import WHAT
from suyuan.proof.tree import root_of
from suyuan.proof.verifier import (
    Checkpoint,
    Key,
    ProofWrong,
    checkpoint_text,
    promise_text,
    read_checkpoint,
    signature_line,
)

SUFFIX = ".txt"


class CheckpointRefused(Exception):  # noqa: N818  the reader's word for it
    """No checkpoint can be signed or read; the words say why and what to do."""


class KeptElsewhere(CheckpointRefused):
    """Another host of the same database keeps the signed record; nothing is wrong with either."""


class Hand(NamedTuple):
    """One key that signs checkpoints."""

    key: Key
    sign: Callable[[bytes], bytes]


class Checkpoints:
    """The checkpoints of a node in a folder, one file each, named by the number of segments."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self.origin = origin

    def sizes(self) -> list[int]:
        """Numbers of segments for which there is a checkpoint, in order."""
        names = (path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def note(self, segments: int) -> str | None:
        """The checkpoint of so many segments as it was signed; None where there is none."""
        try:
            return self._path(segments).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise CheckpointRefused(f"{self._path(segments)} was altered: {error}") from error

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint; None before the first."""
        sizes = self.sizes()
        return self.read(sizes[-1]) if sizes else None

    def read(self, segments: int) -> Checkpoint:
        """One checkpoint.

        Raises:
            CheckpointRefused: there is none, or its file was altered.
        """
        note = self.note(segments)
        if note is None:
            raise CheckpointRefused(f"there is no checkpoint of {segments} segments")
        try:
            found = read_checkpoint(note)
        except ProofWrong as error:
            raise CheckpointRefused(f"{self._path(segments)} was altered: {error}") from error
        if found.segments != segments:
            raise CheckpointRefused(f"{self._path(segments)} is the checkpoint of {found.segments} segments")
        return found

    def sign(self, segments: Sequence[Segment], hands: Sequence[Hand], now: int) -> Checkpoint | None:
        """Sign the record as it stands, durably, if it has grown since the last checkpoint; `now` is µs UTC.

        Raises:
            CheckpointRefused: the record is not what the last checkpoint says: it was altered, or its files were lost.
        """
        if not segments:
            return None
        hashes, last = [segment.hash for segment in segments], self.check(segments)
        if last is not None and last.segments == len(hashes):
            return last
        events = segments[-1].first + segments[-1].events
        time = max(_iso(now), last.time) if last is not None else _iso(now)  # a clock may have been put back
        text = checkpoint_text(self.origin, len(hashes), root_of(hashes), events, hashes[-1], time)
        note = signed(text, self.origin, hands)
        self._keep(len(hashes), note)
        return self.read(len(hashes))

    def check(self, segments: Sequence[Segment]) -> Checkpoint | None:
        """The last checkpoint, from which the record has only grown; None before the first.

        Raises:
            CheckpointRefused: as for `sign`.
        """
        last = self.latest()
        if last is not None:
            self._check_grown(last, [segment.hash for segment in segments])
        return last

    def _check_grown(self, last: Checkpoint, hashes: Sequence[bytes]) -> None:
        """A node never signs two records that contradict each other."""
        if last.segments > len(hashes):
            raise CheckpointRefused(
                f"the last checkpoint has {last.segments} segments and the record only {len(hashes)}: files were lost; "
                "restore them from a backup"
            )
        if root_of(hashes[: last.segments]) != last.root:
            raise CheckpointRefused(
                f"the record no longer begins as the checkpoint of {last.segments} segments says: it was altered; "
                "run `suyuan verify` to see where"
            )

    def _keep(self, segments: int, note: str) -> None:
        """Write it whole or not at all; the first one for a size stays."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{segments}.{os.getpid()}"
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, self._path(segments))
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _path(self, segments: int) -> Path:
        return self._folder / f"{segments}{SUFFIX}"


def agreed(last: str, segments: Sequence[Segment]) -> str:
    """What is signed next, as `<segments> <root in Base64>`, if it goes on from what was signed last (or nothing was).

    Raises:
        KeptElsewhere: it does not.
    """
    hashes = [segment.hash for segment in segments]
    if last:
        size, _, root = last.partition(" ")
        if int(size) > len(hashes) or _encoded(root_of(hashes[: int(size)])) != root:
            raise KeptElsewhere(
                "another host of this database has signed another record: it keeps the lake and the checkpoints. Seal "
                "there, or bring its folders lake and checkpoints here, from it or from a backup"
            )
        if int(size) == len(hashes):
            return last
    return f"{len(hashes)} {_encoded(root_of(hashes))}"


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def promised(event: Event, origin: str, hands: Sequence[Hand], by: int, *, hidden: bool) -> str:
    """A signed note that this event is in the record and will be sealed before `by` (µs UTC)."""
    place = ("", "") if hidden else (event.actor, event.region)
    told = (WHAT.get(event.kind, event.kind), event.key, event.event_time, event.arrived, *place)
    return signed(promise_text(origin, told, _iso(by)), origin, hands)


def signed(text: str, origin: str, hands: Sequence[Hand]) -> str:
    """The text as a note that all hands have signed."""
    return text + "\n" + "".join(signature_line(origin, hand.key, hand.sign(text.encode())) for hand in hands)


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def origin_of(name: str) -> str:
    """A node's name as its checkpoints carry it: signed notes keep blanks and plus signs for themselves."""
    return "suyuan/" + ("-".join(name.replace("+", " ").split()) or "node")
