"""Every door leads to one place: who may speak for whom, what is refused as a whole, and that nothing of it stays."""

from datetime import timedelta
from pathlib import Path

import pytest
from story import (
    HEAD_OFFICE,
    HOSPITAL_A,
    MONDAY,
    PHARMACY_P,
    PHARMACY_Q,
    WHOLE,
    Line,
    Story,
    catalogue,
    micros,
    written,
)

from suyuan.formats.document import Document
from suyuan.intake import take_all
from suyuan.ledger.scan import Result, Scan
from suyuan.node import Node
from suyuan.settlement.claim import ClaimVerdict


def test_a_party_speaks_for_itself_and_for_those_who_delegated_to_it_until_the_last_day() -> None:
    story = Story()
    row = {"fixmedins_hilist_id": "1", "rtal_docno": "1", "drugtracinfo": [{"drug_trac_codg": story.new_box()}]}

    def send(by: str, place: str = PHARMACY_P) -> str:
        return story.send("3505", place, {"selinfo": row}, by=by).fatal

    assert not send("")
    assert not send(PHARMACY_P)
    assert not send(HEAD_OFFICE)
    assert "无权" in send(PHARMACY_Q)
    assert "无权" in send(HEAD_OFFICE, PHARMACY_Q)
    story.wait(days=400)
    assert "无权" in send(HEAD_OFFICE)


def test_an_unknown_institution_is_taken_as_its_code_says_or_refused_where_the_node_is_told_so() -> None:
    story = Story()
    unknown = "P33010000077"
    assert story.report_sale(unknown, story.new_box(), receipt="1") == "accepted"
    assert story.events()[0].region == "330100"
    assert story.report_sale("clinic", story.new_box(), receipt="1") == "accepted"
    story.desk.accept_unknown = False
    before = story.events()
    box = {"fixmedins_hilist_id": "1", "drugtracinfo": [{"drug_trac_codg": story.new_box()}]}
    assert "未登记" in story.send("3505", unknown, {"selinfo": box}).fatal
    assert story.answer["infcode"] == -1
    assert story.events() == before


def test_a_document_that_cannot_be_read_or_names_nobody_leaves_nothing_behind() -> None:
    story = Story()
    for raw in (b"", b"\xff\xfe", b"{}", b'{"infno":"3505","input":{"selinfo":{"drug_trac_codg":"8"}}}'):
        assert story.send_bytes(raw).fatal
        assert story.answer["infcode"] == -1
    assert not story.events()


def test_good_rows_go_in_beside_bad_ones() -> None:
    story = Story()
    good = {"fixmedins_hilist_id": "1", "mdtrt_sn": "1", "drugtracinfo": [{"drug_trac_codg": story.new_box()}]}
    outcome = story.send("3505A", PHARMACY_P, {"selinfoDetail": [good, {"sel_retn_time": "never", **good}]})
    assert len(outcome.results) == 1
    assert outcome.problems
    assert len(list(story.boxes())) == 1


def _scan(code: str, receipt: str) -> Scan:
    return Scan(kind="sold", code=code, where="1", event_time=micros(MONDAY), references={"receipt": receipt})


def test_documents_taken_ahead_are_taken_in_order() -> None:
    story = Story()
    boxes = [story.new_box() for _ in range(3)]
    documents = [
        Document(
            format="table",
            infno="sold",
            institution=PHARMACY_P,
            raw=f"{number}".encode(),
            records=[_scan(box, f"{number}")],
        )
        for number, box in enumerate([boxes[0], boxes[1], boxes[0]])
    ]
    documents.insert(1, Document(format="table", fatal="cut off"))
    story.wait(hours=1)
    taken = [outcome for _, outcome in take_all(story.desk, documents)]
    assert [outcome.fatal for outcome in taken] == ["", "cut off", "", ""]
    statuses = [result.status for outcome in taken for result in outcome.results if isinstance(result, Result)]
    assert statuses == ["accepted", "accepted", "conflict_sold"]


def test_raw_bytes_are_not_asked_of_those_who_have_none() -> None:
    story = Story()
    document = Document(format="table", institution=PHARMACY_P, records=[_scan(story.new_box(), "1")])
    assert [story.take(document)[0].status for _ in range(2)] == ["accepted", "first_answer"]


def test_deadlines_fall_due_in_any_number() -> None:
    story = Story()
    for number in range(1, 1101):
        row = {"code": f"8234567{number:013d}", "visit": f"{number}", "event_time": written(MONDAY)}
        story.send_table(HOSPITAL_A, "returned", row)
    assert story.wait(days=11) == 1100
    assert story.wait(days=11) == 0


def test_a_sale_of_the_future_is_kept() -> None:
    story = Story()
    box = story.new_box()
    assert story.report_sale(PHARMACY_P, box, receipt="1", when=MONDAY + timedelta(days=2)) == "accepted"
    assert len(story.box(box).sales) == 1


@pytest.mark.parametrize("engine", ["memory", "rocks"])
def test_a_node_tells_the_same_story(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUYUAN_ENGINE", engine)
    monkeypatch.setenv("SUYUAN_POLICY", "strict")
    with Node.open(tmp_path / "node") as node:
        story = Story(journal=node.journal)
        node.ledger.clock = lambda: story.now
        node.use_catalogue(catalogue())
        story.desk = node.desk
        box, late = story.new_box(), story.new_box()
        assert story.settle(HOSPITAL_A, box).verdict == "pay"
        refused = story.settle(PHARMACY_P, box)
        assert isinstance(refused, ClaimVerdict)
        assert refused.verdict == "refuse"
        story.fees(HOSPITAL_A, [Line(product=WHOLE)], order="2", visit="2")
        story.settle(HOSPITAL_A, order="2", visit="2", expected=1)
        story.now += 4 * 86_400_000_000
        assert node.take_time() == 1
        node.rehearse()
        assert story.report_sale(HOSPITAL_A, late, visit="3") == "accepted"
        assert node.take_time() == 0
        assert not story.history(late)
        assert story.alerts() == ["clone"]
