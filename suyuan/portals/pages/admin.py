"""Accounts and keys for those who keep them: an administrator asks, a security officer approves (三员分立)."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.catalogue.regions import region_name
from suyuan.lookup.moment import iso_time
from suyuan.portals import keys
from suyuan.portals.access import TITLES, caller_of
from suyuan.portals.api.keys import shown
from suyuan.portals.audit import recorded
from suyuan.portals.pages.forms import form_of
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.storage.people import ROLES, Person
from suyuan.storage.people import Request as Asked
from suyuan.storage.tables import TablesError

PAGE = 25
"""People or keys of a page."""
NAME = re.compile(r"[\w.@-]{2,40}")
REGION = re.compile(r"(?:\d{6})?", re.ASCII)
FUNDS = ("", "employee", "resident", "work_injury")

DONE = {
    "added": "The account is made. It opens when a security officer approves its role.",
    "asked": "A security officer must approve this.",
    "disabled": "The account is locked, and every session of it has ended.",
    "enabled": "The account is open again.",
    "sessions": "All sessions of this account have ended.",
    "approved": "It is approved.",
    "refused": "It is refused; nothing was changed.",
    "revoked": "The key has ended.",
    "key": "A security officer must approve this, and hands the key over.",
}


async def show_people(request: Request) -> Response:
    """Everybody, page by page, and what waits for approval."""
    return await _people(request)


async def add_person(request: Request) -> Response:
    """A new account, closed until its role is approved."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    name = sent.get("name", "")
    fault = "" if NAME.fullmatch(name) else "An account name has 2 to 40 letters, digits, points or dashes."
    fault = fault or _role_fault(site, sent)
    if not fault:
        await recorded(request, "account.add", name, f"asks for {_wanted(sent)}: {sent.get('reason', '')}")
        tables = site.node.tables
        try:
            await site.query(tables.add_person, name, "", subject=sent.get("subject", "")[:200])
            await site.query(_ask_role, site, caller.person, name, sent)
        except TablesError as error:
            fault = str(error)
    if fault:
        return await _people(request, fault=text_of(request, fault), sent=sent)
    return RedirectResponse(f"/admin/people/{name}?done=added", 303)


async def show_person(request: Request) -> Response:
    """One account."""
    return await _person(request)


async def change_person(request: Request) -> Response:
    """Ask for another role or a one-time password; lock or open the account; end its sessions."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    name, what = request.path_params["name"], sent.get("what", "")
    tables, reason = site.node.tables, sent.get("reason", "")
    if await site.query(tables.person, name) is None:
        raise Refused("not_found", where="name", value=name)
    if what not in {"role", "reset", "disable", "enable", "sessions"}:
        raise Refused("field_unusable", where="what", value=what)
    if name == caller.person and what != "sessions":
        return await _person(request, fault=text_of(request, "Nobody changes their own account here."))
    if what == "role" and (fault := _role_fault(site, sent)):
        return await _person(request, fault=text_of(request, fault))
    told = f"{_wanted(sent)}: {reason}" if what == "role" else reason
    await recorded(request, f"account.{what}", name, told)
    try:
        if what == "role":
            await site.query(_ask_role, site, caller.person, name, sent)
        elif what == "reset":
            await site.query(tables.ask, "reset", name, caller.person, reason=reason)
        elif what == "sessions":
            await site.query(tables.end_sessions, name)
        else:
            await site.query(tables.disable_person, name, what == "disable")
    except TablesError as error:
        return await _person(request, fault=text_of(request, str(error)))
    done = {"role": "asked", "reset": "asked", "disable": "disabled", "enable": "enabled", "sessions": "sessions"}
    return RedirectResponse(f"/admin/people/{name}?done={done[what]}", 303)


async def decide(request: Request) -> Response:
    """Approve or refuse what an administrator asked; whoever approves gets the one-time password or the key."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    asked, approve = request.path_params["request"], sent.get("decision") == "approve"
    if sent.get("decision") not in {"approve", "refuse"}:
        raise Refused("field_unusable", where="decision", value=sent.get("decision", ""))
    waiting = [one for one in await site.query(site.node.tables.list_requests) if one.id == asked]
    subject = f"{waiting[0].kind} {waiting[0].person} {waiting[0].role}".strip() if waiting else asked
    await recorded(request, "account.approve" if approve else "account.refuse", subject, sent.get("reason", ""))
    try:
        done, secret = await site.query(_decided, site, asked, caller.person, approve=approve)
    except TablesError as error:
        return await _people(request, fault=text_of(request, str(error)))
    if secret:
        return page(request, "access/handover.html", {"asked": done, "secret": secret})
    return RedirectResponse(f"/admin?done={'approved' if approve else 'refused'}", 303)


async def show_keys(request: Request) -> Response:
    """Keys of all parties."""
    return await _keys(request)


async def ask_key(request: Request) -> Response:
    """Ask for a key of a party."""
    caller, site, sent = caller_of(request), site_of(request), await form_of(request)
    party = sent.get("party", "")[:40]
    await recorded(request, "account.key.ask", party, sent.get("label", ""))
    try:
        await site.query(keys.ask, site.node, caller, party, sent.get("label", "")[:100])
    except Refused as refusal:
        return await _keys(request, fault=text_of(request, refusal.what))
    return RedirectResponse("/admin/keys?done=key", 303)


async def revoke_key(request: Request) -> Response:
    """The end of a key of anybody."""
    caller, site = caller_of(request), site_of(request)
    old = await site.query(keys.key_asked, site.node, caller, request.path_params["key"])
    await recorded(request, "account.key.revoke", old.id, old.institution)
    await site.query(site.node.tables.revoke, old.id)
    site.forget_networks()
    return RedirectResponse(f"/admin/keys?party={old.institution}&done=revoked", 303)


async def show_changes(request: Request) -> Response:
    """What was changed about accounts and keys, from the latest back."""
    site, text = site_of(request), request.query_params.get("text", "")[:80]
    before = request.query_params.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else 1 << 62  # noqa: PLR2004
    lines = await site.query(site.node.audit.find, text=text, action="account.", before=number, limit=PAGE + 1)
    values = {
        "text": text,
        "lines": [(one, iso_time(one.at)[:19].replace("T", " ")) for one in lines[:PAGE]],
        "next": lines[PAGE - 1].number if len(lines) > PAGE else 0,
    }
    return page(request, "access/changes.html", values)


def _decided(site: Site, asked: str, by: str, *, approve: bool) -> tuple[Asked, str]:
    done, secret = site.node.tables.decide(asked, by, approve=approve)
    if approve and done.kind == "key":
        issued = site.node.tables.create_credential(done.person, label=done.reason, made_by=done.asked_by)
        secret = f"{issued.id}.{issued.secret}"
    return done, secret


def _ask_role(site: Site, by: str, name: str, sent: dict[str, str]) -> None:
    site.node.tables.ask(
        "grant",
        name,
        by,
        role=sent.get("role", ""),
        institution=sent.get("institution", "")[:40],
        region=sent.get("region", ""),
        fund=sent.get("fund", ""),
        reason=sent.get("reason", ""),
    )


def _wanted(sent: dict[str, str]) -> str:
    parts = (sent.get(name, "") for name in ("role", "institution", "region", "fund"))
    return " ".join(part for part in parts if part)


def _role_fault(site: Site, sent: dict[str, str]) -> str:
    """Why this role cannot be asked for; empty where it can."""
    role, party = sent.get("role", ""), sent.get("institution", "")
    if role not in ROLES:
        return "Choose a role."
    if not REGION.fullmatch(sent.get("region", "")):
        return "A region has six digits."
    if sent.get("fund", "") not in FUNDS:
        return "There is no such fund."
    if role in {"clerk", "pharmacist", "manager", "firm", "vendor"} and not party:
        return "Say for which institution or firm."
    if party and site.party(party) is None:
        return "Nobody is listed under this code."
    return ""


async def _people(request: Request, *, fault: str = "", sent: dict[str, str] | None = None) -> Response:
    site = site_of(request)
    text, after = request.query_params.get("text", "")[:80], request.query_params.get("after", "")[:80]
    found = await site.query(site.node.tables.list_people, text, after, PAGE + 1)
    values = {
        "text": text,
        "after": after,
        "people": [_shown(request, one) for one in found[:PAGE]],
        "next": found[PAGE - 1].name if len(found) > PAGE else "",
        "waiting": [_asked(one) for one in await site.query(site.node.tables.list_requests)],
        "sent": sent or {},
        **_choices(),
        **_note(request, fault),
    }
    return page(request, "access/people.html", values, 422 if fault else 200)


async def _person(request: Request, *, fault: str = "") -> Response:
    site, name = site_of(request), request.path_params["name"]
    tables = site.node.tables
    person = await site.query(tables.person, name)
    if person is None:
        raise Refused("not_found", where="name", value=name)
    waiting = [_asked(one) for one in await site.query(tables.list_requests) if one.person == name]
    held = await site.query(tables.password_of, name)
    values = {
        "person": _shown(request, person),
        "waiting": waiting,
        "sessions": len(await site.query(tables.list_sessions, name)),
        "password": "" if held is None else iso_time(held.changed)[:10],
        "one_time": held is not None and held.must_change,
        "own": name == caller_of(request).person,
        **_choices(),
        **_note(request, fault),
    }
    return page(request, "access/person.html", values, 422 if fault else 200)


async def _keys(request: Request, *, fault: str = "") -> Response:
    site, party = site_of(request), request.query_params.get("party", "")[:40]
    found = list(reversed(await site.query(site.node.tables.list_credentials, party)))
    start = request.query_params.get("start", "0")
    first = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 0  # noqa: PLR2004  a place
    now = site.node.ledger.clock()
    values = {
        "party": party,
        "keys": [shown(one, now) for one in found[first : first + PAGE]],
        "count": len(found),
        "next": first + PAGE if len(found) > first + PAGE else 0,
        **_note(request, fault),
    }
    return page(request, "access/keys.html", values, 422 if fault else 200)


def _choices() -> dict[str, Any]:
    return {"roles": [(role, TITLES[role][0]) for role in TITLES if role in ROLES], "funds": FUNDS}


def _note(request: Request, fault: str) -> dict[str, str]:
    done = DONE.get(request.query_params.get("done", ""), "")
    return {"fault": fault, "done": text_of(request, done) if done and not fault else ""}


def _shown(request: Request, person: Person) -> dict[str, Any]:
    listed = site_of(request).party(person.institution) if person.institution else None
    title = next((TITLES[role][0] for role in TITLES if role == person.role), "")
    return {
        "name": person.name,
        "role": person.role,
        "title": title,
        "institution": person.institution,
        "party_name": listed.name if listed else "",
        "region": person.region,
        "region_name": region_name(person.region, language_of(request)) if person.region else "",
        "fund": person.fund,
        "disabled": person.disabled,
        "subject": person.subject,
    }


def _asked(one: Asked) -> dict[str, str]:
    title = next((TITLES[role][0] for role in TITLES if role == one.role), "")
    return {
        "id": one.id,
        "kind": one.kind,
        "person": one.person,
        "title": title,
        "where": " ".join(part for part in (one.institution, one.region, one.fund) if part),
        "reason": one.reason,
        "asked_by": one.asked_by,
        "asked": iso_time(one.asked)[:16].replace("T", " "),
    }
