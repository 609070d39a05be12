"""What a scan at an institution's desk says of a code before anything is told of it: receive, refuse, sell or ask."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise
from suyuan.ledger.admission import iso_day
from suyuan.ledger.box import NOTHING, WHOLE, Box
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.packing import children_of
from suyuan.lookup.orders import orders_on
from suyuan.lookup.owed import product_key_of
from suyuan.lookup.story import leading_first, product_name

CHILDREN_MAX = 500
"""Boxes of a carton that are looked at one by one; a pallet is scanned carton by carton."""

Tone = Literal["good", "note", "warn", "bad"]


class Word(msgspec.Struct, frozen=True):
    """One thing that a scan may say, for eye and ear, with the next physical action."""

    name: str
    tone: Tone
    meaning: str
    meaning_zh: str
    action: str
    action_zh: str


WORDS: tuple[Word, ...] = (
    Word("not_a_code", "bad", "This is not a trace code.", "这不是药品追溯码",
         "Scan the code beside the words 药品追溯码.", "请扫描“药品追溯码”字样旁的码"),
    Word("code_review", "warn", "The text can be read as two codes.", "该码存在两种读法",
         "Scan again with a scanner that keeps separators.", "更换保留分隔符的扫码枪重扫"),
    Word("recalled", "bad", "Under recall, stop or theft order.", "召回、停售或被盗",
         "Set it aside; do not sell it.", "下架，不得销售"),
    Word("destroyed", "bad", "Reported destroyed, exported or stolen.", "已报告销毁、出口或被盗",
         "Refuse it and report it.", "拒收并报告"),
    Word("expired", "bad", "Past its expiry date.", "已过有效期", "Refuse it, or set it aside.", "拒收或下架"),
    Word("sold_elsewhere", "bad", "Sold before, elsewhere.", "已在其他机构售出",
         "Refuse it; keep it aside with its delivery note.", "拒收，连同随货单留存"),
    Word("sold_here", "bad", "Sold here before.", "本机构已售出", "Take another box.", "请更换另一盒"),
    Word("opened", "warn", "An opened pack: part of it was sold.", "已拆零，部分已售出",
         "Mark the sale as split.", "销售时标记拆零"),
    Word("not_in_shipment", "warn", "Sent to somebody else, or not in this delivery.", "不在本次到货或发往他处",
         "Ask the supplier before you receive it.", "收货前请与供货方核实"),
    Word("unmapped", "warn", "Unknown prefix: no product is known for it.", "标识码未知，未对应品种",
         "Compare the box with the delivery note; it may be received.", "核对随货单后可收货"),
    Word("lot_code", "note", "A code shared by its whole lot.", "批次级编码，同批共用",
         "Enter the quantity in your own system.", "请在本系统中录入数量"),
    Word("already_here", "note", "Received here before.", "本机构已入库", "Nothing to do.", "无需处理"),
    Word("not_announced", "good", "Sound; no shipment was announced for it.", "正常，未见发货记录",
         "Compare it with the delivery note.", "请核对随货单"),
    Word("ok", "good", "Sound.", "正常", "Go on.", "可以继续"),
)  # fmt: skip
"""In order of precedence: of several the first leads."""

WORD = {word.name: word for word in WORDS}
_RANK = {word.name: rank for rank, word in enumerate(WORDS)}
_FOLLOWED = frozenset({"trace20", "gs1", "ma", "ahm", "maker"})


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One box of a carton."""

    code: str
    """As it can be sent again."""
    key: str
    word: str
    tone: str


class Offered(msgspec.Struct, kw_only=True):
    """What is known of one scanned text, as far as the institution may know it."""

    code: str
    """As scanned."""
    text: str
    """As recognised, for display and for sending."""
    key: str
    word: str
    tone: str
    meaning: str
    meaning_zh: str
    action: str
    action_zh: str
    also: list[str] = []
    """Further words that hold, in order of precedence."""
    product: str = ""
    lot: str = ""
    expiry: str = ""
    holds: tuple[str, ...] = ()
    kind_of_place: str = ""
    """Of a sale elsewhere: hospital or pharmacy; never who."""
    month: str = ""
    """Of a sale elsewhere: `2026-03`."""
    children: list[Child] = []
    """The boxes of a carton, unless it was sent to somebody else."""
    count: int = 0
    """Packages in a carton, by its last packing."""


class _Asking(NamedTuple):
    """Who asks, of what, and when."""

    ledger: Ledger
    catalogue: Catalogue
    institution: str
    delivery: str
    today: str

    @property
    def day(self) -> date:
        """Today, for the catalogue."""
        return date.fromisoformat(self.today)


def offered(
    ledger: Ledger, catalogue: Catalogue, institution: str, texts: Iterable[str], delivery: str = ""
) -> list[Offered]:
    """What each text is and what speaks against it, for this institution. `delivery` is the note being received."""
    asking = _Asking(ledger, catalogue, institution, delivery, iso_day(ledger.clock()))
    return [_offered(asking, text) for text in texts]


def _offered(asking: _Asking, text: str) -> Offered:
    code = recognise(text, "scan", asking.catalogue.maker_rules)
    keys, histories = leading_first(asking.ledger, code)
    own = histories[keys[0]]
    held = children_of(own)
    box = Box.of(keys[0], own)
    words, holds = _words(asking, code, box, own)
    moved = _shipment(asking, own, box.carton)
    words |= moved
    # Whose carton is on its way to somebody else learns how much is in it, not which boxes: codes can be copied.
    shown = () if "not_in_shipment" in moved else held[:CHILDREN_MAX]
    children = [_child(asking, key, own) for key in shown]
    if held:
        words -= {"unmapped", "not_a_code"}
        words |= {child.word for child in children if child.tone in {"bad", "warn"}}
    named = sorted(words, key=_RANK.__getitem__) or ["ok"]
    leading = WORD[named[0]]
    place, month = _elsewhere(box, asking.institution)
    return Offered(
        code=text,
        text=code.text or text,
        key=keys[0],
        word=leading.name,
        tone=leading.tone,
        meaning=leading.meaning,
        meaning_zh=leading.meaning_zh,
        action=leading.action,
        action_zh=leading.action_zh,
        also=named[1:],
        product=product_name(asking.ledger, asking.catalogue, code, own),
        lot=box.lot or code.lot,
        expiry=box.expiry or code.expiry,
        holds=holds,
        kind_of_place=place,
        month=month,
        children=children,
        count=len(held),
    )


def _words(asking: _Asking, code: Code, box: Box, own: Sequence[Event]) -> tuple[set[str], tuple[str, ...]]:
    """Everything that speaks against a code itself, and the orders in words."""
    words = _sold(box, asking.institution)
    holds = orders_on(asking.ledger, code, own)
    expiry = box.expiry or code.expiry
    no_box = code.system not in _FOLLOWED or box.key == code.product_key
    found = {
        "lot_code": box.key.startswith("lot:"),
        "not_a_code": no_box and not own and code.system != "sscc" and not box.key.startswith("lot:"),
        "code_review": code.review,
        "recalled": bool(holds),
        "destroyed": box.exit is not None,
        "expired": bool(expiry) and expiry < asking.today,
        "unmapped": bool(code.product_key) and _is_unmapped(asking, code.product_key),
    }
    return words | {name for name, holds_true in found.items() if holds_true}, holds


def _is_unmapped(asking: _Asking, product_key: str) -> bool:
    """No product is known for it, and it is not known as a package of packages either."""
    if asking.catalogue.product_of(product_key, asking.day) is not None:
        return False
    prefix = asking.catalogue.identified(product_key, asking.day)
    return prefix is None or prefix.level == 1


def _sold(box: Box, institution: str) -> set[str]:
    sales = [sale for sale in box.sales if not sale.doubt]
    if not sales:
        return set()
    if all(sale.known_by.m != 1 for sale in sales) and NOTHING <= box.taken() < WHOLE:
        here = all(sale.known_by.actor == institution for sale in sales)
        return {"opened"} if here else {"sold_elsewhere"}
    return {"sold_here" if sale.known_by.actor == institution else "sold_elsewhere" for sale in sales}


def _elsewhere(box: Box, institution: str) -> tuple[str, str]:
    """Kind of place and month of the latest sale elsewhere; empty where there is none."""
    others = [sale.known_by for sale in box.sales if not sale.doubt and sale.known_by.actor != institution]
    if not others:
        return "", ""
    latest = max(others, key=lambda event: event.event_time)
    return "pharmacy" if latest.actor.startswith("P") else "hospital", iso_day(latest.event_time)[:7]


def _shipment(asking: _Asking, own: Sequence[Event], parent: str) -> set[str]:
    """Whether the last movement, its own or its carton's, brings it here."""
    moves = [event for event in own if _is_move(event)]
    if parent:
        packed = max((event.event_time for event in own if event.kind == "packed"), default=0)
        moves += [event for event in asking.ledger.read([parent])[parent] if event.event_time >= packed]
        moves = [event for event in moves if _is_move(event)]
    if not moves:
        return {"not_announced"}
    last = max(moves, key=lambda event: (event.event_time, event.arrived, event.sequence))
    if last.kind == "received":
        return {"already_here"} if last.actor == asking.institution else {"not_in_shipment"}
    if last.actor == asking.institution:
        return set()
    if last.counterparty == asking.institution:
        named = last.references.get("delivery", "")
        return {"not_in_shipment"} if asking.delivery and named and named != asking.delivery else set()
    known = asking.catalogue.party(last.counterparty, asking.day) is not None
    return {"not_in_shipment"} if known else {"not_announced"}


def _is_move(event: Event) -> bool:
    return event.kind in {"shipped", "received"} and event.status in {"accepted", "unmapped"}


def _child(asking: _Asking, key: str, carton: Sequence[Event]) -> Child:
    text = text_of(key)
    code = recognise(text, "scan", asking.catalogue.maker_rules)
    own = asking.ledger.read([key])[key]
    words, _ = _words(asking, code, Box.of(key, own), own)
    words |= _shipment(asking, [*own, *carton], "")
    name = min(words, key=_RANK.__getitem__, default="ok")
    return Child(code=text, key=key, word=name, tone=WORD[name].tone)


def text_of(key: str) -> str:
    """A box key as a text that is recognised as that key again: trace codes and GS1; others as far as they carry it."""
    system, _, rest = key.partition(":")
    if system == "gs1":
        product = product_key_of(key).removeprefix("gs1:")
        return f"(01){product}(21){rest.removeprefix(f'{product}:')}"
    return f"(00){rest}" if system == "sscc" else rest.rpartition(":")[2] if system == "maker" else rest
