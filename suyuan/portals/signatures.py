"""Signatures and digests of the doors: SM2, SM3, HMAC-SM3, and the header signature of x-tif gateways."""

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from suyuan.ledger.sm2 import (
    SIGNER_ID,
    KeyWrong,
    der_signature,
    new_sm2_key,
    public_sm2_key,
    raw_signature,
    sign_sm2,
    verify_sm2,
)

__all__ = [
    "SIGNER_ID",
    "KeyWrong",
    "der_signature",
    "hmac_sm3",
    "new_sm2_key",
    "public_sm2_key",
    "raw_signature",
    "same",
    "sign_sm2",
    "sm3",
    "verify_sm2",
    "x_tif_signature",
]


def sm3(message: bytes) -> str:
    """SM3 (GB/T 32905) as 64 lower-case hexadecimal digits."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(message)
    return digest.finalize().hex()


def hmac_sm3(key: bytes, message: bytes) -> bytes:
    """HMAC with SM3, 32 bytes."""
    mac = HMAC(key, hashes.SM3())
    mac.update(message)
    return mac.finalize()


def same(one: str, other: str) -> bool:
    """Whether two hexadecimal digests are equal in either letter case, without telling by time where they differ."""
    return hmac.compare_digest(one.strip().lower().encode(), other.strip().lower().encode())


def x_tif_signature(timestamp: str, token: str, nonce: str) -> str:
    """What `x-tif-signature` must be: SHA-256 of timestamp, token, nonce and timestamp again, in lower-case digits."""
    return hashlib.sha256(f"{timestamp}{token}{nonce}{timestamp}".encode()).hexdigest()
