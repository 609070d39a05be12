"""Makers and wholesalers: boxes are made, packed into cartons, shipped to a wholesaler and on to an institution."""

from collections import defaultdict
from random import Random
from typing import Any

import msgspec

from suyuan.simulation import messages
from suyuan.simulation.actors import message
from suyuan.simulation.world import (
    DAY,
    HOUR,
    MINUTE,
    Box,
    Country,
    Firm,
    Lot,
    Place,
    Product,
    Upload,
    boxes_as_lines,
    iso,
)

CARTON_BOXES = (10, 20, 20, 40)
"""Boxes in a carton, drawn at random: cartons are often sent half full."""

EVENTS_MAX = 200
"""EPCIS events in one document."""

PRODUCED = ("kind", "code", "event_time", "product", "lot", "expiry", "made")
PACKED = ("kind", "code", "event_time", "parent")
MOVED = ("kind", "code", "event_time", "counterparty", "delivery")


_SPREADSHEET_ZEROS = "00000"
"""Codes that end so look like damage done by a spreadsheet (N8 of spec/codes.md); makers avoid them."""


class Carton(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A carton on its way: what is in it and when it changes hands (µs UTC)."""

    code: str
    epc: str
    lot: Lot
    boxes: list[Box]
    middles: list[str]
    """Codes of the middle packages, where boxes come in such."""
    place: Place
    wholesaler: Firm
    packed: int
    shipped: int
    """By the maker; a day later it is at the wholesaler's."""
    forwarded: int
    """By the wholesaler; it is at the institution the same day."""


def stock_the_country(country: Country) -> None:
    """Make, pack and ship the country's boxes, put them on shelves, and send everybody's uploads about it."""
    rng = country.rng("supply")
    cartons = _cartons(country, rng)
    for carton in cartons:
        country.shelves[carton.place.code].extend(carton.boxes)
        holders = country.holders[carton.lot.product.code]
        if carton.place not in holders:
            holders.append(carton.place)
    for shelf in country.shelves.values():
        rng.shuffle(shelf)
    _makers_report(country, cartons)
    _wholesalers_report(country, cartons)
    _institutions_report(country, cartons)


def _cartons(country: Country, rng: Random) -> list[Carton]:
    places = list(country.places.values())
    weights = [{"hospital": 5, "pharmacy": 3, "clinic": 1}[place.kind] for place in places]
    lots: dict[str, Lot] = {}
    serials: set[str] = set()
    cartons = []
    left = country.boxes
    while left:
        product = rng.choice(country.products)
        place = rng.choices(places, weights)[0]
        size = min(left, rng.choice(CARTON_BOXES))
        cartons.append(_carton(country, rng, product, place, size=size, lots=lots, serials=serials))
        left -= size
    return cartons


def _carton(
    country: Country, rng: Random, product: Product, place: Place, *, size: int, lots: dict[str, Lot], serials: set[str]
) -> Carton:
    packed = country.start + rng.randint(-30, country.days // 3) * DAY + rng.randint(8 * 60, 18 * 60) * MINUTE
    shipped = packed + rng.randint(1, 4) * DAY
    forwarded = shipped + rng.randint(2, 6) * DAY
    lot = _lot_of(product, packed, lots)
    code, epc = _carton_code(country, product, rng, serials)
    middles: list[str] = []
    boxes: list[Box] = []
    for index in range(size):
        if len(product.packages) > 1 and index % product.packages[0][1] == 0:
            middles.append(_serial(rng, serials, product.packages[0][0]))
        boxes.append(_box(lot, middles[-1] if middles else code, forwarded + DAY, rng, serials))
    sellers = [firm for firm in country.wholesalers.values() if firm.region[:2] == place.province]
    return Carton(
        code=code,
        epc=epc,
        lot=lot,
        boxes=boxes,
        middles=middles,
        place=place,
        wholesaler=rng.choice(sellers or list(country.wholesalers.values())),
        packed=packed,
        shipped=shipped,
        forwarded=forwarded,
    )


def _lot_of(product: Product, packed: int, lots: dict[str, Lot]) -> Lot:
    """One lot a product and month of production."""
    made = iso(packed - 10 * DAY)[:10]
    month = f"{product.code}:{made[:7]}"
    if month not in lots:
        first, year = f"{made[:7]}-01", int(made[:4])
        number = f"{made[2:4]}{made[5:7]}{len(lots) % 1000:03d}"
        lots[month] = Lot(product=product, number=number, made=first, expiry=f"{year + 2}-{made[5:7]}-28")
    return lots[month]


def _serial(rng: Random, serials: set[str], head: str) -> str:
    while True:
        code = f"{head}{rng.randrange(10**13):013d}"
        if code not in serials and not code.endswith(_SPREADSHEET_ZEROS):
            serials.add(code)
            return code


def _box(lot: Lot, parent: str, ready: int, rng: Random, serials: set[str]) -> Box:
    product = lot.product
    if product.prefix:
        code = _serial(rng, serials, product.prefix)
        return Box(code=code, key=f"trace20:{code}", lot=lot, parent=parent, ready=ready)
    serial = _serial(rng, serials, "")
    expiry = lot.expiry.replace("-", "")[2:]
    code = f"(01){product.gtin}(21){serial}(17){expiry}(10){lot.number}"
    return Box(code=code, key=f"gs1:{product.gtin}:{serial}", lot=lot, parent=parent, ready=ready)


def _carton_code(country: Country, product: Product, rng: Random, serials: set[str]) -> tuple[str, str]:
    if product.prefix:
        return _serial(rng, serials, product.packages[-1][0]), ""
    body = f"1{product.gtin[1:8]}{country.next('sscc'):09d}"
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(body)))
    sscc = body + str(-total % 10)
    return f"00{sscc}", f"https://id.gs1.org/00/{sscc}"


def _makers_report(country: Country, cartons: list[Carton]) -> None:
    """Each maker sends its production and packing a week at a time: EPCIS where its codes are GS1, else tables."""
    weeks: dict[tuple[str, int], list[Carton]] = defaultdict(list)
    for carton in cartons:
        weeks[(carton.lot.product.maker, carton.packed // (7 * DAY))].append(carton)
    for (maker, _), group in sorted(weeks.items()):
        at = max(carton.packed for carton in group) + 3 * HOUR
        with_gs1 = [carton for carton in group if carton.epc]
        if with_gs1:
            _send_epcis(country, maker, with_gs1, at)
        with_trace = [carton for carton in group if not carton.epc]
        if with_trace:
            _send_production(country, maker, with_trace, at)
        shipped = max(carton.shipped for carton in group) + 2 * HOUR
        rows = [(carton.code, carton.shipped, carton.wholesaler.code) for carton in group]
        _send_moves(country, maker, "shipped", rows, shipped)


def _send_production(country: Country, maker: str, cartons: list[Carton], at: int) -> None:
    produced = [
        ("produced", box.code, iso(carton.packed), carton.lot.product.code, carton.lot.number, carton.lot.expiry,
         carton.lot.made)
        for carton in cartons
        for box in carton.boxes
    ]  # fmt: skip
    send_table(country, maker, "produced", messages.table(PRODUCED, produced), at)
    packed = [("packed", box.code, iso(carton.packed), box.parent) for carton in cartons for box in carton.boxes]
    packed += [("packed", middle, iso(carton.packed), carton.code) for carton in cartons for middle in carton.middles]
    send_table(country, maker, "packed", messages.table(PACKED, packed), at + MINUTE)


def _send_epcis(country: Country, maker: str, cartons: list[Carton], at: int) -> None:
    events: list[dict[str, Any]] = []
    site = f"https://example.org/site/{maker}"
    for carton in cartons:
        children = [_digital_link(box) for box in carton.boxes]
        lot = carton.lot
        events.append(messages.commissioning(children, lot.number, lot.expiry, site, carton.packed))
        events.append(messages.packing(carton.epc, children, site, carton.packed + MINUTE))
    for part in range(0, len(events), EVENTS_MAX):
        document = messages.epcis(events[part : part + EVENTS_MAX], at)
        number = country.next("upload")
        country.send(
            Upload(
                arrival=at + part * 1_000_000,
                number=number,
                by=maker,
                kind="epcis",
                name=f"{maker}-{number}.jsonld",
            ),
            document,
        )


def _digital_link(box: Box) -> str:
    _, gtin, serial = box.key.split(":")
    return f"https://id.gs1.org/01/{gtin}/21/{serial}"


def _wholesalers_report(country: Country, cartons: list[Carton]) -> None:
    """Wholesalers scan cartons in and out and send a table a week for each."""
    weeks: dict[tuple[str, str, int], list[tuple[str, int, str]]] = defaultdict(list)
    for carton in cartons:
        arrived = carton.shipped + DAY
        received = (carton.wholesaler.code, "received", arrived // (7 * DAY))
        weeks[received].append((carton.code, arrived, carton.lot.product.maker))
        forwarded = (carton.wholesaler.code, "shipped", carton.forwarded // (7 * DAY))
        weeks[forwarded].append((carton.code, carton.forwarded, carton.place.code))
    for (firm, kind, _), rows in sorted(weeks.items()):
        _send_moves(country, firm, kind, rows, max(at for _, at, _ in rows) + 5 * HOUR)


def _send_moves(country: Country, by: str, kind: str, rows: list[tuple[str, int, str]], at: int) -> None:
    bill = messages.bill_number(at, country.next("bill"))
    send_table(
        country,
        by,
        kind,
        messages.table(MOVED, [(kind, code, iso(when), other, bill) for code, when, other in rows]),
        at,
    )


def send_table(country: Country, by: str, kind: str, raw: bytes, at: int, *, plain: bool = True) -> Upload:
    """Send a firm's table about one kind of event."""
    number = country.next("upload")
    name = f"{by}-{kind}-{number}.csv"
    upload = Upload(arrival=at, number=number, by=by, kind="table", name=name, infno=kind, plain=plain)
    return country.send(upload, raw)


def _institutions_report(country: Country, cartons: list[Carton]) -> None:
    """Everybody reports purchases without codes (3503A); some scan cartons in, some scan every box (3502A)."""
    days: dict[tuple[str, int], list[Carton]] = defaultdict(list)
    for carton in cartons:
        days[(carton.place.code, country.day_of(carton.forwarded) // 7)].append(carton)
    for (code, _), group in sorted(days.items()):
        place = country.places[code]
        at = max(carton.forwarded for carton in group) + 6 * HOUR
        delivery = messages.bill_number(at, country.next("bill"))
        lines = boxes_as_lines(box for carton in group for box in carton.boxes)
        bought = [
            messages.purchase_row(line, group[0].wholesaler.name, delivery, f"{delivery}{index}", at)
            for index, line in enumerate(lines)
        ]
        message(country, place, "3503A", {"purcinfoDetail": bought}, at)
        if place.habits.scans_stock and place.kind == "hospital":
            rows = [(carton.code, carton.forwarded + 5 * HOUR, carton.wholesaler.code) for carton in group]
            _send_moves(country, code, "received", rows, at + HOUR)
        elif place.habits.scans_stock:
            stock = [messages.stock_row(line, f"K{delivery}", at, change="108") for line in lines]
            message(country, place, "3502A", {"invinfoDetail": stock}, at + HOUR)


def take_stock(country: Country) -> None:
    """A few institutions count their shelves at the end and send the codes (3501A)."""
    for place in country.places.values():
        shelf = [box for box in country.shelves[place.code] if box.ready < country.end]
        if place.habits.scans_stock and shelf:
            at = country.end - 3 * HOUR
            rows = [messages.stock_row(line, f"P{country.next('count')}", at) for line in boxes_as_lines(shelf[:60])]
            message(country, place, "3501A", {"invinfoDetail": rows}, at)
