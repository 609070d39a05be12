"""The desk of an institution: check what is scanned, send a basket of scans, take one back; replayed exactly once."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.recognise import recognise
from suyuan.formats.document import Document, Record
from suyuan.formats.faults import fault
from suyuan.formats.times import instant
from suyuan.intake.upload import DATA_TYPES
from suyuan.ledger.admission import iso_day
from suyuan.ledger.keys import claim_key
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.scan import Problem, Result, Scan
from suyuan.ledger.statuses import STATUS
from suyuan.lookup.moment import iso_time
from suyuan.lookup.offered import Offered, offered
from suyuan.portals import codec
from suyuan.portals.access import Caller, caller_of
from suyuan.portals.api.operation import TAKING, CodeText, operation
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of
from suyuan.settlement.claim import Undo
from suyuan.settlement.claim_file import ClaimFile

GROUP = "Desk"
CODES_MAX = 200
SCANS_MAX = 2000
"""Scans of one basket: a pallet of cartons, box by box."""

Id = Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Short = Annotated[str, Meta(max_length=200)]
Moment = Annotated[
    str, Meta(min_length=16, max_length=40, extra_json_schema={"examples": ["2026-03-09T10:00:00+08:00"]})
]
DeskKind = Literal["received", "refused", "shipped", "sold", "counted"]

UNDONE_AS = {kind: DATA_TYPES[kind] for kind in ("received", "shipped", "sold", "counted")}
"""What can be taken back by its own number; a refusal is a report and stays."""

TONES = {"error": "bad", "alert": "bad", "notice": "warn", "fine": "good"}


class DeskScan(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One scan as it was made, maybe long before it is sent."""

    id: Id
    """The sender's own, new for each scan; by it the scan can be taken back."""
    kind: DeskKind
    code: CodeText
    time: Moment
    delivery: Short = ""
    visit: Short = ""
    receipt: Short = ""
    counterparty: Short = ""
    """Supplier or receiver: party code or name."""
    reason: Annotated[str, Meta(max_length=1000)] = ""
    """Why it was refused, in words: what was seen, which papers there are."""


class DeskUndo(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A scan to be taken back."""

    id: Id
    """That of the scan."""
    kind: Literal["received", "shipped", "sold", "counted"]
    time: Moment


class Basket(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What one desk sends at once. The same bytes again get the first answer again."""

    id: Id
    institution: Short = ""
    """Whose scans they are; refused where the sender is somebody else by now."""
    scans: Annotated[list[DeskScan], Meta(max_length=SCANS_MAX)] = []
    undo: Annotated[list[DeskUndo], Meta(max_length=SCANS_MAX)] = []


class DeskResult(msgspec.Struct, kw_only=True):
    """What became of one scan or undo."""

    id: str
    status: str
    tone: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str
    alert: str = ""


class BasketAnswer(msgspec.Struct, kw_only=True):
    """The results in the order of the scans, then of the undos."""

    id: str
    received: str
    repeated: bool
    """True where this very basket was answered before: nothing was counted twice."""
    results: list[DeskResult]


class CheckBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Codes to look at; nothing is told of them."""

    codes: Annotated[list[CodeText], Meta(min_length=1, max_length=CODES_MAX)]
    delivery: Short = ""
    """Delivery note that is being received."""


class CheckAnswer(msgspec.Struct, kw_only=True):
    """One answer a code, in order."""

    codes: list[Offered]


class DeskIdentity(msgspec.Struct, kw_only=True):
    """For whom the desk works right now."""

    institution: str
    name: str
    person: str
    role: str
    sells: bool
    """Whether it hands boxes out to patients and customers."""


_BOX = "82345671000000000001"
_check = msgspec.json.Decoder(CheckBody)
_basket = msgspec.json.Decoder(Basket)


@operation("deskIdentity", GROUP, "For whom this session works", answer=DeskIdentity)
async def identity(request: Request) -> Response:
    """Who is signed in at this desk; asked by a scan screen that was opened without a network."""
    caller, site = caller_of(request), site_of(request)
    _party_of(caller)
    party = site.party(caller.party)
    return codec.answer(
        DeskIdentity(
            institution=caller.party,
            name=party.name if party is not None else "",
            person=caller.person,
            role=caller.role,
            sells=_sells(caller),
        ),
        headers={"cache-control": "no-store"},
    )


@operation(
    "deskCheck",
    GROUP,
    "Look at codes before receiving or selling: what speaks against each, and what a carton holds",
    about="Read-only. Of a sale elsewhere it tells kind of place and month, never who; a firm, only that there is one.",
    body=CheckBody,
    answer=CheckAnswer,
    example={"codes": [_BOX]},
)
async def check(request: Request) -> Response:
    """What each code is, for this institution."""
    body = codec.decoded(_check.decode, await codec.bytes_of(request))
    caller, site = caller_of(request), site_of(request)
    party = _party_of(caller)
    node = site.node
    found = await site.query(offered, node.ledger, node.catalogue, party, body.codes, body.delivery)
    if caller.role == "firm":
        # Box by box, where and when its goods were sold would add up to what a firm is told in sums alone.
        found = [msgspec.structs.replace(one, kind_of_place="", month="") for one in found]
    return codec.answer(CheckAnswer(codes=found), headers={"cache-control": "no-store"})


@operation(
    "deskSend",
    GROUP,
    "Send a basket of scans, or take scans back",
    about="Each scan keeps the time at which it was made. A basket sent again, byte for byte, gets its first answer: "
    "a scan screen that was offline sends until it is answered, and nothing is counted twice.",
    body=Basket,
    answer=BasketAnswer,
    errors=TAKING,
    example={
        "id": "basket-0001",
        "scans": [{"id": "scan-0001", "kind": "received", "code": _BOX, "time": "2026-03-09T08:30:00+08:00"}],
    },
)
async def send(request: Request) -> Response:
    """Take a basket in."""
    raw = await codec.bytes_of(request)
    basket = codec.decoded(_basket.decode, raw)
    caller, site = caller_of(request), site_of(request)
    party = _party_of(caller)
    if basket.institution not in {"", party}:
        raise Refused("not_allowed", where="institution", value=basket.institution)
    if not _sells(caller) and any(scan.kind == "sold" for scan in basket.scans):
        raise Refused("not_allowed", where="scans", value="sold")
    document = await site.query(_document, site.node.ledger, site.node.catalogue, basket, party, raw)
    document.software = caller.software
    outcome = await site.take(document, party)
    if outcome.fatal:
        raise Refused("not_allowed", where="institution", value=party, what=outcome.fatal)
    taken = {result.where: result for result in outcome.results if isinstance(result, Result)}
    problems = {problem.where: problem for problem in document.problems}
    ids = [*(scan.id for scan in basket.scans), *(undo.id for undo in basket.undo)]
    return codec.answer(
        BasketAnswer(
            id=basket.id,
            received=iso_time(outcome.received),
            repeated=outcome.repeated,
            results=[_result(one, taken.get(one), problems.get(one)) for one in ids],
        ),
        headers={"cache-control": "no-store"},
    )


def _party_of(caller: Caller) -> str:
    if not caller.party:
        raise Refused("not_allowed", where="institution", what="This account belongs to no institution or firm.")
    return caller.party


def _sells(caller: Caller) -> bool:
    return caller.role in {"institution", "clerk", "pharmacist", "manager", "vendor"}


def _document(ledger: Ledger, catalogue: Catalogue, basket: Basket, institution: str, raw: bytes) -> Document:
    """The basket as records; what cannot be read stays out, and the rest goes in."""
    records: list[Record] = []
    problems: list[Problem] = []
    for one in basket.scans:
        when = instant(one.time)
        if when is None:
            problems.append(fault("bad_time", one.id, one.time))
        else:
            product = _product(ledger, catalogue, one, institution, when) if one.kind == "sold" else ""
            records.append(_scan(one, when, product))
    for undo in basket.undo:
        when = instant(undo.time)
        if when is None:
            problems.append(fault("bad_time", undo.id, undo.time))
            continue
        references = {"batch": undo.id}
        data_type = UNDONE_AS[undo.kind]
        records.append(
            Undo(kind="corrected", where=undo.id, references=references, data_type=data_type, event_time=when)
        )
    return Document(
        format="desk",
        infno="desk",
        msgid=basket.id,
        institution=institution,
        raw=raw,
        records=records,
        problems=problems,
    )


def _scan(one: DeskScan, when: int, product: str) -> Scan:
    named = {"delivery": one.delivery, "visit": one.visit, "receipt": one.receipt, "batch": one.id}
    return Scan(
        kind=one.kind,
        code=one.code,
        where=one.id,
        event_time=when,
        references={kind: value.strip() for kind, value in named.items() if value.strip()},
        product=product,
        counterparty=one.counterparty.strip(),
        reason=one.reason.strip(),
    )


def _product(ledger: Ledger, catalogue: Catalogue, one: DeskScan, institution: str, when: int) -> str:
    """The NHSA code that is handed out: the one a waiting line of the visit names, else the only one it can be."""
    code = recognise(one.code, "scan", catalogue.maker_rules)
    edge = catalogue.product_of(code.product_key, date.fromisoformat(iso_day(when))) if code.product_key else None
    if edge is None:
        return ""
    if one.visit:
        key = claim_key(institution, {"visit": one.visit.strip()})
        for settlement in ClaimFile.of(ledger.read([key])[key]).waiting():
            for row in settlement.awaiting.values():
                if row["product"] in edge.nhsa:
                    return str(row["product"])
    return next(iter(edge.nhsa)) if len(edge.nhsa) == 1 else ""


def _result(one: str, result: Result | None, problem: Problem | None) -> DeskResult:
    status = STATUS[result.status if result is not None else "malformed"]
    return DeskResult(
        id=one,
        status=status.name,
        tone=TONES[status.layer],
        meaning=problem.what if problem is not None else status.meaning,
        meaning_zh=status.meaning_zh,
        next_action=problem.do if problem is not None else status.next_action,
        next_action_zh=status.next_action_zh,
        alert=result.alert if result is not None else "",
    )
