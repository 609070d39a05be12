"""Who sees what of a box: own facts whole, others' not at all, of a conflict no more than kind of place and month."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import HOSPITAL_A, HOSPITAL_FAR, MAKER, PHARMACY_P, PHARMACY_Q, REGULATOR, Story

from suyuan.lookup.seen import Aside, SeenStory, Sight, histories_in, see
from suyuan.lookup.story import tell


@pytest.fixture(scope="module")
def field() -> tuple[Story, str]:
    """A box made by MAKER, sold by P and again by Q in the same province, and claimed by a hospital far away."""
    story = Story()
    box = story.new_box()
    story.produce(box, lot="A1")
    story.receive(PHARMACY_P, box)
    story.report_sale(PHARMACY_P, box, receipt="R1", person="person 1")
    story.wait(hours=3)
    story.report_sale(PHARMACY_Q, box, receipt="R2", person="person 2")
    story.wait(hours=3)
    story.settle(HOSPITAL_FAR, box, order="O9", visit="V9", person="person 3")
    return story, box


def seen(field: tuple[Story, str], sight: Sight) -> SeenStory:
    story, box = field
    ledger = story.desk.ledger
    told = tell(ledger, story.desk.catalogue, box)
    asides = {
        (key, event.sequence): Aside(event.person, event.prescriber, event.fund)
        for key, events in ledger.read(histories_in(told)).items()
        for event in events
    }
    return see(told, sight, asides)


def text_of(story: SeenStory) -> str:
    return msgspec.json.encode(story).decode()


def test_an_institution_sees_its_own_facts_whole_and_the_other_side_as_kind_and_month(field: Any) -> None:
    own = seen(field, Sight("institution", frozenset({PHARMACY_Q})))
    mine = [chapter for chapter in own.chapters if not chapter.elsewhere]
    assert {chapter.institution for chapter in mine} == {PHARMACY_Q}
    assert mine[0].references
    others = [chapter for chapter in own.chapters if chapter.elsewhere]
    assert others
    for chapter in others:
        assert (chapter.institution, chapter.references, chapter.region, chapter.arrived) == ("", {}, "", "")
        assert chapter.event_time == "2026-03"
        assert chapter.kind_of_place in {"pharmacy", "hospital"}
    for secret in (PHARMACY_P, HOSPITAL_FAR, MAKER, "R1", "O9", "V9", "110100"):
        assert secret not in text_of(own)


def test_an_institution_without_a_part_in_it_sees_nothing(field: Any) -> None:
    none = seen(field, Sight("institution", frozenset({HOSPITAL_A})))
    assert (none.chapters, none.hidden, none.cartons) == ([], 0, ())
    assert seen(field, Sight("firm", frozenset())).chapters == []


def test_a_firm_sees_what_it_said_and_never_who_sold(field: Any) -> None:
    own = seen(field, Sight("firm", frozenset({MAKER, REGULATOR})))
    assert {chapter.institution for chapter in own.chapters} <= {MAKER, REGULATOR}
    for secret in (PHARMACY_P, PHARMACY_Q, HOSPITAL_FAR):
        assert secret not in text_of(own)


def test_an_inspector_sees_the_region_and_the_other_side_of_its_conflicts(field: Any) -> None:
    here = seen(field, Sight("inspector", region="44"))
    assert {PHARMACY_P, PHARMACY_Q, HOSPITAL_FAR} <= {chapter.institution for chapter in here.chapters}
    there = seen(field, Sight("inspector", region="11"))
    shown = {chapter.institution for chapter in there.chapters}
    assert HOSPITAL_FAR in shown
    assert there.hidden > 0
    assert seen(field, Sight("inspector", region="65")).chapters == []


def test_persons_and_what_leads_to_them_are_shown_to_an_inspector_with_a_reason_alone(field: Any) -> None:
    without = seen(field, Sight("inspector", region="44"))
    assert not any(chapter.person or chapter.references.keys() & {"receipt", "visit"} for chapter in without.chapters)
    with_reason = seen(field, Sight("inspector", region="44", persons=True))
    assert any(chapter.person.startswith("p1") for chapter in with_reason.chapters)
    assert any("receipt" in chapter.references for chapter in with_reason.chapters)
    for reader in ("drug_regulator", "agency", "institution", "firm"):
        sight = Sight(reader, frozenset({PHARMACY_P}), "44", persons=True)
        assert not any(chapter.person or chapter.prescriber for chapter in seen(field, sight).chapters)


def test_a_drug_regulator_sees_boxes_batches_and_places_and_no_persons(field: Any) -> None:
    here = seen(field, Sight("drug_regulator", region=""))
    assert {PHARMACY_P, PHARMACY_Q, HOSPITAL_FAR} <= {chapter.institution for chapter in here.chapters}
    assert not any(chapter.references.keys() & {"receipt", "visit", "order"} for chapter in here.chapters)


def test_an_agency_sees_claims_of_its_fund_in_its_region(field: Any) -> None:
    claims = seen(field, Sight("agency", region="11", fund="employee"))
    assert {chapter.kind for chapter in claims.chapters} == {"claimed"}
    assert seen(field, Sight("agency", region="11", fund="work_injury")).chapters == []
    assert seen(field, Sight("agency", region="44", fund="employee")).chapters == []


@given(st.sampled_from([PHARMACY_P, PHARMACY_Q, HOSPITAL_FAR, HOSPITAL_A]), st.sampled_from(["institution", "firm"]))
def test_numbers_lead_only_to_what_is_shown(party: str, reader: Any) -> None:
    story = Story()
    box = story.new_box()
    for place in (PHARMACY_P, PHARMACY_Q, HOSPITAL_FAR):
        story.report_sale(place, box)
        story.wait(hours=3)
    shown = seen((story, box), Sight(reader, frozenset({party})))
    for number, chapter in enumerate(shown.chapters, start=1):
        assert chapter.number == number
        assert max(chapter.relates, chapter.corrects, chapter.joins) <= len(shown.chapters)
        assert chapter.institution in {party, ""}
