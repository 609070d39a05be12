"""Outcomes: what became of an upload whose sender got no answer, by its id or by the numbers of the business."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats import epcis, nhsa
from suyuan.formats.api.answers import ClaimAnswer, LineAnswer, claim_answer, line_answer
from suyuan.formats.api.documents import SHAPES, TRANSACTIONS, read
from suyuan.formats.document import Document, Outcome, Record
from suyuan.intake.upload import first_answers
from suyuan.ledger.events import Event
from suyuan.ledger.keys import claim_key, message_key
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.privacy import SealBroken
from suyuan.ledger.scan import Result
from suyuan.lookup.moment import iso_time
from suyuan.node import Node
from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import operation, query_of, scope_here
from suyuan.portals.api.sales import SaleRow, sale_rows
from suyuan.portals.failing import is_store_down
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.settlement.claim import ClaimVerdict
from suyuan.views.claims import files_under
from suyuan.views.sales import FOUND_BY, facts_under

ROWS_MAX = 1_000
EPCIS = ("EPCISDocument", "EPCISQueryDocument")
Number = Annotated[str, Meta(max_length=64)]


class OutcomesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Exactly one of id, settlement, order, visit, receipt, original, prescription."""

    id: Annotated[str, Meta(max_length=64, description="The id that the sender gave, or the request id.")] = ""
    transaction: Annotated[
        str, Meta(max_length=20, description="With `id`: infno of an NHSA message, where it was one.")
    ] = ""
    settlement: Number = ""
    order: Number = ""
    visit: Number = ""
    receipt: Annotated[Number, Meta(description="Receipt number; with `day`, for receipts restart daily.")] = ""
    original: Number = ""
    prescription: Number = ""
    day: Annotated[str, Meta(pattern=r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Day of the receipt.")] = ""
    institution: Annotated[str, Meta(max_length=40, description="One of those the caller may speak for.")] = ""


class UploadOutcome(msgspec.Struct, kw_only=True):
    """An upload that was taken."""

    transaction: str
    kind: str
    """What it asked for; whether it came about say the answers."""
    received: str
    lines: list[LineAnswer]
    """As they were answered, in the order of the upload; places and codes where the message itself was kept."""
    claims: list[ClaimAnswer]


class ClaimOutcome(msgspec.Struct, kw_only=True):
    """A settlement, and whether it still stands."""

    settlement: str
    state: Literal["open", "cancelled", "reversed", "refused"]
    answer: ClaimAnswer


class OutcomeAnswer(msgspec.Struct, kw_only=True):
    """Everything that was judged under what was asked for, refused lines too: the same bytes again change nothing."""

    institution: str
    uploads: list[UploadOutcome]
    claims: list[ClaimOutcome]
    sales: list[SaleRow]


@operation(
    "outcome",
    "Uploads",
    "What became of an upload whose sender got no answer",
    about="By the sender's id or by a number of the business. 404 with `outcome_unknown` means that nothing was taken: "
    "send it again; to do so is always safe. 202 with `deferred` means that it is kept and not recorded yet.",
    query=OutcomesQuery,
    answer=OutcomeAnswer,
    errors=("outcome_unknown", "not_allowed", "deferred", "unavailable"),
)
async def outcome(request: Request) -> Response:
    """The first answer, found again."""
    query, site = query_of(request, OutcomesQuery), site_of(request)
    named = [name for name in _NUMBERS if getattr(query, name)]
    if len(named) != 1:
        raise Refused("field_unusable", where="id", what="Give exactly one number to ask by.")
    institution = _institution(request, query.institution)
    # First what is laid aside: what is taken out of there meanwhile is found in the record.
    waits = bool(query.id) and await site.query(site.counter.deferral.waits, institution, query.id)
    try:
        found = await site.query(_outcome, site, institution, query, named[0])
    except Exception as error:
        if waits and is_store_down(error):
            raise Refused("deferred", where="id", value=query.id) from error
        raise
    if waits and not found.uploads:
        raise Refused("deferred", where="id", value=query.id)
    if not (found.uploads or found.claims or found.sales):
        raise Refused("outcome_unknown", where=named[0], value=getattr(query, named[0]))
    return codec.answer(found)


_NUMBERS = ("id", "settlement", "order", "visit", "receipt", "original", "prescription")


def _institution(request: Request, wanted: str) -> str:
    """Whose upload is asked for.

    Raises:
        Refused: it is not the caller's to ask.
    """
    own = scope_here(request).parties or frozenset()
    institution = wanted or caller_of(request).party
    if institution not in own:
        raise Refused("not_allowed", where="institution", value=institution)
    return institution


def _outcome(site: Site, institution: str, query: OutcomesQuery, name: str) -> OutcomeAnswer:
    found = OutcomeAnswer(institution=institution, uploads=[], claims=[], sales=[])
    ledger = site.node.ledger
    number = getattr(query, name)
    if name == "id":
        found.uploads = _by_id(site.node, institution, number, query.transaction)
        return found
    if name == "receipt" and query.day:
        number = f"{number}@{query.day}"
    files = {claim_key(institution, {name: number})}
    with site.views.read() as connection:
        if name in {"order", "visit", "receipt"}:
            files |= files_under(connection, institution, name, number)
        facts = facts_under(connection, institution, name, number, ROWS_MAX) if name in FOUND_BY else []
    if name == "settlement":
        files = {
            event.detail["claim"]
            for events in ledger.read(files).values()
            for event in events
            if event.detail and "claim" in event.detail
        }
    found.claims = [one for key in sorted(files) for one in _claims(ledger, key, name, number)]
    found.sales = sale_rows(ledger, facts)
    return found


def _by_id(node: Node, institution: str, number: str, transaction: str) -> list[UploadOutcome]:
    names = (transaction,) if transaction else (*TRANSACTIONS, *EPCIS)
    keys = {name: message_key(institution, name, number) for name in names}
    histories = node.ledger.read(keys.values())
    return [
        _upload(node, name, event)
        for name, key in keys.items()
        for event in histories[key]
        if event.detail and "answers" in event.detail
    ]


def _upload(node: Node, transaction: str, event: Event) -> UploadOutcome:
    given = sum(count for _, count in event.detail["answers"])
    records = _records(node, transaction, event)
    places = [(getattr(record, "where", ""), getattr(record, "code", "")) for record in records]
    if len(places) != given:
        places = [("", "")] * given
    results = first_answers(event.detail, places)
    lines = [line_answer(told) for told in results if isinstance(told, Result)]
    told_at = Outcome(received=event.arrived)
    claims = [claim_answer(told, told_at) for told in results if isinstance(told, ClaimVerdict)]
    return UploadOutcome(
        transaction=transaction, kind=event.kind, received=iso_time(event.arrived), lines=lines, claims=claims
    )


def _records(node: Node, transaction: str, event: Event) -> Sequence[Record]:
    """What the message said, line by line; nothing where it was not kept or can no longer be read."""
    sealed = node.journal.document(event.document) if event.document else None
    if sealed is None:
        return ()
    try:
        raw = node.privacy.unseal(sealed)
        document: Document
        if transaction in SHAPES:
            document = read(transaction, raw)
        else:
            document = (epcis if transaction in EPCIS else nhsa).read(raw)
    except (SealBroken, msgspec.MsgspecError):
        return ()
    return document.records


def _claims(ledger: Ledger, key: str, name: str, number: str) -> list[ClaimOutcome]:
    """Every settlement and refusal of a claim file under a number, with its state."""
    events = ledger.read([key])[key]
    undone: dict[int, Any] = {event.corrects: event.kind for event in events if event.kind in {"cancelled", "reversed"}}
    found = []
    for event in events:
        if event.kind != "claimed" or not event.detail or "answer" not in event.detail:
            continue
        if event.references.get(name) != number:
            continue
        verdict = msgspec.convert(event.detail["answer"], ClaimVerdict)
        verdict.first = False
        state: Any = "refused" if event.verdict == "refuse" else undone.get(event.sequence, "open")
        answer = claim_answer(verdict, Outcome(received=event.arrived))
        found.append(ClaimOutcome(settlement=verdict.settlement, state=state, answer=answer))
    return found
