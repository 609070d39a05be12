"""Outcomes as the JSON that our own interface answers with: each line with its word, meaning and next action."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import FAULTS
from suyuan.formats.summary import Summary
from suyuan.ledger.scan import Problem, Result
from suyuan.ledger.statuses import STATUS
from suyuan.lookup.moment import iso_time
from suyuan.settlement.claim import ClaimVerdict, CodeVerdict, LineVerdict


class LineAnswer(msgspec.Struct, kw_only=True):
    """What became of one line or code. Words stand in both languages."""

    where: str
    """Its place in what was sent."""
    code: str
    status: str
    reasons: tuple[str, ...]
    first: bool
    """False where this repeats an answer given earlier."""
    alert: str = ""
    """Id of the alert that was raised, if any."""
    meaning: str = ""
    meaning_zh: str = ""
    next_action: str = ""
    next_action_zh: str = ""
    message: str = ""
    """More words, where there are more than the status says."""


class ProblemAnswer(msgspec.Struct, kw_only=True):
    """Why a line, or a value of it, was left out. Words stand in both languages."""

    where: str
    code: str
    """malformed: the line stayed out; not_taken: understood, and there is no place for it; note: only a remark."""
    value: str
    what: str
    what_zh: str
    do: str
    do_zh: str


class UploadAnswer(msgspec.Struct, kw_only=True):
    """What became of an upload: a result for each line that was taken up, a problem for each that was not."""

    reference: str
    """Our id of the upload."""
    received: str
    repeated: bool
    """True where this very upload was answered before: then this is that answer."""
    dry_run: bool = False
    summary: Summary
    """Counts of records, as `suyuan ingest` prints them."""
    results: list[LineAnswer]
    problems: list[ProblemAnswer]


class CodeAnswer(msgspec.Struct, kw_only=True):
    """What became of one code of a claim."""

    where: str
    code: str
    status: str
    reasons: tuple[str, ...]
    verdict: str
    drawn: bool
    """Whether the claim took the box, or its part of it."""
    alert: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str
    facts: dict[str, str]
    """What may be told of the other side: kind of place and month, never who."""


class ClaimLineAnswer(msgspec.Struct, kw_only=True):
    """What became of one fee line; it shows its worst code."""

    line: str
    where: str
    product: str
    verdict: str
    status: str
    reasons: tuple[str, ...]
    amount: str
    paid: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str
    codes: list[CodeAnswer]


class ClaimAnswer(msgspec.Struct, kw_only=True):
    """What became of a claim; it shows its worst line. Amounts are yuan."""

    verdict: str
    settlement: str
    """Id of the settlement, by which it is cancelled; empty for advice and for what was refused."""
    advice: bool
    first: bool
    reference: str
    received: str
    amount: str
    paid: str
    held: str
    refused: str
    lines: list[ClaimLineAnswer]
    problems: tuple[str, ...]
    contest: str


def upload_answer(document: Document, outcome: Outcome) -> UploadAnswer:
    """The answer to an upload of lines."""
    summary = Summary()
    summary.add(document, outcome)
    return UploadAnswer(
        summary=summary,
        reference=outcome.reference,
        received=iso_time(outcome.received),
        repeated=outcome.repeated,
        results=[line_answer(result) for result in outcome.results if isinstance(result, Result)],
        problems=problem_answers([*document.problems, *outcome.problems]),
    )


def line_answer(result: Result) -> LineAnswer:
    """The answer to one line."""
    status = STATUS[result.status]
    return LineAnswer(
        where=result.where,
        code=result.code,
        status=result.status,
        reasons=result.reasons,
        first=result.first,
        alert=result.alert,
        meaning=status.meaning,
        meaning_zh=status.meaning_zh,
        next_action=status.next_action,
        next_action_zh=status.next_action_zh,
        message="" if result.message == status.meaning_zh else result.message,
    )


def problem_answers(problems: Iterable[Problem]) -> list[ProblemAnswer]:
    """Each problem once, in both languages."""
    return [problem_answer(problem) for problem in dict.fromkeys(problems)]


def problem_answer(problem: Problem) -> ProblemAnswer:
    """One problem in both languages."""
    entry = _BY_WORDS.get(problem.what)
    return ProblemAnswer(
        where=problem.where,
        code=problem.code,
        value=problem.value,
        what=problem.what,
        what_zh=entry.what_zh if entry else problem.what,
        do=problem.do,
        do_zh=entry.do_zh if entry else problem.do,
    )


_BY_WORDS = {entry.what: entry for entry in FAULTS}


def claim_answer(verdict: ClaimVerdict, outcome: Outcome) -> ClaimAnswer:
    """The answer to a claim."""
    return ClaimAnswer(
        verdict=verdict.verdict,
        settlement=verdict.settlement,
        advice=verdict.advice,
        first=verdict.first and not outcome.repeated,
        reference=outcome.reference,
        received=iso_time(outcome.received),
        amount=yuan(verdict.amount),
        paid=yuan(verdict.paid),
        held=yuan(verdict.held),
        refused=yuan(verdict.refused),
        lines=[_claim_line(line) for line in verdict.lines],
        problems=verdict.problems,
        contest=verdict.contest,
    )


def _claim_line(line: LineVerdict) -> ClaimLineAnswer:
    status = STATUS[line.status]
    return ClaimLineAnswer(
        line=line.line,
        where=line.where,
        product=line.product,
        verdict=line.verdict,
        status=line.status,
        reasons=line.reasons,
        amount=yuan(line.amount),
        paid=yuan(line.paid),
        meaning=status.meaning,
        meaning_zh=status.meaning_zh,
        next_action=status.next_action,
        next_action_zh=status.next_action_zh,
        codes=[_code(code) for code in line.codes],
    )


def _code(code: CodeVerdict) -> CodeAnswer:
    status = STATUS[code.status]
    return CodeAnswer(
        where=code.where,
        code=code.code,
        status=code.status,
        reasons=code.reasons,
        verdict=code.verdict,
        drawn=code.drawn,
        alert=code.alert,
        meaning=status.meaning,
        meaning_zh=status.meaning_zh,
        next_action=status.next_action,
        next_action_zh=status.next_action_zh,
        facts=code.facts,
    )


def yuan(millionths: int) -> str:
    """An amount as decimal text with at least two places: `13.80`."""
    exact = Decimal(millionths).scaleb(-6)
    if exact == exact.quantize(_CENT):
        return str(exact.quantize(_CENT))
    return f"{exact.normalize():f}"


_CENT = Decimal("0.01")
