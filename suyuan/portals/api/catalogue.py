"""The libraries, open to institutions and firms: look-ups as of a day, and whole tables of a day as files."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Annotated, Any, Literal
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Meta
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import TABLE
from suyuan.catalogue.dating import ALWAYS, OPEN
from suyuan.catalogue.exchange import write_rows
from suyuan.catalogue.mapping import Edge
from suyuan.catalogue.prefixes import Prefix
from suyuan.catalogue.product import Product
from suyuan.codes.recognise import recognise
from suyuan.portals import codec
from suyuan.portals.api.operation import After, Day, Limit, Next, cursor, day_in, operation, place_of, query_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of

GROUP = "Libraries"
NDJSON, CSV = "application/x-ndjson", "text/csv"
_BLOCK_ROWS = 2_000


class ProductsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which products; by code, by a word in the name, or all."""

    code: Annotated[str, Meta(max_length=40, description="Product code of the national insurer.")] = ""
    text: Annotated[str, Meta(max_length=60, description="Part of a name.")] = ""
    day: Day = ""
    after: After = ""
    limit: Limit = 100


class ProductRow(msgspec.Struct, kw_only=True):
    """A product as the insurer knows it on the day."""

    nhsa: str
    kind: str
    generic: str
    english: str
    trade: str
    form: str
    spec: str
    company: str
    company_name: str
    approval: str
    std_code: str
    ean13: str
    list_class: str
    identity: str
    exempt: str
    splittable: bool
    unit: str
    market: str
    synthetic: bool
    valid_from: str
    valid_to: str


class ProductPage(msgspec.Struct, kw_only=True):
    """A page of products."""

    day: str
    products: list[ProductRow]
    standing: str
    """For a question by code: known, future, disabled, transcoded or unknown, in words."""
    next: Next


@operation("listProducts", GROUP, "Products, by insurer's code or by name", query=ProductsQuery, answer=ProductPage)
async def list_products(request: Request) -> Response:
    """A page of products."""
    query, site = query_of(request, ProductsQuery), site_of(request)
    return codec.answer(await site.query(_products, site, query, day_in(site, query.day), place_of(query.after)))


def _products(site: Site, query: ProductsQuery, day: date, start: int) -> ProductPage:
    catalogue = site.node.catalogue
    standing = ""
    rows: Iterable[Product]
    if query.code:
        standing = catalogue.standing(query.code, day).words
        one = catalogue.product(query.code, day)
        rows = [one] if one is not None else []
    else:
        rows = catalogue.content.products
    found, following = _paged(rows, start, query.limit, lambda row: _holds(row, day) and _named(row, query.text))
    products = [ProductRow(**_texts(row, ProductRow)) for row in found]
    return ProductPage(day=day.isoformat(), products=products, standing=standing, next=following)


def _named(row: Product, text: str) -> bool:
    return not text or any(text.lower() in name.lower() for name in (row.generic, row.trade, row.english))


class PrefixesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which prefixes; by key or by a scanned code, or all."""

    key: Annotated[str, Meta(max_length=80, description="A product key such as `trace20:8123456`.")] = ""
    code: Annotated[str, Meta(max_length=500, description="A code as scanned: the prefix that it begins with.")] = ""
    day: Day = ""
    after: After = ""
    limit: Limit = 100


class PrefixRow(msgspec.Struct, kw_only=True):
    """A registered identification and what it stands for on the day."""

    product_key: str
    name: str
    spec: str
    level: int
    ratio: str
    holder: str
    nhsa: list[str]
    """Codes of the insurer that it is mapped to."""
    reviewed: bool
    units: int
    valid_from: str
    valid_to: str


class PrefixPage(msgspec.Struct, kw_only=True):
    """A page of prefixes."""

    day: str
    prefixes: list[PrefixRow]
    next: Next


@operation(
    "listPrefixes",
    GROUP,
    "The identification library: which prefix belongs to which product and package level",
    query=PrefixesQuery,
    answer=PrefixPage,
)
async def list_prefixes(request: Request) -> Response:
    """A page of prefixes."""
    query, site = query_of(request, PrefixesQuery), site_of(request)
    return codec.answer(await site.query(_prefixes, site, query, day_in(site, query.day), place_of(query.after)))


def _prefixes(site: Site, query: PrefixesQuery, day: date, start: int) -> PrefixPage:
    catalogue = site.node.catalogue
    key = query.key
    if query.code:
        key = recognise(query.code, "scan", catalogue.maker_rules).product_key
    rows: Iterable[Prefix] = catalogue.content.prefixes
    if query.key or query.code:
        one = catalogue.identified(key, day) if key else None
        rows = [one] if one is not None else []
    found, following = _paged(rows, start, query.limit, lambda row: _holds(row, day))
    return PrefixPage(day=day.isoformat(), prefixes=[_prefix(catalogue, row, day) for row in found], next=following)


def _prefix(catalogue: Catalogue, row: Prefix, day: date) -> PrefixRow:
    edge = catalogue.product_of(row.product_key, day)
    return PrefixRow(
        product_key=row.product_key,
        name=row.name or (edge.name if edge is not None else ""),
        spec=row.spec,
        level=row.level,
        ratio=row.ratio,
        holder=row.holder,
        nhsa=sorted(edge.nhsa) if edge is not None else [],
        reviewed=edge is not None and edge.reviewed,
        units=edge.units if edge is not None else 0,
        valid_from=_day_text(row.valid_from),
        valid_to=_day_text(row.valid_to),
    )


class MappingQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which links: all of one code, or all."""

    code: Annotated[
        str,
        Meta(max_length=80, description="`trace20:8123456`, `gs1:<GTIN>`, `nhsa:<code>`, `ean13:…`: on either side."),
    ] = ""
    day: Day = ""
    after: After = ""
    limit: Limit = 100


class MappingRow(msgspec.Struct, kw_only=True):
    """One link between two codes on the day."""

    left: str
    right: str
    reviewed: bool
    source: str
    confidence: int
    valid_from: str
    valid_to: str


class MappingPage(msgspec.Struct, kw_only=True):
    """A page of links."""

    day: str
    links: list[MappingRow]
    next: Next


@operation(
    "listMapping",
    GROUP,
    "The mapping library: trace code, insurer's code, commodity code, material code, fee code",
    query=MappingQuery,
    answer=MappingPage,
)
async def list_mapping(request: Request) -> Response:
    """A page of links."""
    query, site = query_of(request, MappingQuery), site_of(request)
    return codec.answer(await site.query(_mapping, site, query, day_in(site, query.day), place_of(query.after)))


def _mapping(site: Site, query: MappingQuery, day: date, start: int) -> MappingPage:
    rows: Iterable[Edge] = site.node.catalogue.content.edges
    found, following = _paged(
        rows,
        start,
        query.limit,
        lambda row: _holds(row, day) and (not query.code or query.code in {row.left, row.right}),
    )
    return MappingPage(
        day=day.isoformat(), links=[MappingRow(**_texts(row, MappingRow)) for row in found], next=following
    )


# Downloads


class DownloadQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of which day, and in which form."""

    day: Day = ""
    form: Annotated[
        Literal["ndjson", "csv"], Meta(description="Lines of JSON, or CSV as `suyuan catalogue` reads it.")
    ] = "ndjson"


DOWNLOADS = {"products": "products", "prefixes": "prefixes", "mapping": "edges", "packages": "packages"}
"""Library by its name in the address → table of the catalogue."""


@operation(
    "downloadLibrary",
    GROUP,
    "A whole library as it holds on a day: products, prefixes, mapping or packages",
    about="Free of charge. The answer has an ETag: ask with If-None-Match and get 304 while nothing has changed.",
    query=DownloadQuery,
    answer_kinds=(NDJSON, CSV),
    errors=("not_modified",),
    headers=(("If-None-Match", "ETag of what the caller holds."),),
)
async def download(request: Request) -> Response:
    """A library as a file."""
    query, site = query_of(request, DownloadQuery), site_of(request)
    library = request.path_params["library"]
    if library not in DOWNLOADS:
        raise Refused("not_found", where="library", value=library, do=f"Libraries are {', '.join(DOWNLOADS)}.")
    day = day_in(site, query.day)
    tag = await site.query(_tag, site.node.catalogue, DOWNLOADS[library], day, query.form)
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "authorization"}
    if tag in {one.strip() for one in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    rows = _rows_on(site.node.catalogue, DOWNLOADS[library], day)
    name = f"{library}-{day.isoformat()}.{query.form}"
    headers["content-disposition"] = f'attachment; filename="{name}"'
    blocks = _lines(rows) if query.form == "ndjson" else _csv(DOWNLOADS[library], rows)
    kind = NDJSON if query.form == "ndjson" else f"{CSV}; charset=utf-8"
    return StreamingResponse(iterate_in_threadpool(blocks), headers=headers, media_type=kind)


def _rows_on(catalogue: Catalogue, table: str, day: date) -> Iterator[Any]:
    return (row for row in getattr(catalogue.content, table) if _holds(row, day))


_TAGS: WeakKeyDictionary[Catalogue, dict[tuple[str, date, str], str]] = WeakKeyDictionary()
"""A catalogue never changes under its desk: what was hashed once for a day holds until another one is loaded."""
_TAGS_MAX = 500


def _tag(catalogue: Catalogue, table: str, day: date, form: str) -> str:
    """A quoted hash over the very bytes that would be sent."""
    tags = _TAGS.setdefault(catalogue, {})
    mark = (table, day, form)
    tag = tags.get(mark)
    if tag is None:
        rows = _rows_on(catalogue, table, day)
        digest = hashlib.blake2b(digest_size=16)
        for block in _lines(rows) if form == "ndjson" else _csv(table, rows):
            digest.update(block)
        if len(tags) >= _TAGS_MAX:
            tags.clear()
        tag = tags[mark] = f'"{digest.hexdigest()}"'
    return tag


def _lines(rows: Iterable[Any]) -> Iterator[bytes]:
    encode = msgspec.json.Encoder(enc_hook=str).encode
    for block in _blocks(rows):
        yield b"".join(encode(_texts(row)) + b"\n" for row in block)


def _csv(table: str, rows: Iterable[Any]) -> Iterator[bytes]:
    first = True
    for block in _blocks(rows):
        text = write_rows(table, block)
        yield (text if first else text.partition("\n")[2]).encode()
        first = False
    if first:
        yield write_rows(table, []).encode()


def _blocks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    block: list[Any] = []
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK_ROWS:
            yield block
            block = []
    if block:
        yield block


# Values


def _holds(row: Any, day: date) -> bool:  # noqa: ANN401  any dated row
    return bool(row.valid_from <= day <= row.valid_to)


def _paged(rows: Iterable[Any], start: int, limit: int, fits: Callable[[Any], bool]) -> tuple[list[Any], str]:
    """The fitting rows from a place on, and where the next page begins: places count all rows, fitting or not."""
    found: list[Any] = []
    for place, row in enumerate(rows):
        if place < start or not fits(row):
            continue
        if len(found) == limit:
            return found, cursor(place)
        found.append(row)
    return found, ""


def _day_text(day: date) -> str:
    return "" if day in {ALWAYS, OPEN} else day.isoformat()


def _texts(row: Any, kind: type[Any] | None = None) -> dict[str, Any]:  # noqa: ANN401  any row of the catalogue
    """The fields of a row, days as texts, open ends empty; only those of `kind`, if given."""
    names = kind.__struct_fields__ if kind is not None else row.__struct_fields__
    values = {name: getattr(row, name) for name in names}
    return {name: _day_text(value) if isinstance(value, date) else value for name, value in values.items()}


assert set(DOWNLOADS.values()) <= set(TABLE), "every library is a table of the catalogue"
