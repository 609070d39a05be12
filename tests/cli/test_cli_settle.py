"""Claims through the program: verdicts per code, line and claim, answers in the sender's envelope, recalls at once."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cli_shell import DRUG, FAR_AWAY, GTIN, HOSPITAL, MAKER, PHARMACY, SPLITTABLE, Shell, claim

BOX, OTHER = "82345670000000000017", "82345670000000000024"
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "nhsa"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not beside this repository")


def written(shell: Shell, *messages: dict[str, Any]) -> Path:
    return shell.write("claims.jsonl", "".join(json.dumps(one) + "\n" for one in messages))


def test_a_claim_is_paid_and_the_next_one_on_the_same_box_is_refused(town: Shell) -> None:
    paid = town.settle(PHARMACY, BOX, visit="V1")
    assert paid.code == 0
    [verdict] = paid.values
    assert (verdict["verdict"], verdict["paid"]) == ("pay", 10_000_000)
    assert verdict["settlement"].startswith(PHARMACY)
    refused = town.settle(FAR_AWAY, BOX, OTHER, visit="V2")
    assert refused.code == 1
    [verdict] = refused.values
    assert (verdict["verdict"], verdict["settlement"]) == ("refuse", "")
    lines = [(line["verdict"], line["reasons"]) for line in verdict["lines"]]
    assert lines == [("refuse", ["conflict_sold"]), ("pay", ["accepted"])]
    [code] = verdict["lines"][0]["codes"]
    assert (code["code"], code["status"], bool(code["alert"])) == (BOX, "conflict_sold", True)
    assert code["next_action"]
    assert "5个工作日" in verdict["contest"]


def test_a_reader_sees_the_same_as_a_program(town: Shell) -> None:
    message = town.write("claim.json", json.dumps(claim(PHARMACY, BOX, visit="V1")))
    shown = town("settle", message)
    assert shown.code == 0
    assert "claim 结算: pay" in shown.out
    assert BOX in shown.out
    again = town("settle", message)
    assert "first answer repeated" in again.out
    town("settle", town.write("claim.json", json.dumps(claim(FAR_AWAY, BOX, visit="V2"))))
    refused = town("settle", town.write("claim.json", json.dumps(claim(FAR_AWAY, BOX, visit="V3"))))
    assert refused.code == 1
    assert "conflict_sold" in refused.out
    assert "5个工作日" in refused.out


def test_a_claim_on_hold_is_a_finding_too(town: Shell) -> None:
    tablets = "81234560000000000017"
    town.settle(PHARMACY, tablets, visit="V1", product=SPLITTABLE)
    held = town.settle(PHARMACY, tablets, visit="V2", product=SPLITTABLE)
    assert held.code == 1
    assert [(one["verdict"], one["held"]) for one in held.values] == [("hold", 10_000_000)]


def test_answers_go_out_in_the_senders_own_envelope_one_a_line(town: Shell) -> None:
    answers = town.home / "answers.jsonl"
    claims = written(town, claim(PHARMACY, BOX, visit="V1"), claim(FAR_AWAY, BOX, visit="V2"))
    ran = town("settle", claims, "--answers", answers)
    assert ran.code == 1
    first, second = map(json.loads, answers.read_bytes().splitlines())
    assert (first["infcode"], second["infcode"]) == (0, -1)
    assert BOX in second["err_msg"]
    assert first["output"]["setlinfo"]["fund_pay_sumamt"] == 10.0
    assert town("settle", claims, "--answers", claims).code == 2
    assert town("settle", claims, "--answers", town.home / "nowhere" / "x").code == 3


def test_fee_details_and_cancels_in_the_file_are_taken_in_their_order(town: Shell) -> None:
    fees = {"feedetl_sn": "1", "mdtrt_id": "V1", "chrg_bchno": "OV1", "med_list_codg": DRUG, "cnt": 1, "pric": 10}
    common = {"fixmedins_code": HOSPITAL, "insuplc_admdvs": "440100"}
    fee_lines = {"infno": "2204", "msgid": "F1", "input": {"feedetail": [fees]}, **common}
    reversal = {"data": {"omsgid": claim(HOSPITAL, visit="V1")["msgid"], "oinfno": "2207"}}
    undo = {"infno": "2601", "msgid": "C1", "input": reversal, **common}
    today = date.today().isoformat()  # noqa: DTZ011  a reversal has a window, and this message has no time of its own
    settled = claim(HOSPITAL, BOX, visit="V1", day=today)
    ran = town("settle", written(town, fee_lines, settled, undo), "--format", "json")
    assert (ran.code, [one["verdict"] for one in ran.values]) == (0, ["pay"])
    assert town.ask("check", BOX)["outcome"] == "none"
    only = town("settle", written(town, {**fee_lines, "msgid": "F2"}))
    assert (only.code, "no claim" in only.err) == (0, True)


def test_a_table_is_no_settlement_and_is_not_taken_by_the_way(town: Shell) -> None:
    ran = town("settle", town.table("sold", {"code": BOX, "event_time": "2026-03-09"}), "--by", PHARMACY)
    assert (ran.code, "suyuan ingest" in ran.err) == (1, True)
    assert town.ask("trace", BOX)["chapters"] == []


def test_a_dry_run_pays_nobody(town: Shell) -> None:
    claims = written(town, claim(PHARMACY, BOX, visit="V1"))
    [verdict] = town("settle", claims, "--dry-run", "--format", "json").values
    assert verdict["verdict"] == "pay"
    assert town.ask("trace", BOX)["chapters"] == []


@pytest.mark.parametrize("scope", ["code", "batch", "product"])
def test_a_recall_refuses_the_next_claim_until_it_is_lifted(town: Shell, scope: str) -> None:
    boxes = [f"(01){GTIN}(21)SN{number}" for number in range(3)]
    town.ingest("produced", MAKER, *({"code": box, "lot": "L7", "event_time": "2026-01-01"} for box in boxes))
    assert town.settle(PHARMACY, boxes[0], visit="V1").code == 0
    order = {"code": boxes[1], "scope": scope, "lot": "L7", "reason": "异物", "event_time": "2026-03-09"}
    assert town.ingest("hold_set", MAKER, order)["accepted"] == 1
    refused = town.settle(PHARMACY, boxes[1], visit="V2")
    assert (refused.code, refused.values[0]["lines"][0]["reasons"]) == (1, ["held"])
    answer = town.ask("check", boxes[1])
    assert len(answer["holds"]) == 1
    assert "异物" in answer["holds"][0]
    assert "do not use it" in answer["advice_mine"]
    assert "异物" in town("check", boxes[1]).out
    assert "异物" in town("trace", boxes[1]).out
    assert bool(town.ask("check", boxes[2])["holds"]) == (scope != "code")
    assert bool(town.ask("check", boxes[0])["holds"]) == (scope != "code")
    assert town.ingest("hold_lifted", PHARMACY, order)["rejected"] == 1
    assert town.ingest("hold_lifted", MAKER, order)["accepted"] == 1
    assert town.settle(PHARMACY, boxes[1], visit="V3").code == 0
    assert town.ask("check", boxes[1])["holds"] == []


@needs_samples
def test_the_settlement_of_a_hospital_in_chongqing_is_read_and_answered(shell: Shell) -> None:
    answers = shell.home / "answers.json"
    ran = shell("settle", SAMPLES / "2207-settle-chongqing.request.json", "--answers", answers, "--format", "json")
    assert (ran.code, [one["verdict"] for one in ran.values]) == (0, ["pay"])
    answer = json.loads(answers.read_bytes())
    assert answer["infcode"] == 0
    assert answer["output"]["setlinfo"]["setl_id"] == ran.values[0]["settlement"]
    assert answer["output"]["setlinfo"]["medfee_sumamt"] == 9.0


@needs_samples
def test_the_purchase_of_a_pharmacy_chain_in_qingdao_goes_in(shell: Shell) -> None:
    ran = shell("ingest", SAMPLES / "3503-purchase-qingdao.request.json", "--format", "json")
    [summary] = ran.values
    assert (ran.code, summary["read"], summary["accepted"]) == (0, 1, 1)
    again = shell("ingest", SAMPLES / "3503-purchase-qingdao.request.json", "--format", "json").values[0]
    assert (again["read"], again["repeated"]) == (1, 1)
