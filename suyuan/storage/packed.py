"""How histories, batches and deadlines are laid out as stored bytes (`docs/stored-format.md`)."""

from collections.abc import Callable, Sequence
from struct import Struct

import msgspec

from suyuan.ledger.events import Event
from suyuan.storage.batch import Deadline
from suyuan.storage.refusals import JournalUnusable

STORED_VERSION = 1
CHUNK_EVENTS = 64

_ARRAY_16 = 0xDC  # the MessagePack sign of an array that gives its length in 16 bits
_ARRAY_32 = 0xDD  # likewise in 32 bits

_history_head = Struct(">BIIBH")  # version, sequence, spilled, array sign, events in this value
_batch_head = Struct(">BBI")  # version, array sign, events in the batch
_array_at = 9  # where the array of events begins in a history
_events_at = _history_head.size
_pack_head = _history_head.pack
_unpack_head = _history_head.unpack_from
_encode = msgspec.msgpack.Encoder().encode
_decode_events = msgspec.msgpack.Decoder(list[Event]).decode


def packed(event: Event) -> bytes:
    """One event as stored."""
    return _encode(event)


def sequence_of(value: bytes) -> int:
    """Number of events of the history; nothing stored is 0."""
    return _unpack_head(value)[1] if value else 0


def extended(value: bytes, event: bytes) -> tuple[bytes, bytes | None]:
    """The history with one more packed event; with the 64 events that now leave the value, if it was full."""
    if not value:
        return _pack_head(STORED_VERSION, 1, 0, _ARRAY_16, 1) + event, None
    version, sequence, spilled, _, count = _unpack_head(value)
    if version != STORED_VERSION:
        raise _unknown_version("history", version)
    if count < CHUNK_EVENTS:
        return _pack_head(STORED_VERSION, sequence + 1, spilled, _ARRAY_16, count + 1) + value[
            _events_at:
        ] + event, None
    head = _pack_head(STORED_VERSION, sequence + 1, spilled + CHUNK_EVENTS, _ARRAY_16, 1)
    return head + event, packed_batch(CHUNK_EVENTS, value[_events_at:])


class PackedHistory(msgspec.Struct, gc=False):
    """What is stored of one key, unpacked when somebody looks."""

    _value: bytes
    _key: str
    _chunks: Callable[[str, int], list[bytes]]
    """Reads the first so many spilled chunks of a key."""
    _tail: list[Event] | None = None

    @property
    def sequence(self) -> int:
        """Number of events so far."""
        value = self._value
        return _unpack_head(value)[1] if value else 0

    @property
    def tail(self) -> Sequence[Event]:
        """The events that have not spilled, oldest first: 1 to 64."""
        if self._tail is None:
            value = self._value
            if not value:
                self._tail = []
            elif value[0] != STORED_VERSION:
                raise _unknown_version(f"history of {self._key}", value[0])
            else:
                self._tail = _decode_events(value[_array_at:])
        return self._tail

    @property
    def events(self) -> Sequence[Event]:
        """All events, oldest first; reads what has spilled."""
        tail = self.tail
        spilled = _unpack_head(self._value)[2] if self._value else 0
        if not spilled:
            return tail
        older = self._chunks(self._key, spilled // CHUNK_EVENTS)
        return [event for chunk in older for event in unpacked_batch(chunk)] + list(tail)


def packed_batch(count: int, events: bytes) -> bytes:
    """So many packed events, one after the other, as one record: a batch of the log or a spilled chunk."""
    return _batch_head.pack(STORED_VERSION, _ARRAY_32, count) + events


def unpacked_batch(record: bytes) -> list[Event]:
    """The events of a batch of the log or of a spilled chunk."""
    if record[0] != STORED_VERSION:
        raise _unknown_version("batch", record[0])
    return _decode_events(record[1:])


def packed_events(events: Sequence[bytes]) -> list[Event]:
    """The events that are stored one by one."""
    return _decode_events(_ARRAY_32.to_bytes() + len(events).to_bytes(4, "big") + b"".join(events))


def batch_size(record: bytes) -> int:
    """Number of events of a batch, without unpacking it."""
    count: int = _batch_head.unpack_from(record)[2]
    return count


def batch_parts(record: bytes) -> tuple[int, bytes]:
    """Number of events of a batch, and the packed events one after the other."""
    version, _, count = _batch_head.unpack_from(record)
    if version != STORED_VERSION:
        raise _unknown_version("batch", version)
    return count, record[_batch_head.size :]


def chunk_key(key: str, number: int) -> bytes:
    """Where the chunk `number`, from 0, of a history's spilled events is stored."""
    return key.encode() + number.to_bytes(4, "big")


def deadline_key(deadline: Deadline) -> bytes:
    """Where an open deadline is stored; in order of time."""
    time, key, sequence = deadline
    return time.to_bytes(8, "big") + key.encode() + sequence.to_bytes(4, "big")


def deadline_of(stored: bytes) -> Deadline:
    """The deadline that is stored there."""
    return int.from_bytes(stored[:8], "big"), stored[8:-4].decode(), int.from_bytes(stored[-4:], "big")


def _unknown_version(what: str, version: int) -> JournalUnusable:
    return JournalUnusable(
        f"A stored {what} has version {version}; this program reads version {STORED_VERSION}. "
        "Use the program that wrote it, or restore a copy if no newer program ever wrote here."
    )
