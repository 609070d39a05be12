"""The node's own signature: Ed25519, which every browser can check without asking anybody."""

import hashlib
import secrets
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED = 32
SIGNATURE = 64
PUBLIC = 32
NAME = 4
"""Bytes that say which public key is meant, not that it is right."""
_LINK = b"suyuan key\0"
"""Stands before what is signed, so that no other signature of the node can pass for a new key."""


class Signer:
    """A key of 32 bytes that signs for one node; who has the public part can check and cannot sign."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED:
            raise ValueError("the key that signs has 32 bytes")
        self.seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def new(cls) -> "Signer":
        """A fresh random key."""
        return cls(secrets.token_bytes(SEED))

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same for the same message."""
        return self._private.sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of the public key has signed exactly this message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_name(public: bytes) -> bytes:
    """Four bytes by which a public key is told from others."""
    return hashlib.sha256(public).digest()[:NAME]


# Keys that follow each other


class Link(msgspec.Struct, frozen=True):
    """One public key of a node, signed by the one before it: who trusts an earlier key may trust this one."""

    public: bytes
    since: int
    """µs UTC."""
    signature: bytes = b""
    """Of the key before over `link_message`; empty for the first one."""


def link_message(public: bytes, since: int) -> bytes:
    """What the key before signs."""
    return _LINK + public + since.to_bytes(8, "big")


def followed(chain: Sequence[Link], old: Signer, new: Signer, since: int) -> list[Link]:
    """The chain with one more key, signed by the one that it replaces; a first chain begins with that one."""
    links = list(chain) or [Link(old.public, 0)]
    assert links[-1].public == old.public, "the last key of the chain is the one that signs"
    return [*links, Link(new.public, since, old.sign(link_message(new.public, since)))]


def trusted(chain: Sequence[Link], public: bytes) -> list[bytes]:
    """The public keys that may be trusted by who trusts this one: itself and those after it, as far as each is signed.

    A key that is not in the chain is trusted alone.
    """
    keys = [public]
    found = False
    for before, link in zip([None, *chain], chain, strict=False):
        if found and before is not None:
            if not verify(before.public, link_message(link.public, link.since), link.signature):
                break
            keys.append(link.public)
        found = found or link.public == public
    return keys
