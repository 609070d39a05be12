"""Recovery: a province whose record was restored from an older copy gets from the nation what it had told it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from suyuan.ledger.events import Event, decoder, encoder
from suyuan.ledger.keys import alert_key, is_beside
from suyuan.ledger.ledger import Books
from suyuan.relay.filing import slices_key
from suyuan.relay.heard import keep_told, note_heard
from suyuan.relay.nation import State
from suyuan.relay.province import NEWER, Province, Stopped, events_in
from suyuan.relay.speaker import speaker_of

CONFLICTS_SHOWN = 5


class _Page(NamedTuple):
    """What a province has told the nation, of one part of the nation's feed."""

    after: str
    """Where that part begins."""
    events: list[Event]
    slices: list[Event]


class Recovery:
    """Brings the record of a province up to what its nation has. No server of the province may run meanwhile."""

    def __init__(self, province: Province) -> None:
        self._province = province
        self._node = province.node

    def recover(self) -> int:
        """Fetch what this record lacks, and speak for the province from now on; answers how many facts were fetched.

        Cut off anywhere it is begun again, and finds what it has done.

        Raises:
            Unreachable: the nation did not answer.
            Unreadable: it has facts that only a newer program reads. Nothing was fetched.
            Stopped: facts were written here since which take the places of others. Nothing was fetched.
        """
        province = self._province
        state = province.stand()
        begin, known = self._place()
        conflicts, begun_there = self._compared(begin)
        if conflicts:
            raise Stopped(
                f"since this record was restored, facts were written under {len(conflicts)} keys under which the "
                f"nation has others ({', '.join(conflicts[:CONFLICTS_SHOWN])}): the two cannot both be the next. "
                "Restore the copy again into a new folder, run `suyuan relay recover` there before its server is "
                "started, and have what was uploaded here since sent again"
            )
        if begun_there:
            province.take_anew()
            province.take_all(state, begun_there)
        fetched = sum(self._append(page.events) for page in self._pages(begin))
        # What came down before and was not filed, because its history was not whole, is taken once more.
        province.take_anew()
        steps = province.speak(state, known).steps
        province.take_all(state)
        note_heard(self._node, speaker_of(self._node), by="recovery")
        keep_told(self._node, known.position, steps)
        return fetched

    def _place(self) -> tuple[str, State]:
        """From where on something may be lacking here, and the last slice that this record has."""
        begin, known, in_order = "", State(), True
        for page in self._pages("", slices_only=True):
            for record in page.slices:
                taken = msgspec.convert(record.detail, State)
                if record.detail.get("recovered"):
                    # What a recovery fetched lies behind what was written before it, and was told before that: a
                    # record that has a slice from after it may lack others from before.
                    in_order = False
                elif self._province.still_has(taken):
                    known = taken
                    begin = page.after if in_order else begin
        return begin, known

    def _pages(self, after: str, *, slices_only: bool = False) -> Iterator[_Page]:
        key = slices_key(self._node.settings.province)
        while True:
            answer = self._province.link.ask("lost", (after, slices_only))
            if answer.refused:
                raise Stopped(answer.words)
            if not answer.number:
                return
            told = list(events_in(answer, all_of_them=True))
            slices = [event for event in told if event.key == key]
            beyond = {one: more for record in slices for one, more in record.detail.get("beyond", ())}
            own = [_as_written(event, beyond.get(event.id, [])) for event in told if not is_beside(event.key)]
            yield _Page(after, own, slices)
            after = answer.last

    def _compared(self, begin: str) -> tuple[list[str], set[str]]:
        """The keys under which this record and the nation have different facts, and those that began at the nation.

        The latter are alerts that came from there: what was said of them here follows.
        """
        conflicts: set[str] = set()
        begun: dict[str, int] = {}
        for page in self._pages(begin):
            conflicts.update(self._conflicts(page.events))
            for event in page.events:
                if event.key.startswith(alert_key("")):
                    begun.setdefault(event.key, event.sequence)
        return sorted(conflicts), {key for key, sequence in begun.items() if sequence > 1}

    def _conflicts(self, events: Iterable[Event]) -> Iterator[str]:
        """The keys that have another fact in the place of one of these."""
        events = list(events)
        here = self._node.ledger.read({event.key for event in events})
        for event in events:
            past = here[event.key]
            if event.sequence <= len(past) and past[event.sequence - 1].id != event.id:
                yield event.key

    def _append(self, events: list[Event]) -> int:
        """Write what is not here yet, each in its place, in one append; answers how many."""

        def decide(books: Books) -> int:
            for event in events:
                following = books.next_sequence(event.key)
                if event.sequence > following:
                    raise Stopped(
                        f"the nation has no fact {following} of {event.key}, and one after it: tell its keeper"
                    )
                if event.sequence == following:
                    books.write(event)
            return len(books.events)

        written: int = self._node.ledger.transact({event.key for event in events}, decide)
        if conflicts := sorted(set(self._conflicts(events))):
            raise Stopped(
                f"somebody wrote {conflicts[0]} meanwhile: stop the servers of this province, and begin again"
            )
        return written


def _as_written(event: Event, beyond: list[object]) -> Event:
    """A fact as this node had written it, also where the nation does not know such facts yet.

    Raises:
        Stopped: this program does not know it either.
    """
    try:
        if event.kind == "relayed":
            return decoder.decode(msgspec.msgpack.encode(event.detail["event"]))
        if beyond:
            return decoder.decode(msgspec.msgpack.encode([*msgspec.msgpack.decode(encoder.encode(event)), *beyond]))
    except msgspec.ValidationError as error:
        raise Stopped(f"{NEWER} ({error})") from error
    return event
