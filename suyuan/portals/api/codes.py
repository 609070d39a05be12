"""Questions about one code: what text is this, what may a citizen know, what happened to the box."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.codes.recognise import recognise
from suyuan.intake.desk import day_of
from suyuan.ledger.ledger import Ledger
from suyuan.lookup.citizen import CitizenAnswer, check
from suyuan.lookup.seen import Aside, Reader, SeenStory, Sight, histories_in, see
from suyuan.lookup.story import Story, tell
from suyuan.portals import codec
from suyuan.portals.access import INSTITUTION, Caller, caller_of
from suyuan.portals.api.operation import CodeText, operation, query_of, scope_here
from suyuan.portals.audit import recorded
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of

GROUP = "Codes"


class CheckQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a citizen asks."""

    code: CodeText
    language: Annotated[Literal["zh", "en", "both"], Meta(description="In which language advice is given.")] = "both"


@operation(
    "check",
    GROUP,
    "What a citizen learns from a code: no sale, one, or several, and what to do",
    about="Any text gets an answer. It names no person and accuses nobody.",
    query=CheckQuery,
    answer=CitizenAnswer,
)
async def check_code(request: Request) -> Response:
    """The citizen's answer."""
    query, site = query_of(request, CheckQuery), site_of(request)
    node = site.node
    await site.limits.check_code(caller_of(request), recognise(query.code, "scan", node.catalogue.maker_rules))
    found = await site.query(check, node.ledger, node.catalogue, query.code, query.language)
    if caller_of(request).role == "citizen":
        site.figures.checked(found.outcome)
    return codec.answer(found)


class CodesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A text to be recognised."""

    text: CodeText


class KnownProduct(msgspec.Struct, kw_only=True):
    """What a product key stands for."""

    name: str
    nhsa: list[str]
    """Codes of the national insurer."""
    reviewed: bool
    """Only a reviewed mapping can show a swap."""
    suggested: list[str]
    level: int
    """1 is the smallest coded package."""
    units: int
    """Smallest units in the package; 0 where unknown."""
    splittable: bool


class Recognised(msgspec.Struct, kw_only=True):
    """What a text is."""

    text: str
    """In its canonical form."""
    system: str
    carrier: str
    key: str
    product_key: str
    serial: str
    lot: str
    expiry: str
    made: str
    is_box: bool
    """Whether it names one physical package."""
    review: bool
    """True where it can be read in two ways; `readings` holds both keys."""
    readings: tuple[str, ...]
    problems: tuple[str, ...]
    product: KnownProduct | None


@operation(
    "recogniseCode",
    GROUP,
    "What a text is: its code system, its product, its serial number",
    about="20-digit trace codes, GS1, UDI (GS1, MA, AHM), makers' own; typed or scanned. Nothing is looked up about "
    "the box itself.",
    query=CodesQuery,
    answer=Recognised,
)
async def recognise_code(request: Request) -> Response:
    """Recognition alone."""
    query, site = query_of(request, CodesQuery), site_of(request)
    catalogue, day = site.node.catalogue, day_of(site.node.ledger.clock())
    code = recognise(query.text, "scan", catalogue.maker_rules)
    edge = catalogue.product_of(code.product_key, day) if code.product_key else None
    product = None
    if edge is not None:
        product = KnownProduct(
            name=edge.name,
            nhsa=sorted(edge.nhsa),
            reviewed=edge.reviewed,
            suggested=sorted(edge.suggested),
            level=edge.level,
            units=edge.units,
            splittable=edge.splittable,
        )
    found = Recognised(
        text=code.text,
        system=code.system,
        carrier=code.carrier,
        key=code.key,
        product_key=code.product_key,
        serial=code.serial,
        lot=code.lot,
        expiry=code.expiry,
        made=code.made,
        is_box=code.is_box,
        review=code.review,
        readings=code.readings,
        problems=code.problems,
        product=product,
    )
    return codec.answer(found)


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which code, and for an inspector why persons are to be shown."""

    code: CodeText
    reason: Annotated[
        str,
        Meta(
            max_length=500,
            description="For inspectors: why pseudonyms and numbers that lead to a person are to be shown; it is kept "
            "in the audit record. Without a reason they are left out.",
        ),
    ] = ""


@operation(
    "history",
    GROUP,
    "The story of a box, as far as the caller may see it",
    about="An institution or firm sees what it said itself, and of a conflict `elsewhere`, kind of place and month. "
    "An inspector sees the region, an agency the claims of its fund, a drug regulator boxes, batches and places.",
    query=HistoryQuery,
    answer=SeenStory,
    errors=("reason_needed",),
)
async def history(request: Request) -> Response:
    """A story with what its reader may not know cut out."""
    query, site, caller = query_of(request, HistoryQuery), site_of(request), caller_of(request)
    sight = sight_of(request, caller, reason=query.reason)
    story, asides = await site.query(read_story, site, query.code)
    if sight.persons:
        await recorded(request, "read history", story.key, query.reason)
    return codec.answer(see(story, sight, asides))


def sight_of(request: Request, caller: Caller, *, reason: str = "") -> Sight:
    """How far the caller of a request sees into a story."""
    scope = scope_here(request)
    readers: dict[str, Reader] = {
        "firm": "firm",
        "vendor": "institution",
        "agency": "agency",
        "inspector": "inspector",
        "drug_regulator": "drug_regulator",
    }
    reader: Reader = "institution" if caller.role in INSTITUTION else readers[caller.role]
    if reason.strip() and not scope.persons:
        raise Refused("not_allowed", where="reason", what="Personal data is opened for inspectors only.")
    return Sight(
        reader=reader,
        parties=scope.parties or frozenset(),
        region=scope.region,
        fund=scope.fund,
        persons=scope.persons and bool(reason.strip()),
    )


def read_story(site: Site, text: str) -> tuple[Story, dict[tuple[str, int], Aside]]:
    """The whole story of a code with what stands beside its chapters: not to be given to anybody before it is cut."""
    story = tell(site.node.ledger, site.node.catalogue, text)
    return story, _asides(site.node.ledger, story)


def _asides(ledger: Ledger, story: Story) -> dict[tuple[str, int], Aside]:
    return {
        (key, event.sequence): Aside(event.person, event.prescriber, event.fund)
        for key, events in ledger.read(histories_in(story)).items()
        for event in events
        if event.person or event.prescriber or event.fund
    }
