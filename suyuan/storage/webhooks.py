"""Webhooks: who is to be called about alerts, how far each has been told, and how its receiver fares.

In a folder they have a file of their own beside the journal; exports leave them out: a copy of a node must not call
anybody.
"""

from pathlib import Path
from typing import Literal, Self

import msgspec
import sqlalchemy as sa

from suyuan.storage.database import IN_MEMORY, engine_at, is_server

METADATA = sa.MetaData()
_WEBHOOKS = sa.Table(
    "webhooks",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False, index=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("fund", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("delivered", sa.BigInteger, nullable=False),
    sa.Column("delivered_at", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("failing_since", sa.BigInteger, nullable=False),
)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One subscriber. Times are µs since 1970 UTC."""

    id: str
    owner: str
    """Who made it and may see, pause and delete it: a party, or an account without one."""
    role: str
    party: str
    person: str
    region: str
    fund: str
    """As whom it is told: what it may see is looked up anew for every delivery."""
    url: str
    filters: dict[str, str]
    secret: bytes
    """Sealed: it signs deliveries, so it has to be read again."""
    created: int
    cursor: int
    """Number of the last alert that the receiver has acknowledged, or that was none of its."""
    state: Literal["active", "paused"] = "active"
    words: str = ""
    """Why it is paused, or what the last failure was."""
    delivered: int = 0
    """Alerts acknowledged so far."""
    delivered_at: int = 0
    failures: int = 0
    """Failures since the last success."""
    failing_since: int = 0


class Webhooks:
    """The webhooks of one node; every change is on disk before it returns."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path | str | None) -> Self:
        """Open the file; in a database that `Tables` has made; or for None keep them as long as the process lives."""
        engine = engine_at(path or IN_MEMORY)
        if path is None or not is_server(path):
            METADATA.create_all(engine)
        return cls(engine)

    def add(self, webhook: Webhook) -> None:
        """Keep a new one."""
        with self._engine.begin() as connection:
            connection.execute(_WEBHOOKS.insert().values(**msgspec.structs.asdict(webhook)))

    def all(self, owner: str = "") -> list[Webhook]:
        """Those of an owner, or everybody's, the oldest first."""
        query = _WEBHOOKS.select().order_by(_WEBHOOKS.c.created, _WEBHOOKS.c.id)
        if owner:
            query = query.where(_WEBHOOKS.c.owner == owner)
        with self._engine.connect() as connection:
            return [Webhook(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  SQLAlchemy's public name

    def one(self, identity: str) -> Webhook | None:
        """One by its id; None where it was deleted."""
        with self._engine.connect() as connection:
            row = connection.execute(_WEBHOOKS.select().where(_WEBHOOKS.c.id == identity)).first()
        return None if row is None else Webhook(**row._mapping)  # noqa: SLF001  as above

    def change(self, identity: str, **values: object) -> None:
        """Change fields of one; nothing where it was deleted meanwhile."""
        with self._engine.begin() as connection:
            connection.execute(_WEBHOOKS.update().where(_WEBHOOKS.c.id == identity).values(**values))

    def delete(self, identity: str) -> None:
        """Forget one."""
        with self._engine.begin() as connection:
            connection.execute(_WEBHOOKS.delete().where(_WEBHOOKS.c.id == identity))

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()
