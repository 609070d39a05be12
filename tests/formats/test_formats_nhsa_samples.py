"""Messages made by others: the samples beside the specification are read and answered."""

import json
from pathlib import Path

import pytest
from formats_messages import answered

from suyuan.formats import nhsa
from suyuan.formats.document import Outcome
from suyuan.ledger.scan import Scan
from suyuan.settlement.claim import Claim, ClaimVerdict

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "nhsa"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not beside this repository")


@needs_samples
def test_the_purchase_of_a_pharmacy_chain_in_qingdao_is_read_and_answered() -> None:
    document = nhsa.read((SAMPLES / "3503-purchase-qingdao.request.json").read_bytes())
    (scan,) = document.records
    assert isinstance(scan, Scan)
    assert (document.infno, document.institution) == ("3503", "P37020300001")
    assert (scan.kind, scan.code, scan.quantity, scan.product) == ("received", "", "3", "Q02000000")
    assert (scan.lot, scan.made, scan.expiry) == ("20240517", "2024-05-17", "2027-05-16")
    assert scan.counterparty == "示例医疗用品有限公司"
    assert not document.problems
    assert answered(document, "accepted")["output"] == {"result": {"retRslt": "1", "msgRslt": "成功"}}


@needs_samples
def test_the_settlement_of_a_hospital_in_chongqing_is_read_and_answered() -> None:
    document = nhsa.read((SAMPLES / "2207-settle-chongqing.request.json").read_bytes())
    (claim,) = document.records
    assert isinstance(claim, Claim)
    assert claim.references == {"order": "202109240828170091", "visit": "000000000001"}
    assert (claim.amount, claim.fund, claim.person) == (9_000_000, "resident", "psn:JM0000000001@500155")
    assert claim.lines == []
    verdict = ClaimVerdict(verdict="pay", settlement="S1", amount=9_000_000, paid=9_000_000)
    reply = json.loads(nhsa.answer(document, Outcome(results=[verdict], reference="5" * 30)))
    assert reply["infcode"] == 0
    assert reply["output"]["setlinfo"]["fund_pay_sumamt"] == 9.0


@needs_samples
def test_every_sample_is_read_or_refused_with_words_that_name_its_transaction() -> None:
    taken = {"2206A-presettle-liaoning", "2207-settle-chongqing", "3503-purchase-qingdao"}
    for path in sorted(SAMPLES.glob("*.json")):
        document = nhsa.read(path.read_bytes())
        if path.name.split(".")[0] in taken:
            assert not document.fatal
        elif ".request." in path.name:
            assert path.name[:4] in document.fatal
        else:
            assert "infno" in document.fatal
