"""Packing: cartons and what is in them over time, told by events on the box and on the carton."""

from collections.abc import Iterable

from suyuan.ledger.events import Event


def stays(events: Iterable[Event]) -> list[tuple[Event, Event | None]]:
    """A package's stays in cartons, as (packing, what ended it), by event time: late reports of packing still count."""
    found: list[tuple[Event, Event | None]] = []
    for event in sorted(events, key=lambda event: (event.event_time, event.sequence)):
        if event.kind not in {"packed", "unpacked"} or not (event.parent or is_emptying(event)):
            continue
        if found and found[-1][1] is None:
            found[-1] = (found[-1][0], event)
        if event.kind == "packed":
            found.append((event, None))
    return found


def is_about_carton(event: Event) -> bool:
    """Whether a packing event is the carton's own record, with its children, and not a child's."""
    return event.kind in {"packed", "unpacked"} and isinstance(event.detail, dict) and "children" in event.detail


def is_emptying(event: Event) -> bool:
    """Whether a package is unpacked with nothing else named: a carton as a whole, or a box out of whatever held it."""
    return event.kind == "unpacked" and not event.parent and not is_about_carton(event)


def children_of(events: Iterable[Event]) -> tuple[str, ...]:
    """What a carton holds after its packings and unpackings, in order of packing."""
    held: dict[str, None] = {}
    for event in sorted(events, key=lambda event: (event.event_time, event.sequence)):
        if is_emptying(event):
            held.clear()
        if not is_about_carton(event):
            continue
        for child in event.detail["children"]:
            if event.kind == "packed":
                held[child] = None
            else:
                held.pop(child, None)
    return tuple(held)
