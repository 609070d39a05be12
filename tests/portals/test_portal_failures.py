"""A fault of our own is told as one, with the id under which the log has it, and tells nothing of the inside."""

import asyncio
from pathlib import Path

import httpx
import pytest

from suyuan.node import Node
from suyuan.portals import operations
from suyuan.portals.app import application


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
