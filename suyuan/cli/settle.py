"""`suyuan settle`: the verdicts on the claims in a file, per code, line and claim."""

from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say, warn, yuan
from suyuan.formats.document import Document, Outcome
from suyuan.formats.reading import open_documents
from suyuan.formats.summary import faults_of
from suyuan.node import Node
from suyuan.settlement.claim import ClaimVerdict


def settle(
    file: Annotated[Path, cyclopts.Parameter(help="NHSA settlement messages, one or as JSON lines; - has no place here.")],
    /,
    *,
    by: Annotated[str, cyclopts.Parameter(help="Institution that speaks, where the message does not say.")] = "",
    answers: Annotated[Path | None, cyclopts.Parameter(help="Write the answers in the sender's own envelope, one a line.")] = None,
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Judge and write nothing.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Settle claims by code: pay, hold or refuse, with every reason, the next physical action, and how to contest."""
    findings = False
    replies: list[bytes] = []
    with Node.open(dir) as node:
        node.rehearse(dry_run)
        node.take_time()
        for document in open_documents(file, by):
            outcome = node.take(document, by)
            for where, reason in faults_of(document, outcome):
                warn(f"{where or file.name}: {reason}")
                findings = True
            for result in outcome.results:
                if isinstance(result, ClaimVerdict):
                    findings |= result.verdict != "pay"
                    print_json(result) if format == "json" else _print_verdict(result)
            replies.append(_reply(document, outcome))
    if answers is not None:
        answers.write_bytes(b"\n".join(replies) + b"\n")
    return 1 if findings else 0


def _reply(document: Document, outcome: Outcome) -> bytes:
    if document.format == "nhsa":
        from suyuan.formats import nhsa  # noqa: PLC0415  only messages have an envelope

        return nhsa.answer(document, outcome)
    from suyuan.formats import summary  # noqa: PLC0415

    return summary.answer(document, outcome)


def _print_verdict(verdict: ClaimVerdict) -> None:
    first = "" if verdict.first else " (first answer repeated 首次结果)"
    advice = " (advice only 预结算)" if verdict.advice else ""
    say(f"claim 结算: {verdict.verdict}{advice}{first}  setl_id {verdict.settlement or '-'}")
    say(f"paid 支付 {yuan(verdict.paid)}  held 暂缓 {yuan(verdict.held)}  refused 拒付 {yuan(verdict.refused)}")
    rows = []
    for line in verdict.lines:
        rows.append((line.line, "", line.verdict, ", ".join(line.reasons), line.next_action))
        rows += [("", code.code, code.verdict, ", ".join(code.reasons), code.next_action) for code in line.codes]
    print_table(("line 行", "code 追溯码", "verdict", "reasons 原因", "next 下一步"), rows)
    if verdict.contest:
        say(verdict.contest)
