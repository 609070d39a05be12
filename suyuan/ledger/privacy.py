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

    def seal(self, raw: bytes) -> tuple[str, bytes]:
        """Compress and seal a raw message with SM4-GCM; answers its hash (SM3 of the raw bytes, 128 bits) and the sealed bytes."""
        digest = hashes.Hash(hashes.SM3())
        digest.update(raw)
        name = digest.finalize()[:16].hex()
        nonce = secrets.token_bytes(_NONCE)
        encryptor = Cipher(algorithms.SM4(self._seal_key), modes.GCM(nonce)).encryptor()
        body = encryptor.update(zlib.compress(raw, 1)) + encryptor.finalize()
        return name, KEY_VERSION.encode() + nonce + encryptor.tag + body

    def unseal(self, sealed: bytes) -> bytes:
        """The raw message again.

        Raises:
            SealBroken: wrong key or altered bytes.
        """
        nonce, tag, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE : 1 + _NONCE + _TAG], sealed[1 + _NONCE + _TAG :]
        try:
            decryptor = Cipher(algorithms.SM4(self._seal_key), modes.GCM(nonce, tag)).decryptor()
            return zlib.decompress(decryptor.update(body) + decryptor.finalize())
        except (InvalidTag, ValueError, zlib.error) as error:
            raise SealBroken("the sealed message cannot be opened: wrong key, or its bytes were altered") from error
