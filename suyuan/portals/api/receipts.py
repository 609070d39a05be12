"""Receipts for programs: a till gets the token of a sale as text and QR; anybody asks whether the sale still stands."""

import base64
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.codes.qr import qr_png, qr_svg
from suyuan.intake.desk import day_of
from suyuan.intake.receipts import CODES_MAX, Issued, SaleNotFound, Wanted, issue_receipt, standing_of
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import operation, query_of
from suyuan.portals.api.reports import address_here
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of

GROUP = "Receipts"
Reference = Annotated[str, Meta(max_length=60)]


class ReceiptBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A sale, named by its codes, by a reference, or by the message that told of it."""

    codes: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1000)]], Meta(max_length=CODES_MAX)] = []
    receipt: Annotated[Reference, Meta(description="Number printed on the receipt.")] = ""
    date: Annotated[
        str, Meta(pattern=r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Business day of the receipt number.")
    ] = ""
    settlement: Annotated[Reference, Meta(description="setl_id")] = ""
    order: Annotated[Reference, Meta(description="chrg_bchno")] = ""
    visit: Annotated[Reference, Meta(description="mdtrt_id or mdtrt_sn")] = ""
    msgid: Annotated[Reference, Meta(description="Of the message, or `id` of the upload, that told of the sale.")] = ""
    infno: Annotated[Reference, Meta(description="Of that message: 3505, 2102 …; `sales` for our own uploads.")] = ""
    institution: Annotated[str, Meta(max_length=40, description="The caller's own where it is left out.")] = ""
    draw: Annotated[tuple[Literal["svg", "png"], ...], Meta(max_length=2, description="Which pictures to draw.")] = (
        "svg",
    )
    scale: Annotated[int, Meta(ge=1, le=16, description="Pixels a module of the PNG.")] = 4


class ReceiptPart(msgspec.Struct, kw_only=True):
    """One QR code: a large sale has several."""

    token: str
    """Decimal digits."""
    address: str
    """What the QR code holds; what follows `#` never reaches a server."""
    svg: str = ""
    png: str = ""
    """In base64."""


class ReceiptAnswer(msgspec.Struct, kw_only=True):
    """A receipt to be printed."""

    id: str
    institution: str
    sold: str
    boxes: int
    lines: int
    """Lines of the sale without a code of their own."""
    reversed: Literal["none", "part", "all"]
    """How much of the sale had been given back or cancelled when this was made."""
    parts: list[ReceiptPart]
    text: str
    """What to print beside it."""
    text_en: str


class StandingQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which receipt is asked about."""

    institution: Annotated[str, Meta(min_length=1, max_length=40)]
    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$", extra_json_schema={"examples": ["0123456789abcdef"]})]


class StandingAnswer(msgspec.Struct, kw_only=True):
    """What has become of the sale on a receipt."""

    reversed: Literal["none", "part", "all"]
    at: str
    """When this was looked up."""


_BODY = msgspec.json.Decoder(ReceiptBody)


@operation(
    "issueReceipt",
    GROUP,
    "The token of a sale, as QR for its receipt",
    about="It names no person and holds no code: only hashes of them, place and time, signed by this node. Whoever has "
    "the receipt checks it at /receipt, also offline. The same sale has the same `id`.",
    body=ReceiptBody,
    answer=ReceiptAnswer,
    errors=("not_allowed", "not_found"),
    example={"codes": ["81234560000000000001"], "receipt": "S0017", "date": "2026-03-09"},
)
async def issue(request: Request) -> Response:
    """Make a receipt."""
    body = await codec.read_body(request, _BODY)
    site, caller = site_of(request), caller_of(request)
    institution = body.institution or caller.party
    node = site.node
    if not caller.party or not node.catalogue.may_speak(institution, caller.party, day_of(node.ledger.clock())):
        raise Refused("not_allowed", where="institution", value=institution)
    named = {"receipt": body.receipt, "settlement": body.settlement, "order": body.order, "visit": body.visit}
    wanted = Wanted(
        institution=institution,
        codes=tuple(body.codes),
        references={kind: value for kind, value in named.items() if value},
        date=body.date,
        msgid=body.msgid,
        infno=body.infno,
    )
    try:
        issued = await site.query(issue_receipt, node.desk, node.signer, site.settings.name, wanted)
    except SaleNotFound as refusal:
        raise Refused("not_found", where="sale", what=str(refusal)) from refusal
    site.views.news()
    return codec.answer(await site.query(_answer, issued, address_here(request, "/receipt"), body))


def _answer(issued: Issued, page: str, body: ReceiptBody) -> ReceiptAnswer:
    parts = []
    for token in issued.tokens:
        address = f"{page}#{token}"
        svg = qr_svg(address) if "svg" in body.draw else ""
        png = base64.b64encode(qr_png(address, body.scale)).decode() if "png" in body.draw else ""
        parts.append(ReceiptPart(token=token, address=address, svg=svg, png=png))
    day = iso_time(issued.sold // 1_000_000 * 1_000_000)[:16].replace("T", " ")
    return ReceiptAnswer(
        id=issued.id,
        institution=issued.institution,
        sold=iso_time(issued.sold),
        boxes=issued.boxes,
        lines=issued.lines,
        reversed=issued.reversed,
        parts=parts,
        text=f"扫码验证：本单{issued.boxes}盒药品，{day}，{issued.name or issued.institution}。不含个人信息。",
        text_en=f"Scan to verify: {issued.boxes} boxes, {day}, {issued.name or issued.institution}. No personal data.",
    )


@operation(
    "receiptStatus",
    GROUP,
    "Whether the sale on a receipt still stands",
    query=StandingQuery,
    answer=StandingAnswer,
    errors=("not_found",),
)
async def status(request: Request) -> Response:
    """What has become of a sale since its receipt was made."""
    query, site = query_of(request, StandingQuery), site_of(request)
    standing = await site.query(standing_of, site.node.ledger, query.institution, query.id)
    if standing is None:
        raise Refused("not_found", where="id", value=query.id)
    told = StandingAnswer(reversed=standing.reversed, at=iso_time(site.node.ledger.clock()))
    return codec.answer(told, headers={"cache-control": "no-store"})
