"""The bookkeeper of the fault simulation: own books from what was sent and told, set against everything the node holds.

It shares no code with the ledger, the settlement, the intake or the node; a fault there cannot hide here.
Uploads overlap and answers get lost, so each statement has two moments: when it left, and when somebody was told.
What was told must be there; what was only sent may be there, until its sender has been told of another try.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from suyuan.simulation.auditor import CANCELS, SETTLEMENTS, box_of, carton_of, product_of

Fact = Mapping[str, Any]
"""An event as plain values."""

NO_SALE = {"malformed", "not_allowed", "key_reused", "duplicate_in_document", "code_review"} | {
    "tolerated_repeat",
    "first_answer",
}
"""Statuses under which a report of a sale is kept as evidence and opens nothing."""

CONTRADICTIONS = {"conflict_sold", "over_split", "held", "destroyed"}
"""Statuses of a sale or claim of a box that somebody besides its sender must hear of."""

UNDOING = {"cancelled", "reversed", "corrected", "returned"}

BESIDE = ("claim:", "message:", "batch:", "hold:", "balance:", "alert:", "report:", "line:")
"""What keys begin with that are of no box."""

SHIPPED = ("kind", "actor", "event_time", "status", "verdict", "fact", "content", "drawn", "n", "m", "price", "alert")
"""What the nation must tell as it was told here; sequences are its own."""

SHOWN = 12
"""Findings of one kind that are told; a broken feed has thousands."""


class Held(msgspec.Struct, kw_only=True):
    """All that a node holds at a quiet moment, as plain values."""

    feed: list[dict[str, Any]]
    """Every event, from the beginning, in order of arrival."""
    keys: list[str]
    history: Callable[[str], list[dict[str, Any]]]
    followed: list[str]
    """Ids of the events that a follower got, which came back now and then with its last position."""
    due: list[tuple[int, str, int]]
    """All open deadlines."""
    now: int
    """µs UTC; everything that fell due by then has been looked at."""
    has_document: Callable[[str], bool]
    lists: dict[str, tuple[list[str], list[str]]] = {}
    """Rows of each list as kept through the faults, and as made again from the start."""
    lake: list[tuple[str, int]] | None = None
    """Key and sequence of every event in the lake, which was just sealed to the end; None where nobody looked."""
    nation: list[dict[str, Any]] | None = None
    """Every event that the nation has from here; None where there is no nation."""


class Claim(msgspec.Struct, kw_only=True):
    """A claim as its sender knows it, by institution and order."""

    by: str
    order: str
    sent: int
    """The moment of the first try."""
    messages: set[str] = set()
    settlements: dict[str, int] = {}
    """Settlement told → the moment."""
    refused: list[int] = []
    """Moments of sending of the tries that were told a refusal."""


class Settled(msgspec.Struct, kw_only=True):
    """What was told of one settlement, in millionths of a yuan."""

    by: str
    order: str
    paid: int
    held: int
    refused: int
    boxes: dict[str, str]
    """Box → verdict."""


class Order(msgspec.Struct, kw_only=True):
    """An order on boxes: certain from the moment it was told until somebody began to lift it."""

    giver: str
    since: int
    until: int = 0


class FaultAuditor:
    """Own books of one run. `sent` and `told` keep them; `check` compares."""

    def __init__(self) -> None:
        self.moment = 0
        self.findings: list[str] = []
        self.claims: dict[tuple[str, str], Claim] = {}
        self.settled: dict[str, Settled] = {}
        self.released: dict[tuple[str, str], int] = {}
        """(institution, setl_id or msgid) that somebody has begun to cancel or reverse → the moment."""
        self.cancelled: set[tuple[str, str]] = set()
        """(institution, setl_id) whose cancelling was told to have succeeded."""
        self.orders: dict[str, list[Order]] = defaultdict(list)
        self.lots: dict[str, tuple[str, int]] = {}
        self.sales_sent: set[tuple[str, str, str]] = set()
        self.sales_told: set[tuple[str, str, str]] = set()
        """(institution, box or product, visit)."""
        self.facts_told: dict[tuple[str, str, str], str] = {}
        """(kind, key, institution) → the upload that told of it."""
        self._left: dict[bytes, int] = {}
        self._answered: dict[bytes, object] = {}
        self._lifted: set[str] = set()

    # What is sent and told

    def sent(self, by: str, kind: str, raw: bytes) -> None:
        """A try leaves its sender; from now on it may arrive at any time, or never."""
        self.moment += 1
        self._left.setdefault(_mark(raw), self.moment)
        if kind == "nhsa":
            self._sent_message(msgspec.json.decode(raw))
        elif kind == "table":
            for row in _rows(raw):
                if row["kind"] == "hold_lifted":
                    self._lift(by, row)

    def told(self, upload: str, by: str, kind: str, raw: bytes, answer: bytes) -> None:
        """Somebody was told what became of a try."""
        self.moment += 1
        told = msgspec.json.decode(answer)
        if kind == "nhsa":
            body = msgspec.json.decode(raw)
            self._same_answer(upload, raw, (str(told.get("infcode")), _settlement(told)))
            self._told_message(upload, body, told, self._left.get(_mark(raw), 0))
        elif told.get("rejected"):
            if not self._lifts_too_early(by, kind, raw):
                self.findings.append(f"{upload}: {told['rejected']} good lines were rejected")
        elif kind == "table":
            self._told_table(upload, by, raw)
        else:
            self._told_epcis(upload, by, raw)

    def _lifts_too_early(self, by: str, kind: str, raw: bytes) -> bool:
        """Whether a file lifts an order of which its sender had not been told yet that it stands."""
        left, rows = self._left[_mark(raw)], _rows(raw) if kind == "table" else []
        return any(
            row["kind"] == "hold_lifted"
            and not any(order.giver == by and order.since < left for order in self.orders[_target(row)])
            for row in rows
        )

    def refused_at_the_door(self, upload: str, answer: bytes) -> None:
        """A damaged message must be refused, whatever is left of it."""
        told = msgspec.json.decode(answer)
        refused = str(told.get("infcode", "")) not in {"", "0"} or told.get("rejected")
        if not refused or told.get("accepted"):
            self.findings.append(f"{upload}: a damaged message was taken: {answer[:200]!r}")

    def _same_answer(self, upload: str, raw: bytes, essence: object) -> None:
        """The same bytes always get their first answer."""
        first = self._answered.setdefault(_mark(raw), essence)
        if first != essence:
            self.findings.append(f"{upload}: the same bytes were answered {first} and then {essence}")

    def _sent_message(self, body: dict[str, Any]) -> None:
        infno, by, content = body["infno"].removesuffix("A"), body["fixmedins_code"], body["input"]
        if infno in SETTLEMENTS:
            order = content[SETTLEMENTS[infno]]["chrg_bchno"]
            claim = self.claims.setdefault((by, order), Claim(by=by, order=order, sent=self.moment))
            claim.messages.add(body["msgid"])
        elif infno in CANCELS:
            self.released.setdefault((by, content["data"]["setl_id"]), self.moment)
        elif infno == "2601":
            self.released.setdefault((by, content["data"]["omsgid"]), self.moment)
        elif infno == "3505":
            self.sales_sent.update(_sales(by, _goods(content)))

    def _told_message(self, upload: str, body: dict[str, Any], answer: dict[str, Any], left: int) -> None:
        infno, by, content = body["infno"].removesuffix("A"), body["fixmedins_code"], body["input"]
        taken = str(answer.get("infcode")) == "0"
        if infno in SETTLEMENTS:
            self._told_claim(upload, infno, body, answer, left)
        elif not taken:
            return
        elif infno in CANCELS:
            self.cancelled.add((by, content["data"]["setl_id"]))
        elif infno in {"3505", "3506"}:
            self._told_goods(upload, infno, by, _taken_rows(content, answer))

    def _told_goods(self, upload: str, infno: str, by: str, rows: list[dict[str, Any]]) -> None:
        if infno == "3505":
            self.sales_told.update(_sales(by, rows))
        for row in rows:
            for box in _boxes(row) - {""}:
                name = "sold" if infno == "3505" else "returned"
                self.facts_told[(name, f"{box}|{row['mdtrt_sn']}", by)] = upload

    def _told_claim(self, upload: str, infno: str, body: dict[str, Any], answer: dict[str, Any], left: int) -> None:
        by, content = body["fixmedins_code"], body["input"]
        claim = self.claims[(by, content[SETTLEMENTS[infno]]["chrg_bchno"])]
        settlement = _settlement(answer)
        if not settlement:
            claim.refused.append(left)
            open_since = [since for one, since in claim.settlements.items() if self._is_open(claim, one)]
            if any(since < left for since in open_since):
                self.findings.append(f"{upload}: claim {by} {claim.order} was paid, and its repeat is told a refusal")
            return
        open_now = [one for one in claim.settlements if self._is_open(claim, one)]
        if settlement not in claim.settlements and any(claim.settlements[one] < left for one in open_now):
            self.findings.append(f"{upload}: claim {by} {claim.order} has settlement {open_now[0]} and {settlement}")
        claim.settlements.setdefault(settlement, self.moment)
        if settlement not in self.settled:
            self.settled[settlement] = _settled(by, claim.order, content, answer["output"])
            self._check_money(upload, content[SETTLEMENTS[infno]], self.settled[settlement])
            self._check_orders(upload, claim, self.settled[settlement])
            self._check_boxes(upload, claim, settlement)

    def _is_open(self, claim: Claim, settlement: str) -> bool:
        """Whether a settlement that was told stands for certain: nobody has begun to take it back."""
        names = {settlement, *claim.messages}
        return not any((claim.by, name) in self.released for name in names)

    def _check_money(self, upload: str, data: dict[str, Any], settled: Settled) -> None:
        asked = _millionths(data["medfee_sumamt"])
        if settled.paid + settled.held + settled.refused != asked:
            self.findings.append(
                f"{upload}: asked for {asked}, told paid {settled.paid}, held {settled.held}, refused {settled.refused}"
            )

    def _check_orders(self, upload: str, claim: Claim, settled: Settled) -> None:
        """Nothing is paid that was under an order for certain, from before the claim was first sent until now (R17)."""
        for box, verdict in settled.boxes.items():
            if verdict != "refuse" and self._is_barred(box, claim.sent):
                self.findings.append(f"{upload}: box {box} was told {verdict} after the order on it was acknowledged")

    def _is_barred(self, box: str, since: int) -> bool:
        product = product_of(box)
        lot, known = self.lots.get(box, ("", 0))
        targets = [box, product, *([f"{product}:{lot}"] if lot and known < since else [])]
        return any(order.since < since and not order.until for name in targets for order in self.orders.get(name, ()))

    def _check_boxes(self, upload: str, claim: Claim, settlement: str) -> None:
        """No whole box is open and paid for two settlements that were both told."""
        for box, verdict in self.settled[settlement].boxes.items():
            if verdict != "pay" or not self._is_open(claim, settlement):
                continue
            for other, told in self.settled.items():
                if other == settlement or told.boxes.get(box) != "pay":
                    continue
                if self._is_open(self.claims[(told.by, told.order)], other):
                    self.findings.append(f"{upload}: box {box} is told paid by {settlement} while {other} is open")

    def _told_table(self, upload: str, by: str, raw: bytes) -> None:
        for row in _rows(raw):
            kind, box = row["kind"], carton_of(row["code"])
            if kind == "produced":
                self.lots.setdefault(box, (row["lot"], self.moment))
            if kind == "hold_set":
                target = _target(row)
                if target not in self._lifted and not any(order.giver == by for order in self.orders[target]):
                    self.orders[target].append(Order(giver=by, since=self.moment))
            elif kind != "hold_lifted" and box:
                self.facts_told[(kind, f"{box}|", by)] = upload

    def _told_epcis(self, upload: str, by: str, raw: bytes) -> None:
        for event in msgspec.json.decode(raw)["epcisBody"]["eventList"]:
            for epc in event.get("epcList", []):
                box = box_of(epc)
                lot = event.get("ilmd", {}).get("cbvmda:lotNumber")
                if lot:
                    self.lots.setdefault(box, (lot, self.moment))
                    self.facts_told[("produced", f"{box}|", by)] = upload
            if "parentID" in event:
                self.facts_told[("packed", f"{carton_of(event['parentID'])}|", by)] = upload

    def _lift(self, by: str, row: dict[str, str]) -> None:
        target = _target(row)
        self._lifted.add(target)
        for order in self.orders[target]:
            if order.giver == by and not order.until:
                order.until = self.moment

    # The comparison

    def check(self, held: Held, *, final: bool) -> list[str]:
        """Differences between these books and all that the node holds; `final` when every sender has its answer."""
        by_key: dict[str, list[Fact]] = defaultdict(list)
        for event in held.feed:
            by_key[event["key"]].append(event)
        checks: list[Iterable[str]] = [
            self.findings,
            _check_feed(held, by_key),
            _check_follower(held),
            self._check_claims(by_key, final=final),
            self._check_facts(by_key),
            self._check_sales(held.feed, final=final),
            _check_paid_once(by_key),
            _check_together(by_key),
            _check_undone(by_key),
            _check_balances(held.feed, by_key),
            _check_deadlines(held),
            _check_documents(held),
            _check_lists(held),
            _check_nation(held),
        ]
        return [finding for found in checks for finding in _shortened(found)]

    def _check_claims(self, by_key: dict[str, list[Fact]], *, final: bool) -> Iterator[str]:
        """Each settlement that was told is stored once with the same money; each that is stored was told."""
        stored: dict[str, list[Fact]] = defaultdict(list)
        for event in _claims_in(by_key):
            if event["verdict"] != "refuse":
                stored[event["references"]["settlement"]].append(event)
            elif (event["actor"], event["references"].get("order", "")) not in self.claims:
                yield f"claim {event['key']}: a refusal is stored that nobody asked for"
        for settlement, told in self.settled.items():
            yield from _check_settlement(settlement, told, stored.get(settlement, []))
        for settlement in stored.keys() - self.settled.keys():
            by, order = stored[settlement][0]["actor"], stored[settlement][0]["references"].get("order", "")
            if (by, order) not in self.claims:
                yield f"settlement {settlement} is stored for order {order} that nobody sent"
            elif final:
                yield f"settlement {settlement} of {by}, order {order}, is stored and nobody was told: counted twice"
        for by, settlement in sorted(self.cancelled):
            if settlement in stored and not _is_closed(by_key[stored[settlement][0]["key"]], stored[settlement][0]):
                yield f"settlement {settlement} was cancelled, as {by} was told, and stands"

    def _check_facts(self, by_key: dict[str, list[Fact]]) -> Iterator[str]:
        """Nothing that was acknowledged is lost."""
        for (kind, name, by), upload in self.facts_told.items():
            key, _, visit = name.partition("|")
            events = [event for event in by_key.get(key, ()) if event["kind"] == kind and event["actor"] == by]
            visits = {event["references"].get("visit", "") for event in events}
            if not events or (visit and kind == "sold" and visit not in visits and "" not in visits):
                yield f"{upload}: {kind} of {key} by {by} {visit} was acknowledged and is lost"

    def _check_sales(self, feed: Iterable[Fact], *, final: bool) -> Iterator[str]:
        """Each sale that is counted was told to its sender; a try that was sent again as something else was not."""
        known = self.sales_told if final else self.sales_sent
        words = "and nobody was told: counted twice" if final else "that nobody sent"
        for event in feed:
            key = event["key"]
            if (
                event["kind"] != "sold"
                or event["status"] in NO_SALE
                or key.startswith(("claim:", "message:", "batch:"))
            ):
                continue
            if key.startswith("balance:") or "visit" not in event["references"]:
                continue
            name = event["product"] if key.startswith("line:") else key
            if (event["actor"], name, event["references"]["visit"]) not in known:
                yield f"a sale of {name} by {event['actor']}, visit {event['references']['visit']}, is stored {words}"


def _check_feed(held: Held, by_key: dict[str, list[Fact]]) -> Iterator[str]:
    """The feed is all histories together, each event once, those of a key in their order."""
    twice = [name for name, count in Counter(event["id"] for event in held.feed).items() if count > 1]
    yield from (f"event {name} is in the feed twice" for name in twice)
    for key, events in by_key.items():
        sequences = [event["sequence"] for event in events]
        if sequences != list(range(1, len(events) + 1)):
            yield f"{key}: the feed has its events as {sequences[:20]}"
    for key in held.keys:
        if held.history(key) != by_key.get(key, []):
            yield f"{key}: its history and the feed differ"
    lost = sorted(by_key.keys() - set(held.keys))
    yield from (f"{key}: the feed tells of it, and it has no history" for key in lost)


def _check_follower(held: Held) -> Iterator[str]:
    """Who follows the feed from position to position gets the same as who reads it from the start."""
    order = [event["id"] for event in held.feed]
    if held.followed != order:
        missed = set(order) - set(held.followed)
        what = f"missed {len(missed)} events, such as {min(missed)}" if missed else "got them in another order or twice"
        yield f"a follower of the feed {what}"
    if held.lake is not None and held.lake != [(event["key"], event["sequence"]) for event in held.feed]:
        yield f"the lake has {len(held.lake)} events, the feed {len(order)}; they are others or in another order"


def _check_settlement(settlement: str, told: Settled, stored: list[Fact]) -> Iterator[str]:
    if len(stored) != 1:
        yield f"settlement {settlement} of {told.by} was told, and is stored {len(stored)} times"
        return
    answer = stored[0]["detail"]["answer"]
    if (answer["paid"], answer["held"], answer["refused"]) != (told.paid, told.held, told.refused):
        yield f"settlement {settlement}: told {told.paid} paid, stored {answer['paid']}"


def _claims_in(by_key: dict[str, list[Fact]]) -> Iterator[Fact]:
    for key, events in by_key.items():
        if key.startswith("claim:"):
            yield from (event for event in events if event["kind"] == "claimed" and "answer" in (event["detail"] or {}))


def _is_closed(events: Iterable[Fact], claim: Fact) -> bool:
    return any(
        event["kind"] in {"cancelled", "reversed"} and event["corrects"] == claim["sequence"] for event in events
    )


def _check_paid_once(by_key: dict[str, list[Fact]]) -> Iterator[str]:
    """At no time two open paid claims of a box, nor two standing sales that each take it (R1, R2)."""
    for key, events in by_key.items():
        if key.startswith(BESIDE):
            continue
        paid: dict[int, Fraction] = {}
        sold: dict[int, Fraction] = {}
        for event in events:
            _draw(event, events, paid, sold)
            for word, drawn in (("paid", paid), ("sold", sold)):
                if sum(drawn.values()) > 1:
                    yield f"box {key} is {word} more than once, and each takes it: its events {sorted(drawn)}"
                    drawn.clear()


def _draw(event: Fact, events: list[Fact], paid: dict[int, Fraction], sold: dict[int, Fraction]) -> None:
    """What one event takes of its box, or gives back."""
    kind, part, original = event["kind"], _part(event), event["corrects"]
    if kind == "claimed" and event["drawn"] and event["verdict"] == "pay":
        paid[event["sequence"]] = part
    elif kind == "due" and event["verdict"] == "pay":
        paid[original] = _part(events[original - 1])
    elif kind == "sold" and event["drawn"] and not event["joins"] and event["status"] not in NO_SALE:
        sold[event["sequence"]] = part  # one that goes with a claim stands or falls with that
    elif kind in UNDOING and event["status"] == "accepted":
        paid.pop(original, None)
        if kind != "returned" or sold.get(original, 0) <= part:
            sold.pop(original, None)


def _part(event: Fact) -> Fraction:
    """How much of its box an event is about; nothing where the size of the pack is not known."""
    return Fraction(event["n"], event["m"]) if event["m"] else Fraction(0)


def _check_together(by_key: dict[str, list[Fact]]) -> Iterator[str]:
    """A claim stands with all its codes; a contradiction with its alert."""
    for claim in _claims_in(by_key):
        for key, sequence in claim["detail"]["codes"]:
            events = by_key.get(key, [])
            if len(events) < sequence or events[sequence - 1]["kind"] != "claimed":
                yield f"claim {claim['key']}: its code {key} is not claimed"
    holds = [event for events in by_key.values() for event in events if event["kind"] == "hold_set"]
    for key, events in by_key.items():
        for event in events:
            if event["alert"] and f"alert:{event['alert']}" not in by_key:
                yield f"{key}: event {event['sequence']} names the alert {event['alert']}, which is not there"
            if not event["alert"] and not key.startswith(BESIDE) and _contradicts(event, holds):
                yield f"{key}: event {event['sequence']} is {event['status']} and nobody was alerted"


def _contradicts(event: Fact, holds: list[Fact]) -> bool:
    """Whether somebody besides the sender must hear of a sale; one from before an order is only told to its sender."""
    if event["kind"] not in {"sold", "claimed"} or event["status"] not in CONTRADICTIONS:
        return False
    about = {event["key"], product_of(event["key"])}
    orders = [hold for hold in holds if hold["key"] in about or any(f":{name}" in hold["key"] for name in about)]
    return event["status"] != "held" or all(hold["event_time"] <= event["event_time"] for hold in orders)


def _check_undone(by_key: dict[str, list[Fact]]) -> Iterator[str]:
    """What undoes names what it undoes: an earlier event that is there, and not undone already."""
    for key, events in by_key.items():
        if key.startswith(("message:", "batch:", "balance:", "alert:", "hold:")):
            continue
        undone: set[int] = set()
        for event in events:
            if not _undoes(event):
                continue
            kind, original = event["kind"], event["corrects"]
            if not 0 < original < event["sequence"]:
                yield f"{key}: event {event['sequence']} ({kind}) undoes something that is not there"
            elif original in undone and kind in {"cancelled", "reversed"}:
                yield f"{key}: event {original} is undone twice"
            undone.add(original)
    for claim in _claims_in(by_key):
        if _is_closed(by_key[claim["key"]], claim):
            yield from _check_given_back(claim, by_key)


def _undoes(event: Fact) -> bool:
    """Whether an event takes back an earlier one of its own key."""
    if event["kind"] not in UNDOING or event["status"] != "accepted":
        return False
    goes_on = event["kind"] == "corrected" and event["key"].startswith("claim:")
    of_a_balance = event["kind"] == "returned" and event["key"].startswith("line:")
    return not goes_on and not of_a_balance


def _check_given_back(claim: Fact, by_key: dict[str, list[Fact]]) -> Iterator[str]:
    for key, sequence in claim["detail"]["codes"]:
        if not any(event["corrects"] == sequence and event["kind"] != "due" for event in by_key.get(key, ())):
            yield f"claim {claim['key']} was undone, and its code {key} was not given back"


def _check_balances(feed: Iterable[Fact], by_key: dict[str, list[Fact]]) -> Iterator[str]:
    """What is counted instead of followed: each line draws what it says, and gives it back once."""
    running: dict[tuple[str, str], int] = Counter()
    for event in feed:
        if not event["key"].startswith("line:"):
            continue
        past = by_key[event["key"]]
        original = past[event["corrects"] - 1] if event["corrects"] else event
        balance = (original["detail"] or {}).get("balance", "")
        if not balance or not original["drawn"]:
            continue
        undoes = event["kind"] in {"cancelled", "reversed", "corrected"}
        kind = "claimed" if original["kind"] == "claimed" else "sold"
        if original["kind"] in {"sold", "claimed", "returned"}:
            units = original["n"] if undoes == (original["kind"] == "returned") else -original["n"]
            running[(balance, kind)] = max(0, running[(balance, kind)] + units)
    for key, events in by_key.items():
        if key.startswith("balance:"):
            counts = events[-1]["detail"]
            for kind in ("sold", "claimed"):
                if counts[kind] != running[(key, kind)]:
                    yield f"{key}: {kind} is {counts[kind]}, its lines say {running[(key, kind)]}"


def _check_deadlines(held: Held) -> Iterator[str]:
    """Every deadline is open until its own `due`, and none that has passed still is."""
    waiting: set[tuple[int, str, int]] = set()
    for event in held.feed:
        if event["deadline"] and event["kind"] != "due":
            waiting.add((event["deadline"], event["key"], event["sequence"]))
        elif event["deadline"]:
            entry = (event["deadline"], event["key"], event["corrects"])
            if entry not in waiting:
                yield f"{event['key']}: the deadline of event {event['corrects']} ended twice, or was none"
            waiting.discard(entry)
    if waiting != set(held.due) or len(held.due) != len(waiting):
        yield f"{len(waiting)} deadlines are open by the feed, the journal lists {len(held.due)} or others"
    overdue = [entry for entry in waiting if entry[0] <= held.now]
    yield from (f"{key}: the deadline of event {sequence} has passed" for _, key, sequence in overdue)


def _check_documents(held: Held) -> Iterator[str]:
    """The evidence of every message that was taken is kept."""
    wanted = {event["document"]: event["key"] for event in held.feed if event["key"].startswith("message:")}
    for document, key in wanted.items():
        if document and not held.has_document(document):
            yield f"{key}: its sealed message {document} is not kept"


def _check_lists(held: Held) -> Iterator[str]:
    """Lists kept through all faults are those that the feed makes again."""
    for name, (kept, again) in held.lists.items():
        if kept != again:
            odd = sorted(set(kept) ^ set(again))
            yield f"the list {name} has {len(kept)} rows, made again {len(again)}: {odd[:2] or 'in another order'}"


def _check_nation(held: Held) -> Iterator[str]:
    """The nation has every fact of this node once, and says the same of it."""
    if held.nation is None:
        return
    there: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for event in held.nation:
        there[(event["key"], event["origin"].rpartition("/")[2])].append(event)
    for event in held.feed:
        if event["origin"] or event["key"].startswith("relay:"):
            continue
        found = there.pop((event["key"], str(event["sequence"])), [])
        if len(found) != 1:
            yield f"{event['key']}: the nation has event {event['sequence']} {len(found)} times"
        elif any(found[0][name] != event[name] for name in SHIPPED):
            yield f"{event['key']}: the nation tells event {event['sequence']} otherwise"
    yield from (f"{key}: the nation has an event {number} that is not here" for key, number in there)


def _shortened(findings: Iterable[str]) -> list[str]:
    found = list(findings)
    more = [f"… and {len(found) - SHOWN} more like it"] if len(found) > SHOWN else []
    return found[:SHOWN] + more


# Reading messages


def _mark(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def _rows(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(raw.decode().splitlines()))


def _target(row: Mapping[str, str]) -> str:
    box = box_of(row["code"])
    product = product_of(box)
    return {"code": box, "batch": f"{product}:{row['lot']}", "product": product}[row["scope"]]


def _settlement(answer: Mapping[str, Any]) -> str:
    """The setl_id that an answer gives; empty for a refusal or where none is asked for."""
    if str(answer.get("infcode")) != "0" or not isinstance(answer.get("output"), dict):
        return ""
    return str((answer["output"].get("setlinfo") or {}).get("setl_id") or "")


def _settled(by: str, order: str, content: dict[str, Any], output: dict[str, Any]) -> Settled:
    money = output["setlinfo"]
    told = {box_of(row["drug_trac_codg"]): row for row in output.get("trac_verdicts", []) if row.get("drug_trac_codg")}
    parts = {box_of(row["drug_trac_codg"]) for row in content.get("drug_trac_info", []) if row["trdn_flag"] == "1"}
    named = [box_of(row["drug_trac_codg"]) for row in content.get("drug_trac_info", [])] or list(told)
    return Settled(
        by=by,
        order=order,
        paid=_millionths(money.get("fund_pay_sumamt", money.get("medfee_sumamt"))),
        held=_millionths(money.get("trac_hold_sumamt")),
        refused=_millionths(money.get("trac_refuse_sumamt")),
        # Boxes sold in parts are paid to several; the fold over their events looks after them.
        boxes={box: told.get(box, {}).get("verdict", "pay") for box in named if box and box not in parts},
    )


def _taken_rows(content: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a report of goods that were taken: all but those on the answer's list of errors."""
    rows, output = _goods(content), answer.get("output") or {}
    if str((output.get("result") or {}).get("retRslt", "1")) == "0":
        return []
    told = [row for name, rows in output.items() if name.endswith("ErrDetail") for row in rows]
    failed = {str(row.get("memo", "")) for row in told if str(row.get("retRslt")) == "0"}
    node = next(iter(content))
    return [row for index, row in enumerate(rows) if f"{node}[{index}]" not in failed]


def _goods(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    value = next(iter(content.values()))
    return value if isinstance(value, list) else [value]


def _boxes(row: Mapping[str, Any]) -> set[str]:
    """The boxes of a line; one without a name where it has no code."""
    return {box_of(trace["drug_trac_codg"]) for trace in row.get("drugtracinfo") or []} or {""}


def _sales(by: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        yield from ((by, box or row["med_list_codg"], row["mdtrt_sn"]) for box in _boxes(row))


def _millionths(yuan: object) -> int:
    return round(float(str(yuan or 0)) * 1_000_000)
