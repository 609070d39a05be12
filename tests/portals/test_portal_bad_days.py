"""Bad days of a server: it stops safely, says what to do, and what it had acknowledged is there when that is done."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import ROOT, Portal
from story import PHARMACY_P

from suyuan.node import SECRETS, Node

SETTINGS = 'policy = "strict"\nblock_cache_mb = 8\n'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk: a disk that is full or read-only was NOT tested for real")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def sale(number: int) -> dict[str, Any]:
    line = {"line": "1", "codes": [f"8234567{number:013d}"]}
    told = {"time": "2026-03-09T10:00:00+08:00", "references": {"receipt": f"R{number}"}, "lines": [line]}
    return {"id": f"till-{number}", "sales": [told]}


def sold(node: Node) -> set[int]:
    return {
        int(event.key[-13:])
        for event in node.journal.since(None, 1_000_000)[0]
        if event.kind == "sold" and event.key.startswith("trace20:")
    }


def fill(disk: Path) -> None:
    """Somebody else takes all the room there is."""
    with (disk / "letters").open("wb") as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
                file.flush()
        except OSError:
            pass


def upload_until_refused(client: httpx.Client, first: int = 1) -> tuple[set[int], httpx.Response]:
    acknowledged: set[int] = set()
    for number in range(first, first + 20_000):
        answer = client.post("/api/v1/sales", json=sale(number))
        if answer.status_code != 200:
            return acknowledged, answer
        acknowledged.add(number)
    raise AssertionError("it was never full")


def serve_refused(folder: Path) -> str:
    command = [sys.executable, "-m", "suyuan", "serve", "--dir", str(folder), "--port", "0"]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_full_disk_refuses_uploads_answers_questions_and_heals_with_space_and_a_restart(small_disk: Path) -> None:
    portal = Portal(small_disk / "node", SETTINGS)
    with portal, portal.client(PHARMACY_P) as client:
        assert client.post("/api/v1/sales", json=sale(80_000)).status_code == 200
        fill(small_disk)
        acknowledged, refused = upload_until_refused(client)
        assert refused.status_code in {503, 507}
        assert refused.json()["code"] == "unavailable"
        assert "again" in refused.json()["do"]
        assert refused.headers["retry-after"]
        assert client.post("/api/v1/sales", json=sale(90_000)).status_code == 503
        assert client.get("/livez").status_code == 200
        known = client.get("/api/v1/check", params={"code": "82345670000000000000"})
        assert known.status_code == 200, "questions are answered"
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "start again" in ready.json()["findings"]["journal"]
    (small_disk / "letters").unlink()
    with portal, portal.client(PHARMACY_P) as client:
        for number in (80_000, *acknowledged):
            assert client.post("/api/v1/sales", json=sale(number)).json()["repeated"], "it is there, and found again"
            if 20 < number < 80_000:
                break
        assert client.post("/api/v1/sales", json=sale(90_000)).status_code == 200
    with portal.node() as node:
        assert acknowledged | {80_000, 90_000} <= sold(node)


@pytest.mark.slow
def test_with_the_inbox_a_full_disk_keeps_uploads_and_records_them_after_the_restart(small_disk: Path) -> None:
    remount(small_disk, "size=80m")
    portal = Portal(small_disk / "node", SETTINGS + 'defer = "uploads"\ndefer_mb = 8\n')
    with portal, portal.client(PHARMACY_P) as client:
        fill(small_disk)
        acknowledged, deferred = upload_until_refused(client)
        assert (deferred.status_code, deferred.json()["code"]) == (202, "deferred")
        first = max(acknowledged, default=0) + 1
        for number in range(first + 1, first + 50):
            assert client.post("/api/v1/sales", json=sale(number)).status_code == 202
        assert client.get("/readyz").status_code == 200
        portal.kill()
    (small_disk / "letters").unlink()
    with portal, portal.client(PHARMACY_P) as client:
        assert client.post("/api/v1/sales", json=sale(first + 7)).json()["repeated"]
    with portal.node() as node:
        assert acknowledged | set(range(first, first + 50)) <= sold(node)


@pytest.mark.slow
def test_a_folder_that_became_read_only_is_told_by_a_running_server_and_refused_by_a_new_one(small_disk: Path) -> None:
    portal = Portal(small_disk / "node", SETTINGS)
    with portal:
        pass
    remount(small_disk, "ro")
    words = serve_refused(portal.folder)
    assert "Read-only file system" in words
    assert "write" in words
    remount(small_disk, "rw")
    with portal, portal.client(PHARMACY_P) as client:
        assert client.post("/api/v1/sales", json=sale(1)).status_code == 200


def test_secrets_of_another_node_are_refused_and_the_right_ones_open_it_again(tmp_path: Path) -> None:
    for name in ("node", "other"):
        with Node.open(tmp_path / name):
            pass
    shutil.copy(tmp_path / "node" / SECRETS, tmp_path / "aside")
    shutil.copy(tmp_path / "other" / SECRETS, tmp_path / "node" / SECRETS)
    assert "Bring back the one that belongs here" in serve_refused(tmp_path / "node")
    shutil.copy(tmp_path / "aside", tmp_path / "node" / SECRETS)
    with Node.open(tmp_path / "node"):
        pass


@pytest.mark.slow
def test_a_torn_tail_of_the_log_opens_and_damage_before_it_does_not(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node", SETTINGS)
    with portal, portal.client(PHARMACY_P) as client:
        for number in range(30):
            assert client.post("/api/v1/sales", json=sale(number)).status_code == 200
        portal.kill()
    log = max((portal.folder / "journal" / "db").glob("*.log"), key=lambda path: path.stat().st_mtime)
    whole = log.read_bytes()
    os.truncate(log, len(whole) - 7)
    with portal, portal.client(PHARMACY_P) as client:
        answers = [client.post("/api/v1/sales", json=sale(number)) for number in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        assert sum(not answer.json()["repeated"] for answer in answers) == 1, "what was torn is taken anew"
        portal.kill()
    log = max((portal.folder / "journal" / "db").glob("*.log"), key=lambda path: path.stat().st_mtime)
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    log.write_bytes(damaged)
    words = serve_refused(portal.folder)
    assert "damaged" in words
    assert "Restore the folder from a copy" in words
