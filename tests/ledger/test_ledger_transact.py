"""Fetch everything, decide purely, append once: a decision that proves stale is made again on fresh books."""

from collections.abc import Mapping, Sequence

import pytest
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, SPLITTABLE, Story

from suyuan.ledger.events import Event
from suyuan.ledger.keys import claim_key, digest
from suyuan.ledger.ledger import Books, Ledger
from suyuan.storage.memory import MemoryJournal


def _ledger(journal: MemoryJournal) -> Ledger:
    return Ledger(journal, lambda: 7)


def test_a_stale_decision_is_made_again_and_sees_what_was_first() -> None:
    journal = MemoryJournal()
    ledger = _ledger(journal)
    seen: list[int] = []

    def decide(books: Books) -> int:
        seen.append(books.next_sequence("box"))
        if len(seen) == 1:
            ledger.transact({"box"}, lambda inner: inner.add("box", "sold", actor="first"))
        books.add("box", "sold", actor="second")
        return len(seen)

    assert ledger.transact({"box"}, decide) == 2
    assert seen == [1, 2]
    assert [event.actor for event in ledger.read({"box"})["box"]] == ["first", "second"]


def test_a_key_that_was_written_unread_is_read_when_it_proves_stale() -> None:
    journal = MemoryJournal()
    ledger = _ledger(journal)
    ledger.transact({"alert"}, lambda books: books.add("alert", "alerted"))

    def decide(books: Books) -> str:
        if books.past("alert"):
            return "told before"
        books.add("alert", "alerted")
        return "told"

    assert ledger.transact(set(), decide) == "told before"


def test_a_decision_without_events_writes_nothing() -> None:
    journal = MemoryJournal()
    assert _ledger(journal).transact({"box"}, lambda books: books.next_sequence("box")) == 1
    assert not list(journal.keys(""))


def test_a_rehearsal_answers_and_writes_nothing() -> None:
    story = Story()
    box = story.new_box()
    story.desk.ledger.rehearsing = True
    assert story.settle(HOSPITAL_A, box).verdict == "pay"
    assert story.settle(HOSPITAL_B, box).verdict == "pay"
    assert not story.events()


def test_books_show_what_was_decided_so_far() -> None:
    journal = MemoryJournal()

    def decide(books: Books) -> None:
        assert books.last("line") is None
        books.add("line", "sold", fact="one")
        assert books.last("line") == books.past("line")[-1]
        assert books.next_sequence("line") == 2
        assert books.written == {"one": 1}
        books.add("box", "sold")
        assert books.box("box").sequence == 1
        books.add("box", "sold")
        assert books.box("box").sequence == 2
        with pytest.raises(KeyError):
            books.box("nobody fetched it")

    _ledger(journal).transact({"line", "box"}, decide)


def test_orders_are_read_again_after_one_was_lifted() -> None:
    journal = MemoryJournal()

    def decide(books: Books) -> list[int]:
        books.add("hold:product:x", "hold_set")
        before = len(books.orders("hold:product:x"))
        books.add("hold:product:x", "hold_lifted", corrects=1)
        return [before, len(books.orders("hold:product:x"))]

    assert _ledger(journal).transact({"hold:product:x"}, decide) == [1, 0]


class _Once(MemoryJournal):
    """Lets another claim of the same visit's box come first, once."""

    story: Story | None = None
    box = ""

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        story, self.story = self.story, None
        if story is not None:
            story.settle(HOSPITAL_B, self.box, order="other", visit="other")
        return super().append(events, expected, documents)


@pytest.mark.parametrize("inpatient", [False, True])
def test_the_loser_of_a_race_is_judged_again_and_refused(*, inpatient: bool) -> None:
    journal = _Once()
    story = Story(journal=journal)
    box = story.new_box()
    if inpatient:
        story.report_sale(HOSPITAL_A, box, visit="V1")
    journal.story, journal.box = story, box
    setting = "inpatient" if inpatient else "outpatient"
    verdict = story.settle(HOSPITAL_A, box, setting=setting)
    # The box that the hospital itself reported first is its own, though the other came first with a claim on hold.
    assert verdict.verdict == ("pay" if inpatient else "refuse")
    assert story.paid(box) == 1
    assert len({event.sequence for event in story.history(box)}) == len(story.history(box))


def test_a_settlement_number_that_was_given_out_before_is_not_given_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"0": "00", "1": "01"}
    monkeypatch.setattr(
        "suyuan.intake.claims.digest",
        lambda *parts: numbers.get(parts[-1], digest(*parts)) if len(parts) == 3 else digest(*parts),
    )
    story = Story()
    first = story.settle(PHARMACY_P, story.new_box(), order="1")
    second = story.settle(PHARMACY_P, story.new_box(SPLITTABLE), order="2")
    assert first.settlement.endswith("0000000000")
    assert second.settlement.endswith("0000000001")
    assert story.cancel(PHARMACY_P, first.settlement) == "accepted"


def test_keys_survive_half_characters_and_claims_without_a_number() -> None:
    assert len(digest("\ud800", "x")) == 24
    assert digest("ab", "c") != digest("a", "bc")
    assert claim_key("H1", {}) == "claim:H1:none:"
    assert claim_key("H1", {"order": "1", "visit": "2"}) == "claim:H1:visit:2"
