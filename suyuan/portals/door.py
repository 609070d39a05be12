"""The door: what happens before and after every endpoint — request id, caller, limits, headers, log, figures."""

import re
import secrets
import time
from collections.abc import Callable, Container
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from suyuan.portals import nhsa
from suyuan.portals.access import Caller, Role
from suyuan.portals.callers import checked_body, from_here, identify
from suyuan.portals.codec import to_json
from suyuan.portals.pages.shell import language_of, refusal_page
from suyuan.portals.problem import PROBLEM_JSON, Refused, problem_of
from suyuan.portals.site import UNDER_WAY, Site, site_of

REQUEST_ID = re.compile(r"[\w.-]{8,64}", re.ASCII)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CHANGING = frozenset({"/account/password", "/sign-out", "/static/{name:path}", "/preferences", "/livez"})
"""All that is open before a one-time password is changed."""

UPLOADING = frozenset({"counter", "bulk"})
"""Lanes whose requests count against the version of software that sent them; at the NHSA address its messages tell."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(self)"),
    (b"content-security-policy", CONTENT_POLICY.encode()),
)
SECURE = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Url(NamedTuple):
    """One address of the program: who may use it, which limit counts it, and what stands behind it."""

    method: str
    path: str
    endpoint: Callable[..., object]
    who: frozenset[Role]
    lane: str = "query"
    """Which of the settings `rate_…` counts it."""
    kind: str = "raw"
    """raw: for programs, described where its endpoint is an `operation`; nhsa: answers in that envelope; page: HTML,
    whose visitors are led to sign in."""


class Framed:
    """Around the whole application: an id for each request, headers, a line in the log, figures."""

    def __init__(self, application: ASGIApp, site: Site, shortcut: ASGIApp, short: Container[tuple[str, str]]) -> None:
        self.application = application
        self.site = site
        self._shortcut = shortcut
        self._short = short
        """Method and path of what the shortcut answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = _request_id(scope)
        UNDER_WAY.set(state)
        extra = [*HEADERS, (b"x-request-id", request_id.encode())]
        if scope["scheme"] == "https":
            extra.append(SECURE)
        status, begun = 0, time.perf_counter()

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if notice := self.site.counter.deferral.notice():
                    extra.append((b"x-suyuan-store", notice.encode()))
                named = {name for name, _ in message["headers"]}
                caller = state.get("caller")
                if isinstance(caller, Caller) and caller.session and b"cache-control" not in named:
                    message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
                message["headers"] = [*message["headers"], *(one for one in extra if one[0] not in named)]
            await send(message)

        short = (scope["method"], scope["path"]) in self._short
        try:
            await (self._shortcut if short else self.application)(scope, receive, framed)
        except Exception:
            self.site.log.exception("failure", id=request_id)
            if not status:
                body = to_json(problem_of(Refused("internal"), request_id))
                await Response(body, 500, media_type=PROBLEM_JSON)(scope, receive, framed)
        finally:
            self._tell(scope, state, status, time.perf_counter() - begun)

    def _tell(self, scope: Scope, state: dict[str, object], status: int, seconds: float) -> None:
        """The pattern of the URL, never the URL: codes and references are nobody's business in a log."""
        url = state.get("url")
        route, lane = (url.path, url.lane) if isinstance(url, Url) else ("", "none")
        self.site.figures.request(route, lane, status, seconds)
        caller = state.get("caller")
        who = (caller.role, caller.party) if isinstance(caller, Caller) else ("", "")
        self.site.log.info(
            "request",
            id=state["request_id"],
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            role=who[0],
            party=who[1],
            **({"document": state["document"]} if state.get("document") else {}),
        )


def _request_id(scope: Scope) -> str:
    """The id that the sender or the proxy gave, if it is one; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            if REQUEST_ID.fullmatch(text):
                return text
    return secrets.token_hex(8)


class DoorRoute(Route):
    """A route behind the door."""

    url: Url

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in who may come in."""
        await _handle(self.url, super().handle, scope, receive, send)


async def _handle(url: Url, go_on: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    site = site_of(request)
    scope["state"]["url"] = url
    if scope["method"] not in {url.method, "HEAD" if url.method == "GET" else url.method}:
        others = {one.method for one in request.app.state.urls if one.path == url.path}
        raise Refused("method_not_allowed", value=scope["method"], headers={"allow": ", ".join(sorted(others))})
    try:
        caller = scope["state"]["caller"] = await identify(site, request)
        await site.limits.check(url.lane, caller.name)
        _admit(url, request, caller)
        if url.lane in UPLOADING and url.kind != "nhsa":
            site.limits.check_software(caller.software)
        if url.lane != "bulk":
            receive = _limited(request, receive, site.settings.body_bytes_max)
        receive = await checked_body(request, receive)
    except Refused as refusal:
        scope["state"].setdefault("caller", Caller())
        away = _elsewhere(request, refusal.error.code) if url.kind == "page" else None
        if away is None:
            raise
        await away(scope, receive, send)
        return
    await go_on(scope, receive, send)


def _limited(request: Request, take: Receive, most: int) -> Receive:
    """The body of a request up to a size, counted as it comes: what a header says of it proves nothing."""
    refusal = Refused("body_too_large", where="body", what=f"The limit is {most} bytes.")
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        message = await take()
        taken += len(message.get("body", b""))
        if taken > most:
            raise refusal
        return message

    if int(request.headers.get("content-length") or 0) > most:
        raise refusal
    return receive


def _admit(url: Url, request: Request, caller: Caller) -> None:
    """The role may use the URL, and what a browser sends with a session comes from our own pages."""
    if site_of(request).stopping and request.method not in SAFE:
        raise Refused("stopping", headers={"retry-after": "30"})
    if caller.role not in url.who:
        raise Refused("not_signed_in" if caller.role == "citizen" else "not_allowed", where=url.path)
    if caller.must_change and url.path not in CHANGING:
        raise Refused("password_change_needed", where=url.path)
    if caller.session and request.method not in SAFE and not from_here(request):
        raise Refused("forged_form")


def _elsewhere(request: Request, code: str) -> Response | None:
    """Where a visitor of a page goes first: to sign in and come back, or to choose a password of their own."""
    if code == "password_change_needed":
        return RedirectResponse("/account/password", 303)
    if code != "not_signed_in":
        return None
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(here, safe='')}" if request.method in SAFE else ""
    return RedirectResponse(f"/sign-in{back}", 303)


async def tell_refusal(request: Request, refusal: Exception) -> Response:
    """A refusal in the form its reader takes: a page for a browser on a page, problem+json for everybody else."""
    assert isinstance(refusal, Refused), "registered for this alone"
    state = request.scope["state"]
    url = state.get("url")
    state.setdefault("caller", Caller())
    site_of(request).figures.refused(refusal.error.code)
    wants_page = url.kind == "page" if isinstance(url, Url) else "text/html" in request.headers.get("accept", "")
    if isinstance(url, Url) and url.kind == "nhsa":
        response = nhsa.tell(request, refusal)
    elif wants_page:
        response = refusal_page(request, refusal)
    else:
        body = to_json(
            problem_of(refusal, state["request_id"], language_of(request) if wants_page else _language(request))
        )
        response = Response(body, refusal.error.status, media_type=PROBLEM_JSON)
    for name, value in refusal.headers.items():
        response.headers[name] = value
    return response


def _language(request: Request) -> str:
    """English for programs, unless they ask for Chinese."""
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
