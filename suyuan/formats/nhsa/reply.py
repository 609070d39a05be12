"""Answers in the NHSA envelope: what became of a message, in the words and nodes its sender expects."""

from collections.abc import Iterable
from typing import Any

import msgspec

from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import MALFORMED, UnreadableError, problem_in_chinese, refusal_in_chinese
from suyuan.formats.nhsa.envelope import open_envelope
from suyuan.formats.nhsa.fields import fold
from suyuan.formats.nhsa.settle import SETTLEMENTS
from suyuan.formats.times import digits17
from suyuan.formats.values import text
from suyuan.ledger.scan import Problem, Result
from suyuan.ledger.statuses import STATUS, STATUSES
from suyuan.settlement.claim import Claim, ClaimVerdict, CodeVerdict, FeeLine, LineVerdict, Undo

FAILED = frozenset(status.name for status in STATUSES if status.layer == "error" or status.name.startswith("undo_"))
"""Statuses under which nothing was taken. A conflicting sale is kept as evidence: its upload succeeded, with words."""

SILENT = frozenset({"accepted", "same_sale", "first_answer", "tolerated_repeat"})
"""Statuses that need no words."""

ERROR_NODES = {
    "3501": "invinfoErrDetail",
    "3502": "invinfoErrDetail",
    "3503": "purcinfoErrDetail",
    "3504": "purcinfoErrDetail",
    "3505": "selinfoErrDetail",
    "3506": "selinfoErrDetail",
    "3507": "goodErrDetail",
}
"""Where an A variant lists its rows. Seen for 3502A and 3504A; the others follow their pattern."""

_ROW_FIELDS = (
    "med_list_codg",
    "inv_chg_type",
    "inv_data_type",
    "fixmedins_hilist_id",
    "fixmedins_hilist_name",
    "fixmedins_bchno",
)
"""What an error row repeats of the row it speaks of."""

_WORDS_MAX = 2000
"""msgRslt's length; err_msg keeps to it as well."""


def answer(document: Document, outcome: Outcome, infcode: str = "number") -> bytes:
    """The answer to a message: JSON in UTF-8 (`spec/nhsa-interface.md` §1.4, settlement rule R12).

    `infcode` is answered as a number, or as text (`text`) for the clients that compare it as such (T26).
    """
    return encoded(_answer(document, outcome), infcode)


def refused(words: str, now: int, infcode: str = "number") -> bytes:
    """An answer that says why nothing was taken, in Chinese; `now` in µs UTC."""
    return encoded(_envelope(Outcome(received=now), error=words), infcode)


def told(output: object, now: int, reference: str, infcode: str = "number") -> bytes:
    """An answer of a transaction that records nothing, with its output."""
    return encoded(_envelope(Outcome(received=now, reference=reference), output=output), infcode)


def encoded(envelope: dict[str, Any], infcode: str) -> bytes:
    """An envelope as bytes, with infcode as number or text."""
    if infcode == "text":
        envelope["infcode"] = str(envelope["infcode"])
    return msgspec.json.encode(envelope)


def _answer(document: Document, outcome: Outcome) -> dict[str, Any]:
    why = outcome.fatal or document.fatal
    if why:
        return _envelope(outcome, error=refusal_in_chinese(why))
    if document.infno in SETTLEMENTS:
        return _settled(document, outcome)
    if document.infno in {"2204", "2301"}:
        return _fees(document, outcome)
    if document.infno in ERROR_NODES:
        return _goods(document, outcome)
    return _undone(document, outcome)


def _envelope(outcome: Outcome, *, error: str = "", warning: str = "", output: object = None) -> dict[str, Any]:
    now = digits17(outcome.received)
    return {
        "infcode": -1 if error else 0,
        "inf_refmsgid": "" if error else outcome.reference,
        "refmsg_time": now,
        "respond_time": now,
        "err_msg": error[:_WORDS_MAX],
        "warn_msg": warning[:_WORDS_MAX],
        "cainfo": "",
        "signtype": "",
        "output": None if error else output,
    }


# Goods: 3501 to 3507.


def _goods(document: Document, outcome: Outcome) -> dict[str, Any]:
    """Two-level success: the call went through, and `output.result.retRslt` says whether the rows did."""
    rows = _rows(document, outcome)
    failed = [row for row in rows.values() if row.failed]
    words = "；".join(row.words for row in rows.values() if row.words)
    if failed and document.infno == "3507" and len(failed) == len(rows):
        return _envelope(outcome, error=words)  # its regular answer has no output in which to say so
    if document.batch:
        summary = f"共{len(rows)}行，成功{len(rows) - len(failed)}行，失败{len(failed)}行"
        output: dict[str, Any] = {"result": {"retRslt": "0" if failed else "1", "msgRslt": summary}}
        listed = _told_rows(document, rows)
        if listed:
            output[ERROR_NODES[document.infno]] = listed
        return _envelope(outcome, warning="" if failed else words, output=output)
    result = {"retRslt": "0" if failed else "1", "msgRslt": (words or "成功")[:_WORDS_MAX]}
    return _envelope(outcome, warning="" if failed else words, output={"result": result})


class _RowAnswer:
    """What became of one row: whether anything of it failed, and every word there is to say."""

    def __init__(self) -> None:
        self.failed = False
        self._words: dict[str, None] = {}

    def add(self, words: str, *, failed: bool) -> None:
        self.failed = self.failed or failed
        if words:
            self._words[words] = None

    @property
    def words(self) -> str:
        return "；".join(self._words)


def _rows(document: Document, outcome: Outcome) -> dict[str, _RowAnswer]:
    """Answers by row, in the order of the message; with a single row everything speaks of it."""
    rows: dict[str, _RowAnswer] = {}
    lines = [record for record in document.records if not isinstance(record, Claim)]
    for record in lines:
        rows.setdefault(_row_of(record.where), _RowAnswer())
    for record, result in zip(lines, outcome.results, strict=False):
        if isinstance(result, Result):
            rows[_row_of(record.where)].add(_result_words(result), failed=result.status in FAILED)
    for problem in _problems(document, outcome):
        row = rows.setdefault(_row_of(problem.where), _RowAnswer())
        row.add(problem_in_chinese(problem), failed=problem.code == MALFORMED)
    return rows


def _row_of(where: str) -> str:
    return where.split(".", 1)[0]


def _told_rows(document: Document, rows: dict[str, _RowAnswer]) -> list[dict[str, Any]]:
    """Rows of an error list: those of which there is something to say, found again in the message by their place."""
    try:
        sent = open_envelope(document.raw, document.infno).input
    except UnreadableError:
        sent = {}
    listed = []
    for where, row in rows.items():
        if row.words:
            values = _sent_row(sent, where)
            listed.append(
                {name: text(values[name]) for name in _ROW_FIELDS if name in values}
                | {"retRslt": "0" if row.failed else "1", "msgRslt": row.words[:_WORDS_MAX], "memo": where}
            )
    return listed


def _sent_row(sent: dict[str, object], where: str) -> dict[str, object]:
    name, _, index = where.partition("[")
    node = sent.get(name)
    if isinstance(node, str):
        try:
            node = msgspec.json.decode(node)
        except (msgspec.MsgspecError, RecursionError):
            return {}
    if isinstance(node, list) and index.rstrip("]").isdigit() and int(index.rstrip("]")) < len(node):
        node = node[int(index.rstrip("]"))]
    return fold(node) if isinstance(node, dict) else {}


# Settlement and its advice.


def _settled(document: Document, outcome: Outcome) -> dict[str, Any]:
    """R12: one pass or fail; a refused claim draws nothing and names its codes."""
    claim = next(record for record in document.records if isinstance(record, Claim))
    verdict = next((result for result in outcome.results if isinstance(result, ClaimVerdict)), None)
    faults = [problem_in_chinese(problem) for problem in _problems(document, outcome)]
    if verdict is None:
        return _envelope(outcome, error=_joined(faults) or "未能处理该结算")
    words = [*verdict.problems, *faults, *_claim_words(verdict)]
    if verdict.verdict == "refuse" and not claim.advice:
        return _envelope(outcome, error=_joined([*words, verdict.contest]) or "结算被拒绝")
    output = {
        "setlinfo": {
            "setl_id": verdict.settlement,
            "mdtrt_id": claim.references.get("visit", ""),
            "medfee_sumamt": _yuan(verdict.amount or claim.amount),
            "fund_pay_sumamt": _yuan(verdict.paid),
            "trac_hold_sumamt": _yuan(verdict.held),
            "trac_refuse_sumamt": _yuan(verdict.refused),
        },
        "trac_verdicts": [row for line in verdict.lines for row in _verdict_rows(line)],
    }
    return _envelope(outcome, warning=_joined(words), output=output)


def _claim_words(verdict: ClaimVerdict) -> list[str]:
    """What there is to say of a claim's codes, the refused ones first."""
    spoken: list[tuple[str, str]] = []
    for line in verdict.lines:
        telling = [code for code in line.codes if _told(code)]
        spoken.extend((code.verdict, f"追溯码{code.code}：{_told(code)}") for code in telling)
        if not telling and _told(line):
            spoken.append((line.verdict, f"费用明细{line.line}：{_told(line)}"))
    return [words for _, words in sorted(spoken, key=lambda one: _GRAVITY.get(one[0], 3))]


_GRAVITY = {"refuse": 0, "hold": 1, "pay": 2}


def _verdict_rows(line: LineVerdict) -> Iterable[dict[str, Any]]:
    """Rows of our own list `trac_verdicts`: one for each code, or one for a line without any."""
    for part in line.codes or (line,):
        yield {
            "feedetl_sn": line.line,
            "drug_trac_codg": part.code if isinstance(part, CodeVerdict) else "",
            "verdict": part.verdict,
            "status": part.status,
            "reasons": list(part.reasons),
            "msg": _told(part),
            "next_action": STATUS[part.status].next_action_zh if part.status in STATUS else part.next_action,
            "alert": part.alert if isinstance(part, CodeVerdict) else "",
            "facts": part.facts if isinstance(part, CodeVerdict) else {},
        }


def _told(part: CodeVerdict | LineVerdict) -> str:
    return _in_words(part.reasons or (part.status,))


# Fee details and undoing.


def _fees(document: Document, outcome: Outcome) -> dict[str, Any]:
    rows = _rows(document, outcome)
    words = _joined(row.words for row in rows.values() if row.words)
    taken = [record for record in document.records if isinstance(record, FeeLine) and not rows[record.where].failed]
    if not taken and words:
        return _envelope(outcome, error=words)
    result = [
        {
            "feedetl_sn": line.line,
            "det_item_fee_sumamt": _yuan(line.amount),
            "cnt": line.quantity,
            "pric": _yuan(line.price),
        }
        for line in taken
    ]
    return _envelope(outcome, warning=words, output={"result": result})


def _undone(document: Document, outcome: Outcome) -> dict[str, Any]:
    """2103, 2208, 2305 and 2601: one pass or fail."""
    rows = _rows(document, outcome)
    words = _joined(row.words for row in rows.values() if row.words)
    if not outcome.results or any(row.failed for row in rows.values()):
        return _envelope(outcome, error=words or "未能撤销")
    undo = next((record for record in document.records if isinstance(record, Undo)), None)
    if undo is None or undo.kind == "reversed":
        return _envelope(outcome, warning=words, output={})
    settled = {"setl_id": undo.references.get("settlement", ""), "mdtrt_id": undo.references.get("visit", "")}
    return _envelope(outcome, warning=words, output={"setlinfo": settled})


# Words.


def _result_words(result: Result) -> str:
    """What there is to say of one scan; nothing where all is well."""
    meaning = STATUS[result.status].meaning_zh
    said = _in_words(result.reasons or (result.status,))
    if result.message.startswith(meaning):
        said = said.replace(meaning, result.message, 1)  # with what it lists, as the several that an undo may mean
    return f"追溯码{result.code}：{said}" if result.code and said else said


def _in_words(reasons: Iterable[str]) -> str:
    """Every reason that needs words, in Chinese, then the next physical action of the leading one."""
    telling = [STATUS[name] for name in reasons if name not in SILENT and name in STATUS]
    return "，".join([*(status.meaning_zh for status in telling), telling[0].next_action_zh]) if telling else ""


def _problems(document: Document, outcome: Outcome) -> list[Problem]:
    """Faults of reading and of judging, each once."""
    return list(dict.fromkeys([*document.problems, *outcome.problems]))


def _joined(words: Iterable[str]) -> str:
    """Words one after another, cut between two of them where there are too many."""
    said = ""
    for one in filter(None, words):
        if len(said) + len(one) > _WORDS_MAX - 20:
            return f"{said}；等" if said else one
        said = f"{said}；{one}" if said else one
    return said


def _yuan(millionths: int) -> float:
    return round(millionths / 1_000_000, 2)
