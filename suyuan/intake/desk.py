"""The desk at which uploads are taken: the ledger with the reference data and secrets that judging needs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol, TypeVar

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.mapping import ProductEdge
from suyuan.ledger.admission import iso_day
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.privacy import Privacy
from suyuan.settlement.policy import NATIONAL, Policy

Item = TypeVar("Item")


class Nation(Protocol):
    """Whom a province asks before a box is paid (R23)."""

    def ask(self, keys: set[str]) -> dict[str, list[Event]] | None:
        """What others said of these boxes, each event as stored where it came from; None where no answer came in time.

        It answers within its budget whatever happens, and raises nothing.
        """
        ...


BREATH_RECORDS = 50
"""Some milliseconds of work."""


@dataclass
class Desk:
    """Everything that `intake` uses; wired by `node.py`, shared by all threads, changed by none of them."""

    ledger: Ledger
    catalogue: Catalogue
    privacy: Privacy
    policy: Policy = NATIONAL
    accept_unknown: bool = True
    """Take uploads of institutions that the catalogue does not know yet (T15), as their code says they are."""
    keep_documents: bool = True
    """Seal and keep every raw message as evidence."""
    elsewhere: bool = False
    """This is a province of a nation: what others said of a box is read with it."""
    nation: Nation | None = None
    """Whom to ask before a claim is judged; None where nobody can be asked, and payments are provisional then."""
    breathe: Callable[[], None] | None = None
    """Called every `BREATH_RECORDS` records of an upload: a long one may stand back here for others."""
    known: dict[tuple[str, str, int], tuple[ProductEdge | None, bool]] = field(default_factory=dict, repr=False)
    """Product look-ups made so far, by prefix, billed product and day: the catalogue under a desk never changes."""


def day_of(time: int) -> date:
    """The calendar day of a moment (µs UTC) in Beijing."""
    return date.fromisoformat(iso_day(time))


def paced(desk: Desk, items: Iterable[Item]) -> Iterable[Item]:
    """The items one after the other, with a breath now and then where the desk takes any."""
    return items if desk.breathe is None else _with_breaths(desk.breathe, items)


def _with_breaths(breathe: Callable[[], None], items: Iterable[Item]) -> Iterator[Item]:
    for place, item in enumerate(items):
        if not place % BREATH_RECORDS:
            breathe()
        yield item
