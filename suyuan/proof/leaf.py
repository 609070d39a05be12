"""What of an event is hashed, and how: what a citizen may see in the open, all else as salted commitments.

A leaf is a line of JSON: the words `suyuan leaf 1`, what happened, the key, event time, arrival, actor, region, and a
commitment to the whole event as it is stored. Where the actor is a place that citizens are not told, actor and region
are empty and a commitment to them follows. Salts are made from a secret and the event's number in the feed: nothing is
stored for them, and a proof can tell one thing and keep the other. Sealing makes the same in C (`lake.columns`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from suyuan.catalogue.content import Content
from suyuan.ledger.events import Event, decoder, encoder
from suyuan.proof.chain import Segment
from suyuan.proof.tree import leaf_hash

NAME = "suyuan leaf 1"
SALT = 16
"""Bytes of a salt: too many to try."""
BLOCK = 1024
"""Events whose salts are made by one call."""
FIELDS = 39
"""Fields of the event that are always part of it; later ones only where they say something."""
_HEADER = b"\xdc\x00\x27"
"""How MessagePack begins an array of so many."""

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
    whole: bytes
    """The whole event in MessagePack."""
    salt: bytes
    place: bytes = b""
    """Actor and region where they are kept."""

    @property
    def hash(self) -> bytes:
        """What stands in the tree."""
        return leaf_hash(self.text)

    @property
    def place_salt(self) -> bytes:
        """Opens the place and nothing else."""
        return place_salt(self.salt)


def leaf(event: Event, number: int, salt_key: bytes, *, hidden: bool) -> Leaf:
    """The leaf of the event with this number in the feed, from 0; `hidden` where its actor is not told."""
    salt, whole = salts(salt_key, number, 1), canonical(encoder.encode(event))
    place = _json((event.actor, event.region)) if hidden else b""
    text = _text(
        (WHAT.get(event.kind, event.kind), event.key, event.event_time, event.arrived, event.actor, event.region),
        hashlib.sha256(salt + whole).hexdigest(),
        hashlib.sha256(place_salt(salt) + place).hexdigest() if hidden else "",
    )
    return Leaf(text, whole, salt, place)


def numbers_of(event: Event, line: Segment, hashes: Sequence[bytes], salt_key: bytes) -> Iterator[int]:
    """The numbers in the feed under which an event stands in a segment, found by its leaf alone: one, or none."""
    sha256, whole = hashlib.sha256, canonical(encoder.encode(event))
    told = (WHAT.get(event.kind, event.kind), event.key, event.event_time, event.arrived, event.actor, event.region)
    place, made = _json((event.actor, event.region)), salts(salt_key, line.first, line.events)
    for index, found in enumerate(hashes):
        salt = made[index * SALT : (index + 1) * SALT]
        commitment = sha256(salt + whole).hexdigest()
        if leaf_hash(_text(told, commitment, "")) == found or found == leaf_hash(
            _text(told, commitment, sha256(place_salt(salt) + place).hexdigest())
        ):
            yield line.first + index


def _text(told: tuple[str, str, int, int, str, str], whole: str, place: str) -> bytes:
    return _json((NAME, *told[:4], "", "", whole, place) if place else (NAME, *told, whole))


def salts(salt_key: bytes, first: int, count: int) -> bytes:
    """The salts of a run of events, 16 bytes each: SHAKE-128 of the secret and the number of their block."""
    block, skipped = divmod(first, BLOCK)
    made = b"".join(_block(salt_key, each) for each in range(block, (first + count - 1) // BLOCK + 1))
    return made[skipped * SALT : (skipped + count) * SALT]


@lru_cache(maxsize=2)  # runs are shorter than a block
def _block(salt_key: bytes, number: int) -> bytes:
    return hashlib.shake_128(salt_key + number.to_bytes(8, "big")).digest(BLOCK * SALT)


def place_salt(salt: bytes) -> bytes:
    """The salt of an event's place, from which that of the whole cannot be told."""
    return hashlib.sha256(b"place" + salt).digest()[:SALT]


def hidden_places(content: Content) -> frozenset[str]:
    """The institutions whose name and place citizens are not told, by any of their rows."""
    return frozenset(party.code for party in content.parties if party.sensitive)


def canonical(stored: bytes) -> bytes:
    """An event's MessagePack, the same whatever version of the program wrote it.

    The first 39 fields are always there; those that came later are left out from the end while they hold their default.
    """
    if stored[:3] == _HEADER:
        return stored
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


def _default(field: msgspec.structs.FieldInfo) -> object:
    made = field.default_factory
    return made() if callable(made) else field.default


_LATER = msgspec.structs.fields(Event)[FIELDS:]
_DEFAULTS = [b"" if field.required else encoder.encode(_default(field)) for field in msgspec.structs.fields(Event)]
"""What each field holds that says nothing, in MessagePack."""
