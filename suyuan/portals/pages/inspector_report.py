"""One citizen's report for inspectors: its evidence, the next step, and the sender's contact after a reason."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.catalogue.regions import divisions
from suyuan.intake.reports import STEPS
from suyuan.portals.api import reports
from suyuan.portals.codec import converted
from suyuan.portals.pages.inspector import CAUGHT_UP, PRIVATE
from suyuan.portals.pages.inspector_words import REPORT_STEPS
from suyuan.portals.pages.report import STATE_WORDS, TRAIT_WORDS
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of


async def report_page(request: Request) -> Response:
    """The report; that it was read is noted before it is shown."""
    return await _page(request)


async def _page(request: Request, status: int = 200, **more: Any) -> Response:  # noqa: ANN401  values of the template
    found = await reports.evidence(request, str(request.path_params["receipt"]))
    english = language_of(request) == "en"
    provinces = [row for row in divisions().values() if row.level == "province"]
    values = {
        "report": found.report,
        "found": found,
        "state": text_of(request, STATE_WORDS[found.report.state]),
        "traits": [text_of(request, TRAIT_WORDS[trait]) for trait in found.report.traits],
        "steps": [(text_of(request, STATE_WORDS[step.state]), step) for step in found.steps],
        "next_steps": {
            name: text_of(request, REPORT_STEPS[name])
            for name, states in STEPS.items()
            if found.report.state in states and name != "passed_on"
        },
        "may_pass_on": found.report.state in STEPS["passed_on"],
        "provinces": [(row.code, row.english if english else row.name) for row in provinces],
        "contact": None,
        "fault": "",
        **more,
    }
    response = page(request, "inspector/report.html", values, status)
    response.headers.update(PRIVATE)
    return response


async def step_form(request: Request) -> Response:
    """One step, from the page's own forms."""
    form = await request.form(max_fields=10)
    names = ("step", "words", "region")
    body = converted({name: str(form[name]) for name in names if form.get(name)}, reports.StepBody)
    receipt = str(request.path_params["receipt"])
    try:
        await reports.step(request, receipt, body)
    except Refused as refusal:
        if refusal.error.code != "not_now":
            raise
        return await _page(request, refusal.error.status, fault=refusal.what)
    site = site_of(request)
    await site.query(site.views.catch_up, CAUGHT_UP)
    if body.step == "passed_on":
        return RedirectResponse("/inspector?class=report", 303)  # it may be another region's now
    return RedirectResponse(f"/inspector/reports/{receipt}", 303)


async def contact_form(request: Request) -> Response:
    """The sender's contact, after a reason that stays in the report and in the audit record."""
    form = await request.form(max_fields=10)
    try:
        contact = await reports.contact_of(
            request, str(request.path_params["receipt"]), str(form.get("reason", ""))[:200]
        )
    except Refused as refusal:
        if refusal.error.code != "reason_needed":
            raise
        return await _page(request, refusal.error.status, fault=text_of(request, "Give a reason first."))
    return await _page(request, contact=contact)
