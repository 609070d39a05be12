"""Plain tables, CSV or JSON lines, with documented columns: fast chunks of scans, good lines beside named faults."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path

from suyuan.formats.columns import BY_HEADER, kind_of
from suyuan.formats.decoding import to_json
from suyuan.formats.document import Document, Record
from suyuan.formats.faults import UnreadableError, fault, refusal
from suyuan.formats.lines import LINE_BYTES_MAX, Chunk, chunks
from suyuan.formats.table_records import Lines, records_of
from suyuan.formats.unpacking import blocks
from suyuan.formats.values import text
from suyuan.ledger.scan import Problem

CHUNK_ROWS = 10_000

_SLICE_ROWS = 1_000
"""Lines read at a time: their fields stay in the processor's cache, which makes reading half as fast again."""
_DELIMITERS = ",\t;|"


def read_table(path: Path, by: str = "", kind: str = "", chunk_rows: int = CHUNK_ROWS) -> Iterator[Document]:
    """Read a table file in chunks, in constant memory; what cannot be read at all ends it with a `fatal` document."""
    try:
        yield from read(blocks(path), path.name, by, kind, chunk_rows)
    except UnreadableError as error:
        yield Document(format="table", institution=by, fatal=str(error))


def read(
    stream: Iterable[bytes], name: str = "", by: str = "", kind: str = "", chunk_rows: int = CHUNK_ROWS
) -> Iterator[Document]:
    """Read the bytes of a table, CSV with a header or JSON lines, as one document for each `chunk_rows` lines.

    `by` is the party that speaks, `kind` what happened where no column says so, `name` the file for messages.
    Each document holds the bytes of its own lines (with the header), the number of its first line,
    the records of its good lines and a problem for each bad one. Lines are numbered from 1, the header included.
    Raises UnreadableError where the stream itself breaks off.
    """
    table: _Table | None = None
    for chunk in chunks(stream, chunk_rows):
        if table is None:
            try:
                table = _open(chunk, by, kind)
            except UnreadableError as error:
                where = f"{name}: " if name else ""
                yield Document(format="table", institution=by, fatal=f"{where}{error}", raw=b"\n".join(chunk.lines[:1]))
                return
        if chunk.lines:
            try:
                yield table.document(chunk)
            except UnreadableError:
                raise
            except Exception as error:  # noqa: BLE001  our own fault on these lines; the others go on
                raw = table.head() + b"\n".join(chunk.lines) + b"\n"
                yield Document(format="table", institution=by, raw=raw, fatal=refusal("failed"), crash=error)
    if table is None:
        yield Document(format="table", institution=by, fatal=refusal("empty"))


def _open(chunk: Chunk, by: str, kind: str) -> "_Table":
    """Look at the first lines: JSON objects, or a header; the header is taken off the chunk."""
    while chunk.lines and not chunk.lines[0].strip() and chunk.first not in chunk.too_long:
        del chunk.lines[0]
        chunk.first += 1
    if not chunk.lines:
        raise UnreadableError(refusal("empty"))
    default = kind_of(kind)
    if kind and not default:
        raise UnreadableError(refusal("unknown_kind", kind))
    if chunk.lines[0].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _JsonTable(by, default)
    if b"\0" in chunk.lines[0]:
        raise UnreadableError(refusal("other_file", "binary"))
    header = chunk.lines.pop(0)
    chunk.first += 1
    return _CsvTable(by, default, header)


class _Table:
    """What is the same for all chunks of one table: who speaks, the columns, the encoding."""

    def __init__(self, by: str, kind: str) -> None:
        self.by = by
        self.kind = kind
        self.encoding = ""
        """Decided by the first line that is not plain ASCII."""
        self.noted: set[str] = set()

    def head(self) -> bytes:
        """Bytes that stand before every chunk's lines."""
        return b""

    def values(self, numbers: Sequence[int], lines: list[str], problems: list[Problem]) -> "Lines":
        """The fields of the lines by column name, all columns equally long."""
        raise NotImplementedError

    def document(self, chunk: Chunk) -> Document:
        """Read one chunk."""
        problems = [
            fault("line_too_long", str(number), f"{size} bytes, limit {LINE_BYTES_MAX}")
            for number, size in chunk.too_long.items()
        ]
        records: list[Record] = []
        kinds: set[str] = set()
        for start in range(0, len(chunk.lines), _SLICE_ROWS):
            numbers, lines = self._text(chunk.first + start, chunk.lines[start : start + _SLICE_ROWS], problems)
            taken, named = records_of(self.values(numbers, lines, problems), self.kind, problems)
            records += taken
            kinds |= named
        problems.sort(key=_line_number)
        return Document(
            format="table",
            infno=kinds.pop() if len(kinds) == 1 else "",
            institution=self.by,
            raw=self.head() + b"\n".join(chunk.lines) + b"\n",
            first_line=chunk.first,
            records=records,
            problems=problems,
        )

    def _text(self, first: int, raw: list[bytes], problems: list[Problem]) -> tuple[Sequence[int], list[str]]:
        """Lines as text with their numbers, without blank ones and those that are no text."""
        numbers: Sequence[int] = range(first, first + len(raw))
        joined = b"\n".join(raw)
        try:
            # ASCII is the same in both; anything else decides for the whole file.
            whole = joined.decode("ascii" if not self.encoding else self.encoding)
        except UnicodeDecodeError:
            whole = ""
        lines = whole.split("\n") if whole else self._line_by_line(first, raw, problems)
        if "\r" in whole or not whole:
            lines = [line.rstrip("\r") for line in lines]
        if "\0" in whole or not whole:
            for number, line in zip(numbers, lines, strict=True):
                if "\0" in line:
                    problems.append(fault("control_character", str(number), line))
            lines = [line if "\0" not in line else "" for line in lines]
        if all(lines):
            return numbers, lines
        kept = [(number, line) for number, line in zip(numbers, lines, strict=True) if line.strip()]
        return [number for number, _ in kept], [line for _, line in kept]

    def _line_by_line(self, first: int, raw: list[bytes], problems: list[Problem]) -> list[str]:
        lines = []
        for number, line in enumerate(raw, first):
            try:
                lines.append(self._decode(line))
            except UnicodeDecodeError as error:
                problems.append(fault("not_text", str(number), f"byte {error.start}"))
                lines.append("")
        return lines

    def _decode(self, line: bytes) -> str:
        if not self.encoding and not line.isascii():
            try:
                line.decode()
                self.encoding = "utf-8"
            except UnicodeDecodeError:
                self.encoding = "gb18030"
        return line.decode(self.encoding or "ascii")


class _CsvTable(_Table):
    """A table with a header line and separated fields; a field ends in its line."""

    def __init__(self, by: str, kind: str, header: bytes) -> None:
        super().__init__(by, kind)
        self.header = header
        text_line = self._header_text(header)
        self.delimiter = delimiter_of(text_line)
        names = [field.strip() for field in _fields(text_line, self.delimiter) or []]
        self.columns = [BY_HEADER.get(field.lower()) for field in names]
        self.unknown = [
            field
            for field, column in zip(names, self.columns, strict=True)
            if column is None and field and not field.startswith("_")
        ]
        known = [column.name for column in self.columns if column is not None]
        if not known:
            raise UnreadableError(refusal("no_header", text_line))
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            raise UnreadableError(refusal("duplicate_header", ", ".join(twice)))
        if not kind and "kind" not in known:
            raise UnreadableError(refusal("no_kind", text_line))

    def _header_text(self, header: bytes) -> str:
        try:
            return self._decode(header.removeprefix(b"\xef\xbb\xbf")).rstrip("\r")
        except UnicodeDecodeError as error:
            raise UnreadableError(refusal("not_text", f"byte {error.start}")) from error

    def head(self) -> bytes:
        return self.header + b"\n"

    def values(self, numbers: Sequence[int], lines: list[str], problems: list[Problem]) -> Lines:
        if "header" not in self.noted:
            self.noted.add("header")
            problems.extend(fault("unknown_column", "1", name) for name in self.unknown)
        width, delimiter = len(self.columns), self.delimiter
        counts = [line.count(delimiter) for line in lines]
        joined = delimiter.join(lines)
        if counts.count(width - 1) == len(lines) and '"' not in joined:
            # Splitting all lines at once makes no list for each of them.
            flat = joined.split(delimiter) if lines else []
            fields = [flat[index::width] for index in range(width)]
        else:
            rows = self._rows(numbers, lines, problems)
            numbers = [number for number, _ in rows]
            fields = [list(column) for column in zip(*(row for _, row in rows), strict=True)] or [[]] * width
        columns = {
            column.name: list(map(str.strip, values))
            for column, values in zip(self.columns, fields, strict=True)
            if column is not None
        }
        return Lines(numbers, columns)

    def _rows(self, numbers: Sequence[int], lines: list[str], problems: list[Problem]) -> list[tuple[int, list[str]]]:
        """Lines that need care: quotes, or a wrong number of fields. Empty fields beyond the last are forgiven."""
        rows = []
        width = len(self.columns)
        for number, line in zip(numbers, lines, strict=True):
            fields = _fields(line, self.delimiter)
            if fields is None:
                problems.append(fault("open_quote", str(number), line))
                continue
            while len(fields) > width and not fields[-1].strip():
                fields.pop()
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != width:
                problems.append(fault("wrong_width", str(number), f"{len(fields)} fields, the header has {width}"))
                continue
            rows.append((number, fields))
        return rows


class _JsonTable(_Table):
    """A table with one JSON object a line, keys as column names."""

    def values(self, numbers: Sequence[int], lines: list[str], problems: list[Problem]) -> Lines:
        kept: list[int] = []
        columns: dict[str, list[str]] = {}
        children: dict[int, tuple[str, ...]] = {}
        for number, line in zip(numbers, lines, strict=True):
            row = self._row(str(number), line, problems)
            if row is None:
                continue
            for name, value in row.items():
                column = columns.setdefault(name, [])
                column.extend(repeat("", len(kept) - len(column)))
                if isinstance(value, list) and name == "children":
                    children[len(kept)] = tuple(filter(None, map(text, value)))
                column.append(text(value) if not isinstance(value, float) or name != "code" else f"{value:E}")
            kept.append(number)
        for column in columns.values():
            column.extend(repeat("", len(kept) - len(column)))
        return Lines(kept, columns, children)

    def _row(self, where: str, line: str, problems: list[Problem]) -> dict[str, object] | None:
        try:
            value = to_json(line.encode())
        except UnreadableError as error:
            problems.append(fault("not_json", where, str(error)))
            return None
        if not isinstance(value, dict):
            problems.append(fault("not_object", where, line))
            return None
        row: dict[str, object] = {}
        for key, member in value.items():
            column = BY_HEADER.get(key.strip().lower())
            if column is None:
                if not key.startswith("_") and key not in self.noted:
                    self.noted.add(key)
                    problems.append(fault("unknown_column", where, key))
            elif column.name in row:
                problems.append(fault("duplicate_header", where, key))
                return None
            else:
                row[column.name] = member
        return row


def _line_number(problem: Problem) -> int:
    return int(problem.where)


def delimiter_of(header: str) -> str:
    """What separates the fields of a table with this header."""
    return max(_DELIMITERS, key=header.count)


def _fields(line: str, delimiter: str) -> list[str] | None:
    """One line's fields; None where a quote stays open or closes in mid-field."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
