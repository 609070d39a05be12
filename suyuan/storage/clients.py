"""Clients of the NHSA address: how each institution's software proves itself and is answered, and who signed out."""

from typing import Literal

import msgspec
import sqlalchemy as sa

from suyuan.storage.database import or_else

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


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A workplace signed in (9001) until midnight, as long as the key holds with which it did."""

    sign_no: str
    day: str
    """`yyyyMMdd` in China."""
    institution: str
    party: str
    """Who proved itself: the institution, or who speaks for it."""
    key: str
    """Id of the credential that proved it."""


class ClientRows:
    """The tables of clients and of their sign-ins within a set of tables."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.clients = sa.Table(
            "nhsa_clients",
            metadata,
            sa.Column("institution", sa.Text, primary_key=True),
            sa.Column("verify", sa.Text, nullable=False),
            sa.Column("infcode", sa.Text, nullable=False),
            sa.Column("scan_required", sa.Boolean, nullable=False),
        )
        self.sign_ins = sa.Table(
            "nhsa_sign_ins",
            metadata,
            sa.Column("sign_no", sa.Text, primary_key=True),
            sa.Column("day", sa.Text, nullable=False),
            sa.Column("institution", sa.Text, nullable=False),
            sa.Column("party", sa.Text, nullable=False),
            sa.Column("key", sa.Text, nullable=False),
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
        connection.execute(or_else(connection, self.clients, msgspec.structs.asdict(client)))

    def begin(self, connection: sa.Connection, signed: SignIn) -> None:
        """Somebody signed in; what was of earlier days ended by itself and is forgotten."""
        connection.execute(self.sign_ins.delete().where(self.sign_ins.c.day < signed.day))
        connection.execute(self.sign_ins.insert(), msgspec.structs.asdict(signed))

    def signed(self, connection: sa.Connection, sign_no: str) -> SignIn | None:
        """The sign-in of a number, if it was not ended."""
        row = connection.execute(self.sign_ins.select().where(self.sign_ins.c.sign_no == sign_no)).first()
        return None if row is None else SignIn(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it

    def end(self, connection: sa.Connection, sign_no: str) -> None:
        """A sign-in is over before its midnight."""
        connection.execute(self.sign_ins.delete().where(self.sign_ins.c.sign_no == sign_no))
