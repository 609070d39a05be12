"""Which faults happen how often: rates by name, some switched off by the seed, and one generator that strikes."""

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

RATES = {
    # The store
    "error before the write": 0.02,
    "error after the write": 0.02,
    "read fails": 0.005,
    "spuriously stale": 0.03,
    "slow store": 0.02,
    "full disk": 0.004,
    # PostgreSQL itself
    "serialization failure": 0.02,
    "deadlock": 0.01,
    "lock not available": 0.01,
    "connection cut": 0.015,
    "connection cut after the commit": 0.015,
    "connections cut while idle": 0.01,
    # A process, or the power
    "crash before the write": 0.008,
    "crash after the write": 0.008,
    "crash in mid-write": 0.01,
    # The wire
    "request lost": 0.02,
    "answer lost": 0.03,
    "delivered twice": 0.04,
    "delivered out of turn": 0.05,
    "copy arrives late": 0.02,
    "message cut": 0.02,
    "byte flipped": 0.03,
    "sender cut off": 0.004,
    # Several at once
    "racing": 0.25,
    "one append for several": 0.06,
    "poisoned message": 0.01,
    # Province and nation
    "relayed": 0.15,
    "province cut off": 0.01,
    "relay: question lost": 0.03,
    "relay: answer lost": 0.04,
    "relay: question twice": 0.04,
    # The house
    "clock steps back": 0.006,
    "server restarted": 0.006,
    "power cut": 0.004,
    "second server on the folder": 0.006,
    "lists caught up": 0.03,
    "list keeper killed": 0.012,
    "lake sealed": 0.02,
    "lake sealer killed": 0.01,
    "backed up under load": 0.03,
    "moved by export and import": 0.0015,
    "moved by backup and restore": 0.0015,
}
"""Chances each time the occasion arises, in fair weather; the seed makes them smaller or larger."""

FORCES = (0.3, 1.0, 1.0, 2.5)
"""How rough a seed is; drawn once for each."""

OFF = 0.2
"""Share of the faults that a seed leaves out, so that what hides behind another fault is seen too."""


class Note(Protocol):
    """Takes one line of the log: what happened, and its particulars."""

    def __call__(self, what: str, **particulars: Any) -> None:  # noqa: ANN401  whatever the line says
        """Keep the line."""
        ...


class Weather:
    """Decides when a fault strikes. Calm, it decides nothing and draws nothing."""

    def __init__(self, seed: str, *, without: Iterable[str] = ()) -> None:
        self.rng = Random(f"{seed}:weather")  # noqa: S311  a simulation, no secret
        """For everything about a fault but whether it happens."""
        # A generator for each fault, so that leaving one out, or adding one to the list, moves no other.
        self._chances = {fault: Random(f"{seed}:fault:{fault}") for fault in RATES}  # noqa: S311
        off = {fault for fault, chance in self._chances.items() if chance.random() < OFF}
        self.off = off | set(without)
        self.force = self.rng.choice(FORCES)
        self.calm = False
        self.struck: Counter[str] = Counter()

    def strikes(self, fault: str) -> bool:
        """Whether this fault happens now."""
        if self.calm:
            return False
        strikes = self._chances[fault].random() < RATES[fault] * self.force and fault not in self.off
        self.struck[fault] += strikes
        return strikes
