"""Alerts for programs: lists, one alert with what was done about it, steps, and the stream's description."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.intake.answers_to_alerts import TEXT_MAX, Step, TakenStep, answer_alert
from suyuan.ledger.handling import Standing
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec, live
from suyuan.portals.access import INSTITUTION, Caller, Scope, caller_of
from suyuan.portals.alert_records import AlertRecord, record_for, wanted_within
from suyuan.portals.api.operation import After, Limit, Next, cursor, operation, place_of, query_of, scope_here
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.alerts import (
    Alert,
    AlertsWanted,
    alerts_after,
    alerts_before,
    find_alert,
    steps_about,
    steps_for,
)

GROUP = "Alerts"
REGION = "A six-digit division code on either side of the alert; of a province or city all below it."
CLASS = "Classes, with commas between: swap, resale, clone …; `docs/alerts.md` lists them."
Words = Annotated[str, Meta(max_length=200, pattern="^[a-z_, ]*$")]
Moment = Annotated[str, Meta(max_length=40, description="ISO 8601; without a zone in China's time.")]


class AlertsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which alerts are listed."""

    region: Annotated[str, Meta(max_length=6, pattern="^[0-9]*$", description=REGION)] = ""
    institution: Annotated[str, Meta(max_length=40, description="On either side.")] = ""
    alert_class: Annotated[Words, Meta(description=CLASS)] = msgspec.field(name="class", default="")
    kind: Annotated[Words, Meta(description="sold, claimed, returned, cancelled, with commas between.")] = ""
    state: Annotated[Words, Meta(description="new, seen, asked, contested, closed, with commas between.")] = ""
    code: Annotated[str, Meta(max_length=200, description="A code, a box key or the id of an alert.")] = ""
    arrived_from: Moment = msgspec.field(name="from", default="")
    arrived_until: Moment = msgspec.field(name="until", default="")
    order: Annotated[
        Literal["newest", "oldest"], Meta(description="`oldest` follows: `next` is never empty, ask again with it.")
    ] = "newest"
    after: After = ""
    limit: Limit = 100


class StreamQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which alerts are streamed."""

    region: Annotated[str, Meta(max_length=6, pattern="^[0-9]*$", description=REGION)] = ""
    institution: Annotated[str, Meta(max_length=40, description="On either side.")] = ""
    alert_class: Annotated[Words, Meta(description=CLASS)] = msgspec.field(name="class", default="")
    kind: Annotated[Words, Meta(description="sold, claimed, returned, cancelled, with commas between.")] = ""
    after: Annotated[
        str, Meta(max_length=18, pattern="^[0-9]*$", description="Number of the last alert that the subscriber has.")
    ] = ""


class AlertPage(msgspec.Struct, kw_only=True):
    """A page of alerts."""

    alerts: list[AlertRecord]
    next: Next


class StepRecord(msgspec.Struct, kw_only=True):
    """One step about an alert."""

    sequence: int
    kind: str
    """seen, asked, contested or closed."""
    at: str
    by: str
    """Party code."""
    to: str = ""
    text: str = ""
    finding: str = ""
    undone: bool = False


class AlertDetail(msgspec.Struct, kw_only=True):
    """One alert with what was done about it."""

    alert: AlertRecord
    steps: list[StepRecord]


class StepBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A step about an alert. Institutions contest; officials have seen, ask and close; `undone` takes the last back."""

    kind: Literal["seen", "asked", "contested", "closed", "undone"]
    text: Annotated[str, Meta(max_length=TEXT_MAX)] = ""
    finding: Literal["", "explained", "mistake", "irregular", "unproven"] = ""
    """For `closed`."""
    to: Annotated[str, Meta(max_length=40)] = ""
    """For `asked`: the institution that is to answer, one of the alert's sides."""


class StepAnswer(msgspec.Struct, kw_only=True):
    """What became of a step."""

    status: Literal["accepted", "first_answer"]
    state: str
    """The alert's state now."""


_STEPS = msgspec.json.Decoder(StepBody)


@operation(
    "listAlerts",
    GROUP,
    "Alerts within what the caller may see",
    about="Officials see alerts with either side in their region, an institution those of its own, with the other side "
    "as kind of place and month. Newest first, or with `order=oldest` as a feed to follow.",
    query=AlertsQuery,
    answer=AlertPage,
    errors=("not_allowed",),
)
async def list_alerts(request: Request) -> Response:
    """A page of the list."""
    query, scope = query_of(request, AlertsQuery), scope_here(request)
    wanted = wanted_within(scope, _texts(query))
    page = await site_of(request).query(_page, site_of(request), scope, wanted, query)
    return codec.answer(page)


def _texts(query: AlertsQuery | StreamQuery) -> dict[str, str]:
    return {name: str(value) for name, value in msgspec.to_builtins(query).items()}


def _page(site: Site, scope: Scope, wanted: AlertsWanted, query: AlertsQuery) -> AlertPage:
    place = place_of(query.after)
    with site.views.read() as connection:
        if query.order == "oldest":
            found = alerts_after(connection, place, query.limit, wanted)
            following = cursor(found[-1].number if found else place)
        else:
            found = alerts_before(connection, place, query.limit, wanted)
            following = cursor(found[-1].number) if len(found) == query.limit else ""
    return AlertPage(alerts=[record_for(scope, alert, site.node.catalogue) for alert in found], next=following)


@operation("getAlert", GROUP, "One alert with the steps taken about it", answer=AlertDetail, errors=("not_found",))
async def get_alert(request: Request) -> Response:
    """One alert."""
    scope, site = scope_here(request), site_of(request)
    alert, steps = await site.query(read_alert, site, scope, str(request.path_params["alert"]))
    record = record_for(scope, alert, site.node.catalogue)
    if scope.parties is not None:
        steps = steps_for(steps, record.side.institution)
    return codec.answer(AlertDetail(alert=record, steps=[_step_record(step) for step in steps]))


def read_alert(site: Site, scope: Scope, identity: str) -> tuple[Alert, list[Standing]]:
    """An alert within a scope, and every step about it.

    Raises:
        Refused: there is none for the asker.
    """
    wanted = AlertsWanted(scope_parties=scope.parties, scope_region=scope.region, scope_fund=scope.fund)
    with site.views.read() as connection:
        alert = find_alert(connection, identity, wanted)
        if alert is None:
            raise Refused("not_found", where="alert", value=identity)
        return alert, steps_about(connection, identity)


def _step_record(step: Standing) -> StepRecord:
    return StepRecord(
        sequence=step.sequence,
        kind=step.kind,
        at=iso_time(step.at),
        by=step.actor,
        to=step.to,
        text=step.text,
        finding=step.finding,
        undone=step.undone,
    )


@operation(
    "answerAlert",
    GROUP,
    "Say that an alert was seen, ask, contest, close, or take the last step back",
    about="Each step is kept for ever with who took it; the same step again changes nothing.",
    body=StepBody,
    answer=StepAnswer,
    errors=("not_found", "not_now"),
    example={"kind": "contested", "text": "扫码枪误扫，原盒仍在库"},
)
async def answer_one_alert(request: Request) -> Response:
    """One step."""
    body = await codec.read_body(request, _STEPS)
    taken = await take_step(site_of(request), caller_of(request), str(request.path_params["alert"]), body)
    return codec.answer({"status": taken.status, "state": taken.state})


async def take_step(site: Site, caller: Caller, identity: str, body: StepBody) -> TakenStep:
    """Take one step for a caller, if it is the caller's to take; the list shows it a moment later.

    Raises:
        Refused: the alert is none of the caller's (404), the step is another's to take (403), makes no sense (422), or
            cannot be taken as things stand (409).
    """
    scope = live.today_scope(site, caller)
    alert, _ = await site.query(read_alert, site, scope, identity)
    own = caller.role in INSTITUTION or scope.parties is not None
    if body.kind != "undone" and own != (body.kind == "contested"):
        raise Refused("not_allowed", where="kind", value=body.kind)
    actor = record_for(scope, alert, site.node.catalogue).side.institution if own else actor_of(caller)
    step = Step(
        alert=identity,
        kind=body.kind,
        actor=actor,
        person=caller.person,
        region=caller.region,
        text=body.text,
        finding=body.finding,
        to=body.to,
    )
    taken = await site.query(answer_alert, site.node.desk, step)
    site.views.news()
    if taken.status in _REFUSALS:
        raise Refused(_REFUSALS[taken.status], where="kind", value=body.kind, what=taken.message)
    return taken


def actor_of(caller: Caller) -> str:
    """Under which name an official acts: the authority, or for an account without one its role and region."""
    return caller.party or f"{caller.role}:{caller.region or '000000'}"


_REFUSALS: dict[str, Any] = {
    "unknown_alert": "not_found",
    "not_allowed": "not_allowed",
    "malformed": "field_unusable",
    "not_now": "not_now",
}


@operation(
    "streamAlerts",
    GROUP,
    "Alerts as they come, as server-sent events",
    about="Each event `alert` carries the alert's number as its id. A client that comes again with Last-Event-ID, or "
    "`after`, gets every alert that it has not had, in order; without either it gets what comes from now on.",
    query=StreamQuery,
    answer_kinds=("text/event-stream",),
    headers=(("Last-Event-ID", "Id of the last event received."),),
    errors=("busy", "not_allowed"),
)
async def stream_alerts(request: Request) -> Response:
    """The stream."""
    query = query_of(request, StreamQuery)
    wanted = wanted_within(scope_here(request), _texts(query))
    return await live.stream(request, wanted, request.headers.get("last-event-id") or query.after)
