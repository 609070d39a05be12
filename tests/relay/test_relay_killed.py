"""Three provinces and a nation under load, each killed at random: the nation has their union, and repeats are told."""

import contextlib
import itertools
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from story import catalogue

from suyuan.catalogue.parties import Party
from suyuan.simulation.federation import FSI, Federation, Member
from suyuan.simulation.union import differences, repeats, untold

HOSPITALS = {"44": "H44010000001", "11": "H11010000003", "31": "H31010000005"}
SECONDS = 600 if os.environ.get("SUYUAN_LONG") == "1" else 60
BOXES = 40 * SECONDS
"""So many that most are sold once and some again."""
PAUSE = 0.02
"""Seconds between two uploads of a till."""
SETTLE_SECONDS = 300


class Till:
    """A hospital that settles, cancels and reports, sends again what was not answered, and keeps its own books."""

    def __init__(self, member: Member, hospital: str, seed: int) -> None:
        self.member, self.hospital = member, hospital
        self.chance = random.Random(seed)
        self.numbers = itertools.count(1)
        self.paid: dict[str, str] = {}
        """Acknowledged settlement → box."""
        self.cancelled: set[str] = set()
        self.refused = 0
        self.reported = 0
        self.unanswered = 0

    def work(self, ending: threading.Event) -> None:
        with httpx.Client(timeout=20) as client:
            while not ending.is_set():
                self._once(client)
                time.sleep(PAUSE)

    def _once(self, client: httpx.Client) -> None:
        chance = self.chance.random()
        box = f"8234567{self.chance.randrange(BOXES):013d}"
        number = next(self.numbers)
        if chance < 0.1 and (left := [one for one in list(self.paid)[-20:] if one not in self.cancelled]):
            settlement = self.chance.choice(left)
            if self._send(client, "2208", {"data": {"setl_id": settlement}}, number)["infcode"] in (0, "0"):
                self.cancelled.add(settlement)
        elif chance < 0.25:
            row = {
                "med_list_codg": "",
                "fixmedins_hilist_id": "1",
                "fixmedins_bchno": f"B{number}",
                "psn_no": f"person {number}",
                "sel_retn_cnt": "1",
                "sel_retn_time": "2026-03-09 10:00:00",
                "drugtracinfo": [{"drug_trac_codg": box}],
            }
            self._send(client, "3505", {"selinfo": row}, number)
            self.reported += 1
        else:
            self._settle(client, box, number)

    def _settle(self, client: httpx.Client, box: str, number: int) -> None:
        head = {
            "psn_no": f"person {number}",
            "chrg_bchno": f"O{number}",
            "mdtrt_id": f"V{number}",
            "insutype": "310",
            "medfee_sumamt": 100,
        }
        trace = {"feedetl_sn": "1", "drug_trac_codg": box, "trdn_flag": "0", "min_prcunt_type": "2"}
        answer = self._send(client, "2207", {"data": head, "drug_trac_info": [trace]}, number)
        if answer["infcode"] in (0, "0"):
            self.paid[answer["output"]["setlinfo"]["setl_id"]] = box
        else:
            self.refused += 1

    def _send(self, client: httpx.Client, infno: str, body: dict[str, Any], number: int) -> dict[str, Any]:
        message = {
            "infno": infno,
            "msgid": f"{self.hospital}{number:018d}",
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "fixmedins_code": self.hospital,
            "input": body,
        }
        raw = json.dumps(message).encode()
        headers = {"authorization": f"Bearer {self.member.keys[self.hospital]}", "content-type": "application/json"}
        while True:
            with contextlib.suppress(httpx.TransportError):
                answered = client.post(f"{self.member.address}{FSI}", content=raw, headers=headers)
                if answered.status_code == httpx.codes.OK:
                    return dict(answered.json())
            self.unanswered += 1
            time.sleep(0.2)


def kill_at_random(federation: Federation, seconds: float, seed: int) -> None:
    """One of the four dies, stays away for a moment, and comes back; then another: each at least once."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    members = list(federation.members.values())
    while time.monotonic() < end or not all(member.kills for member in members):
        for member in chance.sample(members, len(members)):
            time.sleep(chance.uniform(0.5, 3.0))
            member.kill()
            time.sleep(chance.uniform(0.0, 2.0))
            member.start()


@pytest.mark.slow
def test_the_nation_has_the_union_and_repeats_are_told_to_both_whoever_dies(tmp_path: Path) -> None:
    content = catalogue()
    known = {party.code for party in content.parties}
    content.parties += [
        Party(code, name=code, kind="hospital", region=code[1:7]) for code in HOSPITALS.values() if code not in known
    ]
    settings = 'policy = "strict"\nrate_counter = "1000000/minute"\n'
    federation = Federation(tmp_path, HOSPITALS, content, settings)
    ending = threading.Event()
    with federation:
        tills = [
            Till(federation.members[name], code, seed) for seed, (name, code) in enumerate(HOSPITALS.items(), start=1)
        ]
        working = [threading.Thread(target=till.work, args=(ending,)) for till in tills]
        for one in working:
            one.start()
        try:
            kill_at_random(federation, SECONDS, 7)
        finally:
            ending.set()
            for one in working:
                one.join()
        assert federation.settle_down(SETTLE_SECONDS), {
            name: member.standing() for name, member in federation.members.items()
        }
    feeds = {name: member.events() for name, member in federation.provinces.items()}
    nation = federation.nation.events()
    kills = {name: member.kills for name, member in federation.members.items()}
    figures: dict[str, Any] = {
        till.member.name: f"{len(till.paid)} paid, {till.refused} refused, {till.reported} reported, "
        f"{till.unanswered} sent again"
        for till in tills
    }
    figures |= {"kills": kills, "facts at the nation": len(nation), "sold in two": len(repeats(feeds))}
    (tmp_path / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    assert differences(feeds, nation) == []
    assert untold(feeds, nation) == []
    assert len(repeats(feeds)) > 0, "the load had repeats across a border"
    for till in tills:
        stored = {event["references"].get("settlement") for event in nation if event["key"].startswith("claim:")}
        assert till.paid.keys() <= stored, "what was acknowledged is at the nation"
