"""Stocktake (3501) and stock change (3502): what stands on the shelf, and why that changed."""

from typing import Any

from suyuan.formats.document import Record
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import GOODS_NODES, rows_of
from suyuan.formats.nhsa.sale import note_unassigned, one_per_code
from suyuan.ledger.scan import Problem

CHANGE_TYPES = {
    "101": ("in", "transfer in"),
    "102": ("out", "transfer out"),
    "103": ("in", "stock gain"),
    "104": ("out", "stock loss"),
    "105": ("out", "destroyed"),
    "106": ("in", "other in"),
    "107": ("out", "other out"),
    "108": ("in", "purchase in"),
    "109": ("out", "purchase return out"),
    "110": ("in", "gift in"),
    "111": ("out", "gift return out"),
}
"""inv_chg_type: direction and meaning. One client uses 101 and 102 the other way (T44): the type is kept as sent."""

DESTROYED = "105"

_NODES = ("invinfo", "invinfodetail", *GOODS_NODES)


def read_stocktake(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3501: counted."""
    records: list[Record] = []
    rows = rows_of(envelope, _NODES, problems)
    for row in rows:
        said: dict[str, Any] = {
            "kind": "counted",
            "event_time": row.time("invdate"),
            "references": row.references(batch="fixmedins_bchno"),
            "quantity": row.quantity("inv_cnt") or "1",
        }
        records.extend(one_per_code(row, envelope, said, alone=len(rows) == 1))
    note_unassigned(envelope, len(rows), problems)
    return records


def read_change(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3502: changed, with inv_chg_type as the reason; destruction is an exit."""
    records: list[Record] = []
    rows = rows_of(envelope, _NODES, problems)
    for row in rows:
        reason = row.text("inv_chg_type")
        destroyed = reason == DESTROYED
        said: dict[str, Any] = {
            "kind": "exited" if destroyed else "changed",
            "event_time": row.time("inv_chg_time"),
            "references": row.references(delivery="dynt_no", batch="fixmedins_bchno"),
            "quantity": row.quantity("cnt") or "1",
            "split": row.flag("trdn_flag"),
            "price": row.money("pric"),
            "reason": "destroyed" if destroyed else reason,
        }
        records.extend(one_per_code(row, envelope, said, alone=len(rows) == 1))
    note_unassigned(envelope, len(rows), problems)
    return records
