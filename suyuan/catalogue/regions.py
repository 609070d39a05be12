"""Administrative divisions: what a six-digit code is called and which province it is in."""

import csv
from functools import cache
from importlib.resources import files

import msgspec

_SHIPPED = ("data", "divisions.csv")

_PLACEHOLDERS = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})
"""Names that only fill a level; a reader does without them."""


class Division(msgspec.Struct, frozen=True, gc=False):
    """One row of the shipped list (see `data/NOTICE.txt`)."""

    code: str
    level: str
    """province, city or county."""
    name: str
    parent: str
    english: str = ""
    """For provinces only; deeper names have none."""


@cache
def divisions() -> dict[str, Division]:
    """All divisions by code: 31 provinces, 66 (Xinjiang Production and Construction Corps), 71, 81, 82, and below."""
    text = files(__package__).joinpath(*_SHIPPED).read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines())
    next(rows)
    return {row[0]: Division(*row) for row in rows}


def province(code: str) -> str:
    """Six-digit code of the province, `440000` for `440305`; empty for a code of no province."""
    candidate = f"{code[:2]}0000"
    return candidate if candidate in divisions() else ""


def city(code: str) -> str:
    """Six-digit code of the city, or of the province where it has no such level; empty for a code of no province."""
    candidate = f"{code[:4]}00"
    return candidate if len(code) >= len("4403") and candidate in divisions() else province(code)


@cache
def region_name(code: str, language: str = "zh") -> str:
    """The full name from the province down, without levels that only fill a gap.

    A retired or unknown code gets its nearest known surroundings and itself in brackets; of no province, just itself.
    In English provinces have English names, deeper levels keep the Chinese one.
    """
    known = divisions()
    chain = [level for level in dict.fromkeys((province(code), city(code), code)) if level in known]
    if not chain:
        return code
    head = known[chain[0]]
    names = [head.english if language == "en" else head.name]
    names += [known[level].name for level in chain[1:] if known[level].name not in _PLACEHOLDERS]
    name = " ".join(names) if language == "en" else "".join(names)
    return name if code in known else f"{name} ({code})"
