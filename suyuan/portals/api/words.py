"""The words of the interface as lists: statuses of lines, refusals of requests, figures by province, and who I am."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from suyuan.catalogue.regions import divisions, region_name
from suyuan.formats.api.answers import yuan
from suyuan.ledger.admission import iso_day
from suyuan.ledger.statuses import STATUSES
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.api.operation import Day, operation, query_of, scope_here
from suyuan.portals.problem import ERRORS
from suyuan.portals.site import Site, site_of
from suyuan.views.counts import Period, Sums, sums_by_region

GROUP = "About the interface"


class StatusWord(msgspec.Struct, kw_only=True):
    """One status of a line."""

    name: str
    rank: int
    """Of several reasons the one with the lowest rank leads."""
    layer: str
    verdict: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str


class StatusWords(msgspec.Struct, kw_only=True):
    """All of them, in order of precedence."""

    statuses: list[StatusWord]


@operation("statuses", GROUP, "Every status that a line can be answered with", answer=StatusWords)
async def statuses(request: Request) -> Response:  # noqa: ARG001  an endpoint takes its request
    """The list of statuses."""
    found = [
        StatusWord(
            name=status.name,
            rank=rank,
            layer=status.layer,
            verdict=status.verdict,
            meaning=status.meaning,
            meaning_zh=status.meaning_zh,
            next_action=status.next_action,
            next_action_zh=status.next_action_zh,
        )
        for rank, status in enumerate(STATUSES, start=1)
    ]
    return codec.answer(StatusWords(statuses=found))


class ErrorWord(msgspec.Struct, kw_only=True):
    """One refusal of a whole request."""

    code: str
    status: int
    title: str
    title_zh: str
    do: str
    do_zh: str


class ErrorWords(msgspec.Struct, kw_only=True):
    """All of them."""

    errors: list[ErrorWord]


@operation("errors", GROUP, "Every refusal of a request, with what to do", answer=ErrorWords)
async def errors(request: Request) -> Response:  # noqa: ARG001  as above
    """The list of refusals."""
    return codec.answer(ErrorWords(errors=[ErrorWord(**msgspec.structs.asdict(error)) for error in ERRORS]))


class Me(msgspec.Struct, kw_only=True):
    """How the server sees its caller."""

    role: str
    party: str
    name: str
    region: str
    fund: str
    person: str
    key: str
    software: str
    speaks_for: list[str]
    """Institutions and firms for which the caller may upload and ask today."""
    now: str


@operation("me", GROUP, "Who the server takes the caller for, and for whom the caller may speak", answer=Me)
async def me(request: Request) -> Response:
    """The caller."""
    site, caller = site_of(request), caller_of(request)
    party = site.party(caller.party) if caller.party else None
    found = Me(
        role=caller.role,
        party=caller.party,
        name=party.name if party is not None else "",
        region=caller.region,
        fund=caller.fund,
        person=caller.person,
        key=caller.key,
        software=caller.software,
        speaks_for=sorted(scope_here(request).parties or ()),
        now=_now(site),
    )
    return codec.answer(found)


def _now(site: Site) -> str:
    return iso_time(site.node.ledger.clock())


# Figures


class CoverageQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Over which days, both included; all where left out."""

    first: Day = ""
    last: Day = ""


class ProvinceFigures(msgspec.Struct, kw_only=True):
    """Figures of one of the 32 provincial platforms."""

    region: str
    name: str
    name_en: str
    codes: int
    scans: int
    sales: int
    line_sales: int
    """Sale lines without a box: lots, stock without codes, unscanned."""
    returns: int
    institutions: int
    """Institutions and firms that uploaded."""
    claims: dict[str, int]
    """By verdict."""
    money: dict[str, str]
    """Yuan, by verdict."""
    alerts: dict[str, int]
    """By class."""


class CoverageReport(msgspec.Struct, kw_only=True):
    """Figures by province. A province without any stands with zeroes: nothing sent is a finding, too."""

    first: str
    last: str
    provinces: list[ProvinceFigures]
    total: ProvinceFigures


@operation(
    "coverage",
    "Reports",
    "Codes, institutions, claims and alerts by province",
    about="By day of arrival. Officials of a region see their region; an agency's claims are those of its fund.",
    query=CoverageQuery,
    answer=CoverageReport,
)
async def coverage(request: Request) -> Response:
    """Counts by province."""
    query = query_of(request, CoverageQuery)
    return codec.answer(await site_of(request).query(_coverage, site_of(request), scope_here(request), query))


def _coverage(site: Site, scope: Scope, query: CoverageQuery) -> CoverageReport:
    period = Period(region=scope.region, fund=scope.fund, first=query.first, last=query.last)
    with site.views.read() as connection:
        found = sums_by_region(connection, period)
    provinces = [
        code
        for code, division in divisions().items()
        if division.level == "province" and code.startswith(scope.region[:2])
    ]
    known = {code[:2] for code in provinces}
    elsewhere = [found[digits] for digits in found if digits not in known and not scope.region]
    total = _joined([*found.values()] if not scope.region else [found.get(code[:2], Sums()) for code in provinces])
    rows = [_figures(code, found.get(code[:2], Sums())) for code in provinces]
    if elsewhere:
        rows.append(_figures("", _joined(elsewhere)))
    return CoverageReport(
        first=query.first,
        last=query.last or iso_day(site.node.ledger.clock()),
        provinces=rows,
        total=_figures("", total),
    )


def _figures(code: str, sums: Sums) -> ProvinceFigures:
    return ProvinceFigures(
        region=code,
        name=region_name(code) if code else "",
        name_en=region_name(code, "en") if code else "",
        codes=sums.codes,
        scans=sums.scans,
        sales=sums.sales,
        line_sales=sums.line_sales,
        returns=sums.returns,
        institutions=sums.institutions,
        claims=sums.claims,
        money={verdict: yuan(amount) for verdict, amount in sums.money.items()},
        alerts=sums.alerts,
    )


def _joined(parts: list[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        for name in ("codes", "scans", "sales", "line_sales", "returns", "institutions"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
        for name in ("claims", "money", "alerts"):
            into = getattr(total, name)
            for word, count in getattr(part, name).items():
                into[word] = into.get(word, 0) + count
    return total
