"""Receipts: what a token binds, that no byte of it can change, and what has become of its sale since."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import ESCAPE, HOSPITAL_A, LEGACY, PHARMACY_P, PHARMACY_Q, SPLITTABLE, Line, Story

from suyuan.codes.barcode import read_codes
from suyuan.codes.qr import qr_png
from suyuan.intake.receipts import Issued, SaleNotFound, Wanted, issue_receipt, standing_of
from suyuan.ledger.signer import Signer
from suyuan.lookup.receipt import Token, TokenWrong, opened

SIGNER = Signer(bytes(range(32)))
OTHER = Signer(bytes(range(1, 33)))
ADDRESS = "https://suyuan.example.gov.cn/receipt#"


def issue(story: Story, place: str, *codes: str, **said: object) -> Issued:
    return issue_receipt(story.desk, SIGNER, "粤", Wanted(institution=place, codes=codes, **said))  # type: ignore[arg-type]


def token_of(issued: Issued) -> Token:
    [text] = issued.tokens
    return opened(ADDRESS + text, SIGNER.public)


def keys(codes: Sequence[str]) -> list[str]:
    return [f"trace20:{code}" for code in codes]


def test_a_receipt_binds_place_time_number_and_boxes_of_one_sale_and_no_person() -> None:
    story = Story()
    mine, other = [story.new_box() for _ in range(3)], story.new_box()
    story.report_sale(PHARMACY_P, *mine, receipt="S0017", person="44010119800101001X")
    issued = issue(story, PHARMACY_P, *mine, references={"receipt": "S0017"}, date="2026-03-09")
    token = token_of(issued)
    assert (token.institution, token.name, token.node) == (PHARMACY_P, PHARMACY_P, "粤")
    assert (token.boxes, token.lines, token.reversed, token.split) == (3, 0, "none", False)
    assert token.sold == story.now // 1_000_000 - 1 or token.sold <= token.issued
    assert all(token.has_box(key) for key in keys(mine))
    assert not token.has_box(f"trace20:{other}")
    assert token.has_reference("S0017")
    assert not token.has_reference("S0018")
    text = int(issued.tokens[0]).to_bytes(400, "big")
    assert not any(code.encode() in text for code in (*mine, "44010119800101001X", "S0017"))


def test_the_same_sale_has_the_same_receipt_and_another_sale_of_the_box_another_one() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="S1")
    first, again = issue(story, PHARMACY_P, box), issue(story, PHARMACY_P, box)
    assert first.id == again.id
    assert token_of(first).marks == token_of(again).marks
    story.give_back(PHARMACY_P, box)
    story.report_sale(PHARMACY_P, box, receipt="S2")
    assert issue(story, PHARMACY_P, box).id != first.id


@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_no_byte_of_a_token_can_be_altered(place: int, change: int) -> None:
    raw = bytearray(int(_ISSUED.tokens[0]).to_bytes(_SIZE, "big"))
    raw[place % _SIZE] ^= change
    with pytest.raises(TokenWrong):
        opened(str(int.from_bytes(raw, "big")), SIGNER.public)
    assert token_of(_ISSUED).boxes == 2


@given(st.text(alphabet="0123456789#abc \n", max_size=900))
def test_any_text_that_is_no_token_is_told_so(text: str) -> None:
    with pytest.raises(TokenWrong):
        opened(text, SIGNER.public)


def test_a_token_of_another_nodes_key_is_refused_as_such_and_a_cut_one_as_altered() -> None:
    text = _ISSUED.tokens[0]
    with pytest.raises(TokenWrong, match="another_node"):
        opened(text, OTHER.public)
    with pytest.raises(TokenWrong, match=r"altered|another_node"):
        opened(text[:-3], SIGNER.public)
    assert opened(text, SIGNER.public).node == "粤"


def _two_boxes() -> Issued:
    story = Story()
    boxes = [story.new_box(), story.new_box()]
    story.report_sale(PHARMACY_P, *boxes, receipt="S1")
    return issue(story, PHARMACY_P, *boxes)


_ISSUED = _two_boxes()
_SIZE = (int(_ISSUED.tokens[0]).bit_length() + 7) // 8


def test_a_return_after_issue_is_told_and_before_issue_stands_in_the_token() -> None:
    story = Story()
    kept, returned = story.new_box(), story.new_box()
    story.report_sale(PHARMACY_P, kept, returned, receipt="S1")
    issued = issue(story, PHARMACY_P, kept, returned)
    before = standing_of(story.desk.ledger, PHARMACY_P, issued.id)
    assert before is not None
    assert before.reversed == "none"
    story.give_back(PHARMACY_P, returned)
    after = standing_of(story.desk.ledger, PHARMACY_P, issued.id)
    assert after is not None
    assert after.reversed == "part"
    assert token_of(issue(story, PHARMACY_P, returned)).reversed == "all"
    assert token_of(issue(story, PHARMACY_P, kept)).reversed == "none"


def test_a_settlement_is_found_by_its_number_and_its_cancel_is_told() -> None:
    story = Story()
    boxes = [story.new_box(), story.new_box()]
    settlement = story.settle(PHARMACY_P, *boxes, order="O7", visit="V7").settlement
    wanted = Wanted(institution=PHARMACY_P, references={"settlement": settlement})
    issued = issue_receipt(story.desk, SIGNER, "粤", wanted)
    assert all(token_of(issued).has_box(key) for key in keys(boxes))
    assert issue(story, PHARMACY_P, references={"visit": "V7"}).id == issued.id
    story.cancel(PHARMACY_P, settlement, visit="V7")
    standing = standing_of(story.desk.ledger, PHARMACY_P, issued.id)
    assert standing is not None
    assert standing.reversed == "all"


def test_a_cancelled_claim_whose_sale_report_stands_is_a_sale_still() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, visit="V1", order="O1")
    settlement = story.settle(PHARMACY_P, box, order="O1", visit="V1").settlement
    issued = issue(story, PHARMACY_P, box)
    story.cancel(PHARMACY_P, settlement)
    standing = standing_of(story.desk.ledger, PHARMACY_P, issued.id)
    assert standing is not None
    assert standing.reversed == "none"


@pytest.mark.parametrize("infno", ["3505", ""])
def test_a_sale_is_found_by_the_message_that_told_of_it(infno: str) -> None:
    story = Story()
    boxes = [story.new_box(), story.new_box()]
    story.report_sale(PHARMACY_P, *boxes, receipt="S1", msgid="M1")
    issued = issue(story, PHARMACY_P, msgid="M1", infno=infno)
    assert issued.boxes == 2
    assert issue(story, PHARMACY_P, *boxes).id == issued.id
    with pytest.raises(SaleNotFound):
        issue(story, PHARMACY_Q, msgid="M1", infno=infno)


def test_nobody_gets_a_receipt_for_what_was_not_sold_there() -> None:
    story = Story()
    box, unsold = story.new_box(), story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="S1")
    before = len(story.events())
    for place, codes in ((PHARMACY_Q, [box]), (PHARMACY_P, [unsold]), (PHARMACY_P, [box, unsold]), (PHARMACY_P, [])):
        with pytest.raises(SaleNotFound):
            issue(story, place, *codes)
    with pytest.raises(SaleNotFound):
        issue(story, PHARMACY_P, box, references={"receipt": "S2"})
    with pytest.raises(SaleNotFound):
        issue(story, PHARMACY_P, box, references={"receipt": "S1"}, date="2026-03-10")
    assert len(story.events()) == before
    assert issue(story, PHARMACY_P, box, references={"receipt": "S1"}, date="2026-03-09").boxes == 1


def test_a_part_of_a_box_is_told_as_such_and_its_return_too() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    said = {"product": SPLITTABLE, "quantity": "6", "split": True}
    story.report_sale(PHARMACY_P, box, receipt="S1", **said)
    issued = issue(story, PHARMACY_P, box)
    assert token_of(issued).split
    assert token_of(issued).has_box(f"trace20:{box}")
    story.give_back(PHARMACY_P, box, **{**said, "quantity": "2"})
    standing = standing_of(story.desk.ledger, PHARMACY_P, issued.id)
    assert standing is not None
    assert standing.reversed == "part"


def test_a_sale_without_codes_binds_its_number_and_counts_its_lines() -> None:
    story = Story()
    story.report_sale(HOSPITAL_A, product=LEGACY, receipt="S9", msgid="M9")
    issued = issue(story, HOSPITAL_A, msgid="M9")
    token = token_of(issued)
    assert (token.boxes, token.lines, token.marks) == (0, 1, ())
    assert token.has_reference("S9")
    settled = story.settle(HOSPITAL_A, lines=[Line((ESCAPE,), SPLITTABLE, "3", split=True)], order="O3", visit="V3")
    issued = issue(story, HOSPITAL_A, references={"settlement": settled.settlement})
    assert (issued.boxes, issued.lines, issued.reversed) == (0, 1, "none")
    story.cancel(HOSPITAL_A, settled.settlement, visit="V3")
    standing = standing_of(story.desk.ledger, HOSPITAL_A, issued.id)
    assert standing is not None
    assert standing.reversed == "all"


def test_a_carton_that_was_sold_binds_the_boxes_in_it() -> None:
    story = Story()
    carton, boxes, other = story.new_box(), [story.new_box() for _ in range(4)], story.new_box()
    story.send_table(HOSPITAL_A, "packed", *({"code": box, "parent": carton} for box in boxes))
    story.report_sale(HOSPITAL_A, carton, receipt="S5")
    token = token_of(issue(story, HOSPITAL_A, carton))
    assert token.boxes == 4
    assert all(token.has_box(key) for key in keys([carton, *boxes]))
    assert not token.has_box(f"trace20:{other}")


def test_a_large_sale_gets_one_token_for_each_sixteen_boxes_and_each_says_which_it_is() -> None:
    story = Story()
    boxes = [story.new_box() for _ in range(35)]
    story.report_sale(HOSPITAL_A, *boxes, receipt="S1")
    issued = issue(story, HOSPITAL_A, *boxes)
    tokens = [opened(text, SIGNER.public) for text in issued.tokens]
    assert [(token.part, token.parts, token.boxes, len(token.marks)) for token in tokens] == [
        (1, 3, 35, 16),
        (2, 3, 35, 16),
        (3, 3, 35, 3),
    ]
    assert all(sum(token.has_box(key) for token in tokens) == 1 for key in keys(boxes))


def test_the_qr_code_of_the_fullest_token_is_read_back_from_its_picture_even_when_small() -> None:
    story = Story()
    boxes = [story.new_box() for _ in range(16)]
    story.report_sale(HOSPITAL_A, *boxes, receipt="S1")
    [text] = issue(story, HOSPITAL_A, *boxes).tokens
    assert len(int(text).to_bytes(400, "big").lstrip(b"\0")) <= 400
    for scale in (2, 4):
        [seen] = read_codes(qr_png(ADDRESS + text, scale))
        assert seen.text.partition("https")[2] == (ADDRESS + text).partition("https")[2]
        assert opened(seen.text, SIGNER.public).boxes == 16


def test_a_receipt_is_no_event_of_a_box_and_an_unknown_one_is_not_known() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(PHARMACY_P, box, receipt="S1")
    before = [event for event in story.events() if event.key == f"trace20:{box}"]
    issued = issue(story, PHARMACY_P, box)
    assert [event for event in story.events() if event.key == f"trace20:{box}"] == before
    assert standing_of(story.desk.ledger, PHARMACY_Q, issued.id) is None
    assert standing_of(story.desk.ledger, PHARMACY_P, "00" * 8) is None
