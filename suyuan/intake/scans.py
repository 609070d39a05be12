"""Scans: each fact judged against its box or balance, and written with its alert in the same append."""

from collections.abc import Callable, Sequence

from suyuan.intake.desk import Desk, paced
from suyuan.intake.prepare import hold_keys
from suyuan.ledger.admission import Admission, Fact, Rules, admit, matching_parked
from suyuan.ledger.alerts import ACROSS, across_id, alert_classes, alert_id, evidence
from suyuan.ledger.balances import SALES, admit_line, drawn_down
from suyuan.ledger.box import Box
from suyuan.ledger.events import RECORD_VERSION, Event, Kind
from suyuan.ledger.keys import alert_key, elsewhere_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import ALERTING, STATUS

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


def hold_round(desk: Desk, facts: Sequence[Fact]) -> Callable[[Books], set[str]]:
    """Second round: the orders on the products and batches of what is sold."""
    selling = [fact for fact in facts if fact.kind in {"sold", "claimed"} and fact.product_key]

    products = {key for fact in selling for key in order_keys(desk, fact, "")}

    def more(books: Books) -> set[str]:
        if "holds" in books.asked:
            return set()
        books.asked.add("holds")
        wanted = set(products)
        for fact in paced(desk, selling):
            lot = lot_of(books, fact)
            if lot:
                wanted.update(order_keys(desk, fact, lot))
        books.order_keys |= wanted
        return wanted

    return more


def is_line(fact: Fact) -> bool:
    """Whether a fact names no single box: a lot, the escape code, no code, a placeholder."""
    return fact.key.startswith("line:")


def lot_of(books: Books, fact: Fact) -> str:
    """The batch that the maker named, here or elsewhere; empty where none did."""
    if is_line(fact):
        return ""
    here = books.box(fact.key).lot
    elsewhere = None if here else books.elsewhere(fact.key)
    return elsewhere.lot if elsewhere is not None else here


def order_keys(desk: Desk, fact: Fact, lot: str) -> list[str]:
    """Where orders on a fact's product and batch are filed: given here, and in a province elsewhere too."""
    here = hold_keys(fact, lot)
    return [*here, *map(elsewhere_key, here)] if desk.elsewhere else [*here]


def standing_holds(books: Books, fact: Fact) -> list[Event]:
    """Orders on the fact's product or batch that are not lifted."""
    if not books.any_orders() or fact.kind not in {"sold", "claimed"}:
        return []
    keys = hold_keys(fact, lot_of(books, fact))
    return [order for key in keys for filed in (key, elsewhere_key(key)) for order in books.orders(filed)]


def elsewhere_of(books: Books, fact: Fact) -> Box | None:
    """What others tell of the box that is sold; None for other facts, and where nothing is known."""
    return books.elsewhere(fact.key) if fact.kind in {"sold", "claimed"} else None


def take_scan(books: Books, fact: Fact, rules: Rules, seen: set[tuple[str, str]]) -> Result:
    """Judge and write one fact. `seen` holds what this document has said so far."""
    if is_line(fact):
        return _take_line(books, fact, rules)
    box = books.box(fact.key)
    holds = standing_holds(books, fact)
    mark = (fact.kind, fact.key)
    if mark in seen and not fact.split and fact.kind in {"sold", "claimed", "returned"}:
        admission = Admission("duplicate_in_document", ("duplicate_in_document",), relates=box.sequence)
    else:
        admission = admit(fact, box, holds, rules, books.now, elsewhere=elsewhere_of(books, fact))
    seen.add(mark)
    if admission.status in REPEATS:
        return _result(fact, admission, first=admission.status != "first_answer", alert=admission.alert)
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
    box = books.box(key)
    earlier = box.facts.get(fact.fact)
    return books.write(
        Event(
            RECORD_VERSION,
            books.next_id(),
            fact.kind,
            key,
            box.sequence + 1,
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
    detail: dict[str, object] = {}
    if fact.children:
        detail["children"] = list(fact.children)
    elif fact.reason:
        detail["reason"] = fact.reason
    if fact.ahead:
        detail["clock"] = "ahead"
    return detail or None


def raise_alerts(books: Books, fact: Fact, admission: Admission, holds: list[Event], rules: Rules) -> str:
    """Write the alerts that follow from an admission; answers the id that speaks for the fact, or "".

    One conflict is told once: the same institution and person against the same earlier sale keep their first alert,
    whether it came from the claim, its retry or the sale report.
    """
    if ALERTING.isdisjoint(admission.reasons):
        return ""
    orders = holds if is_line(fact) else [*holds, *books.box(fact.key).holds]
    told = _told_before(books, fact, admission)
    first = ""
    for alert_class in alert_classes(fact, admission, orders, rules, told):
        identity = _alert_id(books, fact, admission, alert_class)
        first = first or identity
        if books.past(alert_key(identity)):
            continue
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
            fund=fact.fund,
            person=fact.person,
            document=fact.document,
            detail=evidence(fact, admission, alert_class),
        )
    return first or next(iter(told.values()), "")


def _alert_id(books: Books, fact: Fact, admission: Admission, alert_class: str) -> str:
    """Of a conflict with another province it is the id that the nation gives it too, so that it is told once."""
    against = admission.against
    if against is not None and against.known_by.origin and alert_class in ACROSS:
        return across_id(fact, against.known_by)
    return alert_id(fact, alert_class, books.next_sequence(fact.key))


def _told_before(books: Books, fact: Fact, admission: Admission) -> dict[str, str]:
    """Reasons of this admission for which an alert was raised before, with its id."""
    events = books.past(fact.key) if is_line(fact) else books.box(fact.key).facts.values()
    told: dict[str, str] = {}
    for event in events:
        if event.alert and event.actor == fact.actor and _is_same_conflict(event, fact, admission):
            told |= {reason: event.alert for reason in event.reasons if STATUS[reason].layer == "alert"}
    return {reason: told[reason] for reason in admission.reasons if reason in told}


def _is_same_conflict(event: Event, fact: Fact, admission: Admission) -> bool:
    if admission.joins and event.sequence == admission.joins:
        return True
    if event.person != fact.person:
        return False
    against = admission.against
    return event.relates == admission.relates or (
        against is not None and not against.known_by.origin and against.has(event.relates)
    )


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
        n=parked.n,
        m=parked.m,
        document=parked.document,
    )
    books.add(sold.key, "due", actor=parked.actor, corrects=parked.sequence, deadline=parked.deadline)


def _pack_children(books: Books, fact: Fact) -> None:
    """One record of the carton says what is in it: each child learns of it."""
    for child in fact.children:
        _write_packing(books, child, fact, parent=fact.key)


def write_cartons(books: Books, facts: Sequence[Fact]) -> None:
    """Rows that each name a child and its carton: the carton gets one record of all its children in this document."""
    packed: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        if (
            fact.parent
            and fact.kind in {"packed", "unpacked"}
            and fact.parent != fact.key
            and fact.key in books.sequences
        ):
            packed.setdefault((fact.parent, fact.kind), []).append(fact)
    for (parent, _), children in packed.items():
        _write_packing(books, parent, children[0], detail={"children": [child.key for child in children]})


def _write_packing(
    books: Books, key: str, fact: Fact, *, parent: str = "", detail: dict[str, list[str]] | None = None
) -> None:
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


def _take_line(books: Books, fact: Fact, rules: Rules) -> Result:
    holds = standing_holds(books, fact)
    admission = judge_line(books, fact, holds)
    if admission.status in REPEATS:
        return _result(fact, admission, first=admission.status != "first_answer")
    alert = raise_alerts(books, fact, admission, holds, rules)
    write_line(books, fact, admission, alert=alert)
    return _result(fact, admission, alert=alert)


def judge_line(books: Books, fact: Fact, holds: list[Event]) -> Admission:
    """Judge a line without a box against its own past and the balance that it draws on."""
    history = books.past(fact.key)
    last = books.last(fact.balance) if fact.balance else None
    return admit_line(fact, history[-1] if history else None, last, holds)


def write_line(books: Books, fact: Fact, admission: Admission, verdict: str = "", alert: str = "") -> Event:
    """Store a line without a box, and what it draws from its balance."""
    if admission.drawn and fact.kind in SALES and verdict != "refuse":
        draw_down(books, fact.balance, fact.kind, fact.n, actor=fact.actor, line=fact.key)
    elif admission.drawn and fact.kind == "returned":
        draw_down(books, fact.balance, "sold", -fact.n, actor=fact.actor, line=fact.key)
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
        prescriber=fact.prescriber,
        document=fact.document,
        software=fact.software,
        detail={"code": fact.code, "reason": fact.reason, "balance": fact.balance},
        alert=alert,
    )


def draw_down(books: Books, balance: str, kind: Kind, units: int, *, actor: str, line: str) -> None:
    """Take units from a balance for a sale or claim, or give them back where negative."""
    detail = {**drawn_down(books.last(balance), kind, units), "line": line}
    books.add(balance, kind, actor=actor, n=abs(units), detail=detail)


def _result(fact: Fact, admission: Admission, *, first: bool = True, alert: str = "") -> Result:
    status = STATUS[admission.status]
    return Result(fact.where, fact.code, fact.key, admission.status, admission.reasons, first, alert, status.meaning_zh)
