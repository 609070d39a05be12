"""Where a reader of the feed stands: the database, and for each of its nodes the last batch that was read."""

import msgspec

VERSION = 1


class Stand(msgspec.Struct, frozen=True, array_like=True, order=True):
    """The last batch read of one node, in the order of its feed."""

    era: int = 0
    """Rises when the database was brought to another server, whose transactions are numbered anew."""
    transaction: int = 0
    ordinal: int = 0
    """Of several batches of one transaction, from 1."""
    batch: bytes = b""
    """What names the batch: another one may have its number, where the database was restored to an earlier time."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A vector with a component for each node through which facts come in; one server has one, under the number 0."""

    version: int
    database: bytes
    """What tells this record from every other."""
    stands: dict[int, Stand] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Position).decode


def packed_position(database: bytes, stand: Stand, node: int = 0) -> bytes:
    """The position of who has read up to there; the beginning has no component."""
    return _encode(Position(VERSION, database, {node: stand} if stand.batch else {}))


def stand_in(database: bytes, position: bytes | None, node: int = 0) -> Stand:
    """Where the reader stands on the node; None is the beginning.

    Raises:
        ValueError: the position is of another database.
    """
    if position is None:
        return Stand()
    try:
        read = _decode(position)
    except msgspec.DecodeError:
        raise foreign(position) from None
    if read.version != VERSION or read.database != database or read.stands.keys() - {node}:
        raise foreign(position)
    return read.stands.get(node, Stand())


def foreign(position: bytes) -> ValueError:
    """Words for a position that this record never came to."""
    return ValueError(
        f"Position {position[:16].hex()} is not of this journal, or of one that was restored to an earlier time. "
        "Let whoever follows it begin again from the start."
    )
