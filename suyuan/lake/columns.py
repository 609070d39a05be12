"""Stored events become columns and leaf hashes, in C: Python would spend three times as long on each event.

`native/` knows neither names nor kinds of events; what becomes of which field is told to it here, and what a leaf says
by `proof.leaf`, whose words for one event are what the tests hold the many against.
"""

import ctypes
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from secrets import randbits
from typing import get_args

import msgspec
import nanoarrow
import polars as pl

from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.schema import NUMBERS, SCHEMA_OF_ROWS, TEXTS, VARIED
from suyuan.ledger.events import Event, Kind, Verdict
from suyuan.proof import leaf
from suyuan.proof.tree import EMPTY, HASH

LIBRARY = Path(__file__).parent / "native" / "segment.so"
INTERFACE = 2
"""Of the library that this file is written for."""

_FIELDS = [field.name for field in msgspec.structs.fields(Event)]
_NUMBER_OF = {name: number for number, name in enumerate(_FIELDS)}
TOLD = [_NUMBER_OF[name] for name in ("kind", "key", "event_time", "arrived", "actor", "region")]
"""Numbers of the fields that a leaf tells."""
_DAY = 86_400_000_000
_EIGHT = 8 * 3_600_000_000
"""China is eight hours ahead of UTC."""
_apart = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def _role(field: str) -> str:
    """What becomes of a field, in the letters of `native/segment.c`."""
    if field == "reasons":
        return "l"
    if field == "references":
        return "j"
    if field in NUMBERS:
        return "b" if NUMBERS[field] == pl.Boolean else "n"
    return "-" if field not in TEXTS else "t" if field in VARIED else "w"


ROLES = "".join(map(_role, _FIELDS))
"""A letter for each field of an event."""
_ALLOWED = {"kind": frozenset(get_args(Kind)), "verdict": frozenset(get_args(Verdict))}
"""The words of the fields that have no others."""


class _Part(IntEnum):
    """What the library hands out."""

    VALUES = 0
    OFFSETS = 1
    WORDS = 2
    WORD_OFFSETS = 3
    LEAVES = 4


def _loaded() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        raise ImportError(f"{LIBRARY} is missing or of another machine: install Suyuan again ({error})") from error
    if not hasattr(library, "suyuan_interface") or library.suyuan_interface() != INTERFACE:
        raise ImportError(f"{LIBRARY} is of another version of Suyuan: install it again")
    text, size, room = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
    library.suyuan_segment.argtypes = [text, ctypes.c_int, ctypes.c_int * len(TOLD), text, ctypes.c_uint64]
    library.suyuan_segment.restype = room
    library.suyuan_call.argtypes = [room, text, size, text, size]
    library.suyuan_hide.argtypes = [room, text, size]
    library.suyuan_take.argtypes = [room, ctypes.c_int64, text, size, text, ctypes.c_int, ctypes.POINTER(size)]
    library.suyuan_take.restype = ctypes.c_int64
    library.suyuan_part.argtypes = [room, ctypes.c_int, ctypes.c_int, ctypes.POINTER(size)]
    library.suyuan_part.restype = room
    library.suyuan_free.argtypes = [room]
    library.suyuan_root.argtypes = [text, size, text]
    return library


_library = _loaded()


class Columns:
    """Events in the order of the feed, taken apart; of which `first` is the number of the first one, from 0."""

    def __init__(self, first: int, salt_key: bytes, hidden: Iterable[str]) -> None:
        self.count = 0
        self._first = first
        self._salt_key = salt_key
        told = (ctypes.c_int * len(TOLD))(*TOLD)
        self._segment = _library.suyuan_segment(ROLES.encode(), leaf.FIELDS, told, leaf.NAME.encode(), randbits(64))
        done = bool(self._segment)
        for kind, word in leaf.WHAT.items():
            done = done and _library.suyuan_call(self._segment, kind.encode(), len(kind), word.encode(), len(word))
        for actor in map(str.encode, hidden):
            done = done and _library.suyuan_hide(self._segment, actor, len(actor))
        if not done:
            raise MemoryError("there is no memory for another segment")

    def __del__(self) -> None:
        if getattr(self, "_segment", None):
            _library.suyuan_free(self._segment)

    def take(self, count: int, events: bytes) -> None:
        """Take in the next so many events, packed one after the other.

        Raises:
            LakeRefusal: one of them is not an event.
        """
        taken, read = self._take(count, events, canonical=False)
        if taken < count:  # the next one was written by another version
            try:
                rest = _apart(b"\xdd" + (count - taken).to_bytes(4, "big") + events[read:])
                events = b"".join(leaf.canonical(bytes(one)) for one in rest)
            except msgspec.MsgspecError as error:
                raise self._damaged(str(error)) from error
            count -= taken
            taken, read = self._take(count, events, canonical=True)
        if taken < count:
            raise self._damaged("a field is not of its type, or a number is larger than 64 bits hold")
        if read != len(events):
            raise self._damaged("something else stands after it")

    def _take(self, count: int, events: bytes, *, canonical: bool) -> tuple[int, int]:
        salts = leaf.salts(self._salt_key, self._first + self.count, count)
        read = ctypes.c_size_t()
        taken = _library.suyuan_take(self._segment, count, events, len(events), salts, canonical, ctypes.byref(read))
        if taken < 0:
            raise MemoryError("there is no memory for this segment")
        self.count += taken
        return taken, read.value

    def _damaged(self, why: str, at: int | None = None) -> LakeRefusal:
        number = self._first + (self.count if at is None else at)
        return LakeRefusal(
            f"event {number} of the feed is not as events are stored: {why}. The journal was damaged or altered there; "
            "a backup may have it whole"
        )

    def _part(self, part: _Part, field: str = _FIELDS[0]) -> bytes:
        size = ctypes.c_size_t()
        at = _library.suyuan_part(self._segment, _NUMBER_OF[field], part, ctypes.byref(size))
        return ctypes.string_at(at, size.value) if size.value else b""

    @property
    def leaves(self) -> bytes:
        """Their leaf hashes, 32 bytes each."""
        return self._part(_Part.LEAVES)

    def rows(self) -> pl.DataFrame:
        """Their rows, sorted by key, in the order of the feed within a key.

        Raises:
            LakeRefusal: one of them is of no kind that there is.
        """
        if not self.count:
            return pl.DataFrame(schema=SCHEMA_OF_ROWS)
        made = {column: self._column(field) for field, column in TEXTS.items()}
        made |= {column: self._column(column) for column in ("reasons", *NUMBERS)}
        feed = pl.int_range(self._first, self._first + self.count, dtype=pl.Int64, eager=True).alias("feed")
        day = ((pl.col("event_time") + _EIGHT) // _DAY).cast(pl.Int32).cast(pl.Date)
        frame = pl.DataFrame(made).with_columns(feed, day.alias("day"), *_of_key()).select(*SCHEMA_OF_ROWS)
        return frame.sort("key", maintain_order=True)

    def _column(self, field: str) -> pl.Series:
        role = ROLES[_NUMBER_OF[field]]
        values = self._part(_Part.VALUES, field)
        if role == "n":
            return _series(nanoarrow.int64(), self.count, values)
        if role == "b":
            return _series(nanoarrow.uint8(), self.count, values).cast(pl.Boolean)
        if role in "tj":
            return _texts(self.count, self._part(_Part.OFFSETS, field), values)
        offsets = self._part(_Part.WORD_OFFSETS, field)
        words = _texts(len(offsets) // 8 - 1, offsets, self._part(_Part.WORDS, field))
        numbers = _series(nanoarrow.uint32(), self.count, values)
        for number, word in enumerate(words if field in _ALLOWED else ()):
            if word not in _ALLOWED[field]:
                raise self._damaged(f"its {field} is {word!r}", (numbers == number).arg_max() or 0)
        return (_lists(words) if role == "l" else words.cast(pl.Categorical)).gather(numbers)


def root_of(leaves: bytes) -> bytes:
    """The root of the tree over leaf hashes that stand one after the other (`proof.tree.root_of`)."""
    if not leaves:
        return EMPTY
    root = ctypes.create_string_buffer(HASH)
    if not _library.suyuan_root(leaves, len(leaves) // HASH, root):
        raise MemoryError("there is no memory for the tree of a segment")
    return root.raw


def _series(kind: object, count: int, *buffers: bytes) -> pl.Series:
    return pl.Series(nanoarrow.c_array_from_buffers(kind, count, [None, *buffers]))


def _texts(count: int, offsets: bytes, texts: bytes) -> pl.Series:
    return _series(nanoarrow.large_string(), count, offsets, texts)


def _lists(joined: pl.Series) -> pl.Series:
    """Texts that are parted by blanks, as lists."""
    none = pl.lit([], dtype=pl.List(pl.String))
    parted = pl.when(pl.col("joined") == "").then(none).otherwise(pl.col("joined").str.split(" "))
    return joined.to_frame("joined").select(parted).to_series()


def _of_key() -> tuple[pl.Expr, pl.Expr]:
    """The code system and the product that stand in a key; most keys are of one system."""
    key = pl.col("key")
    common = key.str.starts_with("trace20:")
    other = pl.when(~common).then(key)
    system = pl.when(common).then(pl.lit("trace20")).otherwise(other.str.extract(r"^([^:]*)"))
    others_product = other.str.extract(r"^(?:lot:)?(trace20:\d{7}|(?:gs1|ma|ahm):[^:]+)").fill_null("")
    product = pl.when(common).then(key.str.head(len("trace20:") + 7)).otherwise(others_product)
    return (
        system.cast(pl.Categorical).alias("system"),
        product.cast(pl.Categorical).alias("product_key"),
    )
