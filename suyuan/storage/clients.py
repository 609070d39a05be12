"""Clients of the NHSA address: how each institution's software proves itself and is answered, and who signed out."""

from typing import Literal

import msgspec
import sqlalchemy as sa

VERIFIED = ("off", "sm2", "sm3")
INFCODES = ("number", "text")


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """What is agreed with one institution; one that is not listed has the defaults (`docs/nhsa-address.md`)."""

    institution: str
    verify: Literal["off", "sm2", "sm3"] = "off"
    """How `cainfo` is checked: not at all, by the institution's SM2 public keys, or by its secrets as keyed SM3."""
    infcode: Literal["number", "text"] = "number"
    """How `infcode` is answered: as 0 or as "0"."""
    scan_required: bool = False
    """A settlement without codes is refused (无码不结), whatever the policy says."""


class ClientRows:
    """The tables of clients and of ended sign-ins within a set of tables."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.clients = sa.Table(
            "nhsa_clients",
            metadata,
            sa.Column("institution", sa.Text, primary_key=True),
            sa.Column("verify", sa.Text, nullable=False),
            sa.Column("infcode", sa.Text, nullable=False),
            sa.Column("scan_required", sa.Boolean, nullable=False),
        )
        self.ended = sa.Table(
            "nhsa_sign_outs",
            metadata,
            sa.Column("sign_no", sa.Text, primary_key=True),
            sa.Column("day", sa.Text, nullable=False),
        )

    def all(self, connection: sa.Connection) -> list[Client]:
        """Every client by institution."""
        rows = connection.execute(self.clients.select().order_by(self.clients.c.institution))
        return [Client(**row._mapping) for row in rows]  # noqa: SLF001  SQLAlchemy's public name for it

    def one(self, connection: sa.Connection, institution: str) -> Client | None:
        """What is agreed with an institution, if anything."""
        row = connection.execute(self.clients.select().where(self.clients.c.institution == institution)).first()
        return None if row is None else Client(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it

    def replace(self, connection: sa.Connection, clients: list[Client]) -> None:
        """These in place of all."""
        connection.execute(self.clients.delete())
        if clients:
            connection.execute(self.clients.insert(), [msgspec.structs.asdict(client) for client in clients])

    def save(self, connection: sa.Connection, client: Client) -> None:
        """This one in place of what is held of its institution."""
        connection.execute(self.clients.delete().where(self.clients.c.institution == client.institution))
        connection.execute(self.clients.insert(), msgspec.structs.asdict(client))

    def end(self, connection: sa.Connection, sign_no: str, day: str) -> None:
        """A sign-in of a day is over; those of earlier days are forgotten, for they end by themselves."""
        connection.execute(self.ended.delete().where(sa.or_(self.ended.c.day < day, self.ended.c.sign_no == sign_no)))
        connection.execute(self.ended.insert(), {"sign_no": sign_no, "day": day})

    def ended_on(self, connection: sa.Connection, day: str) -> list[str]:
        """Sign-ins of a day that are over."""
        query = sa.select(self.ended.c.sign_no).where(self.ended.c.day == day)
        return [str(row.sign_no) for row in connection.execute(query)]
