"""What commands print: JSON lines for programs, tables for people."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec

Format = Annotated[
    Literal["table", "json"], cyclopts.Parameter(name="--format", help="table for people, json for programs.")
]
Folder = Annotated[
    Path, cyclopts.Parameter(name="--dir", env_var="SUYUAN_DIR", help="Data folder of the node.")
]
DEFAULT_FOLDER = Path("suyuan-data")

_CHINA = timezone(timedelta(hours=8))


def print_json(value: Any) -> None:  # noqa: ANN401  any record of ours
    """One line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on the terminal; as wide as it needs to be where the output is a file."""
    from rich.console import Console  # noqa: PLC0415  costs more than most commands
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def say(text: str) -> None:
    """A line of text."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """A line on standard error, beside what a program reads from standard output."""
    sys.stderr.write(text + "\n")


def clock_time(moment: int) -> str:
    """µs UTC as Beijing time to the second."""
    if not moment:
        return ""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


def yuan(amount: int) -> str:
    """Millionths of a yuan as yuan and fen."""
    return f"{amount / 1_000_000:,.2f}"
