"""Alerts: a valid fact that contradicts what is known, classified at once, with evidence and innocent explanations."""

from collections.abc import Container

from suyuan.ledger.admission import DAY, MINUTE, Admission, Fact, Rules
from suyuan.ledger.events import Event
from suyuan.ledger.keys import ELSEWHERE, digest

CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "swap": (
        "One code sold several times at one place: perhaps another product was sold (串换).",
        ("split pack without the split flag", "box scanned twice", "return without reversal"),
    ),
    "repeated_settlement": (
        "One code settled again for one person at one place (重复结算).",
        ("cancelled settlement whose cancel was not sent", "double click", "split pack without the split flag"),
    ),
    "resale": (
        "Sold elsewhere long before: perhaps a returned drug sold again (回流药).",
        ("wrong scan", "return without reversal", "stock moved between branches", "maker's duplicate print"),
    ),
    "clone": (
        "Sold elsewhere a short time apart: perhaps a copied code or counterfeit (假药).",
        ("wrong scan", "maker's duplicate print", "late upload with a wrong time"),
    ),
    "two_lines": (
        "One box stands on two lines of one claim.",
        ("same box scanned twice at the counter",),
    ),
    "split_exceeded": (
        "More units were sold than the box holds (超量拆零).",
        ("wrong units per box in the mapping", "wrong quantity typed"),
    ),
    "undo_by_another": (
        "A return by an institution that did not sell the box.",
        ("branch of the same chain", "wrong scan"),
    ),
    "product_differs": (
        "The scanned product is not the billed one (串换).",
        ("wrong mapping", "wrong fee line chosen"),
    ),
    "recalled": (
        "A box under a recall, stop or theft order was sold or claimed.",
        ("sale before the order was known",),
    ),
    "destroyed": ("A box reported out of circulation appears again.", ("wrong scan", "wrong exit report")),
    "suspended": ("A suspended institution asked for payment.", ("suspension just ended",)),
    "two_funds": ("One box was paid by two funds.", ("insured person changed funds",)),
}
"""Class → (meaning, innocent explanations). Technical errors and tolerated repeats are never alerts."""

ACROSS = frozenset({"clone", "resale", "split_exceeded"})
"""What a box sold in two provinces may be."""

_BY_REASON = {
    "duplicate_in_document": "two_lines",
    "undo_by_another": "undo_by_another",
    "institution_suspended": "suspended",
    "held": "recalled",
    "destroyed": "destroyed",
    "over_split": "split_exceeded",
    "product_differs": "product_differs",
}


def alert_classes(
    fact: Fact, admission: Admission, holds: list[Event], rules: Rules, told: Container[str] = ()
) -> list[str]:
    """The alert classes that follow from any reason of an admission; empty where nobody needs to be told.

    `holds` are all orders that cover the box; `told` are reasons for which an earlier alert speaks.
    """
    classes = []
    for reason in admission.reasons:
        if reason in told:
            continue
        if reason == "conflict_sold":
            assert admission.against is not None, "a conflict has another sale"
            classes.append(conflict_class(fact, admission.against.known_by, rules))
        elif reason == "held":
            if any(fact.event_time >= hold.event_time for hold in holds):
                classes.append("recalled")
        elif reason == "duplicate_in_document":
            if fact.kind == "claimed":
                classes.append("two_lines")
        elif reason in _BY_REASON:
            classes.append(_BY_REASON[reason])
    return classes


def conflict_class(fact: Fact, earlier: Event, rules: Rules) -> str:
    """The insurer's three-way split of 2 November 2024: same place, elsewhere soon, elsewhere long after.

    At the same place a second one for the same person, or within an hour, is called a repeated settlement.
    """
    apart = abs(fact.event_time - earlier.event_time)
    if fact.actor == earlier.actor:
        same_person = bool(fact.person) and fact.person == earlier.person
        return "repeated_settlement" if same_person or apart <= 60 * MINUTE else "swap"
    return "clone" if apart <= rules.clone_days * DAY else "resale"


def alert_id(fact: Fact, alert_class: str, sequence: int) -> str:
    """One id per class and questioned event, so that a decision made twice raises one alert."""
    return digest(alert_class, fact.fact, fact.key, str(sequence))


def across_id(one: Event | Fact, other: Event) -> str:
    """One id for a box sold in two provinces by the same two places to the same two persons, whoever finds it first."""
    key = other.key.removeprefix(ELSEWHERE)
    return digest("across", key, *sorted(f"{side.actor}|{side.person}" for side in (one, other)))


def evidence(fact: Fact, admission: Admission, alert_class: str) -> dict[str, object]:
    """What an inspector needs to begin: the box, both sides, the gap, and how it may be innocent."""
    meaning, innocent = CLASSES[alert_class]
    found: dict[str, object] = {
        "class": alert_class,
        "box": fact.key,
        "code": fact.code,
        "institution": fact.actor,
        "region": fact.region,
        "fact": fact.fact,
        "kind": fact.kind,
        "reasons": list(admission.reasons),
        "references": fact.references,
        "meaning": meaning,
        "innocent": list(innocent),
    }
    if admission.against is not None:
        earlier = admission.against.known_by
        found["earlier"] = told = {
            "institution": earlier.actor,
            "region": earlier.region,
            "event_time": earlier.event_time,
            "arrived": earlier.arrived,
            "sequence": earlier.sequence,
            "claimed": admission.against.claimed,
            "same_person": bool(fact.person) and earlier.person == fact.person,
        }
        if earlier.origin:
            told["province"] = earlier.origin.partition("/")[0]
        if earlier.event_time > fact.event_time:
            found["review"] = "an earlier sale arrived later; no payment is reversed by itself (R2)"
    return found
