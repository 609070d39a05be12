"""A fault of our own is told as one, with the id under which the log has it, and tells nothing of the inside."""

import asyncio
import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from sqlalchemy.exc import DBAPIError

from suyuan.ledger.events import Event
from suyuan.node import Node
from suyuan.portals import operations
from suyuan.portals.app import application
from suyuan.portals.server import configure_log
from suyuan.portals.site import Site
from suyuan.storage.database import META, said_by
from suyuan.storage.refusals import JournalStopped
from suyuan.storage.tables import Tables


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


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], dict[str, str]]]:
    """The line of the log under a name, as a server writes it; nobody is named in any."""
    configure_log()

    def line(event: str) -> dict[str, str]:
        err = capfd.readouterr().err
        assert "张三" not in err
        return next(one for one in map(json.loads, err.splitlines()) if one["event"] == event)

    yield line
    structlog.reset_defaults()


def test_the_log_has_type_and_place_of_a_failure_and_not_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[str], dict[str, str]]
) -> None:
    monkeypatch.setattr(operations, "RECORD_VERSION", type("张三", (), {})())  # of which the encoder's error speaks

    async def asked(node: Node) -> None:
        transport = httpx.ASGITransport(application(node), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            await client.get("/version", headers={"x-request-id": "till-1-42"})

    with Node.open(tmp_path / "node") as node:
        asyncio.run(asked(node))
    line = logged("failure")
    assert line["id"] == "till-1-42"
    assert line["exception"].endswith("TypeError")
    assert "in version\n" in line["exception"]


def test_the_log_has_no_words_either_of_what_fails_apart(
    tmp_path: Path, logged: Callable[[str], dict[str, str]]
) -> None:
    async def fails(name: str) -> None:
        try:
            int(name)
        except ValueError as error:
            raise LookupError(name) from error

    async def served(node: Node) -> None:
        site = Site(node)
        await site.start()
        failing = asyncio.create_task(fails("张三"))
        await asyncio.wait([failing])
        del failing
        gc.collect()
        await site.stop()

    with Node.open(tmp_path / "node") as node:
        asyncio.run(served(node))
    told = logged("failure apart")["exception"].splitlines()
    assert [one for one in told if not one.startswith(" ")] == ["ValueError", "LookupError"]


def test_a_database_that_quotes_a_row_is_logged_without_it(database: str) -> None:
    with Tables.open(database) as tables:
        tables.set_meta("name", "李四")
        with pytest.raises(DBAPIError) as refused, tables._engine.begin() as connection:
            connection.execute(META.insert().values(key="name", value="张三"))
    assert said_by(refused.value).startswith("duplicate key value violates unique constraint")
    assert "张三" not in f"{said_by(refused.value)}{refused.value}"


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
