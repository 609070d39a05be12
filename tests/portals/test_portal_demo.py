"""The demo ends by serving: every address and account that it prints works."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from portal import ROOT

SERVING = re.compile(r"serving (http://\S+)/")


class Shown(NamedTuple):
    """What the demo printed, and where it serves."""

    text: str
    address: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("demo") / "node"
    options = ["--institutions", "20", "--boxes", "400", "--days", "14", "--port", "0", "--dir", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "suyuan", "demo", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "300"},
    )
    assert process.stdout is not None
    text, found = "", None
    while found is None:
        line = process.stdout.readline()
        assert line, f"the demo ended without serving: {text}"
        text += line
        found = SERVING.search(line)
    yield Shown(text, found[1])
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=40)
    process.stdout.close()
    assert process.returncode in {0, -signal.SIGTERM}


@pytest.mark.slow
def test_each_sample_code_leads_to_a_page(demo: Shown) -> None:
    addresses = re.findall(r"(http://\S+/check\?code=\S+)", demo.text)
    assert len(addresses) >= 8
    for address in addresses:
        shown = httpx.get(address)
        assert shown.status_code == 200, address
        assert "text/html" in shown.headers["content-type"]


@pytest.mark.slow
def test_each_account_signs_in_and_sees_its_page(demo: Shown) -> None:
    rows = re.findall(r"│ [^│]+ │ ([\w-]+) +│ (\S+) +│ (http://\S+) +│", demo.text)
    assert len(rows) == 10
    for name, password, page in rows:
        with httpx.Client(base_url=demo.address, follow_redirects=True, headers={"accept": "text/html"}) as client:
            asked = client.get("/sign-in").text
            token = re.search(r'name="form_token" value="([^"]*)"', asked)
            form = {"name": name, "password": password, "form_token": token[1] if token else "", "next": ""}
            client.post("/sign-in", data=form, headers={"origin": demo.address})
            shown = client.get(page)
            assert (shown.status_code, shown.url.path) == (200, httpx.URL(page).path), f"{name} at {page}"


@pytest.mark.slow
def test_each_key_speaks_for_its_party(demo: Shown) -> None:
    keys = re.findall(r"│ ([A-Z]\d{11}) +│ (\w+\.\S+) +│", demo.text)
    assert len(keys) == 2
    for party, key in keys:
        me = httpx.get(f"{demo.address}/api/v1/me", headers={"authorization": f"Bearer {key}"})
        assert me.status_code == 200
        assert me.json()["party"] == party


@pytest.mark.slow
def test_the_reports_and_the_receipt_that_it_leaves_can_be_looked_at(demo: Shown) -> None:
    reports = re.findall(r"(http://\S+/report/\S+)", demo.text)
    assert len(reports) == 3
    for address in reports:
        page = httpx.get(address)
        assert page.status_code == 200
        assert "13800000000" not in page.text
    found = re.search(r"http://\S+/receipt#(\d+)", demo.text)
    assert found
    checked = httpx.post(f"{demo.address}/receipt", data={"token": found[1]})
    assert "由本平台签发" in checked.text
