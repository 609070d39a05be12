"""Uploads by our own JSON: taken once, answered line by line, strict in what is written, found again after silence."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from portal import AGENCY, Portal, eventually
from story import ESCAPE, HEAD_OFFICE, HOSPITAL_A, LEGACY, MAKER, PHARMACY_P, PHARMACY_Q, REGULATOR, SPLITTABLE, WHOLE

_SERIALS = count(5_000_000_000_001, 7)
_NUMBERS = count(1)
JSON = {"content-type": "application/json"}


def new_box(product: str = WHOLE) -> str:
    return f"{'8234567' if product == WHOLE else '8123456'}{next(_SERIALS)}"


def sale(*boxes: str, **more: Any) -> dict[str, Any]:
    """A receipt with one line a box."""
    lines = [{"line": str(place), "product": WHOLE, "codes": [box]} for place, box in enumerate(boxes, start=1)]
    references = {"receipt": f"R{next(_NUMBERS)}"}
    return {"time": "2026-11-20T10:00:00+08:00", "references": references, "lines": lines, **more}


def claim(*boxes: str, **more: Any) -> dict[str, Any]:
    lines = [
        {"line": str(place), "product": WHOLE, "amount": "10.00", "codes": [{"code": box}]}
        for place, box in enumerate(boxes, start=1)
    ]
    return {"setting": "pharmacy", "references": {"order": f"O{next(_NUMBERS)}"}, "lines": lines, **more}


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["status"] for result in answer.json()["results"]]


@pytest.fixture
def till(portal: Portal) -> Iterator[httpx.Client]:
    with portal.client(PHARMACY_P) as client:
        yield client


# Once, and found again


def test_the_same_sale_again_gets_its_first_answer_and_another_one_does_not(till: httpx.Client) -> None:
    box = new_box()
    sold = sale(box)
    first = till.post("/api/v1/sales", json={"sales": [sold]})
    again = till.post("/api/v1/sales", json={"sales": [sold]})
    assert [statuses(first), statuses(again)] == [["accepted"], ["first_answer"]]
    assert (first.json()["results"][0]["first"], again.json()["results"][0]["first"]) == (True, False)
    assert statuses(till.post("/api/v1/sales", json={"sales": [sale(box)]})) == ["conflict_sold"]


def test_the_senders_id_finds_the_answer_whether_in_the_body_or_in_the_header(till: httpx.Client) -> None:
    body = {"sales": [sale(new_box())]}
    body["sales"][0]["lines"][0]["codes"] += ["8.1E+19", new_box()]
    first = till.post("/api/v1/sales", json=body, headers={"idempotency-key": "till-1-a"})
    (upload,) = till.get("/api/v1/outcomes", params={"id": "till-1-a"}).json()["uploads"]
    assert [{**line, "first": True} for line in upload["lines"]] == first.json()["results"]
    again = till.post("/api/v1/sales", json=body, headers={"idempotency-key": "till-1-a"})
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    both = till.post("/api/v1/sales", json={"id": "till-1-b", **body}, headers={"idempotency-key": "till-1-a"})
    assert (both.status_code, both.json()["where"]) == (422, "idempotency-key")


def test_a_sender_without_an_answer_learns_what_was_taken_by_id_and_by_number(till: httpx.Client) -> None:
    body = {"id": "till-1-silent", **claim(new_box())}
    order = body["references"]["order"]
    unknown = till.get("/api/v1/outcomes", params={"id": "till-1-silent"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "outcome_unknown")
    assert "send it again" in unknown.json()["do"]
    settled = till.post("/api/v1/claims", json=body).json()
    by_id = till.get("/api/v1/outcomes", params={"id": "till-1-silent"}).json()
    assert by_id["uploads"][0]["claims"][0]["settlement"] == settled["settlement"]
    for asked in ({"order": order}, {"settlement": settled["settlement"]}):
        (found,) = till.get("/api/v1/outcomes", params=asked).json()["claims"]
        assert (found["state"], found["answer"]["paid"], found["answer"]["first"]) == ("open", "10.00", False)
    till.post(f"/api/v1/claims/{settled['settlement']}/cancel")
    assert till.get("/api/v1/outcomes", params={"order": order}).json()["claims"][0]["state"] == "cancelled"


def test_a_sale_is_found_by_its_receipt_and_only_by_who_sold(portal: Portal, till: httpx.Client) -> None:
    sold = sale(new_box(), time="2026-11-20T10:00:00+08:00")
    assert statuses(till.post("/api/v1/sales", json={"sales": [sold]})) == ["accepted"]
    asked = {"receipt": sold["references"]["receipt"], "day": "2026-11-20"}
    found = eventually(lambda: till.get("/api/v1/outcomes", params=asked).json().get("sales"))
    assert found[0]["status"] == "accepted"
    with portal.client(PHARMACY_Q) as other:
        assert other.get("/api/v1/outcomes", params=asked).status_code == 404
        refused = other.get("/api/v1/outcomes", params={**asked, "institution": PHARMACY_P})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


# Claims


def test_a_claim_is_paid_once_and_after_its_cancel_once_more(till: httpx.Client) -> None:
    body = claim(new_box())
    first = till.post("/api/v1/claims", json=body).json()
    again = till.post("/api/v1/claims", json=body).json()
    assert (first["verdict"], first["paid"], first["first"]) == ("pay", "10.00", True)
    assert (again["settlement"], again["first"]) == (first["settlement"], False)
    assert till.post(f"/api/v1/claims/{first['settlement']}/cancel").json()["status"] == "accepted"
    anew = till.post("/api/v1/claims", json=body).json()
    assert (anew["verdict"], anew["first"]) == ("pay", True)
    assert anew["settlement"] != first["settlement"]


def test_equal_cancels_of_two_settlements_cancel_each_its_own(till: httpx.Client) -> None:
    one, two = (till.post("/api/v1/claims", json=claim(new_box())).json()["settlement"] for _ in range(2))
    for settlement in (one, two):
        assert till.post(f"/api/v1/claims/{settlement}/cancel", json={}).json()["status"] == "accepted"
    states = [
        till.get("/api/v1/outcomes", params={"settlement": one_of}).json()["claims"][0]["state"]
        for one_of in (one, two)
    ]
    assert states == ["cancelled", "cancelled"]


def test_a_box_that_was_paid_elsewhere_is_refused_with_what_to_do(portal: Portal, till: httpx.Client) -> None:
    box = new_box()
    till.post("/api/v1/claims", json=claim(box))
    with portal.client(PHARMACY_Q) as other:
        advice = other.post("/api/v1/claims/advice", json=claim(box)).json()
        refused = other.post("/api/v1/claims", json=claim(box)).json()
    assert (advice["verdict"], advice["advice"], advice["settlement"]) == ("refuse", True, "")
    (code,) = refused["lines"][0]["codes"]
    assert (refused["verdict"], refused["paid"], code["status"]) == ("refuse", "0.00", "conflict_sold")
    assert code["next_action"]
    assert code["next_action_zh"]
    assert code["facts"]["kind_of_place"] == "pharmacy"
    assert PHARMACY_P not in str(refused["lines"])
    assert code["alert"]


def test_a_reversal_before_its_claim_keeps_it_from_settling(till: httpx.Client) -> None:
    assert till.post("/api/v1/claims/reverse", json={"original_id": "late-1"}).json()["status"] == "parked"
    late = till.post("/api/v1/claims", json={"id": "late-1", **claim(new_box())}).json()
    assert (late["verdict"], late["settlement"]) == ("refuse", "")
    in_time = till.post("/api/v1/claims", json={"id": "late-2", **claim(new_box())}).json()
    assert in_time["verdict"] == "pay"
    assert till.post("/api/v1/claims/reverse", json={"original_id": "late-2"}).json()["status"] == "accepted"


def test_a_claim_with_any_fault_is_refused_whole_and_leaves_nothing(till: httpx.Client) -> None:
    box = new_box()
    body = claim(box)
    body["lines"][0]["amount"] = "ten"
    refused = till.post("/api/v1/claims", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "lines[0].amount")
    body["lines"][0]["amount"] = "10.00"
    assert till.post("/api/v1/claims", json=body).json()["first"] is True
    nameless = till.post("/api/v1/claims", json={**body, "references": {}})
    assert (nameless.status_code, nameless.json()["where"]) == (422, "references.order")


# Good lines and bad lines


def test_good_lines_go_in_and_bad_lines_come_back_with_their_places(till: httpx.Client) -> None:
    good = new_box()
    body = sale(good, new_box(), new_box(), new_box())
    body["lines"][1]["quantity"] = "-1"
    body["lines"][2]["line"] = 3
    body["lines"][3]["codes"] = ["8.1E+19"]
    answer = till.post("/api/v1/sales", json={"sales": [body]}).json()
    assert [(one["where"], one["status"]) for one in answer["results"]] == [("sales[0].lines[0].codes[0]", "accepted")]
    places = {one["where"] for one in answer["problems"]}
    assert places == {"sales[0].lines[1].quantity", "sales[0].lines[2].line", "sales[0].lines[3].codes[0]"}
    assert all(one["what"] and one["what_zh"] and one["do"] and one["do_zh"] for one in answer["problems"])


def test_a_code_that_is_empty_or_broken_is_named_and_never_dropped(till: httpx.Client) -> None:
    body = sale(new_box())
    body["lines"][0]["codes"] += ["", " ", "\0", "8\x000"]
    answer = till.post("/api/v1/sales", json={"sales": [body]}).json()
    assert [one["where"] for one in answer["results"]] == ["sales[0].lines[0].codes[0]"]
    assert [one["where"] for one in answer["problems"]] == [
        f"sales[0].lines[0].codes[{place}]" for place in (1, 2, 3, 4)
    ]
    body["lines"][0]["codes"] = [new_box(), "8" * 501]
    answer = till.post("/api/v1/sales", json={"sales": [body]}).json()
    assert answer["results"] == []
    assert answer["problems"][0]["where"] == "sales[0].lines[0].codes[1]"


def test_a_carton_moves_with_what_is_in_it(portal: Portal) -> None:
    carton, box = "(00)361234500000000026", new_box()
    with portal.client(MAKER) as maker:
        packing = {"action": "packed", "parent": carton, "children": [box], "time": "2026-11-01T08:00:00"}
        packed = {"packages": [packing]}
        shipping = {"kind": "shipped", "code": carton, "counterparty": PHARMACY_P, "time": "2026-11-02T08:00:00"}
        shipped = {"scans": [shipping]}
        assert maker.post("/api/v1/packages", json=packed).status_code == 200
        assert maker.post("/api/v1/scans", json=shipped).status_code == 200
        chapters = maker.get("/api/v1/history", params={"code": box}).json()["chapters"]
    assert [chapter["kind"] for chapter in chapters] == ["packed", "shipped"]
    assert chapters[1]["carton"] == "sscc:361234500000000026"


def test_a_split_pack_is_sold_to_several_until_it_is_empty(till: httpx.Client) -> None:
    box = new_box(SPLITTABLE)

    def part(units: int) -> dict[str, Any]:
        line = {"line": "1", "product": SPLITTABLE, "quantity": str(units), "split": True, "codes": [box]}
        return {"references": {"order": f"S{next(_NUMBERS)}"}, "lines": [line]}

    assert statuses(till.post("/api/v1/sales", json={"sales": [part(12), part(12)]})) == ["accepted"] * 2
    assert statuses(till.post("/api/v1/sales", json={"sales": [part(1)]})) == ["over_split"]
    escape = {"references": {"order": "S0"}, "lines": [{"product": SPLITTABLE, "split": True, "codes": [ESCAPE]}]}
    assert statuses(till.post("/api/v1/sales", json={"sales": [escape]})) == ["accepted"]


def test_a_return_gives_its_sale_back(till: httpx.Client) -> None:
    box = new_box()
    sold = sale(box)
    till.post("/api/v1/sales", json={"sales": [sold]})
    back = {
        "time": "2026-11-20T18:00:00+08:00",
        "references": sold["references"],
        "lines": [{"line": "1", "product": WHOLE, "codes": [box]}],
    }
    assert statuses(till.post("/api/v1/returns", json={"returns": [back]})) == ["accepted"]
    assert statuses(till.post("/api/v1/sales", json={"sales": [sale(box)]})) == ["accepted"]


# Orders


def test_an_order_holds_from_its_acknowledgement_until_the_same_party_lifts_it(
    portal: Portal, till: httpx.Client
) -> None:
    box = new_box()
    order = {"orders": [{"scope": "code", "code": box, "reason": "召回"}]}
    key = {"idempotency-key": "recall-1"}
    with portal.client(REGULATOR) as regulator, portal.client(MAKER) as maker:
        assert statuses(regulator.post("/api/v1/holds", json=order, headers=key)) == ["accepted"]
        assert till.post("/api/v1/claims", json=claim(box)).json()["lines"][0]["status"] == "held"
        assert statuses(maker.post("/api/v1/holds/lift", json=order)) == ["undo_by_another"]
        # The same body under the same key is another order here: it acts.
        assert statuses(regulator.post("/api/v1/holds/lift", json=order, headers=key)) == ["accepted"]
        assert till.post("/api/v1/claims", json=claim(box)).json()["verdict"] == "pay"
    assert till.post("/api/v1/holds", json=order).status_code == 403


# Who may speak


def test_who_holds_a_delegation_speaks_for_the_grantor_and_for_nobody_else(portal: Portal) -> None:
    with portal.client(HEAD_OFFICE) as chain:
        assert PHARMACY_P in chain.get("/api/v1/me").json()["speaks_for"]
        mine = chain.post("/api/v1/sales", json={"institution": PHARMACY_P, "sales": [sale(new_box())]})
        assert statuses(mine) == ["accepted"]
        other = chain.post("/api/v1/sales", json={"institution": PHARMACY_Q, "sales": [sale(new_box())]})
        assert (other.status_code, other.json()["code"]) == (403, "not_allowed")


def test_nobody_uploads_without_a_key_and_an_official_uploads_no_sale(portal: Portal) -> None:
    body = {"sales": [sale(new_box())]}
    with portal.client() as nobody, portal.client(AGENCY) as agency:
        assert nobody.post("/api/v1/sales", json=body).status_code == 401
        assert agency.post("/api/v1/sales", json=body).status_code == 403


# Strict about what is written


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", 0),
        ("split", "false"),
        ("split", None),
        ("quantity", 1),
        ("price", 13.8),
        ("codes", "82345671000000000001"),
        ("line", 1),
        ("no_code", "perhaps"),
        ("colour", "red"),
    ],
)
def test_no_value_is_taken_for_another_and_no_field_is_passed_over(till: httpx.Client, field: str, value: Any) -> None:
    body = sale(new_box())
    body["lines"][0][field] = value
    answer = till.post("/api/v1/sales", json={"sales": [body]}).json()
    assert answer["results"] == []
    assert answer["problems"][0]["where"].startswith("sales[0].lines[0]")


@pytest.mark.parametrize("time", ["", "1970", "2026-13-01T10:00:00+08:00", "2026-03-09T10:00:00+99:00", "yesterday"])
def test_a_time_that_is_none_keeps_its_line_out(till: httpx.Client, time: str) -> None:
    answer = till.post("/api/v1/sales", json={"sales": [sale(new_box(), time=time)]}).json()
    assert (answer["results"], answer["problems"][0]["where"]) == ([], "sales[0].time")


@pytest.mark.parametrize("time", ["2026-03-09T10:00:00+08:00", "2026-03-09T02:00:00Z", "2026-03-09 10:00:00"])
def test_a_time_may_be_written_with_and_without_a_zone(till: httpx.Client, time: str) -> None:
    assert statuses(till.post("/api/v1/sales", json={"sales": [sale(new_box(), time=time)]})) == ["accepted"]


def test_a_query_reads_numbers_and_flags_from_their_texts_and_refuses_what_is_none(till: httpx.Client) -> None:
    assert till.get("/api/v1/claims", params={"limit": "2"}).status_code == 200
    for wrong in ({"limit": "many"}, {"limit": "0"}, {"limit": "501"}, {"colour": "red"}, {"after": "zzz"}):
        refused = till.get("/api/v1/claims", params=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "field_unusable"), wrong


def test_a_body_that_cannot_be_read_is_refused_by_what_is_wrong_with_it(till: httpx.Client) -> None:
    def post(content: Any, **headers: str) -> tuple[int, str]:
        told = till.post("/api/v1/sales", content=content, headers={**JSON, **headers})
        return told.status_code, told.json()["code"]

    assert post(b"{") == (400, "malformed_json")
    assert post(b'{"id": "\xff", "sales": []}') == (400, "malformed_json")
    assert post(b'{"sales": ' + b"[" * 100_000) == (400, "malformed_json")
    assert post(b"{}") == (422, "field_unusable")
    assert post(b'{"sales": []}') == (422, "field_unusable")
    assert post(b'{"sales": [{"lines": []}], "x": 1}') == (422, "field_unusable")
    assert post(b"{}", **{"content-type": "text/plain"}) == (415, "not_json")


def test_a_body_beyond_the_limit_is_refused_with_the_limit(till: httpx.Client) -> None:
    large = b" " * (9 << 20)

    def in_blocks() -> Iterator[bytes]:
        for start in range(0, len(large), 1 << 20):
            yield large[start : start + (1 << 20)]

    for content in (large, in_blocks()):
        refused = till.post("/api/v1/sales", content=content, headers=JSON)
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        assert "8000000" in refused.json()["detail"]


# Prescriptions


def test_prescribed_meets_dispensed_and_nobody_else_finds_it(portal: Portal, till: httpx.Client) -> None:
    number = f"RX{next(_NUMBERS)}"
    prescription = {
        "number": number,
        "time": "2026-11-20T09:00:00+08:00",
        "lines": [{"product": WHOLE, "quantity": 2}, {"product": SPLITTABLE, "quantity": 1}],
        "prescriber": {"name": "某医师"},
    }
    address = f"/api/v1/prescriptions/{HOSPITAL_A}/{number}"
    with portal.client(HOSPITAL_A) as hospital, portal.client(PHARMACY_Q) as other:
        body = {"prescriptions": [prescription]}
        assert statuses(hospital.post("/api/v1/prescriptions", json=body)) == ["accepted"] * 2
        assert statuses(hospital.post("/api/v1/prescriptions", json=body)) == ["first_answer"] * 2
        sold = sale(new_box(), new_box())
        sold["references"] |= {"prescription": number, "prescription_issuer": HOSPITAL_A}
        assert statuses(till.post("/api/v1/sales", json={"sales": [sold]})) == ["accepted"] * 2
        found = eventually(lambda: (told := hospital.get(address).json()).get("dispensed") and told)
        assert [(one["prescribed"], one["dispensed"], one["outcome"]) for one in found["medicines"]] == [
            (2, 2, "complete"),
            (1, 0, "open"),
        ]
        assert {one["institution"] for one in found["dispensed"]} == {""}, "who sold is not told to the hospital"
        assert till.get(address).json()["dispensed"][0]["institution"] == PHARMACY_P
        assert other.get(address).status_code == 404
        assert "某医师" not in hospital.get(address).text


# Files


def test_a_dry_run_answers_as_the_real_one_and_writes_nothing(till: httpx.Client) -> None:
    box = new_box()
    table = f"code,product\n{box},{WHOLE}\n{box[:-1]},{WHOLE}\n8.1E+19,{WHOLE}\n".encode()

    def send(**query: str) -> dict[str, Any]:
        answer = till.post("/api/v1/files", params={"kind": "sold", **query}, content=table, headers=CSV)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    dry = send(dry_run="true")
    assert (dry["dry_run"], dry["lines"], dry["left_out"]) == (True, 2, 1)
    assert till.get("/api/v1/history", params={"code": box}).json()["chapters"] == []
    real = send()
    assert (real["statuses"], real["problems"]) == (dry["statuses"], dry["problems"])
    assert len(till.get("/api/v1/history", params={"code": box}).json()["chapters"]) == 1
    for nothing in (b"", b"<xml/>"):
        refused = till.post("/api/v1/files", content=nothing, headers=CSV)
        assert (refused.status_code, refused.json()["code"]) == (422, "field_unusable")


def test_a_large_upload_is_taken_whole_and_nobody_waits_for_it_at_the_counter(till: httpx.Client) -> None:
    lines = [{"line": str(number), "product": WHOLE, "codes": [new_box()]} for number in range(1_500)]
    body = {"sales": [{**sale(new_box()), "lines": lines}]}
    first, again = (till.post("/api/v1/sales", json=body) for _ in range(2))
    assert statuses(first) == ["accepted"] * 1_500
    assert statuses(again) == ["first_answer"] * 1_500


CSV = {"content-type": "text/csv"}


def test_an_event_file_is_captured_event_by_event(portal: Portal) -> None:
    event = {
        "type": "ObjectEvent",
        "eventTime": "2026-11-20T02:00:00Z",
        "eventTimeZoneOffset": "+08:00",
        "epcList": ["urn:epc:id:sgtin:690123456.0789.SN4711"],
        "action": "OBSERVE",
        "bizStep": "shipping",
    }
    document = {
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-20T02:00:00Z",
        "epcisBody": {"eventList": [event, {**event, "eventTime": "soon"}]},
    }
    kind = {"content-type": "application/ld+json"}
    with portal.client(MAKER) as maker:
        taken = maker.post("/api/v1/epcis/capture", json=document, headers=kind).json()
        assert [one["status"] for one in taken["results"]] == ["accepted"]
        assert taken["problems"][0]["where"].startswith("eventList[1]")
        assert maker.post("/api/v1/epcis/capture", json={"type": "Tea"}, headers=kind).status_code == 422


# Libraries, no-code


def test_a_library_is_fetched_once_and_asked_for_ever_after(till: httpx.Client) -> None:
    first = till.get("/api/v1/catalogue/mapping/download", params={"day": "2026-11-20"})
    assert (first.status_code, len(first.text.splitlines())) == (200, 5)
    same = {"if-none-match": first.headers["etag"]}
    assert till.get("/api/v1/catalogue/mapping/download", params={"day": "2026-11-20"}, headers=same).status_code == 304
    table = till.get("/api/v1/catalogue/mapping/download", params={"day": "2026-11-20", "form": "csv"}, headers=same)
    assert (table.status_code, table.text.splitlines()[0].split(",")[:2]) == (200, ["left", "right"])
    assert till.get("/api/v1/catalogue/tea/download").status_code == 404
    assert till.get("/api/v1/catalogue/mapping/download", params={"day": "2026-02-30"}).status_code == 422


def test_stock_without_codes_settles_from_the_moment_the_agency_accepts_it(portal: Portal) -> None:
    with portal.client(HOSPITAL_A) as hospital, portal.client(AGENCY) as agency:

        def settle() -> str:
            body = {"setting": "outpatient", "references": {"order": f"N{next(_NUMBERS)}"}, "fund": "employee"}
            line = {"line": "1", "product": LEGACY, "quantity": "1", "amount": "5.00", "no_code": "legacy"}
            return str(hospital.post("/api/v1/claims", json={**body, "lines": [line]}).json()["verdict"])

        assert settle() == "refuse"
        asked = {"product": LEGACY, "quantity": 1, "reason": "2025年7月前库存", "until": "2027-06-30"}
        request = hospital.post("/api/v1/no-code/requests", json=asked).json()
        assert hospital.post("/api/v1/no-code/requests", json=asked).json()["status"] == "first_answer"
        assert settle() == "refuse"
        listed = eventually(lambda: agency.get("/api/v1/no-code/requests", params={"state": "open"}).json()["requests"])
        assert [one["id"] for one in listed] == [request["id"]]
        decision = f"/api/v1/no-code/requests/{request['id']}/decision"
        assert hospital.post(decision, json={"decision": "accepted"}).status_code == 403
        for status in ("accepted", "first_answer"):
            assert agency.post(decision, json={"decision": "accepted"}).json()["status"] == status
        declared = [row["declared"] for row in hospital.get("/api/v1/no-code").json()["stock"]]
        assert declared == [2, 3], "what was declared before, and one more; deciding twice grants once"
        assert [settle() for _ in range(4)] == ["pay", "pay", "pay", "refuse"]


# Self-audit


def test_an_institution_finds_its_conflicts_and_explains_them(portal: Portal, till: httpx.Client) -> None:
    box = new_box()
    till.post("/api/v1/sales", json={"sales": [sale(box)]})
    with portal.client(PHARMACY_Q) as other:
        other.post("/api/v1/sales", json={"sales": [sale(box)]})

        def conflict() -> Any:
            found = other.get("/api/v1/self-audit").json()["conflicts"]
            return next((one for one in found if one["box"] == f"trace20:{box}"), None)

        alert = eventually(conflict)
        assert PHARMACY_P not in str(alert)
        address = f"/api/v1/self-audit/{alert['id']}/explanation"
        assert other.post(address, json={"text": "分店调拨"}).json() == {"status": "accepted", "state": "contested"}
        assert other.post(address, json={"text": "分店调拨"}).json()["status"] == "first_answer"
        assert other.post(address, json={"text": ""}).status_code == 422
    with portal.client(HOSPITAL_A) as stranger:
        assert stranger.post(address, json={"text": "?"}).status_code == 404
