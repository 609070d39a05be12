"""What several server processes keep in common: proofs that count once, and how often somebody came."""

import time

import sqlalchemy as sa

from suyuan.storage.database import after_creation, or_else

SWEPT_EVERY = 60.0
"""Seconds between two looks at what is out of its time."""


class CommonSchema:
    """The tables within a set of tables. Times are µs since 1970 UTC."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.used = sa.Table(
            "proofs_used",
            metadata,
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("until", sa.BigInteger, nullable=False, index=True),
        )
        self.windows = sa.Table(
            "windows",
            metadata,
            sa.Column("lane", sa.Text, primary_key=True),
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("ends", sa.BigInteger, nullable=False, index=True),
            sa.Column("came", sa.BigInteger, nullable=False),
        )
        # Counts are figures, not facts: a server that lost its power may forget them, and none waits for its disk.
        after_creation(self.windows, "ALTER TABLE windows SET UNLOGGED")


class CommonTables:
    """What the tables do about it. Every public function is one transaction; threads and processes may share it."""

    _engine: sa.Engine
    _common: CommonSchema
    _sweep_at = 0.0

    def use_proof(self, name: str, body: str, until: int, now: int) -> str:
        """Use up a proof, durably; answers the body that it was first used for, which is `body` for the first one.

        After `until` it is forgotten: what it proved must be out of its time by then.
        """
        table = self._common.used
        own = table.c.name == name
        row = {"name": name, "body": body, "until": until}
        with self._engine.begin() as connection:
            self._sweep(connection, now)
            # Of several at the same time one writes the row, and the others find it.
            connection.execute(or_else(connection, table, row, where=table.c.until < now))
            first: str = connection.execute(sa.select(table.c.body).where(own)).scalar_one()
        return first

    def count(self, lane: str, name: str, microseconds: int, now: int) -> tuple[int, int]:
        """Count that somebody came; answers how many came in the window by now, this one included, and its end."""
        table = self._common.windows
        over = table.c.ends <= now
        first = {"lane": lane, "name": name, "ends": now + microseconds, "came": 1}
        changes = {
            "ends": sa.case((over, now + microseconds), else_=table.c.ends),
            "came": sa.case((over, 1), else_=table.c.came + 1),
        }
        with self._engine.begin() as connection:
            self._sweep(connection, now)
            counted = or_else(connection, table, first, changes).returning(table.c.came, table.c.ends)
            came, ends = connection.execute(counted).one()
        return came, ends

    def _sweep(self, connection: sa.Connection, now: int) -> None:
        """Forget what is out of its time, once in a while."""
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEPT_EVERY
        for table, end in ((self._common.used, "until"), (self._common.windows, "ends")):
            connection.execute(table.delete().where(table.c[end] < now))
