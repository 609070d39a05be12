"""The site: what every endpoint may use, wired once for an open node."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import structlog
from starlette.requests import HTTPConnection

from suyuan.catalogue.parties import Party
from suyuan.formats.document import Document, Outcome
from suyuan.intake.desk import day_of
from suyuan.node import Node
from suyuan.portals.audit import Audit
from suyuan.portals.counter import Counter
from suyuan.portals.drafts import DRAFTS, Drafts
from suyuan.portals.figures import Figures
from suyuan.portals.limits import Limits
from suyuan.portals.nonces import Nonces
from suyuan.portals.oidc import SignOn
from suyuan.portals.once import FolderTurn, Once, Single, turn_of_record
from suyuan.portals.problem import Refused
from suyuan.portals.templating import Templates
from suyuan.storage.credentials import REMEMBERED_SECONDS, Credential
from suyuan.views import Views
from suyuan.views.alerts import region_in

P = ParamSpec("P")
Answer = TypeVar("Answer")

READERS = 4
"""Threads for questions: more would only wait for Python's lock."""

PICTURES_MAX = 8
"""Pictures that wait to be looked at; each may take some seconds of the one thread for them."""

DUE_EVERY = 60.0
"""Seconds between two looks at the deadlines (`intake.take_time`)."""

SEAL_EVERY = 10.0
"""Seconds between two looks at what waits to be sealed (`lake.rhythm`)."""

FOLLOW_EVERY = 1.0
"""Seconds between two looks at what other processes have changed in the tables."""

ROUND_SECONDS = 10.0
"""How long a round under way is waited for when the server stops."""

TURN = ".turn"
"""The file of a node's folder that the process which keeps the lists has locked."""


UNDER_WAY: ContextVar[dict[str, object]] = ContextVar("under_way")
"""What the door keeps of the request under way: with the document that it brought, its line in the log leads from any
event of the journal to the request id."""


class Site:
    """An open node with its doors. `start` and `stop` go with the server's own."""

    def __init__(self, node: Node) -> None:
        database, folder = node.settings.database, node.folder if node.settings.engine != "memory" else None
        self.node = node
        self.settings = node.settings
        self.templates = Templates()
        self.views = node.views
        self.counter = Counter(node)
        self.figures = Figures()
        self.counter.deferral.observe(self.figures.registry)
        self.limits = Limits(node.settings, node.tables if database else None)
        self.audit = Audit(node)
        self.nonces = Nonces(node.tables if database else None)
        self.drafts = Drafts(folder and folder / DRAFTS)
        self.sign_on = SignOn(node.settings, node.privacy) if node.settings.oidc_issuer else None
        self._networks: tuple[float, list[Credential]] = (0.0, [])
        self.log = structlog.get_logger("suyuan")
        self.stopping = False
        self.started = time.time()
        self._readers = ThreadPoolExecutor(READERS, "reader")
        self._pictures = ThreadPoolExecutor(1, "pictures")
        self._looking = 0
        self.single: list[Single] = [Recurring(self._take_time, DUE_EVERY)]
        """What runs once, whatever number of processes on whichever hosts serve the same record; begun by `lead`."""
        self._of_record = Once(turn_of_record(database, folder and folder / f"{TURN}.record"), self.single)
        beside: list[Single] = [_ListsKept(self.views)]
        if folder and (node.settings.lake_seal_events or node.settings.lake_seal_minutes):
            beside.append(Recurring(node.seal_in_time, SEAL_EVERY))
        self._of_folder = Once(FolderTurn(folder and folder / TURN), beside)
        self._following = Recurring(self._follow_tables, FOLLOW_EVERY)

    async def start(self) -> None:
        """Begin: uploads are taken, lists follow, what other processes change in the tables is noticed."""
        asyncio.get_running_loop().set_exception_handler(self._failed_apart)
        await self.counter.deferral.start()
        self.counter.start()
        self.views.watch()
        await self._of_folder.start()
        await self._following.start()

    async def lead(self) -> None:
        """Do from now on what runs once, if nobody else does, or as soon as who does is gone."""
        await self._of_record.start()

    async def lead_no_more(self) -> None:
        """Leave what runs once to others; what waits for news is told that none will come."""
        self.stopping = True
        await self._of_record.stop()

    async def stop(self) -> None:
        """End: what was begun is finished and acknowledged, what comes now is refused."""
        self.stopping = True
        await self._following.stop()
        await self.counter.stop()
        await self.counter.deferral.stop()
        self.drafts.close()
        self._pictures.shutdown(cancel_futures=True)
        self._readers.shutdown()
        await self._of_folder.stop()
        self.views.close()

    async def take(self, document: Document, by: str, lane: str = "counter") -> Outcome:
        """Take one document in; answers when it is durable. Lanes: counter for people waiting, bulk for files."""
        outcome = await self.counter.take(document, by, lane)
        self.figures.taken(document, outcome, self._province(document.institution or by))
        self.views.news()
        UNDER_WAY.get({})["document"] = outcome.document
        return outcome

    async def query(self, function: Callable[P, Answer], *arguments: P.args, **named: P.kwargs) -> Answer:
        """Run a function that reads, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: function(*arguments, **named))

    async def look(self, function: Callable[[bytes], Answer], picture: bytes) -> Answer:
        """Run a function that looks at a picture of anybody's: apart from the questions, which would wait for seconds.

        Raises:
            Refused: too many pictures wait already.
        """
        if self._looking >= PICTURES_MAX:
            raise Refused("busy", what="Too many pictures wait.", headers={"retry-after": "10"})
        self._looking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pictures, function, picture)
        finally:
            self._looking -= 1

    def party(self, code: str) -> Party | None:
        """The party as it stands today; None where it is not listed."""
        return self.node.catalogue.party(code, day_of(self.node.ledger.clock()))

    def _province(self, code: str) -> str:
        """The two digits of the division in which a party is; of one not listed, as its code says."""
        party = self.party(code)
        digits = (party.region if party else region_in(code))[:2]
        return digits if digits.isdecimal() else ""

    async def networks(self) -> list[Credential]:
        """Source networks that prove a caller of the NHSA address; another process's change holds after seconds."""
        until, listed = self._networks
        if time.monotonic() > until:
            listed = await self.query(self.node.tables.listed_networks)
            self._networks = time.monotonic() + REMEMBERED_SECONDS, listed
        return listed

    async def credential(self, identity: str) -> Credential | None:
        """A key that still proves something; None for an unknown, ended or revoked one."""
        tables = self.node.tables
        return await self.of_tables(tables.remembers(identity), tables.find_credential, identity)

    async def of_tables(
        self,
        remembered: bool,  # noqa: FBT001  before what may follow it
        ask: Callable[P, Answer],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> Answer:
        """What the tables say: of a file at once, of a database off the event loop unless it is remembered."""
        if remembered or not self.settings.database:
            return ask(*arguments, **named)
        return await self.query(ask, *arguments, **named)

    def forget_networks(self) -> None:
        """A network was listed or taken out."""
        self._networks = (0.0, [])

    def _failed_apart(self, _: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """Something failed for which nobody waits; Python's own line of it would quote what it had in hand."""
        error = told.get("exception")
        self.log.error("failure apart", exc_info=error, **({} if error else {"what": told["message"]}))

    def _take_time(self) -> None:
        self.node.take_time(lambda: self.stopping)  # after a long pause there may be minutes of work
        self.views.news()

    def _follow_tables(self) -> None:
        with self.node.catalogue_lock:
            self.node.follow_catalogue()


class Recurring:
    """Work done again and again, in a thread; what fails once is tried the next time."""

    def __init__(self, work: Callable[[], object], every: float) -> None:
        self._work = work
        self._every = every
        self._log = structlog.get_logger("suyuan")
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin, at once."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Begin it no more, and wait for the round under way: what it works on is closed next."""
        if self._task is None:
            return
        self._stopping.set()
        _, left = await asyncio.wait({self._task}, timeout=ROUND_SECONDS)
        if left:
            self._log.warning("recurring", work=self._work.__name__, error="its round goes on while the server stops")
            self._task.cancel()

    async def _go_on(self) -> None:
        failing = ""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self._work)
                failing = ""
            except Exception as error:  # noqa: BLE001  readiness does not depend on it
                if failing != type(error).__name__:  # said once, not every second while a database is away
                    self._log.warning("recurring", work=self._work.__name__, error=f"{type(error).__name__}: {error}")
                failing = type(error).__name__
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every)


class _ListsKept:
    """The views of a folder are taken in by one process; the others look on."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def start(self) -> None:
        """Follow the feed."""
        await asyncio.to_thread(self._views.start)

    async def stop(self) -> None:
        """Follow it no more."""
        await asyncio.to_thread(self._views.close)


def site_of(request: HTTPConnection) -> Site:
    """The site that a request came to."""
    site = request.app.state.site
    assert isinstance(site, Site), "the application was made for a site"
    return site
