"""Dates as codes carry them: six digits YYMMDD, where day 00 means the last day of the month."""

import calendar

_CENTURY = 2000
"""Every two-digit year is 20YY: tracing began after 2000, and a reading must not change with the clock."""


def iso_date(written: str) -> str:
    """ISO date of `YYMMDD`, `YYYYMMDD` or `YYYY-MM-DD`; empty where it is no date. Day 00 is the month's last."""
    digits = written.replace("-", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) in {6, 8}):
        return ""
    year = int(digits[:-4]) + (_CENTURY if len(digits) == 6 else 0)  # noqa: PLR2004  YYMMDD
    month, day = int(digits[-4:-2]), int(digits[-2:])
    if not (year and 1 <= month <= 12):  # noqa: PLR2004  months
        return ""
    last = calendar.monthrange(year, month)[1]
    return f"{year:04d}-{month:02d}-{day or last:02d}" if day <= last else ""
