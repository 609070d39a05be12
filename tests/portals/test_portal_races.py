"""One box, one paid claim over HTTP: many tills race for the same boxes, and the server is killed under them."""

import os
from pathlib import Path

import pytest
from portal import Portal
from racing import codes, killed_under_load, raced

LONG = os.environ.get("SUYUAN_LONG") == "1"


@pytest.mark.slow
def test_eight_tills_that_claim_the_same_boxes_get_each_paid_once(tmp_path: Path) -> None:
    raced(tmp_path / "node", codes(25), tills=8, share=25)


@pytest.mark.slow
def test_64_tills_that_claim_the_same_1000_boxes_get_each_paid_once(tmp_path: Path) -> None:
    """8 of the 64 contest each box, to save time; all 64 do where SUYUAN_LONG=1 (about three minutes)."""
    share = 1000 if LONG else 125
    raced(tmp_path / "node", codes(1000), tills=64, share=share)


def restarted(portal: Portal) -> None:
    portal.kill()
    portal.start()


def test_a_killed_server_has_kept_what_it_acknowledged(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node")
    killed_under_load(portal, 1, lambda: restarted(portal))


@pytest.mark.slow
def test_a_server_killed_often_under_load_loses_nothing_and_tills_that_repeat_converge(tmp_path: Path) -> None:
    """Seven times; twenty where SUYUAN_LONG=1."""
    portal = Portal(tmp_path / "node")
    killed_under_load(portal, 20 if LONG else 7, lambda: restarted(portal))
