"""SM2 signatures over SM3 (GB/T 32918), as institutions send them and as a node may sign its checkpoints.

SM2 comes from one library behind three functions here, so that a certified module can take its place.
Signatures leave as 64 raw bytes (r and s) in hexadecimal, as the interfaces write them; every form seen is read.
"""

import base64
import binascii
from contextlib import suppress
from functools import lru_cache

import gmssl_pyx
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

SIGNER_ID = b"1234567812345678"
"""The signer's id of GM/T 0009 where two parties agreed on no other."""

_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A = _P - 3
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
"""The curve of GB/T 32918.5."""

_NUMBER_BYTES = 32
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")

Point = tuple[int, int] | None
"""A point of the curve; None is the point at infinity."""


class KeyWrong(ValueError):  # noqa: N818  the reader's word for it
    """A text that is no SM2 key; the words say what would be one."""


def new_sm2_key() -> tuple[str, str]:
    """A new key pair as (private, public) in upper-case digits: 64 of them, and 130 beginning with 04."""
    public, private = gmssl_pyx.sm2_key_generate()
    return private.hex().upper(), f"04{public.hex()}".upper()


def public_of(private_key: str) -> bytes:
    """64 bytes x and y of the public key that belongs to a private one.

    Raises:
        KeyWrong: the private key is not 64 hexadecimal digits within the curve's order.
    """
    return _public_of(_private_bytes(private_key))


def public_sm2_key(text: str) -> str:
    """A public key as 130 upper-case digits, from 128, 130 or 66 (compressed) digits in either case.

    Raises:
        KeyWrong: the text is no point of the curve.
    """
    return f"04{_public_bytes(text).hex()}".upper()


def sign_sm2(private_key: str, message: bytes, signer: bytes = SIGNER_ID) -> str:
    """Sign with SM2 over SM3; 128 upper-case digits, r before s.

    Raises:
        KeyWrong: the private key is not 64 hexadecimal digits within the curve's order.
    """
    private = _private_bytes(private_key)
    signature = gmssl_pyx.sm2_sign(private, _public_of(private), message, signer)
    return raw_signature(signature).hex().upper()


def verify_sm2(public_key: str, message: bytes, signature: str | bytes, signer: bytes = SIGNER_ID) -> bool:
    """Whether the signature is that of this key over this message.

    Takes 64 raw bytes or DER, as bytes, as hexadecimal digits in either case, or in Base64; anything else is no
    signature.

    Raises:
        KeyWrong: the public key is none.
    """
    public = _public_bytes(public_key)
    return any(_verified(public, message, form, signer) for form in _forms(signature))


def raw_signature(der: bytes) -> bytes:
    """64 bytes r and s of a DER signature. Raises ValueError for what is none."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")


def der_signature(raw: bytes) -> bytes:
    """The DER form of 64 bytes r and s. Raises ValueError for another length."""
    if len(raw) != 2 * _NUMBER_BYTES:
        raise ValueError(f"a raw signature has 64 bytes, not {len(raw)}")
    return encode_dss_signature(int.from_bytes(raw[:_NUMBER_BYTES], "big"), int.from_bytes(raw[_NUMBER_BYTES:], "big"))


def _verified(public: bytes, message: bytes, signature: bytes, signer: bytes) -> bool:
    try:
        der = der_signature(raw_signature(signature) if len(signature) != 2 * _NUMBER_BYTES else signature)
        return bool(gmssl_pyx.sm2_verify(public, message, der, signer))
    except (ValueError, OverflowError, gmssl_pyx.GmsslInnerError):
        return False


def _forms(signature: str | bytes) -> list[bytes]:
    """What bytes the signature may stand for: digits may also be read as Base64, and both are tried."""
    if isinstance(signature, bytes):
        return [signature]
    written = signature.strip()
    forms = [bytes.fromhex(written)] if _is_hex(written) else []
    with suppress(binascii.Error, ValueError):
        forms.append(base64.b64decode(written, validate=True))
    return forms


def _is_hex(text: str) -> bool:
    return bool(text) and len(text) % 2 == 0 and _HEX_DIGITS.issuperset(text)


@lru_cache(10_000)
def _public_bytes(text: str) -> bytes:
    """64 bytes x and y of a public key, checked to lie on the curve."""
    written = text.strip()
    if not _is_hex(written):
        raise KeyWrong(
            "an SM2 public key is 128 hexadecimal digits, 130 beginning with 04, or 66 beginning with 02 or 03"
        )
    try:
        return bytes(gmssl_pyx.normalize_sm2_public_key(bytes.fromhex(written)))
    except (gmssl_pyx.GmsslInnerError, ValueError) as error:
        raise KeyWrong("these digits are no SM2 public key: no point of the curve") from error


def _private_bytes(text: str) -> bytes:
    written = text.strip()
    if len(written) != 2 * _NUMBER_BYTES or not _is_hex(written) or not 0 < int(written, 16) < _N - 1:
        raise KeyWrong("an SM2 private key is 64 hexadecimal digits within the order of the curve")
    return bytes.fromhex(written)


@lru_cache(1_000)
def _public_of(private: bytes) -> bytes:
    """The public key of a private one; the library has no call for it. Done once a key, not once a message."""
    found: Point = None
    step: Point = _G
    number = int.from_bytes(private, "big")
    while number:
        if number & 1:
            found = _sum(found, step)
        step = _sum(step, step)
        number >>= 1
    assert found is not None, "a key within the order of the curve is no multiple of it"
    return b"".join(part.to_bytes(_NUMBER_BYTES, "big") for part in found)


def _sum(one: Point, other: Point) -> Point:
    """Addition on the curve."""
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0]:
        if (one[1] + other[1]) % _P == 0:
            return None
        slope = (3 * one[0] * one[0] + _A) * pow(2 * one[1], -1, _P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P)
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P
