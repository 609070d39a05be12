"""How often a caller may come, by lane: fixed windows in memory; a refusal says which limit."""

import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from suyuan.portals.problem import Refused

RATES: dict[str, str] = {
    "counter": "60000/minute",
    "bulk": "600/minute",
    "query": "60000/minute",
    "stream": "300/minute",
    "page": "600/minute",
    "citizen": "120/minute",
    "report": "20/hour",
    "sign_in": "20/minute",
}
"""Requests a caller may make in each lane. A citizen is known by network address alone, which many may share."""


class Limits:
    """The limits of one server process."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._window = FixedWindowRateLimiter(self._storage)
        self._rates: dict[str, RateLimitItem] = {lane: parse(rate) for lane, rate in RATES.items()}

    def check(self, lane: str, name: str) -> None:
        """Count one request of a caller in a lane.

        Raises:
            Refused: it was one too many; says which limit, and when to come again.
        """
        rate = self._rates[lane]
        if self._window.hit(rate, lane, name):
            return
        reset = self._window.get_window_stats(rate, lane, name).reset_time
        wait = max(1, round(reset - time.time()))
        raise Refused("too_often", where=lane, value=str(rate), headers={"retry-after": str(wait)})
