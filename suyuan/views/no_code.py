"""Requests for the no-code library as a list, each with what was decided on it."""

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from suyuan.ledger.events import Event

_METADATA = sa.MetaData()
_REQUESTS = sa.Table(
    "no_code_requests",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("institution", sa.Text, nullable=False, index=True),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("asked", sa.LargeBinary, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("decided", sa.BigInteger, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
)


class NoCodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times are µs UTC."""

    number: int
    id: str
    institution: str
    region: str
    nhsa: str
    kind: str
    quantity: int
    reason: str
    reference: str
    until: str
    arrived: int
    state: str
    decided: int
    decided_by: str
    words: str


class NoCodeView:
    """The view behind `list_requests`."""

    name = "no_code"
    version = 1
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        for event in events:
            if not event.key.startswith("no_code:"):
                continue
            identity = event.key.removeprefix("no_code:")
            if event.kind == "reported":
                values = {
                    "id": identity,
                    "institution": event.actor,
                    "region": event.region,
                    "asked": msgspec.msgpack.encode(event.detail),
                    "arrived": event.arrived,
                    "state": "open",
                    "decided": 0,
                    "decided_by": "",
                    "words": "",
                }
                connection.execute(_REQUESTS.insert(), values)
            elif event.kind == "corrected":
                decided = {
                    "state": event.detail["step"],
                    "decided": event.arrived,
                    "decided_by": event.actor,
                    "words": event.detail["words"],
                }
                connection.execute(_REQUESTS.update().where(_REQUESTS.c.id == identity).values(decided))


def list_requests(
    connection: sa.Connection,
    parties: Iterable[str] | None,
    region: str,
    *,
    state: str = "",
    before: int = 0,
    limit: int = 100,
) -> list[NoCodeRow]:
    """Requests of these parties (None for all of a region), the latest first, from below a number."""
    query = _REQUESTS.select().where(_REQUESTS.c.region.startswith(region, autoescape=True))
    if parties is not None:
        query = query.where(_REQUESTS.c.institution.in_(sorted(parties)))
    if state:
        query = query.where(_REQUESTS.c.state == state)
    if before:
        query = query.where(_REQUESTS.c.number < before)
    found = []
    for row in connection.execute(query.order_by(_REQUESTS.c.number.desc()).limit(limit)):
        asked = msgspec.msgpack.decode(row.asked)
        found.append(
            NoCodeRow(
                number=row.number,
                id=row.id,
                institution=row.institution,
                region=row.region,
                nhsa=asked["nhsa"],
                kind=asked["kind"],
                quantity=asked["quantity"],
                reason=asked["reason"],
                reference=asked["reference"],
                until=asked["until"],
                arrived=row.arrived,
                state=row.state,
                decided=row.decided,
                decided_by=row.decided_by,
                words=row.words,
            )
        )
    return found
