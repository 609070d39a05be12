"""Receipt numbers of reports: twelve characters to read aloud, of which the last one finds a mistake in the others."""

import unicodedata

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Nothing that looks like something else (0 O, 1 I L); 31 of them, a prime, so that the check below misses nothing."""

BODY = 11
"""Characters before the check: 31^11, about 54 bits, too many to guess one of."""
GROUP = 4


def number_of(random: bytes) -> str:
    """The number made of at least eight bytes that nobody can foresee."""
    value, body = int.from_bytes(random[:8], "big"), ""
    for _ in range(BODY):
        value, place = divmod(value, len(ALPHABET))
        body += ALPHABET[place]
    return body + _check(body)


def read_number(text: str) -> str:
    """The number in a text, as typed by hand: any case, width, blanks and hyphens; empty where there is none.

    One wrong character, or any two that changed places, make it none: the weights differ and 31 is a prime.
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    number = "".join(sign for sign in plain if not sign.isspace() and sign not in "-‐‑–—")
    right = len(number) == BODY + 1 and all(sign in ALPHABET for sign in number) and number[-1] == _check(number[:-1])
    return number if right else ""


def spelled(number: str) -> str:
    """In groups of four, as shown and printed."""
    return "-".join(number[start : start + GROUP] for start in range(0, len(number), GROUP))


def _check(body: str) -> str:
    total = sum(weight * ALPHABET.index(sign) for weight, sign in enumerate(body, start=2))
    # The check has weight 1: the whole sum is 0 modulo 31.
    return ALPHABET[-total % len(ALPHABET)]
