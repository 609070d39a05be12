"""Following: a nation reads its own feed, finds what contradicts across provinces, and lists what waits for whom."""

from collections.abc import Iterable, Sequence
from typing import Any

from suyuan.ledger.across import Clash, clashes, touched_by
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key, is_beside
from suyuan.ledger.ledger import Books
from suyuan.ledger.origins import number_of, province_of
from suyuan.ledger.packing import children_of, stays
from suyuan.node import Node
from suyuan.relay.filing import BLOCK, FOLLOWED, down_key, head_block, last_of, province_key
from suyuan.relay.nation import is_box, provinces_of

PAGE = 500
"""Feed events looked at by one append."""
ENTRY_KEYS = 500
"""Keys of one entry of what waits: a province takes whole entries, and pallets hold many thousand boxes."""
DEPTH_MAX = 4
"""Boxes in bundles in cartons on pallets."""
_ORDERS = frozenset({"hold_set", "hold_lifted"})
_HOLD, _ALERT, _CLAIM = "hold:", alert_key(""), "claim:"

Waiting = dict[str, dict[str, int]]
"""Province → key → first sequence of what it has not been told."""


class Follower:
    """Follows a nation's feed. Two at once do no harm: each page is looked at by one append that only one can make."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._position: bytes | None = None
        self._turns = -1
        """How many pages had been looked at, by whomever, when this one knew where to go on; −1 before."""
        self._blocks: dict[str, int] = {}
        self._joined: set[str] = set()
        """Provinces that were told all orders from before they joined."""

    def step(self) -> int:
        """Look at the next page; answers how many events it had."""
        if self._turns < 0:
            history = self.node.journal.fetch([FOLLOWED])[FOLLOWED]
            last = last_of(history)
            self._position = bytes.fromhex(last.detail["position"]) if last is not None else None
            self._turns = history.sequence
        events, after = self.node.journal.since(self._position, PAGE)
        if events:
            self._tell_orders()
        about = [event for event in events if not is_beside(event.key)]
        if about and not self._look(about, after):
            self._turns = -1  # somebody else has followed further
        elif events:
            self._position = after
        return len(events)

    def _tell_orders(self) -> None:
        """What holds everywhere holds in a province that joins later, too: it is told of all orders, once."""
        for province in set(provinces_of(self.node)) - self._joined:
            key = province_key(province)
            block = head_block(self.node.journal, province)
            places = [down_key(province, block), down_key(province, block + 1)]
            # Looked for after it was listed: from then on, each page that is followed tells it of new ones.
            orders = dict.fromkeys(self.node.journal.keys(_HOLD), 1)

            def decide(
                books: Books, key: str = key, places: list[str] = places, orders: dict[str, int] = orders
            ) -> bool:
                if any(event.detail["step"] == "orders" for event in books.past(key)):
                    return True
                free = [place for place in places if books.next_sequence(place) <= BLOCK]
                if free:
                    if orders:
                        books.add(free[0], "relayed", detail={"keys": orders})
                    books.add(key, "relayed", detail={"step": "orders"})
                return bool(free)

            if self.node.ledger.transact({key, *places}, decide):
                self._joined.add(province)

    def _look(self, events: list[Event], after: bytes) -> bool:
        provinces = sorted(provinces_of(self.node))
        for province in provinces:
            self._blocks[province] = head_block(self.node.journal, province, self._blocks.get(province, 0))
        page = _Page(self.node, events, provinces, self._blocks)

        def decide(books: Books) -> bool:
            if books.next_sequence(FOLLOWED) - 1 != self._turns:
                return False
            page.decide(books)
            books.add(FOLLOWED, "relayed", detail={"position": after.hex()})
            return True

        looked: bool = self.node.ledger.transact({FOLLOWED, *page.keys()}, decide, page.more)
        if looked:
            self._turns += 1
        return looked


class _Page:
    """One page under decision."""

    def __init__(self, node: Node, events: Sequence[Event], provinces: Sequence[str], blocks: dict[str, int]) -> None:
        self.rules = node.desk.policy.rules
        self.provinces = provinces
        self.blocks = blocks
        self.events: dict[str, list[Event]] = {}
        self.provisional: list[Event] = []
        for event in events:
            if is_box(event.key) or event.key.startswith((_HOLD, _ALERT)):
                self.events.setdefault(event.key, []).append(event)
            elif event.key.startswith(_CLAIM) and event.kind == "claimed" and _is_provisional(event):
                self.provisional.append(event)

    def keys(self) -> set[str]:
        """First round: what the page is about, and where entries are added."""
        keys = {key for key in self.events if not key.startswith(_ALERT)} | set(self._rechecked_boxes())
        return keys | {down_key(province, self.blocks[province]) for province in self.provinces}

    def _rechecked_boxes(self) -> Iterable[str]:
        return (code for claim in self.provisional for code, _ in claim.detail["codes"] if is_box(code))

    def _boxes(self) -> list[str]:
        return list(dict.fromkeys([*filter(is_box, self.events), *self._rechecked_boxes()]))

    def more(self, books: Books) -> set[str]:
        """Next rounds: cartons and what is in them, alerts about what contradicts, further blocks of the lists."""
        wanted: set[str] = set()
        for key in self._boxes():
            wanted |= _around(books, key)
            for clash in self._clashes(books, key):
                wanted |= {alert_key(one) for one in (clash.alert, clash.told) if one}
        for province in self.provinces:
            block = self.blocks[province]
            free = BLOCK + 1 - books.next_sequence(down_key(province, block))
            most = 1 + (len(books.histories) + len(self.events)) // ENTRY_KEYS
            wanted |= {down_key(province, block + 1 + one) for one in range(-(min(0, free - most) // BLOCK))}
        return wanted

    def _clashes(self, books: Books, key: str) -> list[Clash]:
        events = books.past(key)
        return clashes(key, events, self.rules) if len(touched_by(events)) > 1 else []

    def decide(self, books: Books) -> None:
        """Write the alerts, and for each province what waits for it."""
        waiting: Waiting = {province: {} for province in self.provinces}
        rechecked: dict[str, list[tuple[str, int, list[str]]]] = {}
        for key, events in self.events.items():
            if is_box(key):
                self._tell_box(books, key, events, waiting)
            elif key.startswith(_HOLD):
                self._tell_all(events, waiting)
            else:
                self._tell_sides(events, waiting)
        spoken = {key: self._raise(books, key) for key in self._boxes()}
        for claim in self.provisional:
            boxes = [code for code, _ in claim.detail["codes"] if is_box(code)]
            alerts = [alert for box in boxes for alert, sides in spoken[box] if province_of(claim) in sides]
            rechecked.setdefault(province_of(claim), []).append((claim.key, number_of(claim), alerts))
        for province in self.provinces:
            self._list(books, province, waiting[province], rechecked.get(province, []))

    def _tell_box(self, books: Books, key: str, events: list[Event], waiting: Waiting) -> None:
        """Who has to do with the box, itself or through its cartons, hears of it; who is new to it hears all of it."""
        past = books.past(key)
        concerned = touched_by(past) | _holders(books, key)
        first: dict[str, int] = {}
        for event in past:
            first.setdefault(province_of(event), event.sequence)
        for event in events:
            teller = province_of(event)
            if event.kind in _ORDERS:
                self._tell_all([event], waiting)
            for province in concerned - {teller}:
                _wait(waiting, province, key, 1 if event.kind == "packed" else event.sequence)
            if teller and first[teller] == event.sequence and len(past) > 1:
                for told in (key, *_inside(books, key)):
                    _wait(waiting, teller, told, 1)

    def _tell_all(self, events: list[Event], waiting: Waiting) -> None:
        """Orders hold everywhere."""
        for event in events:
            for province in self.provinces:
                if province != province_of(event):
                    _wait(waiting, province, event.key, event.sequence)

    @staticmethod
    def _tell_sides(events: list[Event], waiting: Waiting) -> None:
        """An alert goes to the provinces of both its sides, but not to where it comes from."""
        for event in events:
            if event.kind == "alerted":
                detail = event.detail
                sides = {detail.get("province", ""), (detail.get("earlier") or {}).get("province", "")}
                for province in sides - {"", province_of(event)}:
                    _wait(waiting, province, event.key, event.sequence)

    def _raise(self, books: Books, key: str) -> list[tuple[str, set[str]]]:
        """Alert what contradicts and was not told before; answers all that stands, with the provinces of both sides."""
        found = []
        for clash in self._clashes(books, key):
            against = clash.admission.against
            assert against is not None, "a clash has two sides"
            told = next((one for one in (clash.told, clash.alert) if one and _speaks(books, one, against.known_by)), "")
            if not told:
                told = clash.alert
                event = clash.event
                books.add(
                    alert_key(told),
                    "alerted",
                    event_time=event.event_time,
                    actor=event.actor,
                    place=event.place,
                    region=event.region,
                    status=clash.admission.status,
                    reasons=clash.admission.reasons,
                    references=event.references,
                    product=event.product,
                    fund=event.fund,
                    person=event.person,
                    detail=clash.detail,
                )
            found.append((told, {province_of(clash.event), province_of(against.known_by)}))
        return found

    def _list(
        self, books: Books, province: str, keys: dict[str, int], rechecked: list[tuple[str, int, list[str]]]
    ) -> None:
        block, told = self.blocks[province], list(keys.items())
        for start in range(0, max(len(told), bool(rechecked)), ENTRY_KEYS):
            while books.next_sequence(down_key(province, block)) > BLOCK:
                block += 1
            detail: dict[str, Any] = {"keys": dict(told[start : start + ENTRY_KEYS])}
            books.add(
                down_key(province, block),
                "relayed",
                detail=detail if start or not rechecked else {**detail, "rechecked": rechecked},
            )


def _is_provisional(claim: Event) -> bool:
    detail = claim.detail or {}
    return bool(detail.get("answer", {}).get("provisional"))


def _wait(waiting: Waiting, province: str, key: str, sequence: int) -> None:
    if province in waiting:
        known = waiting[province].get(key, sequence)
        waiting[province][key] = min(known, sequence)


def _speaks(books: Books, alert: str, earlier: Event) -> bool:
    """Whether an alert was raised before, by a province or here, and is about this other side."""
    for event in books.past(alert_key(alert)):
        if event.kind == "alerted":
            told = (event.detail.get("earlier") or {}).get("institution")
            return earlier.actor in {told, event.actor}
    return False


def _parents(books: Books, key: str) -> set[str]:
    return {packing.parent for packing, _ in stays(books.past(key)) if packing.parent}


def _around(books: Books, key: str) -> set[str]:
    """The cartons around a package and what is inside it, as far as is known by now."""
    found: set[str] = set()
    edge = {key}
    for _ in range(DEPTH_MAX):
        edge = set().union(*(_parents(books, one) for one in edge if one in books.histories)) - found
        found |= edge
    return found | set(_inside(books, key))


def _inside(books: Books, key: str) -> list[str]:
    """Everything in a carton, the nearest first, as far as is known by now."""
    found: dict[str, None] = {}
    edge = [key]
    for _ in range(DEPTH_MAX):
        edge = [child for one in edge if one in books.histories for child in children_of(books.past(one))]
        edge = [child for child in edge if child not in found and child != key]
        found.update(dict.fromkeys(edge))
    return list(found)


def _holders(books: Books, key: str) -> set[str]:
    """The provinces that have to do with any carton the package was in."""
    found: set[str] = set()
    seen, edge = {key}, {key}
    for _ in range(DEPTH_MAX):
        edge = set().union(*(_parents(books, one) for one in edge)) - seen
        seen |= edge
        for carton in edge:
            found |= touched_by(books.past(carton))
    return found
