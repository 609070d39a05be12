"""Purchase (3503) and purchase return (3504): goods in from a supplier and back to it, as a rule without codes."""

from typing import Any

from suyuan.formats.document import Record
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import GOODS_NODES, rows_of
from suyuan.formats.nhsa.sale import note_unassigned, one_per_code
from suyuan.ledger.events import Kind
from suyuan.ledger.scan import Problem

_NODES = ("purcinfo", "purcinfodetail", *GOODS_NODES)


def read_purchase(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3503: received from the supplier."""
    return _traded(envelope, problems, "received", reason="")


def read_purchase_return(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3504: shipped back to the supplier."""
    return _traded(envelope, problems, "shipped", reason="purchase_return")


def _traded(envelope: Envelope, problems: list[Problem], kind: Kind, *, reason: str) -> list[Record]:
    records: list[Record] = []
    rows = rows_of(envelope, _NODES, problems)
    for row in rows:
        said: dict[str, Any] = {
            "kind": kind,
            "event_time": row.time("purc_retn_stoin_time"),
            "references": row.references(
                delivery="dynt_no",
                invoice="purc_invo_no",
                original="medins_prod_purc_no",
                batch="fixmedins_bchno",
            ),
            "quantity": row.quantity("purc_retn_cnt") or "1",
            "price": row.money("finl_trns_pric"),
            "counterparty": row.text("spler_name"),
            "reason": reason,
        }
        records.extend(one_per_code(row, envelope, said, alone=len(rows) == 1))
    note_unassigned(envelope, len(rows), problems)
    return records
