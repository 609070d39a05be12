"""How fast the journal's feed is sealed into the lake, where the time goes, and how fast the lake is asked."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from suyuan.bench.core import Bench, Codes, Measure, Say, machine
from suyuan.lake.columns import Columns, root_of
from suyuan.lake.compaction import compact
from suyuan.lake.query import ask
from suyuan.lake.questions import QUESTIONS
from suyuan.lake.segment import ROW_GROUP, SEGMENT_EVENTS, ZSTD_LEVEL, Batch
from suyuan.ledger.events import RECORD_VERSION, Event
from suyuan.ledger.keys import digest
from suyuan.node import Node

LIFE = 6
"""Events of one box: produced, packed, shipped, received, sold, claimed."""
BOXES_AT_ONCE = 2_000
PAGE = 8_192
BUDGET = 500_000
START = 1_767_200_400_000_000
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


def run(events: int, folder: Path | None, say: Say) -> Bench:
    """Fill a journal with the lives of boxes, seal it, ask it; its folder is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="suyuan-bench-", dir=folder))
    boxes = -(-events // LIFE)
    try:
        with Node.open(home / "node") as node:
            _fill(node, boxes, say)
            say("reading the feed")
            measures = [_read(node)]
            measures += _sealed(node, say)
            measures += _stages(node, home, say)
            measures += _asked(node, say)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Bench(machine=machine(home.parent), boxes=boxes, measures=measures)


def _fill(node: Node, boxes: int, say: Say) -> None:
    codes = Codes(boxes)
    for first in range(0, boxes, BOXES_AT_ONCE):
        if first % (BOXES_AT_ONCE * 25) == 0:
            say(f"filling the journal: {first * LIFE:,} of {boxes * LIFE:,} events")
        lives = [life(codes[number], number) for number in range(first, min(first + BOXES_AT_ONCE, boxes))]
        # What many parties say comes mixed: first all that were made, then all that were packed, and so on.
        events = [event for step in zip(*lives, strict=True) for event in step]
        node.journal.append(events, {event.key: 0 for event in events})


def life(code: str, number: int) -> list[Event]:
    """What is said of one box from its maker to the fund, as the doors record it."""
    maker, firm, shop = f"M{number % 300:011d}", f"W{number % 70:08d}", f"P44010{number % 2_000:06d}"
    made = START + number % 60 * _DAY
    document = digest("document", str(number // 5))
    said: list[dict[str, Any]] = [
        {"kind": "produced", "actor": maker, "place": maker, "region": "110101", "lot": f"L{number % 977:03d}"},
        {"kind": "packed", "actor": maker, "place": maker, "region": "110101", "parent": f"sscc:{number // 40:018d}"},
        {"kind": "shipped", "actor": maker, "counterparty": firm, "references": {"delivery": f"D{number // 400}"}},
        {"kind": "received", "actor": firm, "counterparty": maker, "references": {"delivery": f"D{number // 400}"}},
        {"kind": "sold", "price": 25_000_000, "references": {"receipt": f"R{number // 3}", "visit": f"V{number}"}},
        {"kind": "claimed", "verdict": "pay", "price": 25_000_000, "references": {"visit": f"V{number}"}},
    ]
    if number % 500 == 0:  # sold once more, by another
        said[-1] = {"kind": "sold", "price": 25_000_000, "references": {"receipt": f"R{number}"}}
    events = []
    for step, fields in enumerate(said):
        at = made + step * _DAY + number % 80_000 * _SECOND
        spent = {} if step < LIFE - 2 else _spent(number, shop if step < LIFE - 1 or number % 500 else "P44010999999")
        events.append(
            Event(
                version=RECORD_VERSION,
                id=f"{at:013x}-bench-{number * LIFE + step:x}",
                key=f"trace20:{code}",
                sequence=step + 1,
                event_time=at,
                arrived=at + 90 * _SECOND,
                expiry="2028-12-31",
                fact=digest(str(step), code),
                content=digest("content", str(step), code),
                document=document,
                software="Supplier/till/4.2",
                **{**fields, **spent},
            )
        )
    return events


def _spent(number: int, shop: str) -> dict[str, Any]:
    return {
        "actor": shop,
        "place": shop,
        "region": "440106",
        "drawn": True,
        "reasons": ("accepted",),
        "line": str(number % 5),
        "product": f"XA11CCA351E002{number % 2_000:04d}01121",
        "fund": "employee",
        "person": f"1:{digest('person', str(number // 7))}",
        "prescriber": f"1:{digest('prescriber', str(number % 500))}",
    }


def _pages(node: Node) -> Iterator[list[Batch]]:
    position: bytes | None = None
    while True:
        batches, position = node.batches(position, PAGE)
        if not batches:
            return
        yield batches


def _read(node: Node) -> Measure:
    begun = time.perf_counter()
    count = sum(events for batches in _pages(node) for events, _ in batches)
    rate = count / (time.perf_counter() - begun)
    return Measure(name="reading the feed alone", value=rate, unit="events/s")


def _sealed(node: Node, say: Say) -> list[Measure]:
    """The whole feed into the lake, all processors at it."""
    cores = os.cpu_count() or 1
    before, begun = os.times(), time.perf_counter()
    count = node.lake.seal(say=lambda events: say(f"sealing: {events:,} events")) or 0
    seconds, after = time.perf_counter() - begun, os.times()
    spent = sum(after[:4]) - sum(before[:4])
    raw = _written(node)
    rate = count / seconds
    per_event = spent / count * 1e6
    manifest = node.lake.manifest()
    size = sum(file.size for file in manifest.files) / count
    return [
        Measure(
            name=f"sealing, {cores} processes",
            value=rate,
            unit="events/s",
            budget=f"≥ {BUDGET:,}",
            met=rate >= BUDGET,
            raw=raw,
            ratio=rate / raw,
            note="raw: polars writes the same rows, sorted already, to Parquet with the same settings and nothing else",
        ),
        Measure(
            name="  processor time of all processes",
            value=per_event,
            unit="µs an event",
            note=f"a machine that does nothing else could seal {cores / per_event * 1e6:,.0f} events/s",
        ),
        Measure(name="  Parquet", value=size, unit="bytes an event", note="and 32 bytes of leaf hash"),
    ]


def _written(node: Node) -> float:
    """Rows a second that polars writes of one file of the lake."""
    file = node.lake.manifest().files[0]
    frame = pl.read_parquet(node.lake.folder / file.name)
    path = node.lake.folder / "raw.part"
    begun = time.perf_counter()
    frame.write_parquet(path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP)
    seconds = time.perf_counter() - begun
    path.unlink()
    return len(frame) / seconds


def _stages(node: Node, home: Path, say: Say) -> list[Measure]:
    """Where a maker's time goes: one segment made in this process, in processor time of all its threads."""
    say("the stages of making a segment")
    batches: list[Batch] = []
    for page in _pages(node):
        batches += page
        if sum(events for events, _ in batches) >= SEGMENT_EVENTS:
            break
    begun = time.process_time()
    columns = Columns(0, node.salt_key, [])
    for count, events in batches:
        columns.take(count, events)
    taken = time.process_time()
    leaves = columns.leaves
    root_of(leaves)
    hashed = time.process_time()
    frame = columns.rows()
    sorted_ = time.process_time()
    frame.write_parquet(
        home / "stage.parquet", compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP
    )
    ended = time.process_time()
    parts = {
        "unpack, leaf hashes": taken - begun,
        "Merkle tree": hashed - taken,
        "columns, sort": sorted_ - hashed,
        "Parquet": ended - sorted_,
    }
    return [
        Measure(
            name=f"  {name}",
            value=seconds / columns.count * 1e6,
            unit="µs an event",
            note=f"{seconds / (ended - begun):.0%} of a maker",
        )
        for name, seconds in parts.items()
    ]


def _asked(node: Node, say: Say) -> list[Measure]:
    """The kept questions over the lake, before and after its files are merged."""
    folder, count = node.lake.folder, node.lake.manifest().events
    measures = []
    for name, question in QUESTIONS.items():
        say(f"asking: {question.words}")
        begun = time.perf_counter()
        rows = len(ask(folder, name).rows)
        seconds = time.perf_counter() - begun
        measures.append(Measure(name=f"question {name}", value=seconds, unit="s", note=f"{rows:,} rows"))
    say("merging files")
    begun = time.perf_counter()
    done = compact(folder)
    seconds = time.perf_counter() - begun
    files = len(node.lake.manifest().files)
    if done is not None and done.files:
        note = f"{done.files} files into {done.made}; {files} in all"
        measures.append(Measure(name="merging", value=count / seconds, unit="events/s", note=note))
    return measures
