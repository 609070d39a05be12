"""Bench: the promised rates measured on this machine, each beside its raw limit in the same run."""

import gc
import itertools
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from suyuan.bench.raw import raw_rate
from suyuan.catalogue.content import Content
from suyuan.catalogue.mapping import Edge
from suyuan.catalogue.parties import Party
from suyuan.catalogue.product import Product
from suyuan.codes.columns import box_keys, recognise_many
from suyuan.formats import nhsa, tables
from suyuan.intake import upload_of
from suyuan.intake.upload import Upload
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.ledger.keys import digest
from suyuan.ledger.ledger import Books
from suyuan.lookup.story import tell
from suyuan.node import Node

PREFIXES = 2_000
LOTS = 8
"""Batches of each product: a batch has thousands of boxes."""
FILL = 10_000
"""Boxes a document, as a file of so many lines is taken in (`formats.tables`)."""
SAY_EVERY = 500_000
STAGED = 100_000
"""Sale scans whose stages are timed one by one."""
WHOLE_FROM = 100
"""Figures from here on are shown without decimals."""
INSTITUTION = "P44010000001"
MAKER = "M11010000001"
START, AT = 1_767_229_200_000_000, "2026-01-01 09:00:00"
"""When all boxes were made: µs UTC, and the same in Beijing."""
CLAIM_CODES = 5
CLAIM_THREADS = 64


class Measure(msgspec.Struct, kw_only=True):
    """One line of the table."""

    name: str
    value: float
    unit: str
    budget: str = ""
    """What `docs/benchmarks.md` promises, in words."""
    met: bool | None = None
    raw: float = 0.0
    """The same work on the bare engine, in the same unit and run; 0 where there is none."""
    ratio: float = 0.0
    note: str = ""
    processor: float = 0.0
    """Processor time of all threads of this process for one of them, µs; 0 where it was not taken."""


class Bench(msgspec.Struct, kw_only=True):
    """A run of the bench with its machine."""

    machine: dict[str, str]
    boxes: int
    measures: list[Measure]


Say = Callable[[str], None]

BUDGETS: dict[str, tuple[str, float]] = {
    "20-digit codes in columns": ("≥", 1_000_000),
    "GS1 element strings": ("≥", 50_000),
    "bulk upload, CSV → verdicts → durable": ("≥", 60_000),
    "claims of 5 codes, 64 threads": ("≥", 3_000),
    "history of a random code, p99": ("<", 5),
    "memory, peak": ("<", 3),
    "suyuan --version": ("<", 0.1),
}
"""Name of a measure → what is promised of it, in its unit."""


def measured(
    name: str, value: float, unit: str, note: str = "", raw: float = 0.0, *, processor: float = 0.0
) -> Measure:
    """A figure set against its budget, where it has one."""
    sign, limit = BUDGETS.get(name, ("", 0.0))
    met = None if not sign else value >= limit if sign == "≥" else value < limit
    ratio = value / raw if raw else 0.0
    budget = f"{sign} {limit:,.10g}" if sign else ""
    return Measure(
        name=name,
        value=value,
        unit=unit,
        budget=budget,
        met=met,
        raw=raw,
        ratio=ratio,
        note=note,
        processor=processor,
    )


def run(boxes: int, sales: int, claims: int, folder: Path | None = None, say: Say = lambda _: None) -> Bench:
    """Measure everything on a fresh node of `boxes` boxes; its folder is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="suyuan-bench-", dir=folder))
    measures: list[Measure] = []
    try:
        measures += _codes(say)
        with Node.open(home / "node") as node:
            codes = Codes(boxes)
            node.use_catalogue(codes.catalogue())
            measures.append(fill(node, codes, say))
            measures.append(bulk(node, codes, home, codes.random(Random(1), sales), say))
            measures += _stages(node, codes, home, say)
            measures += claim_all(node, codes, codes.random(Random(2), claims * CLAIM_CODES), say)
            measures.append(history(node, codes, say))
        measures.append(measured("memory, peak", peak_gib(), "GiB"))
        measures.append(_version())
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Bench(machine=machine(home.parent), boxes=boxes, measures=measures)


def machine(folder: Path) -> dict[str, str]:
    """What this machine is, so that figures can be compared."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory) / 1024 / 1024:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "synced write": f"{_sync_ms(folder):.2f} ms",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def peak_gib() -> float:
    """The most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _sync_ms(folder: Path) -> float:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        begun = time.perf_counter()
        for _ in range(50):
            os.pwrite(file.fileno(), b"\0" * 4096, 0)
            os.fdatasync(file.fileno())
        return (time.perf_counter() - begun) * 20


class Codes:
    """The codes of the bench's boxes: box number → code, without keeping ten million texts."""

    def __init__(self, boxes: int) -> None:
        self.boxes = boxes

    def __getitem__(self, number: int) -> str:
        # A fixed odd multiplier spreads the serials, so that neighbours in number are strangers in the database.
        return f"8{number % PREFIXES:06d}{number * 2_654_435_761 % 10**13:013d}"

    @staticmethod
    def product(number: int) -> str:
        """The NHSA code that the prefix of a box is mapped to."""
        return f"XA11CCA351E002{number % PREFIXES:04d}01121"

    def random(self, rng: Random, count: int) -> list[int]:
        """Numbers of distinct random boxes."""
        return rng.sample(range(self.boxes), count)

    def catalogue(self) -> Content:
        """Every prefix mapped, and reviewed, to a product of its own."""
        content = Content(parties=[Party(MAKER, name="bench", kind="maker", region="110101")])
        for number in range(PREFIXES):
            prefix, nhsa = f"trace20:8{number:06d}", self.product(number)
            content.products.append(Product(nhsa=nhsa, generic="bench", synthetic=True))
            content.edges.append(Edge(left=prefix, right=f"nhsa:{nhsa}", reviewed=True))
        return content


def _codes(say: Say) -> list[Measure]:
    say("recognising codes")
    plain = [f"8{number % 997:06d}{number:013d}" for number in range(1_000_000)]
    begun = time.process_time()
    box_keys(plain)
    columns = len(plain) / (time.process_time() - begun)
    elements = [f"\x1d01{'09520000016326'}21{number:09d}\x1d17280131\x1d10L{number % 97}" for number in range(50_000)]
    begun = time.process_time()
    recognise_many([text.removeprefix("\x1d") for text in elements])
    gs1 = len(elements) / (time.process_time() - begun)
    return [
        measured("20-digit codes in columns", columns, "codes/s a core"),
        measured("GS1 element strings", gs1, "codes/s a core"),
    ]


def fill(node: Node, codes: Codes, say: Say, first: int = 0) -> Measure:
    """Registered boxes: the ground on which the rest is measured.

    They are written straight into the journal, four times as fast as through the door, as the very records that the
    door writes for a maker's files (`tests/bench/test_bench_sizes.py` compares them), raw messages too.
    """
    begun = time.perf_counter()
    for at in range(first, codes.boxes, FILL):
        if not (at - first) % SAY_EVERY:
            rate = (at - first) / (time.perf_counter() - begun)
            say(f"filling the ledger: {at:,} of {codes.boxes:,} boxes, {rate:,.0f} a second")
        events, documents = produced(node, codes, range(at, min(at + FILL, codes.boxes)))
        answer = node.journal.append(events, {event.key: 0 for event in events}, documents)
        assert isinstance(answer, bytes), f"{answer[:3]} are registered already: the bench needs a ledger of its own"
    seconds = time.perf_counter() - begun
    return measured("fill (journal only)", (codes.boxes - first) / seconds, "boxes/s")


def produced(node: Node, codes: Codes, numbers: range) -> tuple[list[Event], dict[str, bytes]]:
    """What a maker's file of these boxes becomes: a fact for each, the answer to the message, the message sealed."""
    lines = (f"produced,{codes[number]},{AT},{lot_of(number)},2028-12-31\n" for number in numbers)
    name, sealed = node.privacy.seal("".join(("kind,code,event_time,lot,expiry\n", *lines)).encode())
    events = [_produced(codes[number], number, name) for number in numbers]
    answers = {"answers": [[["accepted"], len(events)]]}
    message = _event(f"message:{MAKER}:produced:{name}", "message", name, content=name, detail=answers)
    return [*events, message], {name: sealed}


def _produced(code: str, number: int, document: str) -> Event:
    return _event(
        f"trace20:{code}",
        f"{number:x}",
        document,
        place=MAKER,
        region="110101",
        reasons=("accepted",),
        fact=digest("produced", code),
        content=digest("content", code),
        lot=lot_of(number),
        expiry="2028-12-31",
    )


def lot_of(number: int) -> str:
    """The batch of a box."""
    return f"L{number // PREFIXES % LOTS:02d}"


def _event(key: str, number: str, document: str, **fields: Any) -> Event:  # noqa: ANN401  fields of an event
    return Event(
        version=RECORD_VERSION,
        id=f"{START:013x}-bench-{number}",
        kind="produced",
        key=key,
        sequence=1,
        event_time=START,
        arrived=START,
        actor=MAKER,
        document=document,
        **fields,
    )


def bulk(node: Node, codes: Codes, home: Path, sold: list[int], say: Say) -> Measure:
    """Sale scans of these boxes from a CSV file: read, recognised, judged, durable."""
    say(f"bulk: {len(sold):,} sale scans from a CSV file")
    file = sales_file(home / "sales.csv", codes, sold)
    before = time.process_time()
    taken, seconds = upload_sales(node, file)
    processor = (time.process_time() - before) / taken * 1e6
    say("the bare engine beside it")
    raw, note = raw_rate(node, [f"trace20:{codes[box]}" for box in sold])
    name = "bulk upload, CSV → verdicts → durable"
    return measured(name, taken / seconds, "codes/s", note, raw, processor=processor)


def upload_sales(node: Node, path: Path) -> tuple[int, float]:
    """Take a file of sales in; answers its records and the seconds."""
    gc.collect()
    taken = 0
    begun = time.perf_counter()
    for document, outcome in node.take_all(tables.read_table(path, INSTITUTION), INSTITUTION):
        assert not outcome.fatal, outcome.fatal
        taken += len(document.records)
    return taken, time.perf_counter() - begun


def sales_file(path: Path, codes: Codes, sold: list[int]) -> Path:
    """A table in which these boxes are sold."""
    with path.open("w") as out:
        out.write("kind,code,event_time,receipt,product,quantity\n")
        for number, box in enumerate(sold):
            at = f"2026-01-{2 + number % 27:02d} {8 + number % 12:02d}:{number % 60:02d}:00"
            out.write(f"sold,{codes[box]},{at},R{sold[number - number % 3]},{codes.product(box)},1\n")
    return path


def _stages(node: Node, codes: Codes, home: Path, say: Say) -> list[Measure]:
    """Where the time of a bulk upload goes: the steps of `intake`, one after the other, in CPU time of this thread."""
    say("the stages of a bulk upload")
    sold = codes.random(Random(4), min(STAGED, codes.boxes))
    path = sales_file(home / "stages.csv", codes, sold)
    spent: dict[str, float] = {}
    last = time.thread_time()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.thread_time()
        spent[stage] = spent.get(stage, 0.0) + now - last
        last = now

    for document in tables.read_table(path, INSTITUTION):
        lap("read the line")
        upload = upload_of(node.desk, document, INSTITUTION)
        assert isinstance(upload, Upload), "the bench's own file is in order"
        lap("recognise, look up, hash, seal")
        books = Books(node.journal.fetch(upload.keys()), node.ledger.clock(), "bench", itertools.count())
        while missing := upload.more(books) - books.histories.keys():
            books.histories.update(node.journal.fetch(missing))
        lap("fetch, decode, fold, find orders")
        upload.decide(books)
        lap("judge, make the events")
        expected = {key: books.histories[key].sequence if key in books.histories else 0 for key in books.sequences}
        node.journal.append(books.events, expected, books.documents)
        lap("encode, file, write, sync")
    return [measured(f"  {stage}", seconds / len(sold) * 1e6, "µs a code") for stage, seconds in spent.items()]


def claim_all(node: Node, codes: Codes, sold: list[int], say: Say, first: int = 0) -> list[Measure]:
    """Claims of 5 of these boxes each, from 64 threads, message in, answer out, each durable before it is answered."""
    messages = claim_messages(codes, sold, first)
    say(f"claims: {len(messages):,} of {CLAIM_CODES} codes, {CLAIM_THREADS} threads")
    before = time.process_time()
    times, refused, seconds = settle(node, messages, CLAIM_THREADS)
    processor = (time.process_time() - before) / len(messages) * 1e6
    rate, p99 = len(messages) / seconds, times[int(len(times) * 0.99)] * 1000
    note = f"median {times[len(times) // 2] * 1000:.1f} ms; refused as sold before: {refused}"
    return [
        measured("claims of 5 codes, 64 threads", rate, "claims/s", note, processor=processor),
        measured("claims of 5 codes, p99", p99, "ms"),
    ]


def claim_messages(codes: Codes, sold: list[int], first: int) -> list[bytes]:
    """A hospital's claims of 5 of these boxes each, numbered from `first` on."""
    groups = [sold[at : at + CLAIM_CODES] for at in range(0, len(sold), CLAIM_CODES)]
    return [claim_message(first + number, [codes[box] for box in group]) for number, group in enumerate(groups)]


def settle(node: Node, messages: list[bytes], threads: int) -> tuple[list[float], int, float]:
    """Settle claims from so many threads; answers their times, sorted, how many were refused, and the seconds."""
    times: list[float] = []
    refused: list[bytes] = []

    def client(own: list[bytes]) -> None:
        for raw in own:
            begun = time.perf_counter()
            document = nhsa.read(raw)
            answer = nhsa.answer(document, node.take(document))
            times.append(time.perf_counter() - begun)
            if b'"infcode":0' not in answer:
                refused.append(answer)

    clients = [threading.Thread(target=client, args=(messages[worker::threads],)) for worker in range(threads)]
    begun = time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    seconds = time.perf_counter() - begun
    assert len(times) == len(messages), "a client ended early"
    assert len(refused) < len(messages), refused[0]
    return sorted(times), len(refused), seconds


def claim_message(number: int, codes: list[str]) -> bytes:
    """A hospital's 2207 of these codes."""
    at = "2026-02-01 09:00:00"
    rows = [
        {"feedetl_sn": str(line), "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2"}
        for line, code in enumerate(codes)
    ]
    data = {
        "psn_no": f"N{number:09d}",
        "mdtrt_id": f"V{number}",
        "chrg_bchno": f"O{number}",
        "medfee_sumamt": 50,
        "insutype": "310",
        "minpacunt_drug_trac_cnt": len(codes),
    }
    return msgspec.json.encode(
        {
            "infno": "2207",
            "msgid": f"H44010000001{number:018d}",
            "mdtrtarea_admvs": "440100",
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "inf_time": at,
            "fixmedins_code": "H44010000001",
            "fixmedins_name": "bench",
            "input": {"data": data, "drug_trac_info": rows},
        }
    )


def history(node: Node, codes: Codes, say: Say) -> Measure:
    """What is told of random boxes, how long it takes."""
    say("histories of random codes")
    times = []
    for box in codes.random(Random(3), min(5_000, codes.boxes)):
        begun = time.perf_counter()
        tell(node.ledger, node.catalogue, codes[box])
        times.append(time.perf_counter() - begun)
    times.sort()
    p99 = times[int(len(times) * 0.99)] * 1000
    note = f"median {times[len(times) // 2] * 1000:.2f} ms"
    return measured("history of a random code, p99", p99, "ms", note)


def _version() -> Measure:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "suyuan", "--version"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return measured("suyuan --version", min(times), "s")


def shown(value: float) -> str:
    """A figure with as many digits as say something."""
    return f"{value:,.0f}" if value >= WHOLE_FROM else f"{value:.3g}"


def rows(bench: Bench) -> Iterator[tuple[str, ...]]:
    """The table's cells."""
    for measure in bench.measures:
        verdict = "" if measure.met is None else "yes" if measure.met else "NO"
        raw = f"{measure.raw:,.0f} ({measure.ratio:.2f})" if measure.raw else ""
        yield measure.name, shown(measure.value), measure.unit, measure.budget, verdict, raw, measure.note
