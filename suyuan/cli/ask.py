"""`suyuan check` and `suyuan trace`: the citizen's answer, and the full story of a box."""

from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import (
    DEFAULT_FOLDER,
    Folder,
    Format,
    plain_time,
    print_json,
    print_table,
    say,
)
from suyuan.cli.picture import texts_in
from suyuan.codes.recognise import recognise
from suyuan.lookup.citizen import CitizenAnswer
from suyuan.lookup.citizen import check as citizen_check
from suyuan.lookup.story import Chapter, Story, tell
from suyuan.node import Node

Text = Annotated[str | None, cyclopts.Parameter(help="The code as scanned, typed or pasted.")]
Image = Annotated[Path | None, cyclopts.Parameter(help="Read the code from a PNG or JPEG instead.")]

_CHILDREN_SHOWN = 3
_NO_BOX = frozenset({"ean13", "gtin14", "unknown"})
"""What stands beside the trace code in many a picture."""


def check(code: Text = None, /, *, image: Image = None, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """Ask as a citizen does: was this box sold, once or several times, and what should I do?"""
    text = _text_of(code, image)
    with Node.open_existing(dir) as node:
        answer = citizen_check(node.ledger, node.catalogue, text)
    if format == "json":
        print_json(answer)
    else:
        _print_answer(answer)
    return 0


def trace(code: Text = None, /, *, image: Image = None, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """Tell the full history of a box: its own events and those of its cartons, with statuses and verdicts."""
    text = _text_of(code, image)
    with Node.open_existing(dir) as node:
        story = tell(node.ledger, node.catalogue, text)
    if format == "json":
        print_json(story)
    else:
        _print_story(story)
    return 0


def _text_of(code: str | None, image: Path | None) -> str:
    """The text given, or the first code in the picture that can be a box's."""
    if (code is None) == (image is None):
        raise cyclopts.ValidationError(msg="give a code, or a picture with --image")
    if image is None:
        return code or ""
    seen = texts_in(image)
    return next((one for one in seen if recognise(one).system not in _NO_BOX), seen[0])


def _print_answer(answer: CitizenAnswer) -> None:
    say(f"{answer.code}  {answer.product}".rstrip())
    count = {"none": " 0", "one": " 1", "several": " 2+"}.get(answer.outcome, "")
    say(f"outcome 结果: {answer.outcome}{count}")
    if answer.contains:
        say(f"contains 内装: {answer.contains}")
    if answer.sales:
        rows = [
            (
                plain_time(sale.event_time),
                sale.institution,
                sale.region,
                "undone 已撤销" if sale.undone else "",
                "split 拆零" if sale.split else "",
            )
            for sale in answer.sales
        ]
        print_table(("sold 销售时间", "institution 机构", "region 地区", "undone", "split"), rows)
    for hold in answer.holds:
        say(f"! {hold}")
    if answer.facts.lot or answer.facts.expiry:
        expired = " 已过期 expired" if answer.facts.expired else ""
        say(f"lot 批号: {answer.facts.lot or '-'}  expiry 有效期至: {answer.facts.expiry or '-'}{expired}")
    if answer.advice_mine == answer.advice_not_mine:
        say(f"advice 建议: {answer.advice_mine}")
    else:
        say(f"mine 是我的: {answer.advice_mine}")
        say(f"not mine 不是我的: {answer.advice_not_mine}")
        say(f"unsure 不确定: {answer.advice_unsure}")
    for hint in answer.hints:
        say(f"? {hint}")
    if answer.meant:
        say(f"? 是否为 did you mean: {answer.meant}")
    for problem in answer.problems:
        say(f"? {problem}")


def _print_story(story: Story) -> None:
    say("  ".join(filter(None, (story.code, story.product, f"[{story.key}]"))))
    if story.readings:
        say(f"reads as 读法: {story.readings[0]}, or else {', '.join(story.readings[1:])}")
    if story.cartons:
        say(f"cartons 箱: {' < '.join(story.cartons)}")
    if story.children:
        more = " …" if len(story.children) > _CHILDREN_SHOWN else ""
        say(f"contains 内装: {len(story.children)}: {', '.join(story.children[:_CHILDREN_SHOWN])}{more}")
    for hold in story.holds:
        say(f"! {hold}")
    for problem in story.problems:
        say(f"? {problem}")
    if story.chapters:
        print_table(
            ("time 时间", "event 事件", "by 机构", "region 地区", "status 状态", "verdict", "alert", "references"),
            [_row(chapter) for chapter in story.chapters],
        )
    else:
        say("nothing is recorded of this code 暂无记录")


def _row(chapter: Chapter) -> tuple[str, ...]:
    where = ""
    if chapter.carton:
        where = f" (carton {chapter.carton.partition(':')[2]})"
    elif chapter.reading:
        where = f" (reading {chapter.reading})"
    return (
        plain_time(chapter.event_time),
        chapter.kind + where,
        chapter.institution,
        chapter.place_name,
        ", ".join(chapter.reasons),
        chapter.verdict,
        chapter.alert_class,
        " ".join(f"{kind}={value}" for kind, value in chapter.references.items()),
    )
