"""Privacy: persons become keyed pseudonyms on arrival, raw messages are sealed (R24)."""

import secrets
import zlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

KEY_VERSION = "1"
_NONCE = 12
_TAG = 16
_WORTH_PACKING = 4096
"""Bytes from which packing saves more than its set-up costs (28 µs for a claim of 1 KiB, measured)."""


class SealBroken(Exception):  # noqa: N818  the field's word for it
    """A sealed message cannot be opened: wrong key, or altered bytes."""


class Privacy:
    """Two secrets of a node: one names persons, one seals messages. 32 and 16 bytes."""

    def __init__(self, person_key: bytes, seal_key: bytes) -> None:
        if len(person_key) != 32 or len(seal_key) != 16:  # noqa: PLR2004  sizes of HMAC-SM3 and SM4 keys
            raise ValueError("the person key has 32 bytes and the seal key 16")
        self._person_key = person_key
        self._seal_key = seal_key
        self.pseudonym = lru_cache(maxsize=200_000)(self._pseudonym)

    @classmethod
    def new(cls) -> "Privacy":
        """Fresh random secrets."""
        return cls(secrets.token_bytes(32), secrets.token_bytes(16))

    def keys(self) -> tuple[bytes, bytes]:
        """Both secrets, for the owner's own file."""
        return self._person_key, self._seal_key

    def _pseudonym(self, identifier: str) -> str:
        """HMAC-SM3 of a normalised identifier, marked with the key's version; `w` where it rests on psn_no alone.

        Document numbers (`id:<type>:<number>`) are upper-cased and freed of blanks, so that one person has one name
        in every province; `psn:<number>@<area>` is the weaker substitute. Empty stays empty.
        """
        text = "".join(identifier.split()).upper()
        if not text:
            return ""
        mac = HMAC(self._person_key, hashes.SM3())
        mac.update(text.encode("utf-8", "surrogatepass"))
        weak = "w" if text.startswith("PSN:") else ""
        return f"p{KEY_VERSION}{weak}-{mac.finalize()[:12].hex()}"

    def mark(self, purpose: str, text: str) -> bytes:
        """32 bytes of a text for one purpose, that nobody makes without the key; a plain hash can be tried.

        No pseudonym is ever such a mark: identifiers hold no control characters.
        """
        mac = HMAC(self._person_key, hashes.SM3())
        mac.update(f"{purpose}\x1f{text}".encode("utf-8", "surrogatepass"))
        return mac.finalize()

    def seal(self, raw: bytes) -> tuple[str, bytes]:
        """Compress and seal a raw message (SM4-GCM); answers its hash (128 bits of SM3) and the sealed bytes."""
        digest = hashes.Hash(hashes.SM3())
        digest.update(raw)
        name = digest.finalize()[:16].hex()
        nonce = secrets.token_bytes(_NONCE)
        encryptor = Cipher(algorithms.SM4(self._seal_key), modes.GCM(nonce)).encryptor()
        packed = zlib.compress(raw, 1) if len(raw) >= _WORTH_PACKING else b""
        body = encryptor.update(packed or raw) + encryptor.finalize()
        return name, KEY_VERSION.encode() + (b"z" if packed else b"-") + nonce + encryptor.tag + body

    def unseal(self, sealed: bytes) -> bytes:
        """The raw message again.

        Raises:
            SealBroken: wrong key or altered bytes.
        """
        packed, nonce = sealed[1:2] == b"z", sealed[2 : 2 + _NONCE]
        tag, body = sealed[2 + _NONCE : 2 + _NONCE + _TAG], sealed[2 + _NONCE + _TAG :]
        try:
            decryptor = Cipher(algorithms.SM4(self._seal_key), modes.GCM(nonce, tag)).decryptor()
            opened: bytes = decryptor.update(body) + decryptor.finalize()
            return zlib.decompress(opened) if packed else opened
        except (InvalidTag, ValueError, zlib.error) as error:
            raise SealBroken("the sealed message cannot be opened: wrong key, or its bytes were altered") from error
