"""The token on a receipt: what a sale binds, in few bytes that a till prints as QR and anybody checks without us."""

import hashlib
import struct
from collections.abc import Iterable
from typing import Literal

import msgspec

from suyuan.ledger.signer import NAME, SIGNATURE, Signer, key_name, verify

VERSION = 1
CONTEXT = b"suyuan receipt\0"
"""Stands before what is signed, so that no other signature of the node can pass for one on a receipt."""
MARK = 8
"""Bytes of a hash that stand for a box: too many to look for a second box with the same ones."""
SALT = 8
ID = 8
BOXES_MAX = 16
"""Boxes in one token: with all else it stays within some 300 bytes, which a phone reads from thermal paper."""
TEXT_MAX = 36
"""UTF-8 bytes of a name."""
DIGITS_MAX = 1200
SPLIT = 4

Reversed = Literal["none", "part", "all"]
REVERSED: tuple[Reversed, ...] = ("none", "part", "all")
_COUNTS = struct.Struct(">HHBBB")
_TIMES = struct.Struct(">II")


class TokenWrong(ValueError):  # noqa: N818  the reader's word for it
    """A text that is no token, or one that was altered; `code` is unreadable, altered or another_node."""

    def __init__(self, code: Literal["unreadable", "altered", "another_node"]) -> None:
        super().__init__(code)
        self.code = code


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt binds. Times are seconds since 1970 UTC."""

    key: bytes
    """Which node's key signed it."""
    id: bytes
    """Of the receipt, by which a node answers whether its sale still stands."""
    institution: str
    name: str
    """Of the institution; long ones are cut."""
    sold: int
    issued: int
    """The checkpoint: node, time and the journal's position, signed with all else."""
    position: bytes
    node: str
    salt: bytes
    reference: bytes
    """Mark of the number printed on the receipt."""
    boxes: int
    """All boxes of the sale, of all parts of the receipt."""
    lines: int
    """Lines of the sale without a code of their own."""
    part: int = 1
    parts: int = 1
    reversed: Reversed = "none"
    """How much of the sale was given back or cancelled when the token was made."""
    split: bool = False
    """True where some of it is a part of a box."""
    marks: tuple[bytes, ...] = ()

    def has_box(self, key: str) -> bool:
        """Whether the box with this key is on this part of the receipt."""
        return mark_of(self.salt, "box", key) in self.marks

    def has_reference(self, number: str) -> bool:
        """Whether this is the number that was printed on the receipt."""
        return mark_of(self.salt, "reference", number) == self.reference


def mark_of(salt: bytes, what: str, text: str) -> bytes:
    """Eight bytes that stand for a box or a number: with another salt they are other ones."""
    return hashlib.sha256(salt + f"{what}:{text}".encode("utf-8", "surrogatepass")).digest()[:MARK]


def marks_of(salt: bytes, keys: Iterable[str]) -> tuple[bytes, ...]:
    """Marks of boxes in an order that says nothing."""
    return tuple(sorted({mark_of(salt, "box", key) for key in keys}))


def sealed(token: Token, signer: Signer) -> str:
    """The token as decimal digits, signed: a QR code holds digits in a third of the room of letters."""
    body = _packed(msgspec.structs.replace(token, key=key_name(signer.public)))
    return str(int.from_bytes(body + signer.sign(CONTEXT + body), "big"))


def opened(text: str, *publics: bytes) -> Token:
    """The token in a text of digits, or in an address that carries it behind `#`, if one of the node's keys signed it.

    Raises:
        TokenWrong: it is none, was altered, or is another node's.
    """
    raw = _bytes_of(text)
    body, signature = raw[:-SIGNATURE], raw[-SIGNATURE:]
    if any(verify(public, CONTEXT + body, signature) for public in publics):
        return _unpacked(body)
    if body[0] == VERSION and body[1 : 1 + NAME] not in {key_name(public) for public in publics}:
        raise TokenWrong("another_node")
    raise TokenWrong("altered")


def _bytes_of(text: str) -> bytes:
    digits = "".join(text.rpartition("#")[2].split())
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
        raise TokenWrong("unreadable")
    number = int(digits)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(raw) <= SIGNATURE + NAME + 1:
        raise TokenWrong("unreadable")
    return raw


def _packed(token: Token) -> bytes:
    # The first byte is never 0, so that no byte is lost where the whole is read as one number.
    flags = REVERSED.index(token.reversed) | (SPLIT if token.split else 0)
    parts = (
        bytes([VERSION]),
        token.key,
        bytes([flags]),
        token.id,
        _text(token.institution),
        _text(token.name),
        _text(token.node),
        _TIMES.pack(token.sold, token.issued),
        bytes([len(token.position)]),
        token.position,
        token.salt,
        token.reference,
        _COUNTS.pack(token.boxes, token.lines, token.part, token.parts, len(token.marks)),
        *token.marks,
    )
    return b"".join(parts)


def _text(text: str) -> bytes:
    """Its length and its first bytes, cut between characters."""
    raw = text.encode("utf-8", "replace")[:TEXT_MAX].decode("utf-8", "ignore").encode()
    return bytes([len(raw)]) + raw


class _Bytes:
    """Bytes taken one field after the other; what was signed is always whole."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self.at += count
        return self.raw[self.at - count : self.at]

    def text(self) -> str:
        """The next text, which its length precedes."""
        return self.take(self.take(1)[0]).decode()


def _unpacked(body: bytes) -> Token:
    source = _Bytes(body)
    if source.take(1)[0] != VERSION:
        raise TokenWrong("unreadable")
    key, flags, identity = source.take(NAME), source.take(1)[0], source.take(ID)
    institution, name, node = source.text(), source.text(), source.text()
    sold, issued = _TIMES.unpack(source.take(_TIMES.size))
    position = source.take(source.take(1)[0])
    salt, reference = source.take(SALT), source.take(MARK)
    boxes, lines, part, parts, count = _COUNTS.unpack(source.take(_COUNTS.size))
    return Token(
        key=key,
        id=identity,
        institution=institution,
        name=name,
        sold=sold,
        issued=issued,
        position=position,
        node=node,
        salt=salt,
        reference=reference,
        boxes=boxes,
        lines=lines,
        part=part,
        parts=parts,
        reversed=REVERSED[flags & 3],
        split=bool(flags & SPLIT),
        marks=tuple(source.take(MARK) for _ in range(count)),
    )
