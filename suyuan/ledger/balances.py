"""Balances: what is counted instead of followed box by box — no-code stock, lots, the escape code (R19–R21)."""

from suyuan.ledger.admission import Admission, Fact, iso_day
from suyuan.ledger.events import Event, Kind
from suyuan.ledger.statuses import ordered

SALES = frozenset({"sold", "claimed"})


def drawn_down(last: Event | None, kind: Kind, units: int) -> dict[str, int]:
    """The running totals after `units` more of a kind, or fewer where negative.

    Most sales are told twice, by a claim and by a report, and nothing joins the two without a box: they are counted
    apart, and the larger count is what was used.
    """
    counts = _counts(last)
    counts[kind] = max(0, counts[kind] + units)
    return {**counts, "used": max(counts.values())}


def _counts(last: Event | None) -> dict[str, int]:
    return {kind: last.detail[kind] if last is not None else 0 for kind in sorted(SALES)}


def admit_line(fact: Fact, earlier: Event | None, last: Event | None, holds: list[Event]) -> Admission:
    """Judge a line that names no single box. `earlier` is the latest event of the same line, `last` of its balance."""
    if earlier is not None and earlier.verdict != "refuse" and not earlier.corrects:
        if earlier.content != fact.content:
            return Admission("key_reused", ("key_reused",), relates=earlier.sequence)
        return Admission("first_answer", ("first_answer", *earlier.reasons), relates=earlier.sequence)
    if fact.review:
        return Admission("code_review", ("code_review",))
    reasons = set()
    if holds:
        reasons.add("held")
    if fact.kind in SALES:
        if fact.code_expiry and fact.code_expiry < iso_day(fact.event_time):
            reasons.add("expired")
        if not fact.balance or 0 <= fact.limit < _counts(last)[fact.kind] + fact.n:
            reasons.add("not_scanned")
    if fact.placeholder:
        reasons.add("not_scanned")
    if fact.differs:
        reasons.add("product_differs")
    names = ordered(reasons)
    return Admission(names[0], names, drawn=bool(fact.balance) and "not_scanned" not in reasons)
