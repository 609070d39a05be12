"""Codes of products and institutions, as typed where a box code is meant (`spec/codes.md` §1.5-1.7, R11)."""

import re

from suyuan.codes.code import Code, System
from suyuan.codes.reading import Reading, Scanned

_PATTERNS: tuple[tuple[System, re.Pattern[str]], ...] = (
    ("nhsa_drug", re.compile(r"X[A-Z][0-9]{2}[A-Z]{2}[A-Z][0-9]{3}[A-Z][0-9]{3}[0-9]{9}")),
    ("nhsa_drug", re.compile(r"Z[A-Z][0-9]{2}[A-Z]{2}[A-Z][0-9]{4}[0-9]{9}")),
    ("nhsa_cons", re.compile(r"(C[0-9]{19})(?:[0-9A-Z]{7})?")),
    ("approval", re.compile(r"国药准字[A-Z]{1,2}[0-9]{8}")),
    ("institution", re.compile(r"[HP][0-9]{11}")),
)


def read(scanned: Scanned) -> Reading:
    """R11. The key is `<system>:<code>`; of a 27-character consumable code the first 20 are the key."""
    text = scanned.text.upper().replace(" ", "")
    for system, pattern in _PATTERNS:
        found = pattern.fullmatch(text)
        if found:
            return Code(system=system, text=text, key=f"{system}:{found[1] if found.re.groups else text}")
    return ""
