"""Self-audit: an institution's own missing codes and conflicts, with words for each, before an inspector comes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats.api.answers import yuan
from suyuan.intake.answers_to_alerts import TEXT_MAX, Step, answer_alert
from suyuan.lookup.moment import iso_time
from suyuan.lookup.owed import DEBT, KINDS, OwedRow, Tally, mend_until
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.alert_records import AlertRecord, record_for, wanted_within
from suyuan.portals.api.operation import After, Next, cursor, operation, place_of, query_of, scope_here
from suyuan.portals.api.sales import own_parties
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.alerts import alerts_before
from suyuan.views.owed import list_owed, tallies

GROUP = "Self-audit"
OPEN_ROWS = 200
"""Rows of a kind that are listed, the most urgent first; the figures beside them count all."""


class SelfAuditQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose list; the conflicts come in pages."""

    institution: Annotated[str, Meta(max_length=40, description="One of those the caller may speak for.")] = ""
    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=200, description="Conflicts of a page.")] = 50


class Debt(msgspec.Struct, kw_only=True):
    """How much there is of one kind, and what to do about it."""

    kind: str
    title: str
    title_zh: str
    meaning: str
    meaning_zh: str
    action: str
    action_zh: str
    rows: int
    count: int
    """Scans or packages."""
    amount: str
    earliest: str
    """The nearest deadline."""


class Missing(msgspec.Struct, kw_only=True):
    """One thing owed."""

    kind: str
    product: str
    code: str
    line: str
    count: int
    amount: str
    event_time: str
    mend_until: str
    status: str
    reasons: tuple[str, ...]
    settlement: str
    reference: str


class SelfAuditAnswer(msgspec.Struct, kw_only=True):
    """What an inspector would find, told first to who can mend it."""

    institution: str
    debts: list[Debt]
    missing: list[Missing]
    conflicts: list[AlertRecord]
    """Own repeated codes; of the other side only kind of place and month."""
    next: Next


@operation(
    "selfAudit",
    GROUP,
    "Own missing and repeated codes, with what to do about each",
    about="The list follows the record within a second.",
    query=SelfAuditQuery,
    answer=SelfAuditAnswer,
    errors=("not_allowed",),
)
async def self_audit(request: Request) -> Response:
    """The list."""
    query, site, caller = query_of(request, SelfAuditQuery), site_of(request), caller_of(request)
    own_parties(scope_here(request), query.institution)
    institution = query.institution or caller.party
    return codec.answer(await site.query(_list, site, institution, place_of(query.after), query.limit))


def _list(site: Site, institution: str, before: int, limit: int) -> SelfAuditAnswer:
    scope = Scope(parties=frozenset({institution}))
    wanted = wanted_within(scope, {})
    with site.views.read() as connection:
        sums = tallies(connection, institution)
        missing = [row for kind in KINDS for row in list_owed(connection, institution, kind, limit=OPEN_ROWS).rows]
        alerts = alerts_before(connection, before, limit + 1, wanted)
    policy = site.node.desk.policy
    page = alerts[:limit]
    return SelfAuditAnswer(
        institution=institution,
        debts=[_debt(kind, sums[kind]) for kind in KINDS],
        missing=[_missing(row, mend_until(row, policy)) for row in missing],
        conflicts=[record_for(scope, alert, site.node.catalogue) for alert in page],
        next=cursor(page[-1].number) if len(alerts) > limit else "",
    )


def _debt(kind: str, tally: Tally) -> Debt:
    words = DEBT[kind]
    return Debt(
        kind=kind,
        title=words.title,
        title_zh=words.title_zh,
        meaning=words.meaning,
        meaning_zh=words.meaning_zh,
        action=words.action,
        action_zh=words.action_zh,
        rows=tally.rows,
        count=tally.count,
        amount=yuan(tally.amount),
        earliest=iso_time(tally.deadline),
    )


def _missing(row: OwedRow, until: int) -> Missing:
    return Missing(
        kind=row.kind,
        product=row.product,
        code=row.code,
        line=row.line,
        count=row.count,
        amount=yuan(row.amount),
        event_time=iso_time(row.event_time),
        mend_until=iso_time(until),
        status=row.status,
        reasons=row.reasons,
        settlement=row.settlement,
        reference=row.reference,
    )


class ExplanationBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the institution says to a conflict."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
    institution: Annotated[str, Meta(max_length=40)] = ""


class ExplanationAnswer(msgspec.Struct, kw_only=True):
    """What became of the explanation."""

    status: Literal["accepted", "first_answer"]
    state: str
    """The alert's state now."""


_EXPLANATION = msgspec.json.Decoder(ExplanationBody)


@operation(
    "explainConflict",
    GROUP,
    "Explain or contest one of the own conflicts",
    about="It goes to the inspectors of the region with the alert. The same words again change nothing.",
    body=ExplanationBody,
    answer=ExplanationAnswer,
    errors=("not_allowed",),
    example={"text": "该盒为分店调拨，附随货同行单编号DN-4711"},
)
async def explain(request: Request) -> Response:
    """An explanation."""
    body, site, caller = await codec.read_body(request, _EXPLANATION), site_of(request), caller_of(request)
    own_parties(scope_here(request), body.institution)
    institution = body.institution or caller.party
    alert = str(request.path_params["alert"])
    step = Step(alert=alert, kind="contested", actor=institution, person=caller.person, text=body.text)
    taken = await site.query(answer_alert, site.node.desk, step)
    if taken.status in {"unknown_alert", "not_allowed"}:
        raise Refused("not_found", where="alert", value=alert)
    if taken.status not in {"accepted", "first_answer"}:
        raise Refused("field_unusable", where="text", what=taken.message)
    site.views.news()
    return codec.answer({"status": taken.status, "state": taken.state})
