"""What commands take and print in common: the data folder, JSON lines for programs, tables for people, refusals."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec

Format = Annotated[
    Literal["table", "json"], cyclopts.Parameter(name="--format", help="table for people, json for programs.")
]
Folder = Annotated[Path, cyclopts.Parameter(name="--dir", env_var="SUYUAN_DIR", help="Data folder of the node.")]
DEFAULT_FOLDER = Path("suyuan-data")
By = Annotated[
    str,
    cyclopts.Parameter(
        name="--by",
        show_default=False,
        help="Who sends, by its code: for itself where the file names nobody, or for whom it may speak.",
    ),
]

_WIDTH = 200
"""Of tables in a file or a pipe, where no terminal sets one."""


_CONTROL = {"\x1d": "<GS>", "\t": " "}


class Unreadable(Exception):  # noqa: N818  the reader's word for it
    """A file or picture that a command was given cannot be used; exit code 1."""


def print_json(value: Any) -> None:  # noqa: ANN401  any record of ours
    """One line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on the terminal; as wide as it needs to be where the output is a file."""
    from rich.console import Console  # noqa: PLC0415  costs more than most commands
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        table.add_row(*(Text(_visible(str(cell))) for cell in row))  # as it is: a code may look like markup
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def say(text: str) -> None:
    """A line of text."""
    sys.stdout.write(_visible(text) + "\n")


def warn(text: str) -> None:
    """A line on standard error, beside what a program reads from standard output."""
    sys.stderr.write(_visible(text) + "\n")


def _visible(text: str) -> str:
    """Text without control characters: what others sent must not steer the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else _CONTROL.get(sign, "\ufffd") for sign in text)


def plain_time(iso: str) -> str:
    """An ISO time as a reader takes it in: to the second, without the zone, which is China's throughout."""
    return iso[:19].replace("T", " ")


def yuan(amount: int) -> str:
    """Millionths of a yuan as yuan and fen."""
    return f"{amount / 1_000_000:,.2f}"
