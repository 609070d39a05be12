"""Two provinces and their nation: what is shipped, what comes back, and what a box sold in both leads to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from relay_field import HERE, HOSPITAL_A, HOSPITAL_FAR, MAKER, THERE, Field

from suyuan.ledger.origins import province_of

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
