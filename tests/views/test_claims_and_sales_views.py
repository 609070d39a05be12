"""Claims, sales and prescriptions as lists: each once, what undoes them marked, made again the same from the feed."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from story import HOSPITAL_A, PHARMACY_P, PHARMACY_Q, WHOLE, Line, Story

from suyuan.formats.document import Document
from suyuan.ledger.scan import Scan
from suyuan.views.claims import ClaimsView, ClaimsWanted, claim_of, list_claims
from suyuan.views.follow import Views
from suyuan.views.prescriptions import PrescriptionsView, prescription
from suyuan.views.sales import SalesView, facts_under, list_sales


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def views(story: Story) -> Iterator[Views]:
    opened = Views.open(None, story.journal, (ClaimsView(), SalesView(), PrescriptionsView()))
    yield opened
    opened.close()


def sold(story: Story, place: str, code: str, **more: object) -> None:
    scan = Scan(kind="sold", code=code, where="1", event_time=story.now, **more)  # type: ignore[arg-type]
    story.now += 1_000_000
    story.take(Document(format="table", institution=place, records=[scan], raw=code.encode()))


def test_a_settlement_stands_in_the_list_until_it_is_cancelled(story: Story, views: Views) -> None:
    story.settle(PHARMACY_P, lines=[Line((story.new_box(),), WHOLE, amount=13.8)], order="O1", amount=13.8)
    settlement = story.answer["output"]["setlinfo"]["setl_id"]
    views.catch_up()
    with views.read() as connection:
        found = claim_of(connection, settlement, ClaimsWanted())
        assert found is not None
        assert (found.state, found.verdict, found.order, found.paid) == ("open", "pay", "O1", 13_800_000)
        assert claim_of(connection, settlement, ClaimsWanted(parties=frozenset({PHARMACY_Q}))) is None
    story.cancel(PHARMACY_P, settlement)
    views.catch_up()
    with views.read() as connection:
        (row,) = list_claims(connection, ClaimsWanted(parties=frozenset({PHARMACY_P})), 0, 10)
        assert (row.settlement, row.state) == (settlement, "cancelled")
        assert list_claims(connection, ClaimsWanted(region="11"), 0, 10) == []


def test_claims_come_latest_first_and_page_by_number(story: Story, views: Views) -> None:
    for number in range(5):
        story.settle(PHARMACY_P, story.new_box(), order=f"O{number}", visit=f"V{number}")
    views.catch_up()
    wanted = ClaimsWanted(region="44")
    with views.read() as connection:
        first = list_claims(connection, wanted, 0, 2)
        rest = list_claims(connection, wanted, first[-1].number, 10)
        assert [row.order for row in (*first, *rest)] == ["O4", "O3", "O2", "O1", "O0"]


def test_sales_are_found_by_day_and_by_number_and_only_at_their_institution(story: Story, views: Views) -> None:
    box = story.new_box()
    sold(story, PHARMACY_P, box, references={"order": "S1"})
    sold(story, PHARMACY_Q, story.new_box(), references={"order": "S1"})
    views.catch_up()
    with views.read() as connection:
        (document,) = list_sales(connection, [PHARMACY_P], "2026-03-09", 0, 10)
        assert [key for key, _ in document.facts] == [f"trace20:{box}"]
        assert facts_under(connection, PHARMACY_P, "order", "S1", 10) == [(f"trace20:{box}", 1)]
        assert list_sales(connection, [PHARMACY_P], "2026-03-10", 0, 10) == []


def test_prescribed_and_dispensed_meet_under_the_number_of_the_issuer(story: Story, views: Views) -> None:
    prescribed = Scan(
        kind="prescribed",
        code="",
        where="1",
        event_time=story.now,
        references={"prescription": "RX1"},
        line="RX1/1",
        product=WHOLE,
        quantity="2",
        prescriber="name:who",
    )
    story.take(Document(format="api", institution=HOSPITAL_A, records=[prescribed], raw=b"rx"))
    box = story.new_box()
    sold(story, PHARMACY_P, box, product=WHOLE, references={"prescription": "RX1", "prescription_issuer": HOSPITAL_A})
    sold(story, PHARMACY_Q, story.new_box(), product=WHOLE, references={"prescription": "RX1"})
    views.catch_up()
    with views.read() as connection:
        lines = prescription(connection, HOSPITAL_A, "RX1")
        assert [(line.said, line.institution, line.n) for line in lines] == [
            ("prescribed", HOSPITAL_A, 2),
            ("sold", PHARMACY_P, 1),
        ]
        assert len(prescription(connection, PHARMACY_Q, "RX1")) == 1


def test_lists_made_again_from_the_feed_are_the_same(story: Story, views: Views) -> None:
    for number in range(3):
        story.settle(PHARMACY_P, story.new_box(), order=f"O{number}", visit=f"V{number}")
        story.cancel(PHARMACY_P, story.answer["output"]["setlinfo"]["setl_id"], visit="")
        views.catch_up()
    again = Views.open(None, story.journal, (ClaimsView(),))
    again.catch_up()
    with views.read() as one, again.read() as other:
        assert list_claims(one, ClaimsWanted(), 0, 9) == list_claims(other, ClaimsWanted(), 0, 9)
    again.close()


def test_a_return_that_came_before_its_sale_has_the_same_numbers_when_the_list_is_made_again(
    story: Story, views: Views
) -> None:
    box = story.new_box()
    assert story.give_back(PHARMACY_P, box, receipt="R1") == "parked"
    views.catch_up()
    assert story.report_sale(PHARMACY_P, box, receipt="R1", when=story.clock() - timedelta(minutes=5)) == "accepted"
    again = Views.open(None, story.journal, (SalesView(),))
    again.catch_up()
    views.catch_up()
    with views.read() as one, again.read() as other:
        found = list_sales(one, [PHARMACY_P], "2026-03-09", 0, 9)
        assert [fact for row in found for fact in row.facts] == [(story.key(box), number) for number in (1, 2, 3)]
        assert list_sales(other, [PHARMACY_P], "2026-03-09", 0, 9) == found
    again.close()
