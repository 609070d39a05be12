"""Columns of text turned into records, a whole column at a time; a bad value keeps only its own line out."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Literal, cast

import msgspec

from suyuan.formats.columns import BY_NAME, COLUMNS, SCANNED, UNDONE, kind_of
from suyuan.formats.document import Record
from suyuan.formats.faults import FAULT, NOTE, fault
from suyuan.formats.times import instants, iso_date
from suyuan.formats.values import CODE_CHARACTERS_MAX, codes, flag, is_scientific, millionths, quantity
from suyuan.ledger.events import Kind
from suyuan.ledger.scan import Problem, Scan
from suyuan.settlement.claim import FeeLine, Undo


class Lines(msgspec.Struct):
    """Lines that could be taken apart: their numbers, and their fields column by column, trimmed."""

    numbers: Sequence[int]
    columns: dict[str, list[str]]
    children: dict[int, tuple[str, ...]] = {}
    """Children given as a JSON list, by position."""


_REFERENCES = tuple(column.name for column in COLUMNS if column.form == "reference")
_PLAIN = tuple(
    column.name
    for column in COLUMNS
    if column.form not in {"kind", "code", "time", "reference"} and column.name != "data_type"
)
"""Columns that fill the scan's field of the same name; the others are given at once."""

_SCANNED = frozenset(SCANNED)
_SCOPES = frozenset({"code", "batch", "product"})
_EMPTY: dict[str, object] = {"quantity": "1", "children": ()}
"""What an empty field means where it is not an empty text."""
_JOINED_CHARACTERS = 41
"""Two 20-digit codes and a comma: shorter fields hold one code."""


def _children(written: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in written.split(";"))))


_CONVERT: dict[str, tuple[Callable[[str], object], str]] = {
    "date": (iso_date, "bad_date"),
    "expiry": (partial(iso_date, end=True), "bad_date"),
    "count": (quantity, "bad_number"),
    "money": (millionths, "bad_number"),
    "flag": (flag, "bad_flag"),
    "codes": (_children, "bad_text"),
}
"""How a form is read, and the fault where it cannot be; other forms are kept as text."""


class _Bad:
    """Which lines stay out, and why."""

    def __init__(self, where: list[str], problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        self.positions: set[int] = set()

    def add(self, position: int, name: str, value: object = "") -> None:
        """Note a fault of a line; a grave one keeps the line out."""
        self.problems.append(fault(name, self.where[position], value))
        if FAULT[name].code != NOTE:
            self.positions.add(position)


def records_of(lines: Lines, default: str, problems: list[Problem]) -> tuple[list[Record], set[str]]:
    """The records of the lines that can be taken, in their order, and the kinds among them.

    `default` is the kind of a line that names none. Every line left out has its problem.
    """
    size = len(lines.numbers)
    where = list(map(str, lines.numbers))
    bad = _Bad(where, problems)
    values = {name: _values(name, column, bad) for name, column in lines.columns.items()}
    for position, given in lines.children.items():
        values["children"][position] = given
    kinds = _kinds(lines.columns.get("kind") or [""] * size, default, bad)
    scan_codes = lines.columns.get("code") or [""] * size
    _check_codes(scan_codes, bad)
    scans = [
        Scan(kind=kind, code=code, where=place, event_time=time, references=references)
        for kind, code, place, time, references in zip(
            cast("list[Kind]", kinds),
            scan_codes,
            where,
            cast("Iterable[int]", values.get("event_time") or repeat(0, size)),
            _references(lines.columns, size),
            strict=True,
        )
    ]
    for name in _PLAIN:
        if name in values:
            deque(map(setattr, scans, repeat(name), values[name]), maxlen=0)
    named = set(kinds)
    _check_lines(scans, named, bad, empty="" in scan_codes)
    found = named - {""}
    if not bad.positions and found <= _SCANNED and max(map(len, scan_codes), default=0) < _JOINED_CHARACTERS:
        return cast("list[Record]", scans), found
    data_types = lines.columns.get("data_type") or [""] * size
    return [
        record
        for position, scan in enumerate(scans)
        if position not in bad.positions
        for record in _one_line(scan, data_types[position], problems)
    ], found


def _values(name: str, column: list[str], bad: _Bad) -> list[object]:
    """A column in its own form. Equal texts are read once, times by their own memory."""
    form = BY_NAME[name].form
    if form == "time":
        wrong, values = "bad_time", cast("list[object]", instants(column))
    elif form not in _CONVERT:
        return cast("list[object]", column)
    else:
        convert, wrong = _CONVERT[form]
        known = {written: convert(written) for written in set(column)}
        if "" in known:
            known[""] = _EMPTY.get(name, convert("0") if form in {"money", "flag"} else "")
        values = list(map(known.__getitem__, column))
    if None in values:
        for position, value in enumerate(values):
            if value is None:
                bad.add(position, wrong, column[position])
                values[position] = _EMPTY.get(name, "")
    return values


def _kinds(column: list[str], default: str, bad: _Bad) -> list[str]:
    known = {written: kind_of(written) if written else default for written in set(column)}
    kinds = [known[written] for written in column]
    if "" in known.values() or "claimed" in known.values():
        for position, kind in enumerate(kinds):
            if kind == "claimed":
                bad.add(position, "claim_in_table")
            elif not kind:
                bad.add(position, "unknown_kind" if column[position] else "no_kind", column[position])
    return kinds


def _references(columns: dict[str, list[str]], size: int) -> list[dict[str, str]]:
    names = [name for name in _REFERENCES if name in columns]
    if not names:
        return [{} for _ in range(size)]
    if len(names) == 1:
        name = names[0]
        return [{name: written} if written else {} for written in columns[name]]
    return [
        {name: written for name, written in zip(names, row, strict=True) if written}
        for row in zip(*(columns[name] for name in names), strict=True)
    ]


def _check_codes(column: list[str], bad: _Bad) -> None:
    """What is surely no code: a number in scientific notation, or a text beyond any code's length."""
    joined = "\n".join(column)
    if "E+" in joined or "e+" in joined:
        for position, code in enumerate(column):
            if is_scientific(code):
                bad.add(position, "scientific_code", code)
    if max(map(len, column), default=0) > CODE_CHARACTERS_MAX:
        for position, code in enumerate(column):
            if len(code) > CODE_CHARACTERS_MAX:
                bad.add(position, "code_too_long", code)


_NEEDS: dict[str, tuple[Callable[[Scan], object], str]] = {
    "packed": (lambda scan: scan.parent, "no_parent"),
    "hold_set": (lambda scan: scan.scope in _SCOPES, "no_scope"),
    "hold_lifted": (lambda scan: scan.scope in _SCOPES, "no_scope"),
    "fee_line": (lambda scan: scan.line, "no_line"),
}
"""What a kind needs beside its code, and the fault where it is not there."""


def _check_lines(scans: list[Scan], kinds: set[str], bad: _Bad, *, empty: bool) -> None:
    """Lines that lack what their kind needs; `empty` says that some have no code. What does not occur costs nothing."""
    for position, scan in enumerate(scans) if empty else ():
        if not scan.code and scan.kind in _SCANNED:
            if scan.children:
                scan.code = scan.parent
            elif not (scan.product or scan.item or scan.lot):
                bad.add(position, "nothing_named")
    for kind in sorted(kinds & _NEEDS.keys()):
        has_it, wrong = _NEEDS[kind]
        for position, scan in enumerate(scans):
            if scan.kind == kind and not has_it(scan):
                bad.add(position, wrong)


def _one_line(scan: Scan, data_type: str, problems: list[Problem]) -> list[Record]:
    """The records of one line where not every line is a plain scan: several codes, a fee line, an undo."""
    if scan.kind == "fee_line":
        return [
            FeeLine(
                line=scan.line,
                where=scan.where,
                references=scan.references,
                product=scan.product,
                item=scan.item,
                quantity=scan.quantity,
                price=scan.price,
                amount=scan.amount,
                event_time=scan.event_time,
            )
        ]
    if scan.kind in UNDONE:
        filled = {**scan.references, "data_type": data_type}
        missing = [name for name in UNDONE[scan.kind] if not filled.get(name)]
        if missing:
            problems.append(fault("no_reference", scan.where, ", ".join(missing)))
            return []
        return [
            Undo(
                kind=cast("Literal['cancelled', 'reversed', 'corrected']", scan.kind),
                where=scan.where,
                references=scan.references,
                data_type=data_type,
                person=scan.person,
                event_time=scan.event_time,
            )
        ]
    joined = codes(scan.code, scan.where, problems)
    return [scan] if len(joined) <= 1 else [msgspec.structs.replace(scan, code=code) for code in joined]
