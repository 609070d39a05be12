"""Slices: a part of a province's feed on its way to the nation, compressed, chained to the one before."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from suyuan.ledger.events import RECORD_VERSION, Event, Number, decoder, encoder
from suyuan.relay.messages import Unreadable

EVENTS_MAX = 2_000
"""Events of one slice, and so of one append at the nation."""
UNPACKED_BYTES_MAX = 64_000_000
PACKED_LEVEL = 3
"""Of zlib: half the time of its default, for 5 % more bytes."""
_FIELDS = len(Event.__struct_fields__)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a message `slice`; its hash is that of the body, and the next one names it."""

    number: int
    """From 1 without gaps."""
    before: str
    """Hash of the slice before; empty for the first."""
    position: str
    """Where the sender goes on after it; the nation keeps it and does not read it."""
    last: str
    """Id of its last event, by which a restored sender notices that it is not the same any more."""
    events: int
    size: int
    """Bytes of the events, unpacked."""
    packed: bytes


_slices = msgspec.msgpack.Decoder(Slice)
_raw_events = msgspec.msgpack.Decoder(list[msgspec.Raw])


def packed_events(events: Sequence[Event]) -> tuple[bytes, int]:
    """Events as they are sent, and their size before."""
    raw = msgspec.msgpack.encode([msgspec.Raw(encoder.encode(event)) for event in events])
    return zlib.compress(raw, PACKED_LEVEL), len(raw)


def unpacked(packed: bytes, size: int) -> bytes:
    """What was compressed, never more than it says and than is taken.

    Raises:
        Unreadable: it is damaged or larger.
    """
    if not 0 <= size <= UNPACKED_BYTES_MAX:
        raise Unreadable(f"{size} bytes; at most {UNPACKED_BYTES_MAX} are taken at once")
    opened = zlib.decompressobj()
    try:
        raw = opened.decompress(packed, size + 1)
    except zlib.error as error:
        raise Unreadable(f"the slice cannot be unpacked: {error}") from error
    if len(raw) != size:
        raise Unreadable("the slice does not hold as many bytes as it says")
    return raw


class Told(NamedTuple):
    """What a slice says, as far as this program can read it."""

    events: list[Event]
    beyond: list[list[Any]]
    """Fields that a newer program put behind those known here, as [id, fields]; kept with the slice."""


def read_slice(body: bytes) -> Slice:
    """The slice in the body of a message.

    Raises:
        Unreadable: there is none.
    """
    try:
        return _slices.decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"no slice: {error}") from error


def read_events(one: Slice) -> Told:
    """The events of a slice. What this program does not know yet is kept whole, and never stops the rest.

    Raises:
        Unreadable: damaged, or not as many as it says.
    """
    try:
        raws = _raw_events.decode(unpacked(one.packed, one.size))
        events, beyond = [], []
        for raw in raws:
            event, more = _event(bytes(raw))
            events.append(event)
            if more:
                beyond.append([event.id, more])
    except msgspec.MsgspecError as error:
        raise Unreadable(f"the slice holds no events: {error}") from error
    if len(events) != one.events:
        raise Unreadable(f"the slice holds {len(events)} events and says {one.events}")
    return Told(events, beyond)


def _event(raw: bytes) -> tuple[Event, list[Any]]:
    """An event, and the fields behind those known here."""
    more: list[Any] = msgspec.msgpack.decode(raw)[_FIELDS:] if _length(raw) > _FIELDS else []
    try:
        event = decoder.decode(raw)
    except msgspec.ValidationError:
        return _unknown(raw), []
    return (event, more) if event.version <= RECORD_VERSION else (_unknown(raw), [])


def _length(raw: bytes) -> int:
    """How many fields a MessagePack array has."""
    if raw[:1] == b"\xdc":
        return int.from_bytes(raw[1:3], "big")
    return raw[0] & 0x0F if raw[:1] and 0x90 <= raw[0] <= 0x9F else 0  # noqa: PLR2004  MessagePack's own signs


class _Begin(msgspec.Struct, frozen=True, array_like=True):
    """The first fields of an event of any version: these never change their place."""

    version: int
    id: str
    kind: str
    key: str
    sequence: Number
    event_time: Number
    arrived: Number
    actor: str


_begins = msgspec.msgpack.Decoder(_Begin)


def _unknown(raw: bytes) -> Event:
    """An event of a kind or version that is not known yet: its place is kept, and all of it is in its detail."""
    begin = _begins.decode(raw)
    return Event(
        RECORD_VERSION,
        begin.id,
        "relayed",
        begin.key,
        begin.sequence,
        begin.event_time,
        begin.arrived,
        begin.actor,
        detail={"kind": begin.kind, "event": msgspec.msgpack.decode(raw)},
    )
