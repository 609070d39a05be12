"""A real server on a node that the test can look into, and the messages of a HIS sent to it over HTTP."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from portal import content
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q, SPLITTABLE, WHOLE

from suyuan.codes.recognise import recognise
from suyuan.ledger.events import Event
from suyuan.node import Node
from suyuan.portals.app import application
from suyuan.portals.nhsa_proofs import proofs_of
from suyuan.portals.server import listen
from suyuan.storage.clients import Client
from suyuan.storage.credentials import IssuedCredential

CHINA = timezone(timedelta(hours=8))
PATH = "/fsi/api/rsfComIfsService/callService"
PREFIXES = {WHOLE: "8234567", SPLITTABLE: "8123456"}

SETTINGS = 'policy = "strict"\nblock_cache_mb = 16\nrate_sign_in = "10000/minute"\n'
"""Tests show wrong proofs more often than a client would."""

_numbers = itertools.count(1)


def now(**before: float) -> datetime:
    return datetime.now(UTC).astimezone(CHINA) - timedelta(**before)


def clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def new_code(product: str = WHOLE) -> str:
    return f"{PREFIXES[product]}{next(_numbers) + 1_000_000_000_000}"


def new_number(prefix: str = "R") -> str:
    return f"{prefix}{next(_numbers):08d}"


def sale(code: str = "", **fields: Any) -> dict[str, Any]:
    """A row of 3505 as most clients send it, with numbers that nobody else uses."""
    row = {
        "med_list_codg": WHOLE,
        "fixmedins_hilist_id": "Y1",
        "fixmedins_hilist_name": "药",
        "fixmedins_bchno": new_number("B"),
        "prsc_dr_name": "医师甲",
        "phar_name": "药师",
        "phar_prac_cert_no": "C1",
        "psn_no": "3702001",
        "mdtrt_sn": new_number("V"),
        "rtal_docno": new_number(),
        "rx_flag": "0",
        "trdn_flag": "0",
        "finl_trns_pric": "13.8000",
        "sel_retn_cnt": 1,
        "sel_retn_time": clock(now(minutes=1)),
        "sel_retn_opter_name": "发药员",
        "manu_lotnum": "无",
        "manu_date": "2024-01-01",
        "expy_end": "",
        "drugtracinfo": [{"drug_trac_codg": code}] if code else [],
    }
    return {**row, **fields}


def message(infno: str, body: Any, institution: str = HOSPITAL_A, **header: Any) -> dict[str, Any]:
    """A request as most clients send it; a header field given as None is left out."""
    fields = {
        "infno": infno,
        "msgid": f"{institution}{now():%Y%m%d%H%M%S}{next(_numbers) % 10_000:04d}",
        "mdtrtarea_admvs": "440100",
        "insuplc_admdvs": "440100",
        "recer_sys_code": "MBS_LOCAL",
        "dev_no": "",
        "dev_safe_info": "",
        "cainfo": "",
        "signtype": "",
        "infver": "V1.0",
        "opter_type": "1",
        "opter": "01",
        "opter_name": "收费员",
        "inf_time": clock(now()),
        "fixmedins_code": institution,
        "fixmedins_name": "示例机构",
        "sign_no": "",
        "input": body,
        **header,
    }
    return {name: value for name, value in fields.items() if value is not None}


class Till:
    """The address of a running node, and what a test may ask of both."""

    def __init__(self, node: Node, url: str) -> None:
        self.node = node
        self.url = url
        self.proofs = proofs_of(node)
        self.keys: dict[str, IssuedCredential] = {}
        self.http = httpx.Client(base_url=url, timeout=10)  # clients give up at 10 s (T25)

    def agree(self, institution: str, **agreed: Any) -> Client:
        """Settle with an institution how its client is treated, and issue its key."""
        client = Client(institution=institution, **agreed)
        self.node.tables.save_client(client)
        self.keys[institution] = self.node.tables.create_credential(institution)
        return client

    def token_path(self, institution: str, infno: str = "") -> str:
        token = self.proofs.path_token(self.keys[institution].id)
        return f"/fsi/{token}/api/rsfComIfsService/callService{'/' * bool(infno)}{infno}"

    def post(self, sent: Any, path: str = "", **options: Any) -> httpx.Response:
        """Bytes, or a message as JSON, to the address of the institution it speaks for."""
        if not path:
            path = self.token_path(sent["fixmedins_code"]) if isinstance(sent, dict) else self.token_path(HOSPITAL_A)
        raw = sent if isinstance(sent, bytes) else json.dumps(sent, ensure_ascii=False).encode()
        return self.http.post(path, content=raw, **options)

    def send(self, infno: str, body: Any, institution: str = HOSPITAL_A, **header: Any) -> dict[str, Any]:
        """What a message is answered."""
        answer: dict[str, Any] = self.post(message(infno, body, institution, **header)).json()
        return answer

    def events(self, code: str, kind: str = "") -> list[Event]:
        """What is stored about a code."""
        key = recognise(code, "scan", self.node.catalogue.maker_rules).key
        return [event for event in self.node.ledger.read([key])[key] if kind in {"", event.kind}]

    def lines(self, institution: str, reference: str) -> list[Event]:
        """Sales without a code that carry this receipt number."""
        everything, _ = self.node.journal.since(None, 1_000_000)
        return [
            event
            for event in everything
            if event.kind == "sold" and event.actor == institution and reference in event.references.values()
        ]


@contextmanager
def till(folder: Path, settings: str = SETTINGS) -> Iterator[Till]:
    """A server in a thread of this process, so that the test can look into the node behind it."""
    folder.mkdir(parents=True)
    (folder / "suyuan.toml").write_text(settings, encoding="utf-8")
    with Node.open(folder) as node:
        node.tables.save_catalogue(content())
        node.tables.delegate(PHARMACY_Q, HEAD_OFFICE, date.today(), date.today() + timedelta(days=30))  # noqa: DTZ011
        node.reload_catalogue()
        opened = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            application(node), log_config=None, access_log=False, lifespan="on", forwarded_allow_ips="*"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            host, port = opened.getsockname()[:2]
            made = Till(node, f"http://{host}:{port}")
            for institution in (HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q):
                made.agree(institution)
            with made.http:
                yield made
        finally:
            server.should_exit = True
            thread.join()
            opened.close()


def fine(answer: dict[str, Any]) -> bool:
    """The two-level success of 35xx."""
    return bool(answer["infcode"] == 0 and answer["output"]["result"]["retRslt"] == "1")
