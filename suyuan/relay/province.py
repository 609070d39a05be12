"""The province's side: ships its feed, takes what comes down, each exactly once, and stops with words where it must."""

import zlib
from collections.abc import Container, Iterator
from typing import NamedTuple, Protocol

import msgspec

from suyuan.catalogue.exchange import import_table
from suyuan.ledger.events import RECORD_VERSION, Event, decoder
from suyuan.ledger.keys import alert_key, elsewhere_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.origins import Known, adopted_once
from suyuan.node import Node
from suyuan.relay.feed import Feed
from suyuan.relay.filing import FROM_NATION, last_of
from suyuan.relay.heard import is_forgotten, keep_told, note_heard, unrecovered
from suyuan.relay.messages import BODY_BYTES_MAX, Unreadable, What, content_of
from suyuan.relay.nation import SHARED_TABLES, Answer, State, person_mark
from suyuan.relay.slices import EVENTS_MAX, UNPACKED_BYTES_MAX, Slice, packed_events, unpacked
from suyuan.relay.speaker import speaker_of

NEWER = "the nation has a fact that a newer program wrote here: use that program"
_ALERT, _CLAIM = alert_key(""), "claim:"


class Speaks(Protocol):
    """What asks the nation; `link.Link` does over HTTP."""

    def call(self, what: What, body: bytes) -> Answer:
        """Send a body as it is."""
        ...

    def ask(self, what: What, value: object = None) -> Answer:
        """Send a plain value."""
        ...


class Stopped(Exception):  # noqa: N818  the operator's word for it
    """The relay cannot go on by itself; the words say why and what to do. The province works on."""


class Restored(Stopped):
    """The nation has what this journal has no more, or hears another node of this province.

    What comes down and is filed apart is taken all the same: recalls wait for nobody.
    """


class Forgotten(Restored):
    """The nation was restored from before it heard this node, whose own record is whole: it goes on alone."""


class _Pending(NamedTuple):
    """A slice that was made and is not acknowledged yet."""

    body: bytes
    hash: str
    position: str
    events: int
    first: int
    """Arrival of its first event, µs UTC."""
    arrived: int
    """Of its last event."""


class Standing(msgspec.Struct, kw_only=True):
    """How the relay of a province stands, for its operator."""

    shipped: int = 0
    """Events acknowledged by the nation since this process began."""
    slices: int = 0
    number: int = 0
    """Of the last slice that the nation took."""
    acknowledged: int = 0
    """Arrival of the latest event that the nation has, µs UTC; 0 where this process does not know."""
    waiting_since: int = 0
    """Arrival of the oldest fact that is not acknowledged yet, µs UTC; 0 where nothing waits, as far as is known."""
    down: int = 0
    """Number of the latest entry taken from the nation."""
    waiting_down: int = 0
    """Entries that wait there."""
    taken: int = 0
    """Events taken from elsewhere since this process began."""
    failure: str = ""
    """Why it stands still, in words; empty while it goes on."""


class Province:
    """A node that belongs to a nation. One thread at a time goes on with it."""

    def __init__(self, node: Node, link: Speaks) -> None:
        self.node = node
        self.link = link
        self.standing = Standing()
        self._state: State | None = None
        self._feed: Feed | None = None
        self._pending: _Pending | None = None
        self._behind = ""
        """Hash of the slice that the feed goes on behind."""
        self._checked = False
        self._shared = ""

    def step(self) -> bool:
        """Ship one slice, and take what waits; true where more is to be done at once.

        Raises:
            Unreachable: the nation did not answer.
            Stopped: it answered, and going on needs a person.
        """
        try:
            if self._state is not None and unrecovered(self.node):
                self._lose_place()  # the database was put back, or another host's was: the nation says what is so
            shipped = self.ship()
            taken = self.take()
        except Restored:
            try:
                self._take_waiting(into=())
            finally:
                self._state = None
            if self.standing.waiting_down:
                return True  # recalls do not wait for the rest after a failure, either
            raise
        except BaseException:
            self._state = None
            raise
        return shipped or taken

    # Up

    def ship(self) -> bool:
        """Ship the next slice if there is one; whether there was."""
        state = self._state or self.connect()
        assert self._feed is not None, "who is connected has a feed"
        if self._pending is None:
            self._pending = self._next(state, self._feed)
        pending = self._pending
        if pending is None:
            self.standing.waiting_since = 0
            return False
        self.standing.waiting_since = pending.first
        # Before it is sent: the nation may have it, and its answer be lost.
        keep_told(self.node, pending.position, state.steps)
        answer = self.link.call("slice", pending.body)
        self._state = state = self._granted(answer)
        if state.hash != pending.hash:
            raise Stopped("the nation took another slice than the one that was sent: is this province running twice?")
        self._acknowledged(pending, state)
        return True

    def _acknowledged(self, pending: _Pending, state: State) -> None:
        standing = self.standing
        standing.shipped += pending.events
        standing.slices += 1
        standing.number, standing.acknowledged = state.number, pending.arrived
        self._pending, self._behind = None, pending.hash

    def _next(self, state: State, feed: Feed) -> _Pending | None:
        place, most = feed.place, min(state.events_max, EVENTS_MAX)
        while True:
            try:
                events = feed.take(most)
            except ValueError as error:  # the database was restored under the running node, or a standby was promoted
                self._lose_place()
                raise Again(str(error)) from error
            if not events:
                return None
            packed, size = packed_events(events)
            if len(events) == 1 or (len(packed) < BODY_BYTES_MAX and size <= UNPACKED_BYTES_MAX):
                break
            # More than a nation takes at once, as answers to large files are: half of it goes.
            most = len(events) // 2
            self._feed = feed = Feed(self.node, place)
        one = Slice(
            number=state.number + 1,
            before=state.hash,
            position=feed.place,
            last=events[-1].id,
            events=len(events),
            size=size,
            packed=packed,
        )
        body = msgspec.msgpack.encode(one)
        return _Pending(body, content_of(body), one.position, len(events), events[0].arrived, events[-1].arrived)

    def connect(self) -> State:
        """Ask where this province stands, and go on from there.

        Raises:
            Unreachable: the nation did not answer.
            Forgotten: it was restored, and hears this node no more.
            Restored: it has what this journal has no more, or hears another node of this province.
            Stopped: it answered, and going on needs a person.
        """
        try:
            state = self._known()
        except Forgotten:
            raise
        except Restored:
            note_heard(self.node, "")
            raise
        note_heard(self.node, speaker_of(self.node))
        keep_told(self.node, state.position, state.steps)
        self.standing.number = state.number
        self._state = state
        return state

    def _known(self) -> State:
        """Where this province stands, once it is seen that its feed goes on there."""
        state = self._granted(self.link.ask("state"))
        self._check_persons(state)
        pending = self._pending
        if pending is not None and state.hash == pending.hash:
            self._acknowledged(pending, state)  # it had been taken; only the answer was lost
        elif pending is None or self._feed is None or state.hash != _before(pending):
            self._pending, self._feed = None, self._feed_from(state)
        return state

    def _check_persons(self, state: State) -> None:
        if state.mark != person_mark(self.node):
            raise Stopped(
                "this node names persons otherwise than the nation does: it was not made with secrets from "
                "`suyuan relay register --secrets`, and cannot be joined to it"
            )

    def _feed_from(self, state: State) -> Feed:
        """The feed after what the nation has, once it is seen that this journal is the one which that came from."""
        if state.number and not self._checked and not self.still_has(state):
            raise Restored(
                f"the nation has {state.number} slices of this province, and this journal is not the one they came "
                f"from: it was restored from an older copy. {self._what_to_do()}"
            )
        self._checked, self._behind = True, state.hash
        return Feed(self.node, state.position)

    def _what_to_do(self) -> str:
        return (
            f"Stop its server, run `suyuan relay recover --dir {self.node.folder}`, which fetches from the nation what "
            "is lacking here, and start it again. Until then boxes that were paid meanwhile are not known"
        )

    def still_has(self, state: State) -> bool:
        """Whether the last slice ends here with the event that it ended with when it was sent."""
        try:
            sent = Feed(self.node, state.before).take(state.events)
            Feed(self.node, state.position).check()
        except (ValueError, msgspec.MsgspecError):
            return False
        return [event.id for event in sent[-1:]] == [state.last] * bool(state.last)

    def stand(self) -> State:
        """What the nation has of this province, whichever node told it.

        Raises:
            Unreachable: it did not answer.
            Stopped: this node cannot be of that province.
        """
        answer = self.link.ask("state")
        if answer.state is None or answer.refused not in {"", "speaker"}:
            raise Stopped(answer.words)
        self._check_persons(answer.state)
        return answer.state

    def speak(self, state: State, known: State) -> State:
        """Be heard from now on instead of any other node, and ship from behind a slice that is here for certain.

        Answers where the nation stands then.

        Raises:
            Stopped: another node has shipped since the state was asked for.
        """
        place = (state.hash, known.position, known.before, known.last, known.events)
        return self._granted(self.link.ask("recover", place))

    def _granted(self, answer: Answer) -> State:
        if answer.refused in {"out_of_order", "taken"}:
            self._lose_place()
            raise Again(answer.words)
        if answer.refused == "speaker" and answer.state is not None and is_forgotten(self.node, answer.state.steps):
            raise Forgotten(
                "the nation was restored from an older copy, from before it heard this node of the province, whose "
                "record is whole: this province works alone. Stop its server, run "
                f"`suyuan relay recover --dir {self.node.folder}`, and start it again"
            )
        if answer.refused == "speaker":
            raise Restored(f"{answer.words}. {self._what_to_do()}")
        if answer.refused or answer.state is None:
            raise Stopped(answer.words or "the nation gave no answer")
        return answer.state

    def _lose_place(self) -> None:
        """Somebody else shipped, or the nation was restored: ask where it stands, and what that means here."""
        self._state, self._pending, self._feed, self._checked = None, None, None, False

    # Down

    def take(self) -> bool:
        """Take what waits at the nation; whether there was anything, or more waits."""
        if self._state is None:
            self.connect()
        return self._take_waiting()

    def take_all(self, state: State, into: Container[str] | None = None) -> None:
        """Take all that waits, whether or not anything may be shipped; `into` as for `_file`.

        Raises:
            Stopped: another node ships meanwhile.
        """
        self._behind = state.hash
        while self._take_waiting(into):
            if self._state is None:
                raise Stopped(
                    "the nation has other slices of this province than a moment ago: if another node of it still "
                    "ships, stop that one; then begin again"
                )
        self._lose_place()

    def _take_waiting(self, into: Container[str] | None = None) -> bool:
        journal = self.node.journal
        last = last_of(journal.fetch([FROM_NATION])[FROM_NATION])
        number = last.detail["number"] if last is not None else 0
        answer = self.link.ask("down", number)
        state = self._state = self._granted(answer)
        if state.hash != self._behind:
            # The next slice would follow what the nation has, and leave out what it has no more.
            self._lose_place()
        entry = last.detail.get("entry", "") if last is not None else ""
        if state.down < number or (entry and answer.before is not None and answer.before != entry):
            self.take_anew()
            return True
        taken = self._file(answer, into) if answer.number > number else 0
        self.standing.taken += taken
        self.standing.down, self.standing.waiting_down = answer.number, max(0, state.down - answer.number)
        self._share(state)
        return self._state is None or state.down > answer.number or taken > 0

    def take_anew(self) -> None:
        """Take all that waits from the first entry on: the nation was restored, and its numbers mean other entries now.

        What was taken before is known by its origin, and is not stored twice.
        """

        def decide(books: Books) -> None:
            books.add(FROM_NATION, "relayed", detail={"number": 0})

        self.node.ledger.transact({FROM_NATION}, decide)

    def _file(self, answer: Answer, into: Container[str] | None) -> int:
        """Store what came down, in one append with its number; answers how many events were new.

        Most is filed apart. Alerts, and that a claim was rechecked, go into histories that are this province's own;
        where its record may lack facts, they would take the place of one of them. There only those histories are
        written that `into` names; the rest is left to the recovery, which takes all once more. None is for all.
        """
        told: dict[str, list[Event]] = {}
        for event in events_in(answer):
            told.setdefault(event.key, []).append(event)
        alerts = [key for key in told if key.startswith(_ALERT) and (into is None or key in into)]
        others = [key for key in told if not key.startswith(_ALERT)]
        rechecked = [one for one in answer.rechecked if into is None or one[0] in into]
        keys = {FROM_NATION, *alerts, *map(elsewhere_key, others), *(claim for claim, _, _ in rechecked)}

        def decide(books: Books) -> int:
            last = books.last(FROM_NATION)
            if (last.detail["number"] if last is not None else 0) != answer.after:
                return 0
            for key in alerts:
                if not books.past(key):
                    books.write(msgspec.structs.replace(told[key][0], sequence=1, relates=0, corrects=0, joins=0))
            for key in others:
                here = elsewhere_key(key)
                for event in adopted_once(here, Known(books.histories[here]), told[key]):
                    books.write(event)
            for claim, sequence, found in rechecked:
                word = "conflict" if found else "sound"
                detail = {"filled": [], "rechecked": word, "alerts": found}
                # Not where the claim was lost, and is not recovered yet: this would take its place.
                if books.next_sequence(claim) > sequence and not any(
                    event.corrects == sequence and event.detail == detail for event in books.past(claim)
                ):
                    books.add(claim, "corrected", corrects=sequence, detail=detail)
            count = len(books.events)
            books.add(FROM_NATION, "relayed", detail={"number": answer.number, "entry": answer.last})
            return count

        count: int = self.node.ledger.transact(keys, decide)
        return count

    def _share(self, state: State) -> None:
        """Take over the tables that the nation shares, where they have changed."""
        if state.catalogue == self._shared:
            return
        answer = self.link.ask("catalogue")
        self._granted_tables(answer)
        self._shared = state.catalogue

    def _granted_tables(self, answer: Answer) -> None:
        node = self.node
        with node.catalogue_lock:
            for name, packed in answer.tables.items():
                if name in SHARED_TABLES:
                    data = zlib.decompress(packed)
                    changed, report = import_table(node.catalogue.content, name, data)
                    if report.added or report.changed or report.ended:
                        rows = getattr(changed, name)
                        node.tables.change_catalogue(name, lambda _, rows=rows: rows)  # type: ignore[misc]
            node.follow_catalogue()


class Again(Exception):  # noqa: N818  what is done
    """The nation stands elsewhere than this node thought: it asks again where, and goes on from there."""


def _before(pending: _Pending) -> str:
    return msgspec.msgpack.decode(pending.body, type=Slice).before


def events_in(answer: Answer, *, all_of_them: bool = False) -> Iterator[Event]:
    """The events of an answer; those that this program does not know are passed over, where not all are needed.

    Raises:
        Unreadable: it is damaged, or one that is needed was written by a newer program.
    """
    if not answer.events:
        return
    try:
        for raw in msgspec.msgpack.decode(unpacked(answer.events, answer.size), type=list[msgspec.Raw]):
            try:
                event = decoder.decode(raw)
            except msgspec.ValidationError as error:
                if all_of_them:
                    raise Unreadable(f"{NEWER} ({error})") from error
                continue
            if all_of_them and event.version > RECORD_VERSION:
                raise Unreadable(f"{NEWER} (version {event.version})")
            yield event
    except msgspec.MsgspecError as error:
        raise Unreadable(f"the answer holds no events: {error}") from error
