"""A database that is away is told in words, in the form of each door; what was sent meanwhile finds itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from portal import Portal
from postgres_server import PostgresServer
from story import HOSPITAL_A
from till import FSI, claim, settlement_of

from suyuan import node as node_module
from suyuan.node import Node
from suyuan.portals.app import application
from suyuan.portals.door import Framed
from suyuan.storage.postgres import PostgresJournal

CODE = "82345671000000000001"


def told(
    portal: Portal, story: Callable[[httpx.AsyncClient], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A story in the server's own process, which does not wait long for its database."""
    monkeypatch.setattr(node_module, "PostgresJournal", partial(PostgresJournal, patience_seconds=0.2))

    async def run(node: Node) -> None:
        app = application(node)
        assert isinstance(app, Framed)
        site = app.site
        await site.start()
        headers = {"authorization": f"Bearer {portal.keys[HOSPITAL_A]}"}
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
                await story(client)
        finally:
            await site.stop()

    with Node.open(portal.folder) as node:
        asyncio.run(run(node))


@pytest.mark.slow
def test_a_database_that_is_away_is_told_at_each_door_and_heals_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    portal = Portal(tmp_path / "node", database=server.new_database())
    raw = claim(HOSPITAL_A, 1, [CODE])
    message: dict[str, Any] = {"content": raw, "headers": {"content-type": "application/json"}}

    async def story(client: httpx.AsyncClient) -> None:
        first = await client.post(FSI, **message)
        assert settlement_of(first.content)
        server.kill()
        upload = await client.post(FSI, **{**message, "content": claim(HOSPITAL_A, 2, [CODE[:-1] + "2"])})
        assert upload.status_code == 503
        assert json.loads(upload.content)["infcode"] == -1
        assert "重发" in json.loads(upload.content)["err_msg"]
        for path, query in (("/api/v1/history", {"code": CODE}), ("/api/v1/outcomes", {"id": "1"})):
            asked = await client.get(path, params=query)
            assert asked.status_code == 503, asked.text
            assert asked.headers["content-type"] == "application/problem+json"
            assert asked.json()["code"] == "unavailable"
            assert asked.headers["retry-after"]
            assert server.address() not in asked.text
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "tables" in ready.json()["findings"]
        server.start()
        for _ in range(100):
            again = await client.post(FSI, **message)
            if again.status_code == 200:
                break
            await asyncio.sleep(0.05)
        assert settlement_of(again.content) == settlement_of(first.content), "the same bytes find themselves"
        missed = await client.post(FSI, **{**message, "content": claim(HOSPITAL_A, 2, [CODE[:-1] + "2"])})
        assert settlement_of(missed.content)
        assert (await client.get("/api/v1/history", params={"code": CODE})).status_code == 200
        assert (await client.get("/readyz")).status_code == 200

    try:
        told(portal, story, monkeypatch)
    finally:
        server.kill()
