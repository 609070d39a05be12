"""Citizens of the demo: a few reports on their way, and a receipt, left through the same doors as anybody's."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from suyuan.catalogue.parties import Party
from suyuan.catalogue.regions import city
from suyuan.codes.recognise import recognise
from suyuan.intake.receipts import SaleNotFound, Wanted, issue_receipt
from suyuan.intake.report_number import spelled
from suyuan.intake.reports import Report, take_report, take_step
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.node import Node

STORIES: tuple[tuple[str, tuple[str, ...], str, tuple[tuple[str, str], ...]], ...] = (
    ("收到 received", ("sold_before", "print"), "扫码发现这盒药以前卖过，追溯码像是重新贴上去的。", ()),
    (
        "核查中 being checked",
        ("not_mine", "packaging"),
        "销售记录上的药店我从没去过，外包装封口被拆开过。",
        (("taken_up", ""), ("checking", "已联系相关机构核对进货和销售记录。")),
    ),
    (
        "已答复 answered",
        ("no_receipt",),
        "买药时没有扫码，也没有给小票。",
        (
            ("taken_up", ""),
            ("checking", ""),
            ("answered", "经核查，该药店已补录销售记录并补开小票，药品来源合法。感谢您的监督。"),
        ),
    ),
)
"""What each report is an example of, its traits, its words, and the steps taken since."""


class Left(NamedTuple):
    """Something to look at: what it is, and its path on the site."""

    what: str
    path: str


def leave_traces(node: Node, codes: Iterable[str]) -> list[Left]:
    """Reports about boxes that were sold, and the receipt of one; done again, it is the same ones."""
    sold = list(islice(_sold(node, codes), len(STORIES)))
    left = [_report(node, story, code, sale) for story, (code, sale) in zip(STORIES, sold, strict=False)]
    return left + [receipt for code, sale in sold[:1] for receipt in _receipt(node, code, sale)]


def _sold(node: Node, codes: Iterable[str]) -> Iterator[tuple[str, Event]]:
    """Codes with a standing sale, and the record that speaks for it."""
    for code in codes:
        key = recognise(code, "scan", node.catalogue.maker_rules).key
        box = Box.of(key, node.ledger.read([key])[key])
        if box.sales:
            yield code, box.sales[-1].known_by


def _report(
    node: Node, story: tuple[str, tuple[str, ...], str, Sequence[tuple[str, str]]], code: str, sale: Event
) -> Left:
    what, traits, words, steps = story
    report = Report(
        token=f"demonstration {code}",
        code=code,
        region=city(sale.region),
        institution=sale.actor,
        happened=min(sale.event_time, node.ledger.clock()),
        traits=traits,
        words=words,
        contact="13800000000",
    )
    taken = take_report(node.desk, report)
    inspector = _inspector(node, sale.region)
    if taken.first:
        for step, said in steps:
            take_step(node.desk, taken.receipt, step, inspector, said)
    return Left(f"举报 report: {what}", f"/report/{spelled(taken.receipt)}")


def _receipt(node: Node, code: str, sale: Event) -> Iterator[Left]:
    wanted = Wanted(institution=sale.actor, codes=(code,))
    try:
        issued = issue_receipt(node.desk, node.signer, node.settings.name, wanted)
    except SaleNotFound:
        return
    yield Left("小票 receipt", f"/receipt#{issued.tokens[0]}")


def _inspector(node: Node, region: str) -> str:
    """The inspectors nearest to a region; the first that there are where none is of its province."""
    found: list[Party] = [party for party in node.catalogue.content.parties if party.kind == "inspector"]
    near = sorted(found, key=lambda party: party.region[:2] != region[:2])
    return near[0].code if near else ""
