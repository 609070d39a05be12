"""Orders: holds on a code, a batch or a product, effective from the moment they are acknowledged (R17)."""

from collections.abc import Sequence

import msgspec

from suyuan.intake.desk import Desk
from suyuan.intake.elsewhere import keys_elsewhere
from suyuan.intake.scans import lot_of, order_keys, raise_alerts
from suyuan.ledger.admission import Admission, Fact
from suyuan.ledger.events import Event
from suyuan.ledger.keys import hold_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result, Scan
from suyuan.ledger.statuses import STATUS


def order_key(scan: Scan, fact: Fact) -> str:
    """Where an order is filed: on the box itself, or under its batch or product; "" where it names nothing."""
    if scan.scope == "code":
        return fact.key
    if not fact.product_key:
        return ""
    if scan.scope == "batch":
        return hold_key("batch", f"{fact.product_key}:{scan.lot}") if scan.lot else ""
    return hold_key("product", fact.product_key)


SELLERS = frozenset({"hospital", "clinic", "pharmacy"})
"""Who sells cannot order others to stop: orders come from makers, distributors, agencies and authorities."""


def take_order(books: Books, scan: Scan, fact: Fact, speaker: str) -> Result:
    """Set or lift one hold; a repeat of the same order gets its first answer. `speaker` is the kind of party."""
    key = order_key(scan, fact)
    if speaker in SELLERS:
        return _answer(fact, key, "not_allowed", "召回、停售指令由生产、流通企业或主管部门发出")
    if not key:
        return _answer(
            fact, key, "malformed", "scope、药品标识码或批号缺失：请填写 scope=code|batch|product 及对应字段"
        )
    orders = [event for event in books.past(key) if event.kind in {"hold_set", "hold_lifted"}]
    lifted = {event.corrects for event in orders if event.kind == "hold_lifted"}
    standing = [event for event in orders if event.kind == "hold_set" and event.sequence not in lifted]
    mine = [event for event in standing if event.actor == fact.actor]
    same = [event for event in mine if event.content == fact.content]
    if same if fact.kind == "hold_set" else not mine and _was_lifted_so(orders, fact):
        return _answer(fact, key, "first_answer")
    if fact.kind == "hold_lifted" and not mine:
        return _answer(fact, key, "undo_by_another" if standing else "undo_not_found")
    books.add(
        key,
        fact.kind,
        event_time=fact.event_time,
        actor=fact.actor,
        place=fact.place,
        region=fact.region,
        fact=fact.fact,
        content=fact.content,
        corrects=(same or mine)[-1].sequence if fact.kind == "hold_lifted" else 0,
        references=fact.references,
        lot=fact.lot,
        document=fact.document,
        detail={"scope": scan.scope, "reason": scan.reason},
    )
    return _answer(fact, key, "accepted")


def _was_lifted_so(orders: Sequence[Event], fact: Fact) -> bool:
    """Whether these very words lifted an order before: who saw no answer asks again and must find itself (R8)."""
    return any(
        event.kind == "hold_lifted" and event.actor == fact.actor and event.content == fact.content for event in orders
    )


def alert_late_orders(desk: Desk, facts: Sequence[Fact], seen: dict[str, int]) -> None:
    """Alert sales that were judged before an order on their product or batch was known, and stored after it (R17).

    `seen` are the orders as the decision on these sales saw them: key and number of events.
    """
    late = {key for key, history in desk.ledger.journal.fetch(seen).items() if history.sequence != seen[key]}

    def decide(books: Books) -> None:
        for fact in facts:
            keys = [key for key in order_keys(desk, fact, lot_of(books, fact)) if key in late]
            orders = [order for key in keys for order in books.orders(key) if order.sequence > seen[key]]
            if orders and _took_place(books, fact):
                # It was stored after the order, whatever the clocks of the two senders say.
                at = max(fact.event_time, *(order.event_time for order in orders))
                late_sale = msgspec.structs.replace(fact, event_time=at)
                raise_alerts(books, late_sale, Admission("held", ("held",)), orders, desk.policy.rules)

    if late:
        boxes = {fact.key for fact in facts} | (keys_elsewhere(facts) if desk.elsewhere else set())
        desk.ledger.transact({*late, *boxes}, decide)


def _took_place(books: Books, fact: Fact) -> bool:
    return any(event.fact == fact.fact and event.verdict != "refuse" for event in books.past(fact.key))


def _answer(fact: Fact, key: str, status: str, message: str = "") -> Result:
    words = message or STATUS[status].meaning_zh
    return Result(fact.where, fact.code, key, status, (status,), first=status != "first_answer", message=words)
