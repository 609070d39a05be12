"""A small field to tell stories in: real messages to one node in memory, under a clock that the story sets."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import Content
from suyuan.catalogue.mapping import Edge
from suyuan.catalogue.no_code import NoCodeEntry, VirtualCode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.prefixes import Prefix
from suyuan.catalogue.product import Product
from suyuan.formats import nhsa, tables
from suyuan.formats.document import Document, Outcome
from suyuan.intake import Desk, take, take_time
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.privacy import Privacy
from suyuan.ledger.scan import Result
from suyuan.settlement.claim import ClaimVerdict
from suyuan.settlement.policy import STRICT, Policy
from suyuan.storage.memory import MemoryJournal

CHINA = timezone(timedelta(hours=8))
MONDAY = datetime(2026, 3, 9, 10, 0, tzinfo=CHINA)

# Who takes part.
HOSPITAL_A, HOSPITAL_B = "H44010000001", "H44010000002"
HOSPITAL_FAR = "H11010000003"
PHARMACY_P, PHARMACY_Q = "P44010000001", "P44010000002"
PHARMACY_SUSPENDED = "P44010000009"
MAKER, REGULATOR, HEAD_OFFICE = "M00000000001", "G44000000001", "C44000000001"

# What is sold. A splittable product of 24 tablets, and one that is not; the rest say their peculiarity.
SPLITTABLE, WHOLE = "XA11CCA351E002010101121", "XB05BAF058B002010102345"
UNREVIEWED, GS1_DRUG = "XC03CAL006A001010103456", "XJ01DDT046B001010104567"
IMPLANT, HERB, LEGACY = "C0123456789012345678", "T000100001", "ZA01AAA0001010112345"
SERVICE = "001102000010000-110200001"

GTIN, GTIN_IMPLANT = "06901234567892", "06931234567899"
ESCAPE = "9" * 20
VIRTUAL = "SYV000000000001"

_EDGES = {
    "trace20:8123456": (SPLITTABLE, True),
    "trace20:8234567": (WHOLE, True),
    "trace20:8345678": (UNREVIEWED, False),
    f"gs1:{GTIN}": (GS1_DRUG, True),
    f"gs1:{GTIN_IMPLANT}": (IMPLANT, True),
}


def catalogue() -> Content:
    """Reference data of the field."""
    kinds = {"H": "hospital", "P": "pharmacy", "M": "manufacturer", "G": "drug_regulator", "C": "head_office"}
    places = (HOSPITAL_A, HOSPITAL_B, HOSPITAL_FAR, PHARMACY_P, PHARMACY_Q, MAKER, REGULATOR, HEAD_OFFICE)
    parties = [Party(code, name=code, kind=kinds[code[0]], region=code[1:7]) for code in places]
    parties.append(Party(PHARMACY_SUSPENDED, kind="pharmacy", region="440100", standing="suspended"))
    return Content(
        products=[
            Product(SPLITTABLE, splittable=True),
            Product(WHOLE),
            Product(UNREVIEWED, splittable=True),
            Product(GS1_DRUG),
            Product(IMPLANT, kind="consumable", identity="lot"),
            Product(HERB, kind="herbal_slices", identity="none", exempt="herbal_slices"),
            Product(LEGACY, kind="tcm"),
        ],
        prefixes=[Prefix(key) for key in _EDGES],
        packages=[
            Package("trace20:8123456", units=24, units_reviewed=True),
            Package("trace20:8345678", units=24, units_reviewed=False),
        ],
        edges=[Edge(key, f"nhsa:{nhsa_code}", reviewed=reviewed) for key, (nhsa_code, reviewed) in _EDGES.items()],
        parties=parties,
        delegations=[Delegation(PHARMACY_P, HEAD_OFFICE, valid_to=date(2026, 12, 31))],
        no_code=[NoCodeEntry(HOSPITAL_A, LEGACY, quantity=2, valid_to=date(2026, 6, 30))],
        virtual_codes=[
            VirtualCode("maker:virtual:000000000001", HOSPITAL_A, WHOLE, quantity=1),
        ],
    )


@dataclass
class Line:
    """One fee line of a claim, with the codes that were scanned for it."""

    boxes: tuple[str, ...] = ()
    product: str = ""
    quantity: str = "1"
    amount: float = 0
    split: bool = False


@dataclass
class Story:
    """One node and everybody who sends to it. Every method sends one real message and answers what became of it."""

    policy: Policy = STRICT
    journal: Journal = field(default_factory=MemoryJournal)
    content: Content = field(default_factory=catalogue)
    start: datetime = MONDAY

    def __post_init__(self) -> None:
        self.now = micros(self.start)
        ledger = Ledger(self.journal, lambda: self.now)
        privacy = Privacy(bytes(range(32)), bytes(range(16)))
        self.desk = Desk(ledger=ledger, catalogue=Catalogue(self.content), privacy=privacy, policy=self.policy)
        self._serials = itertools.count(1_000_000_000_001, 7)
        self._messages = itertools.count(1)
        self.answer: dict[str, Any] = {}
        """The latest answer, as the sender received it."""
        self.raw = b""
        """The latest message, as it was sent."""
        self.outcome = Outcome()

    # Boxes and time

    def new_box(self, product: str = WHOLE, *, lot: str = "", expiry: str = "") -> str:
        """The code on a box that nobody has seen yet; GS1 codes carry what is given of lot and expiry (YYMMDD)."""
        serial = next(self._serials)
        prefix = next(key for key, (nhsa_code, _) in _EDGES.items() if nhsa_code == product)
        system, _, number = prefix.partition(":")
        if system == "trace20":
            return f"{number}{serial}"
        parts = [f"(01){number}", f"(17){expiry}" if expiry else "", f"(10){lot}" if lot else ""]
        return "".join([*parts, f"(21)SN{serial}"])

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> int:
        """Let time pass; answers how many deadlines fell due."""
        self.now += round(timedelta(days=days, hours=hours, minutes=minutes) / timedelta(microseconds=1))
        return take_time(self.desk)

    def clock(self) -> datetime:
        """The story's time of day in China."""
        return datetime.fromtimestamp(self.now / 1e6, CHINA)

    # Sending

    def send(self, infno: str, place: str, body: dict[str, Any], *, msgid: str = "", by: str = "") -> Outcome:
        """One message; a new msgid unless one is given."""
        message = {
            "infno": infno,
            "msgid": msgid or f"{place}{next(self._messages):018d}",
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "fixmedins_code": place,
            "input": body,
        }
        return self.send_bytes(json.dumps(message, ensure_ascii=False).encode(), by=by)

    def send_bytes(self, raw: bytes, *, by: str = "") -> Outcome:
        """Any bytes that claim to be a message; a second later than the one before."""
        self.now += 1_000_000
        self.raw = raw
        document = nhsa.read(raw)
        self.outcome = take(self.desk, document, by)
        self.answer = json.loads(nhsa.answer(document, self.outcome))
        return self.outcome

    def send_table(self, by: str, kind: str, *rows: dict[str, str]) -> list[Result]:
        """A CSV file with a line for each row."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
        self.now += 1_000_000
        [document] = tables.read(["\n".join(lines).encode()], by=by, kind=kind)
        return self.take(document)

    def take(self, document: Document) -> list[Result]:
        """A document that is already read."""
        assert not document.problems, document.problems
        self.outcome = take(self.desk, document)
        assert not self.outcome.fatal, self.outcome.fatal
        return [result for result in self.outcome.results if isinstance(result, Result)]

    def again(self) -> Outcome:
        """The latest message once more, byte for byte."""
        return self.send_bytes(self.raw)

    # Settlement

    def fees(
        self, place: str, lines: Iterable[Line], *, order: str = "O1", visit: str = "V1", infno: str = "2204"
    ) -> None:
        """Fee details: which product each fee line is."""
        rows = [
            {
                "feedetl_sn": str(number),
                "mdtrt_id": visit,
                "chrg_bchno": order,
                "med_list_codg": line.product,
                "cnt": line.quantity,
                "pric": "1.00",
                "det_item_fee_sumamt": line.amount,
            }
            for number, line in enumerate(lines, 1)
        ]
        self.send(infno, place, {"feedetail": rows})

    def settle(
        self,
        place: str,
        *boxes: str,
        order: str = "O1",
        visit: str = "V1",
        lines: Iterable[Line] = (),
        person: str = "person 1",
        setting: str = "",
        fund: str = "310",
        amount: float = 100,
        expected: int = -1,
        advice: bool = False,
        when: datetime | None = None,
        msgid: str = "",
    ) -> ClaimVerdict:
        """Ask the fund to pay; each box given alone is a line of its own."""
        told = [Line((box,)) for box in boxes] + list(lines)
        setting = setting or ("pharmacy" if place.startswith("P") else "outpatient")
        infno = _SETTLEMENTS[setting][advice]
        head: dict[str, Any] = {"psn_no": person, "chrg_bchno": order, "mdtrt_id": visit, "insutype": fund}
        head["medfee_sumamt"] = amount
        if expected >= 0:
            head["minpacunt_drug_trac_cnt"] = expected
        if when is not None:
            head["setl_time"] = written(when)
        body: dict[str, Any] = {"drug_trac_info": list(_trace_rows(told))}
        if setting == "pharmacy":
            body |= {"druginfo": head, "drugdetail": list(_detail_rows(told))}
        else:
            body["data"] = head
        if not body.get("drugdetail"):
            body.pop("drugdetail", None)
        [verdict] = self.send(infno, place, body, msgid=msgid).results
        assert isinstance(verdict, ClaimVerdict)
        return verdict

    def cancel(self, place: str, settlement: str, visit: str = "V1") -> str:
        """2103, 2208: take a settlement back."""
        infno = "2103" if place.startswith("P") else "2208"
        body = {"setl_id": settlement} | ({"mdtrt_id": visit} if visit else {})
        return self._status(self.send(infno, place, {"data": body}))

    def reverse(self, place: str, msgid: str, infno: str = "2207") -> str:
        """2601: undo what a message did."""
        return self._status(self.send("2601", place, {"data": {"omsgid": msgid, "oinfno": infno}}))

    # Goods

    def report_sale(self, place: str, *boxes: str, **said: Any) -> str:
        """3505; the status of the first code."""
        return self._status(
            self.send("3505", place, {"selinfo": self._sale(boxes, **said)}, msgid=said.get("msgid", ""))
        )

    def give_back(self, place: str, *boxes: str, **said: Any) -> str:
        """3506: a patient brings a box back."""
        return self._status(
            self.send("3506", place, {"selinfo": self._sale(boxes, **said)}, msgid=said.get("msgid", ""))
        )

    def _sale(
        self,
        boxes: tuple[str, ...],
        *,
        visit: str = "",
        order: str = "",
        settlement: str = "",
        receipt: str = "",
        original: str = "",
        person: str = "person 1",
        product: str = "",
        quantity: str = "1",
        split: bool = False,
        batch: str = "B1",
        line: str = "",
        when: datetime | None = None,
        msgid: str = "",
    ) -> dict[str, Any]:
        row = {
            "med_list_codg": product,
            "fixmedins_hilist_id": "1",
            "fixmedins_bchno": batch,
            "setl_id": settlement,
            "mdtrt_sn": visit,
            "chrg_bchno": order,
            "rtal_docno": receipt,
            "medins_prod_sel_no": original,
            "psn_no": person,
            "sel_retn_cnt": quantity,
            "sel_retn_time": written(when or self.clock()),
            "trdn_flag": "1" if split else "0",
            "feedetl_sn": line,
            "drugtracinfo": [{"drug_trac_codg": box} for box in boxes],
        }
        return {name: value for name, value in row.items() if value}

    def receive(self, place: str, *boxes: str, batch: str = "B1") -> str:
        """3503 with codes."""
        row = {
            "fixmedins_hilist_id": "1",
            "fixmedins_bchno": batch,
            "dynt_no": f"D{batch}",
            "purc_retn_cnt": len(boxes),
            "purc_retn_stoin_time": written(self.clock()),
            "drugtracinfo": [{"drug_trac_codg": box} for box in boxes],
        }
        return self._status(self.send("3503", place, {"purcinfo": row}))

    def destroy(self, place: str, box: str, *, batch: str = "B1") -> str:
        """3502 with change type 105."""
        row = {
            "fixmedins_hilist_id": "1",
            "fixmedins_bchno": batch,
            "inv_chg_type": "105",
            "inv_chg_time": written(self.clock()),
            "cnt": 1,
            "drugtracinfo": [{"drug_trac_codg": box}],
        }
        return self._status(self.send("3502", place, {"invinfo": row}))

    def delete(self, place: str, batch: str = "B1", data_type: str = "4") -> str:
        """3507: delete what was uploaded under a batch number."""
        body = {"fixmedins_bchno": batch, "inv_data_type": data_type}
        return self._status(self.send("3507", place, {"data": body}))

    def produce(self, *boxes: str, lot: str = "", expiry: str = "") -> None:
        """The maker's own upload."""
        self.send_table(MAKER, "produced", *({"code": box, "lot": lot, "expiry": expiry} for box in boxes))

    def recall(self, code: str, *, scope: str = "batch", lot: str = "", by: str = REGULATOR) -> str:
        """An order on a code, a batch or a product; any of its codes names the product."""
        return self.send_table(by, "hold_set", {"code": code, "scope": scope, "lot": lot, "reason": "recall"})[0].status

    def lift(self, code: str, *, scope: str = "batch", lot: str = "", by: str = REGULATOR) -> str:
        """The end of an order."""
        return self.send_table(by, "hold_lifted", {"code": code, "scope": scope, "lot": lot, "reason": "recall"})[
            0
        ].status

    @staticmethod
    def _status(outcome: Outcome) -> str:
        assert not outcome.fatal, outcome.fatal
        result = outcome.results[0]
        assert isinstance(result, Result)
        return result.status

    # Looking

    def events(self) -> list[Event]:
        """Every fact, in order of arrival."""
        events, position = self.journal.since(None, 1_000_000)
        assert not self.journal.since(position, 1)[0], "one page holds the story"
        return events

    def alerts(self) -> list[str]:
        """The classes of all alerts, in order."""
        return [event.detail["class"] for event in self.events() if event.kind == "alerted"]

    def history(self, code: str) -> list[Event]:
        """What is known of a box."""
        key = self.key(code)
        return list(self.journal.fetch([key])[key].events)

    def key(self, code: str) -> str:
        """The box key of a code."""
        from suyuan.codes.recognise import recognise  # noqa: PLC0415  only here

        return recognise(code, rules=self.desk.catalogue.maker_rules).key

    def box(self, code: str) -> Box:
        """The box as it stands."""
        return Box.of(self.key(code), self.history(code))

    def paid(self, code: str) -> Any:
        """The part of the box that open paid claims take, as an exact fraction; Any, to be compared with 0 and 1."""
        return self.box(code).claimed_units()

    def taken(self, code: str) -> Any:
        """The part of the box that its standing sales take, likewise."""
        return self.box(code).taken()

    def boxes(self) -> Iterator[Box]:
        """Every box that anybody has named."""
        for key in self.journal.keys(""):
            if not key.startswith(NOT_A_BOX):
                yield Box.of(key, self.journal.fetch([key])[key].events)


NOT_A_BOX = ("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "line:")

_SETTLEMENTS = {"pharmacy": ("2102", "2101"), "outpatient": ("2207", "2206"), "inpatient": ("2304", "2303")}


def _trace_rows(lines: list[Line]) -> Iterator[dict[str, str]]:
    for number, line in enumerate(lines, 1):
        for box in line.boxes:
            flag = "1" if line.split else "0"
            yield {"feedetl_sn": str(number), "drug_trac_codg": box, "trdn_flag": flag, "min_prcunt_type": "2"}


def _detail_rows(lines: list[Line]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.product:
            yield {
                "feedetl_sn": str(number),
                "med_list_codg": line.product,
                "cnt": line.quantity,
                "det_item_fee_sumamt": line.amount,
            }


def statuses(verdict: ClaimVerdict) -> list[list[str]]:
    """The status of every code of a claim, line by line; of a line without codes, its own."""
    return [[code.status for code in line.codes] or [line.status] for line in verdict.lines]


def micros(moment: datetime) -> int:
    """µs UTC."""
    return round((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def written(moment: datetime) -> str:
    """A time as messages write it."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
