"""Figures for the operators: uploads, codes, verdicts, alerts, lines that wait, as Prometheus reads them."""

import os
from collections import Counter as Count
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from suyuan.formats.document import Document, Outcome
from suyuan.formats.summary import fate_of
from suyuan.ledger.scan import Result, Scan
from suyuan.settlement.claim import ClaimVerdict

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several server processes keep their figures, so that any of them tells the sum of all."""
PLACE = "SUYUAN_FIGURES_PLACE"
"""Names the place of this process among them. Who is started in the place of one that has died goes on counting where
that one ended: nothing is lost, and no file stays behind for each of the dead."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LAG_SECONDS = (*SECONDS, 60, 600)
"""After a burst or a long stop, a list may be minutes behind."""


class Figures:
    """Counters of one server process. No label names a person, an institution or a code."""

    def __init__(self) -> None:
        if SHARED in os.environ and (place := os.environ.get(PLACE)):
            values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]  # as below
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "suyuan_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "suyuan_request_seconds", "Time to answer.", ["lane"], buckets=SECONDS, registry=registry
        )
        self._records = Counter(
            "suyuan_records", "Records taken in, by format, transaction and fate.", ["format", "infno", "fate"],
            registry=registry,
        )  # fmt: skip
        self._codes = Counter(
            "suyuan_codes", "Codes taken in, by what was said of them, province of the sender, and fate.",
            ["kind", "province", "fate"], registry=registry,
        )  # fmt: skip
        self._reasons = Counter(
            "suyuan_reasons", "Leading status of what was not simply accepted.", ["status"], registry=registry
        )
        self._verdicts = Counter("suyuan_claims", "Claims by verdict.", ["verdict"], registry=registry)
        self._alerts = Counter(
            "suyuan_alerts", "Alerts raised by uploads, by leading status.", ["status"], registry=registry
        )
        self._checks = Counter(
            "suyuan_citizen_checks", "Citizens' questions by outcome.", ["outcome"], registry=registry
        )
        self.checks: Count[str] = Count()
        """Citizens' questions of this process alone, by outcome, and of none that was in its place before."""
        self._refusals = Counter("suyuan_refusals", "Requests turned away, by error.", ["error"], registry=registry)
        self.alert_lag = Histogram(
            "suyuan_alert_lag_seconds", "From a scan's arrival to its alert being listed.", buckets=LAG_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "suyuan_uploads_waiting", "Uploads in line, by lane.", ["lane"], registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.oldest = highest("suyuan_oldest_waiting_seconds", "Age of the oldest upload not yet answered.", registry)
        self.unready = highest("suyuan_unready", "1 where a process cannot take uploads now.", registry)
        self.lists_stand = highest("suyuan_lists_stand", "1 where the lists do not follow the journal.", registry)
        self.flagged = highest(
            "suyuan_software_flagged",
            "Versions of scanner software whose alert rate is far above the others'.",
            registry,
        )
        self.streams = summed("suyuan_streams", "Open streams of alerts.", registry)
        self.memory = summed("suyuan_memory_bytes", "Memory in use.", registry)
        self.files = summed("suyuan_open_files", "Open files and connections.", registry)
        self.threads = summed("suyuan_threads", "Threads.", registry)

    def request(self, route: str, lane: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the pattern of the URL, never the URL itself."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(lane).observe(seconds)

    def checked(self, outcome: str) -> None:
        """Count one citizen's question."""
        self._checks.labels(outcome).inc()
        self.checks[outcome] += 1

    def refused(self, error: str) -> None:
        """Count one request that was turned away, by the code of its error."""
        self._refusals.labels(error).inc()

    def taken(self, document: Document, outcome: Outcome, province: str) -> None:
        """Count what became of an upload; `province` is the two digits of the sender's division code, or empty."""
        if outcome.fatal:
            self._records.labels(document.format, document.infno, "rejected").inc()
            return
        fates: Count[str] = Count()
        codes: Count[tuple[str, str]] = Count()
        for record, result in zip(document.records, outcome.results, strict=False):
            fate = fate_of(result)
            fates[fate] += 1
            kind: str = (
                record.kind if isinstance(record, Scan) else "claimed" if isinstance(result, ClaimVerdict) else ""
            )
            if kind:
                codes[kind, fate] += _codes_of(record, result)
            if isinstance(result, ClaimVerdict):
                self._verdicts.labels(result.verdict).inc()
            elif result.status != "accepted":
                self._reasons.labels(result.status).inc()
            for status in _alerted(result):
                self._alerts.labels(status).inc()
        for fate, count in fates.items():
            self._records.labels(document.format, document.infno, fate).inc(count)
        for (kind, fate), count in codes.items():
            self._codes.labels(kind, province, fate).inc(count)

    def watched(self, waiting: Mapping[str, int], oldest: float) -> None:
        """Note how long the lines are, and what this process has of the machine."""
        for lane, length in waiting.items():
            self.waiting.labels(lane).set(length)
        self.oldest.set(oldest)
        memory, threads, files = used_by("self")
        self.memory.set(memory)
        self.threads.set(threads)
        self.files.set(files)

    def text(self) -> bytes:
        """All figures in Prometheus's own form; of several processes, their sums, and of what is worst the worst."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the library has no types here
        return generate_latest(together)


def forget(folder: Path, place: str) -> None:
    """Leave out the gauges of the server process that has ended in this place; what it counted still counts."""
    mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]  # as above


def used_by(process: int | str) -> tuple[int, int, int]:
    """Bytes of memory, threads and open files of a process of this machine; zeros where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        files = sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
        return int(told["VmRSS"].split()[0]) * 1024, int(told["Threads"]), files
    except (OSError, KeyError, ValueError):
        return 0, 0, 0


def highest(name: str, words: str, registry: CollectorRegistry) -> Gauge:
    """A gauge of which the worst of all server processes is told."""
    return Gauge(name, words, registry=registry, multiprocess_mode="livemax")


def summed(name: str, words: str, registry: CollectorRegistry) -> Gauge:
    """A gauge that adds up over all server processes."""
    return Gauge(name, words, registry=registry, multiprocess_mode="livesum")


def _codes_of(record: object, result: Result | ClaimVerdict) -> int:
    """Codes that one record speaks of."""
    if isinstance(result, ClaimVerdict):
        return sum(len(line.codes) for line in result.lines)
    return max(1, len(record.children)) if isinstance(record, Scan) else 1


def _alerted(result: Result | ClaimVerdict) -> Iterator[str]:
    """The leading status of each code about which this very answer raised an alert."""
    if not result.first:
        return
    if isinstance(result, Result):
        if result.alert:
            yield result.status
        return
    for line in result.lines:
        yield from (code.status for code in line.codes if code.alert)
