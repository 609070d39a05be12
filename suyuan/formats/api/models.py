"""The JSON of our own uploads, described field by field: developers write it, the OpenAPI document is made of it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LINES_MAX = 10_000
"""Lines of one request: what a counter, a warehouse gate or a nightly batch of a shop sends at once."""
SALES_MAX = 2_000
CODES_MAX = 2_000


_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
_DATE = r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?"
_DECIMAL = r"[0-9]{1,12}(\.[0-9]{1,8})?"


def _published(pattern: str, *examples: str) -> dict[str, object]:
    """What the schema says beyond the length: a pattern is published and not checked.

    A regular expression for each text would cost more than all other decoding; the value itself is read afterwards.
    """
    said: dict[str, object] = {"examples": list(examples)}
    return said | ({"pattern": f"^({pattern})?$"} if pattern else {})


Code = Annotated[
    str,
    Meta(
        max_length=500,
        description="The trace code as it was scanned or typed, in any code system; separators of GS1 may be kept.",
        extra_json_schema=_published("", "81234560000000000001"),
    ),
]
Moment = Annotated[
    str,
    Meta(
        max_length=40,
        description="A moment; without a zone it is China's time (+08:00). Needed where no lasting number (settlement, "
        "order, visit, original, delivery, bill) names the fact: receipts restart daily.",
        extra_json_schema=_published(_MOMENT, "2026-03-09T10:00:00+08:00"),
    ),
]
Date = Annotated[
    str,
    Meta(
        max_length=10,
        description="A day, or a month, which means its last day.",
        extra_json_schema=_published(_DATE, "2027-06-30"),
    ),
]
Money = Annotated[
    str, Meta(max_length=22, description="Yuan, as a decimal text.", extra_json_schema=_published(_DECIMAL, "13.80"))
]
Quantity = Annotated[
    str,
    Meta(
        max_length=22,
        description="A count in the smallest priced unit, as a decimal text.",
        extra_json_schema=_published(_DECIMAL, "1"),
    ),
]
Name = Annotated[
    str,
    Meta(max_length=64, description="A number or code as the sender knows it.", extra_json_schema=_published("", "1")),
]
Party = Annotated[
    str,
    Meta(
        max_length=40, description="Code of an institution or firm.", extra_json_schema=_published("", "P44010000001")
    ),
]
Product = Annotated[
    str,
    Meta(
        max_length=40,
        description="Product code of the national insurer (med_list_codg).",
        extra_json_schema=_published("", "XB05BAF058B002010102345"),
    ),
]
Words = Annotated[str, Meta(max_length=200, description="Words for people.", extra_json_schema=_published("", "破损"))]
Id = Annotated[
    str,
    Meta(
        max_length=64,
        description="The sender's own id of this upload: sent again it finds its first answer, and "
        "GET /api/v1/outcomes finds it too. The header Idempotency-Key says the same.",
        extra_json_schema=_published("", "till-7-20260309-000123"),
    ),
]
NoCode = Literal["", "legacy", "exempt", "unreadable", "virtual"]
Fund = Literal["", "employee", "resident", "work_injury", "self_paid"]
Movement = Literal["produced", "shipped", "received", "refused", "counted", "changed", "exited"]


class References(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Typed numbers of the business. With line and code they say which fact this is; a receipt counts with its day."""

    settlement: Name = ""
    order: Name = ""
    visit: Name = ""
    receipt: Name = ""
    original: Name = ""
    delivery: Name = ""
    bill: Name = ""
    batch: Name = ""
    invoice: Name = ""
    prescription: Name = ""
    prescription_issuer: Party = ""
    """Institution that issued the prescription, where it is another one."""


class Person(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The insured person. A keyed pseudonym takes its place before anything is stored."""

    document_type: Annotated[str, Meta(max_length=10, description="01 is the identity card.")] = "01"
    document_number: Annotated[str, Meta(max_length=40)] = ""
    insured_number: Annotated[str, Meta(max_length=40, description="psn_no, where there is no document.")] = ""
    insured_area: Annotated[str, Meta(max_length=6, description="Division code of the insured place.")] = ""


class Prescriber(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Who prescribed. Becomes a pseudonym that firms, institutions and citizens never see."""

    document_type: Annotated[str, Meta(max_length=10)] = "01"
    document_number: Annotated[str, Meta(max_length=40)] = ""
    name: Annotated[str, Meta(max_length=40)] = ""


class ScanLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One movement of one package; a carton moves with all that is in it."""

    kind: Annotated[Movement, Meta(description="What happened.")]
    code: Code
    time: Moment = ""
    references: References = msgspec.field(default_factory=References)
    line: Name = ""
    product: Product = ""
    item: Name = ""
    quantity: Quantity = "1"
    lot: Name = ""
    expiry: Date = ""
    made: Date = ""
    price: Money = ""
    counterparty: Party = ""
    place: Name = ""
    reason: Words = ""


class ScansUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Movements of packages: produced, shipped, received, refused, counted, changed, exited."""

    scans: Annotated[list[ScanLine], Meta(min_length=1, max_length=LINES_MAX)]
    id: Id = ""
    institution: Party = ""
    """For whom this is said; the caller itself where it is left out."""


class SaleCode(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One code of a line that is not like the others of its line."""

    code: Code
    split: bool = False
    """True where the pack was opened and only a part of it handed out."""


class SaleLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One line of a receipt with its codes."""

    codes: Annotated[list[Code], Meta(max_length=CODES_MAX)] = []
    line: Name = ""
    product: Product = ""
    item: Name = ""
    quantity: Quantity = "1"
    split: bool = False
    """True where the packs were opened and only a part of them handed out."""
    price: Money = ""
    amount: Money = ""
    lot: Name = ""
    expiry: Date = ""
    made: Date = ""
    no_code: NoCode = ""
    """Why the line has no code, where it has none."""


class Sale(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One receipt: to whom, when, under which numbers, and its lines."""

    lines: Annotated[list[SaleLine], Meta(min_length=1, max_length=CODES_MAX)]
    time: Moment = ""
    references: References = msgspec.field(default_factory=References)
    person: Person | None = None
    prescriber: Prescriber | None = None
    fund: Fund = ""


class SalesUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Sales as they were handed out at the counter or the ward."""

    sales: Annotated[list[Sale], Meta(min_length=1, max_length=SALES_MAX)]
    id: Id = ""
    institution: Party = ""


class ReturnsUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Boxes that customers gave back. `references.original` or the sale's own numbers say which sale it was."""

    returns: Annotated[list[Sale], Meta(min_length=1, max_length=SALES_MAX)]
    id: Id = ""
    institution: Party = ""


class PackageLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A carton was packed with these children, or these were taken out of it; without children it was emptied."""

    action: Literal["packed", "unpacked"]
    parent: Code
    children: Annotated[list[Code], Meta(max_length=LINES_MAX)] = []
    time: Moment = ""
    references: References = msgspec.field(default_factory=References)
    place: Name = ""


class PackagesUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Cartons and what is in them."""

    packages: Annotated[list[PackageLine], Meta(min_length=1, max_length=LINES_MAX)]
    id: Id = ""
    institution: Party = ""


class ClaimUploadLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One fee line with its codes."""

    line: Annotated[str, Meta(min_length=1, max_length=64, description="Number of the fee line (feedetl_sn).")]
    product: Product = ""
    item: Name = ""
    quantity: Quantity = ""
    price: Money = ""
    amount: Money = ""
    codes: Annotated[list[SaleCode], Meta(max_length=CODES_MAX)] = []
    no_code: NoCode = ""


class ClaimUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request to the fund to pay, whole: it passes or fails as one."""

    setting: Literal["pharmacy", "outpatient", "inpatient"]
    references: References
    """order, visit or receipt: by this number the claim is found again, and is never paid twice."""
    lines: Annotated[list[ClaimUploadLine], Meta(max_length=CODES_MAX)] = []
    time: Moment = ""
    person: Person | None = None
    insured_area: Annotated[str, Meta(max_length=6)] = ""
    fund: Fund = ""
    amount: Money = ""
    expected_drugs: Annotated[
        int, Meta(ge=-1, le=1_000_000, description="Codes of drugs to expect; −1 if unknown.")
    ] = -1
    expected_consumables: Annotated[int, Meta(ge=-1, le=1_000_000)] = -1
    id: Id = ""
    institution: Party = ""


class Cancel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Takes a settlement back; exactly its codes are free again."""

    time: Moment = ""
    id: Id = ""
    institution: Party = ""


class Reversal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Takes back whatever an upload with this id settled; may come before it, and then keeps it from settling."""

    original_id: Annotated[str, Meta(min_length=1, max_length=64)]
    transaction: Annotated[
        str, Meta(max_length=20, description="`claims` for claims sent here, or the number of an NHSA transaction.")
    ] = "claims"
    time: Moment = ""
    id: Id = ""
    institution: Party = ""


class FeeUploadLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which product a fee line is."""

    line: Annotated[str, Meta(min_length=1, max_length=64)]
    references: References
    product: Product = ""
    item: Name = ""
    quantity: Quantity = ""
    price: Money = ""
    amount: Money = ""
    time: Moment = ""


class FeesUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Fee lines ahead of their settlement."""

    fee_lines: Annotated[list[FeeUploadLine], Meta(min_length=1, max_length=LINES_MAX)]
    id: Id = ""
    institution: Party = ""


class Order(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A recall, stop or theft order; in force from the moment it is acknowledged."""

    scope: Literal["code", "batch", "product"]
    code: Code
    """The code itself, or any code of the batch or product."""
    lot: Name = ""
    """The batch, for scope batch."""
    reason: Words = ""
    reference: Name = ""
    time: Moment = ""


class OrdersUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Orders to hold boxes, or to let them go again."""

    orders: Annotated[list[Order], Meta(min_length=1, max_length=LINES_MAX)]
    id: Id = ""
    institution: Party = ""


class PrescribedLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One medicine of a prescription."""

    product: Annotated[str, Meta(min_length=1, max_length=40)]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000, description="Whole packages, or units where it is split.")]
    line: Name = ""


class Prescription(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was prescribed under one number, so that what is handed out can be held against it."""

    number: Annotated[str, Meta(min_length=1, max_length=64)]
    time: Annotated[str, Meta(min_length=10, max_length=40, extra_json_schema={"pattern": f"^{_MOMENT}$"})]
    lines: Annotated[list[PrescribedLine], Meta(min_length=1, max_length=200)]
    visit: Name = ""
    person: Person | None = None
    prescriber: Prescriber | None = None


class PrescriptionsUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Prescriptions as they were issued."""

    prescriptions: Annotated[list[Prescription], Meta(min_length=1, max_length=SALES_MAX)]
    id: Id = ""
    institution: Party = ""
