"""Reporting a problem: the form, the receipt number, the page that follows it, and the compensation sheet."""

import base64
import secrets
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.catalogue.parties import Party
from suyuan.catalogue.regions import divisions
from suyuan.codes.qr import qr_svg
from suyuan.codes.recognise import recognise
from suyuan.intake.report_number import GROUP, read_number, spelled
from suyuan.intake.reports import (
    CONTACT_MAX,
    PHOTOS_MAX,
    PLACE_MAX,
    TRAITS,
    WORDS_MAX,
    Fault,
    Report,
    ReportRefused,
    read_report,
)
from suyuan.lookup.citizen import CitizenAnswer, check
from suyuan.lookup.moment import iso_time
from suyuan.lookup.story import leading_first
from suyuan.lookup.words import Language
from suyuan.portals.access import caller_of
from suyuan.portals.api.reports import address_here, day_in_china, step_told, take
from suyuan.portals.pages.citizen import when
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of

CODE_MAX = 400
SALES_SHOWN = 5
FILES_MAX = 50
"""Files of a form that are looked at: more than are taken, so that too many are told as such."""

TRAIT_WORDS: dict[str, str] = {
    "sold_before": "The code was sold before",
    "not_mine": "The sale on record is not mine",
    "packaging": "The box looks different or was opened",
    "print": "The print is blurred, or the code scratched or covered",
    "look_or_smell": "The medicine looks or smells strange",
    "no_code": "There is no trace code, or it was not scanned",
    "price": "The price is unusual",
    "seller": "Sold by a stranger, or outside a pharmacy",
    "no_receipt": "No receipt was given",
    "effect": "It did not work, or made me ill",
    "other": "Something else",
}
"""In the order of the form; pages translate them."""

STATE_WORDS: dict[str, str] = {
    "received": "Report received",
    "taken_up": "Taken up",
    "checking": "Being checked",
    "answered": "Answered",
    "passed_on": "Passed on",
}
PRIVATE = {"cache-control": "no-store", "x-robots-tag": "noindex"}

assert set(TRAIT_WORDS) == set(TRAITS), "each trait has its words"


# The form


async def form(request: Request) -> Response:
    """The form; with `receipt`, the way to the page that follows a report."""
    typed = request.query_params.get("receipt", "")
    if typed.strip():
        number = read_number(typed)
        if number:
            return RedirectResponse(f"/report/{spelled(number)}", 303)
        fault = Fault("receipt", "This is no receipt number: it has twelve letters and digits. Check what you typed.")
        return await _form(request, {"receipt": typed}, [fault], 422)
    values = {name: request.query_params.get(name, "")[:CODE_MAX] for name in ("code", "place")}
    return await _form(request, values, [])


async def send(request: Request) -> Response:
    """Take the form in, and lead to the page with its receipt number, so that a reload sends nothing."""
    async with request.form(max_files=FILES_MAX, max_fields=60, max_part_size=1 << 16) as sent:
        photos = await _photos(sent)
        values: dict[str, Any] = {name: value for name, value in sent.items() if isinstance(value, str)}
        values["traits"] = [trait for trait in sent.getlist("traits") if isinstance(trait, str)]
    try:
        taken = await take(site_of(request), await _report(request, values, photos))
    except ReportRefused as refusal:
        return await _form(request, values, refusal.faults, 422)
    said = "changed" if taken.changed else "new" if taken.first else "again"
    return RedirectResponse(f"/report/{spelled(taken.receipt)}?sent={said}", 303)


async def _photos(sent: FormData) -> tuple[bytes, ...]:
    """The files of the form; a browser sends an empty one where none was chosen."""
    found = [await one.read() for one in sent.getlist("photos") if isinstance(one, UploadFile)]
    return tuple(photo for photo in found if photo)


async def _report(request: Request, values: dict[str, Any], photos: tuple[bytes, ...]) -> Report:
    """What the form says."""
    site = site_of(request)
    code = values.get("code", "").strip()
    happened = day_in_china(values.get("happened", "").strip())
    seller, region = await site.query(_seller, site, code, values.get("sale", ""), values.get("place", ""))
    return Report(
        token=values.get("report_token", ""),
        code=code,
        region=values.get("region") or region,
        institution=seller,
        place=values.get("place", ""),
        happened=_not_ahead(happened, site.node.ledger.clock()),
        traits=tuple(dict.fromkeys(values["traits"])),
        words=values.get("words", "").replace("\r\n", "\n"),
        photos=photos,
        contact=values.get("contact", ""),
        software=caller_of(request).software,
    )


def _not_ahead(happened: int | None, now: int) -> int:
    """Noon of today may still be ahead: then it is now. What is no day is told as one that nobody can mean."""
    if happened is None:
        return 2 * now
    today = iso_time(happened)[:10] == iso_time(now)[:10]
    return min(happened, now) if today else happened


def _seller(site: Site, code: str, sale: str, place: str) -> tuple[str, str]:
    """Institution and region that the sender named: one of the box's sales, else a name or code as it is listed."""
    if code and sale and sale != "elsewhere":
        keys, histories = leading_first(site.node.ledger, recognise(code, "scan", site.node.catalogue.maker_rules))
        for event in histories[keys[0]]:
            if event.kind in {"sold", "claimed"} and _mark(iso_time(event.event_time), iso_time(event.arrived)) == sale:
                return event.actor, event.region or _region(site.party(event.actor))
    wanted = "".join(place.split())
    if not wanted:
        return "", ""
    named = {party.code: party for party in site.node.catalogue.content.parties if wanted in {party.name, party.code}}
    # Two shops of one name: nobody can say which one is meant, so the region that was chosen decides alone.
    party = next(iter(named.values())) if len(named) == 1 else None
    return (party.code, party.region) if party is not None else ("", "")


def _region(party: Party | None) -> str:
    return party.region if party is not None else ""


def _mark(event_time: str, arrived: str) -> str:
    """By which a sale of a box is named in the form: it says no more than the page shows."""
    return f"{event_time}|{arrived}"


async def _form(request: Request, values: dict[str, Any], faults: Iterable[Fault], status: int = 200) -> Response:
    site, language = site_of(request), language_of(request)
    code = str(values.get("code", "")).strip()
    answer = await _counted(request, code)
    told = [(fault.field, text_of(request, fault.words)) for fault in dict.fromkeys(faults)]
    shown = {
        "values": {"traits": [], "region": "", "sale": "", **_empty(), **values},
        "token": values.get("report_token") or secrets.token_urlsafe(18),
        "faults": dict(told),
        "fault_list": told,
        "answer": answer,
        "sales": [
            (sale, _mark(sale.event_time, sale.arrived), when(sale.event_time, language))
            for sale in (answer.sales[-SALES_SHOWN:] if answer is not None else [])
            if not sale.undone
        ],
        "traits": [(name, text_of(request, words)) for name, words in TRAIT_WORDS.items()],
        "regions": _regions(language),
        "today": iso_time(site.node.ledger.clock())[:10],
        "limits": {"photos": PHOTOS_MAX, "words": WORDS_MAX, "place": PLACE_MAX, "contact": CONTACT_MAX},
        "texts": {name: text_of(request, words) for name, words in SCRIPT_TEXTS.items()},
    }
    response = page(request, "report/form.html", shown, status)
    # A form opened anew is a new one; the one that the browser kept for the way back is the same, and is one report.
    response.headers["cache-control"] = "private, no-cache"
    return response


def _empty() -> dict[str, str]:
    return dict.fromkeys(("code", "place", "happened", "words", "contact", "receipt"), "")


SCRIPT_TEXTS = {
    "shrinking": "The photos are made smaller on this device …",
    "ready": "{0} photos, {1} KB together.",
    "many": "Only five photos can be sent: the first five are taken.",
    "unreadable": "This browser cannot read {0}. It is sent as it is.",
    "sending": "Sending …",
    "remove": "Remove photo {0}",
}


async def _count(request: Request, code: str) -> None:
    """What is shown of a box here is counted as on the page that answers for it. Raises Refused."""
    site = site_of(request)
    await site.limits.check_code(caller_of(request), recognise(code, "scan", site.node.catalogue.maker_rules))


async def _counted(request: Request, code: str) -> CitizenAnswer | None:
    """The answer, unless too many have asked about this box: a report can be sent all the same."""
    try:
        await _count(request, code)
    except Refused:
        return None
    return await _answer(site_of(request), code, language_of(request))


async def _answer(site: Site, code: str, language: str) -> CitizenAnswer | None:
    if not code:
        return None
    told: Language = "en" if language == "en" else "zh"
    return await site.query(check, site.node.ledger, site.node.catalogue, code, told)


@lru_cache(maxsize=2)
def _regions(language: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Provinces with their cities, for a list that needs no script; where there are no cities, the province itself."""
    known = divisions()
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for region in known.values():
        if region.level != "province":
            continue
        name = region.english if language == "en" and region.english else region.name
        cities = [
            (one.code, one.name)
            for one in known.values()
            if one.level == "city"
            and one.code[:2] == region.code[:2]
            and not one.name.endswith(("市辖区", "区划", "县"))
        ]
        groups.append((name, [*cities, (region.code, name)] if cities else [(region.code, name)]))
    return groups


# The page that follows a report


async def follow(request: Request) -> Response:
    """How far a report has come, for whoever has its number; nothing that its sender wrote."""
    site, language = site_of(request), language_of(request)
    file = await site.query(read_report, site.node.ledger, request.path_params["receipt"])
    if file is None:
        raise Refused("not_found", where="receipt", what=text_of(request, "There is no report with this number."))
    address = address_here(request, f"/report/{spelled(file.receipt)}")
    answer = await _answer(site, file.code, language)
    reached = {"received": iso_time(file.received)} | {step.state: iso_time(step.at) for step in file.steps}
    order = ("received", "taken_up", "checking", "answered")
    place = order.index(file.state)
    values = {
        "sent": request.query_params.get("sent", ""),
        "receipt": spelled(file.receipt),
        "state": file.state,
        "state_words": text_of(request, STATE_WORDS[file.state]),
        "stages": [
            (
                name,
                text_of(request, STATE_WORDS[name]),
                when(reached.get(name, ""), language) if at <= place else "",
                at,
            )
            for at, name in enumerate(order)
        ],
        "place": place,
        "steps": [
            (text_of(request, STATE_WORDS[step.state]), when(iso_time(step.at), language), step_told(site, step))
            for step in reversed(file.steps)
            if step.words
        ],
        "file": file,
        "product": answer.product if answer is not None else "",
        "code_shown": _grouped(file.code),
        "region": site.node.catalogue.region_name(file.region, language),
        "traits": [text_of(request, TRAIT_WORDS[trait]) for trait in file.traits],
        "address": address,
        "qr": _picture(address),
    }
    response = page(request, "report/follow.html", values)
    response.headers.update(PRIVATE)
    return response


def _grouped(code: str) -> str:
    """Digits in groups of four, as people read them aloud; any other code as it is."""
    if not (code.isascii() and code.isdigit()):
        return code
    return " ".join(code[place : place + GROUP] for place in range(0, len(code), GROUP))


def _picture(address: str) -> str:
    """A QR code as the address of a picture that needs no further request."""
    return "data:image/svg+xml;base64," + base64.b64encode(qr_svg(address).encode()).decode()


# The compensation sheet


async def compensation(request: Request) -> Response:
    """What to keep, where to go, and a letter to be filled in by hand: nothing is asked and nothing kept."""
    site, language = site_of(request), language_of(request)
    code = request.query_params.get("code", "").strip()[:CODE_MAX]
    if code:
        await _count(request, code)
    answer = await _answer(site, code, language)
    sales = answer.sales if answer is not None else []
    today = date.fromisoformat(iso_time(site.node.ledger.clock())[:10])
    values = {
        "answer": answer,
        "sales": [(sale, when(sale.event_time, language)) for sale in sales[-SALES_SHOWN:]],
        "code_shown": _grouped(answer.code) if answer is not None else "",
        "checked": when(iso_time(site.node.ledger.clock()), language),
        "today": today,
        "report_address": f"/report?code={quote(code, safe='')}" if code else "/report",
    }
    response = page(request, "report/compensation.html", values)
    response.headers.update(PRIVATE)
    return response
