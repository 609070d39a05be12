"""What every engine asserts and derives of the events of one append."""

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

from suyuan.ledger.events import Event

Deadline = tuple[int, str, int]
"""(µs UTC, key, sequence of the event that carries it)."""

NUMBER_BYTES, CHECK_BYTES = 8, 4
"""A position is the number of a batch and a check of what that batch says. Older ones are the number alone."""


def assert_sequences(events: Sequence[Event], expected: Mapping[str, int]) -> None:
    """Events of a key follow what the caller saw of it, without a gap: anything else is a fault of our own code."""
    last = dict(expected)
    for event in events:
        key = event.key
        assert key in last, f"{key} is written but not expected"
        sequence = last[key] + 1
        assert event.sequence == sequence, f"{key} must go on with {sequence}, not {event.sequence}"
        last[key] = sequence


def deadlines(events: Sequence[Event]) -> tuple[list[Deadline], list[Deadline]]:
    """The deadlines that these events open, and those that they close.

    A `due` event carries the same deadline as the event that it corrects, and opens none itself. What came through the
    relay falls due where it came from.
    """
    opened, closed = [], []
    for event in events:
        if event.deadline and not event.origin:
            if event.kind == "due":
                assert event.corrects, f"the due event {event.sequence} of {event.key} names no event that fell due"
                closed.append((event.deadline, event.key, event.corrects))
            else:
                opened.append((event.deadline, event.key, event.sequence))
    return opened, closed


def batches_before(position: bytes | None, last: int, record_of: Callable[[int], bytes]) -> int:
    """How many batches a position leaves behind; None is the beginning. `record_of` gives a batch as stored.

    A journal that was restored from a copy and went on differently has a batch of the same number which says
    something else: there the position would skip what its holder has never seen.

    Raises:
        ValueError: the position is not one of a journal that has come to the batch `last`.
    """
    if position is None:
        return 0
    behind = int.from_bytes(position[:NUMBER_BYTES], "big")
    known = len(position) in {NUMBER_BYTES, NUMBER_BYTES + CHECK_BYTES} and behind <= last
    if known and len(position) > NUMBER_BYTES:
        known = position == position_of(behind, record_of(behind) if behind else b"")
    if not known:
        raise ValueError(
            f"Position {position[:16].hex()} is not of this journal, which has come to batch {last}. "
            "If the journal was restored from a copy, let whoever follows it begin again from the start."
        )
    return behind


def position_of(batch: int, record: bytes = b"") -> bytes:
    """The position after the batch with this number, from 1, that is stored as `record`; 0 is the beginning."""
    return batch_key(batch) + crc32(record).to_bytes(CHECK_BYTES, "big")


def batch_key(batch: int) -> bytes:
    """Where a batch is stored; in order of arrival."""
    return batch.to_bytes(NUMBER_BYTES, "big")
