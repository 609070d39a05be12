"""The page of scanner software: which version's scans raise alerts far more often than the others'."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from suyuan.intake.desk import day_of
from suyuan.portals.api.software import PER, software_seen
from suyuan.portals.pages.shell import page
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of

DAYS = (7, 30, 0)
"""Periods to choose from; 0 for all days."""
ROWS = 200


async def show(request: Request) -> Response:
    """The list over the last days."""
    text = request.query_params.get("days", str(DAYS[0]))
    if text not in {str(days) for days in DAYS}:
        raise Refused("field_unusable", where="days", value=text)
    days = int(text)
    today = day_of(site_of(request).node.ledger.clock())
    first = (today - timedelta(days=days - 1)).isoformat() if days else ""
    found = await software_seen(request, first)
    values = {"rows": found[:ROWS], "left_out": max(0, len(found) - ROWS), "days": DAYS, "chosen": days, "per": PER}
    response = page(request, "inspector/software.html", values)
    response.headers["cache-control"] = "no-store"
    return response
