"""AHM codes (Ali Health) on consumables: `MF`, identifier, then two-letter fields (`spec/codes.md` §1.4, R6)."""

import re

from suyuan.codes.code import Code
from suyuan.codes.dates import iso_date
from suyuan.codes.reading import Reading, Scanned, key_of

_FIELDS = r"(?:(BA|SN)([!-)+-~]{1,20})(?:\*|$)|(MD|BD|ED)([0-9]{6})\*?|(PL)([0-9A-Z])\*?)"
_FIELD = re.compile(_FIELDS)
_CODE = re.compile(rf"MF(?:([0-9]{{13}})|([0-9A-Z]{{1,13}}?)({_FIELDS}+))")

_NEAR = re.compile(r"MF[0-9]{6}")


def read(scanned: Scanned) -> Reading:
    """R6: BA lot, SN serial, MD made, ED expiry; the shortest identifier whose rest is fields, or 13 digits alone."""
    text = scanned.text.upper()
    found = _CODE.fullmatch(text)
    if found is None:
        return f"AHM: {text[:60]!r} does not divide into an identifier and fields" if _NEAR.match(text) else ""
    di = found[1] or found[2]
    fields = {
        part[part.lastindex - 1]: part[part.lastindex] for part in _FIELD.finditer(found[3] or "") if part.lastindex
    }
    expiry, made = fields.get("ED", ""), fields.get("MD", "")
    wrong = [written for written in (made, expiry) if written and not iso_date(written)]
    return Code(
        system="ahm",
        text=text,
        key=key_of(f"ahm:{di}", fields.get("SN", ""), fields.get("BA", "")),
        product_key=f"ahm:{di}",
        serial=fields.get("SN", ""),
        lot=fields.get("BA", ""),
        expiry=iso_date(expiry),
        made=iso_date(made),
        problems=tuple(f"date: {written} is no day of a month; the code is read without it" for written in wrong),
    )
