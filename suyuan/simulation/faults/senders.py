"""Those who send: each upload until it is answered, under the same business reference, in the order a till keeps."""

import heapq
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from suyuan.simulation.country import Entry
from suyuan.simulation.faults.clock import SECOND
from suyuan.simulation.play import Counter, play_list, uploads
from suyuan.simulation.world import clock

BACKOFF_SECONDS = (2, 5, 30, 120, 900, 6 * 3600)
"""How long a sender waits before it tries again; the last ones are those who come back after lunch."""

_VISIT = re.compile(rb'"(?:mdtrt_id|mdtrt_sn)":"([^"]+)"')
_CODE = re.compile(rb'"drug_trac_codg":"([^"]{20,})"')


class Job(msgspec.Struct, kw_only=True, eq=False):
    """One upload on its way, from the first try to its answer."""

    number: int
    entry: Entry
    template: bytes
    """As written, with the places where platform answers are quoted."""
    visits: frozenset[bytes] = frozenset()
    raw: bytes = b""
    """As it is sent now; what it quotes is filled in at the first try."""
    tries: int = 0
    bytes_kept: bool = False
    """Whether an earlier try may still be under way: then every further try is the same, byte for byte."""
    done: bool = False

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return f"upload {self.number} ({self.entry.infno or self.entry.kind} of {self.entry.by})"


class Senders:
    """All uploads of a country that are not answered yet, and what their senders know."""

    def __init__(self, country: Path, rng: Random) -> None:
        self.known = Counter()
        self._rng = rng
        self._queue: list[tuple[int, int]] = []
        self._unanswered: dict[tuple[str, bytes], list[int]] = defaultdict(list)
        self._waiting: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """What waits for the answer to an upload, and since when it would go."""
        entries = play_list(country)
        self.jobs = [
            Job(number=number, entry=entry, template=raw, visits=frozenset(_VISIT.findall(raw)))
            for number, (entry, raw) in enumerate(uploads(country, entries))
        ]
        self._claims = {job.entry.claim.encode(): job.number for job in reversed(self.jobs) if job.entry.claim}
        for job in self.jobs:
            heapq.heappush(self._queue, (job.entry.arrival, job.number))
            for visit in job.visits:
                self._unanswered[(job.entry.by, visit)].append(job.number)

    @property
    def next_at(self) -> int | None:
        """When the next upload wants to go; None when all are answered."""
        return self._queue[0][0] if self._queue else None

    def begin_nothing_more(self) -> None:
        """What was sent goes on until it is answered, and then what waited for that; nothing else is sent any more."""
        self._queue = [(at, number) for at, number in self._queue if self.jobs[number].raw]
        heapq.heapify(self._queue)

    def next(self) -> Job:
        """The next upload, ready or not."""
        return self.jobs[heapq.heappop(self._queue)[1]]

    def also_ready(self, until: int, most: int) -> list[Job]:
        """Others that could go by a moment, taken off the queue."""
        found: list[Job] = []
        kept: list[tuple[int, int]] = []
        while self._queue and self._queue[0][0] <= until and len(found) < most:
            item = heapq.heappop(self._queue)
            job = self.jobs[item[1]]
            if self.is_ready(job):
                found.append(job)
            else:
                kept.append(item)
        for item in kept:
            heapq.heappush(self._queue, item)
        return found

    def is_ready(self, job: Job, *, impatient: bool = False) -> bool:
        """Whether its sender would send it now: with all it quotes known, and after its visit's earlier messages."""
        return self._blocker(job, impatient=impatient) is None

    def _blocker(self, job: Job, *, impatient: bool = False) -> int | None:
        for number in self._quoted(job):
            if not self.jobs[number].done:
                return number
        if impatient and job.entry.infno.startswith("35"):
            return None
        firsts = (min(self._unanswered[(job.entry.by, visit)], default=job.number) for visit in sorted(job.visits))
        return next((first for first in firsts if first < job.number), None)

    def is_wanted(self, job: Job) -> bool:
        """Whether it is to be sent at all: what it hangs on has come about."""
        return self.known.holds(job.entry.when)

    def bytes_of(self, job: Job) -> bytes:
        """What goes out at this try: the same message again, perhaps under a new message number and sending time."""
        if not job.raw:
            job.raw = self.known.fill(job.template)
        elif job.entry.kind == "nhsa" and not job.bytes_kept and self._rng.random() < 0.4:  # noqa: PLR2004
            job.raw = self.renumbered(job)
        return job.raw

    def renumbered(self, job: Job) -> bytes:
        """As a client sends that saw no answer: new msgid and sending time, the same business reference."""
        body = msgspec.json.decode(job.raw)
        stem = str(body["msgid"])
        body["msgid"] = f"{stem[:-4]}{(int(stem[-4:]) + 5000 + job.tries) % 10000:04d}"
        body["inf_time"] = clock(job.entry.arrival + job.tries * SECOND)
        return msgspec.json.encode(body)

    def wait(self, job: Job) -> None:
        """Keep it until what it waits for is answered."""
        blocker = self._blocker(job)
        assert blocker is not None, "it waits for something"
        self._waiting[blocker].append((job.entry.arrival, job.number))

    def failed(self, job: Job, now: int) -> None:
        """No answer came: it will be sent again."""
        job.tries += 1
        heapq.heappush(self._queue, (now + self._rng.choice(BACKOFF_SECONDS) * SECOND, job.number))

    def answered(self, job: Job, answer: bytes) -> None:
        """An answer came; what hangs on it may go."""
        if job.entry.claim and not job.done:
            self.known.learn(job.entry.claim, answer)
        self._close(job)

    def skip(self, job: Job) -> None:
        """It is never sent."""
        self._close(job)

    def _close(self, job: Job) -> None:
        if job.done:
            return
        job.done = True
        for visit in job.visits:
            self._unanswered[(job.entry.by, visit)].remove(job.number)
        for item in self._waiting.pop(job.number, ()):
            heapq.heappush(self._queue, item)

    def _quoted(self, job: Job) -> Iterator[int]:
        """The uploads whose answers this one quotes or hangs on."""
        names = set(re.findall(rb"@(?:setl|type):([^@\"]+)@", job.template))
        names.add(job.entry.when.partition(":")[2].encode())
        for name in names:
            number = self._claims.get(name)
            if number is not None and number != job.number:
                yield number

    def make_rivals(self, share: float) -> int:
        """Hold some claims back until another visit claims the same box, so that both go at once; answers how many."""
        claims: dict[bytes, list[Job]] = defaultdict(list)
        for job in self.jobs:
            if job.entry.claim:
                for code in _CODE.findall(job.template):
                    claims[code].append(job)
        due = {number: at for at, number in self._queue}
        held = 0
        for jobs in claims.values():
            first, last = jobs[0], jobs[-1]
            if first.visits != last.visits and self._rng.random() < share:
                due[first.number] = max(due[first.number], due[last.number])
                held += 1
        self._queue = [(at, number) for number, at in due.items()]
        heapq.heapify(self._queue)
        return held
