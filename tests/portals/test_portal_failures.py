"""A fault of our own is told as one, with the id under which the log has it, and tells nothing of the inside."""

import asyncio
from pathlib import Path

import httpx
import pytest

from suyuan.ledger.events import Event
from suyuan.node import Node
from suyuan.portals import operations
from suyuan.portals.app import application
from suyuan.storage.refusals import JournalStopped


def test_a_failure_is_problem_json_with_the_request_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "RECORD_VERSION", object())  # what no encoder can write

    async def asked(node: Node) -> httpx.Response:
        transport = httpx.ASGITransport(application(node), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/version", headers={"x-request-id": "till-1-42"})

    with Node.open(tmp_path / "node") as node:
        told = asyncio.run(asked(node))
    assert told.status_code == 500
    assert told.headers["x-request-id"] == "till-1-42"
    assert told.headers["content-type"] == "application/problem+json"
    assert (told.json()["code"], told.json()["request_id"]) == ("internal", "till-1-42")
    assert "object at" not in told.text
    assert "Traceback" not in told.text


def test_a_server_whose_journal_no_longer_writes_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ready(node: Node) -> httpx.Response:
        transport = httpx.ASGITransport(application(node), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/readyz")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with Node.open(tmp_path / "node") as node:
        assert asyncio.run(ready(node)).status_code == 200
        monkeypatch.setattr("suyuan.storage.rocks.packed_batch", full)
        with pytest.raises(JournalStopped):
            node.journal.append([Event(1, "1", "sold", "box", 1, 0, 0, "A")], {"box": 0})
        told = asyncio.run(ready(node))
    assert told.status_code == 503
    assert "No space left" in told.json()["findings"]["journal"]
