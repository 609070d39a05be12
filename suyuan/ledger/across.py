"""Across provinces: standing sales of one box that contradict each other, found on its merged history by R1's rule."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from suyuan.ledger.admission import Admission, Fact, Rules, relate
from suyuan.ledger.alerts import across_id, conflict_class, evidence
from suyuan.ledger.box import Box, Sale
from suyuan.ledger.events import Event
from suyuan.ledger.origins import province_of

CONFLICTS = frozenset({"conflict_sold", "over_split"})


class Clash(msgspec.Struct, frozen=True):
    """Two standing sales of one box in two provinces; the one that arrived later in its own is in question."""

    alert: str
    """Id of the alert that speaks for it, in whatever order the two reached the nation."""
    told: str
    """Id of an alert that the questioned record carries already; empty for none."""
    alert_class: str
    event: Event
    """The record in question."""
    admission: Admission
    detail: dict[str, object]


class _Standing(NamedTuple):
    arrived: int
    province: str
    first: int
    sale: Sale


def clashes(key: str, events: Sequence[Event], rules: Rules) -> list[Clash]:
    """All pairs in conflict, each once; undone sales and refused claims are none."""
    provinces: dict[str, list[Event]] = {}
    for event in events:
        provinces.setdefault(province_of(event), []).append(event)
    if len(provinces) == 1:
        return []
    arrived = {event.sequence: event.arrived for event in events}
    standing = sorted(
        _Standing(arrived[sale.first], province, sale.first, sale)
        for province, own in provinces.items()
        for sale in Box.of(key, own).sales
        if not sale.doubt
    )
    found: dict[str, Clash] = {}
    for place, one in enumerate(standing):
        earlier = [other for other in standing[:place] if other.province != one.province]
        for clash in _clashes_with(key, one, earlier, rules):
            found.setdefault(clash.alert, clash)
    return list(found.values())


def _clashes_with(key: str, one: _Standing, earlier: list[_Standing], rules: Rules) -> list[Clash]:
    """With each other province by itself; where no one of them alone is too much, with all of them together."""
    provinces = dict.fromkeys(other.province for other in earlier)
    alone = [_clash(key, one, [other for other in earlier if other.province == name], rules) for name in provinces]
    found = [clash for clash in alone if clash is not None]
    if not found and len(provinces) > 1:
        together = _clash(key, one, earlier, rules)
        found = [together] if together is not None else []
    return found


def _clash(key: str, one: _Standing, earlier: list[_Standing], rules: Rules) -> Clash | None:
    box = Box(key)
    event = one.sale.known_by
    fact = fact_of(event)
    relation, against, _ = relate(fact, box, rules, [other.sale for other in earlier])
    if relation not in CONFLICTS or against is None:
        return None
    admission = Admission(relation, (relation,), against=against)
    alert_class = "split_exceeded" if relation == "over_split" else conflict_class(fact, against.known_by, rules)
    detail = evidence(fact, admission, alert_class)
    detail["province"] = one.province
    if one.sale.paid:
        # Arrival decided what was paid: who was paid for what somebody else had sold before gives it back (R2, R23).
        detail["recover"] = event.actor
    return Clash(across_id(event, against.known_by), event.alert, alert_class, event, admission, detail)


def fact_of(event: Event) -> Fact:
    """A stored sale as the fact that it was, as far as its relation to others needs it."""
    return Fact(
        kind=event.kind,
        key=event.key,
        code=event.key.partition(":")[2],
        where="",
        fact=event.fact,
        content=event.content,
        event_time=event.event_time,
        actor=event.actor,
        region=event.region,
        person=event.person,
        references=event.references,
        product=event.product,
        n=event.n,
        m=event.m,
        split=event.m != 1,
        fund=event.fund,
    )


def touched_by(events: Iterable[Event]) -> set[str]:
    """The provinces that have said something."""
    return {province for event in events if (province := province_of(event))}
