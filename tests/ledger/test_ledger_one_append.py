"""What belongs together is stored together: a node that dies between two writes shows all of an upload or nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from story import ESCAPE, HOSPITAL_A, HOSPITAL_B, LEGACY, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story

from suyuan.intake import take_time
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Books, Ledger
from suyuan.storage.memory import MemoryJournal


class PowerCut(Exception):  # noqa: N818  what it is
    """The machine is gone."""


class _Mortal(MemoryJournal):
    """Dies once a number of further appends were written."""

    left = 10**9

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        if self.left == 0:
            raise PowerCut
        self.left -= 1
        return super().append(events, expected, documents)


def _conflict(story: Story) -> Callable[[], object]:
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    return lambda: story.settle(HOSPITAL_B, box)


def _claim_with_balance(story: Story) -> Callable[[], object]:
    line = Line((ESCAPE,), SPLITTABLE, "3", split=True)
    return lambda: story.settle(PHARMACY_P, story.new_box(), lines=[line])


def _cancel(story: Story) -> Callable[[], object]:
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=LEGACY)])
    settlement = story.settle(HOSPITAL_A, story.new_box()).settlement
    return lambda: story.cancel(HOSPITAL_A, settlement)


def _scan_that_fills(story: Story) -> Callable[[], object]:
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    return lambda: story.report_sale(HOSPITAL_A, story.new_box(), visit="V1", product=WHOLE)


def _doubt_that_ends(story: Story) -> Callable[[], object]:
    box = story.new_box()
    story.settle(PHARMACY_P, box, visit="", person="Ann")
    story.report_sale(PHARMACY_P, box, receipt="1", person="")
    story.now += 49 * 3_600_000_000
    return lambda: take_time(story.desk)


def _stranger(story: Story) -> Callable[[], object]:
    settlement = story.settle(HOSPITAL_A, story.new_box()).settlement
    return lambda: story.cancel(HOSPITAL_B, settlement)


UPLOADS = [_conflict, _claim_with_balance, _cancel, _scan_that_fills, _doubt_that_ends, _stranger]


def _written_before_the_end(upload: Callable[[Story], Callable[[], object]], appends: int) -> list[Event]:
    """The events of one upload on a node that dies after so many appends of it."""
    journal = _Mortal()
    story = Story(journal=journal)
    send = upload(story)
    before = len(story.events())
    journal.left = appends
    with suppress(PowerCut):
        send()
    return story.events()[before:]


def _told(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    return [(event.kind, event.key.partition(":")[0], event.status) for event in events]


def _check(upload: Callable[[Story], Callable[[], object]]) -> None:
    whole = _told(_written_before_the_end(upload, appends=10))
    assert whole
    assert [_told(_written_before_the_end(upload, appends=number)) for number in (0, 1)] == [[], whole]


@pytest.mark.parametrize("upload", UPLOADS)
def test_a_power_cut_leaves_all_of_an_upload_or_nothing(upload: Callable[[Story], Callable[[], object]]) -> None:
    _check(upload)


def test_a_refused_claim_comes_with_its_alert_and_its_receipt() -> None:
    kinds = _told(_written_before_the_end(_conflict, appends=1))
    assert ("alerted", "alert", "conflict_sold") in kinds
    assert ("claimed", "message", "accepted") in kinds


def test_an_alert_written_in_a_second_append_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    transact = Ledger.transact

    def in_two_steps(self: Ledger, keys: Any, decide: Callable[[Books], Any], more: Any = None) -> Any:
        late: list[Event] = []

        def without_alerts(books: Books) -> Any:
            answer = decide(books)
            late[:] = [event for event in books.events if event.kind == "alerted"]
            books.events = [event for event in books.events if event.kind != "alerted"]
            for event in late:
                del books.sequences[event.key]
            return answer

        answer = transact(self, keys, without_alerts, more)
        if late:
            self.journal.append(late, {event.key: 0 for event in late})
        return answer

    _check(_conflict)
    monkeypatch.setattr(Ledger, "transact", in_two_steps)
    with pytest.raises(AssertionError):
        _check(_conflict)
