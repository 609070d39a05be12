"""Nonces of signed requests: within the window of their time each is good once."""

import asyncio
import hashlib
import secrets
import time

from suyuan.storage.tables import Tables

WINDOW = 300
"""Seconds by which the clock of a caller who signs may differ from ours."""

_USED = "This nonce was used already. Each request needs its own."


class Nonces:
    """What was signed lately.

    A server that is alone keeps it in memory: what was signed before it started is not taken. Servers that share a
    database keep it there, for the same request may come to each of them.
    """

    def __init__(self, shared: Tables | None = None) -> None:
        self._shared = shared
        self._started = int(time.time())
        self._seen: dict[int, set[int]] = {}
        """Hashes by the minute in which they lose their meaning: 60 bytes a request, for ten minutes."""

    async def fault(self, key: str, at: int, nonce: str, now: float) -> str:
        """Why a request signed at `at` (seconds since 1970) with this nonce is not taken; empty where it is, once."""
        if abs(now - at) > WINDOW:
            return f"The time is more than {WINDOW} seconds from ours, which is {int(now)}."
        if self._shared is None:
            return self._fault_here(key, at, nonce, now)
        name = hashlib.blake2b(f"nonce {key} {nonce}".encode(), digest_size=16).hexdigest()
        mine, until = secrets.token_hex(8), (at + WINDOW + 1) * 1_000_000
        first = await asyncio.to_thread(self._shared.use_proof, name, mine, until, int(now * 1_000_000))
        return "" if first == mine else _USED

    def _fault_here(self, key: str, at: int, nonce: str, now: float) -> str:
        if at < self._started:
            return "It was signed before the server started. Sign it again."
        for minute in [minute for minute in self._seen if minute * 60 < now]:
            del self._seen[minute]
        name, minute = hash(f"{key} {nonce}"), (at + WINDOW) // 60 + 1
        seen = self._seen.setdefault(minute, set())
        # The same nonce at another time is another request only once the first can no longer be sent again.
        if any(name in held for held in self._seen.values()):
            return _USED
        seen.add(name)
        return ""
