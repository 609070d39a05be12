"""A claim made ready: its identity, and its lines completed from the visit's fee lines and sale reports."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from suyuan.formats.faults import MALFORMED
from suyuan.intake.desk import Desk
from suyuan.intake.prepare import Preparer, quantity_of
from suyuan.intake.scans import is_line, lot_of, order_keys
from suyuan.ledger.admission import Fact, iso_day
from suyuan.ledger.keys import claim_key, digest, elsewhere_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Scan
from suyuan.settlement.claim import Claim, ClaimLine
from suyuan.settlement.claim_file import ClaimFile, Reported

Lines = list[tuple[ClaimLine, list[Fact]]]
"""The lines of a claim, each with its codes ready to be judged."""


class PreparedClaim:
    """A claim with its identity; its lines are completed from the claim file once that is fetched."""

    def __init__(self, desk: Desk, preparer: Preparer, claim: Claim) -> None:
        self.desk = desk
        self.preparer = preparer
        self.claim = claim
        speaker = preparer.speaker
        self.when = claim.event_time or preparer.now
        references = dict(claim.references)
        if "receipt" in references:
            references["receipt"] = f"{references['receipt']}@{iso_day(self.when)}"
        self.references = references
        self.institution = speaker.institution
        self.key = claim_key(self.institution, references)
        strongest = next(
            (f"{kind}:{references[kind]}" for kind in ("order", "visit", "receipt") if kind in references), ""
        )
        self.fact = digest(self.institution, "claimed", strongest or f"time:{self.when}")
        self.person = desk.privacy.pseudonym(claim.person) if claim.person else ""
        self.content = self._content()
        self.mode = desk.policy.mode(iso_day(self.when), speaker.region, claim.fund)
        self.malformed = any(problem.code == MALFORMED for problem in preparer.document.problems)
        """Some of the message could not be read: it cannot pass, whatever the rest says."""
        self.expected = max(0, claim.expected_drug) + max(0, claim.expected_consumable)
        self.waits = claim.setting in desk.policy.awaiting_settings
        self.sequence = 0
        """Sequence, in its file, of the settlement or refusal that answers it; set when it is judged."""
        self.facts: list[Fact] = []
        """Every code as it was judged last."""
        self.heard: Callable[[Sequence[Fact]], bool] = lambda _: False
        """Whether the nation answered for all boxes of these facts (R23)."""
        self._completed: tuple[Books, int, Lines] | None = None
        """The lines as last completed, with the books and how much of them had been fetched."""
        scans = [
            self._scan(line, code.code, code.where, split=code.split) for line in claim.lines for code in line.codes
        ]
        self._prepared: dict[tuple[str, ...], Fact] = {}
        """Facts without a box, prepared once: a second preparation would count them as further equal lines."""
        facts = iter(preparer.facts(scans, claim.setting))
        self.sent = [(line, [next(facts) for _ in line.codes]) for line in claim.lines]

    def _content(self) -> str:
        claim = self.claim
        return digest(
            claim.setting,
            self.person,
            str(claim.amount),
            *(
                f"{line.line}|{line.quantity}|{line.amount}|{code.code}|{code.split:d}"
                for line in claim.lines
                for code in line.codes
            ),
            *(f"{line.line}|{line.product}|{line.quantity}|{line.amount}" for line in claim.lines),
        )

    def _scan(self, line: ClaimLine, code: str, where: str, *, split: bool = False) -> Scan:
        return Scan(
            kind="claimed",
            code=code,
            where=where,
            event_time=self.when,
            references=dict(self.claim.references),
            line=line.line,
            product=line.product,
            quantity=line.quantity or "1",
            split=split,
            price=line.price,
            person=self.claim.person,
            fund=self.claim.fund,
        )

    def keys(self) -> set[str]:
        """First round: the claim file and every code that was sent."""
        keys = {self.key}
        for _, facts in self.sent:
            for fact in facts:
                keys.update((fact.key, *fact.readings))
        return keys

    def more(self, books: Books) -> set[str]:
        """Next rounds: boxes that the visit's reports name, balances of lines without a box, orders on any of them."""
        if self.key in books.asked:
            return set()
        wanted: set[str] = set()
        for _, facts in self.lines(books):
            for fact in facts:
                wanted.add(fact.key)
                if fact.balance:
                    wanted.add(fact.balance)
                elif self.desk.elsewhere and not is_line(fact):
                    wanted.add(elsewhere_key(fact.key))
                if is_line(fact) or fact.key in books.histories:
                    books.order_keys.update(order_keys(self.desk, fact, lot_of(books, fact)))
        if wanted <= books.histories.keys():
            # Every box and line is there: what is still missing are orders, which change no line.
            books.asked.add(self.key)
        return wanted | books.order_keys

    def lines(self, books: Books) -> Lines:
        """The claim's lines completed from its fee lines; lines without a code look for it in the visit's reports."""
        if self._completed is not None:
            books_then, fetched_then, lines = self._completed
            if books_then is books and (self.key in books.asked or fetched_then == len(books.histories)):
                return lines
        lines = self._complete_lines(books)
        self._completed = (books, len(books.histories), lines)
        return lines

    def _complete_lines(self, books: Books) -> Lines:
        file = ClaimFile.of(books.past(self.key))
        fees = file.fee_lines(self.references.get("order", ""))
        lines: Lines = []
        for line, facts in self.sent:
            completed = _with_fee(line, fees)
            lines.append((completed, [self._with_product(completed, line, fact) for fact in facts]))
        known = {line.line for line, _ in lines}
        lines += [(_line_of_fee(row), []) for name, row in fees.items() if name not in known]
        if not lines and self.expected:
            lines.append((ClaimLine(line="", where="data"), []))
        for line, facts in lines:
            for fact in facts:
                self._complete(fact, line, len(facts))
        self._share_reports(lines, self._open_reports(books, file))
        for line, facts in lines:
            if not facts:
                facts.extend(self._without_code(line))
        return lines

    def _with_product(self, line: ClaimLine, sent: ClaimLine, fact: Fact) -> Fact:
        """The escape code, lots and virtual codes are filed by product: prepared again once the fee line names it."""
        if line is sent or not is_line(fact):
            return fact
        return self._once(line, fact.code, fact.where, split=fact.split)

    def _once(self, line: ClaimLine, code: str, where: str, *, split: bool) -> Fact:
        mark = (line.line, line.product, line.quantity, code, where)
        fact = self._prepared.get(mark)
        if fact is None:
            scan = self._scan(line, code, where, split=split)
            fact = self._prepared[mark] = self.preparer.facts([scan], self.claim.setting)[0]
        return fact

    def _without_code(self, line: ClaimLine) -> list[Fact]:
        fact = self._once(line, "", line.where, split=False)
        return [fact] if fact.balance else []

    def _open_reports(self, books: Books, file: ClaimFile) -> list[Reported]:
        """Boxes of the visit that were reported sold, still stand, and that no settlement claims.

        Inpatient claims carry no codes of their own; other claims look here only for codes that they say are missing.
        """
        sent = {fact.key for _, facts in self.sent for fact in facts}
        if not self.waits or (self.claim.setting != "inpatient" and self.expected <= len(sent)):
            return []
        return [
            report
            for report in file.unclaimed_reports()
            if report.key not in sent and (report.key not in books.histories or _is_unclaimed(books, report))
        ]

    def _share_reports(self, lines: Lines, reports: Sequence[Reported]) -> None:
        """Reported boxes go to the line whose number they name, else to lines of their product in turn, by quantity."""
        empty = [(line, facts) for line, facts in lines if not facts]
        left = list(reports)
        for line, facts in empty:
            named = [report for report in left if report.line == line.line and report.product in {"", line.product}]
            facts.extend(self._fact_of(report, line) for report in named)
            left = [report for report in left if report not in named]
        for place, (line, facts) in enumerate(empty):
            fitting = [report for report in left if report.product == line.product]
            if any(other.product == line.product for other, _ in empty[place + 1 :]):
                fitting = fitting[: max(0, int(quantity_of(line.quantity)) - len(facts))]
            facts.extend(self._fact_of(report, line) for report in fitting)
            left = [report for report in left if report not in fitting]

    def _fact_of(self, report: Reported, line: ClaimLine) -> Fact:
        fact = self.preparer.facts([self._scan(line, report.code, line.where, split=report.split)])[0]
        fact.key, fact.n, fact.m = report.key, report.n, report.m
        return fact

    def _complete(self, fact: Fact, line: ClaimLine, codes: int) -> None:
        """What only the fee line says: the billed product (R14, R15) and how many units of a split box (R18)."""
        fact.product = line.product
        fact.references = self.references
        if is_line(fact) or not line.product:
            return
        preparer = self.preparer
        fact.differs = preparer.differs(fact, line.product)
        fact.missing_stock = line.product in preparer.covered
        if fact.split:
            fact.n, fact.m = preparer.units(fact, line.quantity, codes)


def _is_unclaimed(books: Books, report: Reported) -> bool:
    sale = books.box(report.key).sale_with(report.sequence)
    return sale is not None and not sale.claimed


def _with_fee(line: ClaimLine, fees: dict[str, dict[str, Any]]) -> ClaimLine:
    row = fees.get(line.line)
    if row is None:
        return line
    fee = _line_of_fee(row)
    return msgspec.structs.replace(
        line,
        product=line.product or fee.product,
        quantity=line.quantity or fee.quantity,
        price=line.price or fee.price,
        amount=line.amount or fee.amount,
    )


def _line_of_fee(row: dict[str, object]) -> ClaimLine:
    return ClaimLine(
        line=str(row["line"]),
        where=f"feedetail {row['line']}",
        product=str(row["product"]),
        item=str(row["item"]),
        quantity=str(row["quantity"]),
        price=int(str(row["price"])),
        amount=int(str(row["amount"])),
    )
