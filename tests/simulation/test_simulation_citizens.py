"""What the demo's citizens leave behind: reports on their way, a receipt that proves its box, and no second copy."""

from pathlib import Path

from story import PHARMACY_P, catalogue

from suyuan.formats import nhsa
from suyuan.intake.reports import read_report
from suyuan.lookup.receipt import opened
from suyuan.node import Node
from suyuan.simulation.citizens import STORIES, leave_traces

BOXES = [f"8234567{number:013}" for number in range(1, 6)]


def sale(*boxes: str) -> bytes:
    codes = ",".join(f'{{"drug_trac_codg":"{box}"}}' for box in boxes)
    return (
        f'{{"infno":"3505","msgid":"M1","insuplc_admdvs":"440100","infver":"V1.0","fixmedins_code":"{PHARMACY_P}",'
        f'"input":{{"selinfo":{{"fixmedins_bchno":"B1","rtal_docno":"S1","psn_no":"p","sel_retn_cnt":"1",'
        f'"sel_retn_time":"2026-03-09 10:00:00","drugtracinfo":[{codes}]}}}}}}'
    ).encode()


def test_the_demo_leaves_reports_in_every_state_and_a_receipt_and_done_again_the_same_ones(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node") as node:
        content = catalogue()
        node.tables.save_catalogue(content)
        node.reload_catalogue()
        node.take(nhsa.read(sale(*BOXES[1:])))
        left = leave_traces(node, BOXES)
        assert len(left) == len(STORIES) + 1
        states = [read_report(node.ledger, one.path.rpartition("/")[2]) for one in left[:-1]]
        assert [file.state for file in states if file is not None] == ["received", "checking", "answered"]
        token = opened(left[-1].path, node.signer.public)
        assert token.has_box(f"trace20:{BOXES[1]}")
        assert not token.has_box(f"trace20:{BOXES[0]}")
        again = leave_traces(node, BOXES)
        assert [one.path for one in again[:-1]] == [one.path for one in left[:-1]]
        assert leave_traces(node, BOXES[:1]) == []
