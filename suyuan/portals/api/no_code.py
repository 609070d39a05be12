"""The no-code library: what an institution may settle without a scan, what is left of it, and asking for more."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.catalogue.no_code import NoCodeEntry
from suyuan.intake.desk import day_of
from suyuan.intake.no_code import (
    QUANTITY_MAX,
    REASON_MAX,
    Answered,
    Decision,
    NoCodeRequest,
    ask_no_code,
    decide_no_code,
    request_key,
    with_entry,
)
from suyuan.lookup.moment import iso_time
from suyuan.lookup.owed import remaining
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.api.operation import After, Limit, Next, cursor, day_in, operation, place_of, query_of, scope_here
from suyuan.portals.api.sales import own_parties
from suyuan.portals.api.uploads import may_speak
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.no_code import list_requests
from suyuan.views.owed import balances_of

GROUP = "No-code library"


class LibraryQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose library, and which products."""

    institution: Annotated[str, Meta(max_length=40, description="One of those the caller may speak for.")] = ""
    text: Annotated[str, Meta(max_length=60, description="Product code, or part of a name.")] = ""


class NoCodeStock(msgspec.Struct, kw_only=True):
    """One declaration of stock without codes, and what is left of it."""

    institution: str
    nhsa: str
    name: str
    kind: str
    """legacy, exempt, unreadable or virtual."""
    declared: int
    """Smallest packages; 0 for no limit."""
    used: int
    left: int
    """−1 for no limit."""
    until: str
    urgency: str
    """overdue, today, soon, later or none."""
    reference: str


class NoCodeLibrary(msgspec.Struct, kw_only=True):
    """What may be settled without a scan."""

    stock: list[NoCodeStock]


@operation(
    "noCodeLibrary",
    GROUP,
    "Stock that may settle without a scan: until when, and how much is left",
    query=LibraryQuery,
    answer=NoCodeLibrary,
    errors=("not_allowed",),
)
async def library(request: Request) -> Response:
    """An institution's library."""
    query, site = query_of(request, LibraryQuery), site_of(request)
    parties = own_parties(scope_here(request), query.institution)
    return codec.answer(await site.query(_library, site, parties, query.text.strip().lower()))


def _library(site: Site, parties: frozenset[str], text: str) -> NoCodeLibrary:
    catalogue, now = site.node.catalogue, site.node.ledger.clock()
    stock: list[NoCodeStock] = []
    with site.views.read() as connection:
        for institution in sorted(parties):
            rows = remaining(catalogue, institution, balances_of(connection, institution), now)
            stock += [
                NoCodeStock(institution=institution, **msgspec.structs.asdict(row))
                for row in rows
                if not text or text in row.nhsa.lower() or text in row.name.lower()
            ]
    return NoCodeLibrary(stock=stock)


class NoCodeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an institution holds without readable codes, and why."""

    product: Annotated[str, Meta(min_length=1, max_length=40, description="Product code of the national insurer.")]
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Smallest packages.")]
    reason: Annotated[str, Meta(min_length=4, max_length=REASON_MAX)]
    until: Annotated[
        str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Last day on which it shall settle.")
    ]
    kind: Literal["legacy", "exempt", "unreadable"] = "legacy"
    reference: Annotated[str, Meta(max_length=64, description="Declaration, photo or purchase behind it.")] = ""
    institution: Annotated[str, Meta(max_length=40)] = ""


class NoCodeAnswer(msgspec.Struct, kw_only=True):
    """What became of a request."""

    id: str
    status: str
    """accepted, or first_answer where the same was asked before."""
    state: str
    """open, accepted or refused."""


_BODY = msgspec.json.Decoder(NoCodeBody)


@operation(
    "askNoCode",
    GROUP,
    "Ask for stock to be taken into the library, with the reason",
    about="The agency of the region accepts or refuses. The same request again gets its first answer.",
    body=NoCodeBody,
    answer=NoCodeAnswer,
    example={
        "product": "ZA01AAA0001010112345",
        "quantity": 20,
        "reason": "2025年7月前购入库存，包装无追溯码",
        "until": "2026-12-31",
        "reference": "DECL-2026-17",
    },
)
async def ask(request: Request) -> Response:
    """A request."""
    body, site, caller = await codec.read_body(request, _BODY), site_of(request), caller_of(request)
    node = site.node
    may_speak(caller, body.institution, node.catalogue, node.ledger.clock())
    until = day_in(site, body.until)
    if until < day_of(node.ledger.clock()):
        raise Refused("field_unusable", where="until", value=body.until, what="The day has passed.")
    institution = body.institution or caller.party
    party = site.party(institution)
    asked = NoCodeRequest(
        institution=institution,
        region=party.region if party is not None else "",
        nhsa=body.product,
        kind=body.kind,
        quantity=body.quantity,
        reason=body.reason.strip(),
        reference=body.reference.strip(),
        until=until.isoformat(),
    )
    answered = await site.query(ask_no_code, node.desk, asked)
    site.views.news()
    return codec.answer(NoCodeAnswer(id=answered.id, status=answered.status, state=answered.state))


class RequestsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which requests."""

    state: Literal["", "open", "accepted", "refused"] = ""
    after: After = ""
    limit: Limit = 100


class RequestRow(msgspec.Struct, kw_only=True):
    """One request and what was decided on it."""

    id: str
    institution: str
    region: str
    product: str
    name: str
    kind: str
    quantity: int
    reason: str
    reference: str
    until: str
    asked: str
    state: str
    decided: str
    words: str


class RequestPage(msgspec.Struct, kw_only=True):
    """A page of requests, the latest first."""

    requests: list[RequestRow]
    next: Next


@operation(
    "listNoCodeRequests",
    GROUP,
    "Requests for the library and what was decided on them",
    about="An institution sees its own, an agency or inspector those of the region.",
    query=RequestsQuery,
    answer=RequestPage,
)
async def requests(request: Request) -> Response:
    """A page of requests."""
    query, site = query_of(request, RequestsQuery), site_of(request)
    return codec.answer(await site.query(_requests, site, scope_here(request), query, place_of(query.after)))


def _requests(site: Site, scope: Scope, query: RequestsQuery, before: int) -> RequestPage:
    with site.views.read() as connection:
        rows = list_requests(
            connection, scope.parties, scope.region, state=query.state, before=before, limit=query.limit + 1
        )
    day = day_of(site.node.ledger.clock())
    page = rows[: query.limit]
    shown = [
        RequestRow(
            id=row.id,
            institution=row.institution,
            region=row.region,
            product=row.nhsa,
            name=found.name if (found := site.node.catalogue.product(row.nhsa, day)) is not None else "",
            kind=row.kind,
            quantity=row.quantity,
            reason=row.reason,
            reference=row.reference,
            until=row.until,
            asked=iso_time(row.arrived),
            state=row.state,
            decided=iso_time(row.decided),
            words=row.words,
        )
        for row in page
    ]
    return RequestPage(requests=shown, next=cursor(page[-1].number) if len(rows) > query.limit else "")


class DecisionBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the agency says to a request."""

    decision: Literal["accepted", "refused"]
    words: Annotated[str, Meta(max_length=REASON_MAX, description="Why; needed for a refusal.")] = ""


_DECISION = msgspec.json.Decoder(DecisionBody)


@operation(
    "decideNoCode",
    GROUP,
    "Accept or refuse a request; what is accepted counts from now on",
    body=DecisionBody,
    answer=NoCodeAnswer,
    errors=("decided_already",),
    example={"decision": "accepted"},
)
async def decide(request: Request) -> Response:
    """A decision of the agency."""
    body, site, caller = await codec.read_body(request, _DECISION), site_of(request), caller_of(request)
    identity = str(request.path_params["id"])
    if body.decision == "refused" and not body.words.strip():
        raise Refused("field_unusable", where="words", what="A refusal says why.")
    decision = Decision(
        id=identity,
        accepted=body.decision == "accepted",
        actor=caller.party,
        person=caller.person,
        region=caller.region,
        words=body.words.strip(),
    )
    answered = await site.query(_decide, site, scope_here(request), decision)
    if answered.status == "unknown":
        raise Refused("not_found", where="id", value=identity)
    if answered.status == "not_now":
        raise Refused("decided_already", where="id", value=identity, what=f"It was {answered.state}.")
    site.views.news()
    return codec.answer(NoCodeAnswer(id=answered.id, status=answered.status, state=answered.state))


def _decide(site: Site, scope: Scope, decision: Decision) -> Answered:
    """Record the decision, then let the catalogue follow; a decision repeated after a crash brings it up to date."""
    node = site.node
    events = node.ledger.read([request_key(decision.id)])[request_key(decision.id)]
    if not events or not scope.sees_party(events[0].actor, events[0].region):
        return Answered(decision.id, "unknown", "")
    asked = msgspec.convert({name: value for name, value in events[0].detail.items() if name != "step"}, NoCodeRequest)
    answered = decide_no_code(node.desk, decision)
    if answered.state == "accepted" and decision.accepted:
        today = day_of(node.ledger.clock())

        def entered(rows: list[NoCodeEntry]) -> list[NoCodeEntry]:
            content = msgspec.structs.replace(node.catalogue.content, no_code=rows)
            return with_entry(content, asked, decision.id, today).no_code

        with node.catalogue_lock:
            if with_entry(node.catalogue.content, asked, decision.id, today) is not node.catalogue.content:
                node.tables.change_catalogue("no_code", entered)
                node.follow_catalogue()
    return answered
