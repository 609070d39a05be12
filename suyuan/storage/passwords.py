"""Passwords: what may be one, how it is kept (scrypt with its own parameters), one that is used once."""

import base64
import hashlib
import hmac
import secrets

LENGTH_MIN, LENGTH_MAX = 10, 200
N, R, P = 1 << 15, 8, 3
"""32 MiB and three passes: 0.2 s of one core a guess (OWASP's second choice of 2024)."""
_MEMORY_MAX = 128 * N * R * 2
_ONE_TIME = "23456789abcdefghjkmnpqrstuvwxyz"
"""Letters that nobody takes for another when they are read out."""


def password_fault(name: str, password: str) -> str:
    """Why this may not be the password of an account; empty where it may."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters. Choose a sentence of your own."
    if name.lower() in password.lower() or len(set(password)) < 5:  # noqa: PLR2004  fewer are a pattern, no password
        return "This password is too easy to guess. Leave out the account name, and use more than a few characters."
    return ""


def new_password() -> str:
    """A password for the first sign-in: 77 random bits, in groups that can be read out."""
    letters = "".join(secrets.choice(_ONE_TIME) for _ in range(16))
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def hash_password(password: str) -> str:
    """A password as it is kept: `scrypt$n$r$p$salt$digest`."""
    salt = secrets.token_bytes(16)
    return f"scrypt${N}${R}${P}${_text(salt)}${_text(_scrypt(password, salt, N, R, P))}"


def check_password(password: str, kept: str) -> bool:
    """Whether it is the one that is kept; for an empty `kept` the answer is no, after the same time."""
    _, n, r, p, salt, digest = (kept or _NOBODY).split("$")
    found = _scrypt(password[:LENGTH_MAX], base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest)) and bool(kept)


def is_outdated(kept: str) -> bool:
    """Whether it was kept with weaker parameters than are used now."""
    return not kept.startswith(f"scrypt${N}${R}${P}$")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_MAX, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NOBODY = f"scrypt${N}${R}${P}${_text(bytes(16))}${_text(bytes(32))}"
