"""Citizens' reports for programs: sending one, following it, and the inspectors' queue with its steps and evidence."""

import base64
import binascii
import re
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.codes.recognise import recognise
from suyuan.formats.times import instant
from suyuan.intake.report_number import read_number, spelled
from suyuan.intake.reports import (
    ANSWER_MAX,
    CONTACT_MAX,
    PHOTOS_MAX,
    PLACE_MAX,
    TOKEN_MAX,
    TOKEN_MIN,
    TRAITS,
    WORDS_MAX,
    Report,
    ReportFile,
    ReportRefused,
    Step,
    StepRefused,
    Taken,
    known_receipt,
    open_contact,
    open_photo,
    open_words,
    read_report,
    take_report,
    take_step,
)
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of
from suyuan.portals.api.operation import After, Limit, Next, cursor, operation, place_of, query_of, scope_here
from suyuan.portals.audit import recorded
from suyuan.portals.problem import Fault, Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.reports import ReportRow, ReportsWanted, count_by_state, reports_before

GROUP = "Reports"
State = Literal["received", "taken_up", "checking", "answered"]
Region = Annotated[
    str,
    Meta(
        max_length=6,
        pattern="^[0-9]*$",
        description="Six-digit division code of the place; of the institution's where it is left out.",
        extra_json_schema={"examples": ["440100"]},
    ),
]
Photo = Annotated[str, Meta(max_length=11_000_000, description="JPEG, PNG or WebP in base64.")]


class ReportBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A report of a problem with a box or a seller."""

    token: Annotated[
        str,
        Meta(
            min_length=TOKEN_MIN,
            max_length=TOKEN_MAX,
            description="Random, made by the sender: the same token sent again is the same report.",
        ),
    ]
    code: Annotated[str, Meta(max_length=PLACE_MAX)] = ""
    region: Region = ""
    institution: Annotated[str, Meta(max_length=40, description="Code of the hospital or pharmacy.")] = ""
    place: Annotated[str, Meta(max_length=PLACE_MAX, description="Name or address of the place.")] = ""
    happened: Annotated[str, Meta(max_length=40, description="ISO 8601, when it was bought or seen.")] = ""
    traits: Annotated[list[str], Meta(max_length=len(TRAITS), description=", ".join(TRAITS))] = []
    words: Annotated[str, Meta(max_length=WORDS_MAX)] = ""
    photos: Annotated[list[Photo], Meta(max_length=PHOTOS_MAX)] = []
    contact: Annotated[str, Meta(max_length=CONTACT_MAX, description="Sealed; opened with a stated reason only.")] = ""


class ReportTaken(msgspec.Struct, kw_only=True):
    """What became of a report."""

    receipt: str
    """The number by which it is followed; whoever has it reads the answer."""
    first: bool
    """False where this token had come before."""
    changed: bool
    """True where it had come before with another content, which stands."""
    state: str
    address: str


class StepTold(msgspec.Struct, kw_only=True):
    """One step, as everybody with the number sees it."""

    state: str
    """taken_up, checking, answered or passed_on."""
    at: str
    by: str
    """Name of the authority."""
    words: str


class ReportTold(msgspec.Struct, kw_only=True):
    """A report as everybody with its number sees it: nothing that the sender wrote."""

    receipt: str
    state: State
    received: str
    code: str
    region: str
    traits: tuple[str, ...]
    photos: int
    contact: bool
    steps: list[StepTold]


class ReportsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which reports are listed."""

    region: Annotated[str, Meta(max_length=6, pattern="^[0-9]*$")] = ""
    state: Annotated[str, Meta(max_length=60, pattern="^[a-z_,]*$", description="With commas between.")] = ""
    institution: Annotated[str, Meta(max_length=40)] = ""
    text: Annotated[str, Meta(max_length=200, description="A code, a box key or a receipt number.")] = ""
    after: After = ""
    limit: Limit = 50


class ReportListed(msgspec.Struct, kw_only=True):
    """One report in the queue."""

    receipt: str
    state: State
    received: str
    moved: str
    happened: str
    region: str
    region_name: str
    institution: str
    institution_name: str
    code: str
    box: str
    traits: tuple[str, ...]
    photos: int
    contact: bool


class ReportPage(msgspec.Struct, kw_only=True):
    """A page of the queue, newest first, and how many there are in each state."""

    reports: list[ReportListed]
    states: dict[str, int]
    next: Next


class Evidence(msgspec.Struct, kw_only=True):
    """A report with what the sender wrote. Each opening of this is in the audit record."""

    report: ReportListed
    words: str
    place: str
    typed_code: str
    """What was typed where a code was asked for, if it is none."""
    photos: list[str]
    """Addresses of the pictures."""
    steps: list[StepTold]
    openings: list[StepTold]
    """Who opened the contact, when and why."""


class StepBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The next step of a report."""

    step: Literal["taken_up", "checking", "answered", "passed_on"]
    words: Annotated[str, Meta(max_length=ANSWER_MAX, description="Public; `answered` needs them.")] = ""
    region: Annotated[str, Meta(max_length=6, pattern="^[0-9]*$", description="For `passed_on`: to whom.")] = ""


class ReasonBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Why personal data is opened; kept in the audit record."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class Contact(msgspec.Struct, kw_only=True):
    """How to reach the sender; empty where none was left."""

    contact: str


_BODY = msgspec.json.Decoder(ReportBody)
_STEP = msgspec.json.Decoder(StepBody)
_REASON = msgspec.json.Decoder(ReasonBody)


# Everybody


@operation(
    "sendReport",
    GROUP,
    "Report a problem with a box or a seller",
    about="Needs no account. The same token sent again gets the first receipt number.",
    body=ReportBody,
    answer=ReportTaken,
    errors=("body_too_large", "too_often"),
    example={"token": "3f9c2a71d8e04b56", "region": "440100", "traits": ["no_receipt"], "words": "没有给小票"},
)
async def send_report(request: Request) -> Response:
    """Take one report."""
    body = await codec.read_body(request, _BODY)
    try:
        photos = tuple(base64.b64decode(photo, validate=True) for photo in body.photos)
    except (binascii.Error, ValueError) as error:
        raise Refused("field_unusable", where="photos", what="It is no base64.") from error
    happened = instant(body.happened.strip()) if body.happened.strip() else 0
    if happened is None:
        raise Refused("field_unusable", where="happened", value=body.happened)
    site, caller = site_of(request), caller_of(request)
    if body.institution and site.party(body.institution) is None:
        raise Refused("field_unusable", where="institution", value=body.institution, what="It is not listed.")
    report = Report(
        token=body.token,
        code=body.code,
        region=body.region or region_of(site, body.institution),
        institution=body.institution,
        place=body.place,
        happened=happened,
        traits=tuple(dict.fromkeys(body.traits)),
        words=body.words,
        photos=photos,
        contact=body.contact,
        software=caller.software,
    )
    try:
        taken = await take(site, report)
    except ReportRefused as refusal:
        faults = tuple(Fault(fault.field, what=fault.words) for fault in refusal.faults)
        raise Refused("field_unusable", where=faults[0].where, what=faults[0].what, faults=faults) from refusal
    number = spelled(taken.receipt)
    address = address_here(request, f"/report/{number}")
    told = ReportTaken(receipt=number, first=taken.first, changed=taken.changed, state="received", address=address)
    return codec.answer(told)


async def take(site: Site, report: Report) -> Taken:
    """Take a report from any door; too many about one code are refused, but never one that was taken before.

    Raises:
        ReportRefused: something in it cannot be used.
        Refused: too many about this code.
    """
    code = recognise(report.code, "scan", site.node.catalogue.maker_rules)
    if (code.is_box or code.review) and not await site.query(known_receipt, site.node.desk, report.token):
        await site.limits.check("code", f"report {code.key}")
    taken = await site.query(take_report, site.node.desk, report)
    site.views.news()
    return taken


@operation(
    "followReport", GROUP, "The state of a report and its public answer", answer=ReportTold, errors=("not_found",)
)
async def follow_report(request: Request) -> Response:
    """One report, by its number."""
    site = site_of(request)
    file = await find(site, request.path_params["receipt"])
    return codec.answer(
        ReportTold(
            receipt=spelled(file.receipt),
            state=file.state,  # type: ignore[arg-type]  # one of the four
            received=iso_time(file.received),
            code=file.code,
            region=site.node.catalogue.region_name(file.region),
            traits=file.traits,
            photos=len(file.photos),
            contact=bool(file.contact),
            steps=[step_told(site, step) for step in file.steps],
        ),
        headers={"cache-control": "no-store"},
    )


async def find(site: Site, receipt: str, scope: Scope | None = None) -> ReportFile:
    """A report by its number as typed, within a scope.

    Raises:
        Refused: there is none, or it is another region's.
    """
    file = await site.query(read_report, site.node.ledger, receipt)
    if file is None or (scope is not None and not scope.sees_party("", file.region)):
        raise Refused("not_found", where="receipt", value=receipt)
    return file


def step_told(site: Site, step: Step) -> StepTold:
    """One step with the name of the authority."""
    return StepTold(state=step.state, at=iso_time(step.at), by=party_name(site, step.by), words=step.words)


# Inspectors


@operation(
    "listReports",
    GROUP,
    "Reports of the inspector's region",
    query=ReportsQuery,
    answer=ReportPage,
    errors=("not_allowed",),
)
async def list_reports(request: Request) -> Response:
    """A page of the queue."""
    query = query_of(request, ReportsQuery)
    page = await site_of(request).query(queue, site_of(request), scope_here(request), query)
    return codec.answer(page)


def queue(site: Site, scope: Scope, query: ReportsQuery) -> ReportPage:
    """A page of the queue within a scope."""
    wanted = ReportsWanted(
        scope_region=scope.region,
        region=query.region,
        states=tuple(filter(None, query.state.split(","))),
        institution=query.institution,
        text=read_number(query.text) or query.text,
    )
    with site.views.read() as connection:
        found = reports_before(connection, place_of(query.after), query.limit, wanted)
        states = count_by_state(connection, msgspec.structs.replace(wanted, states=()))
    following = cursor(found[-1].number) if len(found) == query.limit else ""
    return ReportPage(reports=[listed(site, row) for row in found], states=states, next=following)


def listed(site: Site, row: ReportRow | ReportFile) -> ReportListed:
    """One report of the queue, with names."""
    if isinstance(row, ReportRow):
        moved, photos, contact = row.moved, row.photos, row.contact
    else:
        moved = row.steps[-1].at if row.steps else row.received
        photos, contact = len(row.photos), bool(row.contact)
    return ReportListed(
        receipt=spelled(row.receipt),
        state=row.state,  # type: ignore[arg-type]  # one of the four
        received=iso_time(row.received),
        moved=iso_time(moved),
        happened=iso_time(row.happened),
        region=row.region,
        region_name=site.node.catalogue.region_name(row.region),
        institution=row.institution,
        institution_name=party_name(site, row.institution),
        code=row.code,
        box=row.box,
        traits=row.traits,
        photos=photos,
        contact=contact,
    )


@operation("readReport", GROUP, "A report with all its evidence", answer=Evidence, errors=("not_found", "not_allowed"))
async def read_evidence(request: Request) -> Response:
    """What the sender wrote; the reading is noted before it is answered."""
    return codec.answer(await evidence(request, request.path_params["receipt"]))


async def evidence(request: Request, receipt: str) -> Evidence:
    """A report of the caller's region with what the sender wrote."""
    site = site_of(request)
    file = await find(site, receipt, scope_here(request))
    await recorded(request, "open report", file.receipt)
    own = await site.query(open_words, site.node.desk, file)
    number = spelled(file.receipt)
    return Evidence(
        report=listed(site, file),
        words=own.words,
        place=own.place,
        typed_code=own.code,
        photos=[f"/api/v1/reports/{number}/photos/{place}" for place in range(1, len(file.photos) + 1)],
        steps=[step_told(site, step) for step in file.steps],
        openings=[step_told(site, step) for step in file.openings],
    )


@operation(
    "readReportPhoto",
    GROUP,
    "One photo of a report",
    answer_kinds=("image/jpeg",),
    errors=("not_found", "not_allowed"),
)
async def read_photo(request: Request) -> Response:
    """One photo; the reading is noted before it is answered."""
    site, place = site_of(request), request.path_params["place"]
    file = await find(site, request.path_params["receipt"], scope_here(request))
    if not re.fullmatch("[1-9]", place, re.ASCII) or int(place) > len(file.photos):
        raise Refused("not_found", where="place", value=place)
    await recorded(request, "open photo", f"{file.receipt}/{place}")
    picture = await site.query(open_photo, site.node.desk, file, int(place) - 1)
    if not picture:
        raise Refused("not_found", where="place", value=place)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, no-store"})


@operation(
    "openReportContact",
    GROUP,
    "Open the sender's contact, with a reason",
    body=ReasonBody,
    answer=Contact,
    errors=("not_found", "not_allowed", "reason_needed"),
    example={"reason": "核实购买时间"},
)
async def read_contact(request: Request) -> Response:
    """The contact; the reason is kept in the audit record and in the report's own history."""
    body = await codec.read_body(request, _REASON)
    contact = await contact_of(request, request.path_params["receipt"], body.reason)
    return codec.answer(Contact(contact=contact), headers={"cache-control": "no-store"})


async def contact_of(request: Request, receipt: str, reason: str) -> str:
    """Open the contact of a report of the caller's region.

    Raises:
        Refused: there is no such report for the caller, or no reason.
    """
    site, caller = site_of(request), caller_of(request)
    file = await find(site, receipt, scope_here(request))
    await recorded(request, "read contact", file.receipt, reason)
    return await site.query(open_contact, site.node.desk, file, caller.party, reason, person=caller.person)


@operation(
    "moveReport",
    GROUP,
    "Take up a report, check it, answer it, or pass it on",
    about="The words are public: whoever has the receipt number reads them. The same step again changes nothing.",
    body=StepBody,
    answer=ReportListed,
    errors=("not_found", "not_allowed", "not_now"),
    example={"step": "answered", "words": "经核查为重复扫码，药品来源合法。"},
)
async def move_report(request: Request) -> Response:
    """One step."""
    body = await codec.read_body(request, _STEP)
    file = await step(request, request.path_params["receipt"], body)
    return codec.answer(listed(site_of(request), file))


async def step(request: Request, receipt: str, body: StepBody) -> ReportFile:
    """One step of the caller about a report of the caller's region.

    Raises:
        Refused: there is no such report for the caller, or the step cannot be taken now.
    """
    site, caller = site_of(request), caller_of(request)
    file = await find(site, receipt, scope_here(request))
    said = {"person": caller.person, "region": body.region}
    try:
        # Under whose name a step stands is public: the authority's, never the person's.
        moved = await site.query(take_step, site.node.desk, file.receipt, body.step, caller.party, body.words, **said)
    except StepRefused as refusal:
        raise Refused("not_now", where="step", value=body.step, what=str(refusal)) from refusal
    site.views.news()
    return moved


# Shared


def region_of(site: Site, institution: str) -> str:
    """Where an institution is; empty where it is not listed."""
    party = site.party(institution) if institution else None
    return party.region if party is not None else ""


def party_name(site: Site, code: str) -> str:
    """The name of an institution or authority, else its code."""
    party = site.party(code) if code else None
    return party.name if party is not None and party.name else code


def address_here(request: Request, path: str) -> str:
    """The public address of a page: the one that is set, else as this caller came."""
    base = site_of(request).settings.address or f"{request.url.scheme}://{request.url.netloc}"
    return base.rstrip("/") + path


def day_in_china(written: str) -> int | None:
    """Noon of a day in China as µs UTC; 0 for no text, None for what is no day."""
    if not written:
        return 0
    try:
        day = date.fromisoformat(written)
    except ValueError:
        return None
    return instant(f"{day.isoformat()}T12:00:00+08:00")
