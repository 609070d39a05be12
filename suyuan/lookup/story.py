"""The story of a box: its own events merged with those of the cartons it was in, while it was in them."""

from datetime import date
from typing import Any

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise
from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.packing import children_of, is_about_carton, stays

DEPTH_MAX = 8
"""Boxes in bundles in cartons on pallets; deeper nesting is a mistake in the relation file."""


class Chapter(msgspec.Struct, kw_only=True):
    """One event of the story. Times are µs UTC."""

    event_time: int
    arrived: int
    kind: str
    institution: str
    region: str
    place_name: str
    status: str
    reasons: tuple[str, ...]
    verdict: str
    drawn: bool
    quantity: str
    references: dict[str, str]
    counterparty: str
    carton: str
    """Key of the carton to which it happened; empty where it happened to the box itself."""
    alert: str
    alert_class: str
    sequence: int
    relates: int
    corrects: int
    document: str
    detail: Any = None


class Story(msgspec.Struct, kw_only=True):
    """All that is known of one code."""

    code: str
    system: str
    key: str
    product: str
    readings: tuple[str, ...]
    problems: tuple[str, ...]
    cartons: tuple[str, ...]
    """Cartons the box was or is in, the nearest first."""
    children: tuple[str, ...]
    """What a carton holds, by its last packing."""
    holds: int
    """Orders on the code itself that are not lifted."""
    chapters: list[Chapter]


def keys_of(code: Code) -> tuple[str, ...]:
    """Where a code is filed; a code under review under both of its readings, the repaired one first."""
    return tuple(reversed(code.readings)) if code.review else (code.key,)


def tell(ledger: Ledger, catalogue: Catalogue, text: str) -> Story:
    """The story of the code in a text, in order of what happened when."""
    code = recognise(text, "scan", catalogue.maker_rules)
    keys = keys_of(code)
    own = [event for events in ledger.read(keys).values() for event in events]
    cartons, moved = _through_cartons(ledger, own)
    alerts = _alerts(ledger, own)
    chapters = [_chapter(event, "", alerts, catalogue) for event in own]
    chapters += [_chapter(event, event.key, alerts, catalogue) for event in moved]
    chapters.sort(key=lambda chapter: (chapter.event_time, chapter.arrived, chapter.sequence))
    lifted = {event.corrects for event in own if event.kind == "hold_lifted"}
    return Story(
        code=code.text or text,
        system=code.system,
        key=keys[0],
        product=product_name(ledger, catalogue, code, own),
        readings=code.readings,
        problems=code.problems,
        cartons=tuple(cartons),
        children=children_of(own),
        holds=sum(1 for event in own if event.kind == "hold_set" and event.sequence not in lifted),
        chapters=chapters,
    )


def product_name(ledger: Ledger, catalogue: Catalogue, code: Code, events: list[Event]) -> str:
    """Name of the product by mapping, as of the latest event, else of today; empty where unmapped."""
    if not code.product_key:
        return ""
    when = max((event.event_time for event in events), default=ledger.clock())
    edge = catalogue.product_of(code.product_key, date.fromisoformat(iso_day(when)))
    return edge.name if edge is not None else ""


def _through_cartons(ledger: Ledger, own: list[Event], depth: int = 0) -> tuple[list[str], list[Event]]:
    """The cartons of a box and what happened to them while it was inside."""
    inside_of = stays(own)
    if not inside_of or depth >= DEPTH_MAX:
        return [], []
    cartons = list(dict.fromkeys(carton for carton, _, _ in inside_of))
    histories = ledger.read(cartons)
    moved = [
        event
        for carton, begin, end in inside_of
        for event in histories[carton]
        if begin <= event.event_time < end and not is_about_carton(event)
    ]
    outer, moved_outer = _through_cartons(ledger, [event for carton in cartons for event in histories[carton]], depth + 1)
    inside = [event for event in moved_outer if any(begin <= event.event_time < end for _, begin, end in inside_of)]
    return cartons + outer, moved + inside


def _alerts(ledger: Ledger, events: list[Event]) -> dict[str, str]:
    names = {event.alert for event in events if event.alert}
    found = ledger.read([f"alert:{name}" for name in names])
    return {name: found[f"alert:{name}"][0].detail["class"] for name in names if found[f"alert:{name}"]}


def _chapter(event: Event, carton: str, alerts: dict[str, str], catalogue: Catalogue) -> Chapter:
    quantity = "" if event.m == 1 else f"{event.n}/{event.m}" if event.m else "split"
    return Chapter(
        event_time=event.event_time,
        arrived=event.arrived,
        kind=event.kind,
        institution=event.actor,
        region=event.region,
        place_name=catalogue.region_name(event.region) if event.region else "",
        status=event.status,
        reasons=event.reasons,
        verdict=event.verdict,
        drawn=event.drawn,
        quantity=quantity,
        references=event.references,
        counterparty=event.counterparty,
        carton=carton,
        alert=event.alert,
        alert_class=alerts.get(event.alert, ""),
        sequence=event.sequence,
        relates=event.relates,
        corrects=event.corrects,
        document=event.document,
    )
