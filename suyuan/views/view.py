"""A view: tables that say what the journal's feed says, folded once in order of arrival."""

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa

from suyuan.ledger.events import Event


class View(Protocol):
    """One list over the journal. Its tables can be dropped and made again from the feed at any time."""

    @property
    def name(self) -> str:
        """Unique among views; its cursor is kept under it."""
        ...

    @property
    def version(self) -> int:
        """Raised with every change of tables or meaning: a view of another version is made again from the beginning."""
        ...

    @property
    def metadata(self) -> sa.MetaData:
        """Its tables; no other view has a table of the same name."""
        ...

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events of the feed into account; every event comes exactly once, in order of arrival."""
        ...
