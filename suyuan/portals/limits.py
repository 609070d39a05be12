"""How often a caller may come, by lane: fixed windows in memory; a refusal says which limit."""

import hashlib
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from suyuan.codes.code import Code
from suyuan.portals.access import Caller
from suyuan.portals.problem import Refused
from suyuan.settings import Settings

PREFIX = "rate_"


class Limits:
    """The limits of one server process. Each `rate_…` of the settings is a lane."""

    def __init__(self, settings: Settings) -> None:
        self._storage = MemoryStorage()
        self._window = FixedWindowRateLimiter(self._storage)
        self._rates: dict[str, RateLimitItem] = {
            name.removeprefix(PREFIX): parse(getattr(settings, name))
            for name in Settings.__struct_fields__
            if name.startswith(PREFIX)
        }

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

    def check_code(self, caller: Caller, code: Code) -> None:
        """Count one question of a citizen about a box: nobody watches it by asking from many places, however written.

        A code that many boxes share, such as the retail barcode, is anybody's to ask about.

        Raises:
            Refused: as for `check`.
        """
        if caller.role == "citizen" and (code.is_box or code.review):
            self.check("code", hashlib.blake2b(code.key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())
