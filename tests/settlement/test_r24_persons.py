"""R24: persons become keyed pseudonyms on arrival; the journal holds no identifier, not even its hash."""

import itertools

import pytest
from story import HOSPITAL_A, PHARMACY_P, Line, Story

from suyuan.ledger.events import encoder
from suyuan.ledger.keys import digest
from suyuan.ledger.privacy import Privacy, SealBroken

NUMBER = "440100199001011234"
PERSON = {
    "certno": NUMBER,
    "psn_cert_type": "01",
    "psn_name": "王某",
    "prsc_dr_certno": "DOC77",
    "prsc_dr_name": "李某",
}


def _sell(story: Story, box: str, **person: str) -> None:
    row = {"fixmedins_hilist_id": "1", "mdtrt_sn": "V1", "drugtracinfo": [{"drug_trac_codg": box}], **person}
    story.send("3505", HOSPITAL_A, {"selinfo": row})


def test_one_person_has_one_name_whichever_institution_asks_and_however_it_is_written() -> None:
    story = Story()
    first, second = story.new_box(), story.new_box()
    _sell(story, first, certno="44010019900101123x")
    _sell(story, second, certno=" 44010019900101123X ")
    [one], [two] = story.history(first), story.history(second)
    assert one.person == two.person
    assert one.person.startswith("p1-")


def test_a_psn_no_is_a_weaker_name_bound_to_its_area() -> None:
    privacy = Privacy(bytes(32), bytes(16))
    here, there = privacy.pseudonym("psn:77@440100"), privacy.pseudonym("psn:77@110100")
    assert here.startswith("p1w-")
    assert here != there
    assert privacy.pseudonym("") == ""


def test_names_depend_on_the_key() -> None:
    assert Privacy(bytes(32), bytes(16)).pseudonym(NUMBER) != Privacy(b"1" * 32, bytes(16)).pseudonym(NUMBER)
    with pytest.raises(ValueError, match="32 bytes"):
        Privacy(b"short", bytes(16))
    one, two = Privacy.new(), Privacy.new()
    assert one.keys() != two.keys()
    person_key, seal_key = one.keys()
    assert (len(person_key), len(seal_key)) == (32, 16)


def test_the_journal_holds_no_identifier_of_patients_or_doctors() -> None:
    story = Story()
    box = story.new_box()
    _sell(story, box, **PERSON)
    story.settle(PHARMACY_P, lines=[Line((story.new_box(),), "XB05BAF058B002010102345")], person=NUMBER)
    stored = b"".join(encoder.encode(event) for event in story.events())
    for secret in (NUMBER, "DOC77", "王某", "李某"):
        assert secret.encode() not in stored
    [event] = story.history(box)
    assert event.prescriber.startswith("p1-")


def test_the_hash_of_what_was_said_cannot_be_tried_out_for_the_person() -> None:
    story = Story()
    box = story.new_box()
    _sell(story, box, **PERSON)
    [event] = story.history(box)
    said = "|1|0|0|0||||||||"
    written = [f"id:01:{NUMBER}", NUMBER, f"01:{NUMBER}"]
    hashes = {digest(*parts) for parts in itertools.product([said], written)}
    assert event.content not in hashes
    # With the pseudonym, which needs the key, the same hash comes out.
    assert event.content == digest(said, event.person)


def test_a_raw_message_is_sealed_and_opens_with_the_key_alone() -> None:
    story = Story()
    _sell(story, story.new_box(), **PERSON)
    [event] = [event for event in story.events() if event.key.startswith("message:")]
    sealed = story.journal.document(event.content)
    assert sealed is not None
    assert NUMBER.encode() not in sealed
    assert story.desk.privacy.unseal(sealed) == story.raw
    with pytest.raises(SealBroken):
        Privacy(bytes(32), b"another key 1234").unseal(sealed)
    with pytest.raises(SealBroken):
        story.desk.privacy.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(SealBroken):
        story.desk.privacy.unseal(b"")


def test_raw_messages_are_not_kept_where_the_node_is_told_so() -> None:
    story = Story()
    story.desk.keep_documents = False
    _sell(story, story.new_box())
    [event] = [event for event in story.events() if event.key.startswith("message:")]
    assert story.journal.document(event.content) is None
