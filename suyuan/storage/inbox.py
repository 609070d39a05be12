"""The inbox: uploads laid aside in a file of bounded size, on disk before they are acknowledged, taken out in order."""

import errno
import fcntl
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import NamedTuple
from zlib import crc32

FOLDER = "inbox"
"""In a node's folder."""
PLACES = 64
"""Server processes of one folder, each with a file of its own."""
_HEAD = Struct(">IIQ")  # length, check of number and bytes, number
_DONE = Struct(">QI")  # number, check


class InboxFull(Exception):  # noqa: N818  the reader's word for it
    """There is no room for one more; nothing of it was kept."""


class Entry(NamedTuple):
    """What was laid aside."""

    number: int
    """From 1, in the order in which they came."""
    content: bytes


class Inbox:
    """One file and, beside it, the number up to which it was taken out. One process owns them; its threads share them.

    The file has its full size from the beginning, so that a disk that fills up takes no room away; only where something
    waits in it already is it taken as it is. Killed between any two steps it has every acknowledged entry; one that was
    being taken out then comes out again, and its taking must not mind.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._lock = Lock()
        self._owner = _owned(path)
        if self._owner is None:
            raise BlockingIOError(f"{path} has another owner")
        with ExitStack() as failed:
            failed.callback(os.close, self._owner)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            failed.callback(os.close, self._file)
            self._marks = os.open(path.with_suffix(".done"), os.O_RDWR | os.O_CREAT, 0o600)
            failed.callback(os.close, self._marks)
            self._done = _done_beside(path)
            self._entries: list[tuple[int, int, int]] = []  # number, place, length of what waits
            self._end, self._number = self._look()
            try:
                self.bytes_max = _grown(self._file, bytes_max)
            except OSError:
                if not self._entries:
                    raise
                self.bytes_max = os.fstat(self._file).st_size
            failed.pop_all()

    @classmethod
    def open(cls, folder: Path, bytes_max: int) -> "Inbox":
        """The first file in the folder that no other process owns.

        Raises:
            OSError: it cannot be made, or there is no room for it; nothing of the try is left, and no file is owned.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in range(PLACES):
            with suppress(BlockingIOError):
                return cls(folder / f"{place:02}.inbox", bytes_max)
        raise OSError(f"all {PLACES} places in {folder} are taken")

    @classmethod
    def left(cls, folder: Path) -> Iterator["Inbox"]:
        """Files in which something waits and whose owners are gone, owned by who asks until it closes them."""
        for path in sorted(folder.glob("*.inbox")):
            with suppress(BlockingIOError):
                found = cls(path, path.stat().st_size)
                try:
                    if found.waiting:
                        yield found
                finally:  # also where who asks goes no further: what waits must not stay ours
                    found.close()

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        return len(self._entries)

    @property
    def room(self) -> int:
        """Bytes for further entries."""
        return self.bytes_max - self._end

    def put(self, content: bytes) -> int:
        """Lay one aside; it is on disk when this returns. Answers its number.

        Raises:
            InboxFull: there is no room.
            OSError: the disk refused; nothing was kept.
        """
        with self._lock:
            if self._owner is None:
                raise OSError("the inbox is closed")
            if not self._entries:
                self._end = 0
            if self._end + _HEAD.size + len(content) > self.bytes_max:
                raise InboxFull
            number = self._number + 1
            head = _HEAD.pack(len(content), _check(number, content), number)
            # Whatever stood behind it is of an earlier round: its number does not follow.
            _write(self._file, head + content, self._end)
            os.fdatasync(self._file)
            self._entries.append((number, self._end + _HEAD.size, len(content)))
            self._end += _HEAD.size + len(content)
            self._number = number
            return number

    def first(self) -> Entry | None:
        """What has waited longest; None where nothing waits."""
        with self._lock:
            if not self._entries:
                return None
            number, place, length = self._entries[0]
            return Entry(number, os.pread(self._file, length, place))

    def take_out(self, number: int) -> None:
        """The entry has been taken in elsewhere, durably."""
        with self._lock:
            _write(self._marks, _DONE.pack(number, crc32(number.to_bytes(8, "big"))), 0)
            os.fdatasync(self._marks)
            self._done = number
            self._entries = [one for one in self._entries if one[0] > number]
            if not self._entries:  # whoever looks need not read what is behind
                _write(self._file, bytes(_HEAD.size), 0)

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        with self._lock:
            if self._owner is not None:
                for one in (self._file, self._marks, self._owner):
                    os.close(one)
                self._owner = None

    def _look(self) -> tuple[int, int]:
        """Find what waits; answers where the next entry goes, and the last number given."""
        place = last = 0
        for number, start, content in _followed(self._file):
            if number > self._done:
                self._entries.append((number, start, len(content)))
            place, last = start + len(content), number
        return place, max(last, self._done)


class Onlooker:
    """Looks at what waits in all files of a folder, whoever owns them: takes nothing, and reads each entry once."""

    def __init__(self, folder: Path, name: Callable[[bytes], Hashable]) -> None:
        self._folder = folder
        self._name = name
        self._one = Lock()
        self._seen: dict[Path, _Seen] = {}

    def waits(self, name: Hashable) -> bool:
        """Whether an entry that is called so waits at this moment."""
        with self._one:
            return any(self._look(path).numbers.get(name, 0) > _done_beside(path) for path in self._paths())

    def waiting(self) -> int:
        """How many entries wait at this moment."""
        with self._one:
            return sum(max(0, self._look(path).last - _done_beside(path)) for path in self._paths())

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.inbox"))

    def _look(self, path: Path) -> "_Seen":
        with path.open("rb") as opened:
            file = opened.fileno()
            seen = self._seen.get(path)
            if seen is None or any(os.pread(file, _HEAD.size, at) != head for at, head in seen.heads.items()):
                seen = self._seen[path] = _Seen({}, {}, 0, 0)  # another round
            for number, start, content in _followed(file, seen.place, seen.last):
                head = _HEAD.pack(len(content), _check(number, content), number)
                seen.numbers[self._name(content)] = number
                seen.heads = {0: seen.heads.get(0, head), start - _HEAD.size: head}
                seen.place, seen.last = start + len(content), number
        return seen


@dataclass
class _Seen:
    """A file as it was at the last look."""

    heads: dict[int, bytes]
    """By place, that of the first entry and that of the last: while both stand, what is between stands too."""
    numbers: dict[Hashable, int]
    """By name that of each entry of this round, also of those that were taken out."""
    place: int
    """Where the next entry would begin."""
    last: int


def waiting_in(node: Path) -> int:
    """How many uploads are laid aside in a node's folder: acknowledged, in no record yet, and nowhere else."""
    return Onlooker(node / FOLDER, len).waiting()


def is_served(node: Path) -> bool:
    """Whether a server that may lay uploads aside in a node's folder runs at this moment."""
    for path in (node / FOLDER).glob("*.inbox"):
        owner = _owned(path)
        if owner is None:
            return True
        os.close(owner)
    return False


def _grown(file: int, wanted: int) -> int:
    """Give a file its full size.

    Raises:
        OSError: there is no room; the file is as it was.
    """
    size = os.fstat(file).st_size
    if size < wanted:
        disk = os.fstatvfs(file)
        # Not even tried: to take the last room, if only for a moment, would stop whoever else writes to this disk.
        if disk.f_bavail * disk.f_frsize < wanted - size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            os.posix_fallocate(file, 0, wanted)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    return wanted


def _followed(file: int, place: int = 0, last: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and content of each entry from there on, as far as they follow each other whole."""
    size = os.fstat(file).st_size
    while True:
        head = os.pread(file, _HEAD.size, place)
        if len(head) < _HEAD.size:
            return
        length, check, number = _HEAD.unpack(head)
        if not number or (last and number != last + 1) or length > size:
            return
        content = os.pread(file, length, place + _HEAD.size)
        if len(content) < length or check != _check(number, content):
            return  # a torn end, or what an earlier round has left
        yield number, place + _HEAD.size, content
        place, last = place + _HEAD.size + length, number


def _done_beside(path: Path) -> int:
    """The number up to which entries were taken out."""
    try:
        held = path.with_suffix(".done").read_bytes()
    except FileNotFoundError:
        return 0
    if len(held) < _DONE.size:
        return 0
    number, check = _DONE.unpack(held[: _DONE.size])
    # A torn mark: all that is in the file comes out once more.
    return int(number) if check == crc32(int(number).to_bytes(8, "big")) else 0


def _owned(path: Path) -> int | None:
    lock = os.open(path.with_suffix(".owner"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _check(number: int, content: bytes) -> int:
    return crc32(content, crc32(number.to_bytes(8, "big")))


def _write(file: int, content: bytes, place: int) -> None:
    while content:
        written = os.pwrite(file, content, place)
        content, place = content[written:], place + written
