"""Figures for the operators: requests, uploads, verdicts, alerts, as Prometheus reads them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from suyuan.formats.document import Document, Outcome
from suyuan.formats.summary import fate_of
from suyuan.settlement.claim import ClaimVerdict

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Figures:
    """Counters of one server process. No label names a person, an institution or a code."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "suyuan_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "suyuan_request_seconds", "Time to answer.", ["lane"], buckets=SECONDS, registry=self.registry
        )
        self._records = Counter(
            "suyuan_records", "Records taken in, by format, transaction and fate.", ["format", "infno", "fate"],
            registry=self.registry,
        )  # fmt: skip
        self._reasons = Counter(
            "suyuan_reasons", "Leading status of what was not simply accepted.", ["status"], registry=self.registry
        )
        self._verdicts = Counter("suyuan_claims", "Claims by verdict.", ["verdict"], registry=self.registry)
        self._checks = Counter(
            "suyuan_citizen_checks", "Citizens' questions by outcome.", ["outcome"], registry=self.registry
        )
        self.waiting = Gauge("suyuan_uploads_waiting", "Uploads in line, by lane.", ["lane"], registry=self.registry)
        self.oldest = Gauge(
            "suyuan_oldest_waiting_seconds", "Age of the oldest upload in line.", registry=self.registry
        )
        self.alert_lag = Histogram(
            "suyuan_alert_lag_seconds", "From a scan's arrival to its alert being listed.", buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip

    def request(self, route: str, lane: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the pattern of the URL, never the URL itself."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(lane).observe(seconds)

    def checked(self, outcome: str) -> None:
        """Count one citizen's question."""
        self._checks.labels(outcome).inc()

    def taken(self, document: Document, outcome: Outcome) -> None:
        """Count what became of an upload."""
        if outcome.fatal:
            self._records.labels(document.format, document.infno, "rejected").inc()
            return
        fates: dict[str, int] = {}
        for result in outcome.results:
            fate = fate_of(result)
            fates[fate] = fates.get(fate, 0) + 1
            if isinstance(result, ClaimVerdict):
                self._verdicts.labels(result.verdict).inc()
            elif result.status != "accepted":
                self._reasons.labels(result.status).inc()
        for fate, count in fates.items():
            self._records.labels(document.format, document.infno, fate).inc(count)

    def text(self) -> bytes:
        """All figures in Prometheus's own form."""
        return generate_latest(self.registry)
