"""NHSA messages: read by transaction number, answered in their own envelope."""

from collections.abc import Callable

import msgspec

from suyuan.formats.document import Document, Record
from suyuan.formats.faults import UnreadableError, refusal
from suyuan.formats.nhsa.envelope import Envelope, open_envelope
from suyuan.formats.nhsa.purchase import read_purchase, read_purchase_return
from suyuan.formats.nhsa.reply import answer
from suyuan.formats.nhsa.sale import read_return, read_sale
from suyuan.formats.nhsa.settle import read_claim, read_fee_lines
from suyuan.formats.nhsa.stock import read_change, read_stocktake
from suyuan.formats.nhsa.undo import read_cancel, read_deletion, read_reversal
from suyuan.ledger.scan import Problem

__all__ = ["TRANSACTIONS", "Transaction", "answer", "read", "read_opened"]


class Transaction(msgspec.Struct, frozen=True):
    """One transaction that is taken."""

    infno: str
    name: str
    name_zh: str
    becomes: str
    """The records it is read into."""
    read: Callable[[Envelope, list[Problem]], list[Record]]


TRANSACTIONS: tuple[Transaction, ...] = (
    Transaction("2101", "pharmacy pre-settlement", "药店预结算", "Claim, advice", read_claim),
    Transaction("2102", "pharmacy settlement", "药店结算", "Claim", read_claim),
    Transaction("2103", "cancel a pharmacy settlement", "药店结算撤销", "Undo cancelled", read_cancel),
    Transaction("2204", "outpatient fee details", "门诊费用明细上传", "FeeLine", read_fee_lines),
    Transaction("2206", "outpatient pre-settlement", "门诊预结算", "Claim, advice", read_claim),
    Transaction("2207", "outpatient settlement", "门诊结算", "Claim", read_claim),
    Transaction("2208", "cancel an outpatient settlement", "门诊结算撤销", "Undo cancelled", read_cancel),
    Transaction("2301", "inpatient fee details", "住院费用明细上传", "FeeLine", read_fee_lines),
    Transaction("2303", "inpatient pre-settlement", "住院预结算", "Claim, advice", read_claim),
    Transaction("2304", "inpatient settlement", "住院结算", "Claim", read_claim),
    Transaction("2305", "cancel an inpatient settlement", "住院结算撤销", "Undo cancelled", read_cancel),
    Transaction("2601", "reverse a message", "冲正交易", "Undo reversed", read_reversal),
    Transaction("3501", "stocktake", "商品盘存上传", "Scan counted", read_stocktake),
    Transaction("3502", "stock change", "商品库存变更", "Scan changed, exited", read_change),
    Transaction("3503", "purchase", "商品采购", "Scan received", read_purchase),
    Transaction("3504", "purchase return", "商品采购退货", "Scan shipped", read_purchase_return),
    Transaction("3505", "sale", "商品销售", "Scan sold", read_sale),
    Transaction("3506", "sale return", "商品销售退货", "Scan returned", read_return),
    Transaction("3507", "delete an upload", "商品信息删除", "Undo corrected", read_deletion),
)
"""Each also with an A, where the rows come as a list."""

_BY_INFNO = {transaction.infno: transaction for transaction in TRANSACTIONS}


def read(raw: bytes, infno: str = "") -> Document:
    """Read one message; `infno` is that of the URL path, for a body without one.

    Any bytes become a Document: with records and problems side by side, or with the words in `fatal`.
    """
    try:
        envelope = open_envelope(raw, infno)
    except UnreadableError as error:
        return Document(format="nhsa", raw=raw, fatal=str(error))
    return read_opened(raw, envelope)


def read_opened(raw: bytes, envelope: Envelope) -> Document:
    """Read one message whose envelope is open already; as `read`."""
    document = Document(
        format="nhsa",
        raw=raw,
        infno=envelope.infno,
        batch=envelope.batch,
        msgid=envelope.msgid,
        sent=envelope.sent,
        institution=envelope.institution,
        institution_name=envelope.institution_name,
        software=envelope.software,
    )
    try:
        transaction = _BY_INFNO.get(envelope.infno)
        if transaction is None:
            raise UnreadableError(refusal("infno_not_taken", envelope.infno))  # noqa: TRY301  one way out for all refusals
        document.records = transaction.read(envelope, document.problems)
    except UnreadableError as error:
        document.fatal = str(error)
        document.records = []
    return document
