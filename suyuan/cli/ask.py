"""`suyuan check` and `suyuan trace`: the citizen's answer, and the full story of a box."""

from pathlib import Path
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, clock_time, print_json, print_table, say
from suyuan.codes.recognise import recognise
from suyuan.lookup.citizen import CitizenAnswer
from suyuan.lookup.citizen import check as citizen_check
from suyuan.lookup.story import Story, tell
from suyuan.node import Node

Text = Annotated[str, cyclopts.Parameter(help="The code as scanned, typed or pasted.")]
Image = Annotated[Path | None, cyclopts.Parameter(help="Read the code from a picture instead.")]


def check(code: Text = "", /, *, image: Image = None, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002
    """Ask as a citizen does: was this box sold, once or several times, and what should I do?"""
    with Node.open(dir) as node:
        answer = citizen_check(node.ledger, node.catalogue, _text_of(code, image))
    if format == "json":
        print_json(answer)
    else:
        _print_answer(answer)
    return 0


def trace(code: Text = "", /, *, image: Image = None, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002
    """Tell the full history of a box: its own events and those of its cartons, with statuses and verdicts."""
    with Node.open(dir) as node:
        story = tell(node.ledger, node.catalogue, _text_of(code, image))
    if format == "json":
        print_json(story)
    else:
        _print_story(story)
    return 0


def _text_of(code: str, image: Path | None) -> str:
    """The text given, or the first code in the picture."""
    if image is None:
        return code
    from suyuan.codes.barcode import PictureError, read_codes  # noqa: PLC0415  the image library is slow to load

    try:
        seen = read_codes(image)
    except PictureError as error:
        raise OSError(0, str(error), str(image)) from error
    if not seen:
        raise OSError(0, "no barcode found; take the picture closer, straight and in good light", str(image))
    best = [one.text for one in seen if recognise(one.text).system not in {"ean13", "gtin14", "unknown"}]
    return best[0] if best else seen[0].text


def _print_answer(answer: CitizenAnswer) -> None:
    say(f"{answer.code}  {answer.product}")
    words = {"none": "0", "one": "1", "several": "2+"}.get(answer.outcome, "")
    say(f"outcome 结果: {answer.outcome} {words}")
    if answer.sales:
        rows = [
            (clock_time(sale.event_time), sale.institution, sale.region, "undone 已撤销" if sale.undone else "", "split 拆零" if sale.split else "")
            for sale in answer.sales
        ]
        print_table(("sold 销售时间", "institution 机构", "region 地区", "undone", "split"), rows)
    for hold in answer.holds:
        say(f"! {hold}")
    say(f"mine 是我的: {answer.advice_mine}")
    say(f"not mine 不是我的: {answer.advice_not_mine}")
    for problem in answer.problems:
        say(f"? {problem}")


def _print_story(story: Story) -> None:
    say(f"{story.code}  {story.product}  [{story.key}]")
    if story.cartons:
        say(f"cartons 箱: {' < '.join(story.cartons)}")
    if story.children:
        say(f"holds {len(story.children)} packages 内装: {', '.join(story.children[:3])}{' …' if len(story.children) > 3 else ''}")
    for problem in story.problems:
        say(f"? {problem}")
    if not story.chapters:
        say("nothing is recorded of this code 暂无记录")
        return
    rows = [
        (
            clock_time(chapter.event_time),
            chapter.kind + (f" (carton {chapter.carton.partition(':')[2]})" if chapter.carton else ""),
            chapter.institution,
            chapter.place_name,
            ", ".join(chapter.reasons),
            chapter.verdict,
            chapter.alert_class,
            " ".join(f"{kind}={value}" for kind, value in chapter.references.items()),
        )
        for chapter in story.chapters
    ]
    print_table(("time 时间", "event 事件", "by 机构", "region 地区", "status 状态", "verdict", "alert", "references"), rows)
