"""R2: arrival decides what was paid; event time decides what is suspected."""

from datetime import timedelta

from story import HOSPITAL_A, HOSPITAL_B, MONDAY, Story


def test_an_earlier_sale_that_arrives_later_reverses_no_payment() -> None:
    story = Story()
    box = story.new_box()
    assert story.settle(HOSPITAL_B, box).verdict == "pay"
    assert story.report_sale(HOSPITAL_A, box, visit="V2", when=MONDAY - timedelta(days=40)) == "conflict_sold"
    assert story.paid(box) == 1
    assert [sale.known_by.actor for sale in story.box(box).sales] == [HOSPITAL_B, HOSPITAL_A]
    [alert] = [event for event in story.events() if event.kind == "alerted"]
    assert "no payment is reversed" in alert.detail["review"]


def test_a_later_sale_that_arrives_later_opens_no_review() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_B, box)
    story.report_sale(HOSPITAL_A, box, visit="V2")
    [alert] = [event for event in story.events() if event.kind == "alerted"]
    assert "review" not in alert.detail


def test_the_days_between_the_sales_decide_the_class_of_the_conflict_not_those_between_the_messages() -> None:
    for days, expected in ((2, "clone"), (40, "resale")):
        story = Story()
        box = story.new_box()
        story.report_sale(HOSPITAL_A, box, visit="V1", when=MONDAY - timedelta(days=days))
        story.report_sale(HOSPITAL_B, box, visit="V2")
        assert story.alerts() == [expected]


def test_admission_is_stored_with_its_fact_and_not_judged_again() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1")
    story.report_sale(HOSPITAL_B, box, visit="V2")
    story.give_back(HOSPITAL_A, box, visit="V1")
    assert [event.status for event in story.history(box)] == ["accepted", "conflict_sold", "accepted"]
