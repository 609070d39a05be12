"""The citizen's answer: no sale, one, or several — and what to do if it is mine or not. It never accuses and names no person."""

from datetime import date
from typing import Any

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.recognise import recognise
from suyuan.ledger.admission import iso_day
from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.packing import children_of
from suyuan.lookup.story import keys_of, product_name

RETAIL = frozenset({"ean13", "gtin14", "std_code"})

ADVICE: dict[str, tuple[str, str]] = {
    "none": (
        "暂无销售记录：机构可能尚未上传，请两天后再查；仍无记录请凭小票向购药机构或医保部门反映。"
        " No sale is recorded yet: wait two days; then ask the seller or the insurer, with your receipt.",
        "暂无销售记录：如非您购买，请先不要服用，保留药盒和小票。 No sale is recorded: if it is not yours, keep the box.",
    ),
    "one": (
        "有一条销售记录，且是您在该时间、该机构购买：属正常销售。 One sale, and it is yours: a lawful sale.",
        "有一条销售记录，但不是您购买的：请保留药盒和小票，向购药机构询问，或向医保部门举报；代购或受赠请核对小票。"
        " One sale that is not yours: keep box and receipt, ask the seller or report it; for a gift, check the receipt.",
    ),
    "several": (
        "有多条销售记录：其中一条可能是您的，其余需要核实，不代表药品一定有问题。请保留药盒和小票并反映。"
        " Several sales are recorded: one may be yours, the others need checking; this accuses nobody. Keep box and receipt.",
        "有多条销售记录：请不要服用，保留药盒、小票和付款凭证，向医保部门举报并可依法要求赔偿。"
        " Several sales, none yours: do not take it; keep box, receipt and payment proof, report it; you may claim damages.",
    ),
    "lot": (
        "该码为批次级编码，同批产品共用，可查批号、效期和召回信息。 A lot-level code, shared by its lot: recall and expiry only.",
        "该码为批次级编码，同批产品共用。 A lot-level code, shared by its lot.",
    ),
    "carton": (
        "这是外包装（箱）码：请扫描小盒上的追溯码。 This is a carton's code: scan the code on the box itself.",
        "这是外包装（箱）码：请扫描小盒上的追溯码。 This is a carton's code: scan the code on the box itself.",
    ),
    "retail_barcode": (
        "这是商品条码（69码），不是追溯码：追溯码通常为20位数字，印在“药品追溯码”字样旁。"
        " This is the retail barcode, not the trace code: look for 20 digits near the words 药品追溯码.",
        "这是商品条码（69码），不是追溯码。 This is the retail barcode, not the trace code.",
    ),
    "virtual": (
        "该码由平台为无码药品生成，没有流通记录。 A virtual code issued for goods without one: it has no history.",
        "该码由平台为无码药品生成，没有流通记录。 A virtual code issued for goods without one: it has no history.",
    ),
    "unknown": (
        "无法识别该码：请核对是否输全、是否扫到了追溯码。 This code is not recognised: check that it is complete.",
        "无法识别该码：请核对是否输全、是否扫到了追溯码。 This code is not recognised: check that it is complete.",
    ),
}
"""Outcome → (what to do if it is mine, if it is not)."""


class CitizenSale(msgspec.Struct, kw_only=True):
    """One sale as a citizen sees it. Times are µs UTC."""

    event_time: int
    arrived: int
    institution: str
    """Name or code; of psychiatric, infectious and reproductive places only kind and city."""
    region: str
    undone: bool
    split: bool = False


class CitizenAnswer(msgspec.Struct, kw_only=True):
    """The answer of `check`."""

    code: str
    outcome: str
    """none, one, several, lot, carton, retail_barcode, virtual or unknown."""
    sales: list[CitizenSale]
    product: str
    advice_mine: str
    advice_not_mine: str
    holds: list[str]
    """Recalls and stops on the code, its batch or product, in words."""
    problems: tuple[str, ...] = ()


def check(ledger: Ledger, catalogue: Catalogue, text: str) -> CitizenAnswer:
    """What a citizen learns from a code: any text gets an answer."""
    code = recognise(text, "scan", catalogue.maker_rules)
    keys = keys_of(code)
    events = [event for history in ledger.read(keys).values() for event in history]
    sales = sales_of(events, catalogue)
    outcome = _outcome_without_sales(code.system, code.key, catalogue, events)
    if not outcome:
        standing = [sale for sale in sales if not sale.undone]
        count = sum(1 for sale in standing if not sale.split) + any(sale.split for sale in standing)
        outcome = "none" if count == 0 else "one" if count == 1 else "several"
    mine, not_mine = ADVICE[outcome]
    return CitizenAnswer(
        code=code.text or text,
        outcome=outcome,
        sales=sales,
        product=product_name(ledger, catalogue, code, events),
        advice_mine=mine,
        advice_not_mine=not_mine,
        holds=_holds(ledger, events, code.product_key, code.lot),
        problems=code.problems,
    )


def _outcome_without_sales(system: str, key: str, catalogue: Catalogue, events: list[Event]) -> str:
    if system in RETAIL:
        return "retail_barcode"
    if key.startswith("lot:"):
        return "lot"
    if system == "sscc" or children_of(events):
        return "carton"
    if catalogue.virtual(key) is not None:
        return "virtual"
    known = system in {"trace20", "gs1", "ma", "ahm", "maker"} and ":" in key
    return "" if known or events else "unknown"


class _Entry(msgspec.Struct):
    """One sale while its records are gathered."""

    event: Event
    members: dict[int, bool]
    """Sequence of each record of the sale → still standing."""


def sales_of(events: list[Event], catalogue: Catalogue) -> list[CitizenSale]:
    """All sales of a box, undone ones too, in order of event time; a claim and its report are one."""
    entries: list[_Entry] = []
    for event in events:
        if event.kind in {"sold", "claimed"} and event.status not in NOT_A_SALE and event.verdict != "refuse":
            joined = next((entry for entry in entries if event.joins in entry.members), None)
            if joined is None:
                entries.append(_Entry(event, {event.sequence: True}))
            else:
                joined.members[event.sequence] = True
        elif event.corrects and (event.kind in {"returned", "cancelled", "reversed", "corrected"}):
            _undo(entries, event)
        elif event.kind == "due" and event.verdict == "refuse":
            _undo(entries, event)
    found = [_sale(entry, catalogue) for entry in entries]
    return sorted(found, key=lambda sale: sale.event_time)


def _undo(entries: list[_Entry], event: Event) -> None:
    for entry in entries:
        if event.corrects in entry.members and event.status == "accepted":
            entry.members[event.corrects] = False


def _sale(entry: _Entry, catalogue: Catalogue) -> CitizenSale:
    event = entry.event
    party = catalogue.party(event.actor, date.fromisoformat(iso_day(event.event_time)))
    region = catalogue.region_name(event.region) if event.region else ""
    name = party.name if party is not None and party.name else event.actor
    if party is not None and party.sensitive:
        region = catalogue.region_name(event.region[:4] + "00")
        name = f"{party.kind}（{region}）"
    return CitizenSale(
        event_time=event.event_time,
        arrived=event.arrived,
        institution=name,
        region=region,
        undone=not any(entry.members.values()),
        split=event.m != 1,
    )


def _holds(ledger: Ledger, events: list[Event], product_key: str, lot: str) -> list[str]:
    lots = {event.lot for event in events if event.kind == "produced" and event.lot} | ({lot} if lot else set())
    keys = [f"hold:batch:{product_key}:{one}" for one in sorted(lots)] + [f"hold:product:{product_key}"]
    orders = [event for event in events if event.kind in {"hold_set", "hold_lifted"}]
    words: list[str] = _standing(orders)
    for history in ledger.read(keys).values() if product_key else ():
        words += _standing(history)
    return words


def _standing(orders: list[Event]) -> list[str]:
    lifted = {event.corrects for event in orders if event.kind == "hold_lifted"}
    return [_words(event.detail) for event in orders if event.kind == "hold_set" and event.sequence not in lifted]


def _words(detail: Any) -> str:  # noqa: ANN401  as stored
    return f"{detail['scope']}：{detail['reason'] or '召回或停售'}"
