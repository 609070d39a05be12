"""The 20-digit drug trace code: 7 digits of identification code, 13 of serial (`spec/codes.md` §1.2, R3)."""

import re

from suyuan.codes.code import Code
from suyuan.codes.gs1 import GS1_SYMBOLOGIES
from suyuan.codes.normalise import GS
from suyuan.codes.reading import Reading, Scanned

LENGTH = 20
PREFIX = 7

FIVE_EQUAL = frozenset(digit * 5 for digit in "0123456789")
"""Tails that deserve a second look: rounded by a spreadsheet, or a stand-in of equal digits."""

_SHAPE = re.compile(r"8[0-9]{19}")
_NEAR = re.compile(r"8[0-9]{16,24}")


def is_clean(text: str) -> bool:
    """True for a plain trace code on which normalising has no work and about which nothing is to be said."""
    return len(text) == LENGTH and text[0] == "8" and text[15:] not in FIVE_EQUAL and text.isdigit() and text.isascii()


def of(text: str, problems: tuple[str, ...] = ()) -> Code:
    """The code that these 20 digits are; the last four, a secret check, cannot be verified."""
    key, serial = f"trace20:{text}", text[PREFIX:]
    return Code(system="trace20", text=text, key=key, product_key=key[:-13], serial=serial, problems=problems)


def read(scanned: Scanned) -> Reading:
    """R3, before any guess at GS1: a library alone would take many of these for AI 80xx."""
    text = scanned.text.strip(GS)
    if _SHAPE.fullmatch(text):
        return of(text, tuple(_doubts(text, scanned.symbology)))
    if _NEAR.fullmatch(text):
        return f"length: {len(text)} digits beginning with 8; a drug trace code has 20, scan it again"
    return ""


def _doubts(text: str, symbology: str) -> list[str]:
    doubts = []
    if symbology in GS1_SYMBOLOGIES:
        doubts.append(
            f"symbology: the scanner reports GS1 (]{symbology}), the text is a plain trace code and read as one"
        )
    if len(set(text[PREFIX:])) == 1:
        doubts.append(f"placeholder: the 13 serial digits of {text} are all {text[-1]}; scan the code on the box")
    elif text.endswith("00000"):
        doubts.append(
            f"spreadsheet: {text} ends in five zeros, as 15-digit rounding leaves it; "
            "if it went through a spreadsheet, format the column as text"
        )
    return doubts
