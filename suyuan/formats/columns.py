"""The documented columns of a table, the kinds of line it may hold, and the words that mean the same."""

import msgspec

from suyuan.ledger.events import Kind

SCANNED: tuple[Kind, ...] = (
    "produced",
    "packed",
    "unpacked",
    "shipped",
    "received",
    "refused",
    "counted",
    "changed",
    "sold",
    "returned",
    "exited",
    "hold_set",
    "hold_lifted",
)
"""Kinds that a line may have about a code."""
UNDONE: dict[str, tuple[str, ...]] = {
    "cancelled": ("settlement",),
    "reversed": ("message", "transaction"),
    "corrected": ("batch", "data_type"),
}
"""Kinds that take something back, with the columns that must name it."""
KINDS = frozenset({*SCANNED, *UNDONE, "fee_line", "claimed"})
"""Every kind that a line may name; a claim is understood, and sent elsewhere."""

KIND_NAMES = {
    "生产": "produced",
    "包装": "packed",
    "拆包": "unpacked",
    "发货": "shipped",
    "出库": "shipped",
    "收货": "received",
    "入库": "received",
    "拒收": "refused",
    "盘点": "counted",
    "变更": "changed",
    "销售": "sold",
    "退货": "returned",
    "退出": "exited",
    "销毁": "exited",
}
"""Chinese words for kinds, as they stand in exported tables."""


class Column(msgspec.Struct, frozen=True):
    """One documented column."""

    name: str
    meaning: str
    also: tuple[str, ...] = ()
    """Other headers that mean the same."""
    form: str = "text"
    """text, code, codes, kind, time, date, expiry, count, money, flag or reference."""


COLUMNS: tuple[Column, ...] = (
    Column("kind", "what happened", ("事件", "类型", "event"), "kind"),
    Column("code", "the code as scanned", ("追溯码", "药品追溯码", "drug_trac_codg", "trace_code"), "code"),
    Column("event_time", "when, in China's time or with a zone", ("时间", "业务时间", "time", "sel_retn_time"), "time"),
    Column("settlement", "settlement id", ("结算id", "setl_id"), "reference"),
    Column("order", "charge order", ("收费批次", "chrg_bchno"), "reference"),
    Column("visit", "visit number", ("就诊id", "就医流水号", "mdtrt_id", "mdtrt_sn"), "reference"),
    Column("receipt", "receipt number", ("小票号", "零售单据号", "rtal_docno"), "reference"),
    Column("original", "number of the original sale", ("原单号", "medins_prod_sel_no"), "reference"),
    Column("delivery", "delivery note", ("随货单号", "dynt_no"), "reference"),
    Column("bill", "bill number", ("单据号", "bill_code", "stoout_no"), "reference"),
    Column("batch", "batch serial number of the upload", ("批次流水号", "fixmedins_bchno"), "reference"),
    Column("invoice", "invoice number", ("发票号", "purc_invo_no"), "reference"),
    Column("prescription", "prescription number", ("处方号", "rxno"), "reference"),
    Column("message", "msgid of a message to reverse", ("omsgid",), "reference"),
    Column("transaction", "its transaction number", ("oinfno",), "reference"),
    Column("data_type", "what to delete: 1 stocktake, 2 stock change, 3 purchase, 4 sale", ("inv_data_type",)),
    Column("line", "line number that stays the same when sent again", ("明细号", "feedetl_sn")),
    Column("product", "NHSA product code", ("医保编码", "医疗目录编码", "med_list_codg")),
    Column("item", "the sender's own item id", ("商品编码", "fixmedins_hilist_id", "medins_list_codg")),
    Column("quantity", "count in the smallest priced unit, for the line", ("数量", "cnt", "sel_retn_cnt"), "count"),
    Column("split", "1 where a pack was opened", ("拆零", "拆零标志", "trdn_flag"), "flag"),
    Column("price", "unit price in yuan", ("单价", "pric", "finl_trns_pric"), "money"),
    Column("amount", "amount of the line in yuan", ("金额", "det_item_fee_sumamt"), "money"),
    Column("lot", "lot number", ("批号", "生产批号", "manu_lotnum"), "text"),
    Column("expiry", "expiry date; a month means its last day", ("有效期", "有效期至", "expy_end"), "expiry"),
    Column("made", "date of production", ("生产日期", "manu_date"), "date"),
    Column("person", "`id:<type>:<number>` or `psn:<number>@<area>`; a pseudonym before it is stored", ()),
    Column("prescriber", "`id:<type>:<number>` or `name:<name>`", ()),
    Column("fund", "employee, resident, work_injury or self_paid", ("险种",)),
    Column("counterparty", "the other party: supplier or receiver", ("供应商", "往来单位", "spler_name")),
    Column("place", "where, if not at the sender's own address", ("地点",)),
    Column("parent", "carton, for packed and unpacked", ("上级码", "箱码", "parent_code")),
    Column("children", "codes inside `parent`, joined by semicolons, instead of `code`", ("子码",), "codes"),
    Column("reason", "why, for exits, refusals, stock changes and holds", ("原因", "inv_chg_type")),
    Column("no_code", "legacy, exempt, unreadable or virtual: why there is no code", ("无码原因",)),
    Column("scope", "code, batch or product, for holds", ("范围",)),
)
"""Every column of a table. Letter case never counts; columns that begin with `_` are passed over."""

BY_HEADER = {header: column for column in COLUMNS for header in (column.name, *column.also)}
BY_NAME = {column.name: column for column in COLUMNS}


def kind_of(written: str) -> str:
    """The kind that a word names; empty for none."""
    folded = written.strip().lower()
    return KIND_NAMES.get(folded, folded if folded in KINDS else "")
