"""The audit record as auditors read it: filter, export, verify."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from suyuan.lookup.moment import iso_time
from suyuan.portals.access import caller_of
from suyuan.portals.audit import recorded
from suyuan.portals.pages.forms import form_of
from suyuan.portals.pages.shell import page
from suyuan.portals.site import site_of
from suyuan.storage.audit import HEAD, Line, Verified

PAGE = 50
COLUMNS = ("number", "time", "who", "role", "party", "action", "subject", "reason", "request", "hash")
_CHINA = timezone(timedelta(hours=8))
_DAY = 24 * 3600 * 1_000_000


async def show(request: Request) -> Response:
    """Lines from the latest back."""
    return await _record(request)


async def verify(request: Request) -> Response:
    """Look through the whole record, and compare it with the head in the tables and one that the auditor noted."""
    site, sent = site_of(request), await form_of(request)
    heads = [head for head in (site.node.tables.meta(HEAD), sent.get("head", "")) if head]
    await recorded(request, "audit.verify", "the whole record")
    return await _record(request, await site.query(site.node.audit.verify, *heads))


async def export(request: Request) -> Response:
    """All lines that the filter lets through, as CSV; the export is a line of the record itself."""
    site = site_of(request)
    await recorded(request, "audit.export", request.url.query or "all")
    wanted = _filter(request)

    def lines() -> Iterator[Line]:
        before = 1 << 62
        while found := site.node.audit.find(**wanted, before=before, limit=500):
            yield from found
            before = found[-1].number

    headers = {"content-disposition": 'attachment; filename="audit.csv"', "cache-control": "no-store"}
    return StreamingResponse(csv_of(lines()), media_type="text/csv; charset=utf-8", headers=headers)


def csv_of(lines: Iterable[Line]) -> Iterator[str]:
    """Lines as CSV with a heading, for a spreadsheet: no cell can begin a formula."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in lines:
        cells = (line.who, line.role, line.party, line.action, line.subject, line.reason, line.request)
        writer.writerow((line.number, iso_time(line.at), *map(_harmless, cells), line.hash))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


async def _record(request: Request, verified: Verified | None = None) -> Response:
    site = site_of(request)
    before = request.query_params.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else 1 << 62  # noqa: PLR2004
    lines = await site.query(site.node.audit.find, **_filter(request), before=number, limit=PAGE + 1)
    values = {
        "lines": [(one, iso_time(one.at)[:19].replace("T", " ")) for one in lines[:PAGE]],
        "next": lines[PAGE - 1].number if len(lines) > PAGE else 0,
        "verified": verified,
        "query": request.query_params,
        "text": request.query_params.get("text", "")[:80],
        "action": request.query_params.get("action", "")[:40],
        "since": request.query_params.get("since", "")[:10],
        "until": request.query_params.get("until", "")[:10],
        "caller": caller_of(request),
    }
    return page(request, "access/audit.html", values)


def _filter(request: Request) -> dict[str, Any]:
    asked = request.query_params
    return {
        "text": asked.get("text", "")[:80],
        "action": asked.get("action", "")[:40],
        "since": _midnight(asked.get("since", ""), 0),
        "until": _midnight(asked.get("until", ""), 1 << 62, _DAY - 1),
    }


def _midnight(text: str, otherwise: int, more: int = 0) -> int:
    """The first moment of a day in China, in µs UTC; no day is no limit."""
    try:
        return int(datetime.fromisoformat(text[:10]).replace(tzinfo=_CHINA).timestamp()) * 1_000_000 + more
    except ValueError:
        return otherwise
