"""Nonces of signed requests: within the window of their time each is good once."""

import time

WINDOW = 300
"""Seconds by which the clock of a caller who signs may differ from ours."""


class Nonces:
    """What was signed lately. It is kept in memory: what was signed before the server started is not taken."""

    def __init__(self) -> None:
        self._started = int(time.time())
        self._seen: dict[int, set[int]] = {}
        """Hashes by the minute in which they lose their meaning: 60 bytes a request, for ten minutes."""

    def fault(self, key: str, at: int, nonce: str, now: float) -> str:
        """Why a request signed at `at` (seconds since 1970) with this nonce is not taken; empty where it is, once."""
        if abs(now - at) > WINDOW:
            return f"The time is more than {WINDOW} seconds from ours, which is {int(now)}."
        if at < self._started:
            return "It was signed before the server started. Sign it again."
        for minute in [minute for minute in self._seen if minute * 60 < now]:
            del self._seen[minute]
        name, minute = hash(f"{key} {nonce}"), (at + WINDOW) // 60 + 1
        seen = self._seen.setdefault(minute, set())
        # The same nonce at another time is another request only once the first can no longer be sent again.
        if any(name in held for held in self._seen.values()):
            return "This nonce was used already. Each request needs its own."
        seen.add(name)
        return ""
