"""A person's own account: password, sessions; for those who look after a party its keys and delegations."""

from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.catalogue.parties import Delegation
from suyuan.intake.desk import day_of
from suyuan.lookup.moment import iso_time
from suyuan.portals import delegations, keys
from suyuan.portals.access import DIRECTORS, TITLES, Caller, caller_of
from suyuan.portals.api.keys import row_of, shown
from suyuan.portals.audit import recorded
from suyuan.portals.pages.forms import form_of
from suyuan.portals.pages.shell import page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.sessions import SignInFailed, begin, proven_by_password
from suyuan.portals.site import Site, site_of
from suyuan.storage.tables import TablesError

DONE = {
    "password": "The password is changed; every other session has ended.",
    "session": "The session has ended.",
    "sessions": "All other sessions have ended.",
    "revoked": "The key has ended.",
    "given": "The delegation is recorded.",
    "ended": "The delegation has ended.",
}


async def show(request: Request) -> Response:
    """The account."""
    return await _account(request)


async def show_password(request: Request) -> Response:
    """The form for a new password."""
    _own_account(request)
    return page(request, "access/password.html", {"fault": ""})


async def change_password(request: Request) -> Response:
    """A new password: the old one is asked for, so that a browser left open gives no account away."""
    caller, site, sent = _own_account(request), site_of(request), await form_of(request)
    await site.limits.check("sign_in", f"name {caller.person}")
    fault = ""
    try:
        person, _ = await proven_by_password(site, caller.person, sent.get("old", ""))
        if sent.get("new") != sent.get("again"):
            fault = "The two new passwords differ."
        elif sent.get("new") == sent.get("old"):
            fault = "The new password is the old one."
        else:
            await recorded(request, "account.password", caller.person)
            await site.query(site.node.tables.set_password, caller.person, sent.get("new", ""))
    except (SignInFailed, TablesError) as failure:
        fault = str(failure)
    if fault:
        return page(request, "access/password.html", {"fault": text_of(request, fault)}, 422)
    response = RedirectResponse("/account?done=password", 303)
    await begin(request, response, person)
    return response


async def end_sessions(request: Request) -> Response:
    """The end of one session, or of all but this one."""
    caller, site, sent = _own_account(request), site_of(request), await form_of(request)
    tables = site.node.tables
    one = sent.get("session", "")
    if one:
        await site.query(tables.end_sessions, caller.person, one)
    else:
        for session in await site.query(tables.list_sessions, caller.person):
            if session.id != caller.session:
                await site.query(tables.end_sessions, caller.person, session.id)
    return RedirectResponse(f"/account?done={'session' if one else 'sessions'}", 303)


async def issue_key(request: Request) -> Response:
    """A new key, its secret shown this once; or a public key taken."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    party = keys.own_party(caller)
    label, networks = sent.get("label", "")[:100], sent.get("networks", "")
    await recorded(request, "account.key.issue", party, label)
    try:
        if sent.get("public_key"):
            made = await site.query(keys.register, site.node, caller, sent["public_key"], label, networks)
            return await _account(request, new={"id": made.id, "secret": ""})
        issued = await site.query(keys.issue, site.node, caller, label, networks)
    except Refused as refusal:
        return await _account(request, fault=refusal.what, status=422)
    return await _account(request, new={"id": issued.id, "secret": f"{issued.id}.{issued.secret}"})


async def replace_key(request: Request) -> Response:
    """A new key in place of one that stays good for some days."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    old = await site.query(keys.key_asked, site.node, caller, request.path_params["key"])
    days = sent.get("days", "7")
    if not days.isascii() or not days.isdigit() or int(days) > keys.OVERLAP_DAYS_MAX:
        return await _account(request, fault=f"0–{keys.OVERLAP_DAYS_MAX}", status=422)
    keys.own_party(caller)
    await recorded(request, "account.key.replace", old.id, f"overlap of {days} days")
    issued = await site.query(keys.replace, site.node, caller, old, int(days))
    return await _account(request, new={"id": issued.id, "secret": f"{issued.id}.{issued.secret}"})


async def revoke_key(request: Request) -> Response:
    """The end of a key."""
    caller, site = caller_of(request), site_of(request)
    keys.own_party(caller)
    old = await site.query(keys.key_asked, site.node, caller, request.path_params["key"])
    await recorded(request, "account.key.revoke", old.id, old.institution)
    await site.query(site.node.tables.revoke, old.id)
    site.forget_networks()
    return RedirectResponse("/account?done=revoked#keys", 303)


async def give_delegation(request: Request) -> Response:
    """Somebody else may send for the party, until a day."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    party, delegate = keys.own_party(caller), sent.get("delegate", "")[:40]
    try:
        first = date.fromisoformat(sent["since"]) if sent.get("since") else day_of(site.node.ledger.clock())
        last = date.fromisoformat(sent.get("until", ""))
    except ValueError:
        return await _account(request, fault=text_of(request, "Write the last day as year-month-day."), status=422)
    await recorded(
        request, "account.delegation.give", f"{party} → {delegate}", f"until {last} {sent.get('purpose', '')}"
    )
    wanted = Delegation(party, delegate, sent.get("purpose", "")[:200], first, last)
    try:
        await site.query(delegations.give, site.node, wanted)
    except Refused as refusal:
        return await _account(request, fault=refusal.what, status=422)
    return RedirectResponse("/account?done=given#delegations", 303)


async def end_delegation(request: Request) -> Response:
    """A delegation is taken back."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    party, delegate = keys.own_party(caller), sent.get("delegate", "")
    await recorded(request, "account.delegation.end", f"{party} → {delegate}")
    await site.query(delegations.end, site.node, party, delegate)
    return RedirectResponse("/account?done=ended#delegations", 303)


def _own_account(request: Request) -> Caller:
    """The caller, who must be a person: software has no account."""
    caller = caller_of(request)
    if not caller.person:
        raise Refused("not_allowed", where="caller", what="This page is for people who signed in.")
    return caller


async def _account(
    request: Request, *, new: dict[str, str] | None = None, fault: str = "", status: int = 200
) -> Response:
    caller, site = _own_account(request), site_of(request)
    values = await site.query(_values, site, caller)
    done = DONE.get(request.query_params.get("done", ""), "")
    values |= {"new": new, "fault": fault, "done": text_of(request, done) if done and not fault else ""}
    return page(request, "access/account.html", values, status)


def _values(site: Site, caller: Caller) -> dict[str, Any]:
    tables, now = site.node.tables, site.node.ledger.clock()
    person = tables.person(caller.person)
    party = site.party(caller.party) if caller.party else None
    directs = caller.role in DIRECTORS and bool(caller.party)
    given, received = delegations.of_party(site.node, caller.party) if directs else ([], [])
    today = day_of(now)
    return {
        "title": TITLES[caller.role][0],
        "sees": TITLES[caller.role][1],
        "party_name": party.name if party else "",
        "has_password": person is not None and not person.subject,
        "sessions": [
            {
                "id": one.id,
                "here": one.id == caller.session,
                "begun": iso_time(one.begun)[:16].replace("T", " "),
                "seen": iso_time(one.seen)[:16].replace("T", " "),
                "client": one.client,
            }
            for one in tables.list_sessions(caller.person)
        ],
        "directs": directs,
        "keys": [shown(one, now) for one in reversed(tables.list_credentials(caller.party))] if directs else [],
        "given": [(row_of(one), one.valid_from <= today <= one.valid_to) for one in given],
        "received": [(row_of(one), one.valid_from <= today <= one.valid_to) for one in received],
        "today": today.isoformat(),
    }
