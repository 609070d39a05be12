"""What a scan at the desk says of a box: recalled, sold elsewhere, sent to somebody else, opened, or sound."""

from story import (
    GTIN,
    GTIN_IMPLANT,
    HOSPITAL_A,
    MAKER,
    PHARMACY_P,
    PHARMACY_Q,
    SPLITTABLE,
    WHOLE,
    Story,
)

from suyuan.lookup.offered import WORDS, Offered, offered, text_of

CARTON = "00361234500000000016"


def look(story: Story, code: str, by: str = PHARMACY_P, delivery: str = "") -> Offered:
    [found] = offered(story.desk.ledger, story.desk.catalogue, by, [code], delivery)
    return found


def word(story: Story, code: str, by: str = PHARMACY_P, delivery: str = "") -> str:
    return look(story, code, by, delivery).word


def ship(story: Story, to: str, *codes: str, delivery: str = "D1") -> None:
    rows = ({"code": code, "counterparty": to, "delivery": delivery} for code in codes)
    story.send_table(MAKER, "shipped", *rows)


def test_a_box_is_sound_in_its_own_shipment_and_not_in_that_of_another() -> None:
    story = Story()
    box = story.new_box()
    assert word(story, box) == "not_announced"
    ship(story, PHARMACY_P, box)
    assert word(story, box) == "ok"
    assert word(story, box, delivery="D1") == "ok"
    assert word(story, box, delivery="D2") == "not_in_shipment"
    assert word(story, box, by=PHARMACY_Q) == "not_in_shipment"
    story.send_table(PHARMACY_P, "received", {"code": box})
    assert word(story, box) == "already_here"
    assert word(story, box, by=PHARMACY_Q) == "not_in_shipment"


def test_a_receiver_that_is_only_a_name_announces_nothing() -> None:
    story = Story()
    box = story.new_box()
    ship(story, "some pharmacy round the corner", box)
    assert word(story, box) == "not_announced"


def test_a_sale_elsewhere_is_told_by_kind_of_place_and_month_and_one_here_as_such() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    found = look(story, box)
    assert (found.word, found.kind_of_place, found.month) == ("sold_elsewhere", "hospital", "2026-03")
    assert HOSPITAL_A not in str(found)
    assert word(story, box, by=HOSPITAL_A) == "sold_here"


def test_a_returned_box_is_sound_again() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_Q, box, receipt="R1")
    assert word(story, box) == "sold_elsewhere"
    story.give_back(PHARMACY_Q, box, receipt="R1")
    assert word(story, box) == "not_announced"


def test_an_opened_pack_is_opened_until_it_is_used_up() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.report_sale(PHARMACY_P, box, receipt="R1", product=SPLITTABLE, quantity="12", split=True)
    assert word(story, box) == "opened"
    story.report_sale(PHARMACY_P, box, receipt="R2", product=SPLITTABLE, quantity="12", split=True)
    assert word(story, box) == "sold_here"


def test_a_recall_leads_whatever_else_holds() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    story.produce(box, lot="L1", expiry="2026-01-31")
    assert word(story, box) == "expired"
    story.recall(box, lot="L1")
    found = look(story, box)
    assert (found.word, found.also[0], len(found.holds)) == ("recalled", "expired", 1)
    assert word(story, other) == "not_announced"
    story.lift(box, lot="L1")
    assert word(story, box) == "expired"


def test_a_destroyed_box_and_texts_that_name_no_box_are_refused() -> None:
    story = Story()
    box = story.new_box()
    story.destroy(HOSPITAL_A, box)
    assert word(story, box) == "destroyed"
    for text in ("6901234567892", "hello", "12345", ""):
        assert word(story, text) == "not_a_code", text
    assert word(story, f"01{GTIN_IMPLANT}10LOT1") == "lot_code"
    assert word(story, f"01{GTIN}10ABCDEFGH1730010121SN123456") == "code_review"
    assert word(story, "89999990000000000001") == "unmapped"


def test_a_carton_says_the_gravest_of_its_boxes_and_each_for_itself() -> None:
    story = Story()
    boxes = [story.new_box() for _ in range(3)]
    packing = {"children": ";".join(boxes), "parent": CARTON}
    story.send_table(MAKER, "packed", packing)
    ship(story, PHARMACY_P, CARTON)
    found = look(story, CARTON)
    assert (found.word, found.count, [child.word for child in found.children]) == ("ok", 3, ["ok"] * 3)
    assert word(story, boxes[0]) == "ok", "it comes with its carton"
    assert word(story, boxes[0], by=PHARMACY_Q) == "not_in_shipment"
    story.report_sale(PHARMACY_Q, boxes[1], receipt="R1")
    found = look(story, CARTON)
    assert (found.word, [child.word for child in found.children]) == ("sold_elsewhere", ["ok", "sold_elsewhere", "ok"])


def test_the_codes_in_a_carton_are_told_to_nobody_but_its_receiver() -> None:
    story = Story()
    boxes = [story.new_box() for _ in range(3)]
    story.send_table(MAKER, "packed", {"children": ";".join(boxes), "parent": CARTON})
    ship(story, PHARMACY_P, CARTON)
    assert len(look(story, CARTON).children) == 3
    other = look(story, CARTON, by=PHARMACY_Q)
    assert (other.word, other.count, other.children) == ("not_in_shipment", 3, [])
    assert not any(box in str(other) for box in boxes)


def test_a_box_of_a_carton_can_be_sent_by_its_text() -> None:
    story = Story()
    for code in (story.new_box(WHOLE), f"(01){GTIN}(21)SN1", CARTON):
        assert story.key(text_of(story.key(code))) == story.key(code)


def test_every_word_is_told_in_both_languages() -> None:
    assert all(one.meaning and one.meaning_zh and one.action and one.action_zh for one in WORDS)
