"""A small HIS written from the interface's description alone: it knows nothing of the platform it talks to.

`his_client.py <address> <institution> <paasid> <token> <books> <code> <product>` dispenses one box to one
insured person: sign in, fee lines, pre-settlement, settlement by code, cancel, settlement again, sale report, sign out.

Its books are a file: before a message goes out it is noted as UNKNOWN, after the answer as SUCCESS. What is UNKNOWN
when the program starts is sent again as it was with a new msgid, a sale also with a new batch number. With
`--pause <step>` it stops after the first byte of that step's answer, so that somebody can end it there.
"""

import argparse
import hashlib
import http.client
import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATH = "/fsi/api/rsfComIfsService/callService"
CHINA = timezone(timedelta(hours=8))
GIVE_UP_SECONDS = 10


def clock() -> str:
    return f"{datetime.now(UTC).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


class Failed(Exception):  # noqa: N818  the platform's word for it
    """The platform said no; the words are its own."""


class Books:
    """What this HIS remembers, whole on disk after every entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def note(self, step: str, state: str, **more: Any) -> None:
        kept = self.entries.get(step, {})
        self.entries[step] = {**kept, "state": state, "tries": self.tries(step) + (state == "UNKNOWN"), **more}
        unfinished = self.path.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(self.entries, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path)

    def done(self, step: str) -> bool:
        return step in self.entries and self.entries[step]["state"] == "SUCCESS"

    def tries(self, step: str) -> int:
        return int(self.entries.get(step, {}).get("tries", 0))

    def output(self, step: str) -> Any:
        return self.entries[step]["output"]


class His:
    """One workplace of one institution."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.address = urlsplit(told.address)
        self.institution = told.institution
        self.paasid, self.token = told.paasid, told.token
        self.books = Books(Path(told.books))
        self.pause = told.pause

    def step(self, name: str, infno: str, body: dict[str, Any]) -> Any:
        """One message of the story, unless the books say that it succeeded; answers its output."""
        if not self.books.done(name):
            body = self.books.entries.get(name, {}).get("body", body)
            if name == "sale":  # a batch number of its own for every attempt, as the Hubei client does
                body["selinfo"]["fixmedins_bchno"] = f"B{self.books.tries(name) + 1}"
            self.books.note(name, "UNKNOWN", body=body)
            self.books.note(name, "SUCCESS", output=self.send(name, infno, body))
            sys.stdout.write(f"done {name}\n")
            sys.stdout.flush()
        return self.books.output(name)

    def send(self, name: str, infno: str, body: dict[str, Any]) -> Any:
        now = datetime.now(UTC).astimezone(CHINA)
        sequence = f"{uuid.uuid4().int % 10_000:04d}"
        signed = self.books.done("sign_in") and self.books.output("sign_in")["signinoutb"]["sign_no"]
        request = {
            "infno": infno,
            "msgid": f"{self.institution}{now:%Y%m%d%H%M%S}{sequence}",
            "mdtrtarea_admvs": "440100",
            "insuplc_admdvs": "440100",
            "recer_sys_code": "MBS_LOCAL",
            "dev_no": "",
            "dev_safe_info": "",
            "cainfo": "",
            "signtype": "",
            "infver": "V1.0",
            "opter_type": "1",
            "opter": "1001",
            "opter_name": "收费员",
            "inf_time": f"{now:%Y-%m-%d %H:%M:%S}",
            "fixmedins_code": self.institution,
            "fixmedins_name": "示例医院",
            "sign_no": signed or "",
            "input": body,
        }
        raw = self.post(name, json.dumps(request, ensure_ascii=False).encode())
        return self.understand(infno, json.loads(raw))

    def post(self, name: str, raw: bytes) -> bytes:
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=GIVE_UP_SECONDS)
        try:
            connection.request("POST", PATH, raw, self.headers())
            answer = connection.getresponse()
            first = answer.read(1)
            if name == self.pause:
                sys.stdout.write(f"answering {name}\n")
                sys.stdout.flush()
                time.sleep(60)
            return first + answer.read()
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        """The x-tif style of §1.2."""
        stamp, nonce = str(int(time.time())), uuid.uuid4().hex
        signature = hashlib.sha256(f"{stamp}{self.token}{nonce}{stamp}".encode()).hexdigest()
        return {
            "Content-Type": "application/json",
            "x-tif-paasid": self.paasid,
            "x-tif-timestamp": stamp,
            "x-tif-nonce": nonce,
            "x-tif-signature": signature,
        }

    @staticmethod
    def understand(infno: str, answer: dict[str, Any]) -> Any:
        """Two-level success (§1.4): infcode 0 as number or text, and for 35xx also retRslt "1"."""
        if str(answer["infcode"]) != "0":
            raise Failed(f"{infno}: {answer['err_msg']}")
        output = answer["output"]
        if infno.startswith("35") and output["result"]["retRslt"] != "1":
            raise Failed(f"{infno}: {output['result']['msgRslt']}")
        return output


def dispense(his: His, code: str, product: str) -> None:
    """The whole story of one box."""
    visit, order, person = "V20260001", "C20260001", "440100200001010001"
    line = {
        "feedetl_sn": "F1", "mdtrt_id": visit, "chrg_bchno": order, "med_list_codg": product, "medins_list_codg": "Y1",
        "cnt": 1, "pric": 13.8, "det_item_fee_sumamt": 13.8,
        "fee_ocur_time": clock(),
    }  # fmt: skip
    claim = {
        "data": {
            "psn_no": person, "mdtrt_id": visit, "chrg_bchno": order, "medfee_sumamt": 13.8, "insutype": "310",
            "minpacunt_drug_trac_cnt": 1, "mcs_trac_cnt": 0,
        },
        "drug_trac_info": [
            {"feedetl_sn": "F1", "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2"},
        ],
    }  # fmt: skip
    his.step("sign_in", "9001", {"signIn": {"opter_no": "1001", "mac": "00-00-00-00-00-00", "ip": "192.0.2.100"}})
    his.step("fee_lines", "2204", {"feedetail": [line]})
    his.step("advice", "2206", claim)
    first = his.step("settle", "2207", claim)["setlinfo"]["setl_id"]
    his.step("cancel", "2208", {"data": {"setl_id": first, "mdtrt_id": visit, "psn_no": person}})
    second = his.step("settle_again", "2207", claim)["setlinfo"]["setl_id"]
    row = {
        "med_list_codg": product, "fixmedins_hilist_id": "Y1", "fixmedins_hilist_name": "药",
        "fixmedins_bchno": "", "prsc_dr_name": "医师甲", "phar_name": "药师",
        "phar_prac_cert_no": "C1", "setl_id": second, "mdtrt_sn": visit, "psn_no": person, "psn_cert_type": "01",
        "rtal_docno": "R20260001", "rx_flag": "1", "trdn_flag": "0", "finl_trns_pric": "13.8000", "sel_retn_cnt": "1",
        "sel_retn_time": clock(), "sel_retn_opter_name": "发药员", "mdtrt_setl_type": "1",
        "drugtracinfo": [{"drug_trac_codg": code}],
    }  # fmt: skip
    his.step("sale", "3505", {"selinfo": row})
    sign_no = his.books.output("sign_in")["signinoutb"]["sign_no"]
    his.step("sign_out", "9002", {"signOut": {"sign_no": sign_no, "opter_no": "1001"}})


def main() -> int:
    reading = argparse.ArgumentParser()
    for name in ("address", "institution", "paasid", "token", "books", "code", "product"):
        reading.add_argument(name)
    reading.add_argument("--pause", default="")
    told = reading.parse_args()
    his = His(told)
    try:
        dispense(his, told.code, told.product)
    except Failed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
