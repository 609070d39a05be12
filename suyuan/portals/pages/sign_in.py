"""Signing in with a password or through the organisation's own server, and signing out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.portals.access import Caller, caller_of
from suyuan.portals.callers import caller_for
from suyuan.portals.oidc import SignOnFailed
from suyuan.portals.pages.forms import form_of, inside
from suyuan.portals.pages.shell import page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.sessions import (
    HOMES,
    SignInFailed,
    allowed,
    begin,
    check_origin,
    forget,
    is_secure,
    proven_by_password,
)
from suyuan.portals.site import site_of
from suyuan.storage.people import Person

STARTED = "suyuan_sign_on"
BACK = "/sign-in/organisation/back"
NAME_MAX = 80


async def show(request: Request) -> Response:
    """The form; who is signed in already is led home."""
    caller = caller_of(request)
    if caller.session:
        return RedirectResponse(inside(request.query_params.get("next", "")) or HOMES.get(caller.role, "/account"), 303)
    return _form(request, {"next": request.query_params.get("next", "")})


async def sign_in(request: Request) -> Response:
    """A name and a password."""
    check_origin(request)
    sent = await form_of(request)
    name, site = sent.get("name", "")[:NAME_MAX], site_of(request)
    await site.limits.check("sign_in", f"name {name}")
    try:
        person, held = await proven_by_password(site, name, sent.get("password", ""))
    except SignInFailed as failure:
        if failure.wait:
            await site.query(site.audit.note, Caller(), "session.rest", name, "", request.scope["state"]["request_id"])
        return _form(request, sent, failure)
    return await _let_in(request, person, "/account/password" if held.must_change else sent.get("next", ""))


async def to_organisation(request: Request) -> Response:
    """Off to the organisation's own server."""
    sign_on = site_of(request).sign_on
    if sign_on is None:
        raise Refused("not_found", where="/sign-in/organisation")
    try:
        address, cookie = await sign_on.start(_return_to(request), request.query_params.get("next", ""))
    except SignOnFailed as failure:
        return _sign_on_failed(request, failure)
    response = RedirectResponse(address, 303)
    secure = is_secure(request)
    response.set_cookie(STARTED, cookie, max_age=600, httponly=True, samesite="lax", secure=secure, path="/sign-in")
    return response


async def from_organisation(request: Request) -> Response:
    """Back from there, with a code that only this node can turn into a name."""
    site = site_of(request)
    if site.sign_on is None:
        raise Refused("not_found", where=BACK)
    cookie, told = request.cookies.get(STARTED, ""), dict(request.query_params)
    try:
        subject, back = await site.sign_on.finish(_return_to(request), cookie, told)
        person = allowed(await site.query(site.node.tables.person_called, subject))
    except SignOnFailed as failure:
        return _sign_on_failed(request, failure)
    except SignInFailed as failure:
        return _form(request, {}, failure)
    response = await _let_in(request, person, back)
    response.delete_cookie(STARTED, path="/sign-in", httponly=True, samesite="lax")
    return response


async def sign_out(request: Request) -> Response:
    """The end of this session."""
    caller, site = caller_of(request), site_of(request)
    if caller.session:
        await site.query(site.node.tables.end_sessions, caller.person, caller.session)
    response = RedirectResponse("/sign-in?out=1", 303)
    forget(response)
    return response


async def _let_in(request: Request, person: Person, back: str) -> Response:
    home = next((place for role, place in HOMES.items() if role == person.role), "/account")
    response = RedirectResponse(inside(back) or home, 303)
    site = site_of(request)
    await site.query(
        site.audit.note,
        caller_for(site, person),
        "session.begin",
        person.name,
        "",
        request.scope["state"]["request_id"],
    )
    await begin(request, response, person)
    return response


def _form(request: Request, sent: dict[str, str], failure: SignInFailed | None = None) -> Response:
    values = {
        "name": sent.get("name", ""),
        "next": inside(sent.get("next", "")),
        "fault": text_of(request, str(failure)) if failure else "",
        "wait": failure.wait if failure else 0,
        "out": request.query_params.get("out") == "1" and not failure,
        "organisation": site_of(request).sign_on is not None,
    }
    response = page(request, "access/sign_in.html", values, 401 if failure else 200)
    if failure and failure.wait:
        response.status_code = 429
        response.headers["retry-after"] = str(failure.wait)
    return response


def _sign_on_failed(request: Request, failure: SignOnFailed) -> Response:
    site_of(request).log.warning("sign_on", id=request.scope["state"]["request_id"], why=str(failure))
    return _form(request, {}, SignInFailed("The organisation's server did not confirm who you are. Try again."))


def _return_to(request: Request) -> str:
    base = site_of(request).settings.address.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"
    return base + BACK
