"""Scans that reach a claim after it was settled: the visit's file learns of each sale report, waiting lines are filled (R13)."""

from collections.abc import Sequence

from suyuan.intake.desk import Desk
from suyuan.intake.scans import raise_alerts, write_fact
from suyuan.ledger.admission import Fact, admit
from suyuan.ledger.keys import claim_key, digest
from suyuan.ledger.ledger import Books
from suyuan.settlement.claim_file import ClaimFile, Settlement
from suyuan.settlement.verdict import natural_verdict

Reports = dict[str, list[Fact]]
"""Sale reports of one document by the claim file of their visit."""


def report_keys(facts: Sequence[Fact], institution: str) -> Reports:
    """The claim files that the sale reports of a document belong to."""
    reports: Reports = {}
    for fact in facts:
        if fact.kind == "sold" and "visit" in fact.references and not fact.key.startswith("line:"):
            reports.setdefault(claim_key(institution, {"visit": fact.references["visit"]}), []).append(fact)
    return reports


def write_reports(books: Books, reports: Reports, facts: Sequence[Fact], institution: str, sealed: str) -> None:
    """Tell each visit's file which boxes were reported sold, so that an inpatient claim finds its codes (2304)."""
    for key, sold in reports.items():
        rows = [
            (
                fact.key,
                books.sequences[fact.key],
                fact.code,
                fact.line,
                fact.product,
                fact.product_key,
                fact.n,
                fact.m,
                fact.split,
            )
            for fact in sold
            if fact.key in books.sequences
        ]
        if rows:
            books.add(key, "sold", actor=institution, document=sealed, detail={"reports": rows})


def fill_waiting(books: Books, reports: Reports, facts: Sequence[Fact], desk: Desk) -> None:
    """Give lines that were settled before dispensing the codes that were scanned since; one box, one paid claim still."""
    for key, sold in reports.items():
        settlement = ClaimFile.of(books.past(key)).waiting()
        if settlement is None:
            continue
        filled = []
        for fact in sold:
            if fact.key not in books.sequences:
                continue
            line = _line_for(fact, settlement)
            sequence = _claim_box(books, fact, settlement, line, desk) if line else 0
            if sequence:
                filled.append([line, fact.key, sequence])
                settlement.awaiting[line]["count"] -= 1
                if settlement.awaiting[line]["count"] <= 0:
                    del settlement.awaiting[line]
        if filled:
            last = not settlement.awaiting
            books.add(
                key, "corrected", actor=settlement_actor(key), corrects=settlement.sequence, detail={"filled": filled}
            )
            if last and settlement.deadline:
                books.add(
                    key, "due", actor=settlement_actor(key), corrects=settlement.sequence, deadline=settlement.deadline
                )


def settlement_actor(key: str) -> str:
    """The institution in a claim key."""
    return key.split(":", 2)[1]


def _line_for(fact: Fact, settlement: Settlement) -> str:
    """The waiting line that a scan belongs to: same line number, same product, or the only one left."""
    awaiting = settlement.awaiting
    if fact.line in awaiting:
        return fact.line
    for line, row in awaiting.items():
        if row["product"] == fact.product or not row["product"]:
            return line
    return ""


def _claim_box(books: Books, sold: Fact, settlement: Settlement, line: str, desk: Desk) -> int:
    """Record the box as claimed by the settlement; answers the event's sequence, 0 where the box was not free."""
    references = {**sold.references, **settlement.references}
    fact = Fact(
        kind="claimed",
        key=sold.key,
        code=sold.code,
        where=sold.where,
        fact=digest(sold.actor, "claimed", settlement.settlement, line, sold.key),
        content=sold.content,
        event_time=settlement.event_time,
        actor=sold.actor,
        place=sold.place,
        region=sold.region,
        references=references,
        line=line,
        product=sold.product,
        n=sold.n,
        m=sold.m,
        split=sold.split,
        fund=settlement.fund,
        person=settlement.person,
        mapped=sold.mapped,
        differs=sold.differs,
        splittable=sold.splittable,
        product_key=sold.product_key,
        document=sold.document,
    )
    rules = desk.policy.rules
    box = books.box(fact.key)
    admission = admit(fact, box, [], rules, books.now)
    if admission.status in {"first_answer", "key_reused"}:
        return 0
    free = natural_verdict(admission) == "pay" and box.claimed_units() < 1
    admission.drawn = free
    admission.deadline = 0
    alert = raise_alerts(books, fact, admission, [], rules)
    event = write_fact(books, fact, admission, verdict="pay" if free else "refuse", alert=alert)
    return event.sequence if free else 0
