"""Any file as documents: a message, lines of messages, an EPCIS document, a table; told apart by what is in it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from suyuan.formats import epcis, nhsa, tables
from suyuan.formats.decoding import MESSAGE_BYTES_MAX, to_json
from suyuan.formats.document import Document
from suyuan.formats.faults import UnreadableError, refusal
from suyuan.formats.lines import chunks
from suyuan.formats.unpacking import blocks

_BOM = b"\xef\xbb\xbf"
_SNIFFED = 4096
_MESSAGE_KEYS = frozenset({"infno", "input", "bizdata", "basedata"})
_EPCIS_MARKS = (b'"epcisBody"', b'"@context"', b'"EPCISDocument"', b'"EPCISQueryDocument"')


def open_documents(path: Path, by: str = "", kind: str = "", chunk_rows: int = tables.CHUNK_ROWS) -> Iterator[Document]:
    """The documents in a file, in order, in constant memory where the file has lines.

    `by` is the party that speaks where the file does not say, `kind` what happened where a table does not.
    A file that is empty, unreadable or of another kind gives one document with words in `fatal`.
    """
    try:
        for document in documents(blocks(path), path.name, by, kind, chunk_rows):
            document.institution = document.institution or by
            document.in_file = True
            yield document
    except UnreadableError as error:
        yield Document(format="", institution=by, fatal=f"{path.name}: {error}")


def documents(
    stream: Iterable[bytes], name: str = "", by: str = "", kind: str = "", chunk_rows: int = tables.CHUNK_ROWS
) -> Iterator[Document]:
    """The documents in a stream of bytes. Raises UnreadableError where nothing can be made of it."""
    rest = iter(stream)
    head = b""
    while not head.removeprefix(_BOM).strip():
        block = next(rest, None)
        if block is None:
            raise UnreadableError(refusal("empty"))
        head = block if not head.startswith(_BOM) else head + block
    whole = chain([head], rest)
    start = head.removeprefix(_BOM).lstrip()
    _refuse_other_files(head, start)
    if start[:1] not in b"{[" and not _is_encoded_message(start):
        yield from tables.read(whole, name, by, kind, chunk_rows)
    elif start.startswith(b"{") and _has_lines(start):
        first = _first_object(start)
        if _is_message(first) or _is_epcis(first):
            yield from _message_lines(whole)
        else:
            yield from tables.read(whole, name, by, kind, chunk_rows)
    else:
        yield from _one_value(_gathered(whole), name, by, kind, chunk_rows)


def _refuse_other_files(head: bytes, start: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError(refusal("not_text", "UTF-16"))
    if start.startswith(b"<"):
        raise UnreadableError(refusal("other_file", "XML"))
    if b"\0" in head[:_SNIFFED].split(b"\n", 1)[0]:
        raise UnreadableError(refusal("other_file", "binary"))


def _is_encoded_message(start: bytes) -> bool:
    """Whether the file is a message inside a JSON string (T17), and no table with a quoted header."""
    return start[:1] == b'"' and start[1:].lstrip().startswith((b"{", rb"\n", rb"\r"))


def _lines(start: bytes) -> list[bytes]:
    return [line for line in start.split(b"\n", 100)[:100] if line.strip()]


def _has_lines(start: bytes) -> bool:
    """Whether each line is a value of its own: the first is one, or else the second begins another."""
    lines = _lines(start)
    if len(lines) < 2:  # noqa: PLR2004  one line is one value
        return False
    return _object(lines[0]) is not None or (lines[1].startswith(b"{") and _object(lines[1]) is not None)


def _first_object(start: bytes) -> dict[str, object]:
    return next(value for line in _lines(start) if (value := _object(line)) is not None)


def _object(line: bytes) -> dict[str, object] | None:
    try:
        value = to_json(line)
    except UnreadableError:
        return None
    return value if isinstance(value, dict) else None


def _is_message(value: dict[str, object]) -> bool:
    return not _MESSAGE_KEYS.isdisjoint(key.lower() for key in value)


def _is_epcis(value: dict[str, object]) -> bool:
    return "@context" in value or "epcisBody" in value or str(value.get("type", "")).startswith("EPCIS")


def _gathered(stream: Iterable[bytes]) -> bytes:
    """The whole stream, where it must be read as one value."""
    gathered: list[bytes] = []
    size = 0
    for block in stream:
        size += len(block)
        if size > MESSAGE_BYTES_MAX:
            raise UnreadableError(refusal("too_large", f"limit {MESSAGE_BYTES_MAX} bytes for one JSON value"))
        gathered.append(block)
    return b"".join(gathered)


def _message_lines(stream: Iterable[bytes]) -> Iterator[Document]:
    """One message or EPCIS document a line."""
    for chunk in chunks(stream, 1, MESSAGE_BYTES_MAX):
        line = chunk.lines[0]
        if chunk.too_long:
            document = Document(format="nhsa", fatal=refusal("too_large", f"{chunk.too_long[chunk.first]} bytes"))
        elif not line.strip():
            continue
        elif any(mark in line for mark in _EPCIS_MARKS):
            document = _read_apart("epcis", epcis.read, line)
        else:
            document = _read_apart("nhsa", nhsa.read, line)
        document.first_line = chunk.first
        yield document


def _read_apart(name: str, read: Callable[[bytes], Document], line: bytes) -> Document:
    """One message: where our own reader fails on it, the others of the file go on."""
    try:
        return read(line)
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it is of this message
        return Document(format=name, raw=line, fatal=refusal("failed"), crash=error)


def _one_value(raw: bytes, name: str, by: str, kind: str, chunk_rows: int) -> Iterator[Document]:
    """A single JSON value: one document, or a list of documents or of table lines."""
    value = to_json(raw)
    if isinstance(value, list):
        if not value:
            raise UnreadableError(refusal("empty"))
        lines = b"\n".join(msgspec.json.encode(member) for member in value)
        first = next((member for member in value if isinstance(member, dict)), {})
        if _is_message(first) or _is_epcis(first):
            yield from _message_lines([lines])
        else:
            yield from tables.read([lines], name, by, kind, chunk_rows)
    elif isinstance(value, dict) and _is_epcis(value):
        yield _read_apart("epcis", epcis.read, raw)
    elif isinstance(value, dict) and not _is_message(value):
        yield from tables.read([msgspec.json.encode(value)], name, by, kind, chunk_rows)
    else:
        yield _read_apart("nhsa", nhsa.read, raw)
