"""One value as sent, text or JSON, turned into the one form that is kept."""

import re
from decimal import Decimal
from functools import lru_cache

from suyuan.formats.faults import fault
from suyuan.ledger.scan import Problem

CODE_CHARACTERS_MAX = 500
"""The longest trace codes are 200 characters; an address around one may double that."""

_NUMBER = re.compile(r"\+?(\d{0,12})(?:\.(\d{0,8}))?", re.ASCII)
_NUMBER_CHARACTERS_MAX = 22
"""The longest text of the form above: nothing longer is looked at or remembered."""
_SCIENTIFIC = re.compile(r"\d(?:\.\d*)?[eE]\+?\d{1,3}", re.ASCII)
_JOINED = re.compile(r"\d{20}(?:\s*[,;，；]\s*\d{20})+", re.ASCII)
_YES = frozenset({"1", "1.0", "是", "y", "yes", "true", "t"})
_NO = frozenset({"", "0", "0.0", "否", "n", "no", "false", "f", "null"})


def text(value: object) -> str:
    """A JSON value as trimmed text: numbers as written, nothing for null, objects and lists."""
    if isinstance(value, str):
        return value.strip() if "\0" not in value else value.replace("\0", "").strip()
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _plain(Decimal(repr(value)))
    return ""


def quantity(written: str) -> str | None:
    """A count as canonical decimal text (`1.50` becomes `1.5`); None for anything else, also negative or too large."""
    number = _number(written) if len(written) <= _NUMBER_CHARACTERS_MAX else None
    return None if number is None else _plain(number)


def millionths(written: str) -> int | None:
    """An amount in yuan as millionths; None for what is no amount, negative or beyond 12 digits."""
    number = _number(written) if len(written) <= _NUMBER_CHARACTERS_MAX else None
    return None if number is None else int(number.scaleb(6))


@lru_cache(20_000)
def _number(written: str) -> Decimal | None:
    found = _NUMBER.fullmatch(written)
    if found is None or not (found[1] or found[2]):
        return None
    return Decimal(f"{found[1] or 0}.{found[2] or 0}")


def flag(written: str) -> bool | None:
    """Whether a flag is set, under the labels clients use (T39); None for anything else."""
    folded = written.lower()
    if folded in _YES:
        return True
    return False if folded in _NO else None


def codes(value: object, where: str, problems: list[Problem]) -> list[str]:
    """The codes in one field: none, one, or several 20-digit ones joined by comma or semicolon (T46).

    What cannot be a code, such as the rest that a spreadsheet leaves of one, is named in `problems`.
    """
    written = text(value)
    if not written:
        return []
    if _JOINED.fullmatch(written):
        return re.findall(r"\d{20}", written)
    wrong = ""
    if isinstance(value, float) or is_scientific(written):
        wrong = "scientific_code"
    elif isinstance(value, str) and "\0" in value:
        wrong = "control_character"
    elif len(written) > CODE_CHARACTERS_MAX:
        wrong = "code_too_long"
    if wrong:
        problems.append(fault(wrong, where, value))
        return []
    return [written]


def is_scientific(written: str) -> bool:
    """Whether a spreadsheet has turned a code into something like 8.1234E+19."""
    return _SCIENTIFIC.fullmatch(written) is not None


def _plain(number: Decimal) -> str:
    """Decimal text without exponent and trailing zeros."""
    written = format(number, "f")
    return written.rstrip("0").rstrip(".") or "0" if "." in written else written
