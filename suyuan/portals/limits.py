"""How often a caller may come, by lane: fixed windows; a refusal says which limit."""

import asyncio
import hashlib
import time
from threading import Lock

from limits import RateLimitItem, parse

from suyuan.codes.code import Code
from suyuan.portals.access import Caller
from suyuan.portals.problem import Refused
from suyuan.settings import Settings, rates_of_software
from suyuan.storage.tables import Tables

PREFIX = "rate_"
SWEPT_FROM = 10_000
"""Windows that may be kept before those that have ended are thrown away."""


COMMON = frozenset({"sign_in", "code", "report", "citizen"})
"""Lanes against who guesses and gathers: of servers that share a database, all count together.

The others keep one process from being overrun: each counts for itself.
"""


class Limits:
    """The limits of one server process. Each `rate_…` of the settings is a lane.

    The library's own store in memory starts a thread every 10 ms that walks through all windows: most of the
    server's time once thousands are open.
    """

    def __init__(self, settings: Settings, shared: Tables | None = None) -> None:
        self._shared = shared
        """Where servers count together; None for a server that is alone."""
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        """Lane and name → when the window ends (monotonic), and how many came in it."""
        self._sweep_from = SWEPT_FROM
        self._counting = Lock()
        self._rates: dict[str, RateLimitItem] = {
            name.removeprefix(PREFIX): parse(getattr(settings, name))
            for name in Settings.__struct_fields__
            if name.startswith(PREFIX)
        }
        self._software = {name: parse(rate) for name, rate in rates_of_software(settings.software_rates).items()}

    async def check(self, lane: str, name: str) -> None:
        """Count one request of a caller in a lane.

        Raises:
            Refused: it was one too many; says which limit, and when to come again.
        """
        if self._shared is None or lane not in COMMON:
            self.check_here(lane, name)
            return
        rate, now = self._rates[lane], time.time_ns() // 1000
        hidden = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        counted = asyncio.to_thread(self._shared.count, lane, hidden, rate.get_expiry() * 1_000_000, now)
        came, end = await counted
        if came > rate.amount:
            raise _too_often(lane, rate, (end - now) / 1_000_000)

    def check_here(self, lane: str, name: str, count: int = 1) -> None:
        """Count one request in this process alone, or as many as it weighs.

        Raises:
            Refused: as for `check`.
        """
        self._count(self._rates[lane], lane, name, count)

    def check_software(self, software: str) -> None:
        """Count one upload of a version of scanner software, whoever sends it; what does not say what it is goes free.

        Raises:
            Refused: as for `check`.
        """
        if software:
            self._count(self._rate_of(software), "software", software, 1)

    def _rate_of(self, software: str) -> RateLimitItem:
        """What the operator allows this version, else the longest beginning of its name, else any version."""
        for end in range(len(software), -1, -1):
            rate = self._software.get(software if end == len(software) else f"{software[:end]}*")
            if rate is not None:
                return rate
        return self._rates["software"]

    def give_back(self, lane: str, name: str, count: int) -> None:
        """Count no longer what was counted on suspicion."""
        with self._counting:
            end, came = self._windows.get((lane, name), (0.0, 0))
            if end:
                self._windows[lane, name] = end, max(0, came - count)

    def _count(self, rate: RateLimitItem, lane: str, name: str, count: int) -> None:
        now = time.monotonic()
        with self._counting:
            end, came = self._windows.get((lane, name), (0.0, 0))
            if end <= now:
                end, came = now + rate.get_expiry(), 0
                self._sweep(now)
            self._windows[lane, name] = end, came + count
        if came >= rate.amount:
            raise _too_often(lane, rate, end - now)

    def _sweep(self, now: float) -> None:
        """Throw away what has ended, each time the windows have become twice as many: memory follows those open."""
        if len(self._windows) >= self._sweep_from:
            self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
            self._sweep_from = max(SWEPT_FROM, 2 * len(self._windows))

    async def check_code(self, caller: Caller, code: Code) -> None:
        """Count one question of a citizen about a box: nobody watches it by asking from many places, however written.

        A code that many boxes share, such as the retail barcode, is anybody's to ask about.

        Raises:
            Refused: as for `check`.
        """
        if caller.role == "citizen" and (code.is_box or code.review):
            name = hashlib.blake2b(code.key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            await self.check("code", name)


def _too_often(lane: str, rate: RateLimitItem, seconds: float) -> Refused:
    wait = max(1, round(seconds))
    return Refused("too_often", where=lane, value=str(rate), headers={"retry-after": str(wait)})
