"""Stored values that are held in memory and known to be current, so that an append need not read what was fetched."""

from collections.abc import Iterable, Mapping
from threading import Lock

PINNED = "hold:"
"""Keys that are all in memory: a recall check costs a look-up, and finding none never touches the disk."""

ENTRY_BYTES = 250
"""What Python spends on an entry besides the value: key, object heads and the place in the table (measured)."""

Generations = tuple[dict[str, bytes], dict[str, bytes]]


class CurrentValues:
    """Raw values by key, `b""` for a key known to be absent; bounded in bytes, without the pinned ones.

    Two generations: when the younger one is full it becomes the older one, and what was the older one is forgotten.
    A reader may come back from the disk with a value that an append has meanwhile replaced. What it offers therefore
    goes into the generation that was the younger one when it began to read, where nothing is known yet: the newer
    value is in that generation or in a later one, so it is found first and forgotten last.
    """

    def __init__(self, bytes_max: int, pinned: dict[str, bytes]) -> None:
        self._half = bytes_max // 2
        self._pinned = pinned
        self._generations: Generations = ({}, {})
        self._bytes = 0
        self._lock = Lock()

    def find(self, keys: Iterable[str]) -> tuple[dict[str, bytes], list[str], Generations]:
        """Values known, keys to be read from the disk, and what to give back to `offer` with them."""
        generations = self._generations
        younger, older = generations[0].get, generations[1].get
        pinned = self._pinned.get
        found, unknown, kept = {}, [], {}
        for key in keys:
            value = younger(key)
            if value is None:
                value = older(key)
                if value is not None:
                    kept[key] = value
                elif key.startswith(PINNED):
                    value = pinned(key, b"")
                else:
                    unknown.append(key)
                    continue
            found[key] = value
        if kept:
            self.offer(kept, generations)
        return found, unknown, generations

    def offer(self, values: Mapping[str, bytes], generations: Generations) -> None:
        """Keep what was just read; what was written meanwhile stays."""
        with self._lock:
            keep = generations[0].setdefault
            for key, value in values.items():
                keep(key, value)
            self._count(values)

    def publish(self, values: Mapping[str, bytes]) -> None:
        """Take what was just written durably."""
        with self._lock:
            self._pinned.update({key: value for key, value in values.items() if key.startswith(PINNED)})
            self._generations[0].update(values)
            self._count(values)

    def _count(self, values: Mapping[str, bytes]) -> None:
        self._bytes += sum(map(len, values.values())) + ENTRY_BYTES * len(values)
        if self._bytes > self._half:
            self._generations = ({}, self._generations[0])
            self._bytes = 0
