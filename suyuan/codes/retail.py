"""Bare numbers with a check digit: standard codes, goods on sale, logistic units (`spec/codes.md` §1.9, R9 and R10)."""

import re

from suyuan.codes.check_digit import has_valid_check_digit, repeated_digit, wrong_check_digit
from suyuan.codes.code import Code, System
from suyuan.codes.reading import Reading, Scanned

_STD_CODE = re.compile(r"869[0-9]{11}")
_NAMES = {13: "EAN-13", 14: "GTIN-14", 18: "SSCC"}


def read_std_code(scanned: Scanned) -> Reading:
    """R9: 本位码 in a product field. In a scan field the same digits are a GTIN-14, and the doubt is named."""
    text = scanned.text
    if not _STD_CODE.fullmatch(text) or not has_valid_check_digit(text):
        return ""
    if scanned.context == "product":
        return Code(system="std_code", text=text, key=f"std_code:{text}")
    doubt = f"ambiguous=std_code: {text} is also a national drug standard code; it names a product, not a box"
    return Code(system="gtin14", text=text, key=f"gs1:{text}", product_key=f"gs1:{text}", problems=(doubt,))


def read(scanned: Scanned) -> Reading:
    """R10: 13, 14 or 18 digits with a right check digit."""
    text = scanned.text
    name = _NAMES.get(len(text))
    if name is None or not (text.isascii() and text.isdigit()):
        return ""
    if not has_valid_check_digit(text):
        return wrong_check_digit(name, text)
    problems = repeated_digit(text)
    if name == "SSCC":
        return Code(system="sscc", text=text, key=f"sscc:{text}", problems=problems)
    product_key = f"gs1:{text.zfill(14)}"
    system: System = "ean13" if name == "EAN-13" else "gtin14"
    return Code(system=system, text=text, key=product_key, product_key=product_key, problems=problems)
