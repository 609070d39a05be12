"""The page for HIS vendors is so: its messages are sent, and its answers are what comes back."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nhsa_till import Till, till
from story import HOSPITAL_A, HOSPITAL_B

PAGE = Path(__file__).resolve().parents[2] / "docs" / "nhsa-address.md"
BLOCKS = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def his(tmp_path: Path) -> Iterator[Till]:
    with till(tmp_path / "node") as running:
        yield running


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with what differs from run to run replaced by what it is."""
    shown = {**answer}
    for name in ("refmsg_time", "respond_time"):
        assert re.fullmatch(r"\d{17}", shown[name])
        shown[name] = "(17 digits)"
    if shown["inf_refmsgid"]:
        assert re.fullmatch(r"\d{30}", shown["inf_refmsgid"])
        shown["inf_refmsgid"] = "(30 digits)"
    if shown["err_msg"]:
        shown["err_msg"] = "(words)"
    return shown


def test_the_worked_example_is_answered_as_the_page_says(his: Till) -> None:
    settle, settled, sale, reported, refused = map(json.loads, BLOCKS.findall(PAGE.read_text(encoding="utf-8")))
    assert his.post({**settle, "infno": "2206"}).json()["infcode"] == 0
    given = his.post(settle).json()
    number = given["output"]["setlinfo"]["setl_id"]
    shown = json.loads(json.dumps(steady(given)).replace(number, "(setl_id)"))
    assert shown == settled, json.dumps(shown, ensure_ascii=False, indent=2)
    sale["input"]["selinfo"]["setl_id"] = number
    assert steady(his.post(sale).json()) == reported
    told = his.post({**settle, "fixmedins_code": HOSPITAL_B}, his.token_path(HOSPITAL_B)).json()
    assert steady(told) == refused
    assert "82345671234567890123" in told["err_msg"]
    assert settle["fixmedins_code"] == HOSPITAL_A
