"""Verdict: pay, hold or refuse, per code, line and claim, from admission and policy (R9–R12). Pure."""

from collections.abc import Iterable, Sequence

from suyuan.ledger.admission import Admission
from suyuan.ledger.statuses import STATUS
from suyuan.settlement.claim import LineVerdict
from suyuan.settlement.policy import Mode

RANK = {"pay": 0, "hold": 1, "refuse": 2}
NEVER_SOFTENED = frozenset({"malformed", "not_allowed", "key_reused", "institution_suspended"})
"""Refusals also under observe and warn: those change what suspicion of a code does, not what can be read or who may
settle at all."""

CONTEST = (
    "对结论有异议的，可在收到结果后5个工作日内向经办机构书面提交随货同行单、发票、出入库记录或监控截图；"
    "To contest: within 5 working days, in writing, with delivery note, invoice, stock record or footage."
)


def natural_verdict(admission: Admission) -> str:
    """What R9 says of one code when the policy enforces: the gravest of its reasons."""
    return worst(_reason_verdict(reason, admission) for reason in admission.reasons)


def _reason_verdict(reason: str, admission: Admission) -> str:
    if reason == "conflict_sold":
        # Against a report that nobody claimed the claim waits; against a claim it is refused (R9).
        return "refuse" if admission.against is None or admission.against.claimed else "hold"
    return STATUS[reason].verdict or "pay"


def answered_verdict(natural: str, reasons: Sequence[str], mode: Mode) -> str:
    """R11: observe and warn answer pay whatever is suspected; admission stays what it is."""
    if mode == "enforce" or any(reason in NEVER_SOFTENED for reason in reasons):
        return natural
    return "pay"


def draws(natural: str, answered: str, admission: Admission, *, fits: bool) -> bool:
    """Whether a claim takes its units of the box (R1, R9): pay and hold do.

    A code under review, a refusal, a conflict that policy merely lets pass, and what no longer fits do not.
    """
    if natural == "refuse" or answered == "refuse" or "code_review" in admission.reasons:
        return False
    if natural == "hold" and answered == "pay" and "conflict_sold" in admission.reasons:
        return False
    return fits


def worst(verdicts: Iterable[str]) -> str:
    """The gravest verdict; pay where there is none."""
    return max(verdicts, key=RANK.__getitem__, default="pay")


def share_out(lines: Sequence[LineVerdict], total: int) -> None:
    """Give lines without an amount of their own their share of the claim's total, by number of codes; exactly."""
    if any(line.amount for line in lines) or not lines:
        return
    weights = [max(1, len(line.codes)) for line in lines]
    left, weight_left = total, sum(weights)
    for line, weight in zip(lines, weights, strict=True):
        line.amount = left * weight // weight_left
        left -= line.amount
        weight_left -= weight


def money(lines: Sequence[LineVerdict]) -> tuple[int, int, int]:
    """Paid, held and refused amounts of a claim, in millionths of a yuan; together they are the claim's amount."""
    sums = {"pay": 0, "hold": 0, "refuse": 0}
    for line in lines:
        sums[line.verdict] += line.amount
        line.paid = line.amount if line.verdict == "pay" else 0
    return sums["pay"], sums["hold"], sums["refuse"]


def in_words(reasons: Sequence[str]) -> str:
    """Every reason in words, Chinese first as the counter reads it."""
    return "；".join(f"{STATUS[reason].meaning_zh}" for reason in reasons)


def next_action(reasons: Sequence[str]) -> str:
    """The next physical action for the leading reason."""
    return STATUS[reasons[0]].next_action_zh if reasons else ""
