"""What scanners, keyboards and labels add to a text is taken off before reading (`spec/codes.md` §1.8, N1-N5, N8)."""

import re
from typing import NamedTuple

GS = "\x1d"
"""FNC1 as scanners send it, ASCII 29: the separator of GS1 elements."""


class Normal(NamedTuple):
    """A text on which no normalising step changes anything any more."""

    text: str
    symbology: str = ""


class _Characters(dict[int, str | None]):
    """Full-width to half-width, any blank to a plain one, controls and invisible characters to nothing (N1, N2)."""

    def __missing__(self, point: int) -> str | None:
        character = chr(point)
        if point in _FULL_WIDTH:
            plain: str | None = chr(point - _FULL_WIDTH.start + ord("!"))
        elif character == GS or character.isprintable():
            plain = character
        else:
            plain = " " if character.isspace() else None
        if point < _REMEMBERED:
            self[point] = plain
        return plain


_FULL_WIDTH = range(0xFF01, 0xFF5F)
_REMEMBERED = 0x10000
"""Rarer characters are worked out again each time, so that no sender can fill the memory."""

_characters = _Characters()
_AIM = re.compile(r"\]([A-Za-z][0-9A-Za-z])(?:\][A-Za-z][0-9A-Za-z])*")
_WRITTEN_SEPARATOR = re.compile(r"<GS>|\{GS\}|\^\]|\u241d", re.IGNORECASE)
_QUOTED = re.compile(r'=?"([^"]*)"|\'+(.*)', re.DOTALL)
_GAP = re.compile(r"[ \-\u2010-\u2015\u2212]+")
_CAPTIONED = re.compile(r"(标识码|识别码|序列号|追溯码|监管码)[^0-9]{0,8}([0-9](?:[0-9 \-\u2010-\u2015\u2212]*[0-9])?)")
_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:[.,][0-9]*E\+?|E\+)[0-9]{1,3}", re.IGNORECASE)
_FLOAT = re.compile(r"[0-9]{13,}[.,]0*")
_SWAPPED_AIM = frozenset({"D1", "D2", "c0", "c1", "q1", "q3"})
"""AIM identifiers as they arrive when Caps Lock swaps the case of a keyboard scanner."""


def normalise(raw: str) -> Normal:
    """N1 to N5 on a copy of `raw`, repeated until nothing changes; works on any text."""
    text, symbology = raw, ""
    while True:
        before = text
        text, found = _step(text)
        symbology = symbology or found
        if text == before:
            return Normal(text, symbology)


def _step(raw: str) -> tuple[str, str]:
    """One pass of N1 (trim, invisible), N2 (full-width), N3 (AIM), N4 (separators), N5 (blanks, hyphens, captions)."""
    text = raw
    if not (text.isascii() and text.isprintable()):
        # A lone surrogate cannot be stored as UTF-8, so it becomes a question mark.
        text = text.encode("utf-8", "replace").decode().translate(_characters)
    text = text.strip(" ")
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        text = quoted[1] if quoted[1] is not None else quoted[2]
    aim = _AIM.match(text)
    if aim:
        text = text[aim.end() :]
    text = _WRITTEN_SEPARATOR.sub(GS, text)
    return _joined_digits(text), aim[1] if aim else ""


def _joined_digits(text: str) -> str:
    """N5: digits with blanks, hyphens or the captions of a printed label become one run of digits."""
    joined = _GAP.sub("", text)
    if joined.isascii() and joined.isdigit():
        return joined
    if text.isascii():
        return text
    pieces = {caption: _GAP.sub("", digits) for caption, digits in _CAPTIONED.findall(text)}
    front = pieces.get("标识码") or pieces.get("识别码") or ""
    serial = pieces.get("序列号", "")
    if len(front) == 7 and len(serial) == 13:  # noqa: PLR2004  identification code and serial, §1.2
        return front + serial
    whole = [digits for digits in pieces.values() if len(digits) == 20]  # noqa: PLR2004  a whole trace code
    return whole[0] if len(whole) == 1 else text


def spreadsheet_damage(text: str) -> str:
    """N8: words where a spreadsheet has turned a long number into a rounded one; empty where it has not."""
    if _SCIENTIFIC.fullmatch(text) or _FLOAT.fullmatch(text):
        return (
            f"spreadsheet: {text} is a rounded number, its digits are lost; "
            "format the column as text, then export or scan again"
        )
    return ""


def case_hint(symbology: str) -> str:
    """Words where the scanner's letters have arrived with their case swapped; a hint, nothing is changed."""
    if symbology in _SWAPPED_AIM:
        return f"case: the scanner's identifier arrived as ]{symbology}; if Caps Lock is on, letters arrive swapped"
    return ""
