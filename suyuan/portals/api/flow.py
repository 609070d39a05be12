"""A firm's own goods for programs: where they went, by county and week, and its own uploads back in bulk."""

import base64
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.ledger.privacy import SealBroken
from suyuan.lookup.flow import iso_week, monday_of
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec, goods
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import After, Next, cursor, operation, place_of, query_of
from suyuan.portals.site import Site, site_of
from suyuan.views.flow import UploadOfFirm, uploads_of

GROUP = "Own goods"
PAGE_BYTES = 4 << 20
"""A page of uploads ends once it holds so much."""


class OwnProduct(msgspec.Struct, kw_only=True):
    """A prefix that the identification library proves to be the caller's."""

    product: str
    """Product key, such as `trace20:8123456`."""
    name: str
    spec: str
    level: int
    """1 = smallest coded package."""


class OwnProducts(msgspec.Struct, kw_only=True):
    """All of them, smallest packages first."""

    products: list[OwnProduct]


class FlowQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which product, and which weeks back."""

    product: Annotated[str, Meta(min_length=1, max_length=100, description="One of `/api/v1/flow/products`.")]
    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=104, description="Weeks of a page.")] = 26


class Told(msgspec.Struct, kw_only=True):
    """One number: a county, or the counties of a region that are told in no smaller part."""

    level: Literal["county", "city", "province", "nation"]
    region: str
    """Six-digit division code; empty for the nation."""
    name: str
    boxes: int


class FlowCube(msgspec.Struct, kw_only=True):
    """One measure of one closed week."""

    week: str
    """ISO week, such as `2026-W11`."""
    monday: str
    """Its first day."""
    measure: Literal["received", "sold"]
    counties: list[Told]


class FlowPage(msgspec.Struct, kw_only=True):
    """Closed weeks, the newest first; weeks of which nothing may be told are left out."""

    product: str
    closed: str
    """The last week that is closed: from there back nothing changes any more."""
    cubes: list[FlowCube]
    next: Next


class UploadsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which page."""

    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=500, description="Documents of a page, fewer where they are large.")] = 100


class OwnUpload(msgspec.Struct, kw_only=True):
    """A document as it was sent."""

    document: str
    """Hash under which it is kept."""
    received: str
    content: str
    """The document; empty where the node keeps no documents."""
    encoding: Literal["text", "base64"]


class OwnUploads(msgspec.Struct, kw_only=True):
    """A page of documents, the oldest first."""

    uploads: list[OwnUpload]
    next: Next
    """Empty when all are told; ask again later with the last one that was not."""


@operation("ownProducts", GROUP, "Prefixes that are provenly the caller's", answer=OwnProducts)
async def products(request: Request) -> Response:
    """The caller's products."""
    held = await site_of(request).query(goods.own_products, site_of(request), caller_of(request))
    told = [OwnProduct(product=row.product_key, name=row.name, spec=row.spec, level=row.level) for row in held]
    return codec.answer(OwnProducts(products=told))


@operation(
    "flow",
    GROUP,
    "Where own goods went: boxes received and sold by county and closed week",
    about="Fixed cubes without filters. A county is told alone where at least 10 boxes and 3 others' places stand "
    "behind its number; else with the other such counties of its city, province or the nation, where these together "
    "are enough; else not at all. A closed week never changes.",
    query=FlowQuery,
    answer=FlowPage,
    errors=("not_found",),
)
async def flow(request: Request) -> Response:
    """One product's weeks."""
    query, site = query_of(request, FlowQuery), site_of(request)
    place = place_of(query.after)
    found = await site.query(goods.flow_of, site, caller_of(request), query.product, place, query.limit)
    language = "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
    page = FlowPage(
        product=query.product,
        closed=iso_week(found.closed),
        cubes=[_cube(cube, language) for cube in found.cubes],
        next=cursor(found.before) if found.before else "",
    )
    return codec.answer(page)


def _cube(cube: goods.Cube, language: str) -> FlowCube:
    return FlowCube(
        week=iso_week(cube.week),
        monday=monday_of(cube.week).isoformat(),
        measure="received" if cube.measure == "received" else "sold",
        counties=[
            Told(level=block.level, region=block.region, name=goods.name_of(block, language), boxes=block.boxes)
            for block in cube.blocks
        ],
    )


@operation(
    "ownUploads",
    GROUP,
    "What the caller uploaded about its goods, back in bulk",
    about="Every document about production, packing, shipping and receiving, as it was sent, oldest first.",
    query=UploadsQuery,
    answer=OwnUploads,
)
async def own_uploads(request: Request) -> Response:
    """A page of documents."""
    query, site = query_of(request, UploadsQuery), site_of(request)
    party = caller_of(request).party
    return codec.answer(await site.query(_uploads, site, party, place_of(query.after), query.limit))


def _uploads(site: Site, party: str, after: int, limit: int) -> OwnUploads:
    with site.views.read() as connection:
        found = uploads_of(connection, party, after, limit)
    told: list[OwnUpload] = []
    size = 0
    for number, upload in enumerate(found, 1):
        told.append(_content(site, upload))
        size += len(told[-1].content)
        if size > PAGE_BYTES and number < limit:
            return OwnUploads(uploads=told, next=cursor(upload.number))
    return OwnUploads(uploads=told, next=cursor(found[-1].number) if len(found) == limit else "")


def _content(site: Site, upload: UploadOfFirm) -> OwnUpload:
    sealed = site.node.journal.document(upload.document)
    content, encoding = "", "text"
    if sealed is not None:
        try:
            raw = site.node.privacy.unseal(sealed)
            content = raw.decode()
        except SealBroken:
            content = ""
        except UnicodeDecodeError:
            content, encoding = base64.b64encode(raw).decode(), "base64"
    return OwnUpload(
        document=upload.document,
        received=iso_time(upload.arrived),
        content=content,
        encoding="base64" if encoding == "base64" else "text",
    )
