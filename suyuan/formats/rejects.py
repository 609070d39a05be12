"""The file of what did not go in: each bad line as sent with its reasons, to be mended and sent again."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

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
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "Rejects":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, document: Document, faults: Iterable[tuple[str, str]]) -> None:
        """Write the lines of a document that have faults, given as (where, reason in words)."""
        reasons: dict[int, list[str]] = {}
        in_lines = document.format == "table" and document.first_line > 0
        for where, reason in faults:
            number = int(where) if in_lines and where.isdecimal() else document.first_line
            words = reason if in_lines or not where else f"{where}: {reason}"
            reasons.setdefault(number, []).append(words)
        if not reasons:
            return
        lines = document.raw.split(b"\n")
        header = b"" if not in_lines or _is_json(lines[0]) else lines.pop(0).rstrip(b"\r")
        for number, words in sorted(reasons.items()):
            if not in_lines:
                line = document.raw.replace(b"\r", b" ").replace(b"\n", b" ").strip()
            elif document.first_line <= number < document.first_line + len(lines):
                line = lines[number - document.first_line].rstrip(b"\r")
            else:
                continue  # a fault of the header: there is no line to mend
            self._write(header, line, number, "; ".join(dict.fromkeys(words)))

    def _write(self, header: bytes, line: bytes, number: int, reason: str) -> None:
        out = self._open(header)
        if header:
            delimiter = delimiter_of(header.decode("utf-8", "replace"))
            encoding = "utf-8" if _is_utf8(header + line) else "gb18030"
            front = f"{number}{delimiter}{_cell(reason)}{delimiter}"
            out.write(front.encode(encoding, "replace") + line + b"\n")
        else:
            out.write(_json_line(line, number, reason) + b"\n")
        self.count += 1

    def _open(self, header: bytes) -> IO[bytes]:
        if self._file is None:
            self._file = self.path.open("wb")
            if header:
                delimiter = delimiter_of(header.decode("utf-8", "replace"))
                names = delimiter.join((*REASON_COLUMNS, "")).encode()
                self._file.write(_BOM * header.startswith(_BOM) + names + header.removeprefix(_BOM) + b"\n")
        return self._file


def _cell(reason: str) -> str:
    """A reason as a quoted field that no spreadsheet takes for a formula."""
    words = _one_line(reason)
    if words.startswith(_FORMULA):
        words = f"'{words}"
    return '"' + words.replace('"', '""') + '"'


def _one_line(reason: str) -> str:
    """A reason on one line, without control characters."""
    return "".join(part if part.isprintable() else " " for part in reason)


def _json_line(line: bytes, number: int, reason: str) -> bytes:
    """The reasons as first keys of the object; a line that is no object stands inside one, to be taken out again."""
    front = {"_line": number, "_reason": _one_line(reason)}
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
