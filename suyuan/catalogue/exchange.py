"""Catalogue tables to CSV and back: good lines go in, bad lines come back with line, field, value and what to do."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec

from suyuan.catalogue.columns import COLUMNS, Column, UnfitError, notes
from suyuan.catalogue.content import TABLE, Content, Table
from suyuan.catalogue.dating import OPEN, day_before, in_sequence, overlap
from suyuan.catalogue.mapping import circles

FILE_BYTES_MAX = 1 << 30
"""A catalogue file is read whole; the national drug list of 269,110 rows is about 100 MB."""
LINE_CHARS_MAX = 100_000
"""No row of any table comes near; a longer line is a fault of the line, not of the file."""
RECORD_LINES_MAX = 50
"""How many lines one row with quoted line breaks may take before its opening quote is taken for a slip."""

REASON = "_problems"
"""Columns that begin with an underscore are comments: a file of rejected lines carries its reasons there."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'", "＝", "＋", "－", "＠")
_CONTROL = {chr(number) for number in (*range(32), 127)} - {"\n", "\t"}


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One fault or warning of one line, for its reader."""

    line: int
    """Line of the file, the heading being line 1."""
    field: str
    value: str
    what: str
    do: str
    warning: bool = False
    """True where the line was taken all the same."""


class Reading(msgspec.Struct):
    """A file as read, before anything is changed."""

    table: str
    rows: list[tuple[int, Any]] = []
    """Line and row."""
    faults: list[Fault] = []
    headings: list[str] = []
    rejected: dict[int, list[str]] = {}
    """Cells of the lines that were not taken, by line."""
    fatal: str = ""
    """Why nothing of the file could be read: what, and what to do."""


class Report(msgspec.Struct):
    """What an import changes, row by row, and what it left out."""

    table: str
    added: list[Any] = []
    changed: list[tuple[Any, Any]] = []
    """Before and after."""
    ended: list[tuple[Any, Any]] = []
    """Before and after; only the last valid day came nearer."""
    same: int = 0
    faults: list[Fault] = []
    headings: list[str] = []
    rejected: dict[int, list[str]] = {}
    fatal: str = ""

    @property
    def lines_rejected(self) -> int:
        """How many lines were not taken."""
        return len(self.rejected)


# Out


def write_rows(table: str, rows: Iterable[Any]) -> str:
    """Rows as CSV text with the columns of `COLUMNS[table]`; cells a spreadsheet would run as formulas are disarmed."""
    columns = COLUMNS[table]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([_disarmed(column.write(getattr(row, column.name))) for column in columns])
    return out.getvalue()


def export_table(content: Content, table: str) -> bytes:
    """One table as a file: UTF-8 with BOM, which spreadsheets need to show Chinese."""
    return write_rows(table, getattr(content, table)).encode("utf-8-sig")


def write_rejected(report: Report) -> bytes:
    """The lines that were not taken, with their reasons, as a file that can be mended and imported again."""
    reasons: dict[int, list[str]] = {}
    for fault in report.faults:
        if not fault.warning:
            reasons.setdefault(fault.line, []).append(f"{fault.field or 'line'}: {fault.what}. {fault.do}")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    kept = [place for place, heading in enumerate(report.headings) if not heading.startswith("_")]
    writer.writerow([*(report.headings[place] for place in kept), REASON])
    for line, cells in sorted(report.rejected.items()):
        same = [_disarmed(_armed(cells[place])) if place < len(cells) else "" for place in kept]
        beyond = [_disarmed(_armed(cell)) for cell in cells[len(report.headings) :]]
        writer.writerow([*same, _disarmed(" ".join(reasons.get(line, ()))), *beyond])
    return out.getvalue().encode("utf-8-sig")


def _disarmed(cell: str) -> str:
    """A quote in front keeps a spreadsheet from running the cell; a cell that begins with a quote gets one too."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _armed(cell: str) -> str:
    """The reverse of `_disarmed`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


# In


def import_table(content: Content, table: str, data: bytes, complete: date | None = None) -> tuple[Content, Report]:
    """Take a file into a copy of the content; answers the copy and what changed.

    A row with the key and first day of an existing one replaces it; with a later first day it ends the open one the day
    before. With `complete` the file is the whole table as of that day: open rows it does not name end the day before.
    A fatal fault changes nothing.
    """
    reading = read_rows(table, data)
    report = Report(
        table, faults=reading.faults, headings=reading.headings, rejected=reading.rejected, fatal=reading.fatal
    )
    if reading.fatal:
        return content, report
    rows = _merged(TABLE[table], getattr(content, table), reading.rows, report, complete)
    after = msgspec.structs.replace(content, **{table: rows})
    if table == "transcodes":
        report.faults += [
            Fault(
                0,
                "former",
                former,
                "its transcodes lead back to itself; it is not followed",
                "End one of them.",
                warning=True,
            )
            for former in circles(rows)
        ]
    report.faults.sort(key=lambda fault: fault.line)
    return after, report


def read_rows(table: str, data: bytes) -> Reading:
    """Read a file of one table without changing anything. Never raises for bad input."""
    reading = Reading(table)
    text = _decoded(data, reading)
    if reading.fatal:
        return reading
    records = _records(text)
    heading = next((record for record in records if any(record.cells)), None)
    places = _places(COLUMNS[table], [] if heading is None else heading.cells, reading)
    if places is None:
        return reading
    row_type = TABLE[table].row
    defaults = _defaults(row_type)
    for record in records:
        if not any(record.cells) and not record.problem:
            continue
        row = _row(record, places, reading, row_type, defaults)
        if row is None:
            reading.rejected[record.line] = record.cells
        else:
            reading.rows.append((record.line, row))
    return reading


def _decoded(data: bytes, reading: Reading) -> str:
    """UTF-8 with or without BOM, else GB18030 (which contains GBK)."""
    if not data.strip():
        reading.fatal = "The file is empty. Write a heading line and one line a row."
    elif len(data) > FILE_BYTES_MAX:
        reading.fatal = f"The file has more than {FILE_BYTES_MAX >> 20} MiB. Split it."
    elif data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        reading.fatal = "This is an Excel workbook. Save it as CSV UTF-8 and import that file."
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        reading.fatal = "The file is UTF-16 text. Save it as CSV UTF-8."
    else:
        for encoding in ("utf-8-sig", "gb18030"):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
        reading.fatal = "The text is neither UTF-8 nor GBK. Save the file as CSV UTF-8."
    return ""


class _Record(NamedTuple):
    """One row of a file: its first line, its cells, and why it is no row."""

    line: int
    cells: list[str]
    problem: str = ""


def _records(text: str) -> Iterator[_Record]:
    """Rows of CSV text. A stray quote costs its own line, never the lines after it."""
    lines = list(io.StringIO(text, newline=""))
    width = 0
    place = 0
    while place < len(lines):
        record, taken = _parsed(place + 1, lines[place : place + RECORD_LINES_MAX])
        if taken > 1 and (record.problem or (width and len(record.cells) != width)):
            record, taken = _parsed(place + 1, lines[place : place + 1])
        width = width or len(record.cells)
        yield record
        place += taken


def _parsed(number: int, lines: Sequence[str]) -> tuple[_Record, int]:
    """The row that begins on the first of the lines, and how many lines it takes."""
    first = lines[0].strip()
    if len(first) > LINE_CHARS_MAX:
        words = f"the line has more than {LINE_CHARS_MAX:,} characters"
        return _Record(number, [first[:LINE_CHARS_MAX]], words), 1
    reader = csv.reader(lines, strict=True)
    try:
        cells = next(reader, [])
    except csv.Error as fault:
        return _Record(number, [first], f"not readable as CSV: {fault}"), max(1, reader.line_num)
    return _Record(number, [cell.replace("\r\n", "\n").strip() for cell in cells]), reader.line_num


def _places(columns: Sequence[Column], headings: list[str], reading: Reading) -> list[Column | None] | None:
    """Which column each place of a line is for; None, and a fatal fault, where the heading line cannot be used."""
    known = {column.name: column for column in columns} | {column.heading: column for column in columns}
    reading.headings = headings
    places: list[Column | None] = []
    strange = []
    for heading in headings:
        column = known.get(heading) or known.get(heading.lower())
        if column is not None and column in places:
            reading.fatal = f"The column {heading} stands twice in the heading line. Remove one of them."
            return None
        if column is None and heading and not heading.startswith("_"):
            strange.append(heading)
        places.append(column)
    names = ", ".join(column.name for column in columns)
    if strange:
        reading.fatal = (
            f"Unknown column {strange[0][:80]!r} in the heading line. The columns of {reading.table} are: {names}."
        )
        return None
    missing = [column.name for column in columns if column.required and column not in places]
    if missing:
        reading.fatal = f"The heading line lacks {', '.join(missing)}. The columns of {reading.table} are: {names}."
        return None
    return places


def _defaults(row_type: type[Any]) -> dict[str, Any]:
    """What an empty cell means, by field."""
    return {
        field.name: "" if field.default is msgspec.NODEFAULT else field.default
        for field in msgspec.structs.fields(row_type)
    }


def _row(
    record: _Record,
    places: Sequence[Column | None],
    reading: Reading,
    row_type: type[Any],
    defaults: dict[str, Any],
) -> Any:  # noqa: ANN401  any of the row types, or None
    """A record as a row of its table; None where it has faults, which are all noted."""
    faults = reading.faults
    if record.problem:
        faults.append(Fault(record.line, "", "", record.problem, "Mend or remove the line."))
        return None
    if any(record.cells[len(places) :]) or len(record.cells) < len(places):
        found = f"{len(record.cells)} cells where the heading has {len(places)}"
        faults.append(Fault(record.line, "", "", found, "Look for a comma or a quote that is missing or too many."))
        return None
    before = len(faults)
    values = dict(defaults)
    for column, raw in zip(places, record.cells, strict=False):
        if column is not None:
            values[column.name] = _cell(column, _armed(raw), record.line, defaults[column.name], faults)
    if len(faults) > before:
        return None
    row = row_type(**values)
    found_notes = list(notes(row))
    faults += [Fault(record.line, *note) for note in found_notes]
    return row if all(note.warning for note in found_notes) else None


def _cell(column: Column, cell: str, line: int, default: Any, faults: list[Fault]) -> Any:  # noqa: ANN401  as the column reads it
    """The value of one cell; a fault is noted and None comes back."""
    if not cell:
        if column.required:
            faults.append(Fault(line, column.name, "", "empty", f"Fill it in: {column.about}"))
        return default
    if not _CONTROL.isdisjoint(cell):
        faults.append(Fault(line, column.name, repr(cell)[:80], "holds a control character", "Remove it."))
        return None
    try:
        return column.read(cell)
    except UnfitError as unfit:
        faults.append(Fault(line, column.name, cell[:80], unfit.what, unfit.do))
        return None


# What changes


def _merged(
    table: Table, present: list[Any], incoming: list[tuple[int, Any]], report: Report, complete: date | None
) -> list[Any]:
    """The rows of the table after the import; the report is filled on the way."""
    groups: dict[Any, list[Any]] = {}
    for row in present:
        groups.setdefault(table.key_of(row), []).append(row)
    named: dict[Any, list[tuple[int, Any]]] = {}
    for line, row in incoming:
        named.setdefault(table.key_of(row), []).append((line, row))
    for key, rows in named.items():
        before = groups.get(key, [])
        after = _periods(before, rows, report)
        _compare(before, after, report)
        if after:
            groups[key] = after
    if complete is not None:
        _end_unnamed(groups, named, complete, report)
    return [row for rows in groups.values() for row in rows]


def _periods(before: list[Any], rows: list[tuple[int, Any]], report: Report) -> list[Any]:
    """The periods of one key with the file's rows taken in one by one; a row that fits in nowhere is rejected."""
    held = {row.valid_from: row for row in before}
    taken: dict[date, tuple[int, Any]] = {}
    for line, row in rows:
        earlier = taken.get(row.valid_from)
        if earlier is not None:
            if earlier[1] != row:
                _reject(report, line, row, f"contradicts line {earlier[0]}, which has the same key and first day")
            continue
        trial = held | {row.valid_from: row}
        clash = overlap(in_sequence(trial.values()))
        if clash is not None:
            period = (
                f"{clash.valid_from.isoformat()} to {'further notice' if clash.valid_to == OPEN else clash.valid_to}"
            )
            _reject(report, line, row, f"overlaps a row of the same key (here valid from {period})")
            continue
        held = trial
        taken[row.valid_from] = (line, row)
    return in_sequence(held.values())


def _reject(report: Report, line: int, row: Any, what: str) -> None:  # noqa: ANN401  any of the row types
    """Give a row that was read well back to its sender."""
    value = "" if row.valid_from == date.min else row.valid_from.isoformat()
    report.faults.append(Fault(line, "valid_from", value, what, "Keep one of the two, or correct their days."))
    columns = {column.name: column for column in COLUMNS[report.table]}
    columns |= {column.heading: column for column in COLUMNS[report.table]}
    cells = []
    for heading in report.headings:
        column = columns.get(heading) or columns.get(heading.lower())
        cells.append("" if column is None else _disarmed(column.write(getattr(row, column.name))))
    report.rejected[line] = cells


def _compare(before: list[Any], after: list[Any], report: Report) -> None:
    """Note what became of each period of one key."""
    earlier = {row.valid_from: row for row in before}
    for row in after:
        known = earlier.get(row.valid_from)
        if known is None:
            report.added.append(row)
        elif known == row:
            report.same += 1
        elif row.valid_to < known.valid_to and msgspec.structs.replace(row, valid_to=known.valid_to) == known:
            report.ended.append((known, row))
        else:
            report.changed.append((known, row))


def _end_unnamed(groups: dict[Any, list[Any]], named: dict[Any, Any], complete: date, report: Report) -> None:
    """End, the day before, every row that holds on the day of a complete list and that the list does not name."""
    for key, rows in groups.items():
        if key in named:
            continue
        for place, row in enumerate(rows):
            if row.valid_from < complete <= row.valid_to:
                rows[place] = msgspec.structs.replace(row, valid_to=day_before(complete))
                report.ended.append((row, rows[place]))
