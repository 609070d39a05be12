"""A shell for tests of the program: files beside a node, commands run in this process, what they printed."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from suyuan.cli import run

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_NODE = frozenset({"code", "simulate", "--help", "--version"})
"""Commands that have no --dir."""

MAKER, WHOLESALER = "M44010000001", "W44010000001"
HOSPITAL, PHARMACY, FAR_AWAY = "H44010000001", "P44010000002", "P11010500003"
MENTAL = "H44010000009"
"""A psychiatric hospital: citizens see its kind and city only."""

DRUG, SPLITTABLE = "XB05BAF058B002010102345", "XA11CCA351E002010101121"
GTIN = "09520000016326"

CATALOGUE = {
    "products": f"nhsa,kind,generic,splittable\n{DRUG},western,氯化钠注射液,no\n{SPLITTABLE},western,维生素片,yes\n",
    "prefixes": (
        "product_key,name,level\n"
        "trace20:8234567,氯化钠注射液,1\ntrace20:8123456,维生素片,1\ntrace20:8234560,氯化钠注射液（箱）,3\n"
        f"gs1:{GTIN},进口注射液,1\n"
    ),
    "packages": "product_key,units,units_reviewed,reviewer\ntrace20:8123456,24,yes,审核员\n",
    "edges": (
        "left,right,reviewed,reviewer\n"
        f"trace20:8234567,nhsa:{DRUG},yes,审核员\n"
        f"trace20:8123456,nhsa:{SPLITTABLE},yes,审核员\n"
        f"gs1:{GTIN},nhsa:{DRUG},yes,审核员\n"
    ),
    "parties": (
        "code,name,kind,region,sensitive\n"
        f"{MAKER},示例制药,manufacturer,440106,no\n{WHOLESALER},示例医药公司,distributor,440106,no\n"
        f"{HOSPITAL},示例医院,hospital,440106,no\n{PHARMACY},示例药房,pharmacy,440106,no\n"
        f"{FAR_AWAY},示例外地药房,pharmacy,110105,no\n{MENTAL},示例精神专科医院,hospital,440106,yes\n"
    ),
    "virtual_codes": f"key,institution,nhsa,quantity,reason\nmaker:virtual:000000000001,{HOSPITAL},{DRUG},1,无码\n",
}
"""A small catalogue: two drugs, a carton's prefix, who is who, one virtual code."""


class Ran(NamedTuple):
    """What became of one command."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> list[Any]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Commands on the node in one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "node"

    def __call__(self, *arguments: object) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(self.line(arguments))
        return Ran(code, out.getvalue(), err.getvalue())

    def line(self, arguments: Sequence[object]) -> list[str]:
        """The arguments of a command, with the node's folder."""
        words = [str(one) for one in arguments]
        if not words or words[0] in WITHOUT_NODE:
            return words
        place = words.index("--") if "--" in words else len(words)
        return [*words[:place], "--dir", str(self.folder), *words[place:]]

    def ask(self, *arguments: object) -> Any:
        """One JSON answer of a command that is fine."""
        ran = self(*arguments, "--format", "json")
        assert ran.code == 0, ran
        [value] = ran.values
        return value

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.home / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def ingest(self, kind: str, by: str, *rows: dict[str, str]) -> dict[str, Any]:
        """A CSV of one kind, with a line for each row; the summary of what became of it."""
        summary: dict[str, Any] = self("ingest", self.table(kind, *rows), "--by", by, "--format", "json").values[0]
        return summary

    def table(self, kind: str, *rows: dict[str, str]) -> Path:
        names = list(dict.fromkeys(["kind", *(name for row in rows for name in row)]))
        out = io.StringIO()
        writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"kind": kind, **row} for row in rows)
        return self.write(f"{kind}.csv", out.getvalue())

    def take_catalogue(self) -> None:
        for name, rows in CATALOGUE.items():
            ran = self("catalogue", "import", name, self.write(f"{name}.csv", rows))
            assert ran.code == 0, ran

    def settle(self, place: str, *boxes: str, visit: str, day: str = "2026-03-09", product: str = DRUG) -> Ran:
        """An outpatient settlement or, of a pharmacy, one at its counter; a line for each box."""
        message = claim(place, *boxes, visit=visit, day=day, product=product)
        return self("settle", self.write("claim.json", json.dumps(message)), "--format", "json")


def claim(place: str, *boxes: str, visit: str, day: str = "2026-03-09", product: str = DRUG) -> dict[str, Any]:
    """A 2102 or 2207 message."""
    trace = [
        {"feedetl_sn": str(n), "drug_trac_codg": box, "trdn_flag": "0", "min_prcunt_type": "2"}
        for n, box in enumerate(boxes, 1)
    ]
    head = {"psn_no": "person 1", "mdtrt_id": visit, "chrg_bchno": f"O{visit}", "insutype": "310"}
    head |= {"medfee_sumamt": f"{10 * len(boxes)}", "setl_time": f"{day} 10:00:00"}
    body: dict[str, Any] = {"drug_trac_info": trace}
    if place.startswith("P"):
        fees = {"med_list_codg": product, "cnt": 1, "pric": 10, "det_item_fee_sumamt": 10}
        body |= {"druginfo": head, "drugdetail": [{"feedetl_sn": row["feedetl_sn"], **fees} for row in trace]}
    else:
        body["data"] = head
    infno = "2102" if place.startswith("P") else "2207"
    return {
        "infno": infno,
        "msgid": f"{place}{visit:0>18}",
        "insuplc_admdvs": "440100",
        "infver": "V1.0",
        "fixmedins_code": place,
        "input": body,
    }


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The program as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "suyuan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, env=environment, timeout=120, **options)
