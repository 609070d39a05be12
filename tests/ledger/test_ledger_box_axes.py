"""A box stands on independent axes: custody, use, holds, exit, carton; each fact moves its own."""

from story import GS1_DRUG, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, WHOLE, Story

from suyuan.ledger.box import Box
from suyuan.ledger.packing import children_of, stays

WHOLESALER = "D44000000001"
CARTON = "(00)106901234500000010"


def test_the_maker_registers_a_box_and_says_what_it_is() -> None:
    story = Story()
    box, unknown = story.new_box(), story.new_box()
    story.send_table(MAKER, "produced", {"code": box, "lot": "L1", "expiry": "2028-01-31", "product": WHOLE})
    registered = story.box(box)
    assert (registered.registered, registered.custodian, registered.product) == (True, MAKER, WHOLE)
    assert (registered.lot, registered.expiry) == ("L1", "2028-01-31")
    assert not story.box(unknown).registered


def test_custody_moves_with_the_receipt_and_not_with_the_shipment() -> None:
    story = Story()
    box = story.new_box()
    story.produce(box)
    story.send_table(MAKER, "shipped", {"code": box, "counterparty": WHOLESALER})
    assert (story.box(box).custodian, story.box(box).in_transit_to) == (MAKER, WHOLESALER)
    story.send_table(WHOLESALER, "received", {"code": box})
    assert (story.box(box).custodian, story.box(box).in_transit_to) == (WHOLESALER, "")
    story.send_table(WHOLESALER, "shipped", {"code": box, "counterparty": PHARMACY_P})
    story.send_table(PHARMACY_P, "refused", {"code": box})
    assert (story.box(box).custodian, story.box(box).in_transit_to) == (WHOLESALER, "")


def test_custody_decides_no_payment_alone() -> None:
    story = Story()
    box = story.new_box()
    story.receive(HOSPITAL_A, box)
    assert story.settle(HOSPITAL_B, box).verdict == "pay"


def test_a_box_is_in_its_carton_until_it_is_unpacked() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.send_table(MAKER, "packed", {"code": box, "parent": CARTON}, {"code": other, "parent": CARTON})
    carton = story.key(CARTON)
    assert (story.box(box).carton, story.box(other).carton) == (carton, carton)
    assert children_of(story.history(CARTON)) == (story.key(box), story.key(other))
    assert len(story.history(CARTON)) == 1
    story.send_table(WHOLESALER, "unpacked", {"code": box, "parent": CARTON})
    assert (story.box(box).carton, story.box(other).carton) == ("", carton)
    assert children_of(story.history(CARTON)) == (story.key(other),)
    [(packed, until)] = stays(story.history(box))
    assert packed.parent == carton
    assert until is not None
    assert until.kind == "unpacked"


def test_a_carton_that_lists_its_children_tells_each_of_them() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.send_table(MAKER, "packed", {"code": CARTON, "parent": CARTON, "children": f"{box};{other}"})
    assert [story.box(one).carton for one in (box, other)] == [story.key(CARTON)] * 2
    story.send_table(MAKER, "packed", {"code": box, "parent": "(00)106901234500000027"})
    assert [packed.parent for packed, _ in stays(story.history(box))] == [
        "sscc:106901234500000010",
        "sscc:106901234500000027",
    ]


def test_an_exit_is_an_axis_of_its_own() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    story.destroy(HOSPITAL_A, box)
    exited = story.box(box).exit
    assert exited is not None
    assert (exited.actor, len(story.box(box).sales)) == (HOSPITAL_A, 1)


def test_what_is_under_review_moves_nothing() -> None:
    story = Story()
    ambiguous = "010690123456789210ABCDEFGH1730010121SN123456"
    for kind in ("received", "produced", "exited"):
        story.send_table(HOSPITAL_A, kind, {"code": ambiguous, "delivery": "1", "reason": "destroyed"})
    for box in story.boxes():
        assert (box.custodian, box.exit, box.registered) == ("", None, False)
        assert box.sequence == 3


def test_a_stocktake_changes_no_axis() -> None:
    story = Story()
    box = story.new_box(GS1_DRUG)
    story.send_table(PHARMACY_P, "counted", {"code": box})
    assert (story.box(box).custodian, story.box(box).sequence) == ("", 1)


def test_a_box_that_nobody_named_is_empty() -> None:
    box = Box.of("trace20:81234567890123456789", [])
    assert (box.sequence, box.sales) == (0, [])
    assert box.claimed_units() == box.taken() == 0
