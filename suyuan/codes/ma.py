"""MA codes (IDcode) on consumables: `MA.` and dotted parts, or the XML form (`spec/codes.md` §1.4, R5)."""

import re

from suyuan.codes.code import Code
from suyuan.codes.dates import iso_date
from suyuan.codes.reading import Reading, Scanned, key_of

_DI_PARTS = 5
"""MA, country, scheme, registrant, product: what identifies the device. The parts behind it say which one."""

_MEDICAL = re.compile(r"MA\.[0-9]{1,4}\.M0\.[0-9]{6}\.[0-9A-Z]{8}")
_GENERIC = re.compile(r"MA\.[0-9]{1,4}(?:\.[0-9A-Z_/-]{1,30}){1,3}")
_PART = re.compile(r"([SMPLDEVYC])([!-\-/-~]{1,40})")
_XML = re.compile(r"<UDI\b[^<>]*\bIAC\s*=\s*[\"']MA[\"']", re.IGNORECASE)
_XML_FIELD = re.compile(r"<(DI|SN|MFG|LOT|EXP|VAL)>\s*([^<\s]*)\s*</", re.IGNORECASE)
_LETTERS = {"SN": "S", "MFG": "M", "LOT": "L", "EXP": "E", "VAL": "V"}


def read(scanned: Scanned) -> Reading:
    """R5: identifier (DI) and, behind it, S serial, L lot, M or P made, E expiry, V valid until."""
    text = scanned.text.upper()
    if _XML.match(scanned.text):
        fields = {name.upper(): value.upper() for name, value in _XML_FIELD.findall(scanned.text)}
        named = {letter: fields[name] for name, letter in _LETTERS.items() if fields.get(name)}
        if any("." in value for value in named.values()):
            return "MA: a value holds a dot, which separates the parts of an MA code"
        text = ".".join([fields.get("DI", ""), *(letter + value for letter, value in named.items())])
    elif not text.startswith("MA."):
        return ""
    parts = text.split(".")
    di = ".".join(parts[:_DI_PARTS])
    if not (_MEDICAL if ".M0." in di else _GENERIC).fullmatch(di):
        return f"MA: {di[:60]!r} is no identifier; expected MA.<country>.M0.<6 digits>.<8 characters>"
    fields = {}
    for part in parts[_DI_PARTS:]:
        found = _PART.fullmatch(part)
        if found is None:
            return f"MA: the part {part[:40]!r} does not begin with S, L, M, P, D, E, V, Y or C and a value"
        fields[found[1]] = found[2]
    return _of(text, di, fields)


def _of(text: str, di: str, fields: dict[str, str]) -> Code:
    serial, lot = fields.get("S", ""), fields.get("L", "")
    made, expiry = fields.get("M") or fields.get("P", ""), fields.get("E") or fields.get("V", "")
    wrong = [written for written in (made, expiry) if written and not iso_date(written)]
    return Code(
        system="ma",
        text=text,
        key=key_of(f"ma:{di}", serial, lot),
        product_key=f"ma:{di}",
        serial=serial,
        lot=lot,
        expiry=iso_date(expiry),
        made=iso_date(made),
        problems=tuple(f"date: {written} is no day of a month; the code is read without it" for written in wrong),
    )
