"""Totals: what the whole journal says in numbers, as one fold of its feed that can always be made again."""

from collections import Counter
from typing import Any

import msgspec

from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.ledger.keys import is_beside
from suyuan.ledger.packing import is_about_carton

SCAN_KINDS = frozenset(
    {
        "produced",
        "packed",
        "unpacked",
        "shipped",
        "received",
        "refused",
        "counted",
        "changed",
        "sold",
        "returned",
        "exited",
    }
)
NOT_A_BOX = ("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "report:", "no_code:", "line:")
PAGE = 20_000


class Totals(msgspec.Struct):
    """Figures of a node. Money is in millionths of a yuan."""

    events: int = 0
    boxes: int = 0
    scans: int = 0
    """Stored facts about boxes and lines, tolerated repeats included."""
    sales: int = 0
    """Sale reports of boxes that opened or joined a sale."""
    line_sales: int = 0
    """Sale lines without a box: lots, no-code stock, the escape code, unscanned."""
    returns: int = 0
    tolerated_repeats: int = 0
    claims: dict[str, int] = msgspec.field(default_factory=lambda: {"pay": 0, "hold": 0, "refuse": 0})
    """Settlements by the verdict they were answered with."""
    money: dict[str, int] = msgspec.field(default_factory=lambda: {"pay": 0, "hold": 0, "refuse": 0})
    """Amounts paid, held and refused at the counter."""
    cancelled: int = 0
    cancelled_money: int = 0
    reasons: dict[str, int] = {}
    """Leading status of each refused or held claim line → how many."""
    statuses: dict[str, int] = {}
    """Leading status of each stored scan → how many."""
    alerts: dict[str, int] = {}
    cartons: int = 0

    def add(self, event: Event, cartons: set[str]) -> None:
        """Count one event; `cartons` are the keys of those that came up so far."""
        self.events += 1
        if event.kind == "alerted":
            name = event.detail["class"]
            self.alerts[name] = self.alerts.get(name, 0) + 1
        elif event.key.startswith("claim:"):
            self._add_claim(event)
        elif event.key.startswith("line:") or not event.key.startswith(NOT_A_BOX):
            self._add_scan(event, cartons)

    def _add_scan(self, event: Event, cartons: set[str]) -> None:
        if event.sequence == 1 and not event.key.startswith("line:"):
            self.boxes += 1
        if is_about_carton(event) and event.key not in cartons:
            cartons.add(event.key)
            self.cartons += 1
            self.boxes -= 1
        if event.kind not in SCAN_KINDS:
            return
        self.scans += 1
        self.statuses[event.status] = self.statuses.get(event.status, 0) + 1
        if event.status == "tolerated_repeat":
            self.tolerated_repeats += 1
        elif event.kind == "sold" and event.key.startswith("line:"):
            self.line_sales += 1
        elif event.kind == "sold" and event.status not in NOT_A_SALE:
            self.sales += 1
        elif event.kind == "returned" and event.status == "accepted":
            self.returns += 1

    def _add_claim(self, event: Event) -> None:
        if event.kind in {"cancelled", "reversed"} and event.detail:
            self.cancelled += 1
            self.cancelled_money += event.detail["paid"]
        if event.kind != "claimed" or not event.detail or "answer" not in event.detail:
            return
        answer: dict[str, Any] = event.detail["answer"]
        self.claims[event.verdict] += 1
        self.money["pay"] += answer["paid"]
        self.money["hold"] += answer["held"]
        self.money["refuse"] += answer["refused"]
        found = Counter(line["status"] for line in answer["lines"] if line["verdict"] != "pay")
        for status, count in found.items():
            self.reasons[status] = self.reasons.get(status, 0) + count


def count_all(journal: Journal) -> tuple[Totals, list[dict[str, Any]]]:
    """Fold the whole feed: its figures, and every alert in order of arrival as plain values."""
    totals, cartons = Totals(), set[str]()
    alerts: list[dict[str, Any]] = []
    position: bytes | None = None
    while True:
        events, position = journal.since(position, PAGE)
        if not events:
            return totals, alerts
        for event in events:
            if not is_beside(event.key):
                totals.add(event, cartons)
        alerts += [_plain(event) for event in events if event.kind == "alerted"]


def _plain(event: Event) -> dict[str, Any]:
    detail = event.detail
    return {
        "id": event.key.removeprefix("alert:"),
        "class": detail["class"],
        "box": detail["box"],
        "code": detail["code"],
        "institution": event.actor,
        "region": event.region,
        "earlier_institution": detail.get("earlier", {}).get("institution", ""),
        "event_time": event.event_time,
        "arrived": event.arrived,
        "references": event.references,
        "message": detail["meaning"],
    }
