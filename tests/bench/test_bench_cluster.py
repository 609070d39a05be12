"""The bench of several processes on one database: no box is used twice, and every process does its part."""

from pathlib import Path

import pytest

from suyuan.bench.cluster import Part, Plan, boxes_of, run
from suyuan.bench.core import CLAIM_CODES
from suyuan.bench.sizes import course
from suyuan.bench.sizes import run as run_sizes
from suyuan.node import NodeUnusable


def test_no_box_is_sold_or_claimed_by_two_processes() -> None:
    plan = Plan(database="", processes=3, boxes=1_000, sales=300, claims=60)
    parts = [boxes_of(Part(plan=plan, number=number, folder="")) for number in range(3)]
    used = [box for sold, claimed in parts for box in (*sold, *claimed)]
    assert len(used) == len(set(used)) == 300 + 60 * CLAIM_CODES
    assert all(0 <= box < plan.boxes for box in used)


@pytest.mark.slow
def test_a_small_run_measures_bulk_and_claims_and_a_used_database_is_refused(tmp_path: Path, database: str) -> None:
    plan = Plan(database=database, processes=2, boxes=2_000, sales=400, claims=40)
    done = run(plan, folder=tmp_path)
    named = {measure.name.strip(): measure for measure in done.measures}
    assert named["bulk upload, CSV → verdicts → durable"].value > 0
    assert "refused as sold before: 0" in named["claims of 5 codes"].note
    with pytest.raises(NodeUnusable):
        run(plan, folder=tmp_path)
    with pytest.raises(NodeUnusable):
        run_sizes(course("600", 40, 20, database), folder=tmp_path)


@pytest.mark.slow
def test_one_growing_ledger_in_a_database_is_measured_at_each_size(tmp_path: Path, database: str) -> None:
    done = run_sizes(course("600,1200", 40, 20, database), folder=tmp_path)
    assert done.engine == "postgres"
    assert [one.name for one in done.stages[0].measures] == [one.name for one in done.stages[1].measures]
    assert all(one.value >= 0 for stage in done.stages for one in stage.measures)
    assert not list(tmp_path.iterdir())
