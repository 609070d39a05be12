"""The relay of a running node: it ships, takes and follows by itself, and says how it stands."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from suyuan.node import Node
from suyuan.relay.asking import Asking
from suyuan.relay.filing import FROM_NATION, last_of, slices_key
from suyuan.relay.following import Follower
from suyuan.relay.heard import Gate, unrecovered
from suyuan.relay.link import Link, Post, Unreachable
from suyuan.relay.messages import Unreadable
from suyuan.relay.nation import Nation, provinces_of
from suyuan.relay.province import Again, Province, Standing, Stopped
from suyuan.relay.speaker import speaker_of

IDLE = 0.5
"""Seconds between two looks where nothing was to be done."""
WAIT_FIRST, WAIT_MAX = 0.5, 30.0
"""Seconds of rest after a failure, doubled each time up to the second figure."""


class Going:
    """Work done again and again in a thread of its own until it is told to end."""

    def __init__(self, name: str, step: Callable[[], bool]) -> None:
        self._name = name
        self._step = step
        self._ending = threading.Event()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("suyuan")
        self.failure = ""
        """Why it stands still, in words; empty while it goes on."""

    def start(self) -> None:
        """Begin."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._go_on, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End when the step under way is done."""
        self._ending.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def news(self) -> None:
        """Say that there may be something to do."""
        self._news.set()

    def _go_on(self) -> None:
        rest = 0.0
        while not self._ending.is_set():
            try:
                more = self._step()
            except Again:
                more = True
            except (Unreachable, Unreadable, Stopped) as failure:
                more, rest = False, self._failed(str(failure), rest)
            except Exception as failure:  # noqa: BLE001  uploads go on whatever happens to the relay; readiness shows it
                more, rest = False, self._failed(f"{type(failure).__name__}: {failure}", rest)
            else:
                self.failure, rest = "", 0.0
            if not more:
                self._news.wait(rest or IDLE)
                self._news.clear()

    def _failed(self, words: str, rest: float) -> float:
        if words != self.failure:
            self._log.warning("relay", task=self._name, words=words)
        self.failure = words
        return min(WAIT_MAX, rest * 2 or WAIT_FIRST)


class Station:
    """What a node does for its province or its nation. `wire` goes with every process, `start` and `stop` with one."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._post = Post(node.settings.nation) if node.settings.nation else None
        link = link_of(node, self._post) if self._post is not None else None
        self.asking = Asking(link) if link is not None else None
        if self.asking is not None:
            node.ask_nation(self.asking)
            node.ledger.gate = Gate(node)
        self.province = Province(node, link) if link is not None else None
        self._follower = Follower(node)
        self._followed = 0.0
        self._tasks = [Going("follow", self._follow)]
        if self.province is not None:
            self._tasks.append(Going("ship", self.province.step))

    async def start(self) -> None:
        """Begin to ship, take and follow; one process of a node does."""
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """End; what is under way is finished, or is done again after the next start."""
        for task in self._tasks:
            await asyncio.to_thread(task.stop)

    def close(self) -> None:
        """Release the connections."""
        if self.asking is not None:
            self.asking.close()
        if self._post is not None:
            self._post.close()

    def news(self) -> None:
        """Say that something was written."""
        for task in self._tasks:
            task.news()

    def _follow(self) -> bool:
        """Only a nation has something to follow; who is none looks now and then whether it has become one."""
        if time.monotonic() < self._followed:
            return False
        if not provinces_of(self.node):
            self._followed = time.monotonic() + 2.0
            return False
        return self._follower.step() > 0

    @property
    def failure(self) -> str:
        """Why the relay stands still, in words; empty while it goes on."""
        return next((task.failure for task in self._tasks if task.failure), "")

    def lag_seconds(self) -> float:
        """Age of the oldest fact that the nation may lack; 0 where it had everything a moment ago."""
        standing = self.standing
        if standing is None or standing.waiting_since == 0:
            return 0.0
        return max(0.0, (self.node.ledger.clock() - standing.waiting_since) / 1e6)

    @property
    def standing(self) -> Standing | None:
        """How a province stands; None for a node that belongs to no nation."""
        return self.province.standing if self.province is not None else None


def link_of(node: Node, post: Callable[[bytes, float], bytes]) -> Link:
    """The link of a province to its nation."""
    settings = node.settings
    nation_key = bytes.fromhex(settings.nation_key)
    return Link(post, settings.province, node.signer, nation_key, node.ledger, speaker=speaker_of(node))


def standing_of(node: Node, station: Station | None = None) -> dict[str, Any]:
    """How the relay of a node stands, as plain values; without its server only what is stored."""
    journal = node.journal
    told: dict[str, Any] = {"province": node.settings.province, "nation": node.settings.nation, "provinces": []}
    last = last_of(journal.fetch([FROM_NATION])[FROM_NATION])
    told["down"] = last.detail["number"] if last is not None else 0
    told["unrecovered"] = unrecovered(node)
    if station is not None and station.standing is not None:
        told |= msgspec.to_builtins(station.standing)
        told["lag_seconds"] = round(station.lag_seconds(), 1)
        asking = station.asking
        assert asking is not None, "a province has one"
        told |= {"asked": asking.asked, "unanswered": asking.unanswered, "spared": asking.spared}
    if station is not None:
        told["failure"] = station.failure
    nation = Nation(node)
    for name, listed in sorted(provinces_of(node).items()):
        state = nation.state(name)
        taken = last_of(journal.fetch([slices_key(name)])[slices_key(name)])
        told["provinces"].append(
            {
                "province": name,
                "name": listed.name,
                "slices": state.number,
                "down": state.down,
                "heard": taken.arrived if taken is not None else 0,
            }
        )
    return told
