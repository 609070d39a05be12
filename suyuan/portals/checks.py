"""Citizens' questions by day and outcome: counted in memory, added to what the tables keep every few seconds."""

import asyncio
from collections import Counter
from contextlib import suppress

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from suyuan.intake.desk import day_of
from suyuan.portals.site import Site

KEPT = "citizen_checks"
"""The single value under which the tables keep them: day → outcome → count."""
KEEP_EVERY = 10.0

Days = dict[str, dict[str, int]]


class Checks:
    """The counts of one node. They are figures, not facts: a kill loses those of the last seconds, and nothing else.

    Each process adds what it has counted to what all have, and sees what others counted when it adds.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._kept: Days = {}
        """What the tables kept when they were asked last."""
        self._fresh: Days = {}
        """What this process has counted and not added yet."""
        self._taken: Counter[str] = Counter()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on from what was kept."""
        await self._store()
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Keep the last ones."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        with suppress(SQLAlchemyError):  # a database that is away keeps no server from stopping
            await self._store()

    def take(self) -> None:
        """Take over what the server's own figures have counted since."""
        news = self.site.figures.checks.copy()
        fresh = news - self._taken
        self._taken = news
        if fresh:
            _add(self._fresh, {day_of(self.site.node.ledger.clock()).isoformat(): dict(fresh)})

    def count(self, first: str = "") -> dict[str, int]:
        """Questions by outcome since a day (ISO), or of all days."""
        self.take()
        found: Counter[str] = Counter()
        for days in (self._kept, self._fresh):
            for day, outcomes in days.items():
                if day >= first:
                    found.update(outcomes)
        return dict(found)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY)
            try:
                await self._store()
            except SQLAlchemyError as error:  # they are added the next time
                self.site.log.warning("checks", error=type(error).__name__)

    async def _store(self) -> None:
        self.take()
        tables, fresh = self.site.node.tables, self._fresh
        if not fresh:
            held = await asyncio.to_thread(tables.meta, KEPT)
            self._kept = _days(held or "")
            return
        self._fresh = {}
        try:
            kept = await asyncio.to_thread(tables.change_value, KEPT, lambda text: _sum(text, fresh))
        except SQLAlchemyError:
            _add(self._fresh, fresh)
            raise
        self._kept = _days(kept)


def _days(text: str) -> Days:
    return msgspec.json.decode(text or "{}", type=Days)


def _sum(text: str, fresh: Days) -> str:
    """What is kept once this is added to it."""
    days = _days(text)
    _add(days, fresh)
    return msgspec.json.encode(days).decode()


def _add(days: Days, more: Days) -> None:
    for day, outcomes in more.items():
        held = days.setdefault(day, {})
        for outcome, count in outcomes.items():
            held[outcome] = held.get(outcome, 0) + count


def checks_of(request: HTTPConnection) -> Checks:
    """The counts of the application that a request came to."""
    checks = request.app.state.checks
    assert isinstance(checks, Checks), "the application was made with them"
    return checks
