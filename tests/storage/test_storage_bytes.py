"""The stored bytes, as `docs/stored-format.md` describes them, and the values held in memory."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_facts import fact, run

from suyuan.ledger.events import Event, encoder
from suyuan.storage.current import ENTRY_BYTES, CurrentValues
from suyuan.storage.packed import (
    chunk_key,
    deadline_key,
    deadline_of,
    extended,
    packed,
    packed_batch,
    sequence_of,
    unpacked_batch,
)


def grown(count: int) -> tuple[bytes, list[bytes]]:
    value, chunks = b"", []
    for event in run("box", 1, count):
        value, chunk = extended(value, packed(event))
        chunks += [chunk] if chunk else []
    return value, chunks


class TestStoredBytes:
    def test_a_history_is_a_head_and_an_array_of_events(self) -> None:
        value, chunks = grown(3)
        assert value[:12].hex(" ") == "01 00 00 00 03 00 00 00 00 dc 00 03"
        assert value[12:] == b"".join(encoder.encode(event) for event in run("box", 1, 3))
        assert msgspec.msgpack.decode(value[9:], type=list[Event]) == run("box", 1, 3)
        assert chunks == []

    def test_after_each_64_events_the_value_begins_anew(self) -> None:
        value, chunks = grown(64)
        assert value[:12].hex(" ") == "01 00 00 00 40 00 00 00 00 dc 00 40"
        assert chunks == []
        value, chunks = grown(129)
        assert value[:12].hex(" ") == "01 00 00 00 81 00 00 00 80 dc 00 01"
        assert [unpacked_batch(chunk) for chunk in chunks] == [run("box", 1, 64), run("box", 65, 128)]

    def test_a_batch_is_a_head_and_an_array_of_events(self) -> None:
        record = packed_batch(2, b"".join(packed(event) for event in run("box", 1, 2)))
        assert record[:6].hex(" ") == "01 dd 00 00 00 02"
        assert unpacked_batch(record) == run("box", 1, 2)

    def test_chunks_and_deadlines_are_filed_in_order(self) -> None:
        assert chunk_key("box", 1).hex(" ") == "62 6f 78 00 00 00 01"
        assert deadline_key((258, "box", 7)).hex(" ") == "00 00 00 00 00 00 01 02 62 6f 78 00 00 00 07"

    @given(
        st.lists(
            st.tuples(st.integers(0, 1 << 62), st.text(st.characters(exclude_categories=["C"])), st.integers(1, 9))
        )
    )
    def test_deadlines_come_back_and_sort_by_time(self, deadlines: list[tuple[int, str, int]]) -> None:
        stored = sorted(map(deadline_key, deadlines))
        assert [deadline_of(one) for one in stored] == sorted(deadlines)

    def test_the_event_itself_is_a_msgpack_array_in_the_order_of_its_fields(self) -> None:
        event = fact("box", 1, detail={"a": 1})
        assert msgspec.msgpack.decode(packed(event))[:8] == [1, "box#1", "sold", "box", 1, 1_001, 2_001, "H31"]


class TestCurrentValues:
    def known(self, values: CurrentValues, *keys: str) -> dict[str, bytes]:
        return values.find(keys)[0]

    def test_what_was_read_is_kept_and_what_is_unknown_is_named(self) -> None:
        values = CurrentValues(10_000, {})
        found, unknown, generations = values.find(["a", "b"])
        assert (found, unknown) == ({}, ["a", "b"])
        values.offer({"a": b"1", "b": b""}, generations)
        assert self.known(values, "a", "b", "c") == {"a": b"1", "b": b""}

    def test_a_slow_reader_never_replaces_what_was_written_since(self) -> None:
        values = CurrentValues(10_000, {})
        _, _, generations = values.find(["a"])
        values.publish({"a": b"new"})
        values.offer({"a": b"old"}, generations)
        assert self.known(values, "a") == {"a": b"new"}

    @pytest.mark.parametrize("forgotten", [1, 2, 3])
    def test_a_very_slow_reader_is_not_believed_at_all(self, forgotten: int) -> None:
        values = CurrentValues(4 * ENTRY_BYTES, {})
        _, _, generations = values.find(["a"])
        values.publish({"a": b"new"})
        for number in range(2 * forgotten):
            values.publish({f"filler{number}": b"x"})
        values.offer({"a": b"old"}, generations)
        assert self.known(values, "a").get("a", b"new") == b"new"

    def test_memory_is_bounded_and_what_is_used_stays(self) -> None:
        values = CurrentValues(100 * ENTRY_BYTES, {})
        values.publish({"used": b"1"})
        for number in range(1_000):
            values.publish({f"filler{number}": b"x"})
            assert self.known(values, "used") == {"used": b"1"}
            assert sum(map(len, values._generations)) <= 101

    def test_holds_are_always_known_and_absent_ones_need_no_disk(self) -> None:
        values = CurrentValues(0, {"hold:code:a": b"1"})
        values.publish({"hold:code:b": b"2"})
        for number in range(10):
            values.publish({f"filler{number}": b"x"})
        found, unknown, _ = values.find(["hold:code:a", "hold:code:b", "hold:code:c", "d"])
        assert found == {"hold:code:a": b"1", "hold:code:b": b"2", "hold:code:c": b""}
        assert unknown == ["d"]


def test_nothing_stored_has_no_events() -> None:
    assert sequence_of(b"") == 0
