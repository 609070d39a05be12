"""Bench over HTTP: the real server in its own process, the load beside it on the same processors."""

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from suyuan.bench.core import Bench, Codes, Measure, Say, fill, machine
from suyuan.bench.load import Load, Plan
from suyuan.bench.stages import LISTS, spent_by_stage
from suyuan.bench.traffic import FILE_CODES, HOSPITAL, PHARMACY, SHAPES, request
from suyuan.catalogue.parties import Party
from suyuan.formats import nhsa
from suyuan.intake import take_together
from suyuan.node import Node
from suyuan.portals.figures import used_by
from suyuan.storage.rocks import MIB
from suyuan.views.apart import ViewsApart

CLIENTS = 64
TOGETHER = 16
"""Documents that the reference in process takes by one append, as the counter does."""
SETTINGS = 'policy = "strict"\n' + "".join(
    f'rate_{lane} = "1000000/second"\n' for lane in ("counter", "bulk", "query", "citizen", "code")
)
"""Nobody is turned away for coming too often; everything else is as an operator finds it."""
ADDRESS = re.compile(r"serving http://\S+?:(\d+)/")
WARM_REQUESTS = 300
TICKS = os.sysconf("SC_CLK_TCK")

BUDGETS: dict[str, tuple[float, float]] = {
    "nhsa sale": (1_000, 100),
    "api sale": (1_000, 100),
    "nhsa claim": (1_500, 50),
    "api claim": (1_500, 50),
    "check": (1_500, 20),
}
"""Shape → at least so many answers a second, 99 of 100 in less than so many ms."""

NAMES = {
    "nhsa sale": "sale documents of 10 codes, NHSA address (3505A)",
    "api sale": "sale documents of 10 codes, /api/v1/sales",
    "nhsa claim": "claims of 5 codes, NHSA address (2207)",
    "api claim": "claims of 5 codes, /api/v1/claims",
    "check": "/api/v1/check",
}


class Server:
    """The server as a process, and what the system says of it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "suyuan", "serve", "--dir", str(folder), "--port", "0", *arguments]
        self._log = (folder.parent / "server.log").open("w")
        self._process = subprocess.Popen(  # noqa: S603  our own server
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        assert self._process.stdout is not None
        found = ADDRESS.search(self._process.stdout.readline())
        if found is None:
            self.stop()
            words = Path(self._log.name).read_text()[-2000:]
            raise RuntimeError(f"the server did not start: {words}")
        self.port = int(found[1])

    def memory_mib(self) -> float:
        """Memory in use (RSS)."""
        return used_by(self.process)[0] / MIB

    @property
    def process(self) -> int:
        """Its id in the system."""
        return self._process.pid

    def processor_seconds(self) -> float:
        """CPU time of all its threads so far."""
        values = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / TICKS

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


class Field:
    """A node full of boxes, its server and whoever sends to it."""

    def __init__(self, home: Path, boxes: int, say: Say) -> None:
        self.home = home
        self.codes = Codes(boxes)
        self.say = say
        self.measures: list[Measure] = []
        self.keys: dict[str, str] = {"": ""}
        self.used = 0
        """Boxes used up so far: every request asks for boxes that nobody has asked for."""
        self.alone: dict[str, float] = {}
        """Shape → documents a second in process."""
        self.stages: dict[str, dict[str, float]] = {}
        """Shape → stage → µs CPU a document."""
        self.lists_apart = False
        """Whether the server leaves the views to another process."""
        self.server: Server

    def prepare(self, count: int) -> None:
        """A node full of boxes; and what it does without HTTP."""
        with self.stocked() as node:
            for name in ("nhsa sale", "nhsa claim"):
                self.alone[name] = self._in_process(node, name, count)
                node.views.catch_up()
                self.say(f"{name}: stage by stage")
                messages = self._messages(name, count)
                self.stages[name] = spent_by_stage(node, messages, SHAPES[name].party, TOGETHER)

    @contextmanager
    def stocked(self, settings: str = SETTINGS) -> Iterator[Node]:
        """A new node full of boxes, with keys for both sellers; closed again afterwards."""
        folder = self.home / "node"
        folder.mkdir()
        (folder / "suyuan.toml").write_text(settings)
        with Node.open(folder) as node:
            content = self.codes.catalogue()
            content.parties += [
                Party(PHARMACY, name="bench", kind="pharmacy", region="440100"),
                Party(HOSPITAL, name="bench", kind="hospital", region="440100"),
            ]
            node.tables.save_catalogue(content)
            node.reload_catalogue()
            for party in (PHARMACY, HOSPITAL):
                issued = node.tables.create_credential(party)
                self.keys[party] = f"{issued.id}.{issued.secret}"
            fill(node, self.codes, self.say)
            self.lists_apart = isinstance(node.views, ViewsApart)
            self.say("the lists follow")
            node.views.catch_up()
            yield node

    def _in_process(self, node: Node, name: str, count: int) -> float:
        """Message bytes in, answer bytes out, durable, in one thread: what HTTP is added to."""
        self.say(f"{name}: in process")
        shape, messages = SHAPES[name], self._messages(name, count)
        gc.collect()
        begun = time.perf_counter()
        for at in range(0, count, TOGETHER):
            documents = [nhsa.read(raw) for raw in messages[at : at + TOGETHER]]
            outcomes = take_together(node.desk, [(document, shape.party) for document in documents])
            for document, outcome in zip(documents, outcomes, strict=True):
                assert not isinstance(outcome, Exception), outcome
                assert shape.good in nhsa.answer(document, outcome), "the bench's own messages are in order"
        return count / (time.perf_counter() - begun)

    def _messages(self, name: str, count: int) -> list[bytes]:
        """The bodies of so many requests."""
        first = self._numbers(name, count)
        made = (request(SHAPES[name], "", number, self.codes) for number in range(first, first + count))
        return [one.partition(b"\r\n\r\n")[2] for one in made]

    def _numbers(self, name: str, count: int) -> int:
        """Set so many requests' boxes aside; answers the number of the first request."""
        each = SHAPES[name].codes
        if not each:
            return 0
        first = -(-self.used // each)
        self.used = (first + count) * each
        return first

    def load(self, name: str, count: int, *, clients: int = CLIENTS, seconds: float = 0, rate: float = 0) -> Load:
        """Drive the server with one kind of request from a process of its own."""
        plan = Plan(
            port=self.server.port,
            shape=name,
            key=self.keys[SHAPES[name].party],
            boxes=self.codes.boxes,
            clients=clients,
            first=self._numbers(name, count),
            count=count,
            seconds=seconds,
            rate=rate,
        )
        command = [sys.executable, "-m", "suyuan.bench.load"]
        done = subprocess.run(  # noqa: S603  our own load
            command, input=msgspec.json.encode(plan), stdout=subprocess.PIPE, check=True
        )
        came = msgspec.json.decode(done.stdout, type=Load)
        if not came.good:
            raise RuntimeError(f"{name}: no good answer: {came.wrong}")
        return came

    def add(self, name: str, value: float, unit: str, **said: object) -> None:
        """One line of the table."""
        self.measures.append(Measure(name=name, value=value, unit=unit, **said))  # type: ignore[arg-type]

    def rated(self, name: str, count: int) -> float:
        """Rate and times of one kind of request, against the promise; answers the server's µs CPU for one."""
        self.say(f"{name}: {count:,} requests of {CLIENTS} clients")
        self.load(name, min(WARM_REQUESTS, count))
        spent = self.server.processor_seconds()
        came = self.load(name, count)
        spent = (self.server.processor_seconds() - spent) / came.answered * 1e6
        least, most = BUDGETS[name]
        alone = self.alone.get(name, 0.0)
        cost = f"server {spent:,.0f} µs CPU, load {came.processor_seconds / came.answered * 1e6:,.0f} µs CPU a request"
        self.add(
            NAMES[name],
            came.rate,
            "/s",
            budget=f"≥ {least:,.0f}",
            met=came.rate >= least,
            raw=alone,
            ratio=came.rate / alone if alone else 0.0,
            note=cost + _faults(came),
        )
        self._times(came, most)
        return spent

    def _times(self, came: Load, most: float, note: str = "") -> None:
        median = f"median {came.at(0.5):.1f} ms, worst {came.at(1):.1f} ms"
        p99 = came.at(0.99)
        words = f"{median}; {note}" if note else median
        self.add(f"  p99, {note}" if note else "  p99", p99, "ms", budget=f"< {most:g}", met=p99 < most, note=words)

    def profile(self, name: str, spent: float, alive: float) -> None:
        """Where the server's CPU time for one such request goes, stage by stage; the rest has no stage of its own."""
        stages = {"HTTP, door, figures, log (/livez)": alive, **self.stages[name]}
        lists = stages.pop(LISTS) if self.lists_apart else 0.0
        for stage, cost in stages.items():
            self.add(f"  {stage}", cost, "µs")
        rest = spent - sum(stages.values())
        self.add("  everything else: proof, threads, waiting in line, caches", rest, "µs")
        if self.lists_apart:
            self.add(f"  {LISTS}, in a process of their own", lists, "µs")

    def paced(self, name: str, seconds: float) -> None:
        """Times at the promised rate: how long one waits when the server is as busy as promised, and no busier."""
        least, most = BUDGETS[name]
        self.say(f"{name}: {least:,.0f} a second for {seconds:g} s")
        came = self.load(name, int(least * seconds), rate=least)
        kept = came.rate >= least * 0.98
        note = f"at {least:,.0f} a second" + ("" if kept else f" (only {came.rate:,.0f} were answered)")
        self._times(came, most, note)

    def beside_files(self, seconds: float) -> None:
        """The counter's times with and without an upload of files beside it, at half the promised rate."""
        name, rate = "nhsa sale", BUDGETS["nhsa sale"][0] / 4
        most = BUDGETS[name][1]
        quiet = self.load(name, int(rate * seconds), rate=rate)
        self._times(quiet, most, f"at {rate:,.0f} a second, no file beside it")
        self.say("the counter with a bulk load beside it")
        with self._files() as uploaded:
            came = self.load(name, int(rate * seconds), rate=rate)
        self._times(came, most, f"at {rate:,.0f} a second, files beside it")
        self.add("  codes uploaded in files meanwhile", uploaded() / came.seconds, "codes/s")

    @contextmanager
    def _files(self) -> Iterator[Callable[[], int]]:
        """One client that uploads files one after the other; how many codes came in."""
        ended, codes = threading.Event(), 0

        def upload() -> None:
            nonlocal codes
            while not ended.is_set():
                codes += self.load("file", 1, clients=1).good * FILE_CODES

        thread = threading.Thread(target=upload)
        thread.start()
        try:
            yield lambda: codes
        finally:
            ended.set()
            thread.join()

    def flat(self, minutes: float) -> None:
        """Memory of the server under an even load of sales, minute after minute."""
        rate = BUDGETS["nhsa sale"][0] / 2
        seen = [self.server.memory_mib()]
        parts = max(2, round(minutes))
        for part in range(parts):
            seconds = minutes * 60 / parts
            self.say(f"memory: {rate:,.0f} sales a second, part {part + 1} of {parts}, {seen[-1]:,.0f} MiB")
            self.load("api sale", int(rate * seconds), rate=rate)
            seen.append(self.server.memory_mib())
        later = seen[len(seen) // 2 :]
        slope = (later[-1] - later[0]) / (minutes * (len(later) - 1) / parts) if len(later) > 1 else 0.0
        course = " → ".join(f"{one:,.0f}" for one in seen)
        self.add("memory of the server", seen[-1], "MiB", note=f"{minutes:g} minutes of {rate:,.0f} sales/s: {course}")
        self.add("  growth in the second half", slope, "MiB/min")


def run(
    boxes: int,
    requests: int,
    *,
    minutes: float = 0.5,
    profile: bool = False,
    folder: Path | None = None,
    say: Say = lambda _: None,
) -> Bench:
    """Measure everything on a fresh node of `boxes` boxes; its folder is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="suyuan-bench-", dir=folder))
    bench = Field(home, boxes, say)
    seconds = max(0.2, requests / 1_000)
    try:
        told = machine(home.parent)
        bench.prepare(min(requests, 4_000))
        bench.server = Server(home / "node")
        try:
            alive = _generator(bench, requests)
            for name in NAMES:
                spent = bench.rated(name, requests)
                if profile and name in bench.stages:
                    bench.profile(name, spent, alive)
                bench.paced(name, seconds)
            bench.beside_files(seconds)
            bench.flat(minutes)
        finally:
            bench.server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Bench(machine=told, boxes=boxes, measures=bench.measures)


def _generator(bench: Field, requests: int) -> float:
    """How much faster the load is than the server at the least of requests; answers the server's CPU µs for one."""
    bench.say("the load against the server's least answer")
    bench.load("alive", WARM_REQUESTS)
    before = bench.server.processor_seconds()
    came = bench.load("alive", requests)
    cost = (bench.server.processor_seconds() - before) / came.answered * 1e6
    own = came.processor_seconds / came.answered * 1e6
    note = f"server {cost:,.0f} µs CPU, load {own:,.0f} µs CPU a request: the load is {cost / own:.1f} times as fast"
    bench.add("least answer (/livez)", came.rate, "/s", note=note)
    return cost


def _faults(came: Load) -> str:
    wrong = came.answered - came.good
    return f"; {wrong} of {came.answered} answers not good: {came.wrong}" if wrong else ""
