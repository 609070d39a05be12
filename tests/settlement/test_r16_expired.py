"""R16: expired only by the maker's data or the code itself: institutions fill the field with invented dates."""

from story import GS1_DRUG, HOSPITAL_A, PHARMACY_P, WHOLE, Story, statuses


def test_the_date_in_the_code_itself_decides() -> None:
    story = Story()
    expired = story.settle(HOSPITAL_A, story.new_box(GS1_DRUG, expiry="260308"))
    assert (expired.verdict, statuses(expired)) == ("refuse", [["expired"]])
    assert story.settle(HOSPITAL_A, story.new_box(GS1_DRUG, expiry="260309"), order="O2").verdict == "pay"
    assert story.alerts() == []


def test_the_makers_data_decides() -> None:
    story = Story()
    old, fresh = story.new_box(), story.new_box()
    story.produce(old, expiry="2026-02-28")
    story.produce(fresh, expiry="2028-02-28")
    assert statuses(story.settle(HOSPITAL_A, old)) == [["expired"]]
    assert story.settle(HOSPITAL_A, fresh, order="O2").verdict == "pay"


def test_the_makers_data_goes_before_the_code() -> None:
    story = Story()
    extended = story.new_box(GS1_DRUG, expiry="260301")
    story.produce(extended, expiry="2027-03-01")
    assert story.settle(HOSPITAL_A, extended).verdict == "pay"


def test_a_date_that_an_institution_writes_decides_nothing() -> None:
    story = Story()
    box = story.new_box(WHOLE)
    row = {"code": box, "expiry": "2020-01-01", "receipt": "R1"}
    assert story.send_table(PHARMACY_P, "sold", row)[0].status == "accepted"


def test_the_day_of_the_sale_counts_and_not_that_of_its_arrival() -> None:
    story = Story()
    box = story.new_box()
    story.produce(box, expiry="2026-03-09")
    sold_at = story.clock()
    story.wait(days=3)
    assert story.report_sale(PHARMACY_P, box, receipt="R1", when=sold_at) == "accepted"


def test_a_lot_with_its_date_in_the_code_expires_too() -> None:
    story = Story()
    old, fresh = "(01)06931234567899(17)260101(10)LOT1", "(01)06931234567899(17)280101(10)LOT2"
    assert story.report_sale(HOSPITAL_A, old, visit="V1") == "expired"
    assert story.report_sale(HOSPITAL_A, fresh, visit="V2") == "accepted"
