"""A box's story through the program: its own events, its cartons' while it was inside, and any way to name the box."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_shell import DRUG, FAR_AWAY, GTIN, HOSPITAL, MAKER, PHARMACY, WHOLESALER, Shell

from suyuan.codes.barcode import draw

BOX, OTHER = "82345670000000000017", "82345670000000000024"
CARTON, PALLET = "82345600000000000019", "00095200000123456788"


def day(number: int) -> str:
    return f"2026-03-{number:02d} 08:00:00"


def told(shell: Shell, code: str) -> list[tuple[str, str, str]]:
    """(event, by, to which carton) of each chapter."""
    chapters = shell.ask("trace", code)["chapters"]
    return [(one["kind"], one["institution"], one["carton"].partition(":")[2]) for one in chapters]


def epcis(shell: Shell, *events: dict[str, Any]) -> Path:
    common = {"eventTimeZoneOffset": "+08:00"}
    body = {
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-20T00:00:00Z",
        "epcisBody": {"eventList": [{**common, **event} for event in events]},
    }
    return shell.write("events.json", json.dumps(body))


def test_a_carton_received_once_shows_in_the_stories_of_its_boxes(town: Shell) -> None:
    town.ingest("produced", MAKER, *({"code": box, "lot": "L1", "event_time": day(1)} for box in (BOX, OTHER)))
    town.ingest("packed", MAKER, *({"code": box, "parent": CARTON, "event_time": day(2)} for box in (BOX, OTHER)))
    town.ingest("shipped", MAKER, {"code": CARTON, "event_time": day(3), "counterparty": PHARMACY, "delivery": "D1"})
    received = town.ingest("received", PHARMACY, {"code": CARTON, "event_time": day(4), "delivery": "D1"})
    assert (received["read"], received["accepted"]) == (1, 1)
    for box in (BOX, OTHER):
        assert told(town, box) == [
            ("produced", MAKER, ""),
            ("packed", MAKER, ""),
            ("shipped", MAKER, CARTON),
            ("received", PHARMACY, CARTON),
        ]
    story = town.ask("trace", BOX)
    assert story["cartons"] == [f"trace20:{CARTON}"]
    assert story["chapters"][3]["references"] == {"delivery": "D1"}
    assert story["chapters"][3]["event_time"] == "2026-03-04T08:00:00+08:00"
    assert town.ask("trace", CARTON)["children"] == [f"trace20:{BOX}", f"trace20:{OTHER}"]
    assert f"received (carton {CARTON})" in town("trace", BOX).out


def test_an_aggregation_of_a_maker_shows_in_the_stories_of_its_boxes(town: Shell) -> None:
    boxes = [f"https://id.gs1.org/01/{GTIN}/21/A{number}" for number in (1, 2)]
    carton = "urn:epc:id:sscc:0952000.0012345678"
    made = {"type": "ObjectEvent", "eventTime": "2026-03-01T08:00:00+08:00", "action": "ADD", "epcList": boxes}
    packed = {
        "type": "AggregationEvent",
        "eventTime": "2026-03-02T08:00:00+08:00",
        "action": "ADD",
        "parentID": carton,
        "childEPCs": boxes,
    }
    moved = {"type": "ObjectEvent", "action": "OBSERVE", "epcList": [carton]}
    ran = town(
        "ingest",
        epcis(
            town,
            {**made, "bizStep": "commissioning"},
            {**packed, "bizStep": "packing"},
            {**moved, "eventTime": "2026-03-03T08:00:00+08:00", "bizStep": "shipping"},
            {**moved, "eventTime": "2026-03-04T08:00:00+08:00", "bizStep": "receiving"},
        ),
        "--by",
        MAKER,
    )
    assert ran.code == 0, ran
    kinds = [kind for kind, _, _ in told(town, f"(01){GTIN}(21)A2")]
    assert kinds == ["produced", "packed", "shipped", "received"]


def test_boxes_in_cartons_on_pallets_tell_what_happened_to_all_of_them(town: Shell) -> None:
    town.ingest("packed", MAKER, {"code": BOX, "parent": CARTON, "event_time": day(2)})
    town.ingest("packed", MAKER, {"code": CARTON, "parent": PALLET, "event_time": day(3)})
    town.ingest("shipped", MAKER, {"code": PALLET, "event_time": day(4)})
    town.ingest("received", WHOLESALER, {"code": PALLET, "event_time": day(5)})
    town.ingest("unpacked", WHOLESALER, {"code": CARTON, "parent": PALLET, "event_time": day(6)})
    town.ingest("shipped", WHOLESALER, {"code": CARTON, "event_time": day(7)}, {"code": PALLET, "event_time": day(8)})
    assert told(town, BOX) == [
        ("packed", MAKER, ""),
        ("packed", MAKER, CARTON),
        ("shipped", MAKER, PALLET[2:]),
        ("received", WHOLESALER, PALLET[2:]),
        ("unpacked", WHOLESALER, CARTON),
        ("shipped", WHOLESALER, CARTON),
    ]
    assert town.ask("trace", BOX)["cartons"] == [f"trace20:{CARTON}", f"sscc:{PALLET[2:]}"]


def test_a_box_taken_out_does_not_move_with_its_carton_any_more(town: Shell) -> None:
    town.ingest("packed", MAKER, *({"code": box, "parent": CARTON, "event_time": day(2)} for box in (BOX, OTHER)))
    town.ingest("unpacked", MAKER, {"code": BOX, "parent": CARTON, "event_time": day(3)})
    town.ingest("shipped", MAKER, {"code": CARTON, "event_time": day(4)})
    assert [kind for kind, _, _ in told(town, BOX)] == ["packed", "unpacked"]
    assert [kind for kind, _, _ in told(town, OTHER)] == ["packed", "shipped"]


def test_where_times_are_dates_alone_what_was_told_first_came_first(town: Shell) -> None:
    same = {"event_time": "2026-03-02"}
    town.ingest("packed", MAKER, {"code": BOX, "parent": CARTON, **same})
    town.ingest("shipped", MAKER, {"code": CARTON, "delivery": "D1", **same})
    town.ingest("unpacked", PHARMACY, {"code": BOX, "parent": CARTON, **same})
    town.ingest("shipped", PHARMACY, {"code": CARTON, "delivery": "D2", **same})
    assert [(kind, by) for kind, by, _ in told(town, BOX)] == [
        ("packed", MAKER),
        ("shipped", MAKER),
        ("unpacked", PHARMACY),
    ]


def test_a_carton_emptied_as_a_whole_takes_nothing_along_afterwards(town: Shell) -> None:
    carton = "urn:epc:id:sscc:0952000.0012345678"
    emptied = {
        "type": "AggregationEvent",
        "eventTime": "2026-03-05T08:00:00+08:00",
        "action": "DELETE",
        "parentID": carton,
    }
    town.ingest("packed", MAKER, {"code": BOX, "parent": carton, "event_time": day(2)})
    town.ingest("shipped", MAKER, {"code": carton, "event_time": day(3)})
    assert town("ingest", epcis(town, emptied), "--by", PHARMACY).code == 0
    town.ingest("shipped", PHARMACY, {"code": carton, "event_time": day(6)})
    assert [kind for kind, _, _ in told(town, BOX)] == ["packed", "shipped", "unpacked"]
    assert town.ask("trace", carton)["children"] == []


def test_cartons_packed_into_each_other_by_mistake_still_have_a_story(town: Shell) -> None:
    town.ingest("packed", MAKER, {"code": BOX, "parent": CARTON, "event_time": day(2)})
    town.ingest("packed", MAKER, {"code": CARTON, "parent": PALLET, "event_time": day(2)})
    town.ingest("packed", MAKER, {"code": PALLET, "parent": CARTON, "event_time": day(2)})
    town.ingest("shipped", MAKER, {"code": PALLET, "event_time": day(3)})
    assert ("shipped", MAKER, PALLET[2:]) in told(town, BOX)
    assert town.ask("trace", CARTON)["chapters"]


def test_statuses_verdicts_and_alerts_stand_in_the_story(town: Shell) -> None:
    town.settle(PHARMACY, BOX, visit="V1")
    town.settle(FAR_AWAY, BOX, visit="V2", day="2026-03-10")
    chapters = town.ask("trace", BOX)["chapters"]
    assert [(one["status"], one["verdict"], one["drawn"]) for one in chapters] == [
        ("accepted", "pay", True),
        ("conflict_sold", "refuse", False),
    ]
    assert [one["alert_class"] for one in chapters] == ["", "clone"]
    assert "clone" in town("trace", BOX).out
    assert "person 1" not in json.dumps(chapters)


ELEMENTS = f"01{GTIN}1728022810LOT7A21SN0001"
"""As a keyboard wedge types it that drops separators: the lot may end anywhere."""


def test_a_picture_a_scan_without_separators_and_a_digital_link_of_one_box_lead_to_one_story(town: Shell) -> None:
    key = f"gs1:{GTIN}:SN0001"
    town.ingest("produced", MAKER, {"code": f"(01){GTIN}(21)SN0001", "lot": "LOT7A", "event_time": day(1)})
    town.ingest("sold", HOSPITAL, {"code": f"(01){GTIN}(21)SN0001", "product": DRUG, "event_time": day(9)})
    picture = town.write("box.png", draw(f"(01){GTIN}(17)280228(10)LOT7A(21)SN0001", "gs1_datamatrix"))
    stories = [
        town.ask("trace", "--image", picture),
        town.ask("trace", ELEMENTS),
        town.ask("trace", f"https://example.com/01/{GTIN}/21/SN0001?17=280228&10=LOT7A"),
        town.ask("trace", f"]d201{GTIN}1728022810LOT7A\x1d21SN0001"),
    ]
    assert {story["key"] for story in stories} == {key}
    assert [kind for kind, _, _ in told(town, ELEMENTS)] == ["produced", "sold"]
    assert all(story["chapters"] == stories[0]["chapters"] for story in stories)
    assert stories[1]["readings"] == [key, f"lot:gs1:{GTIN}:LOT7A21SN0001"]
    assert "separator lost" in stories[1]["problems"][0]
    assert [town.ask("check", one)["outcome"] for one in (ELEMENTS, f"(01){GTIN}(21)SN0001")] == ["one", "one"]


def test_a_scan_that_reads_in_two_ways_is_told_once_and_under_both(town: Shell) -> None:
    town.ingest("received", PHARMACY, {"code": ELEMENTS, "event_time": day(5)})
    story = town.ask("trace", ELEMENTS)
    assert story["key"] == f"gs1:{GTIN}:SN0001"
    assert [(one["kind"], one["reading"], one["status"]) for one in story["chapters"]] == [
        ("received", "", "code_review")
    ]
    assert "reads as" in town("trace", ELEMENTS).out


def test_the_other_reading_leads_where_it_alone_is_known(town: Shell) -> None:
    serial = "ABCDEF17280101"
    assert town.ask("trace", f"01{GTIN}21{serial}")["key"] == f"gs1:{GTIN}:ABCDEF"
    town.ingest("produced", MAKER, {"code": f"(01){GTIN}(21){serial}", "event_time": day(1)})
    story = town.ask("trace", f"01{GTIN}21{serial}")
    assert story["key"] == f"gs1:{GTIN}:{serial}"
    assert story["readings"] == [f"gs1:{GTIN}:{serial}", f"gs1:{GTIN}:ABCDEF"]


@pytest.mark.parametrize("text", ["", "x", "9" * 20, "\x1b[2J", "🙂", "a" * 5000])
def test_any_text_has_a_story_even_if_it_is_that_nothing_is_known(town: Shell, text: str) -> None:
    assert town.ask("trace", text)["chapters"] == []
    shown = town("trace", text)
    assert "nothing is recorded" in shown.out
    assert "\x1b" not in shown.out
