"""`suyuan settle`: the verdicts on the claims in a file, per code, line and claim."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, By, Folder, Format, print_json, print_table, say, warn, yuan
from suyuan.cli.writing import FaultsShown, node_to_write
from suyuan.formats import nhsa
from suyuan.formats.reading import open_documents
from suyuan.settlement.claim import ClaimVerdict


def settle(
    file: Annotated[Path, cyclopts.Parameter(help="NHSA settlement messages: one, or one a line.")],
    /,
    *,
    by: By = "",
    answers: Annotated[
        Path | None, cyclopts.Parameter(help="Write the answers in the sender's own envelope, one a line.")
    ] = None,
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Judge and write nothing.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Settle claims by code: pay, hold or refuse, with every reason, the next physical action, and how to contest.

    Fee details, cancels and reversals in the file are taken in their order. Tables and EPCIS files are not: see ingest.
    """
    if answers is not None and answers.exists() and file.exists() and answers.samefile(file):
        raise cyclopts.ValidationError(msg=f"--answers {answers} is the file to read: name another")
    findings, verdicts, faults = False, 0, FaultsShown()
    show = print_json if format == "json" else _print_verdict
    with answers.open("wb") if answers else nullcontext() as out, node_to_write(dir, dry_run=dry_run) as node:
        for document in open_documents(file, by):
            if document.format not in {"nhsa", ""}:
                warn(f"{file.name} holds no settlement messages: use suyuan ingest")
                return 1
            outcome = node.take(document, by)
            findings |= faults.show(document, outcome)
            for verdict in (result for result in outcome.results if isinstance(result, ClaimVerdict)):
                verdicts += 1
                findings |= verdict.verdict != "pay"
                show(verdict)
            if out is not None:
                out.write(nhsa.answer(document, outcome) + b"\n")
    faults.close()
    if not verdicts and not findings:
        warn(f"{file.name} holds no claim; what it holds was taken")
    return 1 if findings else 0


def _print_verdict(verdict: ClaimVerdict) -> None:
    first = "" if verdict.first else " (first answer repeated 首次结果)"
    advice = " (advice only 预结算)" if verdict.advice else ""
    advice += " (provisional: the nation did not answer 暂定，未能查询全国库)" if verdict.provisional else ""
    say(f"claim 结算: {verdict.verdict}{advice}{first}  setl_id {verdict.settlement or '-'}")
    say(f"paid 支付 {yuan(verdict.paid)}  held 暂缓 {yuan(verdict.held)}  refused 拒付 {yuan(verdict.refused)}")
    rows: list[tuple[str, ...]] = []
    for line in verdict.lines:
        rows.append((line.line, "", line.verdict, ", ".join(line.reasons), "", line.next_action))
        for code in line.codes:
            facts = "; ".join(f"{name}: {value}" for name, value in code.facts.items())
            rows.append(("", code.code, code.verdict, ", ".join(code.reasons), facts, code.next_action))
    if rows:
        print_table(("line 行", "code 追溯码", "verdict 结论", "reasons 原因", "facts 依据", "next 下一步"), rows)
    for problem in verdict.problems:
        say(f"! {problem}")
    if verdict.contest:
        say(verdict.contest)
