"""Claims: fee lines, settlements and pre-settlements, judged line by line and drawn down all or nothing (R9–R14)."""

from fractions import Fraction

import msgspec

from suyuan.intake.desk import Desk
from suyuan.intake.prepare import Preparer, hold_keys, quantity_of
from suyuan.intake.scans import raise_alerts, standing_holds, write_fact, write_line
from suyuan.ledger.admission import DAY, Admission, Fact, admit, iso_day
from suyuan.ledger.alerts import alert_id, evidence
from suyuan.ledger.balances import admit_line
from suyuan.ledger.box import WHOLE
from suyuan.ledger.keys import alert_key, claim_key, digest
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result, Scan
from suyuan.ledger.statuses import STATUS, ordered
from suyuan.settlement.claim import Claim, ClaimLine, ClaimVerdict, CodeVerdict, FeeLine, LineVerdict
from suyuan.settlement.claim_file import ClaimFile, Reported, Settlement
from suyuan.settlement.verdict import (
    CONTEST,
    answered_verdict,
    draws,
    in_words,
    money,
    natural_verdict,
    next_action,
    share_out,
    worst,
)


class Judged(msgspec.Struct, gc=False):
    """One code of a claim with its decision, before anything is written."""

    fact: Fact
    admission: Admission
    verdict: str
    drawn: bool


class JudgedLine(msgspec.Struct, gc=False):
    """One line with its codes; `reasons` are those of the line itself."""

    line: ClaimLine
    codes: list[Judged]
    reasons: tuple[str, ...]
    verdict: str


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
        self.content = digest(
            claim.setting,
            claim.person,
            str(claim.amount),
            *(
                f"{line.line}|{line.quantity}|{line.amount}|{code.code}|{code.split:d}"
                for line in claim.lines
                for code in line.codes
            ),
            *(f"{line.line}|{line.product}|{line.quantity}|{line.amount}" for line in claim.lines),
        )
        self.mode = desk.policy.mode(iso_day(self.when), speaker.region, claim.fund)
        scans = [
            self._scan(line, code.code, code.where, split=code.split) for line in claim.lines for code in line.codes
        ]
        self._codeless: dict[str, Fact] = {}
        """Lines without code, prepared once: a second preparation would count them as further equal lines."""
        facts = iter(preparer.facts(scans))
        self.sent = [(line, [next(facts) for _ in line.codes]) for line in claim.lines]

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
                if fact.balance:
                    keys.add(fact.balance)
        return keys

    def more(self, books: Books) -> set[str]:
        """Next rounds: boxes that the visit's reports name, balances of lines without code, orders on products and batches."""
        wanted: set[str] = set()
        for _, facts in self.lines(ClaimFile.of(books.past(self.key))):
            for fact in facts:
                wanted.add(fact.key)
                if fact.balance:
                    wanted.add(fact.balance)
                elif fact.key in books.histories:
                    wanted.update(hold_keys(fact, books.box(fact.key).lot))
        return wanted

    def lines(self, file: ClaimFile) -> list[tuple[ClaimLine, list[Fact]]]:
        """The claim's lines completed from its fee lines; inpatient lines take their codes from the visit's reports."""
        lines = [(self._with_fee(line, file), facts) for line, facts in self.sent]
        known = {line.line for line, _ in lines}
        order = self.references.get("order", "")
        lines += [
            (_line_of_fee(row), [])
            for name, row in file.fees.items()
            if name not in known and (not order or row["order"] in {"", order})
        ]
        reports = file.unclaimed_reports() if self.claim.setting == "inpatient" else []
        for line, facts in lines:
            if not facts:
                facts.extend(self._from_reports(line, reports))
            if not facts:
                facts.extend(self._without_code(line))
            for fact in facts:
                self._complete(fact, line, len(facts))
        return lines

    def _with_fee(self, line: ClaimLine, file: ClaimFile) -> ClaimLine:
        row = file.fees.get(line.line)
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

    def _from_reports(self, line: ClaimLine, reports: list[Reported]) -> list[Fact]:
        found = [report for report in reports if report.product == line.product]
        for report in found:
            reports.remove(report)
        return [self._fact_of(report, line) for report in found]

    def _fact_of(self, report: Reported, line: ClaimLine) -> Fact:
        fact = self.preparer.facts([self._scan(line, report.code, line.where, split=report.split)])[0]
        fact.key, fact.n, fact.m = report.key, report.n, report.m
        return fact

    def _without_code(self, line: ClaimLine) -> list[Fact]:
        fact = self._codeless.get(line.line)
        if fact is None:
            fact = self.preparer.fact_without_code(self._scan(line, "", line.where), self.claim.setting)
            self._codeless[line.line] = fact
        return [fact] if fact.balance else []

    def _complete(self, fact: Fact, line: ClaimLine, codes: int) -> None:
        """What only the fee line says: the billed product (R14) and how many units of a split box (R18)."""
        fact.product = line.product
        fact.references = self.references
        if not fact.product_key or not line.product:
            return
        catalogue = self.desk.catalogue
        fact.differs = catalogue.same_product(fact.product_key, line.product, self.preparer.speaker.day) is False
        edge = self.preparer.edge(fact.product_key)
        if fact.split and fact.m == 1 and edge is not None and edge.units_reviewed and codes == 1:
            part = quantity_of(line.quantity or "1")
            fact.n, fact.m = part.numerator, edge.units * part.denominator


def take_fee_lines(books: Books, fees: list[FeeLine], institution: str, document: str) -> list[Result]:
    """Keep which product each fee line is (2204, 2301), for the settlement that follows."""
    by_key: dict[str, list[FeeLine]] = {}
    for fee in fees:
        by_key.setdefault(claim_key(institution, fee.references), []).append(fee)
    for key, rows in by_key.items():
        lines = [
            {
                "line": row.line,
                "product": row.product,
                "item": row.item,
                "quantity": row.quantity,
                "price": row.price,
                "amount": row.amount,
                "order": row.references.get("order", ""),
            }
            for row in rows
        ]
        books.add(
            key,
            "fee_line",
            event_time=rows[0].event_time or books.now,
            actor=institution,
            references=rows[0].references if len({row.references.get("order") for row in rows}) == 1 else {},
            content=digest(*(f"{row}" for row in lines)),
            document=document,
            detail={"lines": lines},
        )
    return [Result(fee.where, "", claim_key(institution, fee.references), "accepted", ("accepted",)) for fee in fees]


def take_claim(books: Books, prepared: PreparedClaim, *, reversed_before: bool = False) -> ClaimVerdict:
    """Judge a claim; unless it only asks for advice, draw its codes down and store the verdict, all or nothing (R12)."""
    file = ClaimFile.of(books.past(prepared.key))
    earlier = file.open_with(prepared.fact)
    if earlier is not None and not prepared.claim.advice:
        return _answer_again(prepared, earlier)
    lines = _judge_lines(books, prepared, file)
    verdict = _claim_verdict(prepared, lines)
    if prepared.claim.advice:
        verdict.advice = True
        return verdict
    if reversed_before:
        verdict.verdict, verdict.problems = "refuse", ("该笔结算已被冲正（2601先于本报文到达）",)
    _write_claim(books, prepared, lines, verdict)
    return verdict


def _answer_again(prepared: PreparedClaim, earlier: Settlement) -> ClaimVerdict:
    """R6, R8: the same claim sent again finds itself; other content under its key is refused."""
    if earlier.content == prepared.content:
        answer = msgspec.convert(earlier.detail, ClaimVerdict)
        answer.first = False
        return answer
    return ClaimVerdict(
        verdict="refuse",
        amount=prepared.claim.amount,
        refused=prepared.claim.amount,
        problems=(f"{STATUS['key_reused'].meaning_zh}：{STATUS['key_reused'].next_action_zh}",),
        contest=CONTEST,
    )


def _judge_lines(books: Books, prepared: PreparedClaim, file: ClaimFile) -> list[JudgedLine]:
    seen: set[str] = set()
    pending: dict[str, Fraction] = {}
    lines = prepared.lines(file)
    codes = sum(len(line.codes) for line, _ in lines)
    claim = prepared.claim
    expected = max(0, claim.expected_drug) + max(0, claim.expected_consumable)
    waits = claim.setting == "inpatient" or expected > codes
    waits = waits and claim.setting in prepared.desk.policy.awaiting_settings
    judged = []
    for line, facts in lines:
        entries = [_judge_code(books, prepared, fact, seen, pending) for fact in facts]
        reasons: tuple[str, ...] = ()
        if not entries:
            reasons = ("awaiting_scan",) if waits else ("not_scanned",)
        own = answered_verdict(worst(STATUS[reason].verdict for reason in reasons), reasons, prepared.mode)
        judged.append(JudgedLine(line, entries, reasons, worst([own, *(entry.verdict for entry in entries)])))
    return judged


def _judge_code(
    books: Books, prepared: PreparedClaim, fact: Fact, seen: set[str], pending: dict[str, Fraction]
) -> Judged:
    holds = standing_holds(books, fact)
    rules = prepared.desk.policy.rules
    if fact.balance or fact.key.startswith("line:"):
        history = books.past(fact.key)
        last = books.last(fact.balance) if fact.balance else None
        admission = admit_line(fact, history[-1] if history else None, last, holds)
        fits = True
    elif fact.key in seen and not fact.split:
        admission = Admission("duplicate_in_document", ("duplicate_in_document",), relates=books.box(fact.key).sequence)
        fits = False
    else:
        box = books.box(fact.key)
        admission = admit(fact, box, holds, rules, books.now)
        part = Fraction(fact.n, fact.m) if fact.m else Fraction(0)
        before = pending.get(fact.key, Fraction(0))
        fits = admission.status == "first_answer" or box.claimed_units() + before + part <= WHOLE
        if not fits and before:
            admission = _with_reason(admission, "over_split")
        pending[fact.key] = before + part
    seen.add(fact.key)
    natural = natural_verdict(admission)
    if not fits and natural == "pay":
        natural = "refuse"
    answered = answered_verdict(natural, admission.reasons, prepared.mode)
    return Judged(fact, admission, answered, draws(natural, answered, admission, fits=fits))


def _with_reason(admission: Admission, reason: str) -> Admission:
    names = ordered({*admission.reasons, reason} - {"accepted"})
    return msgspec.structs.replace(admission, status=names[0], reasons=names)


def _claim_verdict(prepared: PreparedClaim, lines: list[JudgedLine]) -> ClaimVerdict:
    shown = [_line_verdict(entry) for entry in lines]
    share_out(shown, prepared.claim.amount)
    amount = sum(line.amount for line in shown) or prepared.claim.amount
    verdict = worst(line.verdict for line in shown)
    if verdict == "refuse":
        # One pass or fail for the whole message: nothing is drawn down (R12).
        return ClaimVerdict(verdict=verdict, amount=amount, refused=amount, lines=shown, contest=CONTEST)
    paid, held, refused = money(shown)
    if not shown:
        paid = amount
    return ClaimVerdict(
        verdict=verdict,
        settlement="" if prepared.claim.advice else "pending",
        amount=amount,
        paid=paid,
        held=held,
        refused=refused,
        lines=shown,
        contest=CONTEST if verdict == "hold" else "",
    )


def _line_verdict(entry: JudgedLine) -> LineVerdict:
    codes = [
        CodeVerdict(
            code=judged.fact.code,
            where=judged.fact.where,
            key=judged.fact.key,
            status=judged.admission.status,
            reasons=judged.admission.reasons,
            verdict=judged.verdict,
            drawn=judged.drawn,
            message=in_words(judged.admission.reasons),
            next_action=next_action(judged.admission.reasons),
            facts=_facts_to_show(judged),
        )
        for judged in entry.codes
    ]
    reasons = ordered({*entry.reasons, *(reason for code in codes for reason in code.reasons)} - {"accepted"})
    return LineVerdict(
        line=entry.line.line,
        where=entry.line.where,
        product=entry.line.product,
        verdict=entry.verdict,
        status=reasons[0],
        reasons=reasons,
        amount=entry.line.amount,
        codes=codes,
        message=in_words(reasons),
        next_action=next_action(reasons),
    )


def _facts_to_show(judged: Judged) -> dict[str, str]:
    """What an institution may see of the other side: kind of place and date band, never the partner's name."""
    against = judged.admission.against
    if against is None:
        return {}
    other = against.known_by
    here = other.actor == judged.fact.actor
    return {
        "earlier_sale": "here" if here else "elsewhere",
        "kind_of_place": "pharmacy" if other.actor.startswith("P") else "hospital",
        "date_band": iso_day(other.event_time)[:7],
        "claimed": "yes" if against.claimed else "no",
    }


def _write_claim(books: Books, prepared: PreparedClaim, lines: list[JudgedLine], verdict: ClaimVerdict) -> None:
    failed = verdict.verdict == "refuse"
    references = dict(prepared.references)
    if not failed:
        verdict.settlement = references["settlement"] = _settlement_id(books, prepared)
    codes: list[tuple[str, int]] = []
    awaiting: dict[str, dict[str, object]] = {}
    for entry, shown in zip(lines, verdict.lines, strict=True):
        for judged, code in zip(entry.codes, shown.codes, strict=True):
            written = _write_code(books, prepared, judged, code, references, failed=failed)
            if written is not None:
                codes.append(written)
        if "awaiting_scan" in entry.reasons and not failed:
            count = int(quantity_of(entry.line.quantity or "1"))
            awaiting[entry.line.line] = {"product": entry.line.product, "count": max(1, count)}
    books.add(
        prepared.key,
        "claimed",
        event_time=prepared.when,
        actor=prepared.institution,
        place=prepared.institution,
        region=prepared.preparer.speaker.region,
        status=worst_status(verdict),
        reasons=tuple(dict.fromkeys(reason for line in verdict.lines for reason in line.reasons)) or ("accepted",),
        verdict=verdict.verdict,
        fact=prepared.fact,
        content=prepared.content,
        drawn=not failed,
        references=references,
        price=verdict.amount,
        fund=prepared.claim.fund,
        person=prepared.person,
        deadline=_deadline(books, prepared, verdict, awaiting=bool(awaiting)),
        document=prepared.preparer.sealed,
        software=prepared.preparer.document.software,
        detail={
            "answer": msgspec.to_builtins(verdict),
            "codes": codes,
            "awaiting": awaiting,
            "setting": prepared.claim.setting,
            "insured_area": prepared.claim.insured_area,
        },
    )
    if not failed and "visit" not in references:
        pointer = claim_key(prepared.institution, {"settlement": verdict.settlement})
        books.add(pointer, "claimed", actor=prepared.institution, verdict="refuse", detail={"claim": prepared.key})


def worst_status(verdict: ClaimVerdict) -> str:
    """The leading status of a claim: that of its worst line."""
    return ordered({line.status for line in verdict.lines} - {"accepted"})[0]


def _deadline(books: Books, prepared: PreparedClaim, verdict: ClaimVerdict, *, awaiting: bool) -> int:
    policy = prepared.desk.policy
    if awaiting:
        return books.now + policy.awaiting_days * DAY
    return books.now + policy.hold_days * DAY if verdict.verdict == "hold" else 0


def _settlement_id(books: Books, prepared: PreparedClaim) -> str:
    """setl_id of 30 characters: institution, business day, and a number that is the same when decided again."""
    attempt = books.next_sequence(prepared.key)
    number = int(digest(prepared.fact, str(attempt)), 16) % 10**10
    return f"{prepared.institution[:12]:0<12}{iso_day(prepared.when).replace('-', '')}{number:010d}"


def _write_code(
    books: Books,
    prepared: PreparedClaim,
    judged: Judged,
    shown: CodeVerdict,
    references: dict[str, str],
    *,
    failed: bool,
) -> tuple[str, int] | None:
    fact, admission = judged.fact, judged.admission
    if admission.status in {"first_answer", "key_reused"}:
        return None
    fact.references = references
    fact.fund = prepared.claim.fund
    admission.drawn = judged.drawn and not failed
    stored = "refuse" if failed else judged.verdict
    if fact.balance or fact.key.startswith("line:"):
        event = write_line(books, fact, admission, stored)
    else:
        rules = prepared.desk.policy.rules
        holds = standing_holds(books, fact)
        shown.alert = raise_alerts(books, fact, admission, holds, rules)
        _alert_two_funds(books, judged, stored)
        if failed:
            admission.deadline = 0
        event = write_fact(books, fact, admission, verdict=stored, alert=shown.alert)
        for reading in fact.readings:
            write_fact(books, fact, admission, key=reading, verdict=stored)
    shown.drawn = admission.drawn
    return None if failed else (event.key, event.sequence)


def _alert_two_funds(books: Books, judged: Judged, stored: str) -> None:
    """R22: a box paid by two funds is an alert of its own; it happens where policy lets a conflict pass."""
    against = judged.admission.against
    if stored != "pay" or against is None or against.claim is None:
        return
    if not judged.fact.fund or against.claim.fund in {"", judged.fact.fund}:
        return
    fact = judged.fact
    books.add(
        alert_key(alert_id(fact, "two_funds", books.next_sequence(fact.key))),
        "alerted",
        event_time=fact.event_time,
        actor=fact.actor,
        region=fact.region,
        status=judged.admission.status,
        reasons=judged.admission.reasons,
        references=fact.references,
        fund=fact.fund,
        detail={**evidence(fact, judged.admission, "two_funds"), "funds": [against.claim.fund, fact.fund]},
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
