"""The relay over HTTP: messages of provinces come in here, and the relay of this node goes with its server."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import Gauge
from starlette.requests import Request
from starlette.responses import Response

from suyuan.portals.codec import bytes_of
from suyuan.portals.control import Given
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site
from suyuan.relay.link import KIND
from suyuan.relay.messages import Message, Unreadable, read
from suyuan.relay.nation import Nation, Stranger, end_key, register
from suyuan.relay.station import Station, standing_of

TAKING = 2
"""Slices under way at once; each is one append of up to 2,000 events."""
TAKING_MAX = 16
"""Further ones that wait; who comes then comes again later."""
ANSWERING = 2
"""Questions under way at once: a claim waits for them (R23), so they never stand behind a slice."""
WATCH_EVERY = 2.0
"""Seconds between two looks at how the relay stands, for the figures."""


class Relaying:
    """The relay of a server process: `start` and `stop` with the process that has the turn, `close` with each."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.station = Station(site.node)
        self._nation = Nation(site.node)
        self._takers = ThreadPoolExecutor(TAKING, "relay-take")
        self._answerers = ThreadPoolExecutor(ANSWERING, "relay-answer")
        self._taking = 0
        self._watching: asyncio.Task[None] | None = None
        registry = site.figures.registry
        self._lag, self._shipped, self._waiting, self._failing = (
            Gauge(name, words, registry=registry, multiprocess_mode="livemax")
            for name, words in (
                ("suyuan_relay_lag_seconds", "Age of the oldest fact that the nation may lack."),
                ("suyuan_relay_shipped_events", "Facts that the nation has acknowledged since the server began."),
                ("suyuan_relay_waiting_down", "Entries that wait for this province at the nation."),
                ("suyuan_relay_failing", "1 where the relay stands still."),
            )
        )

    async def start(self) -> None:
        """Ship, take and follow from now on."""
        await self.station.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """No more."""
        if self._watching is not None:
            self._watching.cancel()
        await self.station.stop()

    async def tell_standing(self, _: Site, __: Mapping[str, Any]) -> Given:
        """How the relay stands, for the control door."""
        return Given({"standing": await asyncio.to_thread(standing_of, self.site.node, self.station)})

    async def register(self, _: Site, asked: Mapping[str, Any]) -> Given:
        """List or take out a province's key, for the control door."""
        node, province, public = self.site.node, str(asked["province"]), bytes.fromhex(str(asked["public"]))
        if asked.get("end"):
            await asyncio.to_thread(end_key, node, province, public)
        else:
            await asyncio.to_thread(register, node, province, public, str(asked.get("name", "")))
        return Given({"nation_key": node.signer.public.hex()})

    async def _watch(self) -> None:
        while True:
            standing = self.station.standing
            if standing is not None:
                self._lag.set(self.station.lag_seconds())
                self._shipped.set(standing.shipped)
                self._waiting.set(standing.waiting_down)
            self._failing.set(bool(self.station.failure))
            await asyncio.sleep(WATCH_EVERY)

    async def close(self) -> None:
        """Release threads and connections."""
        self._takers.shutdown(cancel_futures=True)
        self._answerers.shutdown(cancel_futures=True)
        await asyncio.to_thread(self.station.close)

    async def answer(self, message: Message) -> bytes:
        """The answer to a message.

        Raises:
            Refused: too many slices wait.
            Stranger: nobody known has signed it.
            Unreadable: it cannot be read.
        """
        loop = asyncio.get_running_loop()
        if message.head.what != "slice":
            return await loop.run_in_executor(self._answerers, self._nation.answer, message)
        if self._taking >= TAKING_MAX:
            raise Refused("busy", what="Too many slices wait.", headers={"retry-after": "2"})
        self._taking += 1
        try:
            answered = await loop.run_in_executor(self._takers, self._nation.answer, message)
        finally:
            self._taking -= 1
        self.station.news()
        self.site.views.news()
        return answered


def relaying_of(request: Request) -> Relaying:
    """The relay of the application that a request came to."""
    relaying = request.app.state.relaying
    assert isinstance(relaying, Relaying), "the application was made with one"
    return relaying


async def call(request: Request) -> Response:
    """One message of a province; who sends it is told by its signature alone."""
    raw = await bytes_of(request, (KIND,))
    try:
        answered = await relaying_of(request).answer(read(raw))
    except Unreadable as error:
        raise Refused("field_unusable", where="body", what=str(error)) from error
    except Stranger as error:
        raise Refused("signature_wrong", where="body", what=str(error)) from error
    return Response(answered, media_type=KIND)
