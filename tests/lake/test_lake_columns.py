"""Columns and leaf hashes made in C say what Python says of each event, and bytes that are no events are refused."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suyuan.lake.columns import LIBRARY, ROLES, TOLD, Columns, root_of
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.schema import NUMBERS, SCHEMA_OF_ROWS, TEXTS
from suyuan.ledger.events import RECORD_VERSION, Event, Number, encoder
from suyuan.proof import tree
from suyuan.proof.leaf import FIELDS, WHAT, leaf

KEY = b"k" * 32
HIDDEN = "H44010000001"
NATIVE = LIBRARY.parent

text = st.text(max_size=40) | st.sampled_from(["", HIDDEN, 'say "\\"\b\f\n\r\t\x00\x1f\x7f', "溯源\u2028𝕊", "x" * 300])
number = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 127, 128, 255, 65536, -32, -33, -129, 1 << 32])
anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | number | text | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(text, inner, max_size=20),
    max_leaves=30,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "version": st.just(RECORD_VERSION),
    "kind": st.sampled_from([*WHAT, "packed", "due"]),
    "verdict": st.sampled_from(["", "pay", "hold"]),
    "reasons": st.lists(st.sampled_from(["held", "expired", "unmapped"]), max_size=20).map(tuple),
    "references": st.dictionaries(text, text, max_size=20),
    "drawn": st.booleans(),
    "detail": anything,
}


def _values_of(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    return VALUES.get(field.name, number if field.type is Number else text)


events_of_any_kind = st.lists(
    st.builds(Event, **{field.name: _values_of(field) for field in msgspec.structs.fields(Event)}), max_size=5
)


def packed(event: Event, release: int = 0) -> bytes:
    """An event as this release stores it; as an earlier one did, or a later one will."""
    values = msgspec.msgpack.decode(encoder.encode(event))
    return msgspec.msgpack.encode(values[:release] if release < 0 else [*values, *["new"] * release])


def columns_of(stored: list[bytes], first: int = 0, hidden: str = HIDDEN) -> Columns:
    columns = Columns(first, KEY, [hidden])
    columns.take(len(stored), b"".join(stored))
    return columns


def row_of(event: Event, feed: int) -> dict[str, Any]:
    """What a row is to say of an event, but for what is derived from it."""
    said = {column: getattr(event, field) for field, column in TEXTS.items()}
    said |= {name: getattr(event, name) for name in NUMBERS}
    return {**said, "feed": feed, "refs": msgspec.json.encode(event.references).decode(), "reasons": [*event.reasons]}


@settings(max_examples=30)
@given(events_of_any_kind, st.integers(0, 1 << 40))
def test_rows_and_leaves_of_many_are_those_of_each_alone(events: list[Event], first: int) -> None:
    events = [msgspec.structs.replace(event, event_time=event.event_time >> 8) for event in events]  # a day that exists
    columns = columns_of([*map(encoder.encode, events)], first)
    alone = [leaf(event, first + at, KEY, hidden=event.actor == HIDDEN).hash for at, event in enumerate(events)]
    assert columns.leaves == b"".join(alone)
    rows = columns.rows().sort("feed").select(list(SCHEMA_OF_ROWS)).to_dicts()
    told = [row_of(event, first + at) for at, event in enumerate(events)]
    assert [{name: row[name] for name in said} for row, said in zip(rows, told, strict=True)] == told


@settings(max_examples=15)
@given(events_of_any_kind, st.randoms(use_true_random=False))
def test_events_of_earlier_and_later_releases_are_taken_among_those_of_today(
    events: list[Event], random: Random
) -> None:
    of_today = [
        msgspec.structs.replace(event, event_time=7, origin="", alert="") for event in events
    ]  # the last two fields, which the earlier release had not
    mixed = columns_of([packed(event, random.choice((-2, -1, 0, 0, 1))) for event in of_today])
    alone = columns_of([*map(encoder.encode, of_today)])
    assert mixed.leaves == alone.leaves
    assert mixed.rows().equals(alone.rows())


def test_a_column_with_a_hundred_thousand_different_words_keeps_each() -> None:
    event = Event(RECORD_VERSION, "1", "sold", "trace20:1", 1, 1, 1, "P1")
    lots = [f"L{number * 7 % 100_003}" for number in range(100_000)] * 2
    columns = columns_of([encoder.encode(msgspec.structs.replace(event, lot=lot)) for lot in lots])
    assert columns.rows()["lot"].cast(str).to_list() == lots


GOOD = [
    encoder.encode(
        Event(
            RECORD_VERSION,
            f"{number:x}",
            "claimed",
            f"trace20:{number}",
            1,
            2,
            3,
            "P1",
            reasons=("held",),
            references={"visit": "第 1 号"},
            price=1 << 40,
            detail={"lines": [1, -2, 3.5, None, True, b"x", {"a": []}]},
        )
    )
    for number in range(3)
]


def damaged(random: Random) -> bytes:
    """Three events, of which some bytes were altered, cut or put in."""
    whole = bytearray(b"".join(GOOD))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(whole))
        match random.randrange(4):
            case 0:
                whole[at] = random.randrange(256)
            case 1:
                whole[at] ^= 1 << random.randrange(8)
            case 2:
                del whole[at : at + random.randint(1, 9)]
            case _:
                whole[at:at] = random.randbytes(random.randint(1, 9))
    return bytes(whole)


def _keys(columns: Columns) -> list[str]:
    return columns.rows().sort("feed")["key"].to_list()


def test_damaged_events_are_refused_or_read_as_python_reads_them() -> None:
    random, taken = Random(1), 0
    for _ in range(1_000):
        stored = damaged(random)
        columns = Columns(0, KEY, [])
        with suppress(LakeRefusal):
            columns.take(3, stored)
            taken += 1
            values = msgspec.msgpack.decode(b"\x93" + stored, type=list[list[msgspec.Raw]])
            assert _keys(columns) == [msgspec.msgpack.decode(value[3]) for value in values]
    assert 0 < taken < 1_000


WRONG = [
    ("key", 1),
    ("key", b"x"),
    ("price", "1"),
    ("price", 1 << 63),
    ("price", 1.5),
    ("drawn", 1),
    ("lot", None),
    ("reasons", [1]),
    ("references", {"a": 1}),
    ("references", ["a"]),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_an_event_with_a_field_of_another_type_is_named_by_its_number(field: str, value: object) -> None:
    values = msgspec.msgpack.decode(GOOD[0])
    values[[each.name for each in msgspec.structs.fields(Event)].index(field)] = value
    columns = Columns(7, KEY, [])
    with pytest.raises(LakeRefusal, match=r"event 8 of the feed is not as .* stored: a field is not of its type"):
        columns.take(2, GOOD[0] + msgspec.msgpack.encode(values))
    assert columns.count == 1


@pytest.mark.parametrize(("field", "value"), [("kind", "bogus"), ("verdict", "perhaps")])
def test_an_event_of_no_kind_that_there_is_is_named_by_its_number(field: str, value: str) -> None:
    values = msgspec.msgpack.decode(GOOD[1])
    values[[each.name for each in msgspec.structs.fields(Event)].index(field)] = value
    columns = columns_of([GOOD[0], msgspec.msgpack.encode(values)], 7)
    with pytest.raises(LakeRefusal, match=f"event 8 of the feed is not as events are stored: its {field} is '{value}'"):
        columns.rows()


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xe0\x9f\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_that_is_not_utf_8_is_refused(bad: bytes) -> None:
    stored = GOOD[0].replace(b"\xa7claimed", bytes([0xA0 + len(bad)]) + bad)
    with pytest.raises(UnicodeDecodeError):
        bad.decode()
    with pytest.raises(LakeRefusal):
        columns_of([stored])


def sha256(content: bytes, plain: int) -> bytes:
    library, made = ctypes.CDLL(str(LIBRARY)), ctypes.create_string_buffer(32)
    library.suyuan_sha256(content, ctypes.c_size_t(len(content)), plain, made)
    return made.raw


@pytest.mark.parametrize("plain", [0, 1])
def test_the_hash_is_sha_256_for_texts_of_every_length(plain: int) -> None:
    random = Random(2)
    for length in [*range(260), 1_000, 100_003]:
        content = random.randbytes(length)
        assert sha256(content, plain) == hashlib.sha256(content).digest(), length


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_is_that_of_the_tree(hashes: list[bytes]) -> None:
    assert root_of(b"".join(hashes)) == tree.root_of(hashes)


def compiled(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    command = [*compiler.split(), "-O1", "-g", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", *flags]
    command += ["-o", str(folder / "damaged"), str(Path(__file__).with_name("damaged_events.c"))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_no_damage_makes_the_c_read_or_write_where_it_must_not(tmp_path: Path) -> None:
    made = compiled(tmp_path, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    if "cannot find" in made.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert made.returncode == 0, made.stderr
    random = Random(3)
    pieces = [damaged(random) for _ in range(20_000)] + [b"".join(GOOD)]
    fed = b"".join(len(piece).to_bytes(4, "little") + piece for piece in pieces)
    told = [ROLES, str(FIELDS), *map(str, TOLD)]
    ran = subprocess.run([tmp_path / "damaged", *told], input=fed, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-2_000:]
    assert ran.stdout.split()[-1] == b"3"  # the last piece is whole
