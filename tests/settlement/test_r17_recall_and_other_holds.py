"""R17: recall and other holds act from the moment they are acknowledged."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest
from story import GS1_DRUG, HOSPITAL_A, HOSPITAL_B, MAKER, MONDAY, PHARMACY_P, REGULATOR, WHOLE, Story, statuses

from suyuan.ledger.events import Event
from suyuan.storage.memory import MemoryJournal


def test_after_the_acknowledgement_the_next_claim_of_the_batch_is_refused_and_after_its_end_paid_again() -> None:
    story = Story()
    box, other_batch = story.new_box(), story.new_box()
    story.produce(box, lot="L1")
    story.produce(other_batch, lot="L2")
    assert story.recall(box, lot="L1") == "accepted"
    refused = story.settle(HOSPITAL_A, box)
    assert (refused.verdict, statuses(refused)) == ("refuse", [["held"]])
    assert story.settle(HOSPITAL_A, other_batch, order="O2").verdict == "pay"
    assert story.alerts() == ["recalled"]
    assert story.lift(box, lot="L1") == "accepted"
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


@pytest.mark.parametrize("scope", ["code", "batch", "product"])
def test_an_order_covers_its_code_its_batch_or_its_product(scope: str) -> None:
    story = Story()
    box = story.new_box(GS1_DRUG, lot="L1")
    same_batch, same_product = story.new_box(GS1_DRUG, lot="L1"), story.new_box(GS1_DRUG, lot="L2")
    story.recall(box, scope=scope, lot="L1")
    refused = [story.settle(HOSPITAL_A, one, order=one[-9:]).verdict for one in (box, same_batch, same_product)]
    covered = {"code": 1, "batch": 2, "product": 3}[scope]
    assert refused == ["refuse"] * covered + ["pay"] * (3 - covered)
    assert story.alerts() == ["recalled"] * covered


def test_the_batch_is_known_from_the_maker_or_from_the_code_whichever_says_so() -> None:
    story = Story()
    box = story.new_box(GS1_DRUG, lot="L1")
    story.produce(box, lot="L9")
    for lot in ("L1", "L9"):
        story.recall(box, lot=lot)
        assert story.settle(HOSPITAL_A, box).verdict == "refuse"
        story.lift(box, lot=lot)
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_a_recalled_lot_of_a_consumable_is_refused_and_alerted() -> None:
    story = Story()
    lot = "(01)06931234567899(10)LOT7"
    assert story.report_sale(HOSPITAL_A, lot, visit="V1") == "accepted"
    story.recall(lot, lot="LOT7")
    assert statuses(story.settle(HOSPITAL_A, lot, visit="V2")) == [["held"]]
    assert story.report_sale(HOSPITAL_A, lot, visit="V3") == "held"
    assert story.alerts() == ["recalled", "recalled"]


def test_a_sale_before_the_order_that_arrives_after_it_is_kept_without_an_alert() -> None:
    story = Story()
    box = story.new_box()
    story.recall(box, scope="product")
    assert story.report_sale(PHARMACY_P, box, receipt="R1", when=MONDAY - timedelta(days=1)) == "held"
    assert story.alerts() == []
    assert story.report_sale(PHARMACY_P, story.new_box(), receipt="R2") == "held"
    assert story.alerts() == ["recalled"]


def test_only_who_gave_the_order_lifts_it() -> None:
    story = Story()
    box = story.new_box()
    assert story.lift(box, scope="product") == "undo_not_found"
    story.recall(box, scope="product", by=REGULATOR)
    assert story.lift(box, scope="product", by=MAKER) == "undo_by_another"
    assert story.settle(HOSPITAL_A, box).verdict == "refuse"
    assert story.lift(box, scope="product", by=REGULATOR) == "accepted"


def test_two_orders_stand_until_both_are_lifted() -> None:
    story = Story()
    box = story.new_box()
    story.recall(box, scope="product", by=REGULATOR)
    story.recall(box, scope="code", by=MAKER)
    story.lift(box, scope="product", by=REGULATOR)
    assert story.settle(HOSPITAL_A, box).verdict == "refuse"
    story.lift(box, scope="code", by=MAKER)
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_the_same_order_again_gets_its_first_answer() -> None:
    story = Story()
    box = story.new_box()
    row = {"code": box, "scope": "product", "reason": "recall"}
    assert story.send_table(REGULATOR, "hold_set", row)[0].status == "accepted"
    assert story.send_table(REGULATOR, "hold_set", row)[0].status == "first_answer"
    assert (
        story.send_table(REGULATOR, "hold_set", row | {"event_time": "2026-03-09 12:00:00"})[0].status == "first_answer"
    )
    story.lift(box, scope="product")
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_an_order_acts_again_after_it_was_lifted() -> None:
    story = Story()
    box = story.new_box()
    for number in ("1", "2"):
        assert story.recall(box, scope="product") == "accepted"
        assert story.settle(HOSPITAL_A, box, order=number).verdict == "refuse"
        assert story.lift(box, scope="product") == "accepted"
    assert story.settle(HOSPITAL_A, box).verdict == "pay"


def test_a_lift_whose_answer_was_lost_finds_itself_when_it_is_sent_again() -> None:
    story = Story()
    box = story.new_box()
    assert story.lift(box, scope="product") == "undo_not_found"
    assert story.recall(box, scope="product") == "accepted"
    assert story.lift(box, scope="product") == "accepted"
    assert story.lift(box, scope="product") == "first_answer"
    assert [event.kind for event in story.events() if event.key.startswith("hold:")] == ["hold_set", "hold_lifted"]


def test_of_two_orders_of_one_authority_the_one_meant_is_lifted() -> None:
    story = Story()
    box = story.new_box()
    row = {"code": box, "scope": "product"}
    for reason in ("recall", "stop"):
        story.send_table(REGULATOR, "hold_set", row | {"reason": reason})
    story.send_table(REGULATOR, "hold_lifted", row | {"reason": "recall"})
    orders = [event for event in story.events() if event.key.startswith("hold:")]
    assert [(event.kind, event.detail["reason"], event.corrects) for event in orders] == [
        ("hold_set", "recall", 0),
        ("hold_set", "stop", 0),
        ("hold_lifted", "recall", 1),
    ]


def test_an_order_that_names_nothing_is_refused_with_words() -> None:
    story = Story()
    unknown = "some unknown text 77"
    for scope, code in (("batch", story.new_box()), ("product", unknown)):
        [result] = story.send_table(REGULATOR, "hold_set", {"code": code, "scope": scope})
        assert result.status == "malformed"
        assert "scope" in result.message


class _Gate(MemoryJournal):
    """Lets something happen between the decision on an upload and its append."""

    meanwhile: Callable[[], object] | None = None

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().append(events, expected, documents)


@pytest.mark.parametrize("kind", ["claim", "report", "lot"])
def test_a_sale_that_races_a_recall_is_alerted_and_not_prevented(kind: str) -> None:
    gate = _Gate()
    story = Story(journal=gate)
    box = "(01)06931234567899(10)LOT7" if kind == "lot" else story.new_box(WHOLE)
    gate.meanwhile = lambda: story.recall(box, scope="product")
    if kind == "claim":
        assert story.settle(HOSPITAL_A, box).verdict == "pay"
    else:
        assert story.report_sale(HOSPITAL_A, box, visit="V1") == "accepted"
    assert story.alerts() == ["recalled"]
    assert story.settle(HOSPITAL_B, box, order="O9").verdict == "refuse"


def test_a_claim_that_is_refused_for_another_reason_raises_no_recall_alert() -> None:
    gate = _Gate()
    story = Story(journal=gate)
    box = story.new_box()
    story.settle(HOSPITAL_B, box)
    gate.meanwhile = lambda: story.recall(box, scope="product")
    assert story.settle(HOSPITAL_A, box).verdict == "refuse"
    assert story.alerts() == ["clone"]


def test_a_seller_cannot_order_others_to_stop() -> None:
    story = Story()
    box = story.new_box()
    assert story.recall(box, scope="product", by=HOSPITAL_B) == "not_allowed"
    assert story.settle(HOSPITAL_A, box, order="O1").verdict == "pay"
    assert story.recall(box, scope="product") == "accepted"
    assert story.settle(HOSPITAL_B, box, order="O2").verdict == "refuse"


def test_a_time_more_than_ten_minutes_ahead_is_kept_and_flagged() -> None:
    story = Story()
    near, far = story.new_box(), story.new_box()
    for box, ahead in ((near, 9), (far, 11)):
        story.report_sale(PHARMACY_P, box, when=story.clock() + timedelta(minutes=ahead))
    flags = {box: event.detail for box in (near, far) for event in story.history(box) if event.kind == "sold"}
    assert flags == {near: None, far: {"clock": "ahead"}}
