"""The file of what did not go in: each bad line as sent with its reasons, to be mended and sent again."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from suyuan.formats.document import Document
from suyuan.formats.tables import delimiter_of

REASON_COLUMNS = ("_line", "_reason")
"""Stand first in each line; columns that begin with `_` are passed over on reading."""

_FORMULA = ("=", "+", "-", "@")
_BOM = b"\xef\xbb\xbf"


class Rejects:
    """Writes the bad lines of one upload. The file comes into being with the first of them.

    Lines of a table stay lines of a table; a message with a fault stands as one JSON line, whole: sending it again
    repeats its good lines, which changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        """Lines written, the header not counted."""
        self._files: dict[bytes, IO[bytes]] = {}
        """By header; tables with other columns, and JSON lines, go into files of their own beside the first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def add(self, document: Document, faults: Iterable[tuple[str, str]]) -> None:
        """Write the lines of a document that have faults, given as (where, reason in words).

        An empty `where` speaks of the whole document: of a table, every line of it. A table that cannot be read at all
        has no lines here: the file itself must be mended.
        """
        if document.format == "table":
            self._add_lines(document, faults)
            return
        reasons = [f"{where}: {reason}" if where else reason for where, reason in faults]
        line = document.raw.replace(b"\r", b" ").replace(b"\n", b" ").strip()
        if reasons and line:
            self._write(b"", line, document.first_line, reasons)

    def _add_lines(self, document: Document, faults: Iterable[tuple[str, str]]) -> None:
        lines = [line.rstrip(b"\r") for line in document.raw.removesuffix(b"\n").split(b"\n")]
        header = b"" if _is_json(lines[0]) else lines.pop(0)
        numbers = range(document.first_line, document.first_line + len(lines)) if document.first_line else range(0)
        reasons: dict[int, list[str]] = {}
        for where, reason in faults:
            for number in [int(where)] if where.isdecimal() else numbers:
                reasons.setdefault(number, []).append(reason)
        for number in sorted(reasons):
            if number in numbers:  # a fault of the header has no line to mend
                self._write(header, lines[number - document.first_line], number, reasons[number])

    def _write(self, header: bytes, line: bytes, number: int, reasons: list[str]) -> None:
        out = self._open(header)
        reason = _one_line("; ".join(dict.fromkeys(reasons)))
        if header:
            delimiter = delimiter_of(header.decode("utf-8", "replace"))
            encoding = "utf-8" if _is_utf8(header + line) else "gb18030"
            front = f"{number}{delimiter}{_cell(reason)}{delimiter}"
            out.write(front.encode(encoding, "replace") + line + b"\n")
        else:
            out.write(_json_line(line, number, reason) + b"\n")
        self.count += 1

    def _open(self, header: bytes) -> IO[bytes]:
        if header not in self._files:
            number = len(self._files) + 1
            path = self.path if number == 1 else self.path.with_name(f"{self.path.stem}-{number}{self.path.suffix}")
            file = self._files[header] = path.open("wb")
            if header:
                delimiter = delimiter_of(header.decode("utf-8", "replace"))
                names = delimiter.join((*REASON_COLUMNS, "")).encode()
                file.write(_BOM * header.startswith(_BOM) + names + header.removeprefix(_BOM) + b"\n")
        return self._files[header]


def _cell(reason: str) -> str:
    """A reason as a quoted field that no spreadsheet takes for a formula."""
    words = f"'{reason}" if reason.startswith(_FORMULA) else reason
    return '"' + words.replace('"', '""') + '"'


def _one_line(reason: str) -> str:
    """A reason on one line, without control characters."""
    return "".join(part if part.isprintable() else " " for part in reason)


def _json_line(line: bytes, number: int, reason: str) -> bytes:
    """The reasons as first keys of the object; a line that is no object stands inside one, to be taken out again."""
    front = {"_line": number, "_reason": reason}
    body = line.removeprefix(_BOM).strip()
    if not _is_json(body):
        return json.dumps({**front, "_text": body.decode("utf-8", "replace")}).encode()
    rest = body[1:].lstrip()
    return json.dumps(front).encode()[:-1] + (b"" if rest.startswith(b"}") else b", ") + rest


def _is_json(line: bytes) -> bool:
    return line.removeprefix(_BOM).lstrip().startswith(b"{")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
