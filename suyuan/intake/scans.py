"""Scans: each fact judged against its box or balance, and written with its alert in the same append."""

from collections.abc import Callable, Sequence

from suyuan.intake.prepare import hold_keys
from suyuan.ledger.admission import Admission, Fact, Rules, admit, matching_parked
from suyuan.ledger.alerts import alert_classes, alert_id, evidence
from suyuan.ledger.balances import admit_line, used
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.ledger.keys import alert_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import STATUS

REPEATS = frozenset({"first_answer", "key_reused"})
"""Statuses that leave no event: the first one stands and says it all."""


def scan_keys(facts: Sequence[Fact]) -> set[str]:
    """First round: the boxes, lines and balances that the facts name."""
    keys = {fact.key for fact in facts}
    for fact in facts:
        keys.update(fact.readings)
        keys.update(fact.children)
        if fact.balance:
            keys.add(fact.balance)
        if fact.parent:
            keys.add(fact.parent)
    return keys


def hold_round(facts: Sequence[Fact]) -> Callable[[Books], set[str]]:
    """Second round: the orders on the products and batches of what is sold."""
    selling = [fact for fact in facts if fact.kind in {"sold", "claimed"} and fact.product_key]

    def more(books: Books) -> set[str]:
        wanted: set[str] = set()
        for fact in selling:
            lot = "" if fact.balance else books.box(fact.key).lot
            wanted.update(hold_keys(fact, lot))
        return wanted

    return more


def standing_holds(books: Books, fact: Fact) -> list[Event]:
    """Orders on the fact's product or batch that are not lifted."""
    if fact.kind not in {"sold", "claimed"} or not fact.product_key:
        return []
    lot = "" if fact.balance else books.box(fact.key).lot
    holds: list[Event] = []
    for key in hold_keys(fact, lot):
        if key not in books.histories or not books.next_sequence(key) - 1:
            continue
        lifted = {event.corrects for event in books.past(key) if event.kind == "hold_lifted"}
        holds += [event for event in books.past(key) if event.kind == "hold_set" and event.sequence not in lifted]
    return holds


def take_scans(books: Books, facts: Sequence[Fact], rules: Rules) -> list[Result]:
    """Judge and write the facts of one document, in order; one result each."""
    seen: set[tuple[str, str]] = set()
    return [take_scan(books, fact, rules, seen) for fact in facts]


def take_scan(books: Books, fact: Fact, rules: Rules, seen: set[tuple[str, str]]) -> Result:
    """Judge and write one fact. `seen` holds what this document has said so far."""
    if fact.balance or fact.key.startswith("line:"):
        return _take_line(books, fact)
    box = books.box(fact.key)
    holds = standing_holds(books, fact)
    mark = (fact.kind, fact.key)
    if mark in seen and not fact.split and fact.kind in {"sold", "claimed", "returned"}:
        admission = Admission("duplicate_in_document", ("duplicate_in_document",), relates=box.sequence)
    else:
        admission = admit(fact, box, holds, rules, books.now)
    seen.add(mark)
    if admission.status in REPEATS:
        return _result(fact, admission, first=admission.status != "first_answer")
    alert = raise_alerts(books, fact, admission, holds, rules)
    parked = matching_parked(fact, box) if fact.kind == "sold" and box.parked else None
    event = write_fact(books, fact, admission, alert=alert)
    for reading in fact.readings:
        write_fact(books, fact, admission, key=reading)
    if parked is not None and event.drawn:
        _release(books, parked, event)
    if fact.children:
        _pack_children(books, fact)
    return _result(fact, admission, alert=alert)


def write_fact(
    books: Books, fact: Fact, admission: Admission, *, key: str = "", verdict: str = "", alert: str = ""
) -> Event:
    """Store one judged fact on its box (or on the second reading of its code)."""
    key = key or fact.key
    earlier = books.box(key).facts.get(fact.fact) if fact.kind != "produced" else None
    sequence = books.next_sequence(key)
    return books.write(
        Event(
            RECORD_VERSION,
            books.next_id(),
            fact.kind,
            key,
            sequence,
            fact.event_time,
            books.now,
            fact.actor,
            fact.place,
            fact.region,
            admission.status,
            admission.reasons,
            verdict,  # type: ignore[arg-type]
            fact.fact,
            earlier.attempt + 1 if earlier is not None else 1,
            fact.content,
            admission.relates,
            admission.corrects,
            admission.drawn,
            fact.n,
            fact.m,
            fact.counterparty,
            fact.references,
            fact.line,
            fact.product,
            fact.parent,
            fact.lot,
            fact.expiry,
            fact.price,
            fact.fund,
            fact.person,
            fact.prescriber,
            admission.deadline,
            fact.document,
            fact.software,
            _detail_of(fact),
            admission.joins,
            alert,
        )
    )


def _detail_of(fact: Fact) -> dict[str, object] | None:
    if fact.children:
        return {"children": list(fact.children)}
    return {"reason": fact.reason} if fact.reason else None


def raise_alerts(books: Books, fact: Fact, admission: Admission, holds: list[Event], rules: Rules) -> str:
    """Write the alerts that follow from an admission; answers the id that speaks for the fact, or "".

    One conflict is told once: the same institution and person against the same earlier sale keep their first alert,
    whether it came from the claim, its retry or the sale report.
    """
    if admission.reasons == ("accepted",) or not any(STATUS[reason].layer == "alert" for reason in admission.reasons):
        return ""
    told = _told_before(books, fact, admission)
    if told:
        return told
    first = ""
    for alert_class in alert_classes(fact, admission, holds, rules):
        identity = alert_id(fact, alert_class, books.next_sequence(fact.key))
        first = first or identity
        books.add(
            alert_key(identity),
            "alerted",
            event_time=fact.event_time,
            actor=fact.actor,
            place=fact.place,
            region=fact.region,
            status=admission.status,
            reasons=admission.reasons,
            references=fact.references,
            product=fact.product,
            person=fact.person,
            document=fact.document,
            detail=evidence(fact, admission, alert_class),
        )
    return first


def _told_before(books: Books, fact: Fact, admission: Admission) -> str:
    if admission.alert:
        return admission.alert
    if fact.key not in books.histories or fact.balance:
        return ""
    for event in books.box(fact.key).facts.values():
        if (
            event.alert
            and event.actor == fact.actor
            and event.person == fact.person
            and event.relates == admission.relates
            and event.status == admission.status
        ):
            return event.alert
    return ""


def _release(books: Books, parked: Event, sold: Event) -> None:
    """R4: the return that waited now gives its sale back."""
    books.add(
        sold.key,
        "returned",
        event_time=parked.event_time,
        actor=parked.actor,
        place=parked.place,
        region=parked.region,
        fact=parked.fact,
        attempt=parked.attempt + 1,
        content=parked.content,
        relates=parked.sequence,
        corrects=sold.sequence,
        references=parked.references,
        n=sold.n,
        m=sold.m,
        document=parked.document,
    )
    if parked.deadline:
        books.add(sold.key, "due", actor=parked.actor, corrects=parked.sequence, deadline=parked.deadline)


def _pack_children(books: Books, fact: Fact) -> None:
    """One record of the carton says what is in it: each child learns of it."""
    for child in fact.children:
        _write_packing(books, child, fact, parent=fact.key)


def write_cartons(books: Books, facts: Sequence[Fact]) -> None:
    """Rows that each name a child and its carton: the carton gets one record of all its children in this document."""
    packed: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        if fact.parent and fact.kind in {"packed", "unpacked"} and fact.parent != fact.key and fact.key in books.sequences:
            packed.setdefault((fact.parent, fact.kind), []).append(fact)
    for (parent, _), children in packed.items():
        _write_packing(books, parent, children[0], detail={"children": [child.key for child in children]})


def _write_packing(books: Books, key: str, fact: Fact, *, parent: str = "", detail: dict[str, list[str]] | None = None) -> None:
    books.add(
        key,
        fact.kind,
        event_time=fact.event_time,
        actor=fact.actor,
        place=fact.place,
        region=fact.region,
        references=fact.references,
        parent=parent,
        document=fact.document,
        detail=detail,
    )


def _take_line(books: Books, fact: Fact) -> Result:
    history = books.past(fact.key)
    last = books.last(fact.balance) if fact.balance else None
    admission = admit_line(fact, history[-1] if history else None, last, standing_holds(books, fact))
    if admission.status in REPEATS:
        return _result(fact, admission, first=admission.status != "first_answer")
    write_line(books, fact, admission)
    return _result(fact, admission)


def write_line(books: Books, fact: Fact, admission: Admission, verdict: str = "") -> Event:
    """Store a line without a box, and what it draws from its balance."""
    if admission.drawn and fact.balance and verdict != "refuse":
        give = fact.n if fact.kind in {"sold", "claimed"} else -fact.n if fact.kind == "returned" else 0
        if give:
            total = max(0, used(books.last(fact.balance)) + give)
            books.add(fact.balance, fact.kind, actor=fact.actor, n=fact.n, detail={"used": total, "line": fact.key})
    return books.add(
        fact.key,
        fact.kind,
        event_time=fact.event_time,
        actor=fact.actor,
        place=fact.place,
        region=fact.region,
        status=admission.status,
        reasons=admission.reasons,
        verdict=verdict,
        fact=fact.fact,
        content=fact.content,
        drawn=admission.drawn and verdict != "refuse",
        n=fact.n,
        m=max(1, fact.m),
        counterparty=fact.counterparty,
        references=fact.references,
        line=fact.line,
        product=fact.product,
        lot=fact.lot,
        expiry=fact.expiry,
        price=fact.price,
        fund=fact.fund,
        person=fact.person,
        document=fact.document,
        software=fact.software,
        detail={"code": fact.code, "reason": fact.reason, "balance": fact.balance},
    )


def _result(fact: Fact, admission: Admission, *, first: bool = True, alert: str = "") -> Result:
    status = STATUS[admission.status]
    return Result(fact.where, fact.code, fact.key, admission.status, admission.reasons, first, alert, status.meaning_zh)
