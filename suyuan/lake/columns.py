"""Events as columns: what a row of the lake says, and how stored events become such rows at the speed of sealing.

Python touches each event as little as it can: msgspec unpacks some hundred events into tuples (few, so that they stay
in the processor's cache), the tuples are turned into columns, and each column of text becomes one long text that polars
takes apart again. That is several times cheaper than handing polars ten million small texts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from suyuan.ledger.events import Event

SCHEMA = 1
"""Raised when a column is added or changes its meaning; columns are never taken away."""

NAMES = "kind key actor place region status verdict counterparty line product parent lot expiry fund person prescriber"
TEXTS = {
    **{name: name for name in (*NAMES.split(), "software", "alert", "origin")},
    "references": "refs",  # a word that SQL keeps for itself
}
"""Field of the event → column of text."""
VARIED = frozenset({"key", "line", "person", "refs"})
"""Columns of text with about as many values as rows; the others are kept as numbers of a short list of values."""
NUMBERS: dict[str, Any] = {
    "sequence": pl.Int64,
    "event_time": pl.Int64,
    "arrived": pl.Int64,
    "relates": pl.Int64,
    "corrects": pl.Int64,
    "drawn": pl.Boolean,
    "n": pl.Int64,
    "m": pl.Int64,
    "price": pl.Int64,
    "joins": pl.Int64,
}
"""Field of the event, and column: its type."""

SCHEMA_OF_ROWS: dict[str, Any] = {
    "feed": pl.Int64,
    "day": pl.Date,
    "system": pl.String,
    "product_key": pl.String,
    **dict.fromkeys(TEXTS.values(), pl.String),
    "reasons": pl.List(pl.String),
    **NUMBERS,
}
"""Every column with its type, as it is read. `docs/lake.md` says what each means."""

PERSONAL = ("person", "prescriber")
"""Columns of pseudonyms: who asks by hand sees them only with a reason that is recorded."""

LATER: dict[str, str] = {}
"""Column that came after schema 1 → what it says, in SQL, of rows sealed before it came."""

FLUSH = 1 << 16
"""Events whose texts wait as long texts before polars takes them apart."""
_APART = "\x1f"
_FIELDS = msgspec.structs.fields(Event)
_USED = {*TEXTS, *NUMBERS, "reasons"}
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_EIGHT = 8 * _HOUR
"""China is eight hours ahead of UTC."""
_lines = msgspec.json.Encoder().encode_lines


def _unpacker(fields: int) -> msgspec.msgpack.Decoder[list[tuple[Any, ...]]]:
    """Unpacks arrays of so many fields; what the lake does not keep stays packed."""
    types = tuple(field.type if field.name in _USED else msgspec.Raw for field in _FIELDS[:fields])
    row: Any = tuple
    rows: Any = list
    return msgspec.msgpack.Decoder(rows[row[types]])


_ALL = len(_FIELDS)
_BEFORE_ORIGIN = [field.name for field in _FIELDS].index("origin")
_UNPACKERS = {fields: _unpacker(fields).decode for fields in range(_BEFORE_ORIGIN, _ALL + 1)}
_tolerant = msgspec.msgpack.Decoder(list[Event]).decode
_apart = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

Columns = dict[str, Sequence[Any]]
"""Field → its values in the order of the feed."""


def apart(count: int, events: bytes) -> list[msgspec.Raw]:
    """So many packed events, one by one as they are stored.

    Raises:
        msgspec.MsgspecError: they are not so many.
    """
    return _apart(_array(count, events))


def unpacked(stored: Sequence[bytes | msgspec.Raw]) -> Columns:
    """Packed events as columns; few at once, for the processor's cache.

    Raises:
        msgspec.MsgspecError: they are not events.
    """
    count, events = len(stored), b"".join(stored)
    array = _array(count, events)
    fields = int.from_bytes(events[1:3], "big") if events[:1] == b"\xdc" else 0
    unpack = _UNPACKERS.get(fields)
    if unpack is not None:
        try:
            rows = unpack(array)
        except msgspec.ValidationError:  # events of several releases in one page
            rows = [msgspec.structs.astuple(event) for event in _tolerant(array)]
    else:
        rows = [msgspec.structs.astuple(event) for event in _tolerant(array)]
    columns: Columns = {field.name: values for field, values in zip(_FIELDS, zip(*rows, strict=True), strict=False)}
    for field in _FIELDS[len(columns) :]:  # of an earlier release
        columns[field.name] = (field.default,) * count
    return columns


def _array(count: int, events: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + events


class Texts:
    """One column of text on its way from Python to polars."""

    def __init__(self, apart: str = _APART) -> None:
        self._apart = apart
        self._joined: list[str] = []
        self._count = 0
        self._empty = True
        self._done: list[pl.Series] = []

    def add(self, values: Sequence[str]) -> None:
        """Take in the next values."""
        joined = self._apart.join(values)
        if len(joined) >= len(values) and joined.count(self._apart) != len(values) - 1:
            self._finish()  # a value holds the sign that would keep them apart
            self._done.append(pl.Series(values, dtype=pl.String))
        else:
            self.add_joined(joined, len(values))

    def add_joined(self, joined: str, count: int) -> None:
        """Take in the next so many values, which hold no such sign, as one text."""
        self._joined.append(joined)
        self._count += count
        self._empty = self._empty and len(joined) == count - 1

    def take(self) -> pl.Series:
        """All values so far; the next one begins anew."""
        self._finish()
        done, self._done = self._done, []
        return done[0] if len(done) == 1 else pl.concat(done) if done else pl.Series([], dtype=pl.String)

    def _finish(self) -> None:
        if not self._count:
            return
        if self._empty:
            series = pl.repeat("", self._count, dtype=pl.String, eager=True)
        else:
            series = pl.Series(self._joined, dtype=pl.String).str.split(self._apart).explode()
        assert len(series) == self._count, "every value comes out again"
        self._done.append(series)
        self._joined, self._count, self._empty = [], 0, True


class Frames:
    """Rows of the lake, gathered from columns of events."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting = 0
        self._texts = {column: Texts("\n" if column == "refs" else _APART) for column in TEXTS.values()}
        self._reasons = Texts()
        self._numbers: dict[str, list[Any]] = {column: [] for column in NUMBERS}
        self._frames: list[pl.DataFrame] = []

    def add(self, count: int, columns: Columns) -> None:
        """Take in the next so many events."""
        for field, column in TEXTS.items():
            if column == "refs":  # JSON has no line break in it
                self._texts[column].add_joined(_lines(columns[field]).decode()[:-1], count)
            else:
                self._texts[column].add(columns[field])
        self._reasons.add([" ".join(reasons) if reasons else "" for reasons in columns["reasons"]])
        for column, numbers in self._numbers.items():
            numbers.extend(columns[column])
        self.count += count
        self._waiting += count
        if self._waiting >= FLUSH:
            self._flush()

    def rows(self, first: int) -> pl.DataFrame:
        """All of them, sorted by key; `first` is the number of the first event in the feed."""
        self._flush()
        if not self._frames:
            return pl.DataFrame(schema=SCHEMA_OF_ROWS)
        frame = pl.concat(self._frames)
        self._frames = []
        feed = pl.int_range(first, first + self.count, dtype=pl.Int64, eager=True).alias("feed")
        day = ((pl.col("event_time") + _EIGHT) // _DAY).cast(pl.Int32).cast(pl.Date)
        frame = frame.with_columns(feed, day.alias("day"), *_of_key()).select(*SCHEMA_OF_ROWS)
        return frame.sort("key", maintain_order=True)  # the order of the feed within a key

    def _flush(self) -> None:
        if not self._waiting:
            return
        made = {}
        for column, texts in self._texts.items():
            series = texts.take()
            made[column] = series if column in VARIED else series.cast(pl.Categorical)
        made["reasons"] = self._reasons.take()
        for column, values in self._numbers.items():
            made[column] = pl.Series(values, dtype=NUMBERS[column])
            values.clear()
        none = pl.lit([], dtype=pl.List(pl.String))
        said = pl.when(pl.col("reasons") == "").then(none).otherwise(pl.col("reasons").str.split(" "))
        self._frames.append(pl.DataFrame(made).with_columns(said.alias("reasons")))
        self._waiting = 0


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
