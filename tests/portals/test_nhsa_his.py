"""A HIS that knows only the interface's description: killed in mid-answer, on a node killed too, it sells once."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from portal import Portal
from story import HOSPITAL_A, HOSPITAL_B, WHOLE

CLIENT = Path(__file__).with_name("his_client.py")
CODE = "82345674400100200301"


class Workplace:
    """The HIS as a process, with its books in a file."""

    def __init__(self, portal: Portal, books: Path, holder: str = HOSPITAL_A) -> None:
        self.portal, self.books = portal, books
        self.paasid, self.token = portal.keys[holder].split(".", 1)

    def start(self, *options: str) -> subprocess.Popen[str]:
        named = (self.portal.address, HOSPITAL_A, self.paasid, self.token, str(self.books), CODE, WHOLE)
        command = [sys.executable, "-S", str(CLIENT), *options, "--", *named]  # a secret may begin with a dash
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def die_while(self, step: str) -> None:
        """Run until the first byte of the answer to a step has come, and end it there by SIGKILL."""
        with self.start("--pause", step) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line == f"answering {step}\n":
                    break
            process.kill()
        assert self.entries()[step]["state"] == "UNKNOWN"

    def finish(self) -> None:
        with self.start() as process:
            assert process.stdout is not None
            process.stdout.read()
        assert process.returncode == 0

    def entries(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self.books.read_text(encoding="utf-8"))
        return kept


def trace(folder: Path, code: str) -> list[dict[str, Any]]:
    """What the real command tells of a box."""
    command = [sys.executable, "-m", "suyuan", "trace", code, "--dir", str(folder), "--format", "json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    chapters: list[dict[str, Any]] = json.loads(told)["chapters"]
    return chapters


@pytest.mark.slow
def test_a_his_killed_in_mid_answer_sends_again_and_there_is_one_sale_and_one_payment(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node")
    his = Workplace(portal, tmp_path / "books.json")
    with contextlib.ExitStack() as ending:
        ending.callback(portal.stop)
        portal.start()
        his.die_while("settle")
        his.die_while("sale")
        portal.kill()
        portal.start()
        his.finish()
    kept = his.entries()
    assert all(entry["state"] == "SUCCESS" for entry in kept.values())
    assert kept["settle"]["tries"] == kept["sale"]["tries"] == 2
    first, second = (kept[step]["output"]["setlinfo"]["setl_id"] for step in ("settle", "settle_again"))
    assert first != second

    chapters = sorted(trace(portal.folder, CODE), key=lambda one: one["sequence"])
    told = [(one["kind"], one["status"], one["verdict"], one["references"].get("settlement", "")) for one in chapters]
    assert told == [
        ("claimed", "accepted", "pay", first),
        ("cancelled", "accepted", "", first),
        ("claimed", "accepted", "pay", second),
        ("sold", "same_sale", "", second),
    ]
    _, cancelled, paid, sale = chapters
    assert cancelled["corrects"] == 1, "of two payments one was cancelled"
    assert sale["joins"] == paid["sequence"], "the report is that of the payment"


@pytest.mark.slow
def test_the_token_of_one_hospital_signs_nothing_for_another(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node")
    his = Workplace(portal, tmp_path / "books.json", holder=HOSPITAL_B)
    with portal, his.start() as process:
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert process.returncode == 1
    assert his.entries()["sign_in"]["state"] == "UNKNOWN"
