"""Fee details (2204, 2301) and settlements with their advice (2101, 2102, 2206, 2207, 2303, 2304)."""

from suyuan.formats.document import Document, Record
from suyuan.formats.faults import UnreadableError, fault, refusal
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import Row, rows_of
from suyuan.formats.values import codes, text
from suyuan.ledger.scan import Problem
from suyuan.settlement.claim import Claim, ClaimCode, ClaimLine, FeeLine, Setting

SETTLEMENTS: dict[str, tuple[Setting, bool]] = {
    "2101": ("pharmacy", True),
    "2102": ("pharmacy", False),
    "2206": ("outpatient", True),
    "2207": ("outpatient", False),
    "2303": ("inpatient", True),
    "2304": ("inpatient", False),
}
"""infno → setting, and whether it is only advice."""

TRACE_FIELDS = ("feedetl_sn", "drug_trac_codg", "trdn_flag", "min_prcunt_type")
"""All four are required in a drug_trac_info row (T58)."""

_FEE_NODES = ("feedetail", "feedetaillist", "drugdetail", "data")
_CLAIM_NODES = ("data", "druginfo", "setlinfo")


def read_fee_lines(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """2204 and 2301: which product each fee line is."""
    records: list[Record] = []
    for row in rows_of(envelope, _FEE_NODES, problems):
        if row.text("cnt").startswith("-"):
            problems.append(fault("refund_line", f"{row.where}.cnt", row.text("cnt")))
            continue
        line = FeeLine(
            line=row.required("feedetl_sn"),
            where=row.where,
            references=row.references(order="chrg_bchno", visit="mdtrt_id", prescription="rxno"),
            product=row.text("med_list_codg"),
            item=row.text("fixmedins_hilist_id"),
            quantity=row.quantity("cnt"),
            price=row.money("pric"),
            amount=row.money("det_item_fee_sumamt"),
            event_time=row.time("fee_ocur_time"),
        )
        if not row.refused:
            records.append(line)
    return records


def read_claim(envelope: Envelope, problems: list[Problem]) -> list[Record]:
    """A settlement or its advice: one claim, its codes grouped under their fee lines.

    A row of codes with a fault stays out and is named in `problems`; such a claim must be answered as refused.
    """
    setting, advice = SETTLEMENTS[envelope.infno]
    head = rows_of(envelope, _CLAIM_NODES, problems)[:1]
    if not head:
        raise UnreadableError(refusal("no_rows", "input.data"))
    row = head[0]
    lines = {line.line: line for line in _detail(envelope, problems)}
    for where, number, code in _trace(envelope, row, problems):
        line = lines.setdefault(number, ClaimLine(line=number, where=where))
        line.codes.append(code)
    return [
        Claim(
            setting=setting,
            advice=advice,
            references=row.references(order="chrg_bchno", visit=("mdtrt_id", "mdtrt_sn"), receipt="rtal_docno"),
            # The time of sending is no time of the claim: a repeat would differ from its first.
            event_time=row.time("setl_time", *(("begntime",) if setting == "pharmacy" else ())),
            person=row.person(envelope.insured_area),
            insured_area=envelope.insured_area or row.text("insu_admdvs"),
            fund=row.fund(),
            amount=row.money("medfee_sumamt"),
            expected_drug=row.count("minpacunt_drug_trac_cnt"),
            expected_consumable=row.count("mcs_trac_cnt"),
            lines=list(lines.values()),
        )
    ]


def require_scans(document: Document) -> None:
    """T58: note a fault that refuses the settlement where it has no code and does not say that there is none to scan.

    For an institution that is set to settle by code only (无码不结); advice is not touched.
    """
    for record in document.records:
        if isinstance(record, Claim) and not record.advice:
            said_none = record.expected_drug == 0 and record.expected_consumable <= 0
            if not said_none and not any(line.codes for line in record.lines):
                document.problems.append(fault("no_scans", "input.drug_trac_info"))


def _detail(envelope: Envelope, problems: list[Problem]) -> list[ClaimLine]:
    """The fee lines inside a pharmacy's message; a line without a number is known by its place."""
    if not any(key.strip().lower() == "drugdetail" for key in envelope.input):
        return []
    return [
        ClaimLine(
            line=row.text("feedetl_sn") or row.where,
            where=row.where,
            product=row.text("med_list_codg"),
            item=row.text("fixmedins_hilist_id"),
            quantity=row.quantity("cnt"),
            price=row.money("pric"),
            amount=row.money("det_item_fee_sumamt"),
        )
        for row in rows_of(envelope, ("drugdetail",), problems)
    ]


def _trace(envelope: Envelope, head: Row, problems: list[Problem]) -> list[tuple[str, str, ClaimCode]]:
    """The rows of drug_trac_info, beside the claim or inside it, as (where, feedetl_sn, code)."""
    beside = {key.strip().lower(): node for key, node in envelope.input.items()}
    node = beside.get("drug_trac_info") or head.values.get("drug_trac_info")
    found: list[tuple[str, str, ClaimCode]] = []
    for index, member in enumerate(node if isinstance(node, list) else [node] if node else []):
        where = f"drug_trac_info[{index}]"
        if not isinstance(member, dict):
            problems.append(fault("not_a_row", where, member))
            continue
        if not member:
            continue
        row = Row(member, where, problems)
        filled = [row.required(name) for name in TRACE_FIELDS]  # each that is missing is named
        if not all(filled):
            continue
        split = row.flag("trdn_flag")
        code = codes(row.values["drug_trac_codg"], f"{where}.drug_trac_codg", problems)
        if not row.refused:
            number = text(row.values["feedetl_sn"])
            found.extend((where, number, ClaimCode(code=one, where=where, split=split)) for one in code)
    return found
