"""Where the relay files its own records, and the numbered list of what waits for a province."""

from collections.abc import Callable

from suyuan.ledger.events import Event
from suyuan.ledger.journal import History, Journal
from suyuan.ledger.keys import RELAY

PROVINCES = f"{RELAY}province:"
FOLLOWED = f"{RELAY}followed"
"""How far a nation has followed its own feed."""
FROM_NATION = f"{RELAY}nation"
"""How far a province has taken what comes down."""
HEARD = f"{RELAY}heard"
"""Under which name the nation hears this record (`heard.py`)."""
BLOCK = 64
"""Entries of one history: as many as stay in one value, so that reading on costs one look."""


def province_key(province: str) -> str:
    """`relay:province:<province>`: who it is, and the keys it signs with."""
    return f"{PROVINCES}{province}"


def slices_key(province: str) -> str:
    """`relay:slices:<province>`: each slice that was taken."""
    return f"{RELAY}slices:{province}"


def down_key(province: str, block: int) -> str:
    """`relay:down:<province>:<block>`: what waits for it, 64 entries a block."""
    return f"{RELAY}down:{province}:{block}"


def is_own(event: Event) -> bool:
    """Whether an event was first stored here and is no record of the relay: what a province ships."""
    return not event.origin and not event.key.startswith(RELAY)


def last_of(history: History) -> Event | None:
    """The latest event of a history, without reading what has spilled."""
    return history.tail[-1] if history.tail else None


def head_block(journal: Journal, province: str, known: int = 0) -> int:
    """The block in which the next entry for a province goes: the first that is not full, from a known one on."""

    def full(block: int) -> bool:
        key = down_key(province, block)
        return journal.fetch([key])[key].sequence >= BLOCK

    return _first(full, known)


def _first(full: Callable[[int], bool], known: int) -> int:
    """The first block from `known` on that is not full, by doubling steps and then by halves."""
    step = 1
    while full(known + step - 1):
        step *= 2
    low, high = known + step // 2, known + step - 1
    while low < high:
        middle = (low + high) // 2
        if full(middle):
            low = middle + 1
        else:
            high = middle
    return low
