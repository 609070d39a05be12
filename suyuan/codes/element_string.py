"""Readers of GS1 element strings: marked as such, an SSCC, or with a GTIN first (`spec/codes.md` §1.9, R2 R4 R8)."""

import re

import msgspec

from suyuan.codes import gs1
from suyuan.codes.code import Carrier, Code
from suyuan.codes.lost_separator import in_one_order, second_readings
from suyuan.codes.normalise import GS
from suyuan.codes.reading import Reading, Scanned

_SSCC = re.compile(r"00[0-9]{18}")
_GTIN_FIRST = re.compile(r"01[0-9]{14}")


def read_marked(scanned: Scanned) -> Reading:
    """R2: the scanner reports GS1, or a separator or an identifier in brackets shows it."""
    text = scanned.text
    if gs1.BRACKET.match(text):
        return _of(gs1.parse_bracketed(text), "bracketed")
    if GS in text:
        # Separators have survived, so a long value is a long value.
        return _of(gs1.parse(text), "element string")
    return _read_without_separators(text) if scanned.symbology in gs1.GS1_SYMBOLOGIES else ""


def read_sscc(scanned: Scanned) -> Reading:
    """R4: 00 and an SSCC alone."""
    return gs1.of({"00": scanned.text[2:]}, "element string") if _SSCC.fullmatch(scanned.text) else ""


def read_gtin_first(scanned: Scanned) -> Reading:
    """R8: 01 and a GTIN, with the test for lost separators."""
    return _read_without_separators(scanned.text) if _GTIN_FIRST.match(scanned.text) else ""


def _of(elements: gs1.Elements | str, carrier: Carrier) -> Reading:
    return elements if isinstance(elements, str) else gs1.of(elements, carrier)


def _read_without_separators(text: str) -> Reading:
    """The literal reading; under review where `text` also reads as one whose separators were lost.

    Where a value is too long for its identifier there is no literal reading, and `unknown:<text>` stands for it.
    """
    literal = _of(gs1.parse(text), "element string")
    second = [code for found in second_readings(text) if isinstance(code := gs1.of(found, "element string"), Code)]
    if not second:
        return literal
    if isinstance(literal, str):
        literal = Code(system="gs1", carrier="element string", product_key=second[0].product_key, problems=(literal,))
    whole = in_one_order(text)
    key = literal.key or f"unknown:{whole}"
    meant = " or ".join(code.text for code in second)
    lost = f"separator lost: {whole} may mean {meant}; let the scanner send FNC1 as GS (ASCII 29), then scan again"
    return msgspec.structs.replace(
        literal,
        text=whole,
        key=key,
        review=True,
        readings=tuple(dict.fromkeys([key, *(code.key for code in second)])),
        problems=(lost, *literal.problems),
    )
