"""The grammar of GS1 elements: identifiers, values, and the package they name (`spec/codes.md` §1.3)."""

import re
from typing import NamedTuple

from suyuan.codes.check_digit import has_valid_check_digit, repeated_digit, wrong_check_digit
from suyuan.codes.code import Carrier, Code
from suyuan.codes.dates import iso_date
from suyuan.codes.normalise import GS
from suyuan.codes.reading import key_of

GS1_SYMBOLOGIES = frozenset({"C1", "d2", "Q3", "e0"})
"""AIM identifiers that promise GS1 content: GS1-128, GS1 DataMatrix, GS1 QR, DataBar."""

Elements = dict[str, str]
"""Application identifier to value, in the order read."""

# fmt: off
_FORMATS = {
    "00": "n18", "01": "n14", "02": "n14",
    "10": "x1-20", "11": "n6", "12": "n6", "13": "n6", "15": "n6", "16": "n6", "17": "n6",
    "20": "n2", "21": "x1-20", "22": "x1-20",
    "240": "x1-30", "241": "x1-30", "242": "n1-6", "243": "x1-20", "250": "x1-30", "251": "x1-30", "254": "x1-20",
    "30": "n1-8", "37": "n1-8",
    **{f"31{n}{places}": "n6" for n in range(7) for places in range(6)},
    "400": "x1-30", "401": "x1-30", "402": "n17", "403": "x1-30",
    **{f"41{n}": "n13" for n in range(8)},
    "420": "x1-20", "422": "n3", "424": "n3", "425": "n3-15", "426": "n3", "427": "x1-3",
    "7001": "n13", "7002": "x1-30", "7003": "n10", "7004": "n1-4", "7005": "x1-12", "7006": "n6", "7007": "n6-12",
    "7020": "x1-20", "7021": "x1-20", "7022": "x1-20",
    **{f"71{n}": "x1-20" for n in range(7)},
    "8001": "n14", "8002": "x1-20", "8005": "n6", "8007": "x1-34", "8008": "n8-12", "8009": "x1-50", "8012": "x1-20",
    "8017": "n18", "8018": "n18", "8019": "n1-10", "8020": "x1-25", "8200": "x1-70",
    "90": "x1-30", **{f"9{n}": "x1-90" for n in range(1, 10)},
}
# fmt: on
"""What may stand behind an identifier: n digits, x characters of set 82; one length or a range."""

_PREDEFINED = frozenset({"00", "01", "02", "11", "12", "13", "15", "16", "17", "20", "31", "41"})
"""First two digits of identifiers whose length is fixed by the standard and that need no separator behind them."""


class _Rule(NamedTuple):
    """How long a value is, what it is made of, and whether it ends by its length or at a separator."""

    least: int
    longest: int
    digits: bool
    predefined: bool
    written: str

    def fits(self, value: str) -> bool:
        if not self.least <= len(value) <= self.longest:
            return False
        return (value.isascii() and value.isdigit()) if self.digits else bool(_SET_82.fullmatch(value))


_SET_82 = re.compile(r"[!\"%-?A-Z_a-z]+")


def _rule(ai: str, written: str) -> _Rule:
    least, _, longest = written[1:].partition("-")
    return _Rule(int(least), int(longest or least), written[0] == "n", ai[:2] in _PREDEFINED, written)


_RULES = {ai: _rule(ai, written) for ai, written in _FORMATS.items()}
_WIDTHS = {ai[:2]: len(ai) for ai in _FORMATS}
BRACKET = re.compile(r"\(([0-9]{2,4})\)")
_ORDER = ("00", "01", "02", "11", "13", "15", "17", "10", "21")


def is_identifier(ai: str) -> bool:
    """True for an application identifier of the table."""
    return ai in _RULES


def parse(text: str) -> Elements | str:
    """Elements of an unbracketed text, with GS (ASCII 29) behind values of open length; or words where it is none."""
    elements: Elements = {}
    at = 0
    while at < len(text):
        if text[at] == GS:
            at += 1
            continue
        ai = text[at : at + _WIDTHS.get(text[at : at + 2], 2)]
        rule = _RULES.get(ai)
        if rule is None:
            return f"GS1: {ai!r} at character {at + 1} is no application identifier"
        start = at + len(ai)
        separator = -1 if rule.predefined else text.find(GS, start)
        at = start + rule.longest if rule.predefined else len(text) if separator < 0 else separator
        fault = _put(elements, ai, text[start:at])
        if fault:
            return fault
    return elements


def parse_bracketed(text: str) -> Elements | str:
    """Elements of a text that begins with an identifier in brackets, as printed below a code; or words."""
    elements: Elements = {}
    marks = list(BRACKET.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        fault = _put(elements, mark[1], text[mark.end() : end].strip(" " + GS))
        if fault:
            return fault
    return elements


def parse_pairs(pairs: list[tuple[str, str]]) -> Elements | str:
    """Elements of identifiers and values that are already apart, as in a Digital Link; or words where they are none."""
    elements: Elements = {}
    for ai, value in pairs:
        fault = _put(elements, ai, value)
        if fault:
            return fault
    return elements


def _put(elements: Elements, ai: str, value: str) -> str:
    """Adds one element; words where the value does not fit or contradicts an earlier one."""
    rule = _RULES.get(ai)
    if rule is None:
        return f"GS1: ({ai}) is no application identifier that a package carries"
    if not rule.fits(value):
        return f"GS1: ({ai}) {value[:40]!r} is not of the form {rule.written} (n digits, x characters, their number)"
    if elements.setdefault(ai, value) != value:
        return f"GS1: ({ai}) stands twice, with {elements[ai]!r} and {value!r}"
    return ""


def in_order(elements: Elements) -> Elements:
    """The same elements in one order: keys, dates, lot, serial, then the others by number."""
    first = {ai: elements[ai] for ai in _ORDER if ai in elements}
    return first | {ai: elements[ai] for ai in sorted(elements) if ai not in first}


def bracketed(elements: Elements) -> str:
    """`(01)06901234567892(17)271231…` in canonical order."""
    return "".join(f"({ai}){value}" for ai, value in in_order(elements).items())


def element_string(elements: Elements) -> str:
    """The elements in canonical order without brackets, GS in front as FNC1 and behind each value of open length."""
    parts = (f"{ai}{value}" + ("" if _RULES[ai].predefined else GS) for ai, value in in_order(elements).items())
    return GS + "".join(parts).rstrip(GS)


def canonical(elements: Elements) -> str:
    """With brackets; the element string where a value holds a bracket itself and would be misread."""
    if any("(" in value for value in elements.values()):
        return element_string(elements)
    return bracketed(elements)


def of(elements: Elements, carrier: Carrier) -> Code | str:
    """The code these elements are: a logistic unit (00) or a trade item (01); words where they name no package."""
    what, number = ("SSCC", elements["00"]) if "00" in elements else ("GTIN", elements.get("01", ""))
    if not number:
        return "GS1: neither a trade item (01) nor a logistic unit (00) is named"
    if not has_valid_check_digit(number):
        return wrong_check_digit(what, number)
    if what == "SSCC":
        return Code(system="sscc", carrier=carrier, text=number, key=f"sscc:{number}", problems=repeated_digit(number))
    expiry, made = iso_date(elements.get("17", "")), iso_date(elements.get("11", ""))
    product_key, serial, lot = f"gs1:{number}", elements.get("21", ""), elements.get("10", "")
    return Code(
        system="gs1",
        carrier=carrier,
        text=canonical(elements),
        key=key_of(product_key, serial, lot),
        product_key=product_key,
        serial=serial,
        lot=lot,
        expiry=expiry,
        made=made,
        problems=(*repeated_digit(number), *_doubts(elements, expiry, made, carrier)),
    )


def _doubts(elements: Elements, expiry: str, made: str, carrier: Carrier) -> list[str]:
    doubts = []
    for ai, iso in (("17", expiry), ("11", made)):
        if ai in elements and not iso:
            doubts.append(f"date: ({ai}) {elements[ai]} is no day of a month; the code is read without it")
    serial = elements.get("21", "")
    if carrier == "element string" and serial != serial.upper() and serial == serial.lower():
        doubts.append(f"case: serial {serial} has small letters only; if Caps Lock was on, scan it again without")
    return doubts
