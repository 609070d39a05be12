"""The claim file: what one visit, order or receipt has said so far, as the fold of its events."""

from collections.abc import Iterable
from typing import Any

import msgspec

from suyuan.ledger.events import Event


class Settlement(msgspec.Struct, kw_only=True):
    """One settlement that was answered pay or hold and not cancelled."""

    sequence: int
    settlement: str
    fact: str
    content: str
    event_time: int
    references: dict[str, str]
    person: str
    fund: str
    detail: dict[str, Any]
    codes: list[tuple[str, int]]
    """(key, sequence) of the facts that it drew: boxes, lines."""
    awaiting: dict[str, dict[str, Any]]
    """Lines still without their scan, by line: product, count (R13)."""
    deadline: int = 0
    setting: str = ""

    def scanned(self, line: str) -> None:
        """One scan less to wait for."""
        self.awaiting[line]["count"] -= 1
        if not self.awaiting[line]["count"]:
            del self.awaiting[line]


class Reported(msgspec.Struct, frozen=True):
    """A sale report of this visit: which box, and what admission needs to judge it for a claim (2304, R13)."""

    key: str
    sequence: int
    code: str
    line: str
    product: str
    product_key: str
    n: int
    m: int
    split: bool


class ClaimFile:
    """Fee lines, sale reports and settlements of one visit."""

    def __init__(self) -> None:
        self.fees: dict[tuple[str, str], dict[str, Any]] = {}
        """Fee lines by charge order and feedetl_sn, the latest upload of each."""
        self.settlements: list[Settlement] = []
        """Open settlements, oldest first."""
        self.closed: list[Settlement] = []
        self.reports: list[Reported] = []

    @classmethod
    def of(cls, events: Iterable[Event]) -> "ClaimFile":
        """Fold a history."""
        file = cls()
        for event in events:
            file.apply(event)
        return file

    def apply(self, event: Event) -> None:
        """Take one more fact into account."""
        if event.kind == "fee_line":
            for row in event.detail["lines"]:
                self.fees[row["order"], row["line"]] = row
        elif event.kind == "sold":
            self.reports += [Reported(*row) for row in event.detail["reports"]]
        elif event.kind == "claimed":
            self._settle(event)
        elif event.kind in {"cancelled", "reversed"}:
            self.closed += [entry for entry in self.settlements if entry.sequence == event.corrects]
            self.settlements = [entry for entry in self.settlements if entry.sequence != event.corrects]
        else:
            self._fill(event)

    def _settle(self, event: Event) -> None:
        if event.verdict == "refuse":
            return
        self.settlements.append(
            Settlement(
                sequence=event.sequence,
                settlement=event.references.get("settlement", ""),
                fact=event.fact,
                content=event.content,
                event_time=event.event_time,
                references=event.references,
                person=event.person,
                fund=event.fund,
                detail=event.detail["answer"],
                codes=[(key, sequence) for key, sequence in event.detail["codes"]],
                awaiting={line: dict(row) for line, row in event.detail["awaiting"].items()},
                deadline=event.deadline,
                setting=event.detail.get("setting", ""),
            )
        )

    def _fill(self, event: Event) -> None:
        """A scan reached a waiting line, or its time ran out."""
        for settlement in self.settlements:
            if settlement.sequence != event.corrects:
                continue
            if event.kind == "due":
                settlement.awaiting, settlement.deadline = {}, 0
                continue
            for line, key, sequence in event.detail["filled"]:
                settlement.codes.append((key, sequence))
                settlement.scanned(line)

    def fee_lines(self, order: str) -> dict[str, dict[str, Any]]:
        """The fee lines of a charge order by feedetl_sn, which may begin anew with each order; all of them for none."""
        fitting = [row for row in self.fees.values() if not order or row["order"] in {"", order}]
        return {row["line"]: row for row in sorted(fitting, key=lambda row: bool(row["order"]))}

    def open_with(self, fact: str) -> Settlement | None:
        """The open settlement of this very fact."""
        return next((settlement for settlement in self.settlements if settlement.fact == fact), None)

    def meant_by(self, references: dict[str, str]) -> list[Settlement]:
        """The open settlements that a cancel may mean: by settl_id, else by order, else all of the visit."""
        for kind in ("settlement", "order"):
            if references.get(kind):
                return [entry for entry in self.settlements if entry.references.get(kind) == references[kind]]
        return list(self.settlements)

    def waiting(self) -> list[Settlement]:
        """The open settlements that still wait for scans, oldest first."""
        return [settlement for settlement in self.settlements if settlement.awaiting]

    def unclaimed_reports(self) -> list[Reported]:
        """Sale reports of this visit that no open settlement has drawn yet."""
        drawn = {key for settlement in self.settlements for key, _ in settlement.codes}
        return [report for report in self.reports if report.key not in drawn]
