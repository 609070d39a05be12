"""Policy: what applies from which date in which region to which fund (R11), with the national dates."""

from typing import Literal

import msgspec

from suyuan.ledger.admission import Rules

Mode = Literal["observe", "warn", "enforce"]


class Step(msgspec.Struct, frozen=True):
    """From a date on, in a region, for a fund: how strictly verdicts are applied."""

    since: str
    """ISO date, inclusive."""
    mode: Mode
    region: str = ""
    """Prefix of the division code of the place of care; empty for everywhere."""
    fund: str = ""
    """Empty for every fund."""
    why: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of dated steps and windows. Times in the units their names say."""

    name: str
    steps: tuple[Step, ...]
    rules: Rules = Rules()
    undo_days: dict[str, int] = msgspec.field(
        default_factory=lambda: {"pharmacy": 10, "outpatient": 30, "inpatient": 60}
    )
    """R25, by setting; national pharmacy and inpatient values, outpatient is practice."""
    awaiting_days: int = 3
    """R13: how long a line settled before dispensing may wait for its scan."""
    awaiting_settings: frozenset[str] = frozenset({"outpatient", "inpatient"})
    hold_days: int = 15
    """R9: a hold ends by release or by this deadline."""
    stock_covered: frozenset[tuple[str, str]] = frozenset()
    """R15: (institution, NHSA code) whose inbound codes are known to be at least 95 % complete over 90 days."""

    def mode(self, day: str, region: str, fund: str) -> Mode:
        """The latest step that applies; of equal dates the more particular one. `observe` before the first."""
        chosen: Mode = "observe"
        rank = ("", 0)
        for step in self.steps:
            if step.since <= day and region.startswith(step.region) and step.fund in {"", fund}:
                particular = (step.since, len(step.region) + 10 * bool(step.fund))
                if particular >= rank:
                    chosen, rank = step.mode, particular
        return chosen


NATIONAL = Policy(
    name="national",
    steps=(
        Step("2025-04-16", "warn", why="11 provinces complete at pharmacies; settlement by code begins"),
        Step("2025-07-01", "enforce", why="settlement needs scans at designated institutions"),
        Step("2026-01-01", "enforce", why="full collection, self-paid sales included"),
    ),
)
"""Dates from `spec/nhsa-interface.md` §5 and settlement rule R11."""

REHEARSAL = Policy(name="rehearsal", steps=(Step("2000-01-01", "warn", why="verdicts are shown, nothing is refused"),))
"""For a province that wants to see before it enforces."""

STRICT = Policy(name="strict", steps=(Step("2000-01-01", "enforce", why="every date enforced"),))
"""For tests of a client: every date enforced."""

PRESETS = {policy.name: policy for policy in (NATIONAL, REHEARSAL, STRICT)}
