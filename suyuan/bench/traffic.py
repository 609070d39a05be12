"""The bench's requests: sales, claims and questions about boxes that nobody has asked for before."""

from collections.abc import Callable

import msgspec

from suyuan.bench.core import CLAIM_CODES, Codes

PHARMACY, HOSPITAL = "P44010000001", "H44010000001"
SALE_CODES = 10
STRIDE = 7_368_787
"""A prime: consecutive requests ask for boxes far from one another."""
NHSA_ADDRESS = "/fsi/api/rsfComIfsService/callService"
AT, ISO = "2026-02-01 09:00:00", "2026-02-01T09:00:00+08:00"


class Shape(msgspec.Struct, frozen=True):
    """One kind of request."""

    path: str
    party: str
    """Whose key it is sent with; empty for a citizen."""
    codes: int
    """Boxes that one request uses up."""
    body: Callable[[int, list[str], list[str]], bytes] | None
    """Number, codes and their products → what is posted; None where the code is asked for in the address."""
    good: bytes
    """What an answer contains when all went well."""


def _nhsa_sale(number: int, codes: list[str], products: list[str]) -> bytes:
    """3505A as a pharmacy's till sends it: a row for each box."""
    rows = [
        {
            "feedetl_sn": str(line),
            "med_list_codg": product,
            "fixmedins_hilist_id": f"I{line}",
            "fixmedins_hilist_name": "药品",
            "fixmedins_bchno": f"B{number}",
            "prsc_dr_cert_type": "01",
            "prsc_dr_certno": f"440101198001010{number % 1000:03d}",
            "prsc_dr_name": "医生",
            "phar_name": "药师",
            "manu_lotnum": "L01",
            "expy_end": "2028-12-31",
            "rx_flag": "0",
            "trdn_flag": "0",
            "rtal_docno": f"R{number}",
            "sel_retn_cnt": "1",
            "sel_retn_time": AT,
            "finl_trns_pric": "12.5",
            "psn_no": f"N{number:09d}",
            "mdtrt_sn": f"V{number}",
            "drugtracinfo": [{"drug_trac_codg": code}],
        }
        for line, (code, product) in enumerate(zip(codes, products, strict=True))
    ]
    return _message("3505A", PHARMACY, number, {"selinfoDetail": rows})


def _nhsa_claim(number: int, codes: list[str], _: list[str]) -> bytes:
    rows = [
        {"feedetl_sn": str(line), "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2"}
        for line, code in enumerate(codes)
    ]
    data = {
        "psn_no": f"N{number:09d}",
        "mdtrt_id": f"V{number}",
        "chrg_bchno": f"O{number}",
        "medfee_sumamt": 50,
        "insutype": "310",
        "minpacunt_drug_trac_cnt": len(codes),
    }
    return _message("2207", HOSPITAL, number, {"data": data, "drug_trac_info": rows})


def _message(infno: str, institution: str, number: int, content: dict[str, object]) -> bytes:
    return msgspec.json.encode(
        {
            "infno": infno,
            "msgid": f"{institution}{number:018d}",
            "mdtrtarea_admvs": "440100",
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "inf_time": AT,
            "fixmedins_code": institution,
            "fixmedins_name": "bench",
            "fixmedins_soft_fcty": "bench",
            "input": content,
        }
    )


def _api_sale(number: int, codes: list[str], products: list[str]) -> bytes:
    lines = [
        {"line": str(line), "product": product, "price": "12.50", "codes": [code]}
        for line, (code, product) in enumerate(zip(codes, products, strict=True))
    ]
    sale = {
        "time": ISO,
        "references": {"receipt": f"R{number}", "visit": f"V{number}"},
        "person": {"insured_number": f"N{number:09d}", "insured_area": "440100"},
        "fund": "employee",
        "lines": lines,
    }
    return msgspec.json.encode({"id": f"sale-{number}", "sales": [sale]})


def _api_claim(number: int, codes: list[str], products: list[str]) -> bytes:
    lines = [
        {"line": str(line), "product": product, "quantity": "1", "amount": "10.00", "codes": [{"code": code}]}
        for line, (code, product) in enumerate(zip(codes, products, strict=True))
    ]
    return msgspec.json.encode(
        {
            "id": f"claim-{number}",
            "setting": "outpatient",
            "time": ISO,
            "references": {"visit": f"V{number}", "order": f"O{number}"},
            "person": {"insured_number": f"N{number:09d}", "insured_area": "440100"},
            "fund": "employee",
            "amount": "50.00",
            "lines": lines,
        }
    )


def _file(number: int, codes: list[str], products: list[str]) -> bytes:
    """A table of sales, as a chain uploads it in the evening."""
    rows = [
        f"sold,{code},{AT},F{number}-{line},{product},1"
        for line, (code, product) in enumerate(zip(codes, products, strict=True))
    ]
    return "\n".join(("kind,code,event_time,receipt,product,quantity", *rows, "")).encode()


FILE_CODES = 5_000

SHAPES: dict[str, Shape] = {
    "nhsa sale": Shape(NHSA_ADDRESS, PHARMACY, SALE_CODES, _nhsa_sale, b'"retRslt":"1"'),
    "api sale": Shape("/api/v1/sales", PHARMACY, SALE_CODES, _api_sale, b'"accepted"'),
    "nhsa claim": Shape(NHSA_ADDRESS, HOSPITAL, CLAIM_CODES, _nhsa_claim, b'"infcode":0'),
    "api claim": Shape("/api/v1/claims", HOSPITAL, CLAIM_CODES, _api_claim, b'"verdict":"pay"'),
    "check": Shape("/api/v1/check?code={code}", "", 1, None, b"outcome"),
    "alive": Shape("/livez", "", 0, None, b"alive"),
    "file": Shape("/api/v1/files", PHARMACY, FILE_CODES, _file, b"summary"),
}


def request(shape: Shape, key: str, number: int, boxes: Codes) -> bytes:
    """One request as it goes over the wire; its boxes are those of its number alone.

    Once the boxes in the ledger are used up, boxes follow that nobody has registered.
    """
    places = range(number * shape.codes, (number + 1) * shape.codes)
    chosen = [place * STRIDE % boxes.boxes if place < boxes.boxes else place for place in places]
    codes = [boxes[box] for box in chosen]
    path = shape.path.format(code=codes[0] if codes else "")
    head = f"host: bench\r\nauthorization: Bearer {key}\r\n" if key else "host: bench\r\n"
    if shape.body is None:
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    body = shape.body(number, codes, [boxes.product(box) for box in chosen])
    kind = "text/csv" if shape.body is _file else "application/json"
    return f"POST {path} HTTP/1.1\r\n{head}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
