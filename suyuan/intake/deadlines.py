"""Deadlines: what falls due becomes a fact of its own; the clock comes in by this door and no other."""

from suyuan.intake.desk import Desk
from suyuan.ledger.admission import Admission, Fact
from suyuan.ledger.alerts import alert_id, conflict_class, evidence
from suyuan.ledger.box import WHOLE, Box
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key
from suyuan.ledger.ledger import Books
from suyuan.settlement.claim_file import ClaimFile

DUE_AT_ONCE = 1000
"""Deadlines handled per look at the list; one append each."""


def take_time(desk: Desk) -> int:
    """Write a `due` fact for every deadline that has passed; answers how many. Safe to run again at any moment."""
    ledger = desk.ledger
    count = 0
    while True:
        waiting = ledger.journal.due(ledger.clock(), DUE_AT_ONCE)
        for deadline, key, sequence in waiting:
            ledger.transact(
                {key},
                lambda books, key=key, sequence=sequence, deadline=deadline: _fall_due(
                    books, desk, key, sequence, deadline
                ),
                lambda books, key=key, sequence=sequence: _codes_of(books, key, sequence),
            )
            count += 1
        if len(waiting) < DUE_AT_ONCE:
            return count


def _codes_of(books: Books, key: str, sequence: int) -> set[str]:
    if not key.startswith("claim:"):
        return set()
    entry = next((e for e in ClaimFile.of(books.past(key)).settlements if e.sequence == sequence), None)
    return {code for code, _ in entry.codes} if entry is not None else set()


def _fall_due(books: Books, desk: Desk, key: str, sequence: int, deadline: int) -> None:
    past = books.past(key)
    if any(event.kind == "due" and event.corrects == sequence for event in past):
        return
    event = past[sequence - 1]
    if key.startswith("claim:"):
        _end_claim(books, key, event, deadline)
    elif event.status == "parked":
        _end_parked(books, desk, event, deadline)
    else:
        _end_doubt(books, desk, event, deadline)


def _due(books: Books, event: Event, deadline: int, **fields: object) -> None:
    values = {
        "actor": event.actor,
        "place": event.place,
        "region": event.region,
        "references": event.references,
        **fields,
    }
    books.add(event.key, "due", corrects=event.sequence, relates=event.sequence, deadline=deadline, **values)


def _end_parked(books: Books, desk: Desk, event: Event, deadline: int) -> None:
    """A return whose sale never came: nothing to undo — or the box was somebody else's sale (R25)."""
    box = books.box(event.key)
    elsewhere = [sale for sale in box.sales if sale.known_by.actor != event.actor]
    status = "undo_by_another" if elsewhere else "undo_not_found"
    if elsewhere:
        admission = Admission(status, (status,), against=elsewhere[-1])
        _alert(books, event, admission, "undo_by_another")
    _due(books, event, deadline, status=status, reasons=(status,))


def _end_doubt(books: Books, desk: Desk, event: Event, deadline: int) -> None:
    """R3: a report that probably belonged to a claim was never joined: now it is a second sale, and only now an alert."""
    box = books.box(event.key)
    doubtful = next((sale for sale in box.sales if sale.doubt == event.sequence), None)
    if doubtful is None or doubtful.report is None:
        _due(books, event, deadline, status="same_sale", reasons=("same_sale",))
        return
    others = [sale for sale in box.sales if sale is not doubtful]
    if others:
        report = doubtful.report
        admission = Admission("conflict_sold", ("conflict_sold",), against=others[0])
        kind = conflict_class(_fact_of(report), others[0].known_by, desk.policy.rules)
        _alert(books, report, admission, kind)
    _due(books, event, deadline, status="conflict_sold", reasons=("conflict_sold",))


def _end_claim(books: Books, key: str, event: Event, deadline: int) -> None:
    """R9, R13: waiting lines are now not scanned; a hold ends, paid unless somebody else was paid for the box."""
    entry = next((e for e in ClaimFile.of(books.past(key)).settlements if e.sequence == event.sequence), None)
    if entry is None:
        _due(books, event, deadline)
        return
    if entry.awaiting:
        detail = {"not_scanned": sorted(entry.awaiting)}
        _due(books, event, deadline, status="not_scanned", reasons=("not_scanned",), person=event.person, detail=detail)
        return
    ended = []
    for code, sequence in entry.codes:
        if code.startswith("line:"):
            continue
        box = books.box(code)
        sale = box.sale_with(sequence)
        if sale is None or sale.claim is None or sale.claim.verdict != "hold":
            continue
        verdict = "pay" if _is_free(box, sale.claim) else "refuse"
        books.add(code, "due", actor=event.actor, corrects=sequence, relates=sequence, verdict=verdict)
        ended.append([code, verdict])
    refused = any(verdict == "refuse" for _, verdict in ended)
    detail = {"ended": ended, "held": entry.detail["held"]}
    _due(
        books,
        event,
        deadline,
        verdict="refuse" if refused else "pay",
        person=event.person,
        fund=event.fund,
        detail=detail,
    )


def _is_free(box: Box, claim: Event) -> bool:
    """R1: no other open paid claim leaves less than these units."""
    others = [
        sale for sale in box.sales if sale.paid and sale.claim is not None and sale.claim.sequence != claim.sequence
    ]
    return not others or box.claimed_units() <= WHOLE


def _fact_of(event: Event) -> Fact:
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
    )


def _alert(books: Books, event: Event, admission: Admission, alert_class: str) -> None:
    fact = _fact_of(event)
    books.add(
        alert_key(alert_id(fact, alert_class, event.sequence)),
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
