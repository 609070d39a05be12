"""A code's story for inspectors: it and its cartons, each verdict explained, its alerts and reports."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from suyuan.ledger.alerts import CLASSES
from suyuan.lookup.explained import explained
from suyuan.lookup.seen import SeenChapter, see
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.api.codes import read_story, sight_of
from suyuan.portals.api.operation import scope_here
from suyuan.portals.audit import recorded
from suyuan.portals.pages.inspector import PRIVATE
from suyuan.portals.pages.inspector_words import CLASS_NAMES, KIND_NAMES, STATE_NAMES, VERDICT_NAMES
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.settlement.verdict import CONTEST
from suyuan.views.alerts import Alert, AlertsWanted, alerts_of_box
from suyuan.views.reports import ReportRow, ReportsWanted, reports_of_boxes

CODE_MAX = 400
CHILDREN_SHOWN = 200


async def code_page(request: Request) -> Response:
    """The story, without anything about persons."""
    return await _page(request, request.query_params.get("code", "").strip()[:CODE_MAX])


async def open_form(request: Request) -> Response:
    """The story with pseudonyms and the numbers that lead to persons, after a reason."""
    form = await request.form(max_fields=10)
    code, reason = (str(form.get(name, "")).strip()[:CODE_MAX] for name in ("code", "reason"))
    if not scope_here(request).persons:
        raise Refused("not_allowed", where="reason")
    return await _page(request, code, reason, asked=True)


async def _page(request: Request, code: str, reason: str = "", *, asked: bool = False) -> Response:
    site, scope = site_of(request), scope_here(request)
    status, fault, opened = 200, "", False
    values: dict[str, Any] = {"code": code, "story": None}
    if code:
        if asked:
            try:
                await recorded(request, "read history", code, reason)
                opened = True
            except Refused as refusal:
                if refusal.error.code != "reason_needed":
                    raise
                status, fault = refusal.error.status, text_of(request, "Give a reason first.")
        sight = sight_of(request, caller_of(request), reason=reason if opened else "")
        whole, asides = await site.query(read_story, site, code)
        story = see(whole, sight, asides)
        alerts, reports = await site.query(_about, site, scope, story.key)
        values |= {
            "story": story,
            "chapters": [_chapter(request, chapter) for chapter in story.chapters],
            "children": story.children[:CHILDREN_SHOWN],
            "alerts": [(alert, text_of(request, CLASS_NAMES[alert.alert_class])) for alert in alerts],
            "innocent": {alert.alert_class: _innocent(request, alert) for alert in alerts},
            "states": {name: text_of(request, words) for name, words in STATE_NAMES.items()},
            "reports": reports,
            "contest": CONTEST.partition("；")[0 if language_of(request) == "zh" else 2],
        }
    values |= {"opened": reason if opened else "", "fault": fault, "may_open": scope.persons}
    response = page(request, "inspector/code.html", values, status)
    response.headers.update(PRIVATE)
    return response


def _about(site: Site, scope: Scope, box: str) -> tuple[list[Alert], list[ReportRow]]:
    wanted = AlertsWanted(scope_parties=scope.parties, scope_region=scope.region, scope_fund=scope.fund)
    with site.views.read() as connection:
        alerts = alerts_of_box(connection, [box], wanted)
        reports = reports_of_boxes(connection, [box], ReportsWanted(scope_region=scope.region))
    return alerts, reports if scope.persons else []


def _innocent(request: Request, alert: Alert) -> tuple[str, list[str]]:
    meaning, innocent = CLASSES[alert.alert_class]
    return text_of(request, meaning), [text_of(request, words) for words in innocent]


def _chapter(request: Request, chapter: SeenChapter) -> dict[str, Any]:
    """One event with its words: what it was, what it was answered, and why."""
    site = site_of(request)
    party = site.party(chapter.institution) if chapter.institution else None
    reasons = [one for one in explained(chapter.reasons) if one.status != "accepted"]
    return {
        "told": chapter,
        "kind": text_of(request, KIND_NAMES.get(chapter.kind, chapter.kind)),
        "name": party.name if party is not None and party.name else chapter.institution,
        "verdict": text_of(request, VERDICT_NAMES[chapter.verdict]) if chapter.verdict else "",
        "tone": {"pay": "good", "hold": "warn", "refuse": "bad"}.get(chapter.verdict, ""),
        "reasons": reasons,
        "alert_name": text_of(request, CLASS_NAMES[chapter.alert_class]) if chapter.alert_class else "",
    }
