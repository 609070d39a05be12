"""The demonstration: a written country played through a node's own door, audited, and set against the truth."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.exchange import read_rows
from suyuan.formats import epcis, nhsa, summary, tables
from suyuan.ledger.admission import HOUR
from suyuan.lookup.totals import Totals, count_all
from suyuan.node import Node
from suyuan.simulation.auditor import Audit, audit
from suyuan.simulation.country import TRUTH
from suyuan.simulation.play import Played, play
from suyuan.simulation.report import Findings, compare, false_alarms, write_report
from suyuan.simulation.truth import Truth


class Demonstration(msgspec.Struct, kw_only=True):
    """What a played country came to."""

    played: Played
    totals: Totals
    audit: Audit
    findings: Findings
    seconds: float
    codes: int
    report: str

    @property
    def sound(self) -> bool:
        """True where the auditor agrees and no honest cause that must be silent raised an alert."""
        return not self.audit.differences and not false_alarms(self.findings)


class SimulatedClock:
    """The node's clock during a play: the arrival of the upload at hand; deadlines fall due every simulated hour."""

    def __init__(self) -> None:
        self.now = 0
        self.next_due = 0

    def __call__(self) -> int:
        """µs UTC."""
        return self.now


def read_catalogue(folder: Path) -> Content:
    """The catalogue that a country was written with."""
    content = Content()
    for table in TABLES:
        path = folder / "catalogue" / f"{table.name}.csv"
        if path.exists():
            reading = read_rows(table.name, path.read_bytes())
            assert not reading.rejected, f"{path} was written by the simulation and has no bad lines"
            setattr(content, table.name, [row for _, row in reading.rows])
    return content


def demonstrate(
    folder: Path, node: Node, clock: SimulatedClock, on_progress: Callable[[int, int], None] | None = None
) -> Demonstration:
    """Play the country in `folder` through `node`, whose clock is `clock`; then count, audit and compare."""
    content = read_catalogue(folder)
    node.tables.save_catalogue(content)
    node.use_catalogue(content)
    begun = time.monotonic()
    codes = 0

    def take(raw: bytes, by: str, arrival: int, kind: str) -> bytes:
        nonlocal codes
        clock.now = arrival
        if arrival >= clock.next_due:
            node.take_time()
            clock.next_due = arrival + HOUR
        answer, count = take_upload(node, raw, by, kind)
        codes += count
        return answer

    played = play(folder, take, on_progress)
    return examine(folder, node, played, seconds=time.monotonic() - begun, codes=codes)


def examine(folder: Path, node: Node, played: Played, *, seconds: float, codes: int) -> Demonstration:
    """Count, audit and compare what a node holds of the country in `folder` after it was played, by whatever door."""
    totals, alerts = count_all(node.journal)
    figures = figures_of(totals)
    audited = audit(folder, figures, lambda code: story_of(node, code), alerts=alerts)
    findings = compare(_truths(folder), alerts)
    sellers = {"hospital", "clinic", "pharmacy"}
    institutions = sum(1 for party in node.catalogue.content.parties if party.kind in sellers)
    report = write_report(
        {**audited.figures, **figures, "scans": totals.scans, "institutions": institutions},
        findings,
        reasons=totals.reasons,
        differences=audited.differences,
        seconds=seconds,
        codes=codes,
    )
    return Demonstration(
        played=played, totals=totals, audit=audited, findings=findings, seconds=seconds, codes=codes, report=report
    )


def take_upload(node: Node, raw: bytes, by: str, kind: str) -> tuple[bytes, int]:
    """One upload through the node's door: its answer in the sender's own form, and how many records it held."""
    if kind == "nhsa":
        document = nhsa.read(raw)
        outcome = node.take(document, by)
        return nhsa.answer(document, outcome), len(document.records)
    if kind == "epcis":
        document = epcis.read(raw)
        return summary.answer(document, node.take(document, by)), len(document.records)
    counts, records = summary.Summary(), 0
    for document in tables.read([raw], "table", by):
        counts.add(document, node.take(document, by))
        records += len(document.records)
    return msgspec.json.encode(counts), records


def figures_of(totals: Totals) -> dict[str, int]:
    """The node's figures under the auditor's names."""
    return {
        "boxes": totals.boxes,
        "sales": totals.sales,
        "claims_paid": totals.claims["pay"],
        "claims_held": totals.claims["hold"],
        "claims_refused": totals.claims["refuse"],
        "money_paid": totals.money["pay"],
        "money_held": totals.money["hold"],
        "money_refused": totals.money["refuse"],
    }


def story_of(node: Node, code: str) -> Mapping[str, Any]:
    """What the node stores about one box, as plain values for the auditor."""
    from suyuan.codes.recognise import recognise  # noqa: PLC0415  only the audit needs it
    from suyuan.lookup.story import keys_of  # noqa: PLC0415

    keys = keys_of(recognise(code, "scan", node.catalogue.maker_rules))
    events = [event for history in node.ledger.read(keys).values() for event in history]
    return {"events": [msgspec.structs.asdict(event) for event in events]}


def _truths(folder: Path) -> list[Truth]:
    decoder = msgspec.json.Decoder(Truth)
    return [decoder.decode(line) for line in (folder / TRUTH).read_bytes().splitlines()]
