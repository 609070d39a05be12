"""What takes back: cancelled settlements (2103, 2208, 2305), reversed messages (2601), deleted uploads (3507)."""

from suyuan.formats.document import Record
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import rows_of
from suyuan.ledger.scan import Problem
from suyuan.settlement.claim import Undo


def read_cancel(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """2103, 2208, 2305: releases exactly the codes of one settlement."""
    records: list[Record] = []
    for row in rows_of(envelope, ("data", "druginfo"), problems):
        row.required("setl_id")
        undo = Undo(
            kind="cancelled",
            where=row.where,
            references=row.references(settlement="setl_id", visit=("mdtrt_id", "mdtrt_sn")),
            person=row.person(envelope.insured_area),
        )
        if not row.refused:
            records.append(undo)
    return records


def read_reversal(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """2601: undoes a message by its msgid and infno; it may arrive first."""
    records: list[Record] = []
    for row in rows_of(envelope, ("data",), problems):
        transaction = row.required("oinfno").upper().removesuffix("A")
        undo = Undo(
            kind="reversed",
            where=row.where,
            references={"message": row.required("omsgid"), "transaction": transaction},
            person=row.person(envelope.insured_area),
        )
        if not row.refused:
            records.append(undo)
    return records


def read_deletion(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3507: deletes what was uploaded under a batch number; single or as a list, under either number (T35)."""
    records: list[Record] = []
    for row in rows_of(envelope, ("data", "gooddetail"), problems):
        undo = Undo(
            kind="corrected",
            where=row.where,
            references={"batch": row.required("fixmedins_bchno")},
            data_type=row.required("inv_data_type"),
        )
        if not row.refused:
            records.append(undo)
    return records
