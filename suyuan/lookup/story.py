"""The story of a box: its own events merged with those of the cartons it was in, while it was in them."""

from collections.abc import Sequence
from datetime import date

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise
from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.packing import children_of, is_about_carton, is_emptying, stays
from suyuan.lookup.moment import iso_time
from suyuan.lookup.orders import orders_on

DEPTH_MAX = 8
"""Boxes in bundles in cartons on pallets; deeper nesting is a mistake in the relation file."""


class Chapter(msgspec.Struct, kw_only=True):
    """One event of the story. Times are ISO 8601 in China's time, `+08:00`."""

    event_time: str
    arrived: str
    kind: str
    institution: str
    region: str
    place_name: str
    status: str
    reasons: tuple[str, ...]
    verdict: str
    drawn: bool
    """True where this fact takes its part of the box."""
    quantity: str
    """`3/20` for 3 of 20 units of a split pack, `split` where its size is not known, empty for a whole box."""
    references: dict[str, str]
    counterparty: str
    carton: str
    """Key of the carton to which it happened; empty where it happened to the box itself."""
    parent: str
    """Key of the carton it was packed into or taken out of."""
    reading: str
    """Key of the other reading of the text under which this is filed; empty for the one that leads."""
    alert: str
    alert_class: str
    sequence: int
    """Position in the history of the box, the carton or the other reading, from 1."""
    relates: int
    corrects: int
    joins: int
    """Sequences of other events of the same history: judged against it, undone by this, other record of this sale."""
    reason: str
    """Why, as sent, for exits, refusals, stock changes and orders."""
    lot: str
    expiry: str
    document: str
    """Hash of the sealed message that said so."""


class Story(msgspec.Struct, kw_only=True):
    """All that is known of one code."""

    code: str
    system: str
    key: str
    """Under what its history is filed; for a text with two readings, the plausible one."""
    product: str
    readings: tuple[str, ...]
    """Keys of both readings where the text reads in two ways, the plausible one first; else empty."""
    problems: tuple[str, ...]
    cartons: tuple[str, ...]
    """Cartons the box was or is in, the nearest first."""
    children: tuple[str, ...]
    """What a carton holds, by its last packing."""
    holds: tuple[str, ...]
    """Recalls and stops in force on the code, its batch or product, in words."""
    chapters: list[Chapter]


def keys_of(code: Code) -> tuple[str, ...]:
    """Where a code is filed; a text with two readings under both, the repaired and so more plausible one first."""
    return (*code.readings[1:], code.readings[0]) if code.review else (code.key,)


def tell(ledger: Ledger, catalogue: Catalogue, text: str) -> Story:
    """The story of the code in a text, in order of what happened when."""
    code = recognise(text, "scan", catalogue.maker_rules)
    keys, histories = leading_first(ledger, code)
    own = histories[keys[0]]
    cartons, moved = _through_cartons(ledger, own, (keys[0],))
    others = [event for key in keys[1:] for event in _told_only_there(histories[key], own)]
    alerts = _alerts(ledger, [*own, *others])
    chapters = [
        _chapter(event, alerts, catalogue, carton="" if event.key == keys[0] else event.key)
        for event in sorted([*own, *moved], key=_order)
    ]
    chapters += [_chapter(event, alerts, catalogue, reading=event.key) for event in others]
    return Story(
        code=code.text or text,
        system=code.system,
        key=keys[0],
        product=product_name(ledger, catalogue, code, own),
        readings=keys if code.review else (),
        problems=code.problems,
        cartons=tuple(cartons),
        children=children_of(own),
        holds=orders_on(ledger, code, own),
        chapters=chapters,
    )


def leading_first(ledger: Ledger, code: Code) -> tuple[tuple[str, ...], dict[str, list[Event]]]:
    """The keys under which a code is filed with their histories, the one that leads first.

    Of two readings the repaired one leads, unless only the other one is known by more than scans under review.
    """
    keys = keys_of(code)
    histories = ledger.read(keys)
    known = [any("code_review" not in event.reasons for event in histories[key]) for key in keys]
    order = sorted(range(len(keys)), key=lambda place: (not known[place], place))
    return tuple(keys[place] for place in order), histories


def product_name(ledger: Ledger, catalogue: Catalogue, code: Code, events: Sequence[Event]) -> str:
    """Name of the product by mapping, as of the latest event, else of today; empty where unmapped."""
    if not code.product_key:
        return ""
    when = max((event.event_time for event in events), default=ledger.clock())
    day = date.fromisoformat(iso_day(when))
    edge = catalogue.product_of(code.product_key, day)
    if edge is not None:
        return edge.name
    prefix = catalogue.identified(code.product_key, day)
    return prefix.name if prefix is not None else ""


def _through_cartons(ledger: Ledger, own: Sequence[Event], path: tuple[str, ...]) -> tuple[list[str], list[Event]]:
    """The cartons of a package, and what happened to them and to their own cartons while it was inside.

    `path` names the packages on the way here, the box itself first: nothing is inside itself.
    """
    inside_of = [stay for stay in stays(own) if stay[0].parent not in path] if len(path) <= DEPTH_MAX else []
    histories = ledger.read(dict.fromkeys(packed.parent for packed, _ in inside_of))
    cartons = dict.fromkeys(reversed(histories))
    moved: dict[tuple[str, int], Event] = {}
    for packed, left in inside_of:
        history = histories[packed.parent]
        outer, moved_outer = _through_cartons(ledger, history, (*path, packed.parent))
        cartons |= dict.fromkeys(outer)
        emptied = [event for event in history if is_emptying(event) and _order(event) > _order(packed)]
        end = min(map(_order, [*emptied, left] if left else emptied), default=None)
        for event in [*history, *moved_outer]:
            inside = event.event_time >= packed.event_time and (end is None or _order(event) <= end)
            if inside and not is_about_carton(event):
                moved[event.key, event.sequence] = event
    return list(cartons), list(moved.values())


def _order(event: Event) -> tuple[int, int, int, str]:
    """By when it happened, and where times are mere dates by what was known first; ids of one arrival count up."""
    return event.event_time, event.arrived, len(event.id), event.id


def _told_only_there(events: Sequence[Event], leading: Sequence[Event]) -> list[Event]:
    """What is filed under another reading and not under the leading one: scans under review stand under both."""
    told = {(event.document, event.fact, event.kind, event.arrived) for event in leading}
    return [event for event in events if (event.document, event.fact, event.kind, event.arrived) not in told]


def _alerts(ledger: Ledger, events: Sequence[Event]) -> dict[str, str]:
    """Class of each alert that speaks for one of the events."""
    names = {event.alert for event in events if event.alert}
    found = ledger.read([alert_key(name) for name in names])
    return {name: found[alert_key(name)][0].detail["class"] for name in names if found[alert_key(name)]}


def _chapter(
    event: Event, alerts: dict[str, str], catalogue: Catalogue, carton: str = "", reading: str = ""
) -> Chapter:
    quantity = "" if event.m == 1 else f"{event.n}/{event.m}" if event.m else "split"
    detail = event.detail if isinstance(event.detail, dict) else {}
    return Chapter(
        event_time=iso_time(event.event_time),
        arrived=iso_time(event.arrived),
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
        parent=event.parent,
        reading=reading,
        alert=event.alert,
        alert_class=alerts.get(event.alert, ""),
        sequence=event.sequence,
        relates=event.relates,
        corrects=event.corrects,
        joins=event.joins,
        reason=detail.get("reason") or "",
        lot=event.lot,
        expiry=event.expiry,
        document=event.document,
    )
