"""The demonstration: small countries through a real node, where auditor, truth and alerts must agree."""

import os
from pathlib import Path

import pytest

from suyuan.node import Node
from suyuan.simulation.country import write_country
from suyuan.simulation.demo import Demonstration, SimulatedClock, demonstrate
from suyuan.simulation.report import false_alarms
from suyuan.simulation.truth import FRAUDS, PLANTED


def played(folder: Path, seed: int, *, institutions: int, boxes: int, days: int) -> Demonstration:
    write_country(folder / "country", seed, institutions=institutions, boxes=boxes, days=days, noise="high")
    clock = SimulatedClock()
    with Node.open(folder / "node", clock) as node:
        return demonstrate(folder / "country", node, clock)


def off_the_diagonal(done: Demonstration) -> dict[tuple[str, str], int]:
    expected = {kind: kind for kind in FRAUDS} | {"recall": "recalled"}
    return {
        (kind, name): count
        for kind, row in done.findings.matrix.items()
        for name, count in row.items()
        if count and name != expected[kind]
    }


def assert_sound(done: Demonstration) -> None:
    assert done.audit.differences == []
    assert {cause: count for cause, count in done.findings.silent.items() if count} == {}
    assert false_alarms(done.findings) == 0
    assert done.sound
    assert off_the_diagonal(done) == {}
    assert all(sum(done.findings.matrix[kind].values()) >= 2 for kind in PLANTED)
    assert done.findings.followed == 0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SUYUAN_ENGINE", "memory")
        return played(tmp_path_factory.mktemp("small"), 2, institutions=20, boxes=900, days=20)


def test_a_small_country_is_audited_and_every_planted_story_is_named(small: Demonstration) -> None:
    assert_sound(small)
    assert small.audit.stories > 400
    assert {"boxes", "sales", "claims_paid", "money_paid", "money_refused"} <= set(small.audit.compared)


def test_claims_are_answered_as_a_bookkeeper_who_knows_everything_expects(small: Demonstration) -> None:
    assert small.audit.surprises == []


def test_a_recall_refuses_claims_and_its_report_says_so(small: Demonstration) -> None:
    figures = small.audit.figures
    assert (figures["orders"], figures["orders_lifted"]) == (3, 1)
    assert figures["refused_by_order"] >= 2
    assert small.totals.alerts["recalled"] == sum(small.findings.matrix["recall"].values())
    assert "召回 Recalls" in small.report
    assert "the books agree" in small.report


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5] if os.environ.get("SUYUAN_LONG") == "1" else [1, 4])
def test_countries_of_any_seed_are_sound_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setenv("SUYUAN_ENGINE", "rocks")
    done = played(tmp_path, seed, institutions=50, boxes=4000, days=30)
    assert_sound(done)
    assert done.audit.surprises == []
