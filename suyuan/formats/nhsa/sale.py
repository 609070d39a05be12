"""Sale (3505) and sale return (3506): boxes handed out over a counter, and given back."""

from typing import Any

from suyuan.formats.document import Record
from suyuan.formats.faults import fault
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import GOODS_NODES, Row, rows_of, trace_codes
from suyuan.ledger.events import Kind
from suyuan.ledger.scan import Problem, Scan


def read_sale(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3505, insured and self-paid alike."""
    return _counter(envelope, problems, "sold")


def read_return(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """3506; medins_prod_sel_no quotes the original sale where the client has it."""
    return _counter(envelope, problems, "returned")


def _counter(envelope: Envelope, problems: list[Problem], kind: Kind) -> list[Record]:
    records: list[Record] = []
    rows = rows_of(envelope, GOODS_NODES, problems)
    for row in rows:
        said: dict[str, Any] = {
            "kind": kind,
            "event_time": row.time("sel_retn_time"),
            "references": row.references(
                settlement="setl_id",
                order="chrg_bchno",
                visit=("mdtrt_id", "mdtrt_sn"),
                receipt="rtal_docno",
                original="medins_prod_sel_no",
                bill="stoout_no",
                prescription="rxno",
                batch="fixmedins_bchno",
            ),
            "line": row.text("feedetl_sn"),
            "quantity": row.quantity("sel_retn_cnt") or "1",
            "split": row.flag("trdn_flag"),
            "price": row.money("finl_trns_pric"),
            "person": row.person(envelope.insured_area),
            "prescriber": row.prescriber(),
            "fund": row.fund(),
        }
        records.extend(one_per_code(row, envelope, said, alone=len(rows) == 1))
    note_unassigned(envelope, len(rows), problems)
    return records


def one_per_code(row: Row, envelope: Envelope, said: dict[str, Any], *, alone: bool) -> list[Scan]:
    """A scan for each code of the row, or one without a code; none for a row that must stay out.

    `said` is what this kind of message says about the line; goods and batch fields are the same in all of them.
    """
    before = len(row.problems)
    found = row.codes()
    if not found and alone:
        found = trace_codes(_beside(envelope), "input.drugtracinfo", row.problems)
    if not found and len(row.problems) > before:
        return []
    product, item = row.text("med_list_codg"), row.text("fixmedins_hilist_id")
    goods: dict[str, Any] = {
        "product": product,
        "item": item,
        "lot": row.text("manu_lotnum"),
        "expiry": row.date("expy_end", end=True),
        "made": row.date("manu_date"),
    }
    if not (found or product or item):
        row.problems.append(fault("nothing_named", row.where))
        return []
    if row.refused:
        return []
    return [Scan(code=code, where=where, **said, **goods) for where, code in found or [(row.where, "")]]


def note_unassigned(envelope: Envelope, rows: int, problems: list[Problem]) -> None:
    """Codes beside several rows belong to none of them: no guess is made (T30)."""
    if rows > 1:
        for where, code in trace_codes(_beside(envelope), "input.drugtracinfo", problems):
            problems.append(fault("unassigned", where, code))


def _beside(envelope: Envelope) -> object:
    """The trace node that some clients put beside the row instead of into it."""
    return next((node for key, node in envelope.input.items() if key.strip().lower() == "drugtracinfo"), None)
