"""Deadlines: what falls due becomes a fact of its own; the clock comes in by this door and no other."""

from collections.abc import Callable
from fractions import Fraction

from suyuan.intake.desk import Desk
from suyuan.ledger.across import fact_of
from suyuan.ledger.admission import Admission
from suyuan.ledger.alerts import alert_id, conflict_class, evidence
from suyuan.ledger.box import WHOLE
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key
from suyuan.ledger.ledger import Books
from suyuan.settlement.claim_file import ClaimFile, Settlement

DUE_AT_ONCE = 1000
"""Deadlines handled per look at the list; one append each."""


def take_time(desk: Desk, stopping: Callable[[], bool] = lambda: False) -> int:
    """Write a `due` fact for every deadline that has passed; answers how many. Safe to run again at any moment.

    Once it is `stopping`, the others wait for the next time.
    """
    ledger = desk.ledger
    count = 0
    while True:
        waiting = ledger.journal.due(ledger.clock(), DUE_AT_ONCE)
        for deadline in waiting:
            if stopping():
                return count
            case = _Due(desk, *deadline)
            count += ledger.transact({case.key}, case.decide, case.more)
        if len(waiting) < DUE_AT_ONCE:
            return count


class _Due:
    """One deadline under decision."""

    def __init__(self, desk: Desk, deadline: int, key: str, sequence: int) -> None:
        self.desk = desk
        self.deadline = deadline
        self.key = key
        self.sequence = sequence

    def more(self, books: Books) -> set[str]:
        """Next round: the codes of the settlement that the deadline belongs to."""
        entry = _settlement_of(books, self.key, books.past(self.key)[self.sequence - 1])
        return {code for code, _ in entry.codes if not code.startswith("line:")} if entry is not None else set()

    def decide(self, books: Books) -> bool:
        """Write what the deadline means; false where somebody else has written it."""
        past = books.past(self.key)
        if any(
            event.kind == "due" and event.corrects == self.sequence and event.deadline == self.deadline
            for event in past
        ):
            return False
        event = past[self.sequence - 1]
        if self.key.startswith("claim:"):
            _end_claim(books, event)
        elif event.status == "parked":
            _end_parked(books, event)
        else:
            _end_doubt(books, self.desk, event)
        return True


def _settlement_of(books: Books, key: str, event: Event) -> Settlement | None:
    """The open settlement of a claim event, or of an event that goes on with one."""
    if not key.startswith("claim:"):
        return None
    sequence = event.corrects or event.sequence
    return next((entry for entry in ClaimFile.of(books.past(key)).settlements if entry.sequence == sequence), None)


def _due(books: Books, event: Event, **fields: object) -> None:
    values = {
        "actor": event.actor,
        "place": event.place,
        "region": event.region,
        "references": event.references,
        **fields,
    }
    books.add(event.key, "due", corrects=event.sequence, relates=event.sequence, deadline=event.deadline, **values)


def _end_parked(books: Books, event: Event) -> None:
    """A return whose sale never came: nothing to undo — or the box was somebody else's sale (R25)."""
    box = books.box(event.key)
    if all(waiting.sequence != event.sequence for waiting in box.parked):
        _due(books, event)
        return
    elsewhere = [sale for sale in box.sales if sale.known_by.actor != event.actor]
    status = "undo_by_another" if elsewhere else "undo_not_found"
    if elsewhere:
        admission = Admission(status, (status,), against=elsewhere[-1])
        _alert(books, event, admission, "undo_by_another", event.sequence)
    _due(books, event, status=status, reasons=(status,))


def _end_doubt(books: Books, desk: Desk, event: Event) -> None:
    """R3: a report that probably belonged to a claim was never joined: now it is a second sale, and now an alert."""
    box = books.box(event.key)
    doubtful = next((sale for sale in box.sales if sale.doubt == event.sequence), None)
    others = [sale for sale in box.sales if sale is not doubtful]
    if doubtful is None or doubtful.report is None or not others:
        _due(books, event)
        return
    report = doubtful.report
    admission = Admission("conflict_sold", ("conflict_sold",), against=others[0])
    alert_class = conflict_class(fact_of(report), others[0].known_by, desk.policy.rules)
    _alert(books, report, admission, alert_class, event.sequence)
    _due(books, event, status="conflict_sold", reasons=("conflict_sold",))


def _end_claim(books: Books, event: Event) -> None:
    """R9, R13: waiting lines are now not scanned; a hold ends, paid unless somebody else was paid for the box."""
    entry = _settlement_of(books, event.key, event)
    if entry is None:
        _due(books, event)
        return
    if event.kind == "claimed" and entry.awaiting:
        detail: dict[str, object] = {"not_scanned": sorted(entry.awaiting)}
        status = "not_scanned"
        _due(books, event, status=status, reasons=(status,), verdict="refuse", person=entry.person, detail=detail)
        return
    ended = [[code, verdict] for code, sequence in entry.codes if (verdict := _end_hold(books, code, sequence))]
    refused = any(verdict == "refuse" for _, verdict in ended)
    detail = {"ended": ended, "held": entry.detail["held"]}
    _due(books, event, verdict="refuse" if refused else "pay", person=entry.person, fund=entry.fund, detail=detail)


def _end_hold(books: Books, code: str, sequence: int) -> str:
    """End the hold on one code of a settlement; empty where there is none.

    It is paid if the box is free. A code that was never read again names no box, so nothing can be paid for it.
    """
    if code.startswith("line:"):
        return ""
    claim = books.past(code)[sequence - 1]
    if claim.verdict != "hold":
        return ""
    box = books.box(code)
    part = Fraction(claim.n, claim.m) if claim.m else Fraction(0)
    free = "code_review" not in claim.reasons and box.claimed_units(besides=sequence) + part <= WHOLE
    verdict = "pay" if free else "refuse"
    books.add(code, "due", actor=claim.actor, corrects=sequence, relates=sequence, verdict=verdict)
    return verdict


def _alert(books: Books, event: Event, admission: Admission, alert_class: str, sequence: int) -> None:
    fact = fact_of(event)
    books.add(
        alert_key(alert_id(fact, alert_class, sequence)),
        "alerted",
        event_time=event.event_time,
        actor=event.actor,
        place=event.place,
        region=event.region,
        status=admission.status,
        reasons=admission.reasons,
        references=event.references,
        person=event.person,
        detail=evidence(fact, admission, alert_class),
    )
