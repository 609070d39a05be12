"""Live alerts: one reader follows the list, and any number of subscribers read on from their own cursors (SSE)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from suyuan.intake.desk import day_of
from suyuan.portals.access import Caller, Scope, caller_of, scope_of
from suyuan.portals.alert_records import record_for
from suyuan.portals.codec import to_json
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site
from suyuan.views.alerts import Alert, AlertsWanted, alerts_after, fits, newest_number

WINDOW = 1_000
"""Latest alerts kept for everybody; who is further behind reads from the list."""
PAGE = 200
"""Alerts a subscriber is sent at once; the next page is read when the network has taken this one."""
HEARTBEAT = 15.0
"""Seconds of silence after which a sign of life goes out, so that proxies keep the connection and we notice its end."""
LOOK_EVERY = 1.0
"""Seconds after which a waiting subscriber looks whether the server is being stopped."""
LIFE = 600.0
"""Seconds after which a stream ends and its client comes again, with what it may see looked up anew."""
WELCOME_SECONDS = 5.0
"""Seconds after which a stream looks whether its subscriber may still come in, before it tells any more."""
STREAMS_MAX = 2_000
"""Streams of one server; each costs a connection and little else."""
STREAMS_OF_ONE_MAX = 50


class Live:
    """What all subscribers share. A subscriber that is slow costs nothing: what it has not taken stays in the list."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.newest = 0
        """Number of the latest alert that the reader has seen."""
        self.streams: dict[str, int] = {}
        """Open streams by caller."""
        self._window: deque[Alert] = deque(maxlen=WINDOW)
        self._bell = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._rung = asyncio.Event()
        self._stop_listening: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Follow the list from now on."""
        loop = asyncio.get_running_loop()
        self.newest = await self.site.query(self._newest)
        self._stop_listening = self.site.views.listen(lambda: _from_thread(loop, self._rung))
        self._rung.set()  # what came between the look and the listening
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """End every stream; their clients come again elsewhere, or here after a restart."""
        self._stop_listening()
        if self._looking is not None:
            self._looking.cancel()
        self._ring()

    async def _look(self) -> None:
        """The one reader: whatever the list gained is read once for everybody."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                found = await self.site.query(self._latest)
            except Exception as error:
                self.site.log.exception("live", error=type(error).__name__)
                continue
            if found:
                self._window.extend(found)
                self.newest = found[-1].number
                self._ring()

    def _newest(self) -> int:
        with self.site.views.read() as connection:
            return newest_number(connection)

    def _latest(self) -> list[Alert]:
        with self.site.views.read() as connection:
            newest = newest_number(connection)
            # After a burst only its end is of interest here; who has not had the rest reads it from the list.
            found = alerts_after(connection, max(self.newest, newest - WINDOW), WINDOW)
        now = self.site.node.ledger.clock()
        for alert in found:
            self.site.figures.alert_lag.observe(max(0, now - alert.arrived) / 1e6)
        return found

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def after(self, cursor: int, wanted: AlertsWanted, limit: int = PAGE) -> tuple[list[Alert], int]:
        """The next alerts wanted after a cursor, and the cursor after them: all up to it were looked at."""
        if self._window and self._window[0].number <= cursor + 1:
            newer = [alert for alert in self._window if alert.number > cursor and fits(alert, wanted)]
            found, upto = newer[:limit], self._window[-1].number
        else:
            found, upto = await self.site.query(self._read, cursor, wanted, limit)
        return found, found[-1].number if len(found) == limit else max(upto, cursor)

    def _read(self, cursor: int, wanted: AlertsWanted, limit: int) -> tuple[list[Alert], int]:
        with self.site.views.read() as connection:
            upto = newest_number(connection)
            return alerts_after(connection, cursor, limit, wanted), upto

    async def wait(self, cursor: int, seconds: float) -> bool:
        """Wait for an alert after the cursor; false when none came, or the server is being stopped."""
        until = time.monotonic() + seconds
        while self.newest <= cursor and not self.site.stopping:
            left = until - time.monotonic()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_EVERY)):
                    await self._bell.wait()
        return not self.site.stopping


def _from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


def live_of(request: HTTPConnection) -> Live:
    """The live reader of the application that a request came to."""
    live = request.app.state.live
    assert isinstance(live, Live), "the application was made with one"
    return live


def today_scope(site: Site, caller: Caller) -> Scope:
    """What a caller may see today."""
    return scope_of(caller, site.node.catalogue, day_of(site.node.ledger.clock()))


async def stream(request: Request, wanted: AlertsWanted, after: str) -> Response:
    """Alerts after a cursor and then as they come; without a cursor what comes from now on.

    Raises:
        Refused: the cursor is none, or too many streams are open.
    """
    live, caller = live_of(request), caller_of(request)
    if after and not (after.isascii() and after.isdigit() and len(after) < len(str(2**62))):
        raise Refused("field_unusable", where="after", value=after, what="A cursor is the number of an alert.")
    if sum(live.streams.values()) >= STREAMS_MAX or live.streams.get(caller.name, 0) >= STREAMS_OF_ONE_MAX:
        raise Refused("busy", what="Too many streams are open.", headers={"retry-after": "30"})
    events = _events(live, caller, wanted, int(after) if after else live.newest)
    headers = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    return StreamingResponse(_counted(live, caller.name, events), media_type="text/event-stream", headers=headers)


async def _counted(live: Live, name: str, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream, counted for as long as it is open."""
    live.streams[name] = live.streams.get(name, 0) + 1
    try:
        async for event in events:
            yield event
    finally:
        live.streams[name] -= 1
        if not live.streams[name]:
            del live.streams[name]


def _goes_on(site: Site, caller: Caller, scope: Scope) -> bool:
    """Whether the session or key of a stream is still good, and its owner sees what it saw when the stream began."""
    tables = site.node.tables
    if caller.key:
        good = tables.find_credential(caller.key) is not None
    else:
        good = any(one.id == caller.session for one in tables.list_sessions(caller.person))
    return good and today_scope(site, caller) == scope


async def _events(live: Live, caller: Caller, wanted: AlertsWanted, cursor: int) -> AsyncIterator[bytes]:
    """The stream. Every event carries its cursor as id; an id alone tells a filtered subscriber how far it has come.

    It ends where its subscriber may no longer come in, or sees something else than when it began.
    """
    site, scope = live.site, today_scope(live.site, caller)
    catalogue, looked, until = site.node.catalogue, time.monotonic(), time.monotonic() + LIFE
    yield f"retry: 1000\nid: {cursor}\n\n".encode()
    while time.monotonic() < until and not site.stopping:
        found, after = await live.after(cursor, wanted)
        if site.node.catalogue is not catalogue or time.monotonic() > looked + WELCOME_SECONDS:
            catalogue, looked = site.node.catalogue, time.monotonic()
            if not await site.query(_goes_on, site, caller, scope):
                return
        if found:
            yield b"".join(
                b"event: alert\nid: %d\ndata: %b\n\n" % (alert.number, to_json(record_for(scope, alert, catalogue)))
                for alert in found
            )
        if after > cursor:
            cursor = after
        elif not await live.wait(cursor, HEARTBEAT):
            yield f": alive\nid: {cursor}\n\n".encode()
