"""Building NHSA requests for tests of the reader and its answers."""

import json
from typing import Any

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome
from suyuan.ledger.scan import Result, Scan

CODE = "81234567890123456789"
OTHER = "81234560000000000001"


def request(infno: str, body: Any, **header: Any) -> dict[str, Any]:
    return {
        "infno": infno,
        "msgid": "P37020300001202601031011120001",
        "mdtrtarea_admvs": "370200",
        "insuplc_admdvs": "370203",
        "recer_sys_code": "MBS_LOCAL",
        "infver": "V1.0",
        "opter_type": "1",
        "opter": "01",
        "opter_name": "收费员",
        "inf_time": "2026-01-03 10:11:12",
        "fixmedins_code": "P37020300001",
        "fixmedins_name": "示例药店",
        "sign_no": "",
        "input": body,
        **header,
    }


def raw(infno: str, body: Any, **header: Any) -> bytes:
    return json.dumps(request(infno, body, **header), ensure_ascii=False).encode()


def read(infno: str, body: Any, **header: Any) -> Document:
    return nhsa.read(raw(infno, body, **header))


def sale(**fields: Any) -> dict[str, Any]:
    return {
        "med_list_codg": "XR05CBA198A001010100863",
        "fixmedins_hilist_id": "Y1",
        "fixmedins_hilist_name": "药",
        "fixmedins_bchno": "B1",
        "prsc_dr_name": "医师甲",
        "phar_name": "药师",
        "psn_no": "3702001",
        "psn_cert_type": "01",
        "certno": "",
        "setl_id": "S1",
        "mdtrt_sn": "V1",
        "rtal_docno": "R1",
        "rx_flag": "0",
        "trdn_flag": "0",
        "finl_trns_pric": "13.8000",
        "sel_retn_cnt": 1,
        "sel_retn_time": "2026-01-03 10:11:12",
        "sel_retn_opter_name": "发药员",
        "mdtrt_setl_type": "1",
        "manu_lotnum": "无",
        "manu_date": "2024-01-01",
        "expy_end": "",
        "drugtracinfo": [{"drug_trac_codg": CODE}],
        **fields,
    }


def scans(document: Document) -> list[Scan]:
    assert not document.fatal, document.fatal
    return [record for record in document.records if isinstance(record, Scan)]


def answered(document: Document, *statuses: str, **outcome: Any) -> dict[str, Any]:
    """The answer where the records met these statuses, one each."""
    results = [
        Result(
            where=getattr(record, "where", ""),
            code=getattr(record, "code", ""),
            key="",
            status=status,
            reasons=(status,),
        )
        for record, status in zip(document.records, statuses, strict=True)
    ]
    given = {"results": results, "received": 1_767_406_272_000_000, "reference": "3702" + "0" * 26, **outcome}
    reply: dict[str, Any] = json.loads(nhsa.answer(document, Outcome(**given)))
    return reply
