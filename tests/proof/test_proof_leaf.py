"""What of an event is hashed: the open part in the open, all else under salts, the same for every version."""

import hashlib
import json

import msgspec

from suyuan.ledger.events import Event, encoder
from suyuan.proof.leaf import BLOCK, FIELDS, canonical, leaf, salts

KEY = b"k" * 32
CLINIC = "H32010000009"
SALE = Event(
    version=1,
    id="18f0aabbccdd1-ab12cd-1f",
    kind="claimed",
    key="trace20:81234560000000000001",
    sequence=3,
    event_time=1_700_000_000_000_000,
    arrived=1_700_000_100_000_000,
    actor="P32010000001",
    place="W7",
    region="320102",
    references={"receipt": "S0017"},
    price=12_500_000,
    fund="employee",
    person="p1-0123456789abcdef01234567",
    prescriber="p1-fedcba9876543210fedcba98",
    document="d" * 32,
    software="x/y/1",
    detail={"reason": ""},
)
PRIVATE = (SALE.person, SALE.prescriber, SALE.document, SALE.fund, SALE.place, "S0017", "claimed", "12500000")


def test_a_leaf_tells_what_a_citizen_may_see_and_commits_to_the_rest() -> None:
    told = leaf(SALE, 7, KEY, hidden=False)
    words = json.loads(told.text)
    assert words[:5] == ["suyuan leaf 1", "sale", SALE.key, SALE.event_time, SALE.arrived]
    assert words[5:] == [SALE.actor, SALE.region, hashlib.sha256(told.salt + told.whole).hexdigest()]
    assert told.whole == encoder.encode(SALE)
    assert told.hash == hashlib.sha256(b"\0" + told.text).digest()


def test_a_place_that_is_not_told_can_be_opened_alone() -> None:
    told = leaf(SALE, 7, KEY, hidden=True)
    words = json.loads(told.text)
    assert words[5:7] == ["", ""]
    assert words[8] == hashlib.sha256(told.place_salt + told.place).hexdigest()
    assert json.loads(told.place) == [SALE.actor, SALE.region]
    assert SALE.actor.encode() not in told.text
    assert SALE.region.encode() not in told.text.replace(words[7].encode(), b"").replace(words[8].encode(), b"")


def test_nothing_personal_stands_in_the_text_and_no_commitment_can_be_tried_out() -> None:
    told = leaf(SALE, 7, KEY, hidden=False)
    for private in PRIVATE:
        assert private.encode() not in told.text
    # Another secret or another number makes other salts: the same place or event twice looks like two.
    for other in (leaf(SALE, 7, b"j" * 32, hidden=True), leaf(SALE, 8, KEY, hidden=True)):
        assert other.salt != told.salt
        assert not set(json.loads(other.text)[7:]) & set(json.loads(leaf(SALE, 7, KEY, hidden=True).text)[7:])


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    return {**value, "more": "1"} if isinstance(value, dict) else (*value, "held") if isinstance(value, tuple) else 1


def test_a_change_of_any_field_changes_the_leaf() -> None:
    hashes = {leaf(SALE, 7, KEY, hidden=False).hash}
    for field in msgspec.structs.fields(Event):
        changed = msgspec.structs.replace(SALE, **{field.name: _other(getattr(SALE, field.name))})
        hashes.add(leaf(changed, 7, KEY, hidden=False).hash)
    assert len(hashes) == len(msgspec.structs.fields(Event)) + 1


class Later(Event, frozen=True, array_like=True, gc=False):
    """The record as a later version may have it."""

    more: str = ""


def written_earlier(event: Event) -> bytes:
    """The event as a version wrote it that knew two fields less."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(encoder.encode(event))[:37])


def test_an_event_written_by_an_earlier_or_later_version_has_the_same_leaf() -> None:
    fields = {field.name: getattr(SALE, field.name) for field in msgspec.structs.fields(Event)}
    now = encoder.encode(SALE)
    earlier = written_earlier(SALE)
    later = encoder.encode(Later(**fields))
    assert len(msgspec.msgpack.decode(now)) == FIELDS
    assert now not in {earlier, later}
    assert canonical(now) == canonical(earlier) == canonical(later) == now


def test_salts_are_the_same_in_whatever_runs_they_are_made() -> None:
    whole = salts(KEY, 0, 3 * BLOCK)
    assert len({whole[at : at + 16] for at in range(0, len(whole), 16)}) == 3 * BLOCK
    for first, count in ((0, 1), (BLOCK - 1, 2), (5, 2 * BLOCK), (BLOCK, BLOCK), (7, 0)):
        assert salts(KEY, first, count) == whole[16 * first : 16 * (first + count)]
