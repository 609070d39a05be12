"""Times and dates in every form that real clients send, turned into µs UTC and ISO dates."""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

CHINA = timezone(timedelta(hours=8))
"""Times without a zone are China's: NHSA messages and tables never carry one."""

_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_MIN, _YEAR_MAX = 1900, 2199
"""Outside these years a time is a slip of the keyboard, not a time."""

_DATE_CHARACTERS_MAX = 40
"""Longer texts are read, and not remembered."""

_WRITTEN = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?"
    r"(?:[ T]*(?P<hour>\d{1,2})[:时](?P<minute>\d{1,2})(?:[:分](?P<second>\d{1,2})秒?(?:[.,](?P<part>\d{1,9}))?)?分?)?"
    r"\s*(?P<zone>Z|z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:T?(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?P<part>\d{3})?)?)?(?P<zone>(?!))?",
    re.ASCII,
)
_MONTH = re.compile(r"(\d{4})[-/.年]?(\d{1,2})月?", re.ASCII)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def instant(text: str) -> int | None:
    """µs UTC of a time; 0 where none was given; None where the text is no time.

    Takes `yyyy-MM-dd HH:mm:ss`, the same without the blank, with `/`, `.` or one-digit parts, dates alone (midnight),
    `yyyyMMddHHmmss` with or without milliseconds, 年月日, and ISO 8601 with a zone (`spec/nhsa-interface.md` T41).
    Year 1, the empty value of some languages, counts as not given.
    """
    if len(text) >= 19:  # noqa: PLR2004  the regular form, by far the most frequent: its parts repeat
        midnight, clock, rest = _midnight(text[:10]), _since_midnight(text[10:19]), _rest(text[19:])
        if midnight is not None and clock is not None and rest is not None:
            return midnight + clock + rest
    return _any_form(text)


def instants(texts: list[str]) -> list[int | None]:
    """`instant` of a whole column, several times as fast where all are in the regular form."""
    try:
        return [_DAYS[text[:10]] + _MINUTES[text[10:16]] + _SECONDS[text[16:]] for text in texts]
    except TypeError:
        return list(map(instant, texts))


class _Known(dict[str, Any]):
    """Parts of times already read; None for those that are not of the regular form."""

    def __init__(self, read: Callable[[str], int | None], most: int) -> None:
        self.read = read
        self.most = most

    def __missing__(self, part: str) -> int | None:
        if len(self) >= self.most:
            self.clear()
        self[part] = value = self.read(part)
        return value


def stamp(text: str) -> int | None:
    """µs UTC of an EPCIS time, which must be ISO 8601 with seconds and zone; None otherwise."""
    return _any_form(text) if _STAMP.fullmatch(text) else None


def iso_date(text: str, *, end: bool = False) -> str | None:
    """ISO date of a date or time in any form; empty stays empty; None where the text is no date.

    A month without a day becomes its first day, or its last with `end` (an expiry).
    """
    text = text.strip()
    if len(text) > _DATE_CHARACTERS_MAX:
        return _iso_date.__wrapped__(text, end)
    return _iso_date(text, end)


@lru_cache(20_000)
def _iso_date(text: str, end: bool) -> str | None:  # noqa: FBT001  as for iso_date; a cache wants it plain
    if not text:
        return ""
    found = _WRITTEN.fullmatch(text) or _COMPACT.fullmatch(text)
    if found is not None:
        moment = _datetime(found)
        return None if moment is None else moment.date().isoformat()
    month = _MONTH.fullmatch(text)
    if month is None:
        return None
    year, number = int(month[1]), int(month[2])
    if not (_YEAR_MIN <= year <= _YEAR_MAX and 1 <= number <= 12):  # noqa: PLR2004  months of a year
        return None
    return date(year, number, calendar.monthrange(year, number)[1] if end else 1).isoformat()


def last_day(text: str) -> str | None:
    """`iso_date` of an expiry: a month without a day means its last one."""
    return iso_date(text, end=True)


def digits17(moment: int) -> str:
    """A moment (µs UTC) as `yyyyMMddHHmmssSSS` in China's time, the form of an NHSA answer."""
    return f"{_digits14(moment // _SECOND)}{moment % _SECOND // 1000:03d}"


@lru_cache(4096)
def _digits14(second: int) -> str:
    return f"{(_EPOCH + timedelta(seconds=second)).astimezone(CHINA):%Y%m%d%H%M%S}"


@lru_cache(4096)
def _midnight(day: str) -> int | None:
    """µs UTC at which a day `yyyy-MM-dd` begins in China."""
    if len(day) != 10 or day[4] != "-" or day[7] != "-":  # noqa: PLR2004  length of the form
        return None
    return _any_form(day)


@lru_cache(100_000)
def _since_midnight(clock: str) -> int | None:
    """µs from midnight to ` HH:mm:ss`."""
    found = re.fullmatch(r"[ T]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)", clock, re.ASCII)
    if found is None:
        return None
    return (int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])) * _SECOND


@lru_cache(10_000)
def _rest(text: str) -> int | None:
    """µs that a fraction of a second and a zone, as in `.500Z`, add to the same clock in China."""
    if not text:
        return 0
    day = "1970-01-01"
    moment = _any_form(f"{day} 00:00:00{text}") if text[0] in ".Zz+-" else None
    return None if moment is None else moment - (_midnight(day) or 0)


def _any_form(text: str) -> int | None:
    text = text.strip()
    if not text or text.startswith(("0001-01-01", "0001/1/1")):
        return 0
    found = _WRITTEN.fullmatch(text) or _COMPACT.fullmatch(text)
    moment = None if found is None else _datetime(found)
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _datetime(found: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = (
        int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    if not _YEAR_MIN <= year <= _YEAR_MAX:
        return None
    part = int(f"{found['part'] or '0':<06}"[:6])
    try:
        return datetime(year, month, day, hour, minute, second, part, _zone(found["zone"]))
    except ValueError:
        return None


def _minute(text: str) -> int | None:
    """µs from midnight to ` HH:mm`."""
    return _since_midnight(f"{text}:00")


def _second(text: str) -> int | None:
    """µs that `:ss`, with a fraction and a zone, adds to its minute in China."""
    second, rest = _since_midnight(f" 00:00{text[:3]}"), _rest(text[3:])
    return None if second is None or rest is None else second + rest


# Few different values each, so that they stay in the processor's cache.
_DAYS = _Known(_midnight, 10_000)
_MINUTES = _Known(_minute, 10_000)
_SECONDS = _Known(_second, 100_000)


def _zone(text: str | None) -> timezone:
    """The zone as written; raises ValueError for one that does not exist."""
    if not text:
        return CHINA
    if text in {"Z", "z"}:
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
