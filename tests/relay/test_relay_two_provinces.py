"""Two provinces and their nation: what is shipped, what comes back, and what a box sold in both leads to."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from relay_field import HERE, HOSPITAL_A, HOSPITAL_FAR, MAKER, THERE, Field, Place

from suyuan.catalogue.prefixes import Prefix
from suyuan.ledger.across import clashes
from suyuan.ledger.admission import Rules
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Books
from suyuan.ledger.origins import province_of
from suyuan.lookup.totals import count_all
from suyuan.views.counts import Period, sums

BOX = "82345671000000000001"
OTHER = "82345671000000000002"


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path)
    yield made
    made.close()


def test_the_nation_has_every_fact_of_every_province_once_with_its_origin(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    here.settle(HOSPITAL_A, BOX)
    there.settle(HOSPITAL_FAR, OTHER)
    field.settle_down()
    for name, place in field.places.items():
        own = [event for event in place.events() if not event.origin and not event.key.startswith("relay:")]
        told = [event for event in field.center.events() if province_of(event) == name]
        assert [(event.id, event.key) for event in told] == [(event.id, event.key) for event in own]
        assert [event.origin for event in told] == [f"{name}/{event.sequence}" for event in own]
    field.settle_down()
    assert len(field.center.history(f"trace20:{BOX}")) == 1


def test_a_box_paid_in_two_provinces_that_did_not_know_is_alerted_in_both_and_one_recovers(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    field.cut = lambda _: None
    first = here.settle(HOSPITAL_A, BOX)
    second = there.settle(HOSPITAL_FAR, BOX, person="person 2")
    assert (first.verdict, first.provisional) == (second.verdict, second.provisional) == ("pay", True)
    field.cut = None
    field.relays[THERE].step()  # the one who paid later reports first
    field.settle_down()
    assert here.alerts() == there.alerts()
    [key] = field.center.alerts()
    assert here.alerts() == [key]
    [alert] = [event for event in here.history(key) if event.kind == "alerted"]
    assert (alert.actor, alert.detail["recover"], alert.detail["earlier"]["institution"]) == (
        HOSPITAL_FAR,
        HOSPITAL_FAR,
        HOSPITAL_A,
    )
    assert [alert.detail["province"], alert.detail["earlier"]["province"]] == [THERE, HERE]
    # Provisional payments were looked at again, and are said to have been wrong.
    for place in (here, there):
        [seen] = [event for event in place.events("claim:") if (event.detail or {}).get("rechecked")]
        assert (seen.detail["rechecked"], seen.detail["alerts"]) == ("conflict", [key.removeprefix("alert:")])


def test_the_nation_is_asked_before_a_box_is_paid_and_a_second_payment_is_refused(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    first = here.settle(HOSPITAL_A, BOX)
    assert (first.verdict, first.provisional) == ("pay", False)
    field.settle_down()
    second = there.settle(HOSPITAL_FAR, BOX, person="person 2")
    assert (second.verdict, second.provisional) == ("refuse", False)
    assert second.lines[0].codes[0].facts["earlier_sale"] == "elsewhere"
    assert there.settle(HOSPITAL_FAR, OTHER, order="O2").verdict == "pay"
    field.settle_down()
    assert here.alerts() == there.alerts()
    assert len(here.alerts()) == 1


def test_an_undone_sale_is_no_conflict_and_the_same_again_alerts_once(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    settled = here.settle(HOSPITAL_A, BOX)
    field.settle_down()
    assert here.cancel(HOSPITAL_A, settled.settlement) == "accepted"
    field.settle_down()
    assert there.settle(HOSPITAL_FAR, BOX, person="person 2").verdict == "pay"
    field.settle_down()
    assert not field.center.alerts()
    here.sell(HOSPITAL_A, BOX)
    field.settle_down()
    assert len(field.center.alerts()) == 1
    here.sell(HOSPITAL_A, BOX, batch="B2")
    there.settle(HOSPITAL_FAR, BOX, person="person 2")
    field.settle_down()
    assert len(field.center.alerts()) == len(here.alerts()) == len(there.alerts()) == 1


def test_a_recall_of_one_province_refuses_the_claim_in_another_until_it_is_lifted(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    assert here.table(MAKER, "hold_set", {"code": BOX, "scope": "product", "reason": "recall"}) == ["accepted"]
    field.settle_down()
    refused = there.settle(HOSPITAL_FAR, OTHER)
    assert (refused.verdict, refused.lines[0].codes[0].status) == ("refuse", "held")
    assert here.table(MAKER, "hold_lifted", {"code": BOX, "scope": "product", "reason": "recall"}) == ["accepted"]
    field.settle_down()
    assert there.settle(HOSPITAL_FAR, OTHER, order="O2").verdict == "pay"


def test_a_carton_that_crosses_the_border_brings_what_is_known_of_its_boxes(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    carton = "82345672000000000001"
    here.table(MAKER, "produced", {"code": BOX, "lot": "L1", "expiry": "2020-01-01"})
    here.table(MAKER, "packed", {"code": BOX, "parent": carton})
    here.table(MAKER, "shipped", {"code": carton, "counterparty": HOSPITAL_FAR})
    field.settle_down()
    assert not there.history(f"elsewhere:trace20:{BOX}")
    there.table(HOSPITAL_FAR, "received", {"code": carton})
    field.settle_down()
    told = there.history(f"elsewhere:trace20:{BOX}")
    assert [event.kind for event in told] == ["produced", "packed"]
    assert [event.origin for event in told] == [f"{HERE}/1", f"{HERE}/2"]
    # What its maker said elsewhere holds here too: it has expired (R16).
    field.cut = lambda _: None
    assert there.settle(HOSPITAL_FAR, BOX).lines[0].codes[0].reasons == ("expired",)
    field.cut = None
    # And what happens to the box at home afterwards is told as well.
    here.sell(HOSPITAL_A, BOX)
    field.settle_down()
    assert "sold" in [event.kind for event in there.history(f"elsewhere:trace20:{BOX}")]


def test_a_province_hears_of_a_sale_elsewhere_no_more_than_a_decision_needs(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    key = f"trace20:{BOX}"
    there.sell(HOSPITAL_FAR, BOX)

    def told_here(books: Books) -> None:
        books.add(key, "sold", actor=HOSPITAL_A, person="p1-1", prescriber="p1-2", price=7, document="d", software="s")
        books.add(key, "reported", references={"report": "R-1"})

    here.node.ledger.transact({key}, told_here)
    field.settle_down()
    at_nation = [event.kind for event in field.center.history(key) if event.origin.startswith(HERE)]
    assert at_nation == ["sold", "reported"]
    [told] = there.history(f"elsewhere:{key}")
    assert (told.kind, told.actor, told.person) == ("sold", HOSPITAL_A, "p1-1")
    assert (told.price, told.prescriber, told.document, told.software) == (0, "", "", "")


def test_a_province_cut_off_for_a_day_works_alone_and_catches_up(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    field.cut = lambda _: None
    for number in range(1, 31):
        verdict = here.settle(HOSPITAL_A, f"8234567{number:013d}", order=f"O{number}")
        assert (verdict.verdict, verdict.provisional) == ("pay", True)
    field.now += 86_400_000_000
    field.cut = None
    there.settle(HOSPITAL_FAR, f"8234567{1:013d}", person="person 2")
    field.settle_down()
    assert here.alerts() == there.alerts() == field.center.alerts()
    assert len(here.alerts()) == 1
    rechecked = [event.detail for event in here.events("claim:") if (event.detail or {}).get("rechecked")]
    assert [one["rechecked"] for one in rechecked].count("sound") == 29
    assert [one["rechecked"] for one in rechecked].count("conflict") == 1


def test_a_node_without_a_nation_knows_nothing_of_all_this(tmp_path: Path) -> None:
    field = Field(tmp_path)
    alone = Place(tmp_path / "alone", field.clock)
    verdict = alone.settle(HOSPITAL_A, BOX)
    assert (verdict.verdict, verdict.provisional) == ("pay", False)
    assert not [event for event in alone.events() if event.key.startswith(("relay:", "elsewhere:")) or event.origin]
    alone.node.close()
    field.close()


def test_what_the_nation_orders_and_maps_holds_in_every_province(field: Field) -> None:
    orderer = field.center
    assert orderer.table(MAKER, "hold_set", {"code": BOX, "scope": "code", "reason": "theft"}) == ["accepted"]
    content = orderer.node.catalogue.content
    orderer.node.tables.save_catalogue(
        msgspec.structs.replace(content, prefixes=[*content.prefixes, Prefix("trace20:8777777")])
    )
    orderer.node.reload_catalogue()
    field.settle_down()
    for name, hospital in ((HERE, HOSPITAL_A), (THERE, HOSPITAL_FAR)):
        place = field.places[name]
        assert place.settle(hospital, BOX).lines[0].codes[0].reasons == ("held",)
        assert "trace20:8777777" in {row.product_key for row in place.node.catalogue.content.prefixes}
        assert [event.origin for event in place.history(f"elsewhere:trace20:{BOX}")] == ["nation/1"]


def test_lists_and_totals_of_a_province_pass_over_what_is_from_elsewhere(field: Field) -> None:
    here, there = field.places[HERE], field.places[THERE]
    here.sell(HOSPITAL_A, BOX)
    field.settle_down()
    there.sell(HOSPITAL_FAR, BOX, person="person 2")
    field.settle_down()
    assert here.history(f"elsewhere:trace20:{BOX}")
    totals, alerts = count_all(here.node.journal)
    assert (totals.sales, totals.boxes, len(alerts)) == (1, 1, 1)
    here.node.views.catch_up()
    with here.node.views.read() as connection:
        counted = sums(connection, Period())
    assert (counted.sales, counted.codes, counted.alerts_all) == (1, 1, 1)


def test_parts_of_a_split_box_sold_in_two_provinces_conflict_only_beyond_the_whole() -> None:
    def part(province: str, sequence: int, n: int) -> Event:
        return Event(
            1, "", "sold", "trace20:1", sequence, 5, sequence, f"H{province}", drawn=True, n=n, m=24,
            fact=f"f{sequence}", origin=f"{province}/1",
        )  # fmt: skip

    assert clashes("trace20:1", [part("44", 1, 10), part("11", 2, 14)], Rules()) == []
    [found] = clashes("trace20:1", [part("44", 1, 10), part("11", 2, 15)], Rules())
    assert (found.alert_class, found.event.actor) == ("split_exceeded", "H11")
    # Each two of them fit; all three do not.
    three = [part("44", 1, 10), part("11", 2, 10), part("31", 3, 10)]
    assert [one.event.actor for one in clashes("trace20:1", three, Rules())] == ["H31"]
