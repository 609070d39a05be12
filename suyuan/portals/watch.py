"""The watch: a server process looks at itself every few seconds, so that its figures say how it is."""

import asyncio
import gc
from contextlib import suppress
from datetime import timedelta

from suyuan.intake.desk import day_of
from suyuan.portals.live import Live
from suyuan.portals.site import Site
from suyuan.views.software import software_by_alerts

LOOK_EVERY = 2.0
"""Seconds between two looks at lines, memory and files."""

READY_EVERY = 5
"""Looks after which journal and tables are asked whether they answer."""

FLAGS_EVERY = 60
"""Looks after which scanner software is compared with the others."""
FLAGS_DAYS = 7

COLLECT_EVERY = 5
"""Looks after which cycles are collected, where there may be many."""
COLLECT_FROM = 50_000
"""New objects from which on there may be: some ten MiB. Pages leave cycles, uploads hardly any and wait for nothing."""


class Watch:
    """Goes with the server: `start` and `stop`."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look from now on."""
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        looks = 0
        while True:
            site, figures = self.live.site, self.live.site.figures
            figures.watched(site.counter.waiting(), site.counter.oldest_seconds())
            figures.streams.set(sum(self.live.streams.values()))
            figures.lists_stand.set(bool(site.views.failure))
            with suppress(Exception):  # a quarantine that cannot be read is told by /readyz
                await site.query(site.counter.deferral.tell)
            if not looks % READY_EVERY:
                figures.unready.set(bool(await faults_of(site)))
            if not looks % FLAGS_EVERY and not site.views.failure:
                with suppress(Exception):  # a list that does not answer has a figure of its own
                    figures.flagged.set(await site.query(_flagged, site))
            if not looks % COLLECT_EVERY and gc.get_count()[0] > COLLECT_FROM:
                gc.collect()  # by itself it would come after a million (`COLLECT_AFTER`), by then of 160 MiB and more
            looks += 1
            await asyncio.sleep(LOOK_EVERY)


def _flagged(site: Site) -> int:
    """Versions of scanner software that stand out over the last days, in the whole node."""
    first = (day_of(site.node.ledger.clock()) - timedelta(days=FLAGS_DAYS - 1)).isoformat()
    with site.views.read() as connection:
        return sum(one.flagged for one in software_by_alerts(connection, first))


async def faults_of(site: Site) -> dict[str, str]:
    """Why uploads cannot be taken now, by what fails; empty where they can."""
    faults: dict[str, str] = {}
    for name, look in (
        ("journal", lambda: site.node.journal.append([], {})),  # nothing, but refused where nothing is written any more
        ("tables", lambda: site.node.tables.meta("schema")),
    ):
        try:
            await site.query(look)
        except Exception as error:  # noqa: BLE001  whatever it is, it is not ready
            faults[name] = f"{type(error).__name__}: {error}"
    if site.counter.deferral.refusing:
        faults["store"] = site.counter.deferral.told()
    if site.stopping:
        faults["server"] = "is stopping"
    return faults
