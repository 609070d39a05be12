"""Figures: what the operators are told of uploads, lines and the machine, of one process and of several together."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live_watch import moment, new_code
from portal import Portal, eventually
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from story import HOSPITAL_A, PHARMACY_P

from suyuan.portals.figures import SHARED, Figures, forget, used_by
from suyuan.portals.workers import _Worker


def told(text: str) -> dict[str, float]:
    """Samples by name and labels, as Prometheus would read them."""
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}


def sell(client: httpx.Client, code: str, receipt: str) -> None:
    sale = {"time": moment(), "lines": [{"codes": [code]}], "references": {"receipt": receipt}}
    assert client.post("/api/v1/sales", json={"sales": [sale]}).status_code == httpx.codes.OK


def test_codes_are_counted_by_kind_province_and_fate_and_alerts_verdicts_and_refusals_beside_them(
    tmp_path: Path,
) -> None:
    code = new_code()
    with Portal(tmp_path / "node") as portal, portal.client() as citizen:
        for party, receipt in ((HOSPITAL_A, "R1"), (HOSPITAL_A, "R1"), (PHARMACY_P, "R2")):
            with portal.client(party) as client:
                sell(client, code, receipt)
        assert citizen.post("/api/v1/sales", json={}).status_code == httpx.codes.UNAUTHORIZED
        citizen.get("/api/v1/check", params={"code": code})
        found = told(citizen.get("/metrics").text)
        assert found['suyuan_codes_total{fate="accepted",kind="sold",province="44"}'] == 1
        assert found['suyuan_codes_total{fate="repeated",kind="sold",province="44"}'] == 1
        assert found['suyuan_codes_total{fate="conflicts",kind="sold",province="44"}'] == 1
        assert found['suyuan_alerts_total{status="conflict_sold"}'] == 1
        assert found['suyuan_refusals_total{error="not_signed_in"}'] == 1
        assert sum(value for name, value in found.items() if name.startswith("suyuan_citizen_checks_total")) == 1
        lag = eventually(lambda: told(citizen.get("/metrics").text)["suyuan_alert_lag_seconds_count"])
        assert lag == 1


def test_a_server_tells_its_lines_its_memory_and_that_it_is_ready(tmp_path: Path) -> None:
    with Portal(tmp_path / "node") as portal, portal.client() as citizen:
        found = eventually(lambda: _watched(citizen))
        assert found['suyuan_uploads_waiting{lane="counter"}'] == 0
        assert found["suyuan_oldest_waiting_seconds"] == 0
        assert found["suyuan_unready"] == found["suyuan_lists_stand"] == 0
        assert 10_000_000 < found["suyuan_memory_bytes"] < 2_000_000_000
        assert found["suyuan_open_files"] > 3
        assert found["suyuan_threads"] > 1


def _watched(citizen: httpx.Client) -> dict[str, float] | None:
    """The figures once the server has looked at itself."""
    found = told(citizen.get("/metrics").text)
    return found if found.get("suyuan_memory_bytes") else None


WORKER = """
from suyuan.portals.figures import Figures
figures = Figures()
figures.refused("busy")
figures.watched({"counter": 3}, float(input()))
print(figures.text().decode(), flush=True)
input()
"""


def test_any_of_several_processes_tells_the_sum_of_all_and_forgets_the_lines_of_one_that_has_ended(
    tmp_path: Path,
) -> None:
    environment = {**os.environ, SHARED: str(tmp_path)}
    workers: list[subprocess.Popen[str]] = []
    try:
        first, both = (_say(_started(workers, environment), seconds) for seconds in ("7", "5"))
        assert first['suyuan_refusals_total{error="busy"}'] == 1
        assert both['suyuan_refusals_total{error="busy"}'] == 2
        assert both['suyuan_uploads_waiting{lane="counter"}'] == 6
        assert both["suyuan_oldest_waiting_seconds"] == 7
        workers[0].kill()
        workers[0].wait()
        forget(tmp_path, str(workers[0].pid))
        left = told(_asked_apart(environment))
        assert left['suyuan_refusals_total{error="busy"}'] == 2
        assert left['suyuan_uploads_waiting{lane="counter"}'] == 3
        assert left["suyuan_oldest_waiting_seconds"] == 5
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


COUNTING = """
import time
from suyuan.portals.figures import Figures
figures = Figures()
figures.refused("busy")
figures.request("/livez", "query", 200, 0.001)
figures.watched({"counter": 3}, 7.0)
time.sleep(600)
"""


def test_a_worker_in_the_place_of_a_killed_one_goes_on_counting_and_no_file_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.portals.workers.PAUSE_FIRST", 0.0)
    monkeypatch.setattr("suyuan.portals.workers.PAUSE_MAX", 0.0)
    worker = _Worker([sys.executable, "-c", COUNTING], (), str(tmp_path), "3")

    def counted() -> dict[str, float]:
        together = CollectorRegistry()
        MultiProcessCollector(together, str(tmp_path))  # type: ignore[no-untyped-call]  # the library has no types here
        return told(generate_latest(together).decode())

    def started() -> bool:
        worker.look()
        return worker._process is not None

    files = set[str]()
    for times in (1, 2, 3):
        assert eventually(lambda times=times: counted().get('suyuan_refusals_total{error="busy"}') == times)
        assert eventually(lambda: counted().get('suyuan_uploads_waiting{lane="counter"}') == 3)
        assert eventually(lambda times=times: counted().get('suyuan_request_seconds_count{lane="query"}') == times)
        files = files or {one.name for one in tmp_path.iterdir()}
        assert {one.name for one in tmp_path.iterdir()} == files
        process = worker._process
        assert process is not None
        process.kill()
        process.wait()
        worker.look()
        assert 'suyuan_uploads_waiting{lane="counter"}' not in counted(), "its lines are gone with it"
        assert counted()['suyuan_refusals_total{error="busy"}'] == times, "what it counted is not"
        if times < 3:
            eventually(started)


def _started(workers: list[subprocess.Popen[str]], environment: dict[str, str]) -> subprocess.Popen[str]:
    """One more worker."""
    command = [sys.executable, "-c", WORKER]
    workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment))
    return workers[-1]


def _say(worker: subprocess.Popen[str], seconds: str) -> dict[str, float]:
    """Let a worker note so many seconds; answers what it tells then."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{seconds}\n")
    worker.stdin.flush()
    lines: list[str] = []
    while not lines or lines[-1].strip():
        lines.append(worker.stdout.readline())
    return told("".join(lines))


def _asked_apart(environment: dict[str, str]) -> str:
    ask = "from suyuan.portals.figures import Figures; print(Figures().text().decode())"
    return subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_what_a_process_uses_is_read_of_any_process_and_nothing_of_one_that_is_gone() -> None:
    memory, threads, files = used_by(os.getpid())
    assert memory > 1_000_000
    assert threads >= 1
    assert files >= 3
    assert used_by(2**22 + 1) == (0, 0, 0)


def test_a_single_process_needs_no_folder_for_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED, raising=False)
    figures = Figures()
    figures.refused("busy")
    assert told(figures.text().decode())['suyuan_refusals_total{error="busy"}'] == 1


def test_any_event_of_the_journal_leads_to_the_request_that_brought_it(tmp_path: Path) -> None:
    code, number = new_code(), "request-of-the-test"
    portal = Portal(tmp_path / "node")
    with portal, portal.client(HOSPITAL_A, headers={"x-request-id": number}) as client:
        sell(client, code, "R1")
        client.get("/api/v1/me")
    with portal.node() as node:
        (sold,) = node.ledger.read([f"trace20:{code}"])[f"trace20:{code}"]
    lines = [json.loads(line) for line in portal.logged().splitlines() if number in line]
    assert [line.get("document", "") for line in lines] == [sold.document, ""]
    assert sold.document
