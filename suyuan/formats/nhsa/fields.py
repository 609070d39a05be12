"""One row of a message, read field by field under any of its spellings; faults are noted on the way."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from suyuan.formats.decoding import to_json
from suyuan.formats.faults import MALFORMED, UnreadableError, fault, refusal
from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.times import instant, iso_date, last_day
from suyuan.formats.values import codes, flag, millionths, quantity, text
from suyuan.ledger.scan import Problem

ALIASES = {
    "fixmedins_hist_id": "fixmedins_hilist_id",
    "fixmedins_hist_name": "fixmedins_hilist_name",
    "medins_list_codg": "fixmedins_hilist_id",
    "prdr_name": "prodentp_name",
    "prodentpname": "prodentp_name",
    "drug_trac_code": "drug_trac_codg",
    "drugtraccodg": "drug_trac_codg",
}
"""Spellings seen (T30, T37); letter case never counts."""

FUNDS = {
    "310": "employee",
    "320": "employee",
    "330": "employee",
    "340": "employee",
    "350": "employee",
    "370": "employee",
    "510": "employee",
    "390": "resident",
    "391": "resident",
    "392": "resident",
    "380": "resident",
    "410": "work_injury",
}
"""insutype → fund (R22). 310 and 390 are seen; supplements count with their base; 410 is practice, not verified."""

GOODS_NODES = ("selinfo", "selinfodetail", "purcinfo", "purcinfodetail", "invinfo", "invinfodetail")
"""Any of them may hold the rows of any 35xx message (T32, T34)."""

_T = TypeVar("_T")


class Row:
    """One row. Each reading of a wrong value adds a problem; `refused` tells whether the row must stay out."""

    def __init__(self, values: dict[str, object], where: str, problems: list[Problem]) -> None:
        self.values = fold(values)
        self.where = where
        self.problems = problems
        self.refused = False

    def text(self, *names: str) -> str:
        """The first field that is filled, trimmed."""
        for name in names:
            value = self.values.get(name)
            if value is not None and (written := text(value)):
                return written
        return ""

    def required(self, name: str) -> str:
        """A field without which the row means nothing."""
        written = self.text(name)
        if not written:
            self._note("missing", name, "")
        return written

    def quantity(self, name: str) -> str:
        """A count as canonical decimal text; empty where none was given."""
        return self._read(name, quantity, "bad_number") or ""

    def money(self, name: str) -> int:
        """An amount in millionths of a yuan; 0 where none was given."""
        return self._read(name, millionths, "bad_number") or 0

    def count(self, name: str) -> int:
        """A whole number; −1 where none was given."""
        written = self.quantity(name)
        if not written:
            return -1
        if not written.isdigit():
            self._note("bad_number", name, written)
            return -1
        return int(written)

    def time(self, *names: str) -> int:
        """µs UTC of the first of these fields that is filled; 0 where none is."""
        return next((moment for name in names if (moment := self._read(name, instant, "bad_time"))), 0)

    def date(self, name: str, *, end: bool = False) -> str:
        """ISO date; empty where none was given or it cannot be read: clients invent dates, so that refuses nothing."""
        return self._read(name, last_day if end else iso_date, "bad_date") or ""

    def flag(self, name: str) -> bool:
        """A 0/1 flag, false where none was given."""
        return bool(self._read(name, flag, "bad_flag"))

    def references(self, **types: str | tuple[str, ...]) -> dict[str, str]:
        """Typed references (R3) from the fields that hold them; only those that are filled."""
        found = {kind: self.text(*((names,) if isinstance(names, str) else names)) for kind, names in types.items()}
        return {kind: written for kind, written in found.items() if written}

    def person(self, area: str) -> str:
        """`id:<type>:<number>` from the document, else `psn:<psn_no>@<insured area>`; never a name."""
        number = self.text("certno")
        if number:
            return f"id:{self.text('psn_cert_type') or '01'}:{number}"
        number = self.text("psn_no")
        return f"psn:{number}@{area}" if number else ""

    def prescriber(self) -> str:
        """`id:<type>:<number>` of the prescriber's document, else `name:<name>`."""
        number = self.text("prsc_dr_certno")
        if number:
            return f"id:{self.text('prsc_dr_cert_type') or '01'}:{number}"
        name = self.text("prsc_dr_name")
        return f"name:{name}" if name else ""

    def fund(self) -> str:
        """Which fund pays, as far as the row says."""
        if self.text("mdtrt_setl_type") == "2" or self.text("hi_feesetl_type") == "0":
            return "self_paid"
        return FUNDS.get(self.text("insutype"), "")

    def codes(self) -> list[tuple[str, str]]:
        """The row's trace codes as (where, code), from its trace node or else from the older flat field (T30, T31)."""
        found = trace_codes(self.values.get("drugtracinfo"), f"{self.where}.drugtracinfo", self.problems)
        if not found:
            place = f"{self.where}.drug_trac_codg"
            found = [(place, code) for code in codes(self.values.get("drug_trac_codg"), place, self.problems)]
        return found

    def _read(self, name: str, convert: Callable[[str], _T | None], wrong: str) -> _T | None:
        sent = self.values.get(name)
        written = text(sent) if sent is not None else ""
        if not written:
            return None
        value = convert(written)
        if value is None:
            self._note(wrong, name, written)
        return value

    def _note(self, name: str, field: str, value: str) -> None:
        problem = fault(name, f"{self.where}.{field}", value)
        self.problems.append(problem)
        self.refused = self.refused or problem.code == MALFORMED


def fold(values: dict[str, object]) -> dict[str, object]:
    """Field names in lower case and in one spelling; of two spellings of one field the filled one stays."""
    names = _KNOWN.get(tuple(values))
    if names is not None:
        return dict(zip(names, values.values(), strict=True))
    folded: dict[str, object] = {}
    for key, value in values.items():
        name = key.strip().lower()
        name = ALIASES.get(name, name)
        if name not in folded or not text(folded[name]):
            folded[name] = value
    if len(folded) == len(values):
        _remember(tuple(values), tuple(folded))
    return folded


_KNOWN: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Rows of fields seen before, as sent and in our spelling: a client writes all its rows alike."""

_KNOWN_MAX, _KNOWN_FIELDS_MAX = 1000, 200


def _remember(sent: tuple[str, ...], names: tuple[str, ...]) -> None:
    if len(sent) <= _KNOWN_FIELDS_MAX and sum(map(len, sent)) <= _KNOWN_FIELDS_MAX * 32:
        if len(_KNOWN) >= _KNOWN_MAX:
            _KNOWN.clear()
        _KNOWN[sent] = names


def trace_codes(node: object, where: str, problems: list[Problem]) -> list[tuple[str, str]]:
    """The codes of a trace node as (where, code): a list of objects, one object, texts, or a JSON string of these."""
    if isinstance(node, str) and node.strip()[:1] in {"[", "{"}:
        node = _decoded(node)
    if not isinstance(node, list):
        members = [(where, node)]
    else:
        members = [(f"{where}[{index}]", member) for index, member in enumerate(node)]
    found: list[tuple[str, str]] = []
    for place, member in members:
        value = fold(member).get("drug_trac_codg") if isinstance(member, dict) else member
        found.extend((place, code) for code in codes(value, place, problems))
    return found


def rows_of(envelope: Envelope, names: Iterable[str], problems: list[Problem]) -> list[Row]:
    """The rows under the first of the nodes that is there: an object, a list, or a JSON string of either (T32, T36).

    Empty rows are passed over (T33). Raises UnreadableError where no row is found at all.
    """
    wanted = tuple(names)
    present = {key.strip().lower(): key for key in envelope.input}
    for name in wanted:
        if name not in present:
            continue
        rows = list(_rows(envelope.input[present[name]], present[name], problems))
        if rows or problems:
            return rows
    raise UnreadableError(refusal("no_rows", f"input.{wanted[0]}"))


def _rows(node: object, where: str, problems: list[Problem]) -> Iterator[Row]:
    if isinstance(node, str):
        node = _decoded(node)
    if isinstance(node, dict):
        if node:
            yield Row(node, where, problems)
        return
    for index, member in enumerate(node if isinstance(node, list) else []):
        place = f"{where}[{index}]"
        if isinstance(member, dict):
            if member:
                yield Row(member, place, problems)
        else:
            problems.append(fault("not_a_row", place, member))


def _decoded(written: str) -> object:
    """A JSON value inside a string; the string itself where it is none."""
    try:
        return to_json(written.encode())
    except UnreadableError:
        return written
