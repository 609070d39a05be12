"""Claims: asking for advice, settling, taking back, and what was settled."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats.api import models
from suyuan.formats.api.answers import ClaimAnswer, LineAnswer, claim_answer, line_answer, problem_answers, yuan
from suyuan.formats.api.documents import read_cancel, read_claim, read_reversal
from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import MALFORMED
from suyuan.formats.times import instant
from suyuan.ledger.admission import DAY
from suyuan.ledger.scan import Result
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import (
    LATER,
    TAKING,
    After,
    Day,
    Limit,
    Next,
    cursor,
    operation,
    place_of,
    query_of,
    scope_here,
)
from suyuan.portals.api.uploads import HEADERS, take
from suyuan.portals.audit import recorded
from suyuan.portals.problem import Fault, Refused
from suyuan.portals.quarantined import kept_apart
from suyuan.portals.site import Site, site_of
from suyuan.settlement.claim import ClaimVerdict
from suyuan.views.claims import ClaimRow, ClaimsWanted, claim_of, list_claims

_BOX = "82345671000000000001"
EXAMPLE: dict[str, Any] = {
    "id": "till-7-000124",
    "setting": "pharmacy",
    "references": {"order": "O-1"},
    "fund": "employee",
    "amount": "13.80",
    "lines": [
        {
            "line": "1",
            "product": "XB05BAF058B002010102345",
            "quantity": "1",
            "amount": "13.80",
            "codes": [{"code": _BOX}],
        }
    ],
}


@operation(
    "adviseClaim",
    "Claims",
    "What a claim would be answered; changes nothing",
    about="The same body as for settling. Nothing is stored, nothing is drawn down.",
    body=models.ClaimUpload,
    answer=ClaimAnswer,
    errors=TAKING,
    example=EXAMPLE,
)
async def advise_claim(request: Request) -> Response:
    """Pre-settlement."""
    return await _claim(request, advice=True)


@operation(
    "settleClaim",
    "Claims",
    "Ask the fund to pay: each code is paid, held or refused, at once",
    about="One pass or fail: with a refused line nothing is drawn down, and every code says why. A claim is known by "
    "its order, visit or receipt: sent again it finds itself and gets its first answer. A refusal has HTTP status 200: "
    "read `verdict`.",
    body=models.ClaimUpload,
    answer=ClaimAnswer,
    errors=LATER,
    headers=HEADERS,
    example=EXAMPLE,
)
async def settle_claim(request: Request) -> Response:
    """Settlement."""
    return await _claim(request, advice=False)


async def _claim(request: Request, *, advice: bool) -> Response:
    raw = await codec.bytes_of(request)
    with kept_apart(site_of(request).node, f"api/{'advice' if advice else 'claim'}", raw, caller_of(request).party):
        document = _whole(codec.decoded(lambda body: read_claim(body, advice=advice), raw))
    outcome = await take(request, document, "counter")
    (verdict,) = outcome.results
    assert isinstance(verdict, ClaimVerdict), "a claim has a verdict"
    return codec.answer(claim_answer(verdict, outcome))


def _whole(document: Document) -> Document:
    """A claim or its undoing with any fault passes nowhere, and leaves nothing behind."""
    if any(problem.code == MALFORMED for problem in document.problems):
        faults = tuple(
            Fault(problem.where, problem.value, problem.what, problem.do)
            for problem in problem_answers(document.problems)
        )
        raise Refused("field_unusable", where=faults[0].where, faults=faults)
    return document


@operation(
    "cancelClaim",
    "Claims",
    "Take a settlement back; exactly its codes are free again",
    about="By the same institution, within 10 days for a pharmacy and 60 for a hospital. Repeated, it succeeds.",
    body=models.Cancel,
    body_needed=False,
    answer=LineAnswer,
    errors=LATER,
    headers=HEADERS,
    example={},
)
async def cancel_claim(request: Request) -> Response:
    """Cancel."""
    settlement = str(request.path_params["settlement"])
    raw = await codec.bytes_of(request) if "content-type" in request.headers else b""
    return await _undo(request, raw, f"cancel/{settlement}", lambda body: read_cancel(body, settlement))


@operation(
    "reverseClaim",
    "Claims",
    "Take back whatever an upload with a known id settled, even before it comes",
    about="For a sender that got no answer: a reversal that arrives first keeps the claim from settling. Repeated, it "
    "succeeds.",
    body=models.Reversal,
    answer=LineAnswer,
    errors=LATER,
    headers=HEADERS,
    example={"original_id": "till-7-000124"},
)
async def reverse_claim(request: Request) -> Response:
    """Reversal."""
    return await _undo(request, await codec.bytes_of(request), "reversal", read_reversal)


async def _undo(request: Request, raw: bytes, door: str, read: Callable[[bytes], Document]) -> Response:
    with kept_apart(site_of(request).node, f"api/{door}", raw, caller_of(request).party):
        document = _whole(codec.decoded(read, raw))
    outcome = await take(request, document, "counter")
    (result,) = outcome.results
    assert isinstance(result, Result), "an undo has a result"
    return codec.answer(line_answer(result))


# Asking


class ClaimsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which claims."""

    institution: Annotated[str, Meta(max_length=40)] = ""
    verdict: Literal["", "pay", "hold", "refuse"] = ""
    state: Literal["", "open", "cancelled", "reversed", "refused"] = ""
    since: Day = ""
    """Arrived on this day or later."""
    until: Day = ""
    """Arrived on this day or earlier."""
    after: After = ""
    limit: Limit = 100


class ClaimSummary(msgspec.Struct, kw_only=True):
    """One settlement, or one refusal."""

    institution: str
    region: str
    settlement: str
    order: str
    visit: str
    receipt: str
    event_time: str
    arrived: str
    setting: str
    fund: str
    verdict: str
    status: str
    amount: str
    paid: str
    held: str
    refused: str
    state: str
    """open, cancelled, reversed or refused."""


class ClaimPage(msgspec.Struct, kw_only=True):
    """A page of claims, the latest first."""

    claims: list[ClaimSummary]
    next: Next


@operation(
    "listClaims",
    "Claims",
    "Claims that the caller may see, the latest first",
    about="An institution sees its own, an agency those of its fund in its region, an inspector those of the region. "
    "The list follows the record within a second.",
    query=ClaimsQuery,
    answer=ClaimPage,
    errors=("not_allowed",),
)
async def list_claims_seen(request: Request) -> Response:
    """A page of claims."""
    query, scope = query_of(request, ClaimsQuery), scope_here(request)
    if query.institution and scope.parties is not None and query.institution not in scope.parties:
        raise Refused("not_allowed", where="institution", value=query.institution)
    wanted = ClaimsWanted(
        parties=scope.parties,
        region=scope.region,
        fund=scope.fund,
        institution=query.institution,
        verdict=query.verdict,
        state=query.state,
        since=day_begins(query.since),
        until=day_begins(query.until, days=1),
    )
    # Orders, visits and receipts lead to a person: an inspector opens a claim by itself, with a reason.
    numbers = scope.parties is not None or scope.fund != "" or caller_of(request).role == "agency"
    page = await site_of(request).query(
        _claims, site_of(request), wanted, place_of(query.after), query.limit, numbers=numbers
    )
    return codec.answer(page)


def day_begins(day: str, *, days: int = 0) -> int:
    """µs UTC at which a day, or one some days later, begins in China; 0 for none.

    Raises:
        Refused: there is no such day.
    """
    if not day:
        return 0
    moment = instant(day)
    if not moment:
        raise Refused("field_unusable", where="day", value=day, what="There is no such day.")
    return moment + days * DAY


def _claims(site: Site, wanted: ClaimsWanted, before: int, limit: int, *, numbers: bool) -> ClaimPage:
    with site.views.read() as connection:
        rows = list_claims(connection, wanted, before, limit + 1)
    page = rows[:limit]
    following = cursor(page[-1].number) if len(rows) > limit else ""
    return ClaimPage(claims=[_summary(row, numbers=numbers) for row in page], next=following)


def _summary(row: ClaimRow, *, numbers: bool) -> ClaimSummary:
    return ClaimSummary(
        institution=row.institution,
        region=row.region,
        settlement=row.settlement,
        order=row.order if numbers else "",
        visit=row.visit if numbers else "",
        receipt=row.receipt if numbers else "",
        event_time=iso_time(row.event_time),
        arrived=iso_time(row.arrived),
        setting=row.setting,
        fund=row.fund,
        verdict=row.verdict,
        status=row.status,
        amount=yuan(row.amount),
        paid=yuan(row.paid),
        held=yuan(row.held),
        refused=yuan(row.refused),
        state=row.state,
    )


class ClaimQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Why an inspector opens a claim."""

    reason: Annotated[str, Meta(max_length=500, description="For inspectors: kept in the audit record.")] = ""


class ClaimRecord(msgspec.Struct, kw_only=True):
    """A claim with the answer that it was given."""

    summary: ClaimSummary
    answer: ClaimAnswer


@operation(
    "claim",
    "Claims",
    "A settlement with the answer that it was given",
    about="For the institution that settled, the agency of its fund, and inspectors of the region with a reason.",
    query=ClaimQuery,
    answer=ClaimRecord,
    errors=("reason_needed",),
)
async def show_claim(request: Request) -> Response:
    """One claim."""
    query, site, scope = query_of(request, ClaimQuery), site_of(request), scope_here(request)
    settlement = str(request.path_params["settlement"])
    wanted = ClaimsWanted(parties=scope.parties, region=scope.region, fund=scope.fund)
    found = await site.query(_claim_record, site, settlement, wanted)
    if found is None:
        raise Refused("not_found", where="settlement", value=settlement)
    if caller_of(request).role == "inspector":
        await recorded(request, "read claim", f"claim:{settlement}", query.reason)
    return codec.answer(found)


def _claim_record(site: Site, settlement: str, wanted: ClaimsWanted) -> ClaimRecord | None:
    with site.views.read() as connection:
        row = claim_of(connection, settlement, wanted)
    if row is None:
        return None
    (events,) = site.node.ledger.read([row.key]).values()
    event = events[row.sequence - 1]
    verdict = msgspec.convert(event.detail["answer"], ClaimVerdict)
    answer = claim_answer(verdict, Outcome(received=event.arrived))
    return ClaimRecord(summary=_summary(row, numbers=True), answer=answer)
