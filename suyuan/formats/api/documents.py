"""Bodies of our own JSON read into documents: good lines go in, bad lines are named and stay out."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args

import msgspec

from suyuan.formats.api import models
from suyuan.formats.document import Document, Record
from suyuan.formats.faults import MALFORMED, fault
from suyuan.formats.times import instant, iso_date
from suyuan.formats.values import codes, millionths, quantity
from suyuan.ledger.events import Kind
from suyuan.ledger.scan import Problem, Scan
from suyuan.settlement.claim import Claim, ClaimCode, ClaimLine, FeeLine, Undo

# The same few amounts, counts and days stand on line after line: reading them again costs more than all the rest.
_millionths = lru_cache(50_000)(millionths)
_quantity = lru_cache(5_000)(quantity)
_iso_date = lru_cache(10_000)(iso_date)


class _Values:
    """The values of one line, read one by one; faults are noted on the way."""

    def __init__(self, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        self.refused = False

    def note(self, name: str, field: str, value: object = "") -> None:
        """A fault of a field; a grave one keeps the line out."""
        problem = fault(name, f"{self.where}.{field}" if self.where else field, value)
        self.problems.append(problem)
        self.refused = self.refused or problem.code == MALFORMED

    def time(self, written: str, field: str = "time") -> int:
        """µs UTC; 0 where nothing was written."""
        if not written:
            return 0
        value = instant(written.strip())
        if value is None:
            self.note("bad_time", field, written)
        return value or 0

    def money(self, written: str, field: str) -> int:
        """Millionths of a yuan."""
        if not written:
            return 0
        value = _millionths(written.strip())
        if value is None:
            self.note("bad_number", field, written)
        return value or 0

    def count(self, written: str, empty: str = "1") -> str:
        """A count as canonical decimal text."""
        if not written:
            return empty
        value = _quantity(written.strip())
        if value is None:
            self.note("bad_number", "quantity", written)
        return value or empty

    def date(self, written: str, field: str, *, end: bool = False) -> str:
        """ISO date; one that cannot be read is left out, as with every other sender."""
        value = _iso_date(written.strip(), end=end) if written else ""
        if value is None:
            self.note("bad_date", field, written)
        return value or ""

    def code(self, written: str, field: str = "code") -> str:
        """One code; several joined in one field are no code here."""
        place = f"{self.where}.{field}" if self.where else field
        before = len(self.problems)
        found = codes(written, place, self.problems)
        if len(found) == 1:
            return found[0]
        if len(self.problems) == before:
            self.note("missing" if not found else "bad_text", field, written)
        self.refused = True
        return ""


def _references(given: models.References) -> dict[str, str]:
    return {name: value for name in _NUMBERS if (value := getattr(given, name).strip())}


_NUMBERS = models.References.__struct_fields__


DIGITS = 20
"""Length of the codes that nearly all boxes carry: nothing more need be asked of such a text here."""
LASTING = frozenset({"settlement", "order", "visit", "original", "delivery", "bill"})
"""Numbers that name a fact for ever. A receipt restarts daily: with it, or with none of them, the time says which."""


def _time_said(values: _Values, references: dict[str, str], time: int) -> None:
    """Sent again tomorrow, the same fact must be known as the same: by a number, or by the time when it happened."""
    if not time and not values.refused and LASTING.isdisjoint(references):
        values.note("missing", "time")


def _person(given: models.Person | None) -> str:
    if given is None:
        return ""
    if given.document_number.strip():
        return f"id:{given.document_type}:{given.document_number.strip()}"
    number = given.insured_number.strip()
    return f"psn:{number}@{given.insured_area}" if number else ""


def _prescriber(given: models.Prescriber | None) -> str:
    if given is None:
        return ""
    if given.document_number.strip():
        return f"id:{given.document_type}:{given.document_number.strip()}"
    return f"name:{given.name.strip()}" if given.name.strip() else ""


def _scan(row: models.ScanLine, where: str, problems: list[Problem]) -> list[Record]:
    values = _Values(where, problems)
    references, time = _references(row.references), values.time(row.time)
    _time_said(values, references, time)
    scan = Scan(
        kind=row.kind,
        code=values.code(row.code),
        where=where,
        event_time=time,
        references=references,
        line=row.line,
        product=row.product,
        item=row.item,
        quantity=values.count(row.quantity),
        price=values.money(row.price, "price"),
        lot=row.lot,
        expiry=values.date(row.expiry, "expiry", end=True),
        made=values.date(row.made, "made"),
        counterparty=row.counterparty,
        place=row.place,
        reason=row.reason,
    )
    return [] if values.refused else [scan]


def _sold(sale: models.Sale, where: str, problems: list[Problem]) -> list[Record]:
    return _sale(sale, where, problems, "sold")


def _returned(sale: models.Sale, where: str, problems: list[Problem]) -> list[Record]:
    return _sale(sale, where, problems, "returned")


def _sale(sale: models.Sale, where: str, problems: list[Problem], kind: Kind) -> list[Record]:
    values = _Values(where, problems)
    references, time = _references(sale.references), values.time(sale.time)
    _time_said(values, references, time)
    if values.refused:
        return []
    said = Scan(
        kind=kind,
        code="",
        where=where,
        event_time=time,
        references=references,
        person=_person(sale.person),
        prescriber=_prescriber(sale.prescriber),
        fund=sale.fund,
    )
    records: list[Record] = []
    for index, line in enumerate(sale.lines):
        if isinstance(line, models.SaleLine):
            _sale_line(line, f"{where}.lines[{index}]", said, problems, records)
    return records


def _sale_line(line: models.SaleLine, where: str, said: Scan, problems: list[Problem], records: list[Record]) -> None:
    """Add the scans of one line; `said` is what the receipt says of all its lines, and is copied: that costs least."""
    values = _Values(where, problems)
    scan = copy(said)
    scan.where, scan.line, scan.product, scan.item = where, line.line, line.product, line.item
    scan.split, scan.lot, scan.no_code = line.split, line.lot, line.no_code
    if line.quantity != "1":
        scan.quantity = values.count(line.quantity)
    if line.price:
        scan.price = values.money(line.price, "price")
    if line.amount:
        scan.amount = values.money(line.amount, "amount")
    if line.expiry:
        scan.expiry = values.date(line.expiry, "expiry", end=True)
    if line.made:
        scan.made = values.date(line.made, "made")
    if not line.codes and not (line.product or line.item):
        values.note("nothing_named", "product")
    if values.refused:
        return
    if not line.codes:
        records.append(scan)
    records += _coded(scan, line.codes, problems)


def _coded(scan: Scan, written: Sequence[str], problems: list[Problem]) -> Iterator[Scan]:
    """The scan of a line for each of its codes."""
    line = scan.where
    for index, text in enumerate(written):
        where = f"{line}.codes[{index}]"
        for code in _codes(text, where, problems):
            coded = copy(scan)
            coded.code, coded.where = code, where
            yield coded


def _codes(written: str, place: str, problems: list[Problem]) -> Sequence[str]:
    """The codes in one text; what is none is named, never dropped."""
    if len(written) == DIGITS and written.isascii() and written.isdigit():
        return (written,)
    before = len(problems)
    found = codes(written, place, problems)
    if not found and len(problems) == before:
        problems.append(fault("missing", place))
    return found


def _package(row: models.PackageLine, where: str, problems: list[Problem]) -> list[Record]:
    values = _Values(where, problems)
    parent = values.code(row.parent, "parent")
    children: list[str] = []
    for index, written in enumerate(row.children):
        child = _Values(f"{where}.children[{index}]", problems)
        children.append(child.code(written, ""))
        values.refused = values.refused or child.refused
    if row.action == "packed" and not children:
        values.note("missing", "children")
    references, time = _references(row.references), values.time(row.time)
    _time_said(values, references, time)
    if values.refused:
        return []
    return [
        Scan(
            kind=row.action,
            code=parent,
            where=where,
            event_time=time,
            references=references,
            place=row.place,
            children=tuple(children),
        )
    ]


def _fee_line(row: models.FeeUploadLine, where: str, problems: list[Problem]) -> list[Record]:
    values = _Values(where, problems)
    line = FeeLine(
        line=row.line,
        where=where,
        references=_references(row.references),
        product=row.product,
        item=row.item,
        quantity=values.count(row.quantity, ""),
        price=values.money(row.price, "price"),
        amount=values.money(row.amount, "amount"),
        event_time=values.time(row.time),
    )
    if not line.references.keys() & {"visit", "order", "receipt"}:
        values.note("missing", "references.visit")
    return [] if values.refused else [line]


def _set(row: models.Order, where: str, problems: list[Problem]) -> list[Record]:
    return _order(row, where, problems, "hold_set")


def _lifted(row: models.Order, where: str, problems: list[Problem]) -> list[Record]:
    return _order(row, where, problems, "hold_lifted")


def _order(row: models.Order, where: str, problems: list[Problem], kind: Kind) -> list[Record]:
    values = _Values(where, problems)
    code, time = values.code(row.code), values.time(row.time)
    if row.scope == "batch" and not row.lot:
        values.note("missing", "lot")
    if values.refused:
        return []
    references = {"bill": row.reference} if row.reference else {}
    return [
        Scan(
            kind=kind,
            code=code,
            where=where,
            event_time=time,
            references=references,
            lot=row.lot,
            reason=row.reason,
            scope=row.scope,
        )
    ]


def _prescription(row: models.Prescription, where: str, problems: list[Problem]) -> list[Record]:
    """One record a medicine; its line carries the prescription's number, so that no two are taken for one another."""
    values = _Values(where, problems)
    time = values.time(row.time)
    if not time:
        values.note("missing", "time")
    if values.refused:
        return []
    references = {"prescription": row.number} | ({"visit": row.visit} if row.visit else {})
    person, prescriber = _person(row.person), _prescriber(row.prescriber)
    return [
        Scan(
            kind="prescribed",
            code="",
            where=f"{where}.lines[{index}]",
            event_time=time,
            references=references,
            line=f"{row.number}/{line.line or index + 1}",
            product=line.product,
            quantity=str(line.quantity),
            person=person,
            prescriber=prescriber,
        )
        for index, line in enumerate(row.lines)
    ]


class Shape(NamedTuple):
    """One kind of body that holds rows."""

    name: str
    model: type[Any]
    rows: str
    row: type[Any]
    records: Callable[[Any, str, list[Problem]], list[Record]]
    inner: str = ""
    """Field of a row that holds lines of their own."""
    line: type[Any] | None = None


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("scans", models.ScansUpload, "scans", models.ScanLine, _scan),
        Shape("sales", models.SalesUpload, "sales", models.Sale, _sold, "lines", models.SaleLine),
        Shape("returns", models.ReturnsUpload, "returns", models.Sale, _returned, "lines", models.SaleLine),
        Shape("packages", models.PackagesUpload, "packages", models.PackageLine, _package),
        Shape("fee_lines", models.FeesUpload, "fee_lines", models.FeeUploadLine, _fee_line),
        Shape("holds", models.OrdersUpload, "orders", models.Order, _set),
        Shape("lifts", models.OrdersUpload, "orders", models.Order, _lifted),
        Shape("prescriptions", models.PrescriptionsUpload, "prescriptions", models.Prescription, _prescription),
    )
}
"""By the name of the address that takes it."""


def _loosened(model: type[Any], field: str) -> type[Any]:
    """The same struct, with the members of one list left as they are written."""
    fields: list[Any] = []
    for one in msgspec.structs.fields(model):
        kind: Any = one.type
        if one.name == field:
            kind = Annotated[list[msgspec.Raw], *get_args(one.type)[1:]]
        if one.required:
            fields.append((one.name, kind))
        elif one.default_factory is not msgspec.NODEFAULT:
            fields.append((one.name, kind, msgspec.field(default_factory=one.default_factory)))
        else:
            fields.append((one.name, kind, one.default))
    return msgspec.defstruct(f"Loose{model.__name__}", fields, forbid_unknown_fields=True, kw_only=True)


_WHOLE = {name: msgspec.json.Decoder(shape.model) for name, shape in SHAPES.items()}
_LOOSE = {name: msgspec.json.Decoder(_loosened(shape.model, shape.rows)) for name, shape in SHAPES.items()}
_LOOSE_ROW = {
    name: msgspec.json.Decoder(_loosened(shape.row, shape.inner)) for name, shape in SHAPES.items() if shape.inner
}


def read(name: str, raw: bytes) -> Document:
    """The body of an upload of one of `SHAPES`. Lines that cannot be used stay out and are named in `problems`.

    Raises:
        msgspec.ValidationError: what is around the lines cannot be used.
        msgspec.DecodeError: it is no JSON; RecursionError where it is nested too deeply.
    """
    shape = SHAPES[name]
    problems: list[Problem] = []
    records: list[Record] = []
    try:
        body = _WHOLE[name].decode(raw)
        loose = False
    except msgspec.ValidationError:
        body = _LOOSE[name].decode(raw)
        loose = True
    for index, member in enumerate(getattr(body, shape.rows)):
        where = f"{shape.rows}[{index}]"
        row = _row(shape, member, where, problems) if loose else member
        if row is not None:
            records += shape.records(row, where, problems)
    return _document(name, body, raw, records, problems)


def _row(shape: Shape, member: msgspec.Raw, where: str, problems: list[Problem]) -> Any:  # noqa: ANN401  of its shape
    """One row by itself; None, and a problem, where it cannot be used. Of a row with lines only the bad ones go."""
    try:
        return msgspec.json.decode(member, type=shape.row)
    except msgspec.ValidationError as error:
        if shape.line is None:
            problems.append(_unusable(where, error))
            return None
    try:
        row = _LOOSE_ROW[shape.name].decode(member)
    except msgspec.ValidationError as error:
        problems.append(_unusable(where, error))
        return None
    lines = [
        _line(shape.line, line, f"{where}.{shape.inner}[{index}]", problems)
        for index, line in enumerate(getattr(row, shape.inner))
    ]
    setattr(row, shape.inner, lines)
    return row


def _line(kind: type[Any], member: msgspec.Raw, where: str, problems: list[Problem]) -> Any:  # noqa: ANN401  of its kind
    try:
        return msgspec.json.decode(member, type=kind)
    except msgspec.ValidationError as error:
        problems.append(_unusable(where, error))
        return None


def _unusable(where: str, error: msgspec.ValidationError) -> Problem:
    what, _, path = str(error).partition(" - at `$")
    return fault("wrong_field", where + path.rstrip("`"), what)


# Claims


_CLAIM = msgspec.json.Decoder(models.ClaimUpload)
_CANCEL = msgspec.json.Decoder(models.Cancel)
_REVERSAL = msgspec.json.Decoder(models.Reversal)


def read_claim(raw: bytes, *, advice: bool) -> Document:
    """A claim, or the same as a question that changes nothing. A fault anywhere is in `problems`: then it cannot pass.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError, RecursionError: as for `read`.
    """
    body = _CLAIM.decode(raw)
    problems: list[Problem] = []
    values = _Values("", problems)
    references = _references(body.references)
    time = values.time(body.time)
    if not references.keys() & {"order", "visit", "receipt"}:
        values.note("missing", "references.order")
    elif not time and not references.keys() & {"order", "visit"}:
        values.note("missing", "time")
    claim = Claim(
        setting=body.setting,
        advice=advice,
        references=references,
        event_time=time,
        person=_person(body.person),
        insured_area=body.insured_area,
        fund=body.fund,
        amount=values.money(body.amount, "amount"),
        expected_drug=body.expected_drugs,
        expected_consumable=body.expected_consumables,
        lines=[_claim_line(line, f"lines[{index}]", problems) for index, line in enumerate(body.lines)],
    )
    return _document("advice" if advice else "claims", body, raw, [claim], problems)


def _claim_line(row: models.ClaimUploadLine, where: str, problems: list[Problem]) -> ClaimLine:
    values = _Values(where, problems)
    found: list[ClaimCode] = []
    for index, given in enumerate(row.codes):
        place = f"{where}.codes[{index}]"
        code = _Values(place, problems).code(given.code)
        found.append(ClaimCode(code=code, where=place, split=given.split))
    return ClaimLine(
        line=row.line,
        where=where,
        product=row.product,
        item=row.item,
        quantity=values.count(row.quantity, ""),
        price=values.money(row.price, "price"),
        amount=values.money(row.amount, "amount"),
        codes=found,
        no_code=row.no_code,
    )


def read_cancel(raw: bytes, settlement: str) -> Document:
    """The body of a cancel; nothing at all is a body as well.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError, RecursionError: as for `read`.
    """
    body = _CANCEL.decode(raw) if raw.strip() else models.Cancel()
    problems: list[Problem] = []
    time = _Values("", problems).time(body.time)
    undo = Undo(kind="cancelled", where="settlement", references={"settlement": settlement}, event_time=time)
    # What is cancelled stands in the address: without it two cancels would be one and the same message.
    whole = msgspec.json.encode({"settlement": settlement, "cancel": msgspec.to_builtins(body)})
    return _document("cancels", body, whole, [undo], problems)


def read_reversal(raw: bytes) -> Document:
    """The body of a reversal.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError, RecursionError: as for `read`.
    """
    body = _REVERSAL.decode(raw)
    problems: list[Problem] = []
    time = _Values("", problems).time(body.time)
    references = {"message": body.original_id, "transaction": body.transaction.strip() or "claims"}
    undo = Undo(kind="reversed", where="original_id", references=references, event_time=time)
    return _document("reversals", body, raw, [undo], problems)


TRANSACTIONS = (*SHAPES, "claims", "cancels", "reversals")
"""What an upload by our own JSON can be: with institution and id it names the message (`infno` of the document)."""


def _document(
    name: str,
    body: Any,  # noqa: ANN401  any of the models
    raw: bytes,
    records: list[Record],
    problems: list[Problem],
) -> Document:
    return Document(
        format="api",
        infno=name,
        msgid=body.id.strip(),
        institution=body.institution.strip(),
        raw=raw,
        records=records,
        problems=problems,
    )
