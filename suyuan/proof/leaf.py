"""What of an event is hashed, and how: what a citizen may see in the open, all else as salted commitments.

A leaf is a line of JSON: the words `suyuan leaf 1`, what happened, the key, event time, arrival, and two commitments.
One is to the place (actor and region), one to the whole event as it is stored. Each has a salt of its own, so that a
proof can tell one and keep the other. Salts are made from a secret and the event's id: nothing is stored for them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from suyuan.ledger.events import Event, decoder, encoder
from suyuan.proof.tree import leaf_hash

NAME = "suyuan leaf 1"
SALT = 16
"""Bytes of a salt: too many to try."""
FIELDS = 39
"""Fields of the event that are always part of it; later ones only where they say something."""
_HEADER = b"\xdc\x00\x27"
"""How MessagePack begins an array of so many."""


def _default(field: msgspec.structs.FieldInfo) -> object:
    made = field.default_factory
    return made() if callable(made) else field.default


_LATER = msgspec.structs.fields(Event)[FIELDS:]
_DEFAULTS = [b"" if field.required else encoder.encode(_default(field)) for field in msgspec.structs.fields(Event)]
"""What each field holds that says nothing, in MessagePack."""

WHAT = {
    "sold": "sale",
    "claimed": "sale",
    "returned": "undone",
    "cancelled": "undone",
    "reversed": "undone",
}
"""The word of a leaf for what happened; a citizen is not told whether a sale was paid for by insurance."""

_json = msgspec.json.Encoder().encode


class Leaf(NamedTuple):
    """A leaf with what opens it."""

    text: bytes
    place: bytes
    """Actor and region, as the commitment has them."""
    place_salt: bytes
    whole: bytes
    """The whole event in MessagePack."""
    whole_salt: bytes

    @property
    def hash(self) -> bytes:
        """What stands in the tree."""
        return leaf_hash(self.text)


def leaf(event: Event, salt_key: bytes) -> Leaf:
    """The leaf of an event; `salt_key` is the node's secret for salts."""
    place_salt, whole_salt = salts(event.id, salt_key)
    place, whole = _json((event.actor, event.region)), canonical(encoder.encode(event))
    text = _json(
        (
            NAME,
            WHAT.get(event.kind, event.kind),
            event.key,
            event.event_time,
            event.arrived,
            hashlib.sha256(place_salt + place).hexdigest(),
            hashlib.sha256(whole_salt + whole).hexdigest(),
        )
    )
    return Leaf(text, place, place_salt, whole, whole_salt)


def leaf_of(event: Event, salt_key: bytes) -> bytes:
    """The leaf hash of an event."""
    return leaf(event, salt_key).hash


def leaf_hashes(events: Iterable[Event], raws: Iterable[bytes], salt_key: bytes) -> list[bytes]:
    """The leaf hashes of many events whose stored MessagePack is at hand; what sealing spends its time on."""
    sha256, blake2b, what_of = hashlib.sha256, hashlib.blake2b, WHAT.get
    hashes = []
    for event, stored in zip(events, raws, strict=True):
        salt = blake2b(salt_key + event.id.encode()).digest()
        place = sha256(salt[:16] + _json((event.actor, event.region))).hexdigest()
        whole = sha256(salt[16:32] + (stored if stored[:3] == _HEADER else canonical(stored))).hexdigest()
        kind = event.kind
        text = _json((NAME, what_of(kind, kind), event.key, event.event_time, event.arrived, place, whole))
        hashes.append(sha256(b"\x00" + text).digest())
    return hashes


class Columns(NamedTuple):
    """Many events as columns, each in the same order."""

    ids: Sequence[str]
    kinds: Sequence[str]
    keys: Sequence[str]
    event_times: Sequence[int]
    arrived: Sequence[int]
    actors: Sequence[str]
    regions: Sequence[str]


def leaf_hashes_of_columns(columns: Columns, raws: Iterable[bytes], salt_key: bytes) -> list[bytes]:
    """The same for events that are at hand as columns."""
    sha256, blake2b, what_of = hashlib.sha256, hashlib.blake2b, WHAT.get
    hashes = []
    for ident, kind, key, event_time, arrived, actor, region, stored in zip(*columns, raws, strict=True):
        salt = blake2b(salt_key + ident.encode()).digest()
        place = sha256(salt[:16] + _json((actor, region))).hexdigest()
        whole = sha256(salt[16:32] + (stored if stored[:3] == _HEADER else canonical(stored))).hexdigest()
        text = _json((NAME, what_of(kind, kind), key, event_time, arrived, place, whole))
        hashes.append(sha256(b"\x00" + text).digest())
    return hashes


def salts(ident: str, salt_key: bytes) -> tuple[bytes, bytes]:
    """The salts of an event's place and of the whole of it; keyed BLAKE2b by prefix, for it cannot be lengthened."""
    digest = hashlib.blake2b(salt_key + ident.encode()).digest()
    return digest[:SALT], digest[SALT : 2 * SALT]


def canonical(stored: bytes) -> bytes:
    """An event's MessagePack, the same whatever version of the program wrote it.

    Fields that came after the first 39 are left out from the end while they hold their default.
    """
    if stored[:3] == _HEADER:
        return bytes(stored)
    count = int.from_bytes(stored[1:3], "big") if stored[:1] == b"\xdc" else 0
    if 0 < count < FIELDS:
        return _HEADER + stored[3:] + b"".join(_DEFAULTS[count:FIELDS])
    event = decoder.decode(stored)
    encoded = encoder.encode(event)
    kept = len(_LATER)
    while kept and getattr(event, _LATER[kept - 1].name) == _default(_LATER[kept - 1]):
        encoded = encoded.removesuffix(_DEFAULTS[FIELDS + kept - 1])
        kept -= 1
    return b"\xdc" + (FIELDS + kept).to_bytes(2, "big") + encoded[3:]
