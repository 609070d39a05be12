"""Documents made by others: every valid one gives its events, every invalid one is refused by its planted fault."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from suyuan.formats import epcis
from suyuan.formats.document import Document
from suyuan.formats.faults import MALFORMED, NOT_TAKEN

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not beside this repository")

KINDS = {"capture-doc/json", "bare-event/json", "query-doc/json"}

DISAGREEMENTS = {
    "SensorData_with_combined_events.json": "labelled valid, the schema misses a type in sensor data: taken, since "
    "sensor data are not read yet",
}
"""Files where label and schema differ although we follow the label only for a reason of our own."""

PLANTED = {
    "Combination_of_events_with_missing_mandatory_fields.json": [
        "eventList[0].action", "eventList[1].eventTimeZoneOffset", "eventList[1].action",
    ],
    "Combination_of_multiple_invalid_fields.json": [
        "eventList[0].bizStep", "eventList[1].disposition", "eventList[2].sourceList[0].type",
        "eventList[3].ilmd.materialType", "eventList[4].eventTime", "eventList[4].action",
    ],
    "Combination_of_non_standard_bizStep_and_disposition.json": ["eventList[0].bizStep", "eventList[1].disposition"],
    "EPCISDocument_without_context.json": ["@context"],
    "ObjectEvent_with_ilmd_field_without_namespace.json": ["eventList[0].ilmd.materialType"],
    "ObjectEvent_with_invalid_action.json": ["eventList[0].action"],
    "ObjectEvent_with_invalid_certificationInfo.json": ["eventList[0].certificationInfo"] * 2,
    "ObjectEvent_with_invalid_eventTime_format.json": ["eventList[0].eventTime"],
    "ObjectEvent_with_non_standard_bizStep.json": ["eventList[0].bizStep"],
    "ObjectEvent_with_non_standard_bizStep_in_second_event.json": ["eventList[1].bizStep"],
    "ObjectEvent_with_non_standard_disposition.json": ["eventList[0].disposition"],
    "ObjectEvent_with_quantity_as_text.json": ["eventList[0].quantityList[0].quantity"],
    "ObjectEvent_with_unknown_field_in_quantityList.json": ["eventList[0].quantityList[0].weight"],
    "ObjectEvent_without_action_and_eventTime.json": [
        "eventList[0].eventTime", "eventList[0].eventTimeZoneOffset", "eventList[0].action",
    ],
    "ObjectEvent_without_identifier_list.json": ["eventList[0]"],
    "QueryDocument_with_invalid_action.json": ["eventList[0].action"],
    "QueryDocument_with_invalid_eventType.json": ["eventList[0].type"],
}  # fmt: skip
"""Where each invalid document's fault is planted; `@context` stands for a refusal of the whole."""


def rows(label: str) -> list[tuple[Path, dict[str, str]]]:
    with (VECTORS / "INDEX.tsv").open(encoding="utf-8", newline="") as index:
        listed = list(csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(VECTORS / row["path"], row) for row in listed if row["kind"] in KINDS and row["label"] == label]


def event_of(where: str) -> str:
    return where.split(".", 1)[0]


def read(path: Path) -> Document:
    return epcis.read(path.read_bytes())


def test_every_event_of_a_valid_document_goes_in_or_has_a_reason_why_not_yet() -> None:
    reasons: Counter[str] = Counter()
    events = taken = 0
    for path, row in rows("valid"):
        document = read(path)
        assert not document.fatal, f"{path.name}: {document.fatal}"
        went_in = {event_of(record.where) for record in document.records if hasattr(record, "where")}
        left_out = [event_of(problem.where) for problem in document.problems]
        assert all(problem.code == NOT_TAKEN for problem in document.problems), (path.name, document.problems)
        assert len(went_in) + len(left_out) == int(row["events"]), path.name
        assert went_in.isdisjoint(left_out)
        reasons.update(problem.what for problem in document.problems)
        events += int(row["events"])
        taken += len(went_in)
    assert (events, taken) == (146, 94)
    assert reasons == {
        "AssociationEvent is not taken yet": 11,
        "TransactionEvent is not taken yet": 15,
        "TransformationEvent is not taken yet": 18,
        "Withdrawing an event by an error declaration is not taken yet": 4,
        "The event names no code; sensor data are not taken yet": 4,
    }


def test_every_invalid_document_is_refused_where_its_fault_is_planted() -> None:
    seen = set()
    for path, _ in rows("invalid"):
        document = read(path)
        faults = [problem.where for problem in document.problems if problem.code == MALFORMED]
        planted = PLANTED[path.name]
        if planted == ["@context"]:
            assert "@context" in document.fatal
        else:
            assert faults == planted, path.name
            refused = {event_of(where) for where in planted}
            assert refused.isdisjoint(event_of(record.where) for record in document.records if hasattr(record, "where"))
        seen.add(path.name)
    assert seen == set(PLANTED)


def test_disagreements_between_label_and_schema_are_all_known() -> None:
    """The label counts: an invalid file that the schema accepts is refused, a valid one that it refuses is taken."""
    known = {path.name for path, row in [*rows("valid"), *rows("invalid")] if row["disagreement"]}
    assert known - set(PLANTED) == set(DISAGREEMENTS)
