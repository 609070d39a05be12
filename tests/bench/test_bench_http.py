"""The bench over HTTP sends what it says, and its table shows what was promised and what was measured."""

from pathlib import Path

import msgspec
import pytest

from suyuan.bench.core import Codes
from suyuan.bench.http import BUDGETS, run
from suyuan.bench.traffic import SHAPES, request
from suyuan.formats import nhsa
from suyuan.formats.api import documents
from suyuan.ledger.scan import Scan
from suyuan.settlement.claim import Claim

BOXES = Codes(20_000)


def _body(name: str, number: int) -> bytes:
    return request(SHAPES[name], "id.secret", number, BOXES).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", ["nhsa sale", "api sale"])
def test_a_sale_has_ten_codes_and_no_problem(name: str) -> None:
    document = nhsa.read(_body(name, 7)) if name.startswith("nhsa") else documents.read("sales", _body(name, 7))
    assert not document.fatal
    assert not document.problems
    assert len({record.code for record in document.records if isinstance(record, Scan)}) == 10


@pytest.mark.parametrize("name", ["nhsa claim", "api claim"])
def test_a_claim_has_five_codes_and_no_problem(name: str) -> None:
    raw = _body(name, 7)
    document = nhsa.read(raw) if name.startswith("nhsa") else documents.read_claim(raw, advice=False)
    assert not document.fatal
    assert not document.problems
    (claim,) = document.records
    assert isinstance(claim, Claim)
    assert sum(len(line.codes) for line in claim.lines) == 5


def test_no_box_is_used_twice() -> None:
    codes = [row["codes"][0] for number in range(500) for row in _lines(number)]
    assert len(set(codes)) == len(codes) == 5_000


def _lines(number: int) -> list[dict[str, list[str]]]:
    lines: list[dict[str, list[str]]] = msgspec.json.decode(_body("api sale", number))["sales"][0]["lines"]
    return lines


@pytest.mark.slow
def test_a_small_run_measures_everything_that_is_promised(tmp_path: Path) -> None:
    done = run(60_000, 64, minutes=0.02, profile=True, folder=tmp_path)
    measured = {measure.name for measure in done.measures}
    assert sum(measure.met is not None for measure in done.measures) >= 3 * len(BUDGETS) + 2
    assert {"memory of the server", "  growth in the second half", "least answer (/livez)"} <= measured
    assert any("files beside it" in name for name in measured)
    assert not any("not good" in measure.note for measure in done.measures)
    assert not list(tmp_path.iterdir())
