"""R14: the scanned product is not the billed one, by a reviewed mapping on the day of the sale."""

from datetime import date, datetime

import msgspec
import pytest
from story import CHINA, HERB, HOSPITAL_A, PHARMACY_P, SPLITTABLE, UNREVIEWED, WHOLE, Line, Story, catalogue, statuses

from suyuan.catalogue.mapping import Edge


@pytest.mark.parametrize("place", [HOSPITAL_A, PHARMACY_P])
def test_a_swap_is_held_and_alerted_and_the_right_box_is_paid(place: str) -> None:
    story = Story()
    box, right = story.new_box(SPLITTABLE), story.new_box()
    if place == HOSPITAL_A:
        story.fees(place, [Line(product=WHOLE)])
        story.fees(place, [Line(product=WHOLE)], order="O2")
        swapped = story.settle(place, box)
        paid = story.settle(place, right, order="O2")
    else:
        swapped = story.settle(place, lines=[Line((box,), WHOLE)])
        paid = story.settle(place, lines=[Line((right,), WHOLE)], order="O2")
    assert (swapped.verdict, statuses(swapped)) == ("hold", [["product_differs"]])
    assert (paid.verdict, statuses(paid)) == ("pay", [["accepted"]])
    assert story.alerts() == ["product_differs"]


def test_each_fee_line_is_compared_with_its_own_codes() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=SPLITTABLE)])
    crossed = story.settle(HOSPITAL_A, story.new_box(SPLITTABLE), story.new_box(WHOLE))
    assert statuses(crossed) == [["product_differs"], ["product_differs"]]


def test_numbers_of_fee_lines_may_begin_anew_with_each_charge_order() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)], order="O1")
    story.fees(HOSPITAL_A, [Line(product=SPLITTABLE), Line(product=HERB)], order="O2")
    assert statuses(story.settle(HOSPITAL_A, story.new_box(WHOLE), order="O1")) == [["accepted"]]
    both = story.settle(HOSPITAL_A, story.new_box(SPLITTABLE), order="O2")
    assert [line.product for line in both.lines] == [SPLITTABLE, HERB]
    assert both.verdict == "pay"


def test_without_a_reviewed_mapping_nobody_can_say() -> None:
    story = Story()
    unreviewed = story.settle(PHARMACY_P, lines=[Line((story.new_box(UNREVIEWED),), WHOLE)])
    assert (unreviewed.verdict, statuses(unreviewed)) == ("pay", [["accepted"]])
    unknown = story.settle(PHARMACY_P, lines=[Line(("89999990000000000017",), WHOLE)], order="O2")
    assert (unknown.verdict, statuses(unknown)) == ("pay", [["unmapped"]])


def test_a_swap_in_a_sale_report_is_kept_and_alerted() -> None:
    story = Story()
    assert story.report_sale(PHARMACY_P, story.new_box(SPLITTABLE), receipt="R1", product=WHOLE) == "product_differs"
    assert story.report_sale(PHARMACY_P, story.new_box(WHOLE), receipt="R2", product=WHOLE) == "accepted"
    assert story.alerts() == ["product_differs"]


def test_the_mapping_of_the_day_of_the_sale_decides() -> None:
    content = catalogue()
    edges = [edge for edge in content.edges if edge.left != "trace20:8234567"]
    edges.append(Edge("trace20:8234567", f"nhsa:{SPLITTABLE}", reviewed=True, valid_to=date(2026, 1, 31)))
    edges.append(Edge("trace20:8234567", f"nhsa:{WHOLE}", reviewed=True, valid_from=date(2026, 2, 1)))
    story = Story(content=msgspec.structs.replace(content, edges=edges))
    late = datetime(2026, 1, 15, tzinfo=CHINA)
    box, other = story.new_box(WHOLE), story.new_box(WHOLE)
    assert story.report_sale(PHARMACY_P, box, receipt="R1", product=WHOLE, when=late) == "product_differs"
    assert story.report_sale(PHARMACY_P, other, receipt="R2", product=WHOLE) == "accepted"


def test_one_swap_is_told_once_by_claim_and_report() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, box)
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    assert story.alerts() == ["product_differs"]
