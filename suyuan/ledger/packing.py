"""Packing: cartons and what is in them over time, told by events on the box and on the carton."""

from collections.abc import Iterable

from suyuan.ledger.events import Event

FOREVER = 1 << 62
"""End of a stay that has not ended, µs UTC."""


def stays(events: Iterable[Event]) -> list[tuple[str, int, int]]:
    """The cartons a box was in, as (carton key, from, until), by event time: late reports of packing still count."""
    found: list[tuple[str, int, int]] = []
    for event in sorted(events, key=lambda event: (event.event_time, event.sequence)):
        if event.kind not in {"packed", "unpacked"} or not event.parent:
            continue
        if found and found[-1][2] == FOREVER:
            found[-1] = (*found[-1][:2], event.event_time)
        if event.kind == "packed":
            found.append((event.parent, event.event_time, FOREVER))
    return found


def is_about_carton(event: Event) -> bool:
    """Whether a packing event is the carton's own record, with its children, and not a child's."""
    return event.kind in {"packed", "unpacked"} and isinstance(event.detail, dict) and "children" in event.detail


def children_of(events: Iterable[Event]) -> tuple[str, ...]:
    """What a carton holds after its packings and unpackings, in order of packing."""
    held: dict[str, None] = {}
    for event in sorted(events, key=lambda event: (event.event_time, event.sequence)):
        if not is_about_carton(event):
            continue
        for child in event.detail["children"]:
            if event.kind == "packed":
                held[child] = None
            else:
                held.pop(child, None)
    return tuple(held)
