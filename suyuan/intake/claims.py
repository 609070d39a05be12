"""Claims: fee lines, settlements and pre-settlements, judged line by line and drawn down all or nothing (R9–R14)."""

import itertools
from fractions import Fraction
from typing import Any

import msgspec

from suyuan.intake.claim_lines import PreparedClaim
from suyuan.intake.prepare import quantity_of
from suyuan.intake.scans import is_line, judge_line, raise_alerts, standing_holds, write_fact, write_line
from suyuan.ledger.admission import DAY, Admission, Fact, admit, iso_day
from suyuan.ledger.alerts import alert_id, evidence
from suyuan.ledger.box import NOTHING, WHOLE
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key, claim_key, digest
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import STATUS, ordered
from suyuan.settlement.claim import ClaimLine, ClaimVerdict, CodeVerdict, FeeLine, LineVerdict
from suyuan.settlement.claim_file import ClaimFile, Settlement
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
    awaited: int = 0
    """How many scans it waits for (R13)."""


def take_fee_lines(books: Books, fees: list[FeeLine], institution: str, document: str) -> list[Result]:
    """Keep which product each fee line is (2204, 2301), for the settlement that follows."""
    by_key: dict[str, list[FeeLine]] = {}
    for fee in fees:
        by_key.setdefault(claim_key(institution, fee.references), []).append(fee)
    for key, rows in by_key.items():
        lines: list[dict[str, Any]] = [
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
        known = ClaimFile.of(books.past(key)).fees
        if all(known.get((row["order"], row["line"])) == row for row in lines):
            continue
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
    """Judge a claim; unless it asks for advice, draw its codes down and store the verdict: all or nothing (R12)."""
    file = ClaimFile.of(books.past(prepared.key))
    earlier = file.open_with(prepared.fact)
    if earlier is not None:
        return _answer_again(prepared, earlier)
    lines = _judge_lines(books, prepared)
    verdict = _claim_verdict(prepared, lines)
    if prepared.malformed:
        _refuse_whole(verdict, "报文中有无法读取的内容，整单未通过，请按提示修改后重新上传")
    elif reversed_before:
        _refuse_whole(verdict, "该笔结算已被冲正（2601先于本报文到达）")
    if prepared.desk.elsewhere and verdict.verdict != "refuse":
        verdict.provisional = not prepared.heard(prepared.facts)
    if not prepared.claim.advice:
        prepared.sequence = _write_claim(books, prepared, lines, verdict)
    return verdict


def _answer_again(prepared: PreparedClaim, earlier: Settlement) -> ClaimVerdict:
    """R6, R8: the same claim sent again finds itself; other content under its key is refused."""
    if earlier.content == prepared.content:
        answer = msgspec.convert(earlier.detail, ClaimVerdict)
        answer.first, answer.advice = False, prepared.claim.advice
        prepared.sequence = earlier.sequence
        return answer
    return ClaimVerdict(
        verdict="refuse",
        advice=prepared.claim.advice,
        amount=prepared.claim.amount,
        refused=prepared.claim.amount,
        problems=(f"{STATUS['key_reused'].meaning_zh}：{STATUS['key_reused'].next_action_zh}",),
        contest=CONTEST,
    )


def _refuse_whole(verdict: ClaimVerdict, why: str) -> None:
    """Refuse a claim for what concerns all of it."""
    verdict.verdict, verdict.settlement, verdict.problems = "refuse", "", (why,)
    verdict.paid, verdict.held, verdict.refused = 0, 0, verdict.amount
    verdict.contest = CONTEST
    for line in verdict.lines:
        line.paid = 0


def _judge_lines(books: Books, prepared: PreparedClaim) -> list[JudgedLine]:
    seen: set[str] = set()
    pending: dict[str, Fraction] = {}
    lines = prepared.lines(books)
    prepared.facts = [fact for _, facts in lines for fact in facts]
    missing = prepared.expected - sum(bool(fact.code) for fact in prepared.facts)
    waits = prepared.waits and (prepared.claim.setting == "inpatient" or missing > 0)
    judged = []
    for line, facts in lines:
        entries = [_judge_code(books, prepared, fact, seen, pending) for fact in facts]
        reasons: tuple[str, ...] = ()
        if not entries and not _is_treatment(line):
            reasons = ("awaiting_scan",) if waits else ("not_scanned",)
        judged.append(JudgedLine(line, entries, reasons, _line_verdict_of(prepared, entries, reasons)))
    if waits:
        _await_scans(prepared, judged, missing)
    return judged


def _line_verdict_of(prepared: PreparedClaim, entries: list[Judged], reasons: tuple[str, ...]) -> str:
    own = answered_verdict(worst(STATUS[reason].verdict for reason in reasons), reasons, prepared.mode)
    return worst([own, *(entry.verdict for entry in entries)])


def _is_treatment(line: ClaimLine) -> bool:
    """Codes of drugs and consumables begin with a letter; treatments and beds have nothing to scan."""
    return line.product[:1].isdigit()


def _await_scans(prepared: PreparedClaim, judged: list[JudgedLine], missing: int) -> None:
    """R13: how many scans each line waits for; where every line has codes, the fullest waits for what is missing."""
    waiting = [entry for entry in judged if entry.reasons == ("awaiting_scan",)]
    if missing > 0 and not waiting and judged:
        entry = max(judged, key=lambda entry: quantity_of(entry.line.quantity) - len(entry.codes))
        entry.reasons = ("awaiting_scan",)
        entry.verdict = _line_verdict_of(prepared, entry.codes, entry.reasons)
        waiting = [entry]
    for place, entry in enumerate(waiting):
        entry.awaited = max(1, int(quantity_of(entry.line.quantity)))
        if missing > 0:
            # What the claim says of all its lines together is surer than a quantity, which may count tablets.
            others = len(waiting) - place - 1
            entry.awaited = max(1, min(entry.awaited, missing - others) if others else missing)
            missing -= entry.awaited


def _judge_code(
    books: Books, prepared: PreparedClaim, fact: Fact, seen: set[str], pending: dict[str, Fraction]
) -> Judged:
    holds = standing_holds(books, fact)
    fits = True
    if is_line(fact):
        admission = judge_line(books, fact, holds)
    elif fact.key in seen and not fact.split:
        admission = Admission("duplicate_in_document", ("duplicate_in_document",), relates=books.box(fact.key).sequence)
    else:
        box = books.box(fact.key)
        elsewhere = books.elsewhere(fact.key)
        admission = admit(fact, box, holds, prepared.desk.policy.rules, books.now, elsewhere=elsewhere)
        if fact.split:
            pending[fact.key] = pending.get(fact.key, NOTHING) + (Fraction(fact.n, fact.m) if fact.m else NOTHING)
        fits = (not box.sales and not fact.split) or box.claimed_units() + pending.get(fact.key, WHOLE) <= WHOLE
    seen.add(fact.key)
    if admission.status == "first_answer":
        # The claim itself is new: its number was used before, for another visit.
        admission = Admission("key_reused", ("key_reused",), relates=admission.relates)
    elif not fits and natural_verdict(admission) == "pay":
        admission = _with_reason(admission, "over_split")
    natural = natural_verdict(admission)
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
        return ClaimVerdict(
            verdict=verdict, advice=prepared.claim.advice, amount=amount, refused=amount, lines=shown, contest=CONTEST
        )
    paid, held, refused = money(shown)
    if not shown:
        paid = amount
    return ClaimVerdict(
        verdict=verdict,
        advice=prepared.claim.advice,
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


def _write_claim(books: Books, prepared: PreparedClaim, lines: list[JudgedLine], verdict: ClaimVerdict) -> int:
    """Write every code, the verdict, and the pointer by which a cancel finds it; answers the verdict's sequence."""
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
        if entry.awaited and not failed:
            awaiting[entry.line.line] = {"product": entry.line.product, "count": entry.awaited}
    stored = books.add(
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
        attempt=1 + sum(event.fact == prepared.fact for event in books.past(prepared.key)),
        content=prepared.content,
        drawn=not failed,
        references=references,
        price=verdict.amount,
        fund=prepared.claim.fund,
        person=prepared.person,
        deadline=0 if failed else _deadline(books, prepared, verdict, awaiting=bool(awaiting)),
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
    if not failed:
        _follow_up(books, prepared, verdict, stored, awaiting=bool(awaiting))
    return stored.sequence


def _follow_up(books: Books, prepared: PreparedClaim, verdict: ClaimVerdict, stored: Event, *, awaiting: bool) -> None:
    pointer = claim_key(prepared.institution, {"settlement": verdict.settlement})
    books.add(pointer, "claimed", actor=prepared.institution, verdict="refuse", detail={"claim": prepared.key})
    if awaiting and verdict.verdict == "hold":
        # The claim's own deadline is that of its missing scans; its hold has a later one.
        deadline = books.now + prepared.desk.policy.hold_days * DAY
        books.add(
            prepared.key,
            "corrected",
            actor=prepared.institution,
            corrects=stored.sequence,
            deadline=deadline,
            detail={"filled": []},
        )


def worst_status(verdict: ClaimVerdict) -> str:
    """The leading status of a claim: that of its worst line."""
    return ordered({line.status for line in verdict.lines} - {"accepted"})[0]


def _deadline(books: Books, prepared: PreparedClaim, verdict: ClaimVerdict, *, awaiting: bool) -> int:
    policy = prepared.desk.policy
    if awaiting:
        return books.now + policy.awaiting_days * DAY
    return books.now + policy.hold_days * DAY if verdict.verdict == "hold" else 0


def _settlement_id(books: Books, prepared: PreparedClaim) -> str:
    """setl_id of 30 characters: institution, business day, and a number that is the same when decided again.

    A number that was given out before is known as soon as its pointer proved stale; then the next one is taken.
    """
    attempt = str(books.next_sequence(prepared.key))
    start = f"{prepared.institution[:12]:0<12}{iso_day(prepared.when).replace('-', '')}"
    numbers = (int(digest(prepared.fact, attempt, str(salt)), 16) % 10**10 for salt in itertools.count())
    ids = (f"{start}{number:010d}" for number in numbers)
    return next(one for one in ids if not books.past(claim_key(prepared.institution, {"settlement": one})))


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
    if admission.status == "key_reused":
        return None
    fact.references = references
    fact.fund = prepared.claim.fund
    admission.drawn = judged.drawn and not failed
    stored = "refuse" if failed else judged.verdict
    shown.alert = raise_alerts(books, fact, admission, standing_holds(books, fact), prepared.desk.policy.rules)
    if is_line(fact):
        event = write_line(books, fact, admission, stored, shown.alert)
    else:
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
