"""Second readings of GS1 texts whose separators were lost on the way (分隔符丢失, `spec/codes.md` §1.3)."""

from collections.abc import Iterator

from suyuan.codes.dates import iso_date
from suyuan.codes.gs1 import Elements, in_order, parse, parse_pairs

_SUSPECT_LENGTH = 10
"""A lot or serial up to this length is taken as it stands."""

_VALUE_LENGTH_MAX = 20
_TEXT_LENGTH_MAX = 120
"""Longer than any lot, serial and dates together; a longer text has another fault."""

_SERIAL_LENGTH_MIN = 3
"""A shorter tail behind 21 is taken as the end of a lot, not as a serial."""

_READINGS_MAX = 3
_LOT_LENGTHS_USUAL = range(4, 11)
_FIXED = {"01": 14, "02": 14, "11": 6, "13": 6, "15": 6, "17": 6, "20": 2}
_DATES = frozenset({"11", "13", "15", "17"})
_YEARS_PLAUSIBLE = range(2010, 2050)
"""A date outside is more likely part of a lot than a date on a package in use."""


def split_at_open_value(text: str) -> tuple[Elements, str, str] | None:
    """The elements of fixed length in front, then the first lot (10) or serial (21) with all that follows it."""
    at = 0
    while (ai := text[at : at + 2]) in _FIXED:
        at += 2 + _FIXED[ai]
    head = parse(text[:at])
    if ai not in {"10", "21"} or isinstance(head, str) or not text[at + 2 :]:
        return None
    return head, ai, text[at + 2 :]


def second_readings(text: str) -> list[Elements]:
    """What `text` says if its separators were lost, the most plausible first; empty where it reads only one way.

    A lot or serial longer than 10 characters is split where a tail of it is a serial (21), an expiry (17) or a
    production date (11), and so on within that tail.
    """
    parts = split_at_open_value(text)
    if parts is None or len(text) > _TEXT_LENGTH_MAX:
        return []
    head, ai, value = parts
    found = [head | more for more in _splits(ai, value, frozenset(head))]
    found = [elements for elements in found if isinstance(parse_pairs([*elements.items()]), dict)]
    return sorted(found, key=_implausibility)[:_READINGS_MAX]


def in_one_order(text: str) -> str:
    """`text`, which has second readings, with its elements of fixed length in canonical order."""
    head, ai, value = split_at_open_value(text) or ({}, "", text)
    return "".join(f"{name}{element}" for name, element in in_order(head).items()) + ai + value


def _implausibility(elements: Elements) -> tuple[int, bool, int]:
    """Dates are hard to hit by chance, so they count most; then a lot of usual length; then the shortest lot."""
    dates = len(_DATES & elements.keys())
    lot = len(elements.get("10", ""))
    return -dates, lot not in _LOT_LENGTHS_USUAL, lot


def _splits(ai: str, value: str, used: frozenset[str]) -> Iterator[Elements]:
    """All ways to end `value` early and read the rest as further elements."""
    if len(value) <= _SUSPECT_LENGTH:
        return
    taken = used | {ai}
    for end in range(1, min(len(value), _VALUE_LENGTH_MAX + 1)):
        if value[end : end + 2] in {"11", "17", "21"}:
            for more in _tails(value[end:], taken):
                yield {ai: value[:end]} | more


def _tails(text: str, used: frozenset[str]) -> Iterator[Elements]:
    """All readings of `text` as elements none of which stands in `used`."""
    ai = text[:2]
    if ai in used:
        return
    if ai in _DATES:
        iso = iso_date(text[2:8])
        if iso and int(iso[:4]) in _YEARS_PLAUSIBLE:
            if len(text) == 8:  # noqa: PLR2004  identifier and YYMMDD end the text
                yield {ai: text[2:8]}
            for more in _tails(text[8:], used | {ai}):
                yield {ai: text[2:8]} | more
    elif ai in {"10", "21"}:
        least = _SERIAL_LENGTH_MIN if ai == "21" else 1
        if least <= len(text) - 2 <= _VALUE_LENGTH_MAX:
            yield {ai: text[2:]}
        yield from _splits(ai, text[2:], used)
