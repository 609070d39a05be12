"""Sessions of people: a random cookie, kept as its hash; new at each sign-in, over when idle, ended by hand."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from suyuan.portals.access import Role, caller_of
from suyuan.portals.callers import COOKIE, from_here
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.storage.people import Password, Person, session_id

GUESSES = 2
"""Passwords tried at the same time: each costs 32 MiB and a fifth of a second of a core."""

HOMES: dict[Role, str] = {
    "clerk": "/institution",
    "pharmacist": "/institution",
    "manager": "/institution",
    "firm": "/firm",
    "agency": "/inspector",
    "inspector": "/inspector",
    "drug_regulator": "/inspector",
    "auditor": "/audit",
    "security_officer": "/admin",
    "administrator": "/admin",
}
"""Where each begins; everybody else at their account."""

_guessing: asyncio.Semaphore | None = None


class SignInFailed(Exception):  # noqa: N818  the reader's word for it
    """Nobody was let in; the words, in English, are the same whatever was wrong. `wait` is in seconds."""

    def __init__(self, what: str, wait: int = 0) -> None:
        super().__init__(what)
        self.wait = wait


async def proven_by_password(site: Site, name: str, password: str) -> tuple[Person, Password]:
    """The person of this name and password, and what is kept of it.

    Raises:
        SignInFailed: no such name, a wrong password, an account at rest, locked out or without a role.
    """
    global _guessing  # noqa: PLW0603  it belongs to the event loop, which is there from the first sign-in on
    _guessing = _guessing or asyncio.Semaphore(GUESSES)
    if not name or not password:
        raise SignInFailed("This name and password do not belong together.")
    async with _guessing:
        held, wait = await asyncio.to_thread(site.node.tables.try_password, name, password)
    if wait:
        raise SignInFailed("Too many wrong passwords. Wait before you try again.", wait)
    if held is None:
        raise SignInFailed("This name and password do not belong together.")
    return allowed(await site.query(site.node.tables.person, name)), held


def allowed(person: Person | None) -> Person:
    """A person who may come in.

    Raises:
        SignInFailed: nobody, locked out, or without a role yet.
    """
    if person is None or person.disabled:
        raise SignInFailed("This account is locked. Ask the administrator.")
    if not person.role:
        raise SignInFailed("This account waits for the approval of its role. Ask the security officer.")
    return person


async def begin(request: Request, response: Response, person: Person) -> None:
    """Open a session and give its cookie; the one that this browser had is over, so that none can be planted."""
    site = site_of(request)
    tables = site.node.tables
    caller = caller_of(request)
    if caller.session:
        await site.query(tables.end_sessions, caller.person, caller.session)
    client = request.headers.get("user-agent", "")
    token, _ = await site.query(tables.open_session, person.name, site.settings.session_seconds, client)
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="lax", secure=is_secure(request), max_age=site.settings.session_seconds
    )


def forget(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def is_secure(request: Request) -> bool:
    """Whether the browser came over TLS, to us or to the proxy before us."""
    return request.url.scheme == "https" or site_of(request).settings.address.startswith("https://")


def check_origin(request: Request) -> None:
    """A form without a session, such as the one of sign-in, comes from our own page as well.

    Raises:
        Refused: another site sent it.
    """
    if not from_here(request):
        raise Refused("forged_form")


def own_session(request: Request) -> str:
    """Id of the session of this request; empty where there is none."""
    token = request.cookies.get(COOKIE)
    return session_id(token) if token else ""
