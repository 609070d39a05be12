"""What a citizen is told to do, for each outcome: if the sale is mine, and if it is not; it never accuses."""

from typing import NamedTuple


class Advice(NamedTuple):
    """Both texts in Chinese, then English."""

    mine: str
    not_mine: str


def _both(chinese: str, english: str) -> str:
    return f"{chinese} {english}"


def _same(chinese: str, english: str) -> Advice:
    """Where there is no sale to ask about, both questions have one answer."""
    return Advice(_both(chinese, english), _both(chinese, english))


ADVICE: dict[str, Advice] = {
    "none": Advice(
        _both(
            "暂无销售记录：机构可能尚未上传，请两天后再查；仍无记录请凭小票向购药机构或医保部门反映。",
            "No sale is recorded yet; the seller may not have sent it: wait two days, then ask the seller or the "
            "insurer, with your receipt.",
        ),
        _both(
            "暂无销售记录：如非您购买，请先不要服用，保留药盒和小票。",
            "No sale is recorded: if you did not buy it, do not take it, and keep the box.",
        ),
    ),
    "one": Advice(
        _both(
            "有一条销售记录，且是您在该时间、该机构购买：属正常销售。",
            "One sale, at the place and time at which you bought it: a lawful sale.",
        ),
        _both(
            "有一条销售记录，但不是您购买的：请保留药盒和小票，向购药机构询问，或向医保部门举报；代购或受赠请核对小票。",
            "One sale, and it is not yours: keep box and receipt, ask the seller or report it; for a gift, check the "
            "receipt.",
        ),
    ),
    "several": Advice(
        _both(
            "有多条销售记录：其中一条可能是您的，其余需要核实，不代表药品一定有问题。请保留药盒和小票并反映。",
            "Several sales: one may be yours, the others need checking, and the box may well be sound. Keep it "
            "with its receipt and report it.",
        ),
        _both(
            "有多条销售记录：请不要服用，保留药盒、小票和付款凭证，向医保部门举报并可依法要求赔偿。",
            "Several sales, none of them yours: do not take it; keep box, receipt and proof of payment, and report it; "
            "you may claim damages.",
        ),
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

RECALLED = _both(
    "该药品涉及召回或停售：请停止使用，保留药盒并联系购药机构。",
    "It is under recall or stop: do not use it, keep the box and ask the seller. ",
)
"""Stands before all other advice while an order is in force."""

NOT_ISSUED = "virtual: no such code was issued here; check it against the receipt"
