"""A till with one dictionary of boxes: it pays each box once, or cheats where told, so that the auditor is tried."""

import csv
from typing import Any

import msgspec

CLAIMS = {"2102": "druginfo", "2207": "data", "2304": "data"}


class HonestTill:
    """Takes uploads as a node would.

    `cheat` names what it does wrong: pays_twice, loses_money, forgets_repeats, ignores_orders,
    ignores_reversals, or pays_everything.
    """

    def __init__(self, cheat: str = "") -> None:
        self.cheat = cheat
        self.first_answers: dict[bytes, bytes] = {}
        self.fees: dict[str, dict[str, Any]] = {}
        self.claims: dict[tuple[str, str], dict[str, Any]] = {}
        self.by_number: dict[tuple[str, str], dict[str, Any]] = {}
        self.holder: dict[str, tuple[str, str]] = {}
        self.reported: dict[tuple[str, str], list[str]] = {}
        self.stories: dict[str, list[dict[str, Any]]] = {}
        self.arrivals: list[int] = []
        self.reversed: set[tuple[str, str]] = set()
        self.lots: dict[str, str] = {}
        """Code as far as its serial → what a batch order on it would be filed under."""
        self.orders: set[str] = set()

    def take(self, raw: bytes, by: str, arrival: int, kind: str) -> bytes:
        self.arrivals.append(arrival)
        if kind == "table":
            rows = list(csv.DictReader(raw.decode().splitlines()))
            for row in rows if raw not in self.first_answers else ():
                self._table_row(row)
            self.first_answers[raw] = b""
            return msgspec.json.encode({"read": len(rows), "accepted": len(rows)})
        if kind == "epcis":
            events = msgspec.json.decode(raw)["epcisBody"]["eventList"]
            for event in events:
                for epc in event.get("epcList", []) if "ilmd" in event else []:
                    gtin, _, serial = epc.partition("/01/")[2].partition("/21/")
                    self.lots[f"(01){gtin}(21){serial}"] = f"{gtin}:{event['ilmd']['cbvmda:lotNumber']}"
            return msgspec.json.encode({"read": len(events)})
        if raw not in self.first_answers:
            self.first_answers[raw] = msgspec.json.encode(self._message(msgspec.json.decode(raw)))
        return self.first_answers[raw]

    def _table_row(self, row: dict[str, str]) -> None:
        code = row["code"].partition("(17)")[0]
        if row["kind"] == "produced":
            self.lots[code] = f"{code[:7]}:{row['lot']}"
        elif row["kind"] == "hold_set":
            self.orders.add(self.lots[code] if row["scope"] == "batch" else code)
        elif row["kind"] == "hold_lifted":
            self.orders.discard(self.lots[code] if row["scope"] == "batch" else code)

    def _recalled(self, code: str) -> bool:
        own = code.partition("(17)")[0]
        return bool(self.orders & {own, self.lots.get(own, "")})

    def story(self, code: str) -> dict[str, Any]:
        return {"events": self.stories.get(code.partition("(17)")[0], [])}

    def _tell(self, code: str, kind: str, by: str, **more: Any) -> None:
        self.stories.setdefault(code.partition("(17)")[0], []).append({"kind": kind, "actor": by, **more})

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        infno, by, content = body["infno"].removesuffix("A"), body["fixmedins_code"], body["input"]
        if infno in CLAIMS:
            return self._claim(infno, by, body["msgid"], content)
        if infno in {"2204", "2301"}:
            self.fees |= {row["feedetl_sn"]: row for row in content["feedetail"]}
        elif infno in {"2103", "2208", "2601"}:
            data = content["data"]
            self._release(by, data.get("setl_id") or data["omsgid"])
            if infno == "2601" and (by, data["omsgid"]) not in self.by_number:
                self.reversed.add((by, data["omsgid"]))
        elif infno.startswith("35"):
            node = next(iter(content.values()))
            for row in node if isinstance(node, list) else [node]:
                self._goods(infno, by, row)
            return {"infcode": 0, "output": {"result": {"retRslt": "1", "msgRslt": "成功"}}}
        return {"infcode": 0, "output": {}}

    def _claim(self, infno: str, by: str, msgid: str, content: dict[str, Any]) -> dict[str, Any]:
        data = content[CLAIMS[infno]]
        visit, order, amount = data["mdtrt_id"], data["chrg_bchno"], data["medfee_sumamt"]
        earlier = self.claims.get((by, order))
        if earlier and self.cheat != "forgets_repeats":
            self.by_number[(by, msgid)] = earlier
            return dict(earlier["answer"])
        rows = content.get("drug_trac_info") or [
            {"drug_trac_codg": code, "trdn_flag": "0"} for code in self.reported.get((by, visit), []) if infno == "2304"
        ]
        whole = [row["drug_trac_codg"] for row in rows if row["trdn_flag"] == "0"]
        taken = [code for code in whole if self.holder.get(code, (by, visit)) != (by, visit)]
        faults = {
            "ignores_orders": any(self._recalled(row["drug_trac_codg"]) for row in rows),
            "ignores_reversals": (by, msgid) in self.reversed,
            "pays_twice": taken or len(set(whole)) < len(whole),
        }
        found = [cheat for cheat, fault in faults.items() if fault and self.cheat not in {cheat, "pays_everything"}]
        if found:
            return {"infcode": -1, "err_msg": f"拒付 {found}：{taken or whole}", "output": None}
        claim: dict[str, Any] = {"codes": whole, "visit": visit, "setl_id": f"S{len(self.claims) + 1:08d}"}
        self.holder |= dict.fromkeys(whole, (by, visit))
        for code in dict.fromkeys(row["drug_trac_codg"] for row in rows):
            self._tell(code, "claimed", by, verdict="pay", references={"settlement": claim["setl_id"], "visit": visit})
        paid = amount - 1 if self.cheat == "loses_money" and len(self.claims) == 3 else amount
        setlinfo = {"setl_id": claim["setl_id"], "medfee_sumamt": amount, "fund_pay_sumamt": paid}
        claim["answer"] = {"infcode": 0, "output": {"setlinfo": setlinfo}}
        self.claims[(by, order)] = self.by_number[(by, msgid)] = self.by_number[(by, claim["setl_id"])] = claim
        return dict(claim["answer"])

    def _release(self, by: str, number: str) -> None:
        claim = self.by_number.get((by, number), {"codes": [], "visit": "", "setl_id": ""})
        for code in claim["codes"]:
            if self.holder.get(code) == (by, claim["visit"]):
                del self.holder[code]
            self._tell(code, "cancelled", by, references={"settlement": claim["setl_id"]})

    def _goods(self, infno: str, by: str, row: dict[str, Any]) -> None:
        for code in [trace["drug_trac_codg"] for trace in row.get("drugtracinfo", [])]:
            if infno == "3505":
                self.reported.setdefault((by, row["mdtrt_sn"]), []).append(code)
                self._tell(code, "sold", by, references={"visit": row["mdtrt_sn"], "settlement": row["setl_id"]})
                if row["trdn_flag"] == "0":
                    self.holder.setdefault(code, (by, row["mdtrt_sn"]))
            elif infno == "3506" and self.holder.get(code) == (by, row["mdtrt_sn"]):
                del self.holder[code]
