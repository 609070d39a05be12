"""The manifest: which segments are sealed and which files hold their events; replaced as a whole, after the files."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.segment import file_hash, sync, write_durably
from suyuan.proof.chain import Segment

VERSION = 1
FILE = "manifest.json"
EVENTS = "events"
LEAVES = "leaves"
UNFINISHED = ".part"


class Sealed(msgspec.Struct, kw_only=True, frozen=True):
    """One segment: a run of the feed that is proven as a whole. Never changed."""

    number: int
    """From 0."""
    first: int
    """Number of its first event in the feed, from 0."""
    events: int
    root: str
    """Root of the Merkle tree over its events (RFC 9162), hexadecimal."""
    before: str
    """Hash of the segment before, hexadecimal (`proof.chain`)."""
    after: str
    """The journal's position after its last event, hexadecimal."""
    arrived_first: int
    arrived_last: int
    """The earliest and the latest arrival, µs UTC."""
    sealed: int
    """When, µs UTC."""

    @property
    def line(self) -> Segment:
        """The segment as the chain of proofs has it."""
        return Segment(self.number, self.first, self.events, bytes.fromhex(self.root), bytes.fromhex(self.before))

    @property
    def leaves(self) -> str:
        """Name of the file of its leaf hashes: 32 bytes an event, in the order of the feed."""
        return f"{LEAVES}/{self.number:08}.leaves"


class EventFile(msgspec.Struct, kw_only=True, frozen=True):
    """One Parquet file: the events of one segment or, once compacted, of several that follow each other."""

    name: str
    """Within the lake's folder."""
    segments: tuple[int, int]
    """Number of the first and of the last segment in it."""
    first: int
    events: int
    size: int
    """Bytes."""
    sha256: str
    schema: int
    arrived_first: int
    arrived_last: int


class Manifest(msgspec.Struct, kw_only=True):
    """What the lake holds. What is not named here is not in it."""

    version: int = VERSION
    generation: int = 0
    """Raised by every change."""
    segments: list[Sealed] = []
    files: list[EventFile] = []
    """In the order of the feed. Those that retention dropped are missing; their segments and leaf hashes stay."""

    @property
    def events(self) -> int:
        """How many events are sealed."""
        return self.segments[-1].first + self.segments[-1].events if self.segments else 0

    @property
    def position(self) -> bytes | None:
        """Up to where the journal is sealed."""
        return bytes.fromhex(self.segments[-1].after) if self.segments else None


def read_manifest(folder: Path) -> Manifest:
    """The manifest as it stands; an empty one where nothing was ever sealed.

    Raises:
        LakeRefusal: it cannot be read, or is of a newer version.
    """
    path = folder / FILE
    try:
        text, _, mark = path.read_bytes().partition(b"\n")
        if mark.strip() != hashlib.sha256(text).hexdigest().encode():
            raise LakeRefusal(f"{path} is damaged: it is not as it was written; restore it from a backup")
        manifest = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError:
        if any((folder / LEAVES).glob("*.leaves")):
            raise LakeRefusal(
                f"{path} is missing beside sealed segments: restore it from a backup. Where there is none, move "
                f"{folder} away: the lake is then made again from the journal, under new checkpoints"
            ) from None
        return Manifest()
    except (OSError, msgspec.DecodeError) as error:
        raise LakeRefusal(f"{path} cannot be read: {error}; restore it from a backup") from error
    if manifest.version != VERSION:
        raise LakeRefusal(f"{path} is of version {manifest.version}, this program reads {VERSION}: use a newer one")
    for file in manifest.files:
        if file.name != f"{EVENTS}/{Path(file.name).name}":
            raise LakeRefusal(f"{path} names {file.name!r}, which is no file of a lake: restore it from a backup")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a new manifest in the place of the one it was made from. The files it names are on disk already.

    It is a line of JSON and a line with the SHA-256 of that: no byte of it changes unseen.
    """
    held = read_manifest(folder).generation
    if held != manifest.generation:
        raise LakeRefusal(f"somebody else changed {folder / FILE} meanwhile; nothing was lost, try again")
    manifest.generation += 1
    unfinished = folder / (FILE + UNFINISHED)
    text = msgspec.json.encode(manifest)
    write_durably(unfinished, text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
    unfinished.replace(folder / FILE)
    sync(folder)


def fault_of(folder: Path, file: EventFile) -> str:
    """What is wrong with a Parquet file, reading every byte; empty where it is as it was sealed."""
    path = folder / file.name
    try:
        if path.stat().st_size != file.size:
            return f"it has {path.stat().st_size} bytes instead of {file.size}"
        return "" if file_hash(path) == file.sha256 else "its bytes are not those that were sealed"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def place(folder: Path, unfinished: Path, name: str) -> None:
    """Give a finished file its name, durably."""
    unfinished.replace(folder / name)
    sync((folder / name).parent)


@contextmanager
def changing(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Alone in changing the lake, among all processes; False where somebody else is and `wait` is off."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in (EVENTS, LEAVES):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    with _locked(folder / ".changing", fcntl.LOCK_EX, wait=wait) as held:
        yield held


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """While somebody reads, no file of the lake is deleted."""
    with _locked(folder / ".reading", fcntl.LOCK_SH, wait=True):
        yield


def clean(folder: Path, manifest: Manifest) -> int:
    """Delete what no manifest names: leftovers of who was killed, files that were merged or dropped.

    To be called by who is alone in changing the lake. Answers how many; none while somebody reads.
    """
    named = {file.name for file in manifest.files} | {segment.leaves for segment in manifest.segments}
    found = [path for kind in (EVENTS, LEAVES) for path in (folder / kind).iterdir()]
    left = [path for path in found if f"{path.parent.name}/{path.name}" not in named]
    if not left:
        return 0
    with _locked(folder / ".reading", fcntl.LOCK_EX, wait=False) as alone:
        if alone:
            for path in left:
                path.unlink(missing_ok=True)
    return len(left) if alone else 0


@contextmanager
def _locked(path: Path, kind: int, *, wait: bool) -> Iterator[bool]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        held = False
        with suppress(BlockingIOError):
            fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
            held = True
        yield held
    finally:
        os.close(handle)
