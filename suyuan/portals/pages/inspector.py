"""The inspectors' live page: figures, the map with its table, and alerts and citizens' reports as they come."""

import csv
import io
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from suyuan.catalogue.regions import divisions, province
from suyuan.intake.desk import day_of
from suyuan.ledger.alerts import CLASSES
from suyuan.ledger.handling import STATES
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of, significant
from suyuan.portals.alert_records import wanted_within
from suyuan.portals.api.operation import scope_here
from suyuan.portals.checks import checks_of
from suyuan.portals.live import live_of
from suyuan.portals.pages.inspector_words import CLASS_NAMES, SCRIPT_TEXTS, STATE_NAMES, gap_words
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.portals.templating import STATIC
from suyuan.views.alerts import Alert, AlertsWanted, alerts_before, count_alerts
from suyuan.views.counts import Period, Sums, sums, sums_by_region
from suyuan.views.reports import ReportRow, ReportsWanted, count_by_state, reports_before

ROWS = 50
"""Entries of a page of the queue."""
REPORT = "report"
"""Stands among the classes of alerts for citizens' reports, which come in the same queue."""
STATE_OF_REPORT = {"new": "received", "seen": "taken_up", "asked": "checking", "closed": "answered"}
CSV_ROWS = 1_000
CSV_ROWS_MAX = 200_000
FIGURES_FRESH = 3.0
"""Seconds for which counted figures are shown again."""
FIGURES_KEPT = 500
DAYS = (0, 1, 7, 30)
"""Periods of the figures; 0 for all days."""
PRIVATE = {"cache-control": "no-store"}
CAUGHT_UP = 20_000
"""Events that a step waits for at most, so that who took it sees it."""
YUAN = 1_000_000


class Shown(msgspec.Struct, kw_only=True):
    """The filters of the page, as they stand in its address."""

    region: str = ""
    alert_class: str = ""
    state: str = ""
    institution: str = ""
    code: str = ""
    since: str = ""
    until: str = ""
    days: int = 0

    def query(self, **changes: str) -> str:
        """The page's address with these filters and changes; what is empty is left out."""
        values = {
            "region": self.region,
            "class": self.alert_class,
            "state": self.state,
            "institution": self.institution,
            "code": self.code,
            "from": self.since,
            "until": self.until,
            "days": str(self.days or ""),
            **changes,
        }
        return urlencode({name: value for name, value in values.items() if value})


class Item(NamedTuple):
    """One entry of the queue, ready to be shown."""

    kind: str
    """alert or report."""
    number: int
    href: str
    name: str
    code: str
    at: str
    who: str
    where: str
    other: str
    other_where: str
    gap: str
    state: str
    new: bool


class Queue(NamedTuple):
    """A page of the queue, and where the next one begins."""

    items: list[Item]
    total: int
    after: dict[str, str]
    """Cursors of the next page; empty on the last."""


# What is asked


def shown_of(request: Request) -> Shown:
    """The filters in the address.

    Raises:
        Refused: one of them cannot be used.
    """
    query = request.query_params
    days = query.get("days", "") or "0"
    if days not in {str(each) for each in DAYS}:
        raise Refused("field_unusable", where="days", value=days)
    return Shown(
        region=query.get("region", ""),
        alert_class=query.get("class", ""),
        state=query.get("state", ""),
        institution=query.get("institution", "").strip(),
        code=query.get("code", "").strip(),
        since=query.get("from", ""),
        until=query.get("until", ""),
        days=int(days),
    )


def _wanted(scope: Scope, shown: Shown) -> tuple[AlertsWanted | None, ReportsWanted | None]:
    """Which alerts and which reports; None for none of the kind."""
    words = [word for word in shown.alert_class.split(",") if word]
    classes = [word for word in words if word != REPORT]
    filters = {
        "region": shown.region,
        "class": ",".join(classes),
        "state": shown.state,
        "institution": shown.institution,
        "code": shown.code,
        "from": shown.since,
        "until": shown.until,
    }
    alerts = wanted_within(scope, filters)
    states = tuple(STATE_OF_REPORT[state] for state in alerts.states if state in STATE_OF_REPORT)
    # What citizens wrote is for inspectors, and their list knows no times.
    narrowed = shown.since or shown.until or classes or (alerts.states and not states)
    reports = scope.persons and not narrowed
    return (
        alerts if classes or not words else None,
        ReportsWanted(
            scope_region=scope.region,
            region=alerts.region,
            states=states,
            institution=shown.institution,
            text=shown.code,
        )
        if reports
        else None,
    )


def _period(site: Site, scope: Scope, shown: Shown) -> Period:
    region = significant(shown.region)
    # A wider place than one's own is one's own.
    return Period(
        region=region if region.startswith(scope.region) else scope.region,
        fund=scope.fund,
        first=_first_day(site, shown),
    )


# The page


async def live_page(request: Request) -> Response:
    """Everything at once; what comes later comes by the stream."""
    site, scope, shown = site_of(request), scope_here(request), shown_of(request)
    alerts, reports = _wanted(scope, shown)
    language = language_of(request)
    newest = live_of(request).newest
    queue = await site.query(_queue, site, alerts, reports, (_place(request, "a"), _place(request, "r")), language)
    figures = await _figures_now(request, scope, shown)
    first = not (request.query_params.get("a") or request.query_params.get("r"))
    stream = _stream_query(shown, newest) if alerts and first and shown.state in {"", "new"} else ""
    values = {
        "shown": shown,
        "queue": queue,
        "more": shown.query(**queue.after) if queue.after else "",
        "figures": figures,
        "classes": {name: text_of(request, CLASS_NAMES[name]) for name in (*CLASSES, REPORT)},
        "states": {name: text_of(request, STATE_NAMES[name]) for name in STATES},
        "places": _places(scope, language),
        "days": DAYS,
        "first": first,
        "map_approval": site.settings.map_approval,
        "map_own": bool(site.settings.map_data),
        "setup": {
            "stream": f"/api/v1/alerts/stream?{stream}" if stream else "",
            "figures": f"/inspector/figures?{shown.query()}",
            "map": "/inspector/map.json",
            "language": "zh-CN" if language == "zh" else "en",
            "regions": figures["regions"],
            "texts": {name: text_of(request, text) for name, text in SCRIPT_TEXTS.items()},
            "classes": {name: text_of(request, CLASS_NAMES[name]) for name in CLASSES},
            "states": {name: text_of(request, STATE_NAMES[name]) for name in STATES},
        },
    }
    response = page(request, "inspector/live.html", values)
    response.headers.update(PRIVATE)
    return response


def _place(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and (text.isdigit() or not text)) or len(text) > len("999999999999"):
        raise Refused("field_unusable", where=name, value=text)
    return int(text or 0)


def _stream_query(shown: Shown, newest: int) -> str:
    """The stream that goes on where the page ends. Code and times are no filters of a stream: they look back."""
    if shown.code or shown.since or shown.until:
        return ""
    classes = ",".join(word for word in shown.alert_class.split(",") if word != REPORT)
    values = {"region": shown.region, "institution": shown.institution, "class": classes}
    return urlencode({**{name: value for name, value in values.items() if value}, "after": newest})


def _places(scope: Scope, language: str) -> list[tuple[str, str]]:
    """The places to choose from: provinces for the nation, else what is below one's own place."""
    level = {0: "province", 2: "city", 4: "county"}.get(len(scope.region), "")
    rows = [row for row in divisions().values() if row.level == level and row.code.startswith(scope.region)]
    return [(row.code, (row.english or row.name) if language == "en" else row.name) for row in rows]


# The queue


def _queue(
    site: Site,
    alerts: AlertsWanted | None,
    reports: ReportsWanted | None,
    places: tuple[int, int],
    language: str,
) -> Queue:
    """The newest of both kinds before two places, together by time of arrival."""
    alert_place, report_place = places
    with site.views.read() as connection:
        told = alerts_before(connection, alert_place, ROWS + 1, alerts) if alerts else []
        sent = reports_before(connection, report_place, ROWS + 1, reports) if reports else []
        total = count_alerts(connection, alerts) if alerts else 0
        total += sum(count_by_state(connection, reports).values()) if reports else 0
    both: list[Alert | ReportRow] = sorted([*told, *sent], key=_arrival, reverse=True)
    items = [_item(site, one, language) for one in both[:ROWS]]
    after = {}
    if len(both) > ROWS:
        after = {
            "a": str(min((one.number for one in items if one.kind == "alert"), default=alert_place) or ""),
            "r": str(min((one.number for one in items if one.kind == REPORT), default=report_place) or ""),
        }
    return Queue(items, total, after)


def _arrival(one: Alert | ReportRow) -> int:
    return one.arrived if isinstance(one, Alert) else one.received


def _item(site: Site, one: Alert | ReportRow, language: str) -> Item:
    told = site.templates.text
    if isinstance(one, ReportRow):
        state = next(word for word, theirs in STATE_OF_REPORT.items() if theirs == one.state)
        return Item(
            kind=REPORT,
            number=one.number,
            href=f"/inspector/reports/{one.receipt}",
            name=told(CLASS_NAMES[REPORT], language),
            code=one.code,
            at=iso_time(one.received),
            who=_name(site, one.institution),
            where=_where(site, one.region, language),
            other="",
            other_where="",
            gap="",
            state=told(STATE_NAMES[state], language),
            new=state == "new",
        )
    return Item(
        kind="alert",
        number=one.number,
        href=f"/inspector/alerts/{one.id}",
        name=told(CLASS_NAMES[one.alert_class], language),
        code=one.code,
        at=iso_time(one.arrived),
        who=_name(site, one.institution),
        where=_where(site, one.region, language),
        other=_name(site, one.other_institution) if one.other_institution else "",
        other_where=_where(site, one.other_region, language),
        gap=gap_words(one.gap, told, language) if one.other_time else "",
        state=told(STATE_NAMES[one.state], language),
        new=one.state == "new",
    )


def _name(site: Site, code: str) -> str:
    party = site.party(code) if code else None
    return party.name if party is not None and party.name else code


def _where(site: Site, region: str, language: str) -> str:
    return site.node.catalogue.region_name(region, language) if region else ""


# Figures and the map


async def figures_json(request: Request) -> Response:
    """The figures of the page as they stand now."""
    scope, shown = scope_here(request), shown_of(request)
    _wanted(scope, shown)
    return codec.answer(await _figures_now(request, scope, shown), headers=PRIVATE)


async def _figures_now(request: Request, scope: Scope, shown: Shown) -> dict[str, Any]:
    """The figures, counted once every few seconds for all who watch the same place."""
    site, language, now = site_of(request), language_of(request), time.monotonic()
    kept: dict[tuple[Any, ...], tuple[float, dict[str, Any]]] = request.app.state.inspector_figures
    asked = (_period(site, scope, shown), scope, language)
    at, found = kept.get(asked, (0.0, {}))
    if not found or now - at > FIGURES_FRESH:
        found = await site.query(_figures, site, scope, shown, language)
        if len(kept) >= FIGURES_KEPT:
            kept.clear()
        kept[asked] = (now, found)
    return {**found, "checks": _checks(request, site, shown)}


def _checks(request: Request, site: Site, shown: Shown) -> int:
    """Citizens' questions: they come from nowhere in particular, so a place does not narrow them."""
    return sum(checks_of(request).count(_first_day(site, shown)).values())


def _first_day(site: Site, shown: Shown) -> str:
    today = day_of(site.node.ledger.clock())
    return f"{today - timedelta(days=shown.days - 1):%Y-%m-%d}" if shown.days else ""


def _figures(site: Site, scope: Scope, shown: Shown, language: str) -> dict[str, Any]:
    period = _period(site, scope, shown)
    digits = 2 if len(period.region) < len("44") else 4 if len(period.region) < len("4401") else 6
    with site.views.read() as connection:
        whole = sums(connection, period)
        by_place = sums_by_region(connection, period, digits)
        # The map shows provinces, whatever the table beside it shows.
        provinces = by_place if digits == len("44") else sums_by_region(connection, period, 2)
        wanted = ReportsWanted(scope_region=scope.region, region=period.region)
        waiting = count_by_state(connection, wanted)["received"] if scope.persons else 0
    return {
        **_told(whole),
        "reports": waiting,
        "classes": whole.alerts,
        "places": [
            {"code": f"{place:0<6}", "name": _place_name(f"{place:0<6}", language), **_told(one)}
            for place, one in sorted(by_place.items())
            if place
        ],
        "regions": [
            {"code": f"{place}0000", "alerts": one.alerts_all, "sales": one.sales + one.line_sales, "name": ""}
            for place, one in provinces.items()
            if province(f"{place}0000")
        ],
        "at": iso_time(site.node.ledger.clock())[:19],
    }


def _place_name(code: str, language: str) -> str:
    row = divisions().get(code)
    if row is None:
        return code
    return row.english if language == "en" and row.english else row.name


def _told(one: Sums) -> dict[str, Any]:
    return {
        "codes": one.codes,
        "scans": one.scans,
        "sales": one.sales + one.line_sales,
        "paid": one.claims["pay"],
        "held": one.claims["hold"],
        "refused": one.claims["refuse"],
        "paid_yuan": _yuan(one.money["pay"]),
        "held_yuan": _yuan(one.money["hold"]),
        "refused_yuan": _yuan(one.money["refuse"]),
        "alerts": one.alerts_all,
        "institutions": one.institutions,
    }


def _yuan(amount: int) -> str:
    return f"{amount / YUAN:,.2f}"


async def map_json(request: Request) -> Response:
    """The map of the provinces: the operator's own, else the one that comes with the pages."""
    own = site_of(request).settings.map_data
    path = Path(own) if own else STATIC / "vendor" / "china.json"
    if not path.is_file():
        raise Refused("not_found", where="map_data", value=path.name)
    return FileResponse(path, media_type=codec.JSON, headers={"cache-control": "private, max-age=3600"})


# Export


async def export_csv(request: Request) -> Response:
    """The filtered alerts as a table file, newest first, without anything about persons."""
    site, scope, shown = site_of(request), scope_here(request), shown_of(request)
    wanted, _ = _wanted(scope, shown)
    headers = {"content-disposition": 'attachment; filename="suyuan-alerts.csv"', **PRIVATE}
    lines = _csv(site, wanted, language_of(request))
    site.log.info("export", role=caller_of(request).role, party=caller_of(request).party)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


_COLUMNS = (
    "number",
    "id",
    "class",
    "code",
    "institution",
    "institution_name",
    "region",
    "event_time",
    "arrived",
    "other_institution",
    "other_institution_name",
    "other_region",
    "other_time",
    "reasons",
    "state",
)


async def _csv(site: Site, wanted: AlertsWanted | None, language: str) -> AsyncIterator[bytes]:
    yield b"\xef\xbb\xbf" + _line(_COLUMNS)  # the mark lets spreadsheets see that it is UTF-8
    place, count = 0, 0
    while wanted is not None and count < CSV_ROWS_MAX:
        found = await site.query(_csv_page, site, wanted, place)
        yield b"".join(_csv_line(site, alert, language) for alert in found)
        if len(found) < CSV_ROWS:
            return
        place, count = found[-1].number, count + len(found)


def _csv_page(site: Site, wanted: AlertsWanted, place: int) -> list[Alert]:
    with site.views.read() as connection:
        return alerts_before(connection, place, CSV_ROWS, wanted)


def _csv_line(site: Site, alert: Alert, language: str) -> bytes:
    return _line(
        (
            str(alert.number),
            alert.id,
            site.templates.text(CLASS_NAMES[alert.alert_class], language),
            alert.code,
            alert.institution,
            _name(site, alert.institution),
            _where(site, alert.region, language),
            iso_time(alert.event_time),
            iso_time(alert.arrived),
            alert.other_institution,
            _name(site, alert.other_institution),
            _where(site, alert.other_region, language),
            iso_time(alert.other_time),
            " ".join(alert.reasons),
            site.templates.text(STATE_NAMES[alert.state], language),
        )
    )


def _line(values: tuple[str, ...]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(list(map(_plain, values)))
    return written.getvalue().encode("utf-8", "replace")


def _plain(value: str) -> str:
    """A text that no spreadsheet takes for a formula: what institutions write must stay words."""
    return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
