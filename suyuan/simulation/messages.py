"""The messages of real actors as bytes: NHSA envelopes and bodies, firms' tables, EPCIS documents."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from suyuan.simulation.world import YUAN, Line, Person, Place, Visit, clock, day_name, iso

encode = msgspec.json.encode

EPCIS_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def settlement_of(claim: str) -> str:
    """Placeholder for the setl_id that the platform issues for a claim; the player fills it in."""
    return f"@setl:{claim}@"


def type_of(claim: str) -> str:
    """Placeholder for mdtrt_setl_type: 1 where the claim was taken, 2 where it was refused and the person paid."""
    return f"@type:{claim}@"


def yuan(amount: int) -> float:
    """An amount (millionths of a yuan) as messages carry it."""
    return round(amount / YUAN, 6)


def envelope(place: Place, infno: str, body: dict[str, Any], *, msgid: str, at: int, area: str = "") -> bytes:
    """A request (spec/nhsa-interface.md §1.1): one flat object with the business object in `input`."""
    return encode(
        {
            "infno": infno,
            "msgid": msgid,
            "mdtrtarea_admvs": place.region,
            "insuplc_admdvs": area,
            "recer_sys_code": "MBS_LOCAL",
            "dev_no": "",
            "dev_safe_info": "",
            "cainfo": "",
            "signtype": "",
            "infver": "V1.0",
            "opter_type": "1",
            "opter": "01",
            "opter_name": "收费员",
            "inf_time": clock(at),
            "fixmedins_code": place.code,
            "fixmedins_name": place.name,
            "sign_no": "",
            "input": body,
        }
    )


def msgid_of(place: Place, at: int, sequence: int) -> str:
    """12 characters of the institution, 14 of the time, 4 of a sequence."""
    return f"{place.code}{clock(at).translate(_DIGITS_ONLY)}{sequence % 10_000:04d}"


_DIGITS_ONLY = str.maketrans("", "", "-: ")


def fee_rows(visit: Visit, at: int) -> list[dict[str, Any]]:
    """Rows of 2204, 2301 and of `drugdetail` in 2101 and 2102: which product each fee line is."""
    return [
        {
            "feedetl_sn": fee_line(visit, index),
            "mdtrt_id": visit.number,
            "psn_no": visit.person.number,
            "chrg_bchno": visit.order,
            "med_list_codg": line.product.code,
            "medins_list_codg": item_of(line),
            "cnt": line.quantity,
            "pric": yuan(line.price),
            "det_item_fee_sumamt": yuan(line.amount),
            "fee_ocur_time": clock(at),
        }
        for index, line in enumerate(visit.lines)
    ]


def fee_line(visit: Visit, index: int) -> str:
    """feedetl_sn of one line of a visit."""
    return f"{visit.order}{index + 1:02d}"


def item_of(line: Line) -> str:
    """The institution's own number of an item."""
    return f"Y{line.product.code[-9:]}"


def trace_rows(visit: Visit, lines: Iterable[int]) -> list[dict[str, str]]:
    """`drug_trac_info`: the codes of some of the visit's lines, beside their fee lines."""
    return [
        {
            "feedetl_sn": fee_line(visit, index),
            "drug_trac_codg": code,
            "trdn_flag": "1" if visit.lines[index].split else "0",
            "min_prcunt_type": "2",
        }
        for index in lines
        for code in visit.lines[index].codes
    ]


def claim_data(visit: Visit) -> dict[str, Any]:
    """`data` of 2207 and 2304, `druginfo` of 2102."""
    return {
        "psn_no": visit.person.number,
        "mdtrt_cert_type": "03",
        "mdtrt_cert_no": visit.person.number,
        "mdtrt_id": visit.number,
        "chrg_bchno": visit.order,
        "begntime": clock(visit.at),
        "medfee_sumamt": yuan(visit.amount),
        "insutype": visit.person.fund,
        "psn_setlway": "01",
        "acct_used_flag": "1",
        "invono": "",
        "minpacunt_drug_trac_cnt": sum(len(line.codes) for line in visit.lines),
        "mcs_trac_cnt": 0,
    }


def sale_rows(
    visit: Visit, claim: str, batch: str, *, self_paid: bool, quotes_settlement: bool
) -> list[dict[str, Any]]:
    """Rows of 3505 or 3505A: one for each line of the visit, all its codes in the trace node."""
    person, place = visit.person, visit.place
    insured = "1" if person.area[:2] == place.province else "2"
    setl_type = "2" if self_paid else type_of(claim) if quotes_settlement else "1"
    return [
        {
            **_goods(line, batch or f"{visit.order}{index + 1:02d}"),
            "prsc_dr_name": f"医师{place.code[-2:]}",
            "phar_name": "药师01",
            "phar_prac_cert_no": f"YS{place.code[-6:]}01",
            "hi_feesetl_type": "0" if self_paid else insured,
            "setl_id": settlement_of(claim) if quotes_settlement else "",
            "mdtrt_sn": visit.number,
            **_person(person, documented=place.habits.sends_documents),
            "rx_circ_flag": "0",
            "rtal_docno": visit.receipt,
            "stoout_no": "",
            "trdn_flag": "1" if line.split else "0",
            "finl_trns_pric": yuan(line.price),
            "sel_retn_cnt": line.quantity,
            "sel_retn_time": clock(visit.at),
            "sel_retn_opter_name": "发药员",
            "mdtrt_setl_type": setl_type,
            "drugtracinfo": [{"drug_trac_codg": code} for code in line.codes],
            "memo": "",
        }
        for index, line in enumerate(visit.lines)
    ]


def return_row(visit: Visit, line: Line, claim: str, batch: str, at: int) -> dict[str, Any]:
    """A row of 3506: the box comes back over the counter that sold it."""
    return {
        **_goods(line, batch),
        "setl_id": settlement_of(claim) if claim else "",
        "mdtrt_sn": visit.number,
        **_person(visit.person, documented=visit.place.habits.sends_documents),
        "trdn_flag": "1" if line.split else "0",
        "finl_trns_pric": yuan(line.price),
        "sel_retn_cnt": line.quantity,
        "sel_retn_time": clock(at),
        "sel_retn_opter_name": "发药员",
        "medins_prod_sel_no": "",
        "drugtracinfo": [{"drug_trac_codg": code} for code in line.codes],
        "memo": "退货",
    }


def purchase_row(line: Line, supplier: str, delivery: str, batch: str, at: int) -> dict[str, Any]:
    """A row of 3503: what was bought, without codes, as every client sends it."""
    return {
        **_goods(line, batch),
        "dynt_no": delivery,
        "spler_name": supplier,
        "spler_pmtno": "",
        "prodentp_name": line.product.maker_name,
        "aprvno": line.product.approval,
        "finl_trns_pric": yuan(line.price),
        "purc_retn_cnt": line.quantity,
        "purc_invo_codg": "",
        "purc_invo_no": f"FP{delivery}",
        "purc_retn_stoin_time": clock(at),
        "purc_retn_opter_name": "库管员",
        "prod_geay_flag": "0",
        "memo": "",
    }


def stock_row(line: Line, batch: str, at: int, *, change: str = "") -> dict[str, Any]:
    """A row of 3502 (with a type of change: 108 purchase in) or, without one, of 3501 (stocktake)."""
    codes = [{"drug_trac_codg": code} for code in line.codes]
    row = {**_goods(line, batch), "drugtracinfo": codes, "memo": ""}
    if change:
        return row | {
            "inv_chg_type": change,
            "pric": yuan(line.price),
            "cnt": line.quantity,
            "inv_chg_time": clock(at),
            "inv_chg_opter_name": "库管员",
            "trdn_flag": "0",
        }
    return row | {"invdate": clock(at)[:10], "inv_cnt": line.quantity}


def _goods(line: Line, batch: str) -> dict[str, Any]:
    return {
        "med_list_codg": line.product.code,
        "fixmedins_hilist_id": item_of(line),
        "fixmedins_hilist_name": line.product.name,
        "fixmedins_bchno": batch,
        "rx_flag": "0",
        "manu_lotnum": line.lot.number if line.lot else "无",
        "manu_date": line.lot.made if line.lot else "",
        "expy_end": line.lot.expiry if line.lot else "",
    }


def _person(person: Person, *, documented: bool) -> dict[str, str]:
    row = {"psn_no": person.number, "psn_cert_type": "01"}
    return row | {"certno": person.document} if documented else row


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A firm's table: CSV with a header line, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()


def epcis(events: list[dict[str, Any]], at: int) -> bytes:
    """An EPCIS 2.0 document in JSON-LD."""
    return encode(
        {
            "@context": [EPCIS_CONTEXT],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": iso(at),
            "epcisBody": {"eventList": events},
        }
    )


def commissioning(epcs: list[str], lot: str, expiry: str, place: str, at: int) -> dict[str, Any]:
    """Boxes come into being, with their batch data."""
    return {
        "type": "ObjectEvent",
        "eventTime": iso(at),
        "eventTimeZoneOffset": "+08:00",
        "epcList": epcs,
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "readPoint": {"id": place},
        "ilmd": {"cbvmda:lotNumber": lot, "cbvmda:itemExpirationDate": expiry},
    }


def packing(parent: str, children: list[str], place: str, at: int) -> dict[str, Any]:
    """Boxes go into a carton."""
    return {
        "type": "AggregationEvent",
        "eventTime": iso(at),
        "eventTimeZoneOffset": "+08:00",
        "parentID": parent,
        "childEPCs": children,
        "action": "ADD",
        "bizStep": "packing",
        "disposition": "in_progress",
        "readPoint": {"id": place},
    }


def bill_number(at: int, number: int) -> str:
    """A delivery or bill number: the day and a running number."""
    return f"D{day_name(at)}{number:06d}"
