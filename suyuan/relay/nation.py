"""The nation's side: who may speak, slices taken once each, what waits handed out, questions answered."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from suyuan.catalogue.exchange import export_table
from suyuan.ledger.events import Event
from suyuan.ledger.keys import RELAY, alert_key, is_beside
from suyuan.ledger.ledger import Books, Ledger
from suyuan.ledger.origins import Known, adopted, as_told, origin_of, province_of
from suyuan.lookup.totals import NOT_A_BOX
from suyuan.node import Node
from suyuan.relay.filing import (
    BLOCK,
    PROVINCES,
    down_key,
    head_block,
    last_of,
    province_key,
    slices_key,
)
from suyuan.relay.messages import PROTOCOL, Head, Message, Unreadable, content_of, written
from suyuan.relay.slices import EVENTS_MAX, PACKED_LEVEL, UNPACKED_BYTES_MAX, Slice, read_events, read_slice

CLOCKS_APART = 600_000_000
"""µs by which the clocks of two nodes may differ before questions are refused."""
LOST_PAGES = 50
"""Pages of the feed that one question of a restored province reads where nothing of that province is in them."""
BOXES_MAX = 5_000
"""Boxes of one question; a claim has at most some hundreds."""
_STAYING = frozenset({"relayed", "reported"})
"""What no other province hears: the relay's own records, and that a citizen has reported something."""
SHARED_TABLES = ("products", "prefixes", "packages", "edges", "transcodes", "maker_schemes")
"""What the nation knows for all: products, prefixes and mappings, each row with its dates."""


class Registered(NamedTuple):
    """A province that may speak."""

    province: str
    name: str
    keys: tuple[bytes, ...]
    """Public keys, the newest last."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where a province stands with the nation, and how much is taken."""

    number: int = 0
    """Of the last slice."""
    steps: int = 0
    """Slices and recoveries so far: fewer than before where the nation was restored; 0 from who does not tell it."""
    hash: str = ""
    position: str = ""
    before: str = ""
    """The position before the last slice, from where the sender can see that it still has what it sent."""
    last: str = ""
    """Id of the last event of the last slice."""
    events: int = 0
    """How many it had."""
    down: int = 0
    """Number of the latest entry that waits for it."""
    catalogue: str = ""
    """Changes with the tables that the nation shares."""
    mark: str = ""
    """By which two nodes see that they name persons alike."""
    events_max: int = EVENTS_MAX
    wait_ms: int = 0
    """How long to wait before the next slice."""
    protocols: tuple[int, ...] = (PROTOCOL,)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer."""

    refused: str = ""
    """A stable word where the request was refused; empty where it was not."""
    words: str = ""
    state: State | None = None
    events: bytes = b""
    """Compressed events, each as stored where it came from."""
    size: int = 0
    """Their bytes before that."""
    after: int = 0
    number: int = 0
    """Of `down`: these are the entries after the first up to the second."""
    before: str | None = None
    """Of `down`: id of the entry after which these are, empty where there is none; None from who does not tell it."""
    last: str = ""
    """Of `down`: id of the last of these entries."""
    rechecked: list[tuple[str, int, list[str]]] = []
    """Provisional claims that were looked at again: claim key, sequence there, ids of alerts."""
    tables: dict[str, Any] = {}
    """Of `catalogue`: name → CSV."""


class Refusal(Exception):  # noqa: N818  the sender's word for it
    """A request that is understood and not granted."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Stranger(Exception):  # noqa: N818  the reader's word for it
    """Nobody known has signed this."""


def provinces_of(node: Node) -> dict[str, Registered]:
    """The provinces that are registered here; none for a node that is no nation."""
    return registered(node, node.journal.keys(PROVINCES))


def registered(node: Node, keys: Iterable[str]) -> dict[str, Registered]:
    """Those of these provinces that may speak, by what is stored at this moment."""
    found = {}
    for key, events in node.ledger.read(list(keys)).items():
        name = key.removeprefix(PROVINCES)
        listed = [event.detail for event in events if event.detail["step"] == "key"]
        ended = {event.detail["public"] for event in events if event.detail["step"] == "ended"}
        public = tuple(bytes.fromhex(one["public"]) for one in listed if one["public"] not in ended)
        if public:
            found[name] = Registered(name, listed[-1]["name"], public)
    return found


def register(node: Node, province: str, public: bytes, name: str = "") -> None:
    """List a province's public key; a further one beside it is for the time in which keys change."""
    _step(node.ledger, province, {"step": "key", "public": public.hex(), "name": name})


def end_key(node: Node, province: str, public: bytes) -> None:
    """Take a key out; a province without any may not speak."""
    _step(node.ledger, province, {"step": "ended", "public": public.hex()})


def _step(ledger: Ledger, province: str, detail: dict[str, str]) -> None:
    key = province_key(province)

    def decide(books: Books) -> None:
        if not any(event.detail == detail for event in books.past(key)[-1:]):
            books.add(key, "relayed", detail=detail)

    ledger.transact({key}, decide)


class Nation:
    """A node that keeps the ledger of several provinces. Any number of threads and processes may use it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._blocks: dict[str, int] = {}
        self._tables: tuple[object, str] = (None, "")

    def answer(self, message: Message) -> bytes:
        """The signed answer to a message.

        Raises:
            Unreadable: the message cannot be read.
            Stranger: no registered province has signed it, or it is addressed to another node.
        """
        head = message.head
        asker = self._key_of_sender(message, head)
        try:
            found = self._answer(head, message)
        except Refusal as refusal:
            found = Answer(refused=refusal.code, words=refusal.words, state=self._state_or_none(head))
        body = msgspec.msgpack.encode(found)
        answered = Head(
            sender="nation",
            recipient=asker.hex(),
            what=head.what,
            at=self.node.ledger.clock(),
            content="",
            answers=message.mark,
        )
        return written(self.node.signer, answered, body)

    def _key_of_sender(self, message: Message, head: Head) -> bytes:
        # Looked up each time: a key that is taken out is out for every process, at once.
        known = registered(self.node, [province_key(head.sender)]).get(head.sender)
        if known is None:
            raise Stranger(f"no province {head.sender!r} is registered: suyuan relay register")
        asker = next((key for key in known.keys if message.is_by(key)), None)
        if asker is None:
            raise Stranger(f"the message is not signed with a key of the province {head.sender}")
        mine = self.node.signer.public.hex()
        if head.recipient != mine:
            raise Stranger(
                f"the message is addressed to the node with the key {head.recipient[:8]}…, and the key "
                f"here is {mine}: set nation_key in the province to that of the nation that is meant"
            )
        return asker

    def _state_or_none(self, head: Head) -> State | None:
        return self.state(head.sender) if head.protocol == PROTOCOL else State()

    def _answer(self, head: Head, message: Message) -> Answer:
        if head.protocol != PROTOCOL:
            raise Refusal(
                "protocol",
                f"this node speaks the relay's protocol {PROTOCOL}, the province {head.protocol}: bring the older of "
                "the two up to date; until then the province works alone, and nothing is lost",
            )
        if head.what == "slice":
            # A slice proves by its chain that it is the next: it may have waited as long as it likes.
            return Answer(state=self.take_slice(head.sender, message))
        if abs(head.at - self.node.ledger.clock()) > CLOCKS_APART:
            raise Refusal("clock", "the clocks of the two nodes are more than ten minutes apart: set them")
        return self._answer_at_once(head, message)

    def _answer_at_once(self, head: Head, message: Message) -> Answer:
        if head.what == "state":
            _check_speaker(self._last_slice(head.sender), head)
            return Answer(state=self.state(head.sender))
        if head.what == "down":
            return self.down(head.sender, _value(message.body, int))
        if head.what == "boxes":
            return self.boxes(head.sender, _value(message.body, list[str]))
        if head.what == "catalogue":
            return self.catalogue()
        if head.what == "lost":
            return self.lost(head.sender, *_value(message.body, tuple[str, bool]))
        if head.what == "recover":
            return Answer(state=self.hear_anew(message))
        raise Refusal("unknown", f"this node knows no request {head.what!r}")

    # Up

    def state(self, province: str) -> State:
        """Where a province stands."""
        return self._state_after(province, self._last_slice(province))

    def _last_slice(self, province: str) -> Event | None:
        key = slices_key(province)
        return last_of(self.node.journal.fetch([key])[key])

    def _state_after(self, province: str, slice_taken: Event | None) -> State:
        last: dict[str, Any] = slice_taken.detail if slice_taken is not None else {}
        return State(
            number=last.get("number", 0),
            steps=slice_taken.sequence if slice_taken is not None else 0,
            hash=last.get("hash", ""),
            position=last.get("position", ""),
            last=last.get("last", ""),
            events=last.get("events", 0),
            before=last.get("before", ""),
            down=self.head(province),
            catalogue=self.shared_mark(),
            mark=person_mark(self.node),
        )

    def take_slice(self, province: str, message: Message) -> State:
        """Take the next slice; one that was taken before changes nothing.

        Raises:
            Refusal: it is not the next, what it holds does not follow what was sent before, or another node speaks.
        """
        one, digest = read_slice(message.body), content_of(message.body)
        if one.events > EVENTS_MAX:
            raise Refusal("too_large", f"{one.events} events; at most {EVENTS_MAX} are taken at once")
        told = read_events(one)
        key = slices_key(province)
        record = {
            "number": one.number,
            "hash": digest,
            "position": one.position,
            "last": one.last,
            "events": one.events,
            "speaker": message.head.speaker,
            "head": message.signed.hex(),
            "signature": message.signature.hex(),
            **({"beyond": told.beyond} if told.beyond else {}),
        }

        def decide(books: Books) -> State:
            last = books.last(key)
            _check_speaker(last, message.head)
            if _is_next(last, one, digest):
                before = last.detail["position"] if last is not None else ""
                _adopt(books, province, told.events)
                books.add(key, "relayed", actor=province, detail={**record, "before": before})
            return self._state_after(province, books.last(key))

        return self.node.ledger.transact({key, *(event.key for event in told.events)}, decide)

    # Up again, from a record that was restored

    def lost(self, province: str, after: str, slices_only: bool) -> Answer:  # noqa: FBT001  as it comes in a message
        """What a province has told, from a place in this node's feed on, each fact as it was written there.

        With it the records of its slices, or these alone. `last` is where to go on, `number` 0 at the end.

        Raises:
            Refusal: there is no such place.
        """
        most = EVENTS_MAX
        while True:
            told, position, read = self._lost_page(
                province, bytes.fromhex(after) or None, most, slices_only=slices_only
            )
            packed, size = _packed(self._as_shipped(told))
            if size <= UNPACKED_BYTES_MAX or most == 1:
                return Answer(events=packed, size=size, last=position.hex(), number=read)
            most //= 2

    def _lost_page(
        self, province: str, position: bytes | None, most: int, *, slices_only: bool
    ) -> tuple[list[Event], bytes, int]:
        """What a province told in the next part of the feed that has any of it, where that ends, and its length."""
        key, read = slices_key(province), 0
        for _ in range(LOST_PAGES):
            try:
                events, position = self.node.journal.since(position, most)
            except ValueError as error:
                raise Refusal("place", f"the nation was restored meanwhile: begin again ({error})") from error
            read += len(events)
            told = [
                event for event in events if event.key == key or (province_of(event) == province and not slices_only)
            ]
            if told or not events:
                break
        return told, position or b"", read

    def _as_shipped(self, told: list[Event]) -> Iterator[Event]:
        referring = {event.key for event in told if event.relates or event.corrects or event.joins}
        histories = self.node.ledger.read(referring)
        for event in told:
            known = as_told(event, histories.get(event.key, [])) if event.origin else event
            yield msgspec.structs.replace(known, origin="")

    def hear_anew(self, message: Message) -> State:
        """Hear the node that speaks instead of the one so far, and go on where it says that its record agrees.

        Raises:
            Refusal: more was shipped since it has looked.
        """
        head, key = message.head, slices_key(message.head.sender)
        seen, position, before, ended, events = _value(message.body, tuple[str, str, str, str, int])

        def decide(books: Books) -> State:
            last = books.last(key)
            if (last.detail["hash"] if last is not None else "") != seen:
                raise Refusal("moved_on", "the other node of this province still ships: stop it, and begin again")
            if last is not None:
                detail = {
                    **{name: last.detail[name] for name in ("number", "hash")},
                    "position": position,
                    "before": before,
                    "last": ended,
                    "events": events,
                    "speaker": head.speaker,
                    "recovered": True,
                    "head": message.signed.hex(),
                    "signature": message.signature.hex(),
                }
                books.add(key, "relayed", actor=head.sender, detail=detail)
            return self._state_after(head.sender, books.last(key))

        return self.node.ledger.transact({key}, decide)

    # Down

    def head(self, province: str) -> int:
        """Number of the latest entry that waits for a province."""
        block = self._blocks[province] = head_block(self.node.journal, province, self._blocks.get(province, 0))
        key = down_key(province, block)
        return block * BLOCK + self.node.journal.fetch([key])[key].sequence

    def down(self, province: str, after: int) -> Answer:
        """What waits for a province after a number, as much as goes at once."""
        number = after
        news: dict[str, int] = {}
        rechecked: list[tuple[str, int, list[str]]] = []
        for entry in self._entries(province, after):
            number += 1
            for key, first in entry.detail["keys"].items():
                news[key] = min(news.get(key, first), first)
            rechecked += [(claim, sequence, alerts) for claim, sequence, alerts in entry.detail.get("rechecked", ())]
            if len(news) >= EVENTS_MAX // 10:
                break
        packed, size = _packed(self._told(province, news))
        return Answer(
            after=after,
            number=number,
            before=self._entry(province, after),
            last=self._entry(province, number),
            events=packed,
            size=size,
            rechecked=rechecked,
            state=self.state(province),
        )

    def _entry(self, province: str, number: int) -> str:
        """Id of an entry, by which a province notices that this nation was restored and counts anew; empty for none."""
        block, place = divmod(number - 1, BLOCK)
        key = down_key(province, block)
        events = self.node.journal.fetch([key])[key].events if number else []
        return events[place].id if place < len(events) else ""

    def _entries(self, province: str, after: int) -> Iterator[Event]:
        block, place = divmod(after, BLOCK)
        while True:
            key = down_key(province, block)
            events = self.node.journal.fetch([key])[key].events
            yield from events[place:]
            if len(events) < BLOCK:
                return
            block, place = block + 1, 0

    def _told(self, province: str, news: dict[str, int]) -> Iterator[Event]:
        """What others said under these keys from these sequences on."""
        for key, events in self.node.ledger.read(news).items():
            for event in events[news[key] - 1 :]:
                if province_of(event) != province and event.kind not in _STAYING:
                    yield outgoing(event, events)

    def boxes(self, province: str, keys: list[str]) -> Answer:
        """What others said of boxes (R23)."""
        if len(keys) > BOXES_MAX:
            raise Refusal("too_large", f"{len(keys)} boxes; at most {BOXES_MAX} are asked for at once")
        wanted = {key: 1 for key in keys if is_box(key)}
        packed, size = _packed(self._told(province, wanted))
        return Answer(events=packed, size=size)

    # Tables

    def shared_mark(self) -> str:
        """Changes with the tables that are shared."""
        content = self.node.catalogue.content
        known, mark = self._tables
        if known is not content:
            mark = content_of(b"".join(export_table(content, name) for name in SHARED_TABLES))[:16]
            self._tables = content, mark
        return mark

    def catalogue(self) -> Answer:
        """The shared tables, whole."""
        content = self.node.catalogue.content
        tables = {name: zlib.compress(export_table(content, name), PACKED_LEVEL) for name in SHARED_TABLES}
        return Answer(tables=tables)


def is_box(key: str) -> bool:
    """Whether a key is that of a package: a box or a carton."""
    return not key.startswith((*NOT_A_BOX, RELAY))


def person_mark(node: Node) -> str:
    """The same for two nodes exactly where they name persons alike; tells nothing of the key."""
    return node.privacy.mark("relay", "persons").hex()[:16]


def outgoing(event: Event, history: list[Event]) -> Event:
    """An event as it goes to another province: as stored where it came from, without what a decision does not need."""
    told = as_told(event, history)
    return msgspec.structs.replace(told, prescriber="", software="", document="", price=0, deadline=0)


def _packed(events: Iterable[Event]) -> tuple[bytes, int]:
    raw = msgspec.msgpack.encode(list(events))
    return zlib.compress(raw, PACKED_LEVEL), len(raw)


def _value(body: bytes, kind: Any) -> Any:  # noqa: ANN401  as asked for
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"the body of the message cannot be read: {error}") from error


def _check_speaker(last: Event | None, head: Head) -> None:
    """See that it is the node which shipped last that speaks; the first one to ship begins.

    Raises:
        Refusal: it is another one.
    """
    speaker = last.detail.get("speaker", "") if last is not None else ""
    if speaker and head.speaker != speaker:
        raise Refusal(
            "speaker",
            f"another node has spoken as the province {head.sender} so far, and this one is no continuation of it but "
            "a copy, a restored one or one that was moved: nothing of it is taken. If the other one still runs, stop "
            "this one. If this one is to go on in its place, stop the other one for good",
        )


def _is_next(last: Event | None, one: Slice, digest: str) -> bool:
    """Whether a slice is the next; false for the last one again.

    Raises:
        Refusal: neither.
    """
    number, known = (last.detail["number"], last.detail["hash"]) if last is not None else (0, "")
    if (one.number, digest) == (number, known):
        return False
    if one.number <= number:
        raise Refusal("taken", f"slice {one.number} was taken before; go on after {number}")
    if one.number != number + 1 or one.before != known:
        raise Refusal("out_of_order", f"slice {one.number} does not follow slice {number}; go on after {number}")
    return True


def _adopt(books: Books, province: str, events: list[Event]) -> None:
    """File a province's events under the next sequences of their keys, in order; what is known already is passed over.

    Raises:
        Refusal: one of them does not follow the province's last one of its key, or takes the place of another.
    """
    known: dict[str, Known] = {}
    past: dict[str, list[Event]] = {}
    for event in events:
        key = event.key
        if is_beside(key):
            raise Refusal("not_own", "a slice holds records that are no facts of the province")
        one = known.get(key)
        if one is None:
            one = known[key] = Known(books.histories[key])
        last, origin = one.last(province), origin_of(province, event.sequence)
        if event.sequence <= last and (here := one.find(origin)):
            # A restored province ships from where it is sure on.
            if key not in past:
                past[key] = books.past(key)
            if here > len(past[key]) or past[key][here - 1].id != event.id:
                raise Refusal("gap", f"another fact than the {event.sequence} of {key} was told before")
            continue
        # The first of an alert may have come from here; all other keys of a province are its own from 1 on.
        if last and event.sequence != last + 1 and not key.startswith(alert_key("")):
            raise Refusal("gap", f"an event has the sequence {event.sequence} where {last + 1} follows")
        told = msgspec.structs.replace(event, origin=origin)
        books.write(adopted(key, one, told))
