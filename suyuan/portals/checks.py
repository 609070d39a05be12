"""Citizens' questions by day and outcome: counted in memory, kept beside the tables every few seconds."""

import asyncio
from collections import Counter
from contextlib import suppress

import msgspec
from starlette.requests import HTTPConnection

from suyuan.intake.desk import day_of
from suyuan.portals.site import Site

KEPT = "citizen_checks"
"""The single value under which the tables keep them: day → outcome → count."""
KEEP_EVERY = 10.0
SAMPLE = "suyuan_citizen_checks_total"

Days = dict[str, dict[str, int]]


class Checks:
    """The counts of one node. They are figures, not facts: a kill loses those of the last seconds, and nothing else."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.days: Days = {}
        self._taken: Counter[str] = Counter()
        self._stored = "{}"
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on from what was kept."""
        kept = await self.site.query(self.site.node.tables.meta, KEPT)
        self.days = msgspec.json.decode(kept or "{}", type=Days)
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Keep the last ones."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        await self._store()

    def take(self) -> None:
        """Take over what the server's own figures have counted since."""
        news = Counter[str]()
        figures = self.site.figures.registry
        for metric in figures.collect():
            for sample in metric.samples:
                if sample.name == SAMPLE:
                    news[sample.labels["outcome"]] = int(sample.value)
        fresh = news - self._taken
        self._taken = news
        if fresh:
            day = self.days.setdefault(day_of(self.site.node.ledger.clock()).isoformat(), {})
            for outcome, count in fresh.items():
                day[outcome] = day.get(outcome, 0) + count

    def count(self, first: str = "") -> dict[str, int]:
        """Questions by outcome since a day (ISO), or of all days."""
        self.take()
        found: Counter[str] = Counter()
        for day, outcomes in self.days.items():
            if day >= first:
                found.update(outcomes)
        return dict(found)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY)
            await self._store()

    async def _store(self) -> None:
        self.take()
        text = msgspec.json.encode(self.days).decode()
        if text != self._stored:
            await asyncio.to_thread(self.site.node.tables.set_meta, KEPT, text)
            self._stored = text


def checks_of(request: HTTPConnection) -> Checks:
    """The counts of the application that a request came to."""
    checks = request.app.state.checks
    assert isinstance(checks, Checks), "the application was made with them"
    return checks
