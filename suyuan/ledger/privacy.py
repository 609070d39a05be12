"""Privacy: persons become keyed pseudonyms on arrival, raw messages are sealed (R24)."""

import secrets
import zlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

KEY_VERSION = "1"
"""Of the key that names persons. It is not replaced: a person would have two names, and no sale before would be known
as of the same person as one after."""
SEAL_VERSIONS = "123456789abcdefghijklmnopqrstuvwxyz"
"""The first byte of a sealed message says with which of the keys it was sealed."""
_NONCE = 12
_TAG = 16
_WORTH_PACKING = 4096
"""Bytes from which packing saves more than its set-up costs (28 µs for a claim of 1 KiB, measured)."""


class SealBroken(Exception):  # noqa: N818  the field's word for it
    """A sealed message cannot be opened: wrong key, or altered bytes."""


class Privacy:
    """Secrets of a node: one of 32 bytes names persons, one of 16 seals messages; where that was replaced, the newest.

    Messages sealed with an earlier key are opened with it: every key that ever sealed is kept.
    """

    def __init__(self, person_key: bytes, seal_key: bytes, *later: bytes) -> None:
        seals = (seal_key, *later)
        if len(person_key) != 32 or {len(key) for key in seals} != {16}:  # noqa: PLR2004  of HMAC-SM3 and SM4 keys
            raise ValueError("the person key has 32 bytes and the seal key 16")
        if len(seals) > len(SEAL_VERSIONS):
            raise ValueError(f"there are {len(SEAL_VERSIONS)} seal keys at most")
        self._person_key = person_key
        self._seal_key = seal_key
        self._seals = dict(zip(SEAL_VERSIONS, seals, strict=False))
        self.seal_version = SEAL_VERSIONS[len(seals) - 1]
        """Of the key that seals new messages."""
        self.pseudonym = lru_cache(maxsize=200_000)(self._pseudonym)

    @classmethod
    def new(cls) -> "Privacy":
        """Fresh random secrets."""
        return cls(secrets.token_bytes(32), secrets.token_bytes(16))

    def keys(self) -> tuple[bytes, bytes]:
        """The person key and the first seal key, which are never replaced: nodes with the same two belong together."""
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
        encryptor = Cipher(algorithms.SM4(self._seals[self.seal_version]), modes.GCM(nonce)).encryptor()
        packed = zlib.compress(raw, 1) if len(raw) >= _WORTH_PACKING else b""
        body = encryptor.update(packed or raw) + encryptor.finalize()
        return name, self.seal_version.encode() + (b"z" if packed else b"-") + nonce + encryptor.tag + body

    def unseal(self, sealed: bytes) -> bytes:
        """The raw message again.

        Raises:
            SealBroken: wrong key or altered bytes.
        """
        version = sealed[:1].decode("latin-1")
        key = self._seals.get(version)
        if key is None:
            raise SealBroken(
                f"the message was sealed with key {version!r}, and only keys 1 to {self.seal_version} are here: copy "
                "secrets.json from the machine where the key was replaced"
            )
        packed, nonce = sealed[1:2] == b"z", sealed[2 : 2 + _NONCE]
        tag, body = sealed[2 + _NONCE : 2 + _NONCE + _TAG], sealed[2 + _NONCE + _TAG :]
        try:
            decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
            opened: bytes = decryptor.update(body) + decryptor.finalize()
            return zlib.decompress(opened) if packed else opened
        except (InvalidTag, ValueError, zlib.error) as error:
            raise SealBroken("the sealed message cannot be opened: wrong key, or its bytes were altered") from error
