"""Messages between nodes: a head that says who, what and when, its signature, and a body that the head vouches for."""

import hashlib
from typing import Literal

import msgspec

from suyuan.ledger.signer import SIGNATURE, Signer, verify

PROTOCOL = 1
"""Raised when an older node could misunderstand; a newer one is refused with words, and waits."""
BODY_BYTES_MAX = 7_000_000
"""Less than a server takes at once (setting `body_bytes_max`)."""

What = Literal["state", "slice", "down", "boxes", "catalogue", "lost", "recover"]


class Unreadable(Exception):  # noqa: N818  the reader's word for it
    """Bytes that are no message of the relay."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed. Fields that a newer program adds are passed over by an older one."""

    protocol: int = PROTOCOL
    sender: str
    """A province, or `nation`."""
    recipient: str
    """Public key of the node that is meant, hexadecimal; others refuse the message."""
    what: str
    at: int
    """µs UTC by the sender's clock."""
    content: str
    """SHA-256 of the body, hexadecimal."""
    speaker: str = ""
    """Which of the sender's nodes says it (`speaker.py`); empty for the nation."""
    answers: str = ""
    """Hash of the head that this answers; empty for a question."""


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A message as it travels: MessagePack of three strings of bytes."""

    signed: bytes
    signature: bytes
    body: bytes

    @property
    def head(self) -> Head:
        """The head as it can be read, proven or not.

        Raises:
            Unreadable: it cannot.
        """
        try:
            return _heads.decode(self.signed)
        except msgspec.MsgspecError as error:
            raise Unreadable(f"the head of the message cannot be read: {error}") from error

    @property
    def mark(self) -> str:
        """By which an answer names its question."""
        return hashlib.sha256(self.signed).hexdigest()

    def is_by(self, public: bytes) -> bool:
        """Whether the owner of this key has sent it, head and body."""
        return (
            len(self.signature) == SIGNATURE
            and verify(public, self.signed, self.signature)
            and self.head.content == content_of(self.body)
        )


_heads = msgspec.msgpack.Decoder(Head)
_messages = msgspec.msgpack.Decoder(Message)


def content_of(body: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def written(signer: Signer, head: Head, body: bytes) -> bytes:
    """A message as bytes; the head's content is set here."""
    signed = msgspec.msgpack.encode(msgspec.structs.replace(head, content=content_of(body)))
    return msgspec.msgpack.encode(Message(signed, signer.sign(signed), body))


def read(raw: bytes) -> Message:
    """The message in these bytes.

    Raises:
        Unreadable: there is none.
    """
    try:
        return _messages.decode(raw)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"no message of the relay: {error}") from error
