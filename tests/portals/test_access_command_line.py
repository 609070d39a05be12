"""`suyuan access`: the operator's own door, open also while the node is being served, and written down too."""

import sqlite3
from pathlib import Path

import httpx
import pytest
from access_people import Browser
from portal import Portal, eventually
from story import HOSPITAL_A, PHARMACY_P

from suyuan.cli import run
from suyuan.node import Node
from suyuan.portals.signatures import new_sm2_key
from suyuan.storage.audit import FILE


def said(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command of `suyuan access` prints."""
    capsys.readouterr()
    assert run(["access", *words, "--dir", str(folder)]) == code
    return capsys.readouterr().out


@pytest.mark.slow
def test_keys_and_people_are_made_and_ended_while_the_node_is_being_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "node"
    with Portal(folder) as portal:
        key = said(folder, capsys, "issue", PHARMACY_P, "--label", "till").split()[1]
        assert said(folder, capsys, "issue", HOSPITAL_A, "--format", "json")
        printed = said(folder, capsys, "replace", key)
        secret = printed.rpartition(": ")[2].strip()
        newer = printed.split()[1]
        bearer = {"authorization": f"Bearer {newer}.{secret}"}
        me = portal.address + "/api/v1/me"
        assert httpx.get(me, headers=bearer).json()["party"] == PHARMACY_P
        said(folder, capsys, "revoke", newer)
        eventually(lambda: httpx.get(me, headers=bearer).status_code == httpx.codes.UNAUTHORIZED)
        once = said(folder, capsys, "person", "root", "administrator", "--password").rpartition(": ")[2].strip()
        with Browser(portal, "root", once) as first:
            assert first.signed_in.headers["location"] == "/account/password"
        other = said(folder, capsys, "password", "root").rpartition(": ")[2].strip()
        with Browser(portal, "root", once) as gone, Browser(portal, "root", other) as right:
            assert (gone.signed_in.status_code, right.signed_in.status_code) == (401, 303)
            said(folder, capsys, "disable", "root")
            assert right.get("/account/password").headers["location"].startswith("/sign-in")
        exported = said(folder, capsys, "audit", "export", "--action", "account")
        for action in ("issue", "replace", "revoke", "add", "reset", "disable"):
            assert action in exported
        assert secret not in exported
        assert "0 faults" in said(folder, capsys, "audit", "verify")


def test_a_signature_key_and_a_network_are_registered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "node"
    with Node.open(folder):
        pass
    said(folder, capsys, "register", HOSPITAL_A, new_sm2_key()[1])
    said(folder, capsys, "register", HOSPITAL_A, "04" + "00" * 64, code=2)
    said(folder, capsys, "network", PHARMACY_P, "10.1.0.0/16")
    said(folder, capsys, "network", HOSPITAL_A, "10.1.2.0/24", code=3)
    said(folder, capsys, "network", HOSPITAL_A, "everywhere", code=3)
    listed = said(folder, capsys, "keys", "--format", "json")
    assert [line.partition('"kind":"')[2].partition('"')[0] for line in listed.splitlines()] == ["sm2", "network"]


def test_an_altered_record_is_found_with_exit_code_1_and_a_cut_one_by_the_head_in_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "node"
    for name in ("li", "wang", "zhao"):
        said(folder, capsys, "person", name, "inspector")
    head = said(folder, capsys, "audit", "verify").rpartition("head: ")[2].strip()
    with sqlite3.connect(folder / FILE) as raw:
        raw.execute("DROP TRIGGER lines_remain")
        raw.execute("DELETE FROM lines WHERE number = 3")
    raw.close()
    assert "cut off" in said(folder, capsys, "audit", "verify", code=1)
    said(folder, capsys, "person", "chen", "inspector")
    assert "not the one" in said(folder, capsys, "audit", "verify", "--head", head, code=1)


def test_a_question_about_a_node_that_is_not_there_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("keys",), ("people",), ("audit", "verify"), ("revoke", "x")):
        said(tmp_path / "nothing", capsys, *words, code=3)
    assert not (tmp_path / "nothing").exists()
