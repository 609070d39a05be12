"""EPCIS events: what becomes of object and aggregation events, and how faults are named."""

import json
from typing import Any

import pytest

from suyuan.formats import epcis
from suyuan.formats.document import Document
from suyuan.formats.epcis.vocabulary import BIZ_STEPS, DISPOSITIONS, TRANSACTION_TYPES, bare, is_allowed
from suyuan.ledger.scan import Scan

BOX = "urn:epc:id:sgtin:0614141.107346.2017"
OTHER = "https://id.gs1.org/01/09521141012345/21/2017"
CARTON = "urn:epc:id:sscc:0614141.1234567890"
CLASS = "urn:epc:class:lgtin:4012345.012345.998877"


def event(**fields: Any) -> dict[str, Any]:
    whole = {
        "type": "ObjectEvent",
        "eventTime": "2026-01-03T10:11:12+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "epcList": [BOX],
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def aggregation(**fields: Any) -> dict[str, Any]:
    return event(
        **{"type": "AggregationEvent", "epcList": None, "parentID": CARTON, "childEPCs": [BOX, OTHER], **fields}
    )


def document(*events: Any, **fields: Any) -> dict[str, Any]:
    whole = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-03T10:11:12+08:00",
        "epcisBody": {"eventList": list(events)},
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def read(*events: Any, **fields: Any) -> Document:
    return epcis.read(json.dumps(document(*events, **fields)).encode())


def scans(read_document: Document) -> list[Scan]:
    assert not read_document.fatal, read_document.fatal
    return [record for record in read_document.records if isinstance(record, Scan)]


@pytest.mark.parametrize(
    ("action", "step", "kind"),
    [
        ("ADD", "commissioning", "produced"), ("ADD", None, "produced"), ("OBSERVE", "shipping", "shipped"),
        ("OBSERVE", "receiving", "received"), ("OBSERVE", "inspecting", "counted"), ("OBSERVE", None, "counted"),
        ("OBSERVE", "commissioning", "counted"), ("OBSERVE", "retail_selling", "sold"),
        ("DELETE", "dispensing", "sold"),
        ("DELETE", "decommissioning", "exited"), ("OBSERVE", "destroying", "exited"), ("DELETE", None, "exited"),
        ("OBSERVE", "urn:epcglobal:cbv:bizstep:shipping", "shipped"),
        ("OBSERVE", "https://ref.gs1.org/cbv/BizStep-receiving", "received"),
        ("OBSERVE", "cbv:BizStep-shipping", "shipped"),
        ("OBSERVE", "https://example.com/bizStep/inspecting", "counted"),
    ],
)  # fmt: skip
def test_action_and_business_step_say_what_happened(action: str, step: str | None, kind: str) -> None:
    (scan,) = scans(read(event(action=action, bizStep=step)))
    assert (scan.kind, scan.code, scan.where) == (kind, BOX, "eventList[0].epcList[0]")
    assert scan.event_time == 1_767_406_272_000_000


def test_production_carries_lot_and_expiry_under_any_of_the_standard_namespaces() -> None:
    for lot, expiry in (
        ("cbvmda:lotNumber", "cbvmda:itemExpirationDate"),
        ("urn:epcglobal:cbv:mda:lotNumber", "urn:epcglobal:cbv:mda:itemExpirationDate"),
    ):
        ilmd = {"example:lotNumber": "no", lot: "L1", expiry: "2027-05-16", "cbvmda:productionDate": "2024-05-17"}
        (scan,) = scans(read(event(action="ADD", bizStep="commissioning", ilmd=ilmd)))
        assert (scan.lot, scan.expiry, scan.made, scan.reason) == ("L1", "2027-05-16", "2024-05-17", "")


def test_places_parties_and_transactions_are_kept() -> None:
    shipped = event(
        bizStep="shipping",
        eventID="ni:///sha-256;ab?ver=CBV2.0",
        readPoint={"id": "urn:epc:id:sgln:0614141.07346.1234"},
        bizLocation={"id": "urn:elsewhere"},
        bizTransactionList=[
            {"type": "bol", "bizTransaction": "BOL1"},
            {"type": "urn:epcglobal:cbv:btt:desadv", "bizTransaction": "ASN1"},
            {"type": "inv", "bizTransaction": "INV1"},
            {"bizTransaction": "untyped"},
        ],
        sourceList=[{"type": "owning_party", "source": "urn:maker"}],
        destinationList=[
            {"type": "location", "destination": "urn:dock"},
            {"type": "owning_party", "destination": "urn:firm"},
        ],
    )
    (scan,) = scans(read(shipped))
    assert scan.place == "urn:epc:id:sgln:0614141.07346.1234"
    assert scan.counterparty == "urn:firm"
    assert scan.references == {"delivery": "ASN1", "invoice": "INV1", "event": "ni:///sha-256;ab?ver=CBV2.0"}
    (received,) = scans(read({**shipped, "bizStep": "receiving", "readPoint": None}))
    assert (received.counterparty, received.place) == ("urn:maker", "urn:elsewhere")


def test_classes_come_with_their_quantity() -> None:
    quantities = [{"epcClass": CLASS, "quantity": 200.5, "uom": "KGM"}, {"epcClass": CLASS}]
    box, some, open_ = scans(read(event(quantityList=quantities)))
    assert (box.code, box.quantity) == (BOX, "1")
    assert (some.code, some.quantity, some.where) == (CLASS, "200.5", "eventList[0].quantityList[0]")
    assert open_.quantity == "0"


def test_packing_names_the_carton_and_its_children() -> None:
    (packed,) = scans(read(aggregation(action="ADD", bizStep="packing")))
    assert (packed.kind, packed.code, packed.parent, packed.children) == ("packed", CARTON, CARTON, (BOX, OTHER))
    assert packed.where == "eventList[0]"
    (unpacked,) = scans(read(aggregation(action="DELETE", childEPCs=None)))
    assert (unpacked.kind, unpacked.code, unpacked.parent, unpacked.children) == ("unpacked", CARTON, "", ())
    (seen,) = scans(read(aggregation(bizStep="receiving")))
    assert (seen.kind, seen.code, seen.reason) == ("counted", CARTON, "receiving")
    assert [scan.code for scan in scans(read(aggregation(parentID=None)))] == [BOX, OTHER]


def test_classes_are_packed_beside_the_boxes() -> None:
    quantities = [{"epcClass": CLASS, "quantity": 10}]
    boxes, some = scans(read(aggregation(action="ADD", childQuantityList=quantities)))
    assert boxes.children == (BOX, OTHER)
    assert (some.kind, some.code, some.parent, some.quantity) == ("packed", CLASS, CARTON, "10")
    (only,) = scans(read(aggregation(action="ADD", childEPCs=None, childQuantityList=quantities)))
    assert only.code == CLASS


def test_codes_of_other_systems_are_passed_on_as_sent() -> None:
    (scan,) = scans(read(event(epcList=[" 81234567890123456789 "])))
    assert scan.code == "81234567890123456789"


def test_a_bare_event_and_a_query_document_are_read_too() -> None:
    context = document()["@context"]
    bare_event = epcis.read(json.dumps({"@context": context, **event()}).encode())
    assert [scan.where for scan in scans(bare_event)] == ["event.epcList[0]"]
    query = document(type="EPCISQueryDocument", epcisBody={"queryResults": {"resultsBody": {"eventList": [event()]}}})
    assert len(scans(epcis.read(json.dumps(query).encode()))) == 1


def test_the_header_says_who_sends_and_when() -> None:
    read_document = read(event(), sender="urn:epc:id:sgln:1", instanceIdentifier="42")
    assert (read_document.institution, read_document.msgid) == ("urn:epc:id:sgln:1", "42")
    assert (read_document.infno, read_document.sent) == ("EPCISDocument", 1_767_406_272_000_000)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (event(type="TransactionEvent"), "TransactionEvent is not taken yet"),
        (event(type="TransformationEvent"), "TransformationEvent is not taken yet"),
        (event(type="AssociationEvent"), "AssociationEvent is not taken yet"),
        (event(type="example:OwnEvent"), "example:OwnEvent is not taken yet"),
        (event(errorDeclaration={"reason": "incorrect_data"}), "error declaration"),
        (event(epcList=[], sensorElementList=[{}]), "names no code"),
    ],
)
def test_what_is_not_taken_yet_is_named_and_the_rest_goes_in(other: dict[str, Any], word: str) -> None:
    read_document = read(other, event())
    assert [scan.where for scan in scans(read_document)] == ["eventList[1].epcList[0]"]
    (problem,) = read_document.problems
    assert problem.code == "not_taken"
    assert word in problem.what


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (event(type="ObjectEvnt"), "type"),
        (event(type=None), "type"),
        ("text", "type"),
        (event(madeUp=1), "madeUp"),
        (event(eventTime=None), "eventTime"),
        (event(eventTime=5), "eventTime"),
        (event(eventTime="22-07-2026"), "eventTime"),
        (event(eventTimeZoneOffset="8"), "eventTimeZoneOffset"),
        (event(action=None), "action"),
        (event(action=["ADD"]), "action"),
        (event(bizStep="transforming"), "bizStep"),
        (event(bizStep="urn:epcglobal:cbv:bizstep:transforming"), "bizStep"),
        (event(bizStep={"id": "shipping"}), "bizStep"),
        (event(disposition="in_transport"), "disposition"),
        (event(bizTransactionList=[{"type": "letter"}]), "bizTransactionList[0].type"),
        (event(sourceList=[{"type": "place"}]), "sourceList[0].type"),
        (event(epcList=[BOX, 5]), "epcList[1]"),
        (event(epcList=BOX[:1] * 501), "epcList[0]"),
        (event(quantityList=["x"]), "quantityList[0]"),
        (event(quantityList=[{"quantity": 1}]), "quantityList[0].epcClass"),
        (event(quantityList=[{"epcClass": CLASS, "weight": 5}]), "quantityList[0].weight"),
        (event(quantityList=[{"epcClass": CLASS, "quantity": "twenty"}]), "quantityList[0].quantity"),
        (event(quantityList=[{"epcClass": CLASS, "quantity": -1}]), "quantityList[0].quantity"),
        (event(certificationInfo=[{"a": 1}]), "certificationInfo"),
        (event(ilmd=[]), "ilmd"),
        (event(ilmd={"materialType": "soil"}), "ilmd.materialType"),
        (aggregation(parentID=5), "parentID"),
        (aggregation(parentID=None, action="ADD"), "parentID"),
        (aggregation(childEPCs=None, action="ADD"), "childEPCs"),
        (aggregation(childEPCs=[None]), "childEPCs[0]"),
    ],
)
def test_a_fault_is_named_with_its_place_and_the_other_events_go_in(wrong: Any, place: str) -> None:
    read_document = read(wrong, event())
    assert [scan.where for scan in scans(read_document)] == ["eventList[1].epcList[0]"]
    (problem,) = read_document.problems
    assert (problem.where, problem.code) == (f"eventList[0].{place}", "malformed")


def test_an_event_without_any_identifier_list_and_all_faults_at_once() -> None:
    assert read(event(epcList=None)).problems[0].where == "eventList[0]"
    many = read(event(action="CREATE", eventTime="x", bizStep="y", disposition="z"))
    assert len(many.problems) == 4
    assert not many.records


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"@context": None}, "@context"),
        ({"type": "Letter"}, "Letter"),
        ({"type": None}, "empty"),
        ({"schemaVersion": None}, "schemaVersion"),
        ({"schemaVersion": "1.2"}, "version 2"),
        ({"creationDate": "yesterday"}, "creationDate"),
        ({"creationDate": None}, "creationDate"),
        ({"epcisBody": None}, "epcisBody"),
        ({"epcisBody": {"eventList": {}}}, "eventList"),
        ({"epcisBody": "x"}, "eventList"),
        ({"type": "EPCISQueryDocument"}, "eventList"),
    ],
)
def test_a_document_that_is_none_is_refused_with_words(fields: dict[str, Any], word: str) -> None:
    read_document = read(event(), **fields)
    assert word in read_document.fatal
    assert not read_document.records


def test_bytes_that_are_no_document_are_refused_with_words() -> None:
    for raw in (b"", b"[]", b"{", b"\xff", b"[" * 100_000):
        assert epcis.read(raw).fatal


def test_the_vocabularies_are_complete_and_known_in_every_form() -> None:
    assert (len(BIZ_STEPS), len(DISPOSITIONS), len(TRANSACTION_TYPES)) == (41, 33, 13)
    for written in ("shipping", "cbv:BizStep-shipping", "urn:epcglobal:cbv:bizstep:shipping"):
        assert bare(written, "bizstep") == "shipping"
        assert is_allowed(written, "bizstep")
    assert not is_allowed("transforming", "bizstep")
    assert not is_allowed("cbv:BizStep-transforming", "bizstep")
    assert is_allowed("https://example.com/step", "bizstep")
