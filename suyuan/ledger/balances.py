"""Balances: what is counted instead of followed box by box — no-code stock, lots, the escape code (R19–R21)."""

from suyuan.ledger.admission import Admission, Fact, iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.statuses import ordered


def used(last: Event | None) -> int:
    """How much a balance has given so far: every event of a balance carries the running total."""
    if last is None:
        return 0
    total = last.detail["used"]
    assert isinstance(total, int), "balances count whole units"
    return total


def admit_line(fact: Fact, earlier: Event | None, last: Event | None, holds: list[Event]) -> Admission:
    """Judge a line that names no single box. `earlier` is the latest event of the same line, `last` of its balance."""
    if earlier is not None and earlier.verdict != "refuse" and not earlier.corrects:
        if earlier.content != fact.content:
            return Admission("key_reused", ("key_reused",), relates=earlier.sequence)
        return Admission("first_answer", ("first_answer", *earlier.reasons), relates=earlier.sequence)
    reasons = set()
    if holds:
        reasons.add("held")
    if fact.kind in {"sold", "claimed"} and fact.code_expiry and fact.code_expiry < iso_day(fact.event_time):
        reasons.add("expired")
    if fact.placeholder or not fact.balance or (0 <= fact.limit < used(last) + fact.n):
        reasons.add("not_scanned")
    if fact.differs:
        reasons.add("product_differs")
    names = ordered(reasons)
    return Admission(names[0], names, drawn="not_scanned" not in reasons)
