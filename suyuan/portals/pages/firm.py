"""A firm's page: where its goods went, by county and week, as a table, a chart and a file."""

import csv
import io
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from suyuan.lookup.flow import BOXES_MIN, MEASURES, PLACES_MIN, Block, iso_week, monday_of
from suyuan.portals import goods
from suyuan.portals.access import caller_of
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of

WEEKS = 26
"""Weeks on the page; the file has all."""
BAR = 120
SLOT = 24
"""Height of the tallest bar of the chart and width of a week in it, in its own units."""

LEVELS = {
    "county": "%(name)s",
    "city": "%(name)s, other counties together",
    "province": "%(name)s, other counties together",
    "nation": "All other counties of the nation together",
}


class Bar(NamedTuple):
    """One week of the chart."""

    week: str
    boxes: int
    x: int
    y: int
    height: int


async def show(request: Request) -> Response:
    """The goods of the firm; of one product where one is chosen, else of the first."""
    site, caller = site_of(request), caller_of(request)
    held = await site.query(goods.own_products, site, caller)
    chosen = request.query_params.get("product") or (held[0].product_key if held else "")
    values: dict[str, Any] = {"products": held, "chosen": chosen, "rules": (BOXES_MIN, PLACES_MIN)}
    if not chosen:
        return page(request, "firm/goods.html", values | {"flow": None})
    flow = await site.query(goods.flow_of, site, caller, chosen, _before(request), WEEKS)
    values |= {
        "flow": flow,
        "closed": iso_week(flow.closed),
        "bars": {measure: _bars(flow, measure) for measure in MEASURES},
        "rows": [row for cube in flow.cubes for row in _rows(request, cube)],
        "more": flow.before if flow.cubes and flow.before else 0,
        "size": (WEEKS * SLOT, BAR),
    }
    return page(request, "firm/goods.html", values)


def _before(request: Request) -> int:
    written = request.query_params.get("before", "0")
    if not written.isascii() or not written.isdigit() or len(written) > 6:  # noqa: PLR2004  weeks of 19,000 years
        raise Refused("field_unusable", where="before", value=written)
    return int(written)


def _bars(flow: goods.Flow, measure: str) -> list[Bar]:
    """One bar a week that has anything to tell, the oldest first, in its place among the weeks of the page."""
    sums = [(cube.week, sum(block.boxes for block in cube.blocks)) for cube in flow.cubes if cube.measure == measure]
    if not sums:
        return []
    tallest, newest = max(boxes for _, boxes in sums), max(cube.week for cube in flow.cubes)
    bars = []
    for week, boxes in reversed(sums):
        height = max(2, round(boxes * BAR / tallest))
        bars.append(Bar(iso_week(week), boxes, max(0, WEEKS - 1 - newest + week) * SLOT, BAR - height, height))
    return bars


def _rows(request: Request, cube: goods.Cube) -> list[tuple[str, str, str, str, int]]:
    measure = text_of(request, "Handed out" if cube.measure == "sold" else "Taken in")
    language = language_of(request)
    return [
        (
            iso_week(cube.week),
            monday_of(cube.week).isoformat(),
            measure,
            place_name(request, block, language),
            block.boxes,
        )
        for block in cube.blocks
    ]


def place_name(request: Request, block: Block, language: str) -> str:
    """A block in words."""
    return text_of(request, LEVELS[block.level]) % {"name": goods.name_of(block, language)}


async def download(request: Request) -> Response:
    """All closed weeks of a product as a table, for a spreadsheet."""
    site, product = site_of(request), request.query_params.get("product", "")
    flow = await site.query(goods.flow_of, site, caller_of(request), product, 0, goods.HORIZON_WEEKS)
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(("product", "week", "monday", "measure", "level", "region", "name", "boxes"))
    language = language_of(request)
    for cube in flow.cubes:
        for block in cube.blocks:
            named = (block.level, block.region, place_name(request, block, language), block.boxes)
            table.writerow((product, iso_week(cube.week), monday_of(cube.week), cube.measure, *named))
    name = "".join(letter if letter.isalnum() else "-" for letter in product)
    headers = {"content-disposition": f'attachment; filename="flow-{name}.csv"'}
    # The mark lets spreadsheets read the Chinese names.
    return Response("\ufeff" + out.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")
