"""What one transaction writes for a group of appends, and what must be true of each key for it to be right."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from struct import Struct

from suyuan.storage.batch import Deadline
from suyuan.storage.group import Request
from suyuan.storage.packed import packed_batch
from suyuan.storage.postgres_position import Stand, packed_position
from suyuan.storage.seen import Seen

BATCH_BYTES = 8
"""Random, chosen before anything is sent: by it a batch whose commit was lost on the way is found again."""

CODE_CHARACTERS_MAX = 400
"""A longer key is filed under its beginning and its hash: an index of PostgreSQL takes 2,700 bytes."""

SEPARATOR = "\x02"
"""Between codes that are sent together; a list of texts costs ten times as much to write and to read."""

_HASHED = "\x7f"
_HEAD_CHARACTERS = 100

Row = tuple[str, int, bytes]

_head = Struct(">hi").pack
_middle = Struct(">iii").pack
_copy_begin = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_copy_end = b"\xff\xff"


class Plan:
    """The accepted requests of a group, in order, as rows; the others with the keys that went stale.

    `known` are sequences read just now. Of a key that is not known the first request is believed: `rests_on` says
    what was believed, and the transaction must find it so.
    """

    def __init__(self, group: Sequence[Request], known: Mapping[str, int]) -> None:
        self.rests_on: dict[str, int] = {}
        self.last: dict[str, int] = {}
        """Sequence of the last row of every key that is written."""
        self.events: list[Row] = []
        self.batches: list[tuple[int, bytes, int, bytes]] = []
        """Ordinal, name, number of events, and the events packed."""
        self.opened: list[Deadline] = []
        self.closed: list[Deadline] = []
        self.documents: dict[str, bytes] = {}
        self.stale: list[list[str]] = []
        """Of every request; empty where it is accepted."""
        self._ordinals: list[int] = []
        for request in group:
            stale = self._stale(request.expected, known)
            if not stale:
                self._accept(request)
            self.stale.append(stale)
            self._ordinals.append(len(self.batches))
        self.events.sort()  # all writers in one order: they may wait for each other, never in a circle

    def _stale(self, expected: Mapping[str, int], known: Mapping[str, int]) -> list[str]:
        last, rests_on = self.last, self.rests_on
        stale = []
        for key, sequence in expected.items():
            stands = last.get(key)
            if stands is None:
                stands = rests_on.get(key)
            if stands is None:
                stands = known.get(key, sequence)
            if stands != sequence:
                stale.append(key)
        return stale

    def _accept(self, request: Request) -> None:
        last = self.last
        for key, sequence in request.expected.items():
            if key not in last:
                self.rests_on[key] = sequence
        for key, event in zip(request.keys, request.packed, strict=True):
            sequence = last[key] = last.get(key, self.rests_on[key]) + 1
            self.events.append((code_of(key), sequence, event))
        if request.packed:
            record = packed_batch(len(request.packed), b"".join(request.packed))
            self.batches.append((len(self.batches) + 1, os.urandom(BATCH_BYTES), len(request.packed), record))
        self.opened += [(time, code_of(key), sequence) for time, key, sequence in request.opened]
        self.closed += [(time, code_of(key), sequence) for time, key, sequence in request.closed]
        self.documents = {**request.documents, **self.documents}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write and nothing to verify."""
        return not (self.rests_on or self.batches or self.documents)

    def predecessors(self, seen: Seen) -> list[tuple[str, int]]:
        """Events that must exist and are not known to: the last before what is written, or of what was only read."""
        return [(code_of(key), sequence) for key, sequence in self.rests_on.items() if sequence > seen.get(key, 0)]

    def successors(self) -> list[tuple[str, int]]:
        """Events that must not exist, of keys that were only read; of the others the primary key says so."""
        return [(code_of(key), sequence + 1) for key, sequence in self.rests_on.items() if key not in self.last]

    def positions(self, database: bytes, era: int, transaction: int) -> list[bytes]:
        """The position after each request, once the transaction is committed; empty before the first batch."""
        found = []
        for ordinal in self._ordinals:
            batch = self.batches[ordinal - 1][1] if ordinal else b""
            found.append(packed_position(database, Stand(era, transaction, ordinal, batch)) if batch else b"")
        return found


def code_of(key: str) -> str:
    """Under which code a key is filed: itself, but for what an index or a list cannot hold."""
    if len(key) <= CODE_CHARACTERS_MAX and "\0" not in key and SEPARATOR not in key and _HASHED not in key:
        return key
    head = re.split(f"[\0{SEPARATOR}{_HASHED}]", key[:_HEAD_CHARACTERS], maxsplit=1)[0]
    return f"{head}{_HASHED}{hashlib.sha256(key.encode()).hexdigest()}"


def is_key(code: str) -> bool:
    """Whether the code is the key itself; else the events tell it."""
    return _HASHED not in code


def copied(rows: Iterable[Row]) -> bytes:
    """Rows of events as PostgreSQL takes them in binary."""
    parts = [_copy_begin]
    for code, sequence, data in rows:
        key = code.encode()
        parts += (_head(3, len(key)), key, _middle(4, sequence, len(data)), data)
    parts.append(_copy_end)
    return b"".join(parts)
