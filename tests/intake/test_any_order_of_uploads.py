"""Whatever is uploaded, in whatever order and however often: no box is paid twice, no repeat changes anything."""

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from story import HOSPITAL_A, HOSPITAL_B, LEGACY, NOT_A_BOX, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story

from suyuan.ledger import ledger as ledger_module
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Books
from suyuan.settlement.policy import REHEARSAL, STRICT

HOSPITALS = st.sampled_from([HOSPITAL_A, HOSPITAL_B])
PRODUCTS = st.sampled_from([WHOLE, SPLITTABLE])
PLACES = st.sampled_from([HOSPITAL_A, HOSPITAL_B, PHARMACY_P])
NUMBERS = st.sampled_from(["1", "2"])
PERSONS = st.sampled_from(["Ann", "Bob", ""])
PICKS = st.lists(st.integers(0, 3), min_size=1, max_size=2)
QUANTITIES = st.sampled_from(["1", "9", "12", "24"])

Shape = tuple[Any, ...]


def shape(box: Box) -> Shape:
    """All that can be told of a box."""
    return (
        box.sequence,
        tuple((sale_shape(sale), sale.first) for sale in box.sales),
        tuple(event.sequence for event in box.parked),
        tuple(sorted(box.undone)),
        tuple(sorted((fact, event.sequence) for fact, event in box.facts.items())),
        tuple(event.sequence for event in box.holds),
        (
            box.exit and box.exit.sequence,
            box.custodian,
            box.in_transit_to,
            box.carton,
            box.product,
            box.lot,
            box.expiry,
        ),
    )


def sale_shape(sale: Any) -> Shape:
    claim, report = sale.claim, sale.report
    told = claim and (claim.sequence, claim.verdict, claim.drawn)
    return (told, report and report.sequence, sale.units, sale.doubt, sale.returned)


class Uploads(RuleBasedStateMachine):
    """Three places, two whole boxes, two splittable ones, a few numbers: everything that can happen to them happens."""

    @initialize(policy=st.sampled_from([STRICT, STRICT, REHEARSAL]))
    def begin(self, policy: Any) -> None:
        self.patch = pytest.MonkeyPatch()
        self.books: list[Books] = []
        kept = self.books

        class Kept(Books):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                kept[:] = [self]

        self.patch.setattr(ledger_module, "Books", Kept)
        self.story = Story(policy=policy)
        self.codes = [self.story.new_box(product) for product in (WHOLE, WHOLE, SPLITTABLE, SPLITTABLE)]
        self.sent: list[bytes] = []
        self.settlements: list[tuple[str, str]] = []
        self.messages: list[tuple[str, str, str]] = []
        self.seen: list[Event] = []

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def _note(self) -> None:
        self.sent.append(self.story.raw)

    def _boxes(self, picks: list[int]) -> list[str]:
        return [self.codes[pick] for pick in picks]

    # What is sent

    @rule(
        place=PLACES,
        picks=PICKS,
        order=NUMBERS,
        visit=NUMBERS,
        person=PERSONS,
        split=st.booleans(),
        quantity=QUANTITIES,
    )
    def settle(
        self, *, place: str, picks: list[int], order: str, visit: str, person: str, split: bool, quantity: str
    ) -> None:
        verdict = self._settle(
            place=place, picks=picks, order=order, visit=visit, person=person, split=split, quantity=quantity
        )
        self._note()
        self.messages.append((place, f"m{len(self.sent)}", "2102" if place == PHARMACY_P else "2207"))
        if verdict.settlement and verdict.first:
            self.settlements.append((place, verdict.settlement))

    def _settle(
        self,
        *,
        place: str,
        picks: list[int],
        order: str,
        visit: str,
        person: str,
        split: bool,
        quantity: str,
        advice: bool = False,
    ) -> Any:
        lines = [Line((box,), SPLITTABLE if split else "", quantity, split=split) for box in self._boxes(picks)]
        msgid = f"m{len(self.sent) + 1}"
        return self.story.settle(
            place, lines=lines, order=order, visit=visit, person=person, msgid=msgid, advice=advice
        )

    @rule(place=HOSPITALS, order=NUMBERS, visit=NUMBERS, product=PRODUCTS, inpatient=st.booleans())
    def settle_before_dispensing(self, *, place: str, order: str, visit: str, product: str, inpatient: bool) -> None:
        self.story.fees(place, [Line(product=product)], order=order, visit=visit)
        setting = "inpatient" if inpatient else "outpatient"
        verdict = self.story.settle(
            place, order=order, visit=visit, expected=1, setting=setting, msgid=f"m{len(self.sent) + 1}"
        )
        self._note()
        if verdict.settlement and verdict.first:
            self.settlements.append((place, verdict.settlement))

    @rule(place=PLACES, picks=PICKS, order=NUMBERS, visit=NUMBERS, quantity=QUANTITIES)
    def ask_for_advice(self, *, place: str, picks: list[int], order: str, visit: str, quantity: str) -> None:
        before = len(self.story.events())
        self._settle(
            place=place,
            picks=picks,
            order=order,
            visit=visit,
            person="Ann",
            split=False,
            quantity=quantity,
            advice=True,
        )
        assert len(self.story.events()) == before, "advice writes nothing"

    @rule(
        place=PLACES,
        picks=PICKS,
        visit=st.sampled_from(["", "1", "2"]),
        person=PERSONS,
        split=st.booleans(),
        quantity=QUANTITIES,
        returned=st.booleans(),
    )
    def sell_or_give_back(
        self, *, place: str, picks: list[int], visit: str, person: str, split: bool, quantity: str, returned: bool
    ) -> None:
        send = self.story.give_back if returned else self.story.report_sale
        said = {
            "split": split,
            "quantity": quantity,
            "person": person,
            "visit": visit,
            "receipt": "" if visit else "R1",
        }
        said["product"] = WHOLE if picks[0] < 2 else SPLITTABLE
        send(place, *self._boxes(picks), batch=f"B{len(self.sent) % 3}", **said)
        self._note()

    @rule(place=PLACES, visit=NUMBERS, quantity=st.sampled_from(["1", "2", "3"]))
    def sell_without_code(self, place: str, visit: str, quantity: str) -> None:
        self.story.report_sale(place, visit=visit, product=LEGACY, quantity=quantity)
        self._note()

    @rule(place=PLACES, pick=st.integers(0, 3), lines=st.integers(1, 3))
    def send_a_file_with_equal_lines(self, place: str, pick: int, lines: int) -> None:
        row = {"code": self.codes[pick], "receipt": "R1", "event_time": "2026-03-09 09:00:00"}
        self.story.send_table(place, "sold", *[row] * lines)

    @precondition(lambda self: self.settlements)
    @rule(data=st.data(), by=st.one_of(st.none(), PLACES))
    def cancel(self, data: st.DataObject, by: str | None) -> None:
        place, settlement = data.draw(st.sampled_from(self.settlements))
        self.story.cancel(by or place, settlement)
        self._note()

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        self.story.reverse(*data.draw(st.sampled_from(self.messages)))
        self._note()

    @rule(place=PLACES, batch=st.sampled_from(["B0", "B1", "B2"]))
    def delete(self, place: str, batch: str) -> None:
        self.story.delete(place, batch)

    @rule(pick=st.integers(0, 3), scope=st.sampled_from(["code", "product"]), lift=st.booleans())
    def recall_or_lift(self, *, pick: int, scope: str, lift: bool) -> None:
        (self.story.lift if lift else self.story.recall)(self.codes[pick], scope=scope)

    @rule(days=st.sampled_from([0.05, 1, 4, 16]))
    def wait(self, days: float) -> None:
        self.story.wait(days=days)
        assert self.story.wait() == 0, "what fell due is done"

    # What is sent again

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_the_same_bytes_again(self, data: st.DataObject) -> None:
        raw = data.draw(st.sampled_from(self.sent))
        self.story.send_bytes(raw)
        first_time = [event.key for event in self.story.events()]
        self.story.send_bytes(raw)
        assert [event.key for event in self.story.events()] == first_time, "a repeated upload changes nothing"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def retry_under_a_new_msgid(self, data: st.DataObject) -> None:
        raw = data.draw(st.sampled_from(self.sent))
        number = len(self.story.events())
        self.story.send_bytes(raw.replace(b'"msgid": "', f'"msgid": "r{number}'.encode(), 1))
        before = {box.key: shape(box) for box in self.story.boxes()}
        self.story.send_bytes(raw.replace(b'"msgid": "', f'"msgid": "s{number}'.encode(), 1))
        if all(not getattr(result, "first", True) for result in self.story.outcome.results):
            assert {box.key: shape(box) for box in self.story.boxes()} == before, "a retry changes nothing"

    @rule(place=PLACES, picks=PICKS, person=PERSONS, split=st.booleans(), quantity=QUANTITIES)
    def settle_and_cancel(self, *, place: str, picks: list[int], person: str, split: bool, quantity: str) -> None:
        def sales() -> list[list[Shape]]:
            return [[sale_shape(sale) for sale in self.story.box(code).sales] for code in self.codes]

        before = sales()
        number = f"new {len(self.sent)} {self.story.now}"
        verdict = self._settle(
            place=place, picks=picks, order=number, visit=number, person=person, split=split, quantity=quantity
        )
        if verdict.settlement:
            assert self.story.cancel(place, verdict.settlement) == "accepted"
        restored = sales()
        assert restored == before, f"a cancel restores exactly, not {restored} for {before}"

    # What holds at every moment

    @invariant()
    def no_box_is_paid_beyond_the_whole(self) -> None:
        for box in self.story.boxes():
            assert box.claimed_units() <= 1
            drawn = [sale for sale in box.sales if sale.paid and sale.claim is not None and sale.claim.m == 1]
            assert len(drawn) <= 1

    @invariant()
    def the_fold_of_the_journal_is_what_the_decision_saw(self) -> None:
        for books in self.books:
            for key in books._boxes:
                assert shape(books.box(key)) == shape(Box.of(key, self.story.journal.fetch([key])[key].events))

    @invariant()
    def sequences_have_no_gaps(self) -> None:
        counts: dict[str, int] = {}
        for event in self.story.events():
            counts[event.key] = counts.get(event.key, 0) + 1
            assert event.sequence == counts[event.key]

    @invariant()
    def a_refused_claim_has_drawn_nothing(self) -> None:
        events = self.story.events()
        refused = {event.document for event in _claims(events) if event.verdict == "refuse"}
        passed = {event.document for event in _claims(events) if event.verdict != "refuse"}
        for event in events:
            if event.kind == "claimed" and not event.key.startswith(NOT_A_BOX) and event.document in refused - passed:
                assert (event.drawn, event.verdict) == (False, "refuse")

    @invariant()
    def the_fund_pays_for_no_more_than_was_declared_without_codes(self) -> None:
        for event in self.story.events():
            if event.key.startswith("balance:legacy:"):
                assert 0 <= event.detail["claimed"] <= 2

    @invariant()
    def every_alert_has_its_fact_in_the_journal(self) -> None:
        facts = {event.fact for event in self.story.events() if event.fact}
        for event in self.story.events():
            if event.kind == "alerted" and "fact" in event.detail:
                assert event.detail["fact"] in facts


def _claims(events: list[Event]) -> Iterator[Event]:
    for event in events:
        if event.kind == "claimed" and event.key.startswith("claim:") and event.document:
            yield event


def test_any_order_of_uploads() -> None:
    chosen = settings(max_examples=20, stateful_step_count=25, report_multiple_bugs=False)
    run_state_machine_as_test(Uploads, settings=chosen)


@pytest.mark.slow
def test_any_order_of_many_uploads() -> None:
    """250 orders of 60 uploads; 1,500 where SUYUAN_LONG=1."""
    examples = 1_500 if os.environ.get("SUYUAN_LONG") == "1" else 250
    chosen = settings(max_examples=examples, stateful_step_count=60, report_multiple_bugs=False)
    run_state_machine_as_test(Uploads, settings=chosen)


def test_the_oracle_notices_a_box_that_is_paid_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The invariant itself can fail."""
    uploads = Uploads()
    uploads.begin(STRICT)
    try:
        monkeypatch.setattr("suyuan.intake.claims.admit", _blind_admit)
        monkeypatch.setattr(Box, "claimed_units", lambda box, besides=0: Fraction(0))
        uploads.story.settle(HOSPITAL_A, uploads.codes[0])
        uploads.story.settle(HOSPITAL_B, uploads.codes[0])
        monkeypatch.undo()
        with pytest.raises(AssertionError):
            uploads.no_box_is_paid_beyond_the_whole()
    finally:
        uploads.teardown()


def _blind_admit(fact: Any, box: Any, holds: Any, rules: Any, now: Any, *, elsewhere: Any) -> Any:
    from suyuan.ledger.admission import Admission  # noqa: PLC0415

    return Admission("accepted", ("accepted",), drawn=True)
