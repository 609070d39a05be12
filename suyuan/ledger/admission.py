"""Admission: what one more scan means for a box, decided once from its history, the orders on it and the rules."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache

import msgspec

from suyuan.ledger.box import WHOLE, Box, Sale
from suyuan.ledger.events import Event, Kind
from suyuan.ledger.statuses import ordered

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

TYPED = ("settlement", "order", "visit", "receipt")
"""Typed references, strongest first (R3)."""


class Rules(msgspec.Struct, frozen=True):
    """Windows that admission needs, as the policy of the day gives them."""

    repeat_minutes: int = 120
    """R7: a second scan of the same sale within this time is tolerated."""
    same_sale_hours: int = 24
    """R3: without a common reference, claim and report of one person within this time are one sale."""
    join_hours: int = 48
    """R3: how long a report may wait for the claim it probably belongs to."""
    clone_days: int = 3
    """Three-way split: elsewhere within this time suggests a copied code, later a resold box."""
    park_days: int = 10
    """R4: how long a return waits for its sale."""


class Fact(msgspec.Struct, gc=False, kw_only=True):
    """One line of a document, recognised and looked up, ready to be judged. Everything here is a value."""

    kind: Kind
    key: str
    code: str
    where: str
    fact: str
    content: str
    event_time: int
    actor: str
    place: str = ""
    region: str = ""
    references: dict[str, str] = {}
    line: str = ""
    product: str = ""
    n: int = 1
    m: int = 1
    split: bool = False
    price: int = 0
    fund: str = ""
    person: str = ""
    prescriber: str = ""
    counterparty: str = ""
    parent: str = ""
    lot: str = ""
    expiry: str = ""
    reason: str = ""
    undo_days: int = 10
    review: bool = False
    placeholder: bool = False
    mapped: bool = True
    differs: bool = False
    """The scanned product is not the declared one, by a reviewed mapping (R14)."""
    splittable: bool = False
    suspended: bool = False
    missing_stock: bool = False
    """Not received here although this institution's inbound codes are known to be complete (R15)."""
    code_expiry: str = ""
    """Expiry that the code itself carries."""
    product_key: str = ""
    code_lot: str = ""
    readings: tuple[str, ...] = ()
    """Further keys under which a code under review is kept."""
    balance: str = ""
    """Key of the balance that a line without a box draws on: a lot, the escape code, no-code stock."""
    limit: int = -1
    """How much that balance holds; −1 for no limit."""
    children: tuple[str, ...] = ()
    document: str = ""
    software: str = ""
    ahead: bool = False
    """The sender says that it happens more than ten minutes from now: kept, and flagged."""


class Admission(msgspec.Struct, gc=False):
    """The decision on one fact: its status, all reasons, and what it is judged against."""

    status: str
    reasons: tuple[str, ...]
    relates: int = 0
    joins: int = 0
    corrects: int = 0
    drawn: bool = False
    deadline: int = 0
    against: Sale | None = None
    """The earlier sale that stands in the way."""
    alert: str = ""
    """Id of the alert that the first answer named."""


def admit(
    fact: Fact, box: Box, holds: list[Event], rules: Rules, now: int, *, elsewhere: Box | None = None
) -> Admission:
    """Judge one fact against its box. Arrival decides: the box is as it stands in journal order (R2).

    `elsewhere` is the same box as other provinces and the nation tell of it (R23); None where nothing is known.
    """
    repeat = find_repeat(fact, box, rules)
    if repeat is not None:
        return repeat
    if fact.kind in {"sold", "claimed"}:
        return _admit_sale(fact, box, holds, rules, now, elsewhere=elsewhere)
    if fact.kind == "returned":
        return _admit_return(fact, box, rules, now)
    return _admit_movement(fact, box)


def find_repeat(fact: Fact, box: Box, rules: Rules) -> Admission | None:
    """R5, R6, R7: the same fact again, or its key with other content; None where it is new or no longer stands."""
    earlier = box.facts.get(fact.fact)
    if earlier is None or not box.stands(earlier):
        return None
    if earlier.content != fact.content:
        return Admission("key_reused", ("key_reused",), relates=earlier.sequence)
    apart = abs(fact.event_time - earlier.event_time)
    if fact.kind != "claimed" and 0 < apart <= rules.repeat_minutes * MINUTE:
        return Admission("tolerated_repeat", ("tolerated_repeat",), relates=earlier.sequence)
    return Admission("first_answer", ("first_answer", *earlier.reasons), relates=earlier.sequence, alert=earlier.alert)


def _admit_movement(fact: Fact, box: Box) -> Admission:
    reasons = _code_reasons(fact)
    if box.exit is not None and fact.kind in {"shipped", "received"}:
        reasons.add("destroyed")
    return _admission(reasons)


def _admit_sale(
    fact: Fact, box: Box, holds: list[Event], rules: Rules, now: int, *, elsewhere: Box | None
) -> Admission:
    reasons = _code_reasons(fact)
    if fact.review:
        # Nobody knows yet which box it is: no sale of either reading is held against it.
        return _admission(reasons)
    relation, against, joined = relate(fact, box, rules, elsewhere.sales if elsewhere is not None else ())
    if relation == "tolerated_repeat":
        assert against is not None, "a repeat has its first scan"
        return _admission({relation}, relates=against.known_by.sequence)
    reasons |= _box_reasons(fact, box, holds)
    if elsewhere is not None:
        reasons |= _reasons_elsewhere(fact, box, elsewhere)
    if relation:
        reasons.add(relation)
    admission = _admission(reasons, against=against)
    for earlier in (joined, against):
        if earlier is not None and not earlier.known_by.origin:
            admission.relates = earlier.known_by.sequence
    if joined is not None:
        admission.joins = joined.known_by.sequence
    admission.drawn = _draws(relation, joined)
    if relation == "possible_same_sale":
        admission.deadline = now + rules.join_hours * HOUR
    return admission


def _draws(relation: str, joined: Sale | None) -> bool:
    if relation == "same_sale":
        assert joined is not None, "same_sale has its other half"
        return joined.known_by.drawn
    return relation == ""


def _code_reasons(fact: Fact) -> set[str]:
    reasons = set()
    if fact.review:
        reasons.add("code_review")
    if not fact.mapped:
        reasons.add("unmapped")
    return reasons


def _box_reasons(fact: Fact, box: Box, holds: list[Event]) -> set[str]:
    reasons = set()
    if fact.suspended and fact.kind == "claimed":
        reasons.add("institution_suspended")
    if holds or box.holds:
        reasons.add("held")
    if box.exit is not None:
        reasons.add("destroyed")
    expiry = box.expiry or fact.code_expiry
    if expiry and expiry < iso_day(fact.event_time):
        reasons.add("expired")
    if fact.differs:
        reasons.add("product_differs")
    if fact.missing_stock and box.custodian != fact.actor:
        reasons.add("not_received")
    return reasons


def _reasons_elsewhere(fact: Fact, box: Box, elsewhere: Box) -> set[str]:
    reasons = set()
    if elsewhere.holds:
        reasons.add("held")
    if elsewhere.exit is not None:
        reasons.add("destroyed")
    if not box.expiry and elsewhere.expiry and elsewhere.expiry < iso_day(fact.event_time):
        reasons.add("expired")
    return reasons


def relate(fact: Fact, box: Box, rules: Rules, elsewhere: Sequence[Sale] = ()) -> tuple[str, Sale | None, Sale | None]:
    """The relation of a sale to the earlier sales of its box: its name, the sale in its way, and its other half.

    Exactly one relation holds, or none (""). Only sales that arrived before this one's own first half can stand in its
    way, and a later one that was paid or is this institution's own claim. `elsewhere` are standing sales in other
    provinces: they count like any other's, and are never this one's other half.
    """
    if not box.sales and not elsewhere:
        return "", None, None
    first = _first_scan(fact, box, rules) if fact.kind == "sold" else None
    if first is not None:
        return "tolerated_repeat", first, None
    joined, how = _find_other_half(fact, box, rules)
    others = [
        sale
        for sale in box.sales
        if sale is not joined and not sale.doubt and (joined is None or _in_the_way(sale, joined, fact.actor))
    ]
    others += [
        sale
        for sale in elsewhere
        if not sale.doubt and (joined is None or sale.paid or sale.known_by.arrived < joined.known_by.arrived)
    ]
    parked = matching_parked(fact, box) if fact.kind == "sold" else None
    if parked is not None:
        # A late sale whose return is already known does not contradict what was sold after that return.
        others = [sale for sale in others if sale.known_by.event_time < parked.event_time]
    if joined is not None and joined.known_by.drawn and fact.kind == "sold":
        others = []
    if others:
        conflict = _conflict(fact, others)
        if conflict:
            return conflict, _against(others, fact), joined if how == "same_sale" else None
    return how, None, joined


def _in_the_way(sale: Sale, joined: Sale, actor: str) -> bool:
    return sale.first < joined.first or sale.paid or (sale.claimed and sale.known_by.actor == actor)


def _find_other_half(fact: Fact, box: Box, rules: Rules) -> tuple[Sale | None, str]:
    maybe: Sale | None = None
    for sale in box.sales:
        if sale.known_by.actor != fact.actor:
            continue
        how = _same_sale(fact, sale, rules)
        if how == "same_sale":
            return sale, how
        if how and maybe is None:
            maybe = sale
    return maybe, "possible_same_sale" if maybe else ""


def _same_sale(fact: Fact, sale: Sale, rules: Rules) -> str:
    """R3: one claim and one report of one sale; never two claims, never two reports."""
    other = sale.report if fact.kind == "claimed" else sale.claim
    own = sale.claim if fact.kind == "claimed" else sale.report
    if other is None or (own is not None and not _superseded(fact, sale)):
        return ""
    verdict = compare_references(fact.references, other.references)
    if verdict is not None:
        return "same_sale" if verdict else ""
    near = abs(fact.event_time - other.event_time) <= rules.same_sale_hours * HOUR
    if fact.split or other.m != 1:
        # Many sales of a split box may be of one day: only equal parts for one person are taken for one.
        near = near and (fact.n, fact.m) == (other.n, other.m)
        return "same_sale" if near and fact.person and fact.person == other.person else ""
    return "same_sale" if near and fact.person and fact.person == other.person else "possible_same_sale"


def _superseded(fact: Fact, sale: Sale) -> bool:
    """R4, settle – cancel – settle: the new report quotes the claim that stands; the old one quoted a cancelled one."""
    if fact.kind != "sold" or sale.claim is None or sale.report is None:
        return False
    settlement = sale.claim.references.get("settlement")
    return settlement == fact.references.get("settlement") != sale.report.references.get("settlement")


def compare_references(mine: dict[str, str], theirs: dict[str, str]) -> bool | None:
    """The strongest typed reference that both carry decides: equal or not; None where there is no common type."""
    for kind in TYPED:
        if kind in mine and kind in theirs:
            return mine[kind] == theirs[kind]
    return None


def _first_scan(fact: Fact, box: Box, rules: Rules) -> Sale | None:
    """R7: same institution, person, quantity and reference content within the window; sale reports only."""
    for sale in box.sales:
        report = sale.report
        if (
            report is not None
            and report.actor == fact.actor
            and report.person == fact.person
            and (report.n, report.m) == (fact.n, fact.m)
            and abs(fact.event_time - report.event_time) <= rules.repeat_minutes * MINUTE
            and _content_of(report.references) == _content_of(fact.references)
        ):
            return sale
    return None


def _content_of(references: dict[str, str]) -> dict[str, str]:
    return {kind: references[kind] for kind in TYPED if kind in references}


def _conflict(fact: Fact, others: list[Sale]) -> str:
    """Which conflict, if any, with the sales in the way (R1, R18)."""
    here = all(sale.known_by.actor == fact.actor for sale in others)
    all_split = all(sale.known_by.m != 1 for sale in others)
    if fact.split and all_split:
        if fact.m == 0:
            return ""
        part = Fraction(fact.n, fact.m)
        return "over_split" if sum((sale.units for sale in others), part) > WHOLE else ""
    if fact.split and here:
        return "over_split"
    if here and fact.splittable:
        return "possible_split"
    return "conflict_sold"


def _against(others: list[Sale], fact: Fact) -> Sale:
    """The sale to show as evidence: a claimed one before a mere report, then the nearest in time."""
    return min(others, key=lambda sale: (not sale.claimed, abs(sale.known_by.event_time - fact.event_time)))


def matching_parked(fact: Fact, box: Box) -> Event | None:
    """A return that arrived before this sale and gives it back (R4)."""
    for waiting in box.parked:
        if waiting.actor == fact.actor and waiting.event_time >= fact.event_time:
            verdict = compare_references(fact.references, waiting.references)
            if verdict is not False:
                return waiting
    return None


def _admit_return(fact: Fact, box: Box, rules: Rules, now: int) -> Admission:
    """R25: same institution, within the window, quoting the original or resolving to the one open sale there."""
    if fact.review:
        return _admission({"code_review"})
    found = _sales_meant(fact, box)
    if len(found) > 1:
        return _admission({"undo_ambiguous"})
    if found:
        report = found[0].report
        assert report is not None, "only sales with a report are returned"
        if fact.event_time - report.event_time > fact.undo_days * DAY:
            return _admission({"undo_too_late"}, relates=report.sequence)
        return _admission(set(), relates=report.sequence, corrects=report.sequence)
    return _admit_return_without_sale(fact, box, rules, now)


def _admit_return_without_sale(fact: Fact, box: Box, rules: Rules, now: int) -> Admission:
    elsewhere = [sale for sale in box.sales if sale.known_by.actor != fact.actor]
    quotes = any(kind in fact.references for kind in ("settlement", "visit", "original"))
    if elsewhere and not quotes:
        return _admission({"undo_by_another"}, relates=elsewhere[-1].known_by.sequence, against=elsewhere[-1])
    if any(_was_sold_so(fact, event) for event in box.facts.values()):
        return _admission({"undo_not_found"})
    return _admission({"parked"}, deadline=now + rules.park_days * DAY)


def _was_sold_so(fact: Fact, event: Event) -> bool:
    """Whether the sale that a return means was known here; it no longer stands, or it would have been found."""
    if event.kind != "sold" or event.actor != fact.actor:
        return False
    return compare_references(fact.references, event.references) is not False


def _sales_meant(fact: Fact, box: Box) -> list[Sale]:
    own = [sale for sale in box.sales if sale.report is not None and sale.report.actor == fact.actor]
    original = fact.references.get("original")
    exact, open_ones = [], []
    for sale in own:
        assert sale.report is not None, "filtered above"
        if original and original in sale.report.references.values():
            exact.append(sale)
            continue
        verdict = compare_references(fact.references, sale.report.references)
        if verdict is None and sale.claim is not None:
            verdict = compare_references(fact.references, sale.claim.references)
        if verdict:
            exact.append(sale)
        elif verdict is None and not original:
            open_ones.append(sale)
    return exact or open_ones


def _admission(
    reasons: set[str],
    *,
    relates: int = 0,
    corrects: int = 0,
    deadline: int = 0,
    against: Sale | None = None,
) -> Admission:
    names = ordered(reasons)
    return Admission(names[0], names, relates=relates, corrects=corrects, deadline=deadline, against=against)


def iso_day(time: int) -> str:
    """ISO date of a moment (µs UTC) by the clock of Beijing, which all senders use (+08:00)."""
    return _day_named((time + 8 * HOUR) // DAY)


@lru_cache(maxsize=4096)
def _day_named(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
