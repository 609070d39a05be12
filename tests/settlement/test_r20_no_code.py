"""R20: no code is four different things, and a placeholder is none of them."""

from datetime import date, timedelta

import msgspec
import pytest
from story import (
    HERB,
    HOSPITAL_A,
    HOSPITAL_B,
    LEGACY,
    MONDAY,
    PHARMACY_P,
    VIRTUAL,
    WHOLE,
    Line,
    Story,
    catalogue,
    statuses,
)

from suyuan.catalogue.no_code import NoCodeEntry


def _claim(story: Story, number: str, product: str = LEGACY, quantity: str = "1", place: str = HOSPITAL_A) -> str:
    story.fees(place, [Line(product=product, quantity=quantity)], order=number, visit=number)
    return story.settle(place, order=number, visit=number).verdict


def test_legacy_stock_declines_to_what_was_declared() -> None:
    story = Story()
    assert [_claim(story, "1"), _claim(story, "2"), _claim(story, "3")] == ["pay", "pay", "refuse"]
    assert _claim(story, "4", place=HOSPITAL_B) == "refuse"


def test_a_quantity_beyond_the_balance_is_not_scanned() -> None:
    story = Story()
    assert _claim(story, "1", quantity="3") == "refuse"
    assert _claim(story, "2", quantity="2") == "pay"


def test_claim_and_report_of_one_sale_are_not_counted_twice() -> None:
    story = Story()
    for number in ("1", "2"):
        assert _claim(story, number) == "pay"
        assert story.report_sale(HOSPITAL_A, visit=number, product=LEGACY) == "accepted"
    assert _claim(story, "3") == "refuse"
    assert story.report_sale(HOSPITAL_A, visit="3", product=LEGACY) == "not_scanned"


def test_cancels_and_returns_give_back_to_the_balance() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=LEGACY, quantity="2")])
    settlement = story.settle(HOSPITAL_A).settlement
    assert _claim(story, "2") == "refuse"
    story.cancel(HOSPITAL_A, settlement)
    assert _claim(story, "3", quantity="2") == "pay"
    assert story.report_sale(HOSPITAL_A, visit="9", product=LEGACY, quantity="2") == "accepted"
    assert story.report_sale(HOSPITAL_A, visit="10", product=LEGACY) == "not_scanned"
    assert story.give_back(HOSPITAL_A, visit="9", product=LEGACY, quantity="2") == "accepted"
    assert story.report_sale(HOSPITAL_A, visit="11", product=LEGACY) == "accepted"


def test_a_deleted_upload_gives_back_to_the_balance() -> None:
    story = Story()
    story.report_sale(HOSPITAL_A, visit="1", product=LEGACY, quantity="2", batch="wrong")
    assert story.delete(HOSPITAL_A, "wrong") == "accepted"
    assert story.report_sale(HOSPITAL_A, visit="2", product=LEGACY, quantity="2", batch="B2") == "accepted"
    story.give_back(HOSPITAL_A, visit="2", product=LEGACY, quantity="2", batch="B3")
    assert story.delete(HOSPITAL_A, "B3") == "accepted"
    assert story.report_sale(HOSPITAL_A, visit="3", product=LEGACY) == "not_scanned"


def test_legacy_stock_ends_with_its_date() -> None:
    story = Story(start=MONDAY + timedelta(days=150))
    assert _claim(story, "1") == "refuse"


def test_an_exempt_product_needs_no_code_and_has_no_balance() -> None:
    story = Story()
    assert [_claim(story, str(number), HERB) for number in range(5)] == ["pay"] * 5


def test_a_declaration_as_exempt_has_no_limit_and_one_as_unreadable_has_a_quota() -> None:
    declared = [
        NoCodeEntry(HOSPITAL_A, WHOLE, kind="exempt"),
        NoCodeEntry(HOSPITAL_B, WHOLE, kind="unreadable", quantity=1),
    ]
    story = Story(content=msgspec.structs.replace(catalogue(), no_code=declared))
    assert [_claim(story, str(number), WHOLE) for number in range(4)] == ["pay"] * 4
    assert [_claim(story, str(number), WHOLE, place=HOSPITAL_B) for number in range(2)] == ["pay", "refuse"]


@pytest.mark.parametrize("kind", ["claim", "report"])
def test_a_virtual_code_is_bound_to_institution_product_and_quantity(kind: str) -> None:
    def use(story: Story, place: str, product: str, number: str) -> str:
        if kind == "report":
            return story.report_sale(place, VIRTUAL, visit=number, product=product)
        story.fees(place, [Line(product=product)], order=number, visit=number)
        return statuses(story.settle(place, VIRTUAL, order=number, visit=number))[0][0]

    story = Story()
    assert use(story, HOSPITAL_B, WHOLE, "1") == "not_scanned"
    assert use(story, HOSPITAL_A, LEGACY, "2") == "not_scanned"
    assert use(story, HOSPITAL_A, WHOLE, "3") == "accepted"
    assert use(story, HOSPITAL_A, WHOLE, "4") == "not_scanned"
    assert not list(story.boxes())
    assert story.alerts() == []


def test_a_virtual_code_that_was_never_issued_is_a_box_like_any_other() -> None:
    story = Story()
    assert story.report_sale(HOSPITAL_A, "SYV000000000077", visit="1", product=WHOLE) == "unmapped"
    assert len(list(story.boxes())) == 1


def test_an_expired_virtual_code_is_not_scanned() -> None:
    content = catalogue()
    codes = [msgspec.structs.replace(code, valid_to=date(2026, 1, 1)) for code in content.virtual_codes]
    story = Story(content=msgspec.structs.replace(content, virtual_codes=codes))
    assert story.report_sale(HOSPITAL_A, VIRTUAL, visit="1", product=WHOLE) == "not_scanned"


@pytest.mark.parametrize("typed", ["0000000000", "82345670000000000000", "123", "1"])
def test_what_was_typed_to_fill_the_field_is_not_scanned_and_accuses_nobody(typed: str) -> None:
    story = Story()
    for number, place in enumerate((HOSPITAL_A, HOSPITAL_B, HOSPITAL_A)):
        assert story.report_sale(place, typed, visit=f"{number}", product=WHOLE) == "not_scanned"
    assert story.settle(PHARMACY_P, typed).verdict == "refuse"
    assert not list(story.boxes())
    assert story.alerts() == []


def test_goods_without_code_in_a_purchase_are_taken_without_a_word() -> None:
    story = Story()
    assert story.receive(HOSPITAL_A) == "accepted"
    assert story.give_back(HOSPITAL_A, visit="1", product=WHOLE) == "accepted"
