"""One alert for inspectors: both sides, the gap, the evidence, what was done about it, and the next step."""

import json
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.ledger.alerts import CLASSES
from suyuan.ledger.handling import FINDINGS, Standing, state_of
from suyuan.ledger.keys import alert_key
from suyuan.ledger.privacy import SealBroken
from suyuan.lookup.explained import explained
from suyuan.lookup.moment import iso_time
from suyuan.lookup.seen import PERSONAL
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.alert_records import Side, record_for
from suyuan.portals.api.alerts import StepBody, actor_of, read_alert, take_step
from suyuan.portals.api.operation import scope_here
from suyuan.portals.audit import recorded
from suyuan.portals.codec import converted
from suyuan.portals.pages.inspector import CAUGHT_UP, PRIVATE
from suyuan.portals.pages.inspector_words import CLASS_NAMES, KIND_NAMES, STATE_NAMES, STEP_NAMES, gap_words
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.alerts import Alert

RAW_MAX = 200_000
"""Characters of a message that are shown."""


class Opened(NamedTuple):
    """Personal data of an alert, after a reason was given."""

    reason: str
    persons: list[tuple[str, str]]
    """Side (in English, for pages to translate) and pseudonym."""
    references: dict[str, str]
    raw: str


async def alert_page(request: Request) -> Response:
    """The alert."""
    return await _page(request)


async def _page(request: Request, opened: Opened | None = None, status: int = 200, fault: str = "") -> Response:
    site, scope = site_of(request), scope_here(request)
    alert, steps = await site.query(read_alert, site, scope, str(request.path_params["alert"]))
    language, record = language_of(request), record_for(scope, alert, site.node.catalogue)
    assert isinstance(record.side, Side), "officials see both sides whole"
    standing = [step for step in steps if not step.undone]
    values = {
        "alert": record,
        "name": text_of(request, CLASS_NAMES[alert.alert_class]),
        "meaning": text_of(request, record.meaning),
        "innocent": [text_of(request, words) for words in record.innocent],
        "kind": text_of(request, KIND_NAMES.get(alert.kind, "Sold")),
        "gap": gap_words(alert.gap, site.templates.text, language) if alert.other_time else "",
        "state": text_of(request, STATE_NAMES[state_of(steps)]),
        "closed": state_of(steps) == "closed",
        "reasons": explained(alert.reasons),
        "steps": [_step(request, step) for step in steps],
        "undoable": bool(standing) and standing[-1].actor == actor_of(caller_of(request)),
        "sides": [side for side in dict.fromkeys((alert.institution, alert.other_institution)) if side],
        "findings": {word: words[language == "zh"] for word, words in FINDINGS.items()},
        "may_handle": caller_of(request).role == "inspector",
        "may_open": scope.persons,
        "opened": opened,
        "fault": fault,
    }
    response = page(request, "inspector/alert.html", values, status)
    response.headers.update(PRIVATE)
    return response


def _step(request: Request, step: Standing) -> dict[str, Any]:
    language = language_of(request)
    return {
        "name": text_of(request, STEP_NAMES[step.kind]),
        "at": iso_time(step.at),
        "by": step.actor,
        "person": step.person,
        "to": step.to,
        "text": step.text,
        "finding": FINDINGS[step.finding][language == "zh"] if step.finding else "",
        "undone": step.undone,
    }


async def step_form(request: Request) -> Response:
    """One step, from the page's own forms; the page comes back with what is so now."""
    form = await request.form(max_fields=20)
    names = ("kind", "text", "finding", "to")
    body = converted({name: str(form[name]) for name in names if form.get(name)}, StepBody)
    identity = str(request.path_params["alert"])
    try:
        await take_step(site_of(request), caller_of(request), identity, body)
    except Refused as refusal:
        if refusal.error.code not in {"field_unusable", "not_now"}:
            raise
        return await _page(request, status=refusal.error.status, fault=refusal.what)
    # Who took a step sees it: the list follows at once, unless a burst is under way.
    await site_of(request).query(site_of(request).views.catch_up, CAUGHT_UP)
    return RedirectResponse(f"/inspector/alerts/{identity}#steps", 303)


async def open_form(request: Request) -> Response:
    """Personal data of the alert, after a reason that is kept in the audit record before anything is opened."""
    site, scope = site_of(request), scope_here(request)
    if not scope.persons:
        raise Refused("not_allowed", where="reason")
    form = await request.form(max_fields=10)
    reason = str(form.get("reason", "")).strip()
    alert, _ = await site.query(read_alert, site, scope, str(request.path_params["alert"]))
    try:
        await recorded(request, "read alert", alert.id, reason)
    except Refused as refusal:
        if refusal.error.code != "reason_needed":
            raise
        return await _page(request, status=refusal.error.status, fault=text_of(request, "Give a reason first."))
    return await _page(request, await site.query(_open, site, scope, alert, reason))


def _open(site: Site, scope: Scope, alert: Alert, reason: str) -> Opened:
    histories = site.node.ledger.read([alert_key(alert.id), *([alert.box] if alert.box else [])])
    told = histories[alert_key(alert.id)][0]
    persons = [("Record in question", told.person)] if told.person else []
    sequence = alert.evidence.get("earlier", {}).get("sequence", 0)
    earlier = [event for event in histories.get(alert.box, []) if event.sequence == sequence]
    persons += [("Earlier record", event.person) for event in earlier if event.person]
    own = alert.region.startswith(scope.region)
    references = {name: value for name, value in told.references.items() if name in PERSONAL} if own else {}
    return Opened(reason, persons, references, _raw(site, alert.document) if own else "")


def _raw(site: Site, name: str) -> str:
    """The sealed message in the clear, laid out where it is JSON; empty where it was not kept."""
    sealed = site.node.journal.document(name) if name else None
    if sealed is None:
        return ""
    try:
        raw = site.node.privacy.unseal(sealed)
    except SealBroken as error:
        return str(error)
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, indent=2)[:RAW_MAX]
    except ValueError:
        return raw.decode("utf-8", "replace")[:RAW_MAX]


assert set(CLASS_NAMES) > set(CLASSES), "each class has its name"
