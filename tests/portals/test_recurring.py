"""Work done again and again: it ends with the server, and no round of it goes on after the store is closed."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from story import PHARMACY_P

from suyuan.formats.reading import open_documents
from suyuan.node import Node
from suyuan.portals.site import Recurring, Site

ALL = 400
"""Deadlines."""
YEAR = 365 * 86_400_000_000
"""µs."""


class Round:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.ended = 0

    def work(self) -> None:
        self.begun.set()
        self.may_end.wait(10)
        self.ended += 1


def test_a_stop_waits_for_the_round_under_way_and_no_other_begins() -> None:
    one = Round()

    async def story() -> None:
        recurring = Recurring(one.work, 0.0)
        await recurring.start()
        await asyncio.to_thread(one.begun.wait)
        stopping = asyncio.create_task(recurring.stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        one.may_end.set()
        await stopping
        assert one.ended == 1
        await recurring.stop()

    asyncio.run(story())
    assert one.ended == 1


def test_a_stop_does_not_wait_for_the_next_round() -> None:
    one = Round()
    one.may_end.set()

    async def story() -> None:
        recurring = Recurring(one.work, 3_600.0)
        await recurring.start()
        await asyncio.to_thread(one.begun.wait)
        await recurring.stop()
        assert one.ended == 1
        await recurring.start()
        await recurring.stop()

    asyncio.run(story())


def test_a_round_that_never_ends_does_not_keep_the_server_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suyuan.portals.site.ROUND_SECONDS", 0.05)
    one = Round()

    async def story() -> None:
        recurring = Recurring(one.work, 0.0)
        await recurring.start()
        await asyncio.to_thread(one.begun.wait)
        await recurring.stop()
        assert not one.ended
        one.may_end.set()

    asyncio.run(story())


def test_a_stop_leaves_deadlines_to_the_next_start_and_none_is_lost(tmp_path: Path) -> None:
    lines = [f"returned,8234567{one:013d},2026-03-01 10:00:00" for one in range(1, ALL + 1)]
    (tmp_path / "returns.csv").write_text("\n".join(["kind,code,event_time", *lines]))
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "suyuan.toml").write_text("block_cache_mb = 8\n")
    with Node.open(tmp_path / "node") as node:
        for _ in node.take_all(open_documents(tmp_path / "returns.csv", PHARMACY_P), PHARMACY_P):
            pass
        assert len(node.journal.due(1 << 62, ALL)) == ALL
        node.ledger.clock = lambda: time.time_ns() // 1000 + YEAR

        async def served_for_a_moment() -> None:
            site = Site(node)
            await site.start()
            await site.lead()
            while len(node.journal.due(1 << 62, ALL)) == ALL:  # noqa: ASYNC110  another thread writes
                await asyncio.sleep(0.001)
            await site.lead_no_more()
            await site.stop()

        asyncio.run(served_for_a_moment())
        left = len(node.journal.due(1 << 62, ALL))
        assert left > 0
        assert node.take_time() == left
        assert node.journal.due(1 << 62, 1) == []
