"""Whether the nation has exactly what its provinces have, and both sides of a repeat were told; by own books."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
"""One stored event as plain values; nothing of what wrote it is used here."""

MAPPED = ("sequence", "origin", "relates", "corrects", "joins")
"""Fields that name places in a history: they differ between a province and the nation, and are compared apart."""
OWN = ("alert:", "relay:", "hold:")
"""Keys under which a nation may have facts of its own."""
NO_SALE = {
    *("malformed", "not_allowed", "key_reused", "duplicate_in_document", "code_review", "tolerated_repeat"),
    *("first_answer", "possible_same_sale"),
}
UNDOES = {"returned", "cancelled", "reversed", "corrected"}


def differences(provinces: Mapping[str, Sequence[Record]], nation: Sequence[Record]) -> list[str]:
    """What the nation lacks, has twice, has otherwise or has from nowhere; in words, empty where all is right."""
    found: list[str] = []
    at_nation: dict[str, list[Record]] = defaultdict(list)
    places: dict[tuple[str, str], int] = {}
    for event in nation:
        province = event["origin"].partition("/")[0]
        at_nation[province].append(event)
        if province:
            mark = (event["key"], event["origin"])
            if mark in places:
                found.append(f"{event['key']}: the nation has {event['origin']} twice")
            places[mark] = event["sequence"]
    found += _gaps(nation)
    for province in at_nation.keys() - provinces.keys() - {""}:
        found.append(f"the nation has facts of {province}, which is none of its provinces")
    found += [
        f"{event['key']}: the nation has a fact of nobody's"
        for event in at_nation.pop("", [])
        if not event["key"].startswith(OWN)
    ]
    for province, feed in provinces.items():
        own = [event for event in feed if not event["origin"] and not event["key"].startswith("relay:")]
        found += _compared(province, own, at_nation.get(province, []), places)
    return found


def _gaps(events: Iterable[Record]) -> list[str]:
    """Every history goes on by one, in the order of the feed."""
    last: dict[str, int] = {}
    found = []
    for event in events:
        if event["sequence"] != last.get(event["key"], 0) + 1:
            found.append(f"{event['key']}: {event['sequence']} follows {last.get(event['key'], 0)}")
        last[event["key"]] = event["sequence"]
    return found


def _compared(
    province: str, own: Sequence[Record], told: Sequence[Record], places: Mapping[tuple[str, str], int]
) -> list[str]:
    """The province's feed against its part of the nation's: the same facts in the same order."""
    if len(own) != len(told):
        lacking = {event["id"] for event in own} ^ {event["id"] for event in told}
        return [f"{province} has {len(own)} facts, the nation {len(told)} of them; for example {sorted(lacking)[:3]}"]
    found = []
    for mine, theirs in zip(own, told, strict=True):
        if theirs["origin"] != f"{province}/{mine['sequence']}":
            found.append(f"{mine['key']} {mine['sequence']} of {province} is {theirs['origin']} at the nation")
        if any(mine[name] != theirs[name] for name in mine if name not in MAPPED):
            found.append(f"{mine['key']} {mine['sequence']} of {province} is another fact at the nation")
        for name in ("relates", "corrects", "joins"):
            meant = places.get((mine["key"], f"{province}/{mine[name]}"), 0) if mine[name] else 0
            if theirs[name] != meant:
                found.append(f"{mine['key']} {mine['sequence']} of {province}: {name} leads elsewhere at the nation")
    return found


def untold(provinces: Mapping[str, Sequence[Record]], nation: Sequence[Record]) -> list[str]:
    """Boxes that stand sold whole in several provinces and of which one of them, or the nation, was not told."""
    found = []
    alerted = {name: _alerted(name, feed) for name, feed in {**provinces, "nation": nation}.items()}
    for box, sellers in repeats(provinces).items():
        for name in [*sellers, "nation"]:
            others = [other for other in sellers if other != name]
            told = alerted[name].get(box, [])
            if name == "nation":
                if not told:
                    found.append(f"{box} stands sold in {' and '.join(sellers)}, and the nation has no alert")
            elif not any(name in sides and not sides.isdisjoint(others) for sides in told):
                found.append(f"{box} stands sold in {' and '.join(sellers)}, and {name} was not told")
    return found


def repeats(provinces: Mapping[str, Sequence[Record]]) -> dict[str, list[str]]:
    """Boxes that stand sold whole in more than one province."""
    sold: dict[str, list[str]] = defaultdict(list)
    for province, feed in provinces.items():
        histories: dict[str, dict[int, Record]] = defaultdict(dict)
        for event in feed:
            if not event["origin"] and event["key"].startswith(("trace20:", "gs1:", "ma:")):
                _take(histories[event["key"]], event)
        for box, standing in histories.items():
            if standing:
                sold[box].append(province)
    return {box: sellers for box, sellers in sold.items() if len(sellers) > 1}


def _take(standing: dict[int, Record], event: Record) -> None:
    kind, refused = event["kind"], event["verdict"] == "refuse"
    if kind in {"sold", "claimed"} and event["m"] == 1 and not refused and not NO_SALE & set(event["reasons"]):
        standing[event["sequence"]] = event
    elif (kind in UNDOES and event["status"] == "accepted") or (kind == "due" and refused):
        standing.pop(event["corrects"], None)


def _alerted(holder: str, feed: Iterable[Record]) -> dict[str, list[set[str]]]:
    """Box → the provinces that each alert about it names: in the evidence, and by who raised it."""
    found: dict[str, list[set[str]]] = defaultdict(list)
    for event in feed:
        if event["kind"] == "alerted" and event["sequence"] == 1:
            detail = event["detail"]
            earlier = (detail.get("earlier") or {}).get("province")
            if earlier:  # without it, both sides are in the province that raised it
                raised_by = event["origin"].partition("/")[0] or holder
                found[detail["box"]].append({earlier, detail.get("province") or raised_by})
    return found
