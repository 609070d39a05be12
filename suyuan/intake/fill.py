"""Scans that reach a claim after it was settled: its visit learns of each report, waiting lines are filled (R13)."""

from collections.abc import Sequence
from fractions import Fraction

from suyuan.intake.desk import Desk, day_of
from suyuan.intake.scans import raise_alerts, standing_holds, write_fact
from suyuan.ledger.admission import Fact, admit, compare_references
from suyuan.ledger.box import WHOLE
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


def write_reports(books: Books, reports: Reports, institution: str, sealed: str) -> None:
    """Tell each visit's file which boxes were reported sold, so that an inpatient claim finds its codes (2304)."""
    for key, sold in reports.items():
        rows = [
            (fact.key, sale, fact.code, fact.line, fact.product, fact.product_key, fact.n, fact.m, fact.split)
            for fact in sold
            if (sale := books.written.get(fact.fact, 0))
        ]
        if rows:
            books.add(key, "sold", actor=institution, document=sealed, detail={"reports": rows})


def fill_waiting(books: Books, reports: Reports, desk: Desk) -> None:
    """Give lines that were settled before dispensing the codes scanned since; one box, one paid claim still."""
    for key, sold in reports.items():
        for settlement in ClaimFile.of(books.past(key)).waiting():
            filled = [entry for fact in sold if (entry := _fill_line(books, fact, settlement, desk)) is not None]
            if filled:
                _write_filled(books, key, settlement, filled)


def _write_filled(books: Books, key: str, settlement: Settlement, filled: list[tuple[str, str, int]]) -> None:
    actor = key.split(":", 2)[1]
    books.add(key, "corrected", actor=actor, corrects=settlement.sequence, detail={"filled": filled})
    if not settlement.awaiting:
        books.add(key, "due", actor=actor, corrects=settlement.sequence, deadline=settlement.deadline)


def _fill_line(books: Books, fact: Fact, settlement: Settlement, desk: Desk) -> tuple[str, str, int] | None:
    """The line filled with the box and the event that claims it; None where the box or the line is not to be had."""
    sale = books.box(fact.key).sale_with(books.written.get(fact.fact, 0))
    if sale is None or sale.claimed or compare_references(fact.references, settlement.references) is False:
        return None
    line = _line_for(fact, settlement)
    sequence = _claim_box(books, fact, settlement, line, desk) if line is not None else 0
    if line is None or not sequence:
        return None
    settlement.scanned(line)
    return line, fact.key, sequence


def _line_for(fact: Fact, settlement: Settlement) -> str | None:
    """The waiting line that a scan belongs to: the same line number, else the same product."""
    if fact.line in settlement.awaiting:
        return fact.line
    for line, row in settlement.awaiting.items():
        if row["product"] in {"", fact.product}:
            return line
    return None


def _claim_box(books: Books, sold: Fact, settlement: Settlement, line: str, desk: Desk) -> int:
    """Record the box as claimed by the settlement; answers the event's sequence, 0 where the box was not free."""
    billed = settlement.awaiting[line]["product"] or sold.product
    same = desk.catalogue.same_product(sold.product_key, billed, day_of(sold.event_time)) if billed else None
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
        references={**sold.references, **settlement.references},
        line=line,
        product=billed,
        n=sold.n,
        m=sold.m,
        split=sold.split,
        fund=settlement.fund,
        person=settlement.person,
        mapped=sold.mapped,
        differs=same is False,
        splittable=sold.splittable,
        product_key=sold.product_key,
        code_lot=sold.code_lot,
        code_expiry=sold.code_expiry,
        document=sold.document,
    )
    rules, holds = desk.policy.rules, standing_holds(books, fact)
    box = books.box(fact.key)
    admission = admit(fact, box, holds, rules, books.now, elsewhere=books.elsewhere(fact.key))
    part = Fraction(fact.n, fact.m) if fact.m else Fraction(0)
    free = natural_verdict(admission) == "pay" and box.claimed_units() + part <= WHOLE
    admission.drawn = free
    admission.deadline = 0
    alert = raise_alerts(books, fact, admission, holds, rules)
    event = write_fact(books, fact, admission, verdict="pay" if free else "refuse", alert=alert)
    return event.sequence if free else 0
