"""The node's own signature: Ed25519, which every browser can check without asking anybody."""

import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED = 32
SIGNATURE = 64
PUBLIC = 32
NAME = 4
"""Bytes that say which public key is meant, not that it is right."""


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
