"""Scanner software by its alerts: which version stands out, for officials of a place and for who runs the node."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import Day, operation, query_of, scope_here
from suyuan.portals.site import Site, site_of
from suyuan.views.software import Software, software_by_alerts

PER = 10_000
"""Rates are told for so many scans."""


class SoftwareQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Over which days of arrival, both included; all where left out."""

    first: Day = ""
    last: Day = ""


class SoftwareRow(msgspec.Struct, kw_only=True):
    """One version of scanner software: its scans of sales, claims and returns."""

    software: str
    """supplier/name/version as it calls itself; empty for what does not say."""
    scans: int
    errors: int
    """Scans that were technically wrong."""
    alerts: int
    """Scans for which an alert speaks."""
    alerts_per_10000: float
    others_per_10000: float
    """The same of all other software together."""
    flagged: bool
    """Whether its rate is far above the others': at least 200 scans, three times the rate, and hardly by chance."""


class SoftwareList(msgspec.Struct, kw_only=True):
    """Every version, the flagged first, then by rate."""

    software: list[SoftwareRow]


@operation(
    "software",
    "Reports",
    "Scanner software by the rate of its alerts",
    about="Officials of a region see what was sent from there.",
    query=SoftwareQuery,
    answer=SoftwareList,
)
async def software(request: Request) -> Response:
    """The list of software."""
    query = query_of(request, SoftwareQuery)
    found = await software_seen(request, query.first, query.last)
    return codec.answer(SoftwareList(software=[_row(one) for one in found]))


async def software_seen(request: Request, first: str = "", last: str = "") -> list[Software]:
    """What the caller sees: who administers the node all of it, for these are figures of programs and no records."""
    region = "" if caller_of(request).role == "administrator" else scope_here(request).region
    return await site_of(request).query(_read, site_of(request), first, last, region)


def _read(site: Site, first: str, last: str, region: str) -> list[Software]:
    with site.views.read() as connection:
        return software_by_alerts(connection, first, last, region)


def _row(one: Software) -> SoftwareRow:
    return SoftwareRow(
        software=one.software,
        scans=one.scans,
        errors=one.errors,
        alerts=one.alerts,
        alerts_per_10000=round(one.rate * PER, 2),
        others_per_10000=round(one.others_rate * PER, 2),
        flagged=one.flagged,
    )
