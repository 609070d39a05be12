"""Work done again and again: it ends with the server, and no round of it goes on after the store is closed."""

import asyncio
import threading

import pytest

from suyuan.portals.site import Recurring


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
