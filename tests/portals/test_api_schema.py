"""The interface keeps to its own description: whatever is asked, whoever asks, no failure and no surprise."""

import contextlib
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from portal import AGENCY, INSPECTOR, Portal, eventually
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from story import HOSPITAL_A, MAKER, PHARMACY_P, PHARMACY_Q, WHOLE

from suyuan.portals.app import URLS
from suyuan.portals.openapi import document

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
"""That every fault of a line refuses the whole request is not promised: good lines go in, bad lines come back."""
ENDLESS = "/stream"
"""Answers that go on until their reader leaves; they have tests of their own."""
BOX = "82345671000000000001"
EXAMPLE = "81234560000000000001"
"""The code of the description's own examples."""

CALLERS = {
    "citizen": "",
    "pharmacy": PHARMACY_P,
    "hospital": HOSPITAL_A,
    "maker": MAKER,
    "agency": AGENCY,
    "inspector": INSPECTOR,
}


def operations() -> dict[str, Any]:
    """Every operation of the description by method and path, made of the same list of addresses that is served."""
    described = schemathesis.openapi.from_dict(document(URLS))
    found: list[Any] = [one.ok() for one in described.get_all_operations() if isinstance(one, Ok)]
    return {one.label: one for one in found if ENDLESS not in one.path}


OPERATIONS = operations()


@pytest.fixture(scope="module")
def seeded(portal: Portal) -> Portal:
    """A portal with records, so that questions find something."""
    sold = {"references": {"receipt": "R-0001", "order": "O-1"}, "lines": [{"line": "1", "codes": [BOX, EXAMPLE]}]}
    claim = {
        "setting": "pharmacy",
        "references": {"order": "O-1"},
        "lines": [{"line": "1", "product": WHOLE, "amount": "13.80", "codes": [{"code": "82345671000000000002"}]}],
    }
    for party in (PHARMACY_P, PHARMACY_Q):
        with portal.client(party) as client:
            assert client.post("/api/v1/sales", json={"id": "1", "sales": [sold]}).status_code == 200
            assert client.post("/api/v1/claims", json=claim).status_code == 200
            eventually(lambda client=client: client.get("/api/v1/claims").json()["claims"])
    return portal


def ask(portal: Portal, label: str, caller: str, examples: int) -> None:
    """Ask an operation its own examples, then what its description allows, then what it does not, as one caller."""
    party = CALLERS[caller]
    headers = {"authorization": f"Bearer {portal.keys[party]}"} if party else {}
    operation = OPERATIONS[label]
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    other = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    tried = [(strategy, 1) for strategy in operation.get_strategies_from_examples()]
    for strategy, count in (*tried, (allowed, examples), (other, examples)):

        @settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def told(case: Any) -> None:
            case.call_and_validate(base_url=portal.address, headers=headers, checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked
            told()


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_is_described_is_what_is_answered(seeded: Portal, label: str) -> None:
    ask(seeded, label, "pharmacy", 1)


LONG = os.environ.get("SUYUAN_LONG") == "1"
"""Every caller and more examples: many minutes."""


@pytest.mark.slow
@pytest.mark.parametrize("caller", CALLERS if LONG else ("citizen", "maker", "inspector"))
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_caller_finds_a_failure_or_a_surprise(seeded: Portal, label: str, caller: str) -> None:
    ask(seeded, label, caller, 10 if LONG else 5)
