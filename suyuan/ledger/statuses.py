"""Every admission status in order of precedence: its meaning, who sees it, its verdict, the next physical action."""

import msgspec


class Status(msgspec.Struct, frozen=True):
    """One outcome word. `verdict` is R9's under enforcement; `layer` keeps error, alert and tolerated repeat apart."""

    name: str
    layer: str
    """error (the sender's software), alert (contradicts known data), notice, or fine."""
    verdict: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str
    seen_by: str = "institution"


_ALL = "institution, agency, inspector"

STATUSES: tuple[Status, ...] = (
    Status("malformed", "error", "refuse", "The line cannot be read.", "无法读取该行",
           "Mend the field named and send the line again.", "按提示修改字段后重新上传"),
    Status("not_allowed", "error", "refuse", "The caller may not speak for this institution.", "无权代表该机构上传",
           "Use the institution's own credentials or ask it for a delegation.", "使用本机构凭证或取得委托"),
    Status("key_reused", "error", "refuse", "The same document line was sent before with different content.",
           "同一业务键已用于不同内容", "Undo the earlier line, or give the new one its own number.",
           "先撤销原记录或更换业务编号"),
    Status("first_answer", "notice", "", "The same fact was sent before; this is its first answer.",
           "重复上传，返回首次结果", "Nothing to do.", "无需处理"),
    Status("duplicate_in_document", "alert", "refuse", "The same box stands twice in one document; one counts.",
           "同一单据内追溯码重复", "Take another box for the second line and scan it.", "更换另一盒并重新扫码", _ALL),
    Status("undo_by_another", "alert", "refuse", "The sale belongs to another institution; nothing was undone.",
           "非原机构撤销", "Send the box back to where it was sold.", "请退回原销售机构", _ALL),
    Status("undo_not_found", "error", "refuse", "There is no open sale here to undo.", "未找到可撤销的记录",
           "Check the code and the original document number.", "核对追溯码与原单据号"),
    Status("undo_ambiguous", "error", "refuse", "More than one record fits; nothing was undone.", "可撤销记录不唯一",
           "Quote the original document number.", "请注明原单据号"),
    Status("undo_too_late", "error", "refuse", "The time for undoing this has passed.", "超过撤销期限",
           "Ask the agency to correct it.", "联系经办机构更正"),
    Status("parked", "notice", "hold", "A return came before its sale and waits for it.", "退货先于销售到达，暂存",
           "Upload the sale.", "补传销售记录"),
    Status("code_review", "notice", "hold", "The text can be read as two codes.", "追溯码存在两种读法",
           "Scan again with a scanner that keeps separators.", "更换保留分隔符的扫码枪重扫"),
    Status("institution_suspended", "alert", "refuse", "The institution's settlement is suspended.", "机构暂停结算",
           "Ask the agency about the suspension.", "联系经办机构", _ALL),
    Status("held", "alert", "refuse", "A recall, stop or theft order covers this box.", "召回、停售或被盗",
           "Set the box aside and follow the order.", "下架并按通知处理", _ALL),
    Status("destroyed", "alert", "refuse", "The box was reported destroyed, exported, sampled or stolen.",
           "已销毁或退出流通", "Set the box aside and report it.", "下架并报告", _ALL),
    Status("expired", "notice", "refuse", "The box had expired, by its maker's data, at the time of sale.",
           "药品已过期", "Take another box.", "更换另一盒"),
    Status("over_split", "alert", "refuse", "More units were sold than the box holds.", "拆零数量超过包装数量",
           "Take another box and scan it.", "更换另一盒并重新扫码", _ALL),
    Status("conflict_sold", "alert", "refuse", "The box was sold before.", "该追溯码已有销售记录",
           "Take another box; keep this one aside with its delivery note.", "更换另一盒，原盒连同随货单留存", _ALL),
    Status("possible_split", "notice", "hold", "A further sale of a splittable product without the split flag.",
           "疑似拆零未标记", "Mark the sale as split.", "请标记拆零"),
    Status("possible_same_sale", "notice", "pay", "Probably the same sale, but no reference joins the two records.",
           "疑似同一销售，缺少关联单号", "Send the settlement or visit number with the sale.", "补传结算号或就诊号"),
    Status("product_differs", "alert", "hold", "The scanned product is not the billed one.", "扫码药品与结算药品不符",
           "Scan the box that was billed, or correct the fee line.", "扫描实际结算药品或更正费用明细", _ALL),
    Status("not_scanned", "notice", "refuse", "A code is required and none was sent.", "未扫追溯码",
           "Scan the box.", "请扫码"),
    Status("awaiting_scan", "notice", "pay", "Settled before dispensing; the scan is due by the deadline.", "待扫码",
           "Scan at dispensing, before the deadline.", "发药时扫码"),
    Status("not_received", "notice", "pay", "The box is not in this institution's reported stock.", "未见入库记录",
           "Upload the receipt of the goods.", "补传入库记录"),
    Status("unmapped", "notice", "pay", "The code's prefix belongs to no product known here.", "追溯码未映射",
           "Wait for the mapping, or report the product.", "等待映射或上报品种"),
    Status("tolerated_repeat", "notice", "", "Scanned twice within the tolerated window.", "时间窗内重复扫码",
           "Nothing to do.", "无需处理"),
    Status("same_sale", "fine", "pay", "Claim and report of one sale.", "同一销售的结算与上传",
           "Nothing to do.", "无需处理"),
    Status("accepted", "fine", "pay", "Accepted.", "已接收", "Nothing to do.", "无需处理"),
)  # fmt: skip
"""In order of precedence: of several reasons the one that stands higher leads (settlement rule R10)."""

STATUS = {status.name: status for status in STATUSES}
ALERTING = frozenset(status.name for status in STATUSES if status.layer == "alert")
"""Statuses that somebody besides the sender must hear of."""
PRECEDENCE = {status.name: rank for rank, status in enumerate(STATUSES)}

RELATIONS = (
    "first_answer",
    "same_sale",
    "tolerated_repeat",
    "possible_split",
    "possible_same_sale",
    "over_split",
    "conflict_sold",
)
"""What a sale may be to the earlier sales of its box; exactly one holds, or none."""


def ordered(reasons: set[str]) -> tuple[str, ...]:
    """Reasons in order of precedence; `accepted` where there is none."""
    if len(reasons) > 1:
        return tuple(sorted(reasons, key=PRECEDENCE.__getitem__))
    return tuple(reasons) or ("accepted",)
