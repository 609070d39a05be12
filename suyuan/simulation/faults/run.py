"""One run: a seed's country played through the doors of its servers under faults, and checked at quiet moments."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from suyuan.formats import epcis, nhsa, tables
from suyuan.formats.document import Document
from suyuan.intake import Desk, take, take_together
from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.ledger.ledger import Contention, Ledger
from suyuan.simulation.country import write_country
from suyuan.simulation.demo import read_catalogue, take_upload
from suyuan.simulation.faults.auditor import FaultAuditor, Held
from suyuan.simulation.faults.clock import SECOND, Clock
from suyuan.simulation.faults.disks import Disk, Ground, Server, disk_of
from suyuan.simulation.faults.far import Far
from suyuan.simulation.faults.senders import Job, Senders
from suyuan.simulation.faults.stage import Stage
from suyuan.simulation.faults.store import Crash, FaultyJournal
from suyuan.simulation.faults.weather import Note, Weather
from suyuan.simulation.world import BEIJING, DAY, HOUR
from suyuan.storage.refusals import JournalRefusal, JournalStopped
from suyuan.views import VIEWS
from suyuan.views.follow import Views

START = date(2026, 3, 1)
"""First day of every country."""

FUTURE = 1 << 62

FEED_WAITS = 100
"""Looks at a feed that is held back, at 50 ms each."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a run; the same plan gives the same run, to the byte."""

    seed: int
    engine: str = "memory"
    days: int = 60
    until: int = 0
    """The last day on which anything is begun; 0 for all. Up to its end a run is the same as the whole one."""
    boxes: int = 200
    institutions: int = 12
    database: str = ""
    """Address of a PostgreSQL server on which databases may be made, for the engine postgres."""
    without: tuple[str, ...] = ()
    """Faults that are left out."""


class Result(msgspec.Struct, kw_only=True):
    """What came of a run. `findings` is empty where the auditor agrees."""

    plan: Plan
    findings: list[str]
    day: int
    """The day on which it ended: the last, or that of the first check that found something."""
    figures: dict[str, int]
    """uploads, tries, retries, acknowledged, refused, checks, events."""
    faults: dict[str, int]
    fingerprint: str
    """A hash of the whole feed."""


class Delivery(NamedTuple):
    """One message on its way to one server."""

    server: Server
    job: Job
    raw: bytes
    heard: bool = True
    """Whether its sender still listens for the answer."""


class _Poison(list[Any]):
    """Records that no reader ever gave; whoever looks at them falls over."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("a poisoned message")


class Run:
    """One country under faults."""

    def __init__(self, plan: Plan, folder: Path, note: Note) -> None:
        name = f"{plan.seed}"
        self.plan = plan
        self.weather = Weather(name, without=plan.without)
        self.rng = Random(f"{name}:run")  # noqa: S311  a simulation, no secret
        self.stage = Stage(self.rng)
        self.auditor = FaultAuditor()
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        self._note = note
        country = folder / "country"
        noise = self.rng.choice(("low", "high", "high"))
        size = {"institutions": plan.institutions, "boxes": plan.boxes, "days": plan.days, "products": 200}
        write_country(country, plan.seed, noise=noise, start=START, **size)
        self.start = int(datetime(START.year, START.month, START.day, tzinfo=BEIJING).timestamp()) * SECOND
        self.senders = Senders(country, self.rng)
        self.clock = Clock(min(job.entry.arrival for job in self.senders.jobs))
        ground = Ground(folder, name, read_catalogue(country), self.clock, self._behind_faults, self.rng)
        self.disk: Disk = disk_of(plan.engine, ground, plan.database)
        self.counts["claims held back for a rival"] = self.senders.make_rivals(0.5)
        self._copies: list[tuple[int, Delivery]] = []
        self._cut_off: dict[str, int] = {}
        self._followed: list[str] = []
        self._position: bytes | None = None
        self._next_due = 0
        self._folder = folder
        self._far: Far | None = None
        self._next_check = self.start + self.rng.randint(5, 15) * DAY

    def _behind_faults(self, journal: Journal) -> FaultyJournal:
        return FaultyJournal(journal, self.weather, self.stage, self.clock, self.note)

    def note(self, what: str, **particulars: Any) -> None:  # noqa: ANN401  whatever the line says
        """Keep a line of the log, with the simulated day."""
        self._note(what, seed=self.plan.seed, day=self.day, **particulars)

    @property
    def day(self) -> int:
        """Days since the country's first."""
        return (self.clock.now - self.start) // DAY

    def play(self) -> Result:
        """Everything, until all senders have their answers or a check finds something."""
        with self._quiet():
            self.disk.open_all()
            if "relayed" not in self.weather.off:
                node = self.disk.servers[0].node
                self._far = Far(self._folder / "nation", f"{self.plan.seed}", self.clock, self.note, node)
        try:
            over = self.start + self.plan.until * DAY if self.plan.until else FUTURE
            while (at := self.senders.next_at) is not None and not self.findings:
                if at >= over:
                    self.senders.begin_nothing_more()
                    over = FUTURE
                    continue
                self.clock.move_to(at)
                if self.clock.now >= self._next_check:
                    self._check(final=False)
                    self._next_check = self.clock.now + self.rng.randint(4, 15) * DAY
                    continue
                self._house()
                self._act(self.senders.next())
            if not self.findings:
                self._check(final=True)
            return self._result()
        finally:
            if self._far is not None:
                self._far.close()
            self.disk.close()

    def _result(self) -> Result:
        feed = [msgspec.json.encode(event) for event in _feed(self.disk.journal())]
        jobs = self.senders.jobs
        figures = {
            "uploads": sum(bool(job.raw) for job in jobs),
            "tries": self.counts["tries"],
            "retries": sum(job.tries for job in jobs),
            "acknowledged": self.counts["acknowledged"],
            "refused": self.counts["refused"],
            "checks": self.counts["checks"],
            "events": len(feed),
        }
        return Result(
            plan=self.plan,
            findings=self.findings,
            day=self.day,
            figures=figures,
            faults=dict(+self.weather.struck + (self._far.weather.struck if self._far is not None else Counter())),
            fingerprint=hashlib.sha256(b"\n".join(feed)).hexdigest()[:16],
        )

    # One upload, alone or among others

    def _act(self, job: Job) -> None:
        if job.done:
            return
        if not self.senders.is_ready(job, impatient=self.weather.strikes("delivered out of turn")):
            self.senders.wait(job)
            return
        if not self.senders.is_wanted(job):
            self.senders.skip(job)
            return
        if self._is_lost_on_the_way(job):
            self.senders.failed(job, self.clock.now)
            return
        if self.weather.strikes("one append for several"):
            self._together(self._company(job))
        elif self.weather.strikes("racing"):
            self._race(self._company(job))
        else:
            self._deliver([self._delivery(job)], [])

    def _company(self, job: Job) -> list[Job]:
        """Others that go at the same time: the network held the first ones up until the last was there."""
        found = [job]
        for other in self.senders.also_ready(self.clock.now + 12 * HOUR, self.rng.randint(1, 4)):
            if not self.senders.is_wanted(other):
                self.senders.skip(other)
                continue
            self.clock.move_to(other.entry.arrival)
            found.append(other)
        return found

    def _delivery(self, job: Job) -> Delivery:
        delivery = Delivery(self.rng.choice(self.disk.servers), job, self.senders.bytes_of(job))
        self.auditor.sent(job.entry.by, job.entry.kind, delivery.raw)
        self.counts["tries"] += 1
        if self.weather.strikes("copy arrives late"):
            job.bytes_kept = True
            at = self.clock.now + self.rng.choice((30, 600, 3600, 86400, 5 * 86400)) * SECOND
            self._copies.append((at, delivery._replace(heard=False)))
        return delivery

    def _race(self, jobs: list[Job]) -> None:
        deliveries = []
        for job in jobs:
            delivery = self._delivery(job)
            deliveries.append(delivery)
            if self.weather.strikes("delivered twice") or len(jobs) == 1:
                job.bytes_kept = True
                other = self.rng.choice(self.disk.servers)
                deliveries.append(delivery._replace(server=other, heard=False))
        beside: list[Callable[[], object]] = []
        if self.rng.random() < 0.5:  # noqa: PLR2004  half of them
            beside.append(self._follow)
        if self.rng.random() < 0.1:  # noqa: PLR2004  now and then
            beside.append(self._take_time)
        if self.weather.strikes("backed up under load") and (back_up := self.disk.back_up()) is not None:
            beside.append(back_up)
        self._deliver(deliveries, beside)

    def _deliver(self, deliveries: list[Delivery], beside: list[Callable[[], object]]) -> None:
        """Hand messages to their servers at the same time, and tell their senders as far as the wire lets."""
        plays = [self._taking(delivery) for delivery in deliveries]
        results = self.stage.together([*plays, *beside])
        for delivery, result in zip(deliveries, results, strict=False):
            self._tell(delivery, result)
        for result in results[len(deliveries) :]:
            self._expect(result, "beside uploads")
        self._raise_the_dead(any(isinstance(result, JournalStopped) for result in results))

    def _taking(self, delivery: Delivery) -> Callable[[], bytes]:
        entry = delivery.job.entry

        def play() -> bytes:
            if delivery.server.journal.down:
                raise Crash
            return take_upload(delivery.server.node, delivery.raw, entry.by, entry.kind)[0]

        return play

    def _tell(self, delivery: Delivery, result: object) -> None:
        job, entry = delivery.job, delivery.job.entry
        lost = not isinstance(result, bytes) or self.weather.strikes("answer lost")
        outcome = "answered" if isinstance(result, bytes) else type(result).__name__
        self.note(outcome, upload=job.name, tries=job.tries, heard=delivery.heard and not lost)
        self._expect(result, job.name)
        if isinstance(result, bytes) and not lost:
            self.auditor.told(job.name, entry.by, entry.kind, delivery.raw, result)
        if not delivery.heard or job.done:
            return
        if lost:
            self.senders.failed(job, self.clock.now)
            return
        assert isinstance(result, bytes), "as seen above"
        self.counts["refused" if b'"infcode":-1' in result else "acknowledged"] += 1
        self.senders.answered(job, result)

    def _expect(self, result: object, where: str) -> None:
        """Whatever a server does under faults, it answers, refuses with words, or ends; all else is a fault of ours."""
        if isinstance(result, BaseException) and not isinstance(result, (JournalRefusal, Contention, Crash)):
            self.findings.append(f"{where}: the server raised {type(result).__name__}: {result}")

    # On the wire

    def _is_lost_on_the_way(self, job: Job) -> bool:
        """Whether the message never arrives, or only what is left of it."""
        by = job.entry.by
        if self.weather.strikes("sender cut off"):
            self._cut_off[by] = self.clock.now + self.rng.randint(1, 24) * HOUR
            self.note("cut off", sender=by)
        if self._cut_off.get(by, 0) > self.clock.now or self.weather.strikes("request lost"):
            return True
        for fault in ("message cut", "byte flipped"):
            if self.weather.strikes(fault):
                self._deliver_damaged(job, fault)
                return True
        return False

    def _deliver_damaged(self, job: Job, fault: str) -> None:
        raw = self.senders.known.fill(job.template)
        at = self.rng.randrange(len(raw))
        damaged = (
            raw[:at]
            if fault == "message cut"
            else raw[:at] + bytes([raw[at] ^ (1 << self.rng.randrange(8))]) + raw[at + 1 :]
        )
        server = self.rng.choice(self.disk.servers)
        self.note(fault, upload=job.name, at=at)
        if job.entry.kind != "table" and not _is_json(damaged):
            result = self.stage.together([self._taking(Delivery(server, job, damaged))])[0]
            self._expect(result, f"{job.name}, damaged")
            if isinstance(result, bytes):
                self.auditor.refused_at_the_door(job.name, result)
            self._raise_the_dead(isinstance(result, JournalStopped))
            return
        # What still reads as a message has a signature that does not fit, and is turned away before it is read.
        # Whether reading it would have hurt is tried where nothing is written.
        with self._quiet():
            desk = _rehearsing(server)
            for document in _documents(job.entry.kind, job.entry.by, damaged):
                (result,) = self.stage.together([lambda document=document: take(desk, document, job.entry.by)])  # type: ignore[misc]
                self._expect(result, f"{job.name}, damaged")

    def _together(self, jobs: list[Job]) -> None:
        """Several documents by one append, as the counter of a server takes them; perhaps with a poisoned one."""
        deliveries = [self._delivery(job) for job in jobs if job.entry.kind == "nhsa"]
        for job in jobs:
            if job.entry.kind != "nhsa":
                self._deliver([self._delivery(job)], [])
        if not deliveries:
            return
        server = deliveries[0].server
        documents = [(nhsa.read(delivery.raw), delivery.job.entry.by) for delivery in deliveries]
        if self.weather.strikes("poisoned message"):
            poison = msgspec.structs.replace(documents[0][0], records=_Poison(), msgid="poison", raw=b"poison")
            documents.insert(self.rng.randrange(len(documents) + 1), (poison, documents[0][1]))
        result = self.stage.together([lambda: take_together(server.node.desk, documents)])[0]
        if not isinstance(result, list):
            for delivery in deliveries:
                self._tell(delivery, result)
        else:
            answers = iter(deliveries)
            for (document, _), outcome in zip(documents, result, strict=True):
                if document.raw == b"poison":
                    continue
                told = nhsa.answer(document, outcome) if not isinstance(outcome, Exception) else outcome
                self._tell(next(answers), told)
        self._raise_the_dead(isinstance(result, JournalStopped) or _stopped_in(result))

    # In the house

    def _house(self) -> None:
        """What happens beside uploads: copies from days ago, deadlines, clocks, restarts, lists."""
        late = [copy for copy in self._copies if copy[0] <= self.clock.now]
        self._copies = [copy for copy in self._copies if copy[0] > self.clock.now]
        for _, copy in late:
            self.note("late copy", upload=copy.job.name)
            self._deliver([copy._replace(server=self.rng.choice(self.disk.servers))], [])
        if self.clock.now >= self._next_due:
            self._next_due = self.clock.now + HOUR
            self._alone(self._take_time)
        for fault, deed in self._deeds():
            if self.weather.strikes(fault):
                self.note(fault)
                deed()
        if self.rng.random() < 0.05:  # noqa: PLR2004  as seldom as not to see everything at once
            self._alone(self._follow)

    def _deeds(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("clock steps back", self._step_back),
            ("server restarted", self._restart),
            ("power cut", self._power_cut),
            ("second server on the folder", self._second_server),
            ("connections cut while idle", self._cut_idle),
            ("lists caught up", lambda: self._alone(self._catch_up)),
            ("list keeper killed", lambda: self._alone(lambda: self._dying(self._catch_up))),
            ("relayed", lambda: self._alone(self._relay)),
            ("lake sealed", lambda: self._alone(self._seal)),
            ("lake sealer killed", lambda: self._alone(lambda: self._dying(self._seal))),
            ("moved by export and import", lambda: self._move(self.disk.move)),
            ("moved by backup and restore", lambda: self._move(self.disk.restore)),
        ]

    def _alone(self, play: Callable[[], object]) -> None:
        result = self.stage.together([play])[0]
        self._expect(result, "in the house")
        self._raise_the_dead(isinstance(result, JournalStopped))

    def _step_back(self) -> None:
        self.clock.step_back(self.rng.choice((1, 60, 3600, 86400)), self.rng.randint(1, 48))

    def _restart(self) -> None:
        with self._quiet():
            self.disk.restart(self.rng.choice(self.disk.servers))

    def _power_cut(self) -> None:
        self.disk.power_cut()
        self._raise_the_dead(stopped=False)

    def _second_server(self) -> None:
        with self._quiet():
            wrong = self.disk.open_second()
        if wrong:
            self.findings.append(wrong)

    def _cut_idle(self) -> None:
        with self._quiet():
            self.disk.cut_idle()

    def _relay(self) -> None:
        """The relay of the node goes on a few steps; one of its processes does that."""
        if self._far is not None:
            for _ in range(self.rng.randint(1, 3)):
                self._far.step(self.disk.servers[0])

    def _move(self, move: Callable[[], bool]) -> None:
        with self._quiet():
            if move():
                # Positions are of one journal; who follows begins again in the new one.
                self._position, self._followed = None, []
                if self._far is not None:
                    # So are the nation's: it is told by a person how a province that was moved goes on.
                    self._far.close()
                    self._far = None

    def _take_time(self) -> None:
        self.rng.choice(self.disk.servers).node.take_time()

    def _catch_up(self) -> None:
        self.rng.choice(self.disk.servers).node.views.catch_up()

    def _seal(self) -> None:
        if self.plan.engine != "memory":
            self.disk.servers[0].node.lake.seal(workers=0, segment_events=self.rng.randint(50, 500))

    def _dying(self, work: Callable[[], None]) -> None:
        """The process that reads the feed dies in the middle of a page; nothing half done may stay."""
        for server in self.disk.servers:
            server.journal.dies_reading = self.rng.randint(1, 3)
        try:
            work()
        finally:
            for server in self.disk.servers:
                server.journal.dies_reading = 0

    def _follow(self) -> None:
        """Somebody who follows the feed comes back with the last position."""
        journal = self.rng.choice(self.disk.servers).journal
        for _ in range(self.rng.randint(1, 4)):
            events, self._position = journal.since(self._position, self.rng.randint(1, 200))
            self._followed += [event.id for event in events]

    def _raise_the_dead(self, stopped: bool) -> None:  # noqa: FBT001  what one looks at first
        """Open again whatever has crashed, or stopped because its disk was full."""
        with self._quiet():
            for server in list(self.disk.servers):
                if server.journal.down or stopped:
                    special = self.disk.recover(server)
                    self.note("recovered", server=server.number, special=special)
                    self.weather.struck[special or "recovered"] += 1

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        before, self.weather.calm = self.weather.calm, True
        try:
            yield
        finally:
            self.weather.calm = before

    # The check

    def _check(self, *, final: bool) -> None:
        """Let the auditor compare, with the clock put right and deadlines and lists up to date."""
        with self._quiet():
            self.clock.put_right()
            server = self.disk.servers[0]
            server.node.take_time()
            self._wait_for_the_feed()
            while self._far is not None and self._far.settle_down(server):
                self._wait_for_the_feed()  # for what came down
            # Making all lists again costs the most; a fault in them stays until it is looked for.
            lists = final or self.counts["checks"] % 3 == 2  # noqa: PLR2004
            self.findings += self.auditor.check(self._held(server, lists=lists), final=final)
        self.counts["checks"] += 1
        self.note("checked", findings=len(self.findings), final=final)

    def _wait_for_the_feed(self) -> None:
        """A database holds the feed back while any transaction is open, of its own housekeeping too."""
        journal = self.disk.journal()
        stored = sum(history.sequence for history in journal.fetch(list(journal.keys(""))).values())
        for _ in range(FEED_WAITS):
            if len(_feed(journal)) >= stored:
                return
            time.sleep(0.05)

    def _advance(self) -> bool:
        events, self._position = self.disk.journal().since(self._position, 1000)
        self._followed += [event.id for event in events]
        return bool(events)

    def _held(self, server: Server, *, lists: bool) -> Held:
        journal = self.disk.journal()
        keys = list(journal.keys(""))
        histories = journal.fetch(keys)
        while self._advance():
            pass
        nation = [_plain(event) for event in self._far.held()] if self._far is not None else None
        return Held(
            nation=nation,
            feed=[_plain(event) for event in _feed(journal)],
            keys=keys,
            history=lambda key: [_plain(event) for event in histories[key].events],
            followed=self._followed,
            due=journal.due(FUTURE, 1_000_000),
            now=self.clock.now,
            has_document=lambda digest: journal.document(digest) is not None,
            lists=_lists(server, journal) if lists else {},
            lake=_sealed(server) if lists and self.plan.engine != "memory" else None,
        )


def _plain(event: Event) -> dict[str, Any]:
    return msgspec.structs.asdict(event)


def _feed(journal: Journal) -> list[Event]:
    found: list[Event] = []
    position: bytes | None = None
    while True:
        events, position = journal.since(position, 10_000)
        if not events:
            return found
        found += events


def _lists(server: Server, journal: Journal) -> dict[str, tuple[list[str], list[str]]]:
    """Every list as it was kept, and as the feed makes it again."""
    server.node.views.catch_up()
    again = Views.open(None, journal, VIEWS)
    try:
        again.catch_up()
        kept, made = _rows(server.node.views), _rows(again)
    finally:
        again.close()
    return {name: (kept.get(name, []), made.get(name, [])) for name in kept | made}


def _sealed(server: Server) -> list[tuple[str, int]]:
    """What the lake has, after sealing the rest: key and sequence of each event in the order of the feed."""
    lake = server.node.lake
    lake.seal(workers=0)
    answer = lake.query("SELECT key, sequence FROM sealed ORDER BY feed", rows=1_000_000)
    return [(key, sequence) for key, sequence in answer.rows]


def _rows(views: Views) -> dict[str, list[str]]:
    """Every row of every table; sums that came back to nothing may stand there or not."""
    with views.read() as connection:
        names = set(sa.inspect(connection).get_table_names()) - {"cursors"}
        rows = {name: connection.execute(sa.select(sa.table(name, sa.literal_column("*")))).all() for name in names}
    sums = {"uploads_coverage", "uploads_batches"}
    return {
        name: sorted(repr(row) for row in found if name not in sums or any(row[-3:])) for name, found in rows.items()
    }


def _is_json(raw: bytes) -> bool:
    """Whether it still reads as JSON, in either of the encodings that senders use."""
    for encoding in ("utf-8", "gb18030"):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.json.decode(raw.decode(encoding))
            return True
    return False


def _documents(kind: str, by: str, raw: bytes) -> Iterable[Document]:
    if kind == "table":
        return tables.read([raw], "table", by)
    return [nhsa.read(raw) if kind == "nhsa" else epcis.read(raw)]


def _rehearsing(server: Server) -> Desk:
    node = server.node
    ledger = Ledger(server.journal.inner, node.ledger.clock)
    ledger.rehearsing = True
    return Desk(ledger=ledger, catalogue=node.catalogue, privacy=node.privacy, policy=node.desk.policy)


def _stopped_in(result: object) -> bool:
    return isinstance(result, list) and any(isinstance(one, JournalStopped) for one in result)
