"""The count of an upload, read, taken, repeated, in conflict, rejected: our own answer to tables and EPCIS."""

from collections.abc import Iterator

import msgspec

from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import NOTE
from suyuan.ledger.scan import Problem, Result
from suyuan.ledger.statuses import STATUS
from suyuan.settlement.claim import ClaimVerdict


class Summary(msgspec.Struct, kw_only=True):
    """Counts of records. `read` is the sum of the other four."""

    read: int = 0
    accepted: int = 0
    repeated: int = 0
    """Sent before, or tolerated double scans: nothing changed."""
    conflicts: int = 0
    """Kept, but they contradict what is known; claims refused or on hold among them."""
    rejected: int = 0
    """Not taken: cannot be read, or not allowed."""
    seconds: float = 0.0

    def add(self, document: Document, outcome: Outcome) -> None:
        """Count one document with its answer."""
        problems = {problem.where for problem in document.problems if problem.code != NOTE}
        if outcome.fatal:
            self.rejected += max(1, len(document.records) + len(problems))
        else:
            self.rejected += len(problems)
            for result in outcome.results:
                word = fate_of(result)
                setattr(self, word, getattr(self, word) + 1)
        self.read = self.accepted + self.repeated + self.conflicts + self.rejected


def fate_of(result: Result | ClaimVerdict) -> str:
    """accepted, repeated, conflicts or rejected."""
    if isinstance(result, ClaimVerdict):
        if result.problems:
            return "rejected"
        if not result.first:
            return "repeated"
        return "accepted" if result.verdict == "pay" else "conflicts"
    if not result.first or result.status == "tolerated_repeat":
        return "repeated"
    return {"error": "rejected", "alert": "conflicts"}.get(STATUS[result.status].layer, "accepted")


def faults_of(document: Document, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(where, reason in words) of everything that was not taken, for the rejects file and the reader."""
    if outcome.fatal:
        yield "", outcome.fatal
        return
    for problem in document.problems:
        if problem.code != NOTE:
            yield problem.where, _in_words(problem)
    for result in outcome.results:
        if fate_of(result) != "rejected":
            continue
        if isinstance(result, ClaimVerdict):
            yield "", "；".join(result.problems)
        else:
            status = STATUS[result.status]
            yield (
                result.where,
                f"{result.code} {status.name}: {result.message or status.meaning_zh}；{status.next_action_zh}",
            )


def notes_of(document: Document, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(where, remark in words) of what was left out of lines that were taken all the same."""
    for problem in () if outcome.fatal else document.problems:
        if problem.code == NOTE:
            yield problem.where, _in_words(problem)


def _in_words(problem: Problem) -> str:
    value = f" ({problem.value})" if problem.value else ""
    return f"{problem.what}{value}{'. ' if problem.do else ''}{problem.do}"


def answer(document: Document, outcome: Outcome) -> bytes:
    """The summary of one document as JSON."""
    summary = Summary()
    summary.add(document, outcome)
    return msgspec.json.encode(summary)
