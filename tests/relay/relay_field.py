"""A nation and its provinces in one process: real nodes and real signed messages, handed over instead of sent."""

import atexit
import itertools
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from story import HOSPITAL_A, HOSPITAL_FAR, MAKER, MONDAY, catalogue, micros, written

from suyuan.formats import nhsa, tables
from suyuan.formats.document import Outcome
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.ledger.signer import Signer
from suyuan.node import SECRETS, Node, place_secrets
from suyuan.relay.asking import Asking
from suyuan.relay.following import Follower
from suyuan.relay.link import Unreachable
from suyuan.relay.messages import read
from suyuan.relay.nation import Nation, register
from suyuan.relay.province import Again, Province
from suyuan.relay.station import link_of
from suyuan.settlement.claim import ClaimVerdict

HERE, THERE = "44", "11"
"""Where HOSPITAL_A is, and where HOSPITAL_FAR is."""
PERSON_KEY = bytes(range(32))
__all__ = ["HERE", "HOSPITAL_A", "HOSPITAL_FAR", "MAKER", "THERE", "Field", "Place"]


@cache
def _made() -> Path:
    """A node that knows who is who, and nothing else: to make one takes longer than most tests here."""
    folder = Path(mkdtemp(prefix="suyuan-field-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place_secrets(folder, PERSON_KEY + bytes(16) + Signer.new().seed)
    with Node.open(folder, block_cache_mb=8) as node:
        node.tables.save_catalogue(catalogue())
    return folder


class Place:
    """One node, and who sends to it."""

    def __init__(self, folder: Path, clock: Callable[[], int], settings: str = "", upload: int = 1) -> None:
        if not (folder / SECRETS).exists():
            shutil.copytree(_made(), folder, ignore=shutil.ignore_patterns(SECRETS))
            place_secrets(folder, PERSON_KEY + bytes(16) + Signer.new().seed)
            (folder / "suyuan.toml").write_text('policy = "strict"\nblock_cache_mb = 8\n' + settings, encoding="utf-8")
        self.node = Node.open(folder, clock)
        self._numbers = itertools.count(upload)

    def events(self, prefix: str = "") -> list[Event]:
        """Every fact in order of arrival, of keys that begin so."""
        found: list[Event] = []
        position: bytes | None = None
        while True:
            page, position = self.node.journal.since(position, 10_000)
            if not page:
                return [event for event in found if event.key.startswith(prefix)]
            found += page

    def history(self, key: str) -> list[Event]:
        """All events of a key."""
        return list(self.node.journal.fetch([key])[key].events)

    def box(self, code: str) -> Box:
        """A box as its own events have it."""
        key = f"trace20:{code}"
        return Box.of(key, self.history(key))

    def alerts(self) -> list[str]:
        """The ids of all alerts, in order."""
        return [event.key for event in self.events("alert:") if event.kind == "alerted"]

    def message(self, infno: str, place: str, body: dict[str, Any], msgid: str = "") -> Outcome:
        """One message of a hospital or pharmacy."""
        raw = {
            "infno": infno,
            "msgid": msgid or f"{place}{next(self._numbers):018d}",
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "fixmedins_code": place,
            "input": body,
        }
        return self.node.take(nhsa.read(json.dumps(raw).encode()))

    def settle(self, place: str, *codes: str, person: str = "person 1", order: str = "O1") -> ClaimVerdict:
        """Ask for payment."""
        head = {
            "psn_no": person,
            "chrg_bchno": order,
            "mdtrt_id": f"V{order}",
            "insutype": "310",
            "medfee_sumamt": 100,
        }
        rows = [
            {"feedetl_sn": str(at), "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2"}
            for at, code in enumerate(codes, 1)
        ]
        [verdict] = self.message("2207", place, {"data": head, "drug_trac_info": rows}).results
        assert isinstance(verdict, ClaimVerdict)
        return verdict

    def cancel(self, place: str, settlement: str) -> str:
        """Take a settlement back."""
        result: Any = self.message("2208", place, {"data": {"setl_id": settlement}}).results[0]
        return str(result.status)

    def sell(
        self, place: str, code: str, *, person: str = "person 1", when: datetime = MONDAY, batch: str = "B1"
    ) -> str:
        """Report a sale."""
        row = {
            "med_list_codg": "",
            "fixmedins_hilist_id": "1",
            "fixmedins_bchno": batch,
            "psn_no": person,
            "sel_retn_cnt": "1",
            "sel_retn_time": written(when),
            "drugtracinfo": [{"drug_trac_codg": code}],
        }
        result: Any = self.message("3505", place, {"selinfo": row}).results[0]
        return str(result.status)

    def table(self, by: str, kind: str, *rows: dict[str, str]) -> list[str]:
        """A CSV file with a line for each row; the statuses."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
        [document] = tables.read(["\n".join(lines).encode()], by=by, kind=kind)
        results: list[Any] = list(self.node.take(document).results)
        return [result.status for result in results]


class Field:
    """A nation, two provinces, and the wire between them, which a test may cut."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.now = micros(MONDAY)
        self.folder = folder
        self.center = Place(folder / "nation", self.clock)
        self.nation = Nation(self.center.node)
        self.follower = Follower(self.center.node)
        self.cut: Callable[[bytes], bytes | None] | None = None
        """Called with every question; answers None for nothing, or what goes on."""
        self.places: dict[str, Place] = {}
        self.relays: dict[str, Province] = {}
        key = self.center.node.signer.public.hex()
        for name in names or (HERE, THERE):
            place = Place(
                folder / name, self.clock, f'nation = "http://127.0.0.1:9"\nprovince = "{name}"\nnation_key = "{key}"\n'
            )
            register(self.center.node, name, place.node.signer.public)
            self.places[name] = place
            self.connect(name)

    def clock(self) -> int:
        """A second later each time somebody looks."""
        self.now += 1_000
        return self.now

    def connect(self, name: str) -> None:
        """A relay that has just been started."""
        place = self.places[name]
        self.relays[name] = self.relay_of(place)
        place.node.ask_nation(Asking(link_of(place.node, self.carry)))

    def relay_of(self, place: Place) -> Province:
        """What ships and takes for a node."""
        return Province(place.node, link_of(place.node, self.carry))

    def carry(self, question: bytes, _: float) -> bytes:
        """Hand a question over, and its answer back."""
        if self.cut is not None:
            passed = self.cut(question)
            if passed is None:
                raise Unreachable("the wire is cut")
            question = passed
        return self.nation.answer(read(question))

    def settle_down(self) -> None:
        """Until nobody has anything to tell."""
        for _ in range(50):
            busy = False
            for relay in self.relays.values():
                try:
                    busy |= relay.step()
                except Again:
                    busy = True
            while self.follower.step():
                busy = True
            if not busy:
                return
        raise AssertionError("they never come to rest")

    def close(self) -> None:
        """Release the folders."""
        for place in (self.center, *self.places.values()):
            place.node.close()
