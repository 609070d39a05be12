"""A small country on disk: its catalogue, two months of uploads in order of arrival, and the truth behind them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryFile

import msgspec

from suyuan.catalogue import regions
from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.exchange import export_table
from suyuan.catalogue.no_code import NoCodeEntry
from suyuan.catalogue.parties import Party
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.simulation.actors import (
    Scanned,
    inpatient_stay,
    report,
    report_in_the_evening,
    send_batches,
    settle,
    visit_of,
)
from suyuan.simulation.frauds import PATTERNS
from suyuan.simulation.noise import disturb_the_post, noise_of, tell_stories
from suyuan.simulation.recalls import issue_orders
from suyuan.simulation.supply import stock_the_country, take_stock
from suyuan.simulation.truth import PLANTED, Totals
from suyuan.simulation.world import (
    DAY,
    MINUTE,
    Box,
    Country,
    Firm,
    Habits,
    Person,
    Place,
    Product,
    Upload,
    day_name,
)

DAYS_MIN = 14
"""Below this the stories have no room."""

INSTITUTIONS_MIN = 10
"""Below this there are no two provinces with every kind of institution and a chain."""

SOLD_SHARE = 0.7
"""Of all boxes, about so many are sold in the period."""

CHAIN_SHOPS = 4
KINDS = (
    "hospital",
    "pharmacy",
    "clinic",
    "pharmacy",
    "hospital",
    "pharmacy",
    "pharmacy",
    "hospital",
    "clinic",
    "pharmacy",
)
"""The mix of institutions in a province, in this order."""

DRUGS = ("western", "tcm")
"""Kinds of products that the country makes by the box."""

PROVINCES_LEFT_OUT = {"71", "81", "82"}

UPLOADS, TRUTH, TOTALS = "uploads.jsonl", "truth.jsonl", "truth_totals.json"


class Summary(msgspec.Struct, kw_only=True):
    """What was written."""

    seed: int
    institutions: int
    boxes: int
    uploads: int
    bytes: int
    planted: dict[str, int]
    stories: dict[str, int]


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of the play list: an upload, where its bytes stand, and on what it depends."""

    arrival: int
    """µs UTC."""
    by: str
    """Party that sends it."""
    kind: str
    """nhsa, table or epcis."""
    file: str
    """Below `uploads/`."""
    offset: int = 0
    length: int
    infno: str = ""
    msgid: str = ""
    when: str = ""
    """`paid:<claim>` or `refused:<claim>`: sent only then."""
    claim: str = ""
    """Our id of the claim it makes; `@setl:<claim>@` elsewhere stands for its setl_id."""


def write_country(
    folder: Path,
    seed: int,
    *,
    institutions: int = 320,
    boxes: int = 100_000,
    days: int = 60,
    noise: str | float = "low",
    start: date = date(2026, 3, 1),
    frauds: int | None = None,
    products: int = 2000,
) -> Summary:
    """Write a country into `folder`: `catalogue/`, `uploads/`, `uploads.jsonl`, `truth.jsonl`, `truth_totals.json`.

    The same arguments give the same bytes. `frauds` is the number of each planted pattern (by default one for about
    2,500 boxes, at least 2); with 0, no recalls either.

    Raises:
        ValueError: for a level of noise that is none, fewer than 14 days, or fewer than 10 institutions.
    """
    rates = noise_of(noise)
    if days < DAYS_MIN:
        raise ValueError(f"days {days}: a country needs at least {DAYS_MIN} days for its stories")
    if institutions < INSTITUTIONS_MIN:
        raise ValueError(f"institutions {institutions}: a country needs at least {INSTITUTIONS_MIN}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as scratch:
        country = Country(seed, start, days, scratch)
        country.boxes = boxes
        content = found(country, institutions, products)
        stock_the_country(country)
        number = max(2, round(boxes / 2500)) if frauds is None else frauds
        if number:
            issue_orders(country, country.rng("recall"))
        for name, plant in PATTERNS:
            plant(country, country.rng(f"fraud:{name}"), number)
        tell_stories(country, rates)
        everyday_sales(country)
        take_stock(country)
        disturb_the_post(country, rates)
        return _write(country, folder, content)


def found(country: Country, institutions: int, products: int) -> Content:
    """Fill the country with products, firms, institutions and people; gives back its whole catalogue."""
    content = synthetic_catalogue(country.seed, products)
    rng = country.rng("country")
    every = _assortment(content, country.first_day)
    country.without_codes = [product for product in every if product.exempt]
    coded = [product for product in every if (product.prefix or product.gtin) and not product.exempt]
    # So many products that several institutions hold each: mis-scans and other boxes need a second holder.
    country.products = _in_trade(coded, rng, max(30, country.boxes // 150))
    country.makers = {
        product.maker: Firm(code=product.maker, name=product.maker_name, region="", kind="manufacturer")
        for product in country.products
    }
    provinces = [code for code, division in regions.divisions().items() if division.level == "province"]
    provinces = [code for code in provinces if code[:2] not in PROVINCES_LEFT_OUT]
    if institutions < 3 * len(provinces):
        # Few institutions stand close together, so that a province still has neighbours, chains and strangers.
        provinces = provinces[:: max(1, len(provinces) * 5 // institutions)][: max(2, institutions // 5)]
    _found_places(country, rng, provinces, institutions)
    _found_wholesalers(country, provinces)
    _found_people(country, rng)
    _declare_old_stock(country, rng)
    return _with_parties(country, content)


def _in_trade(coded: list[Product], rng: Random, number: int) -> list[Product]:
    """Some of the catalogue's products, at least a third of them sold in whole boxes only."""
    unsplit = [product for product in coded if not product.splittable]
    kept = rng.sample(unsplit, min(len(unsplit), number // 3))
    chosen = {product.code for product in kept}
    others = [product for product in coded if product.code not in chosen]
    return kept + rng.sample(others, min(len(others), number - len(kept)))


def _assortment(content: Content, today: date) -> list[Product]:
    """The catalogue's drugs as sellers need them: a coded box with the packages around it, or goods without codes."""
    boxes: dict[str, str] = {}
    levels = {row.product_key: row.level for row in content.prefixes}
    around = {row.inner: row for row in content.packages if row.inner}
    units = {row.product_key: row.units for row in content.packages if row.units_reviewed}
    for edge in content.edges:
        if edge.reviewed and edge.valid_to >= today and edge.right.startswith("nhsa:") and levels.get(edge.left) == 1:
            boxes.setdefault(edge.right.removeprefix("nhsa:"), edge.left)
    made = []
    for row in content.products:
        key = boxes.get(row.nhsa, "")
        system, _, identity = key.partition(":")
        if row.valid_to < today or not (row.exempt or (row.kind in DRUGS and system in {"trace20", "gs1"})):
            continue
        middle = around.get(key)
        carton = around.get(middle.product_key) if middle else None
        outer = [package for package in (middle, carton) if package and system == "trace20"]
        made.append(
            Product(
                code=row.nhsa,
                name=row.name,
                maker=row.company,
                maker_name=row.company_name,
                approval=row.approval,
                prefix=identity if system == "trace20" else "",
                packages=[(package.product_key.partition(":")[2], package.inner_count) for package in outer],
                gtin=identity if system == "gs1" else "",
                units=units.get(key, 1),
                price=row.price,
                splittable=row.splittable,
                exempt=bool(row.exempt),
            )
        )
    return made


def _found_places(country: Country, rng: Random, provinces: list[str], institutions: int) -> None:
    counties = {province: _counties(province) for province in provinces}
    names = {"hospital": "医院", "pharmacy": "大药房", "clinic": "诊所"}
    for index in range(institutions):
        province, turn = provinces[index % len(provinces)], index // len(provinces)
        kind = KINDS[turn % len(KINDS)]
        region = rng.choice(counties[province])
        letter = "P" if kind == "pharmacy" else "H"
        shop = sum(place.province == province[:2] and place.kind == "pharmacy" for place in country.places.values())
        chain = f"C{province}{shop // CHAIN_SHOPS + 1:02d}" if kind == "pharmacy" else ""
        place = Place(
            code=f"{letter}{region}{index + 1:05d}",
            name=f"示例{regions.region_name(region)}第{index + 1}{names[kind]}",
            region=region,
            kind=kind,
            chain=chain,
            habits=Habits(
                settles_first=kind == "hospital" and turn % 3 != 0,
                one_by_one=rng.random() < 0.2,  # noqa: PLR2004  a fifth upload each sale
                scans_stock=rng.random() < 0.15,  # noqa: PLR2004  most send no codes for what they buy
                restarts_receipts=kind == "pharmacy" and shop % 2 == 0,
                constant_batch=rng.random() < 0.05,  # noqa: PLR2004  one in twenty, as in rule T43
                sends_documents=rng.random() < 0.3,  # noqa: PLR2004  both kinds, for rule R24
            ),
        )
        country.places[place.code] = place
        country.shelves[place.code] = []
        if chain:
            country.chains[chain].append(place)


def _counties(province: str) -> list[str]:
    """Some real county codes of a province; the province itself where the list has none (66)."""
    codes = [
        code
        for code, division in regions.divisions().items()
        if division.level == "county" and code[:2] == province[:2]
    ]
    return codes[:12] or [province]


def _found_wholesalers(country: Country, provinces: list[str]) -> None:
    for province in provinces:
        code = f"W{province}01"
        name = f"示例{regions.region_name(province)}医药有限公司"
        country.wholesalers[code] = Firm(code=code, name=name, region=province, kind="distributor")


def _found_people(country: Country, rng: Random) -> None:
    areas = sorted({place.region for place in country.places.values()})
    for number in range(1, max(300, 60 * len(country.places)) + 1):
        area = areas[number % len(areas)]
        born = f"19{rng.randint(30, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
        person = Person(
            number=f"{area}{number:012d}",
            document=f"999999{born}{number % 1000:03d}0",
            area=area,
            fund=rng.choice(("310", "310", "390")),
        )
        country.people.append(person)
        country.neighbours[area[:2]].append(person)


def _declare_old_stock(country: Country, rng: Random) -> None:
    """One institution in ten still holds declared stock from before the codes (R20)."""
    shops = country.places_of("pharmacy", "clinic")
    for place in rng.sample(shops, max(1, len(shops) // 10)):
        product = rng.choice(country.products)
        units = rng.randint(40, 120)
        country.declared[(place.code, product.code)] = units
        country.left[(place.code, product.code)] = units


def _with_parties(country: Country, content: Content) -> Content:
    """The catalogue with everybody who sends something, and with what they declared."""
    listed = {party.code for party in content.parties}
    firms = [*country.makers.values(), *country.wholesalers.values()]
    parties = [
        Party(firm.code, firm.name, kind=firm.kind, region=firm.region, synthetic=True)
        for firm in firms
        if firm.code not in listed
    ]
    parties += [
        Party(chain, f"示例连锁{chain}", kind="head_office", region=shops[0].region[:2] + "0000", synthetic=True)
        for chain, shops in country.chains.items()
    ]
    parties += [
        Party(place.code, place.name, kind=place.kind, region=place.region, chain=place.chain, synthetic=True)
        for place in country.places.values()
    ]
    declared = [
        NoCodeEntry(
            place,
            product,
            "legacy",
            units,
            "2025-07-01前购入的无码库存",
            f"WM{number:04d}",
            country.first_day,
            country.first_day + timedelta(days=2 * country.days),
        )
        for number, ((place, product), units) in enumerate(country.declared.items(), 1)
    ]
    return msgspec.structs.replace(content, parties=[*content.parties, *parties], no_code=[*content.no_code, *declared])


def everyday_sales(country: Country) -> None:
    """Sell what is left on the shelves, until about SOLD_SHARE of all boxes are sold: day by day, visit by visit."""
    rng = country.rng("sales")
    left = sum(len(shelf) for shelf in country.shelves.values())
    share = min(0.95, max(0.0, SOLD_SHARE * country.boxes - (country.boxes - left)) / max(1, left))
    for place in country.places.values():
        days: dict[int, list[Box]] = {}
        kept: list[Box] = []
        for box in country.shelves[place.code]:
            first = country.day_of(box.ready) + 1
            if first < country.days and rng.random() < share:
                days.setdefault(rng.randint(max(0, first), country.days - 1), []).append(box)
            else:
                kept.append(box)
        country.shelves[place.code] = kept
        for day in sorted(days):
            for boxes in _baskets(days[day], rng):
                _everyday_visit(country, rng, place, country.start + day * DAY, boxes)
        send_batches(country)


def _baskets(boxes: list[Box], rng: Random) -> Iterator[list[Box]]:
    """The boxes of a day as baskets of one to eight."""
    at = 0
    while at < len(boxes):
        size = rng.choice((1, 2, 3, 4, 5, 6, 8))
        yield boxes[at : at + size]
        at += size


INSURED = {"hospital": 0.95, "clinic": 0.8, "pharmacy": 0.6}
"""Share of visits that the fund is asked to pay for."""

INPATIENTS = 0.12
"""Share of hospital visits that are stays on a ward."""


def _everyday_visit(country: Country, rng: Random, place: Place, midnight: int, boxes: list[Box]) -> None:
    at = midnight + rng.randint(8 * 60, 19 * 60) * MINUTE + rng.randint(0, 59) * 1_000_000
    visit = visit_of(country, place, country.person_at(place, rng), at, list(boxes))
    insured = rng.random() < INSURED[place.kind]
    days = rng.randint(2, 6)
    if insured and place.kind == "hospital" and rng.random() < INPATIENTS and at + days * DAY < country.end:
        inpatient_stay(country, visit, days)
        return
    claim, awaited = "", False
    if insured:
        awaited = place.habits.settles_first
        scanned: Scanned = rng.choice(("none", "none", "some")) if awaited else "all"
        claim = settle(country, visit, at + MINUTE, scanned=scanned).claim
    if place.habits.one_by_one or awaited:
        report(country, visit, claim, at + rng.randint(5, 40) * MINUTE, awaited=awaited)
    else:
        report_in_the_evening(country, visit, claim)


def _write(country: Country, folder: Path, content: Content) -> Summary:
    for name in ("catalogue", "uploads"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        if getattr(content, table.name):
            (folder / "catalogue" / f"{table.name}.csv").write_bytes(export_table(content, table.name))
    country.uploads.sort(key=lambda upload: (upload.arrival, upload.number))
    size = _write_uploads(country, folder)
    _write_lines(folder / TRUTH, country.truth)
    totals = _totals(country)
    (folder / TOTALS).write_bytes(msgspec.json.format(msgspec.json.encode(totals)))
    planted = {name: totals.stories.get(name, 0) for name in PLANTED}
    return Summary(
        seed=country.seed,
        institutions=len(country.places),
        boxes=country.boxes,
        uploads=len(country.uploads),
        bytes=size,
        planted=planted,
        stories=totals.stories,
    )


def _write_uploads(country: Country, folder: Path) -> int:
    """NHSA messages go into one JSONL file a day of arrival, every other upload into a file of its own."""
    encoder = msgspec.json.Encoder()
    sizes: Counter[str] = Counter()
    with ExitStack() as open_files:
        play = open_files.enter_context((folder / UPLOADS).open("wb"))
        for upload in country.uploads:
            nhsa = upload.kind == "nhsa"
            name = f"nhsa-{day_name(upload.arrival)}.jsonl" if nhsa else upload.name
            play.write(encoder.encode(_entry(upload, name, sizes[name] if nhsa else 0)) + b"\n")
            if not nhsa and name in sizes:
                continue
            if nhsa and name not in sizes:
                day = open_files.enter_context((folder / "uploads" / name).open("wb"))
            raw = country.raw(upload)
            if nhsa:
                day.write(raw + b"\n")
            else:
                (folder / "uploads" / name).write_bytes(raw)
            sizes[name] += len(raw) + nhsa
    return sizes.total()


def _entry(upload: Upload, file: str, offset: int) -> Entry:
    return Entry(
        arrival=upload.arrival,
        by=upload.by,
        kind=upload.kind,
        file=file,
        offset=offset,
        length=upload.length,
        infno=upload.infno,
        msgid=upload.msgid,
        when=upload.when,
        claim=upload.claim,
    )


def _write_lines(path: Path, records: Iterable[msgspec.Struct]) -> None:
    encoder = msgspec.json.Encoder()
    path.write_bytes(b"".join(encoder.encode(record) + b"\n" for record in records))


def _totals(country: Country) -> Totals:
    verdicts = [(verdict, amount) for verdict, amount in country.expected.values() if verdict != "unsent"]
    # A cancelled claim was paid first; the bookkeeper counts it where it was answered.
    money = {name: sum(amount for verdict, amount in verdicts if verdict == name) for name in ("pay", "hold", "refuse")}
    count = Counter(verdict for verdict, _ in verdicts)
    cancelled = sum(amount for verdict, amount in verdicts if verdict == "cancelled")
    questioned = Counter(truth.kind for truth in country.truth for deed in truth.deeds if deed.role == "questioned")
    return Totals(
        boxes=country.boxes,
        institutions=len(country.places),
        uploads=len(country.uploads),
        claims=len(verdicts),
        claims_paid=count["pay"] + count["cancelled"],
        claims_held=count["hold"],
        claims_refused=count["refuse"],
        money_paid=money["pay"] + cancelled,
        money_held=money["hold"],
        money_refused=money["refuse"],
        stories=dict(sorted(Counter(truth.kind for truth in country.truth).items())),
        questioned=dict(sorted(questioned.items())),
    )
