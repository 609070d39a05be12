"""The shell around every page: language, elder version, who is signed in, what a form must carry."""

import gzip
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from suyuan.portals.access import caller_of
from suyuan.portals.assets import takes_gzip
from suyuan.portals.problem import Refused, problem_of
from suyuan.portals.site import site_of
from suyuan.portals.templating import LANGUAGES

LANGUAGE, ELDER = "lang", "elder"
"""Cookies that keep a choice, of anybody, for a year; they say nothing about who it is."""
YEAR = 365 * 24 * 3600


def language_of(request: Request) -> str:
    """Zh or en: what was chosen, else what the browser prefers, else Chinese."""
    chosen = request.query_params.get(LANGUAGE) or request.cookies.get(LANGUAGE, "")
    if chosen in LANGUAGES:
        return chosen
    for wish in request.headers.get("accept-language", "").lower().split(","):
        if wish.strip()[:2] in LANGUAGES:
            return wish.strip()[:2]
    return LANGUAGES[0]


def is_elder(request: Request) -> bool:
    """Whether the elder version (长辈版) is on."""
    return request.cookies.get(ELDER) == "1"


def text_of(request: Request, message: str) -> str:
    """An English text in the language of the request."""
    return site_of(request).templates.text(message, language_of(request))


def page(request: Request, template: str, values: dict[str, Any] | None = None, status: int = 200) -> HTMLResponse:
    """One page in the language and size of its reader."""
    state = request.scope["state"]
    around = {
        "caller": caller_of(request),
        "elder": is_elder(request),
        "here": request.url.path,
        "here_with_query": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "form_token": state.get("form_token", ""),
        "request_id": state["request_id"],
        "settings": site_of(request).settings,
        "deferring": bool(site_of(request).counter.deferral.reason),
        "refusing": site_of(request).counter.deferral.refusing,
    }
    html = site_of(request).templates.render(template, language_of(request), around | (values or {}))
    # Shrunk for those without a session alone: a page that holds a secret beside what its reader sent would tell the
    # secret by its length (BREACH).
    if not caller_of(request).session and takes_gzip(request):
        headers = {"content-encoding": "gzip", "vary": "accept-encoding, accept-language, cookie"}
        return HTMLResponse(gzip.compress(html.encode(), 6), status, headers)
    return HTMLResponse(html, status)


def refusal_page(request: Request, refusal: Refused) -> Response:
    """A refusal as a page, with what to do."""
    told = problem_of(refusal, request.scope["state"]["request_id"], language_of(request))
    problem = {"detail": "", "where": "", "value": "", **told}
    return page(request, "common/refusal.html", {"problem": problem}, refusal.error.status)


async def set_preferences(request: Request) -> Response:
    """Keep the choice of language or of the elder version, and go back to where it was made."""
    back = urlsplit(request.query_params.get("next", "/"))
    inside = (
        back.path.startswith("/") and not back.path.startswith(("//", "/\\")) and not back.netloc and not back.scheme
    )
    target = back.path + (f"?{back.query}" if back.query else "") if inside else "/"
    response = RedirectResponse(target, 303)
    for name, allowed in ((LANGUAGE, LANGUAGES), (ELDER, ("0", "1"))):
        value = request.query_params.get(name)
        if value in allowed:
            response.set_cookie(name, value, max_age=YEAR, samesite="lax", httponly=True)
    return response
