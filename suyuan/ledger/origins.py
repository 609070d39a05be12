"""Origins: events of other nodes taken into a history of this one, their references with them."""

from collections.abc import Iterable

import msgspec

from suyuan.ledger.events import Event
from suyuan.ledger.journal import History

NATION = "nation"
"""The name under which the nation's own facts travel."""


def origin_of(province: str, sequence: int) -> str:
    """`<province>/<sequence there>`."""
    return f"{province}/{sequence}"


def province_of(event: Event) -> str:
    """The province in which an event was first stored; empty for this node itself."""
    return event.origin.partition("/")[0]


def number_of(event: Event) -> int:
    """The event's sequence where it was first stored."""
    return int(event.origin.rpartition("/")[2]) if event.origin else event.sequence


class Known:
    """Which sequence here each event from elsewhere has, of one history; reads what has spilled only if it must."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.sequence = history.sequence
        """Of the latest event, those added included."""
        tail = history.tail
        self._numbers: dict[str, int] = {}
        self._last: dict[str, int] = {}
        for event in tail:
            if event.origin:
                self._note(event.origin, event.sequence)
        self._complete = len(tail) == history.sequence

    def find(self, origin: str) -> int:
        """The sequence here of the event with this origin; 0 where there is none."""
        found = self._numbers.get(origin)
        if found is None:
            self._read_all()
            found = self._numbers.get(origin)
        return found or 0

    def last(self, province: str) -> int:
        """The highest sequence in that province; 0 where none of the events is from there."""
        if province not in self._last:
            self._read_all()
        return self._last.get(province, 0)

    def _read_all(self) -> None:
        if not self._complete:
            self._complete = True
            for event in self._history.events:
                if event.origin:
                    self._note(event.origin, event.sequence)

    def add(self, origin: str) -> int:
        """Count one more event; answers its sequence."""
        self.sequence += 1
        self._note(origin, self.sequence)
        return self.sequence

    def _note(self, origin: str, sequence: int) -> None:
        province, _, number = origin.partition("/")
        self._numbers[origin] = sequence
        self._last[province] = max(self._last.get(province, 0), int(number))


def adopted(key: str, known: Known, event: Event) -> Event:
    """An event as it was stored elsewhere, with its origin, as the next event of a history here.

    References go to the same events as before; one that was never told becomes 0.
    """
    province = province_of(event)

    def here(sequence: int) -> int:
        return known.find(origin_of(province, sequence)) if sequence else 0

    return msgspec.structs.replace(
        event,
        key=key,
        relates=here(event.relates),
        corrects=here(event.corrects),
        joins=here(event.joins),
        sequence=known.add(event.origin),
    )


def adopted_once(key: str, known: Known, told: Iterable[Event]) -> list[Event]:
    """Those of several events that are not known yet, as the next ones of a history here."""
    return [adopted(key, known, event) for event in told if not known.find(event.origin)]


def as_told(event: Event, history: list[Event]) -> Event:
    """An event of a whole history as it was stored where it came from, with its origin: the reverse of `adopted`."""
    if not event.origin:
        return msgspec.structs.replace(event, origin=origin_of(NATION, event.sequence))

    def there(sequence: int) -> int:
        return number_of(history[sequence - 1]) if sequence else 0

    return msgspec.structs.replace(
        event,
        relates=there(event.relates),
        corrects=there(event.corrects),
        joins=there(event.joins),
        sequence=number_of(event),
    )
