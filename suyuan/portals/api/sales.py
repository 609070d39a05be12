"""Own sales by day, and a prescription against what was handed out on it."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats.api.answers import yuan
from suyuan.intake.desk import day_of
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import Scope
from suyuan.portals.api.operation import After, Day, Next, cursor, day_in, operation, place_of, query_of, scope_here
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.views.prescriptions import PrescriptionLine, prescription
from suyuan.views.sales import list_sales

GROUP = "Own records"


class SalesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which day's sales."""

    day: Day = ""
    institution: Annotated[str, Meta(max_length=40, description="One of those the caller may speak for.")] = ""
    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=200, description="Uploads of a page; each with all its lines.")] = 50


class SaleRow(msgspec.Struct, kw_only=True):
    """One box or line that was sold or came back."""

    institution: str
    kind: str
    code: str
    """Key of the box; of a line without one, what was scanned."""
    product: str
    event_time: str
    arrived: str
    quantity: str
    """`3/20` for 3 of 20 units, `split` where the size is not known, empty for whole boxes."""
    count: int
    price: str
    references: dict[str, str]
    line: str
    status: str
    reasons: tuple[str, ...]
    alert: str
    undone: bool
    """Given back, cancelled or deleted since."""


class SalePage(msgspec.Struct, kw_only=True):
    """A page of a day's sales."""

    day: str
    sales: list[SaleRow]
    next: Next


@operation(
    "listSales",
    GROUP,
    "Own sales and returns of a day, as they stand now",
    about="The list follows the record within a second.",
    query=SalesQuery,
    answer=SalePage,
    errors=("not_allowed",),
)
async def list_own_sales(request: Request) -> Response:
    """A day's sales."""
    query, site = query_of(request, SalesQuery), site_of(request)
    parties = own_parties(scope_here(request), query.institution)
    day = day_in(site, query.day).isoformat()
    return codec.answer(await site.query(_sales, site, parties, day, place_of(query.after), query.limit))


def own_parties(scope: Scope, institution: str) -> frozenset[str]:
    """Whose records are asked for: one institution, or all that the caller speaks for.

    Raises:
        Refused: it is not the caller's to ask.
    """
    own = scope.parties or frozenset()
    if institution and institution not in own:
        raise Refused("not_allowed", where="institution", value=institution)
    return frozenset({institution}) if institution else own


def _sales(site: Site, parties: frozenset[str], day: str, after: int, limit: int) -> SalePage:
    with site.views.read() as connection:
        documents = list_sales(connection, parties, day, after, limit + 1)
    page = documents[:limit]
    facts = [fact for document in page for fact in document.facts]
    rows = sale_rows(site.node.ledger, facts)
    return SalePage(day=day, sales=rows, next=cursor(page[-1].number) if len(documents) > limit else "")


def sale_rows(ledger: Ledger, facts: Iterable[tuple[str, int]]) -> list[SaleRow]:
    """What the journal says of these facts today, each once: a text with two readings stands under both."""
    facts = list(facts)
    histories = ledger.read({key for key, _ in facts})
    undone = {key: _undone(key, events) for key, events in histories.items()}
    rows: list[SaleRow] = []
    told: set[tuple[str, int]] = set()
    for key, sequence in facts:
        event = histories[key][sequence - 1]
        mark = (event.fact, event.arrived)
        if mark not in told:
            told.add(mark)
            rows.append(_row(event, undone=sequence in undone[key]))
    return rows


def _undone(key: str, events: Iterable[Event]) -> set[int]:
    if key.startswith("line:"):
        return {event.corrects for event in events if event.corrects}
    return set(Box.of(key, events).undone)


def _row(event: Event, *, undone: bool) -> SaleRow:
    detail = event.detail if isinstance(event.detail, dict) else {}
    is_line = event.key.startswith("line:")
    quantity = "" if event.m == 1 or is_line else f"{event.n}/{event.m}" if event.m else "split"
    return SaleRow(
        institution=event.actor,
        kind=event.kind,
        code=str(detail.get("code", "")) if is_line else event.key,
        product=event.product,
        event_time=iso_time(event.event_time),
        arrived=iso_time(event.arrived),
        quantity=quantity,
        count=event.n if is_line else 1,
        price=yuan(event.price),
        references=event.references,
        line=event.line,
        status=event.status,
        reasons=event.reasons,
        alert=event.alert,
        undone=undone,
    )


# Prescribed and dispensed


class Medicine(msgspec.Struct, kw_only=True):
    """One product of a prescription: what was prescribed and what was handed out on it."""

    product: str
    name: str
    prescribed: int
    dispensed: int
    """Boxes and lines handed out and not taken back; parts of one box count as one."""
    outcome: str
    """open, partly, complete, over, or not_prescribed."""


class Dispensed(msgspec.Struct, kw_only=True):
    """One box or line that was handed out on a prescription."""

    institution: str
    """Empty where it was another one that handed it out."""
    product: str
    code: str
    """Of others' sales it is not told."""
    event_time: str
    undone: bool


class PrescriptionAnswer(msgspec.Struct, kw_only=True):
    """A prescription, product by product. Nobody learns here who prescribed or for whom."""

    issuer: str
    number: str
    issued: str
    medicines: list[Medicine]
    dispensed: list[Dispensed]


@operation(
    "prescription",
    GROUP,
    "A prescription against what was handed out on it",
    about="For who issued it, and for who handed something out on it; others find nothing.",
    answer=PrescriptionAnswer,
)
async def show_prescription(request: Request) -> Response:
    """Prescribed meets dispensed."""
    site = site_of(request)
    issuer, number = request.path_params["issuer"], request.path_params["number"]
    return codec.answer(await site.query(_prescription, site, scope_here(request), issuer, number))


def _prescription(site: Site, scope: Scope, issuer: str, number: str) -> PrescriptionAnswer:
    with site.views.read() as connection:
        lines = prescription(connection, issuer, number)
    catalogue, clock = site.node.catalogue, site.node.ledger.clock()
    regions = {line.institution: (party.region if (party := site.party(line.institution)) else "") for line in lines}
    if not any(scope.sees_party(line.institution, regions[line.institution]) for line in lines):
        raise Refused("not_found", where="number", value=number)
    issued = min((line.event_time for line in lines if line.said == "prescribed"), default=0)
    names = {
        line.product: (found.name if (found := catalogue.product(line.product, day_of(clock))) else "")
        for line in lines
    }
    return PrescriptionAnswer(
        issuer=issuer,
        number=number,
        issued=iso_time(issued),
        medicines=medicines_of(lines, names),
        dispensed=[
            _dispensed(line, own=scope.sees_party(line.institution, regions[line.institution]))
            for line in lines
            if line.said == "sold"
        ],
    )


def _dispensed(line: PrescriptionLine, *, own: bool) -> Dispensed:
    return Dispensed(
        institution=line.institution if own else "",
        product=line.product,
        code=line.code if own else "",
        event_time=iso_time(line.event_time),
        undone=line.undone,
    )


def medicines_of(lines: Iterable[PrescriptionLine], names: dict[str, str]) -> list[Medicine]:
    """Product by product, in the order in which they were prescribed."""
    prescribed: dict[str, int] = {}
    whole: dict[str, int] = {}
    parts: dict[str, set[str]] = {}
    for line in lines:
        if line.said == "prescribed":
            prescribed[line.product] = prescribed.get(line.product, 0) + line.n
        elif line.undone:
            continue
        elif line.m == 1:
            whole[line.product] = whole.get(line.product, 0) + line.n
        else:
            parts.setdefault(line.product, set()).add(line.code)
    products = dict.fromkeys([*prescribed, *whole, *parts])
    return [
        _medicine(
            product, names[product], prescribed.get(product, 0), whole.get(product, 0) + len(parts.get(product, ()))
        )
        for product in products
    ]


def _medicine(product: str, name: str, prescribed: int, dispensed: int) -> Medicine:
    if not prescribed:
        outcome = "not_prescribed"
    elif not dispensed:
        outcome = "open"
    elif dispensed < prescribed:
        outcome = "partly"
    else:
        outcome = "complete" if dispensed == prescribed else "over"
    return Medicine(product=product, name=name, prescribed=prescribed, dispensed=dispensed, outcome=outcome)
