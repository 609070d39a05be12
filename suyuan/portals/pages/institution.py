"""An institution's own pages: what it owes today, its conflicts and how to contest them, how well it uploads."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.catalogue.catalogue import Catalogue
from suyuan.formats.api.answers import yuan
from suyuan.intake.answers_to_alerts import TEXT_MAX, Step, answer_alert
from suyuan.intake.desk import day_of
from suyuan.ledger.alerts import CLASSES as ALERT_CLASSES
from suyuan.ledger.handling import FINDINGS, STATES
from suyuan.ledger.statuses import STATUS
from suyuan.lookup.moment import iso_time
from suyuan.lookup.owed import (
    CLASSES,
    COVERAGE_DAYS,
    DEBT,
    DEBTS,
    LATE_HOURS,
    Coverage,
    OwedRow,
    csv_line,
    last_days,
    median_minutes,
    mend_until,
    merged,
    remaining,
    urgency,
)
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import cursor, place_of
from suyuan.portals.pages.citizen import when
from suyuan.portals.pages.forms import form_of
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views import uploads
from suyuan.views.alerts import AlertsWanted, alerts_before, count_alerts, find_alert, own_side, steps_about, steps_for
from suyuan.views.owed import Page, balances_of, list_owed, list_unmapped, tallies

_NUMBER = re.compile(r"-?[0-9]{1,18}")
PAGE_ROWS = 50
URGENT_ROWS = 5
CSV_ROWS = 20_000
"""Rows of one download; more is filtered first."""
DAYS_SHOWN = 14

STATE_WORDS = {
    "new": "New",
    "seen": "Seen by the inspector",
    "asked": "You were asked",
    "contested": "You have answered",
    "closed": "Closed",
}
"""The state of a conflict as its institution reads it."""
CLASS_WORDS = {
    "swap": "One code sold several times here",
    "repeated_settlement": "One code settled again here",
    "resale": "Sold elsewhere, long before or after",
    "clone": "Sold elsewhere within a short time",
    "two_lines": "One box on two lines of a claim",
    "split_exceeded": "More units sold than the box holds",
    "undo_by_another": "Returned at another place than sold",
    "product_differs": "Scanned product and billed product differ",
    "recalled": "Sold under a recall or stop",
    "destroyed": "Reported out of circulation before",
    "suspended": "Claim while settlement is suspended",
    "two_funds": "Paid by two funds",
}
URGENCY_WORDS = {"overdue": "Overdue", "today": "Due today", "soon": "Soon", "later": "Not due yet", "none": "Waiting"}
URGENCY_TONES = {"overdue": "bad", "today": "bad", "soon": "warn", "later": "", "none": ""}
PAPERS = {"delivery": "Delivery note", "invoice": "Invoice number", "other": "Other papers"}
"""Papers that an explanation may name, by the field of the form."""
STEP_WORDS = {
    "seen": "Seen by the inspector",
    "asked": "The inspector asks",
    "contested": "Your answer",
    "closed": "Closed",
}
MENDING = {"scan": "/scan", "cancel": "/institution/upload", "conflicts": "/institution/conflicts"}
MEND_WORDS = {"scan": "Scan now", "cancel": "Send again with the code", "conflicts": "Look at the conflict"}

WORDS: dict[str, dict[str, str]] = {
    "kind": {
        "produced": "Produced",
        "packed": "Packed",
        "unpacked": "Unpacked",
        "shipped": "Shipped",
        "received": "Received",
        "refused": "Refused on receipt",
        "counted": "Stock count",
        "changed": "Stock change",
        "sold": "Sold",
        "returned": "Returned",
        "claimed": "Settled",
        "cancelled": "Settlement cancelled",
        "exited": "Taken out of circulation",
    },
    "no_code": {
        "legacy": "stock from before",
        "exempt": "exempt product",
        "unreadable": "unreadable label",
        "virtual": "virtual code",
    },
    "reference": {
        "settlement": "Settlement",
        "order": "Charge order",
        "visit": "Visit number",
        "receipt": "Till receipt number",
        "original": "Original sale",
        "delivery": "Delivery note",
        "bill": "Bill",
        "batch": "Batch number of the upload",
        "prescription": "Prescription",
        "invoice": "Invoice number",
    },
    "finding": {name: english for name, (english, _) in FINDINGS.items()},
    "innocent": {text: text for _, texts in ALERT_CLASSES.values() for text in texts},
}
"""Words for people, by what they stand for; pages translate them."""


class Owing(NamedTuple):
    """One row as it is shown."""

    row: OwedRow
    product: str
    reference: str
    """The number by which the sender knows it, with its name."""
    until: str
    urgency: str
    why: str
    action: str
    link: str


def _chinese(request: Request) -> bool:
    return language_of(request) == "zh"


def institution_of(request: Request) -> str:
    """Code of the institution that the caller works for.

    Raises:
        Refused: it works for none.
    """
    caller = caller_of(request)
    if not caller.party:
        raise Refused("not_allowed", where="institution", what="This account belongs to no institution or firm.")
    return caller.party


# Today


async def today(request: Request) -> Response:
    """What is owed today, at a glance."""
    site, institution = site_of(request), institution_of(request)
    values = await site.query(_today, site, institution)
    chinese = _chinese(request)
    values["urgent"] = [
        (debt, tally, [_owing(request, site, row) for row in rows]) for debt, tally, rows in values["debts"]
    ]
    values["words"] = lambda thing, name: getattr(thing, f"{name}_zh") if chinese else getattr(thing, name)
    values["classes"] = {name: words[1] if chinese else words[0] for name, words in CLASSES.items()}
    return page(request, "institution/today.html", values | around(request, site, institution, "today"))


def _today(site: Site, institution: str) -> dict[str, Any]:
    now, catalogue = site.node.ledger.clock(), site.node.catalogue
    since, week = last_days(now, COVERAGE_DAYS), last_days(now, 7)
    with site.views.read() as connection:
        sums = tallies(connection, institution)
        debts = [
            (
                debt,
                sums[debt.name],
                list_owed(connection, institution, debt.name, limit=URGENT_ROWS).rows if sums[debt.name].rows else [],
            )
            for debt in DEBTS
        ]
        used = balances_of(connection, institution)
        unmapped = [
            row
            for row in list_unmapped(connection, institution)
            if catalogue.product_of(row.product_key, day_of(now)) is None
        ]
        found = uploads.coverage(connection, institution, since)
        late, _ = uploads.late(connection, institution, limit=URGENT_ROWS)
        delays = uploads.delays(connection, institution, week)
        channels = uploads.channels(connection, institution, last_days(now, DAYS_SHOWN))
        conflicts = count_alerts(connection, _wanted(institution, states=("new", "seen", "asked")))
    return {
        "debts": debts,
        "nothing": not any(tally.rows for _, tally, _ in debts),
        "balances": remaining(catalogue, institution, used, now),
        "unmapped": unmapped[:20],
        "coverage": _by_class(found),
        "late": [(row, iso_time(row.arrived), iso_time(row.oldest)) for row in late],
        "late_hours": LATE_HOURS,
        "median": _span(median_minutes(delays)),
        "channels": channels,
        "conflicts": conflicts,
    }


def _span(minutes: int | None) -> tuple[str, int]:
    """A delay in the unit in which people say it: minutes, hours or days; nothing for none."""
    if minutes is None:
        return "", 0
    if minutes < 120:  # noqa: PLR2004  two hours, as the counts are kept
        return "minutes", minutes
    hours = minutes // 60
    return ("hours", hours) if hours < 48 else ("days", hours // 24)  # noqa: PLR2004  two days, likewise


def _by_class(found: dict[tuple[str, str, str], Coverage]) -> list[tuple[str, Coverage, Coverage]]:
    """Class, coverage of sale reports and of claims; the whole first, under an empty name with both."""
    names = sorted({name for _, _, name in found})

    def of(source: str, wanted: Iterable[str]) -> Coverage:
        chosen = set(wanted)
        return merged([part for (_, way, name), part in found.items() if way == source and name in chosen])

    return [
        ("all", of("sale", names), of("claim", names)),
        *((name, of("sale", [name]), of("claim", [name])) for name in names),
    ]


def around(request: Request, site: Site, institution: str, here: str) -> dict[str, Any]:
    """What every page of an institution shows."""
    party = site.party(institution)
    language = language_of(request)
    return {
        "institution": institution,
        "institution_name": party.name if party is not None and party.name else institution,
        "section": here,
        "when": lambda moment: when(moment, language),
        "at": lambda moment: when(iso_time(moment), language),
        "iso": iso_time,
        "yuan": yuan,
        **{f"{name}_words": _translated(request, words) for name, words in WORDS.items()},
        "urgency_words": {name: text_of(request, word) for name, word in URGENCY_WORDS.items()},
        "urgency_tones": URGENCY_TONES,
        "mend_words": {name: text_of(request, word) for name, word in MEND_WORDS.items()},
    }


def _owing(request: Request, site: Site, row: OwedRow) -> Owing:
    """A row in words: what, until when, why, what to do now and where."""
    chinese, debt = _chinese(request), DEBT[row.kind]
    until = mend_until(row, site.node.desk.policy)
    reasons = [STATUS[reason] for reason in row.reasons if reason != "accepted"]
    why = ("；" if chinese else " ").join(one.meaning_zh if chinese else one.meaning for one in reasons)
    leading = reasons[0] if reasons and row.kind in {"refused", "hold"} else None
    action = debt.action_zh if chinese else debt.action
    if leading is not None:
        action = leading.next_action_zh if chinese else leading.next_action
    link = MENDING[debt.mend]
    if debt.mend == "scan" and row.reference.startswith("visit:"):
        link = f"/scan?{urlencode({'mode': 'sell', 'visit': row.reference.removeprefix('visit:')})}"
    name, _, number = row.reference.partition(":")
    return Owing(
        row=row,
        reference=f"{text_of(request, WORDS['reference'].get(name, name))} {number}" if number else "",
        product=_name(site.node.catalogue, row.product, row.event_time),
        until=iso_time(until),
        urgency=urgency(until, site.node.ledger.clock()),
        why=why,
        action=action,
        link=link,
    )


def _name(catalogue: Catalogue, nhsa: str, moment: int) -> str:
    product = catalogue.product(nhsa, day_of(moment)) if nhsa else None
    return product.name if product is not None else ""


# Lists


async def owed(request: Request) -> Response:
    """All of one kind, page by page; the filters stand in the address."""
    site, institution, kind = site_of(request), institution_of(request), _kind(request)
    query = request.query_params
    wanted = {name: query.get(name, "").strip()[:60] for name in ("product", "until")}
    after = _after(query.get("after", ""))
    found = await site.query(_rows, site, institution, kind, wanted, after=after)
    kept = urlencode({name: value for name, value in wanted.items() if value})
    values = {
        "debt": DEBT[kind],
        "rows": [_owing(request, site, row) for row in found.rows],
        "wanted": wanted,
        "kept": kept,
        "next": urlencode({**{name: value for name, value in wanted.items() if value}, "after": _mark(found)})
        if found.after is not None
        else "",
        "chinese": _chinese(request),
    }
    return page(request, "institution/owed.html", values | around(request, site, institution, "today"))


async def owed_csv(request: Request) -> Response:
    """The same list as a table for a spreadsheet."""
    site, institution, kind = site_of(request), institution_of(request), _kind(request)
    wanted = {name: request.query_params.get(name, "").strip()[:60] for name in ("product", "until")}
    found = await site.query(_rows, site, institution, kind, wanted, limit=CSV_ROWS)
    lines = [csv_line(OWED_COLUMNS), *(csv_line(_cells(_owing(request, site, row))) for row in found.rows)]
    return _csv(lines, f"{kind}-{institution}")


OWED_COLUMNS = (
    "kind",
    "product",
    "name",
    "code",
    "line",
    "count",
    "amount",
    "event_time",
    "mend_until",
    "status",
    "reasons",
    "settlement",
    "reference",
    "action",
)


def _cells(told: Owing) -> Iterator[object]:
    row = told.row
    yield from (row.kind, row.product, told.product, row.code, row.line, row.count, yuan(row.amount))
    yield from (iso_time(row.event_time), told.until, row.status, " ".join(row.reasons), row.settlement)
    yield from (row.reference, told.action)


def _csv(lines: Iterable[str], name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return Response(("\ufeff" + "".join(lines)).encode(), media_type="text/csv; charset=utf-8", headers=headers)


def _kind(request: Request) -> str:
    kind = str(request.path_params["kind"])
    if kind not in DEBT:
        raise Refused("not_found", where="kind", value=kind)
    return kind


def _rows(
    site: Site,
    institution: str,
    kind: str,
    wanted: dict[str, str],
    *,
    after: tuple[int, int, str, int, str] | None = None,
    limit: int = PAGE_ROWS,
) -> Page:
    until = 0
    if wanted["until"] in {"1", "3", "7"}:
        until = site.node.ledger.clock() + int(wanted["until"]) * 24 * 3600 * 1_000_000
    with site.views.read() as connection:
        return list_owed(
            connection, institution, kind, after=after, limit=limit, product=wanted["product"], until=until
        )


def _mark(found: Page) -> str:
    assert found.after is not None, "there is a next page"
    return "~".join(str(part) for part in found.after)


def _after(text: str) -> tuple[int, int, str, int, str] | None:
    """Where a page begins, as an address carries it; what cannot be read begins anew."""
    parts = text.split("~")
    numbers = [parts[place] for place in (0, 1, 3)] if len(parts) == 5 else [""]  # noqa: PLR2004  the sort key has five
    if not all(map(_NUMBER.fullmatch, numbers)):
        return None
    return int(parts[0]), int(parts[1]), parts[2], int(parts[3]), parts[4]


async def late(request: Request) -> Response:
    """Uploads that came late, the latest first."""
    site, institution = site_of(request), institution_of(request)
    before = _late_before(request.query_params.get("after", ""))

    def ask() -> tuple[list[uploads.Late], tuple[int, str, str] | None]:
        with site.views.read() as connection:
            return uploads.late(connection, institution, before=before, limit=PAGE_ROWS)

    rows, more = await site.query(ask)
    if request.query_params.get("format") == "csv":
        return _csv(_late_lines(rows), f"late-{institution}")
    values = {
        "rows": [(row, iso_time(row.arrived), iso_time(row.oldest)) for row in rows],
        "next": "~".join(map(str, more)) if more is not None else "",
        "late_hours": LATE_HOURS,
    }
    return page(request, "institution/late.html", values | around(request, site, institution, "today"))


def _late_lines(rows: Sequence[uploads.Late]) -> Iterator[str]:
    yield csv_line(("kind", "lines", "oldest", "arrived", "document"))
    for row in rows:
        yield csv_line((row.kind, row.count, iso_time(row.oldest), iso_time(row.arrived), row.document))


def _late_before(text: str) -> tuple[int, str, str] | None:
    parts = text.split("~")
    if len(parts) != 3 or not _NUMBER.fullmatch(parts[0]):  # noqa: PLR2004  as many as the sort key has
        return None
    return int(parts[0]), parts[1], parts[2]


async def coverage(request: Request) -> Response:
    """Coverage by day, for each source and class; 90 days."""
    site, institution = site_of(request), institution_of(request)

    def ask() -> dict[tuple[str, str, str], Coverage]:
        with site.views.read() as connection:
            return uploads.coverage(connection, institution, last_days(site.node.ledger.clock(), COVERAGE_DAYS))

    found = await site.query(ask)
    if request.query_params.get("format") == "csv":
        return _csv(_coverage_lines(found), f"coverage-{institution}")
    chinese = _chinese(request)
    values = {
        "classes": {name: words[1] if chinese else words[0] for name, words in CLASSES.items()},
        "total": _by_class(found),
        "days": list(found.items()),
        "window": COVERAGE_DAYS,
    }
    return page(request, "institution/coverage.html", values | around(request, site, institution, "coverage"))


def _coverage_lines(found: dict[tuple[str, str, str], Coverage]) -> Iterator[str]:
    yield csv_line(("day", "source", "class", "needed", "coded", "exempt", "percent"))
    for (day, source, name), part in found.items():
        yield csv_line((day, source, CLASSES[name][0], part.needed, part.coded, part.exempt, part.share))


# Conflicts


def _wanted(
    institution: str, *, states: tuple[str, ...] = (), classes: tuple[str, ...] = (), text: str = ""
) -> AlertsWanted:
    return AlertsWanted(scope_parties=frozenset({institution}), states=states, classes=classes, text=text)


async def conflicts(request: Request) -> Response:
    """Own conflicts, the newest first; the other side is never named."""
    site, institution = site_of(request), institution_of(request)
    query = request.query_params
    wanted = {name: query.get(name, "").strip()[:200] for name in ("state", "class", "code")}
    states = (wanted["state"],) if wanted["state"] in STATES else ()
    classes = (wanted["class"],) if wanted["class"] in CLASS_WORDS else ()
    ours = _wanted(institution, states=states, classes=classes, text=wanted["code"])

    def ask() -> tuple[list[Any], int]:
        with site.views.read() as connection:
            before = place_of(query.get("after", ""))
            return alerts_before(connection, before, PAGE_ROWS + 1, ours), count_alerts(connection, ours)

    alerts, count = await site.query(ask)
    shown = [own_side(alert, institution) for alert in alerts[:PAGE_ROWS]]
    kept = {name: value for name, value in wanted.items() if value}
    values = {
        "rows": [(side, iso_time(side.event_time), iso_time(side.arrived)) for side in shown],
        "count": count,
        "wanted": wanted,
        "states": _translated(request, STATE_WORDS),
        "kinds": _translated(request, CLASS_WORDS),
        "next": urlencode({**kept, "after": cursor(shown[-1].number)}) if len(alerts) > PAGE_ROWS else "",
    }
    return page(request, "institution/conflicts.html", values | around(request, site, institution, "conflicts"))


async def conflict(request: Request) -> Response:
    """One conflict with its explanation, own papers, and how to contest."""
    return await _conflict(request)


async def _conflict(request: Request, fault: str = "", text: str = "", status: int = 200) -> Response:
    site, institution = site_of(request), institution_of(request)
    identity = str(request.path_params["alert"])

    def ask() -> tuple[Any, list[Any]] | None:
        with site.views.read() as connection:
            alert = find_alert(connection, identity, _wanted(institution))
            return None if alert is None else (alert, steps_about(connection, identity))

    found = await site.query(ask)
    if found is None:
        raise Refused("not_found", where="alert", value=identity)
    alert, steps = found
    side, chinese = own_side(alert, institution), _chinese(request)
    values = {
        "side": side,
        "event_time": iso_time(side.event_time),
        "arrived": iso_time(side.arrived),
        "reasons": [
            (STATUS[reason].meaning_zh, STATUS[reason].next_action_zh)
            if chinese
            else (STATUS[reason].meaning, STATUS[reason].next_action)
            for reason in side.reasons
            if reason in STATUS
        ],
        "references": _references(alert, institution),
        "document": alert.document if side.questioned else "",
        "product": _name(site.node.catalogue, alert.product, alert.event_time) if side.questioned else "",
        "steps": [(step, iso_time(step.at)) for step in steps_for(steps, institution)],
        "step_words": _translated(request, STEP_WORDS),
        "states": _translated(request, STATE_WORDS),
        "kinds": _translated(request, CLASS_WORDS),
        "fault": text_of(request, fault) if fault else "",
        "text": text,
        "text_max": TEXT_MAX,
    }
    return page(request, "institution/conflict.html", values | around(request, site, institution, "conflicts"), status)


def _references(alert: Any, institution: str) -> dict[str, str]:  # noqa: ANN401  an alert of the view
    """The institution's own numbers; those of the other side are none of its business."""
    if alert.institution != institution:
        return {}
    return {name: str(value) for name, value in alert.evidence.get("references", {}).items()}


async def contest(request: Request) -> Response:
    """An explanation with the numbers of the papers that show it."""
    site, institution, caller = site_of(request), institution_of(request), caller_of(request)
    sent = await form_of(request)
    papers = [f"{text_of(request, PAPERS[name])}: {sent[name]}" for name in PAPERS if sent.get(name)]
    said = sent.get("text", "")
    if not said:
        return await _conflict(request, "Say in your own words what happened.", status=422)
    words = said + ("\n" + "; ".join(papers) if papers else "")
    if len(words) > TEXT_MAX:
        return await _conflict(request, "It is too long: leave out what the papers say.", said, 422)
    identity = str(request.path_params["alert"])
    step = Step(alert=identity, kind="contested", actor=institution, person=caller.person, text=words)
    taken = await site.query(answer_alert, site.node.desk, step)
    if taken.status in {"unknown_alert", "not_allowed"}:
        raise Refused("not_found", where="alert", value=identity)
    if taken.status not in {"accepted", "first_answer"}:
        return await _conflict(request, taken.message, said, 422)
    await site.query(site.views.catch_up)
    return RedirectResponse(f"/institution/conflicts/{identity}", 303)


def _translated(request: Request, words: dict[str, str]) -> dict[str, str]:
    return {name: text_of(request, word) for name, word in words.items()}
