"""What of an event is hashed: the open part in the open, all else under salts, the same for every version."""

import hashlib
import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from suyuan.ledger.events import Event, encoder
from suyuan.proof.leaf import FIELDS, Columns, canonical, leaf, leaf_hashes, leaf_hashes_of_columns, leaf_of

KEY = b"k" * 32
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


def test_a_leaf_tells_what_a_citizen_may_see_and_commits_to_the_rest() -> None:
    told = leaf(SALE, KEY)
    words = json.loads(told.text)
    assert words[:5] == ["suyuan leaf 1", "sale", SALE.key, SALE.event_time, SALE.arrived]
    assert words[5] == hashlib.sha256(told.place_salt + told.place).hexdigest()
    assert words[6] == hashlib.sha256(told.whole_salt + told.whole).hexdigest()
    assert json.loads(told.place) == ["P32010000001", "320102"]
    assert told.whole == encoder.encode(SALE)
    assert told.hash == hashlib.sha256(b"\0" + told.text).digest() == leaf_of(SALE, KEY)


def test_nothing_personal_stands_in_the_text_and_no_commitment_can_be_tried_out() -> None:
    told = leaf(SALE, KEY)
    for hidden in (SALE.person, SALE.prescriber, SALE.document, SALE.fund, SALE.actor, SALE.region, "S0017", "claimed"):
        assert hidden.encode() not in told.text
    assert told.place_salt != told.whole_salt
    other = leaf(SALE, b"j" * 32)
    assert not {told.place_salt, told.whole_salt} & {other.place_salt, other.whole_salt}
    # The same place twice looks like two places.
    again = leaf(msgspec.structs.replace(SALE, id="18f0aabbccdd1-ab12cd-20"), KEY)
    assert json.loads(again.text)[5] != json.loads(told.text)[5]


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    return {**value, "more": "1"} if isinstance(value, dict) else (*value, "held") if isinstance(value, tuple) else 1


def test_a_change_of_any_field_changes_the_leaf() -> None:
    hashes = {leaf_of(SALE, KEY)}
    for field in msgspec.structs.fields(Event):
        hashes.add(leaf_of(msgspec.structs.replace(SALE, **{field.name: _other(getattr(SALE, field.name))}), KEY))
    assert len(hashes) == len(msgspec.structs.fields(Event)) + 1


class Later(Event, frozen=True, array_like=True, gc=False):
    """The record as a later version may have it."""

    more: str = ""


def test_an_event_written_by_a_later_version_with_nothing_new_has_the_same_leaf() -> None:
    fields = {field.name: getattr(SALE, field.name) for field in msgspec.structs.fields(Event)}
    first = encoder.encode(SALE)
    short = msgspec.msgpack.encode(msgspec.msgpack.decode(first)[:30])
    assert canonical(first) == first
    assert msgspec.msgpack.decode(canonical(short))[:30] == msgspec.msgpack.decode(short)
    assert len(msgspec.msgpack.decode(canonical(short))) == FIELDS
    later = encoder.encode(Later(**fields))
    assert later != first
    assert canonical(later) == first


@given(st.lists(st.sampled_from(["sold", "claimed", "returned", "packed", "alerted"]), max_size=6))
def test_many_at_once_are_each_alone(kinds: list[str]) -> None:
    events = [msgspec.structs.replace(SALE, kind=kind, id=f"{number:x}") for number, kind in enumerate(kinds)]
    raws = [encoder.encode(event) for event in events]
    alone = [leaf_of(event, KEY) for event in events]
    names = ("id", "kind", "key", "event_time", "arrived", "actor", "region")
    columns = Columns(*([getattr(event, name) for event in events] for name in names))
    assert leaf_hashes(events, raws, KEY) == alone
    assert leaf_hashes_of_columns(columns, raws, KEY) == alone
