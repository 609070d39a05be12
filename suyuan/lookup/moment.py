"""A moment as people and programs read it: ISO 8601 in China's time, whoever asks and wherever the program runs."""

from datetime import UTC, datetime, timedelta, timezone

_CHINA = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_time(moment: int) -> str:
    """µs UTC as `2026-01-03T10:11:12+08:00`, with the fraction of a second where there is one; empty for 0."""
    if not moment:
        return ""
    return (_EPOCH + timedelta(microseconds=moment)).astimezone(_CHINA).isoformat()
