"""What a citizen is told to do, for each outcome: if the sale is mine, if not, if I am unsure; it never accuses."""

from typing import NamedTuple

from suyuan.lookup.words import Words


class Advice(NamedTuple):
    """The answers to the question: did you buy it there, then."""

    mine: Words
    not_mine: Words
    unsure: Words
    """A gift, or bought by somebody else."""


def _same(chinese: str, english: str) -> Advice:
    """Where there is no sale to ask about, all answers are one."""
    words = Words(chinese, english)
    return Advice(words, words, words)


_CHECK_RECEIPT = Words(
    "如为亲友赠送或代购，请向其核对购药小票上的机构、时间和追溯码：一致即为正常销售；不一致或没有小票，请先不要服用，保留药盒并反映。",
    "If it is a gift, or somebody bought it for you, compare place, time and code with their receipt: if they agree, "
    "it is a lawful sale; if not, or without a receipt, do not take it yet, keep the box and report it.",
)

ADVICE: dict[str, Advice] = {
    "none": Advice(
        Words(
            "暂无销售记录：机构可能尚未上传，请两天后再查；仍无记录请凭小票向购药机构或医保部门反映。",
            "No sale is recorded yet; the seller may not have sent it: wait two days, then ask the seller or the "
            "insurer, with your receipt.",
        ),
        Words(
            "暂无销售记录：如非您购买，请先不要服用，保留药盒和小票。",
            "No sale is recorded: if you did not buy it, do not take it, and keep the box.",
        ),
        Words(
            "暂无销售记录：请向给您药的人核对小票；两天后再查，仍无记录请先不要服用。",
            "No sale is recorded: ask who gave it to you for the receipt; look again after two days, and without a "
            "record then, do not take it.",
        ),
    ),
    "one": Advice(
        Words(
            "有一条销售记录，且是您在该时间、该机构购买：属正常销售。",
            "One sale, at the place and time at which you bought it: a lawful sale.",
        ),
        Words(
            "有一条销售记录，但不是您购买的：请保留药盒和小票，向购药机构询问，或向医保部门举报；代购或受赠请核对小票。",
            "One sale, and it is not yours: keep box and receipt, ask the seller or report it; for a gift, check the "
            "receipt.",
        ),
        _CHECK_RECEIPT,
    ),
    "several": Advice(
        Words(
            "有多条销售记录：其中一条可能是您的，其余需要核实，不代表药品一定有问题。请保留药盒和小票并反映。",
            "Several sales: one may be yours, the others need checking, and the box may well be sound. Keep it "
            "with its receipt and report it.",
        ),
        Words(
            "有多条销售记录：请不要服用，保留药盒、小票和付款凭证，向医保部门举报并可依法要求赔偿。",
            "Several sales, none of them yours: do not take it; keep box, receipt and proof of payment, and report it; "
            "you may claim damages.",
        ),
        _CHECK_RECEIPT,
    ),
    "lot": _same(
        "该码为批次级编码，同批产品共用：只能查批号、效期和召回信息。",
        "A lot-level code, shared by all of its lot: it tells lot, expiry and recall only.",
    ),
    "carton": _same(
        "这是外包装（箱）码：请扫描小盒上的追溯码。",
        "This is the code of a carton: scan the code on the box itself.",
    ),
    "retail_barcode": _same(
        "这是商品条码（69码），不是追溯码：追溯码通常为20位数字，印在“药品追溯码”字样旁。",
        "This is the retail barcode, not the trace code: look for 20 digits beside the words 药品追溯码.",
    ),
    "virtual": _same(
        "该码由平台为无码药品生成，没有流通记录。",
        "A virtual code, issued by the platform for goods without one: it has no history.",
    ),
    "unknown": _same(
        "无法识别该码：请核对是否输全、是否扫到了追溯码。",
        "This code is not recognised: check that it is complete, and that it is the trace code.",
    ),
}
"""By outcome of `check`."""

RECALLED = Words(
    "该药品涉及召回或停售：请停止使用，保留药盒并联系购药机构。",
    "It is under recall or stop: do not use it, keep the box and ask the seller.",
)
"""Stands before all other advice while an order is in force."""

EXPIRED = Words(
    "该药品已过有效期：请不要使用。",
    "It is past its expiry date: do not use it.",
)
"""Stands before the advice on sales, whoever bought it."""

NOT_ISSUED = Words(
    "本平台未签发过该虚拟码：请与小票核对",
    "virtual: no such code was issued here; check it against the receipt",
)
