"""Honest noise: what goes wrong without fraud, at named rates, so that false alarms can be counted by cause."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

import msgspec

from suyuan.simulation.actors import (
    cancel,
    deed,
    delete_sale,
    give_back,
    report,
    reverse,
    sell,
    sell_instead,
    settle,
    story,
    visit_of,
)
from suyuan.simulation.messages import msgid_of
from suyuan.simulation.truth import Truth
from suyuan.simulation.world import (
    DAY,
    HOUR,
    MINUTE,
    TRIES,
    Box,
    Country,
    Line,
    Place,
    Product,
    Upload,
    Visit,
    clock,
    whole,
)

PLACEHOLDERS = ("无", "1", "00000000000000000000", "12345678901234567890", "无追溯码")
"""What clerks type where a code is demanded and none is at hand."""

ESCAPE = "9" * 20


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """Rates a box, a message or a file. The defaults are `low`; sources: spec/domain.md §4.4 where marked (d)."""

    rescan: float = 0.0005
    """Boxes scanned again within two hours (d)."""
    unreversed_return: float = 0.0003
    """Boxes given back without an upload and resold within ten days (d)."""
    mis_scan: float = 0.00004
    """Boxes whose code is scanned at another place by mistake (d)."""
    split: float = 0.002
    """Boxes sold in parts to several patients."""
    settle_cancel_settle: float = 0.001
    """Boxes settled, cancelled and settled again."""
    timely_return: float = 0.001
    """Boxes given back, reversed as they should be, and sold again."""
    branch_sharing: float = 0.001
    """Boxes moved to another shop of the chain without an upload and sold there."""
    receipt_restart: float = 0.0003
    """Boxes given back and sold again next day under the same receipt number."""
    no_code: float = 0.002
    """Sales without codes, a box sold: declared old stock, exempt goods, the escape code."""
    placeholder: float = 0.0002
    """Sales with an invented text in place of a code, a box sold."""
    deletion: float = 0.0003
    """Sales deleted by 3507 and sent again, a box."""
    late_return: float = 0.0002
    """Boxes whose return is uploaded before their sale."""
    reversed_first: float = 0.0002
    """Boxes whose reversal (2601) overtakes the settlement that it reverses."""
    family: float = 0.0005
    """Pairs of boxes that two people of one family buy in the same minutes."""
    retry: float = 0.01
    """Messages sent again: with new msgid and batch numbers, or byte for byte."""
    repeated_file: float = 0.02
    """Firms' files sent twice."""
    late_upload: float = 0.01
    """Sale reports and firms' files that arrive one to five days late."""
    equal_lines: float = 0.002
    """Batches of sale reports with one row twice."""


LOW = Noise()

HIGH = Noise(
    rescan=0.005,
    unreversed_return=0.003,
    mis_scan=0.004,
    split=0.02,
    settle_cancel_settle=0.01,
    timely_return=0.01,
    branch_sharing=0.01,
    receipt_restart=0.003,
    no_code=0.02,
    placeholder=0.002,
    deletion=0.003,
    late_return=0.002,
    reversed_first=0.002,
    family=0.005,
    retry=0.1,
    repeated_file=0.2,
    late_upload=0.1,
    equal_lines=0.02,
)
"""Ten times `low`; mis-scans a hundred times, as in the high noise of spec/domain.md §4.3."""

FEN = 10_000
"""A hundredth of a yuan, in millionths."""

UNITS_TO_SPLIT = 4
"""Smallest units in a box that is worth opening."""

DOSES_A_BAG = 50
"""Herbs are priced by the bag of 500 g and sold by the 10 g."""

MOSTLY = 0.7
"""A chance, where most do one thing and some another."""

RATE_MAX = 0.2


def noise_of(level: str | float) -> Noise:
    """The rates of a level: `low`, `high`, or a number that multiplies the low rates (0 for silence).

    Raises:
        ValueError: for another word or a negative number.
    """
    if isinstance(level, str) and level in {"low", "high"}:
        return LOW if level == "low" else HIGH
    try:
        factor = float(level)
    except ValueError:
        factor = -1.0
    if not factor >= 0:
        raise ValueError(f"noise {level!r}: say low, high, or a number of at least 0 that multiplies the low rates")
    rates = cast("dict[str, float]", msgspec.to_builtins(LOW))
    return Noise(**{name: min(RATE_MAX, rate * factor) for name, rate in rates.items()})


def tell_stories(country: Country, noise: Noise) -> None:
    """Take boxes off the shelves for every honest story that is about particular boxes."""
    for cause, (rate, tell) in _STORIES.items():
        rng = country.rng(f"noise:{cause}")
        wanted = _number(getattr(noise, rate), country.boxes)
        told = 0
        for _ in range(wanted * TRIES):
            told += tell(country, rng)
            if told >= wanted:
                break


def _number(rate: float, of: int) -> int:
    """How many, and at least one of each cause that occurs at all, so that a small country shows them too."""
    return max(1, round(rate * of)) if rate > 0 else 0


def _moment(country: Country, rng: Random, *, before_end: int) -> int:
    """A time in opening hours, leaving some days for what follows."""
    return country.start + rng.randint(2, country.days - 1 - before_end) * DAY + rng.randint(9 * 60, 17 * 60) * MINUTE


def _counter(
    country: Country, rng: Random, at: int, *kinds: str, fits: Callable[[Box], bool] = whole
) -> tuple[Place, Box] | None:
    place = rng.choice(country.places_of(*kinds))
    box = country.take(place, ready=at, fits=fits)
    return (place, box) if box else None


def _rescan(country: Country, rng: Random) -> bool:
    at = _moment(country, rng, before_end=1)
    found = _counter(country, rng, at, "pharmacy", "hospital", "clinic")
    if found is None:
        return False
    place, box = found
    visit = visit_of(country, place, country.person_at(place, rng), at, [box])
    claim = settle(country, visit, at + MINUTE, plain=False).claim if rng.random() < 0.5 else ""  # noqa: PLR2004  half
    report(country, visit, claim, at + 5 * MINUTE, plain=False)
    deeds = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        visit.at += rng.randint(1, 45) * MINUTE
        deeds.append(deed("honest", report(country, visit, claim, visit.at + 5 * MINUTE, plain=False), visit, box.code))
    story(country, "rescan", [box], deeds)
    return True


def _unreversed_return(country: Country, rng: Random) -> bool:
    at = _moment(country, rng, before_end=11)
    found = _counter(country, rng, at, "pharmacy", "clinic")
    if found is None:
        return False
    place, box = found
    first = visit_of(country, place, country.person_at(place, rng), at, [box])
    sale = sell(country, first)
    later = at + rng.randint(1, 9) * DAY + rng.randint(10, 200) * MINUTE
    second = visit_of(country, place, country.person_at(place, rng), later, [box])
    resale = settle(country, second, later + MINUTE, plain=False)
    country.expected[resale.claim] = ("refuse", second.amount)
    report(country, second, resale.claim, later + 9 * MINUTE, when=f"paid:{resale.claim}", plain=False)
    _another_box(country, resale, second, box)
    deeds = [deed("honest", sale, first, box.code), deed("honest", resale, second, box.code)]
    story(country, "unreversed_return", [box], deeds)
    return True


def _another_box(country: Country, refused: Upload, visit: Visit, box: Box) -> None:
    """The counter takes another box where it has one; else the person pays."""
    place, person, at = visit.place, visit.person, visit.at
    other = country.take(place, ready=at, product=box.product.code)
    if other is None:
        paid_for = visit_of(country, place, person, at, [box])
        report(country, paid_for, "", at + 15 * MINUTE, when=f"refused:{refused.claim}", plain=False)
        return
    claim = sell_instead(country, refused, visit, other).claim
    if country.expected[refused.claim][0] != "refuse":
        country.expected[claim] = ("unsent", other.product.price)


def _mis_scan(country: Country, rng: Random) -> bool:
    """A clerk hands out one box and scans another's code; the true holder sells that one before or after."""
    at = _moment(country, rng, before_end=5)
    found = _counter(country, rng, at, "pharmacy", "clinic", "hospital")
    if found is None:
        return False
    home, box = found
    others = [place for place in country.holders[box.product.code] if place.kind != "hospital" and place is not home]
    clerk = rng.choice(others or [home])
    own = country.take(clerk, ready=at, product=box.product.code) if others else None
    if own is None:
        country.shelves[home.code].insert(0, box)
        return False
    true_at = at + rng.choice((-1, 1)) * rng.randint(30, 40 * 60) * MINUTE
    wrong = visit_of(country, clerk, country.person_at(clerk, rng), at, [box])
    right = visit_of(country, home, country.person_at(home, rng), true_at, [box])
    by_claim = rng.random() < 0.5  # noqa: PLR2004  half of them
    slip = settle(country, wrong, at + MINUTE, plain=False) if by_claim else None
    mistaken = slip or report(country, wrong, "", at + MINUTE, plain=False)
    if slip is not None:
        report(country, wrong, slip.claim, at + 4 * MINUTE, when=f"paid:{slip.claim}", plain=False)
    sale = settle(country, right, true_at + MINUTE, plain=False)
    report(country, right, sale.claim, true_at + 4 * MINUTE, when=f"paid:{sale.claim}", plain=False)
    if true_at > at:
        country.expected[sale.claim] = ("refuse" if by_claim else "hold", right.amount)
        _another_box(country, sale, right, box)
    elif slip is not None:
        country.expected[slip.claim] = ("refuse", wrong.amount)
        sell_instead(country, slip, wrong, own)
    story(
        country, "mis_scan", [box], [deed("honest", mistaken, wrong, box.code), deed("honest", sale, right, box.code)]
    )
    return True


def _split(country: Country, rng: Random) -> bool:
    """One box in parts to several patients until it is used up or nearly so (R18)."""
    at = _moment(country, rng, before_end=8)
    found = _counter(country, rng, at, "clinic", "hospital", "pharmacy", fits=_worth_splitting)
    if found is None:
        return False
    place, box = found
    deeds = []
    for units in _shares(box.product.units, rng):
        line = Line(
            product=box.product,
            codes=[box.code],
            quantity=units,
            price=_unit_price(box.product),
            split=True,
            lot=box.lot,
        )
        visit = visit_of(country, place, country.person_at(place, rng), at, [line])
        claim = settle(country, visit, at + MINUTE, plain=False).claim if rng.random() < MOSTLY else ""
        deeds.append(deed("honest", report(country, visit, claim, at + 4 * MINUTE, plain=False), visit, box.code))
        at += rng.randint(20, 30 * 60) * MINUTE
        if at >= country.end - DAY:
            break
    story(country, "split", [box], deeds)
    return True


def _worth_splitting(box: Box) -> bool:
    return box.product.splittable and box.product.units >= UNITS_TO_SPLIT


def _shares(units: int, rng: Random) -> list[int]:
    """Units for three to eight patients in turn; most boxes are used up by the last one."""
    shares = []
    for left_patients in range(rng.randint(3, 8), 0, -1):
        if not units:
            break
        last = left_patients == 1 and rng.random() < MOSTLY
        share = units if last else min(units, max(1, units // rng.randint(left_patients, 9)))
        shares.append(share)
        units -= share
    return shares


def _unit_price(product: Product) -> int:
    """A part of the box's price in whole fen, as tills charge it."""
    return max(FEN, product.price // product.units // FEN * FEN)


def _settle_cancel_settle(country: Country, rng: Random) -> bool:
    at = _moment(country, rng, before_end=3)
    found = _counter(country, rng, at, "pharmacy", "hospital", "clinic")
    if found is None:
        return False
    place, box = found
    person = country.person_at(place, rng)
    first = visit_of(country, place, person, at, [box])
    claim = settle(country, first, at + MINUTE, plain=False)
    style = rng.choice(("cancel", "reverse", "after report"))
    again_at = at + rng.randint(6, 90) * MINUTE
    if style == "after report":
        report(country, first, claim.claim, at + 3 * MINUTE, plain=False)
    if style == "reverse":
        reverse(country, first, claim, again_at - 2 * MINUTE)
    else:
        cancel(country, first, claim.claim, again_at - 2 * MINUTE)
    country.expected[claim.claim] = ("cancelled", first.amount)
    if style == "after report":
        give_back(country, first, claim.claim, again_at - MINUTE)
    second = visit_of(country, place, person, again_at + 2 * MINUTE, [box])
    again = sell(country, second)
    deeds = [deed("honest", claim, first, box.code), deed("honest", again, second, box.code)]
    story(country, "settle_cancel_settle", [box], deeds, note=style)
    return True


def _timely_return(country: Country, rng: Random) -> bool:
    """Cancelled, returned with 3506 within the window, and sold to somebody else."""
    at = _moment(country, rng, before_end=9)
    found = _counter(country, rng, at, "pharmacy", "clinic")
    if found is None:
        return False
    place, box = found
    first = visit_of(country, place, country.person_at(place, rng), at, [box])
    sale = sell(country, first)
    country.expected[sale.claim] = ("cancelled", first.amount)
    back = at + rng.randint(1, 6) * DAY
    cancel(country, first, sale.claim, back)
    give_back(country, first, sale.claim, back + 3 * MINUTE)
    second = visit_of(country, place, country.person_at(place, rng), back + rng.randint(60, 600) * MINUTE, [box])
    again = sell(country, second)
    deeds = [deed("honest", sale, first, box.code), deed("honest", again, second, box.code)]
    story(country, "timely_return", [box], deeds)
    return True


def _branch_sharing(country: Country, rng: Random) -> bool:
    at = _moment(country, rng, before_end=2)
    chains = [shops for _, shops in sorted(country.chains.items()) if len(shops) > 1]
    if not chains:
        return False
    stocked, sold_at = rng.sample(rng.choice(chains), 2)
    box = country.take(stocked, ready=at)
    if box is None or box.product.exempt:
        return False
    visit = visit_of(country, sold_at, country.person_at(sold_at, rng), at, [box])
    sale = sell(country, visit)
    story(country, "branch_sharing", [box], [deed("honest", sale, visit, box.code)], note=f"stock of {stocked.code}")
    return True


def _receipt_restart(country: Country, rng: Random) -> bool:
    """Sold for cash, given back, sold next day to somebody else under the same receipt number (R5)."""
    at = _moment(country, rng, before_end=3)
    tills = [place for place in country.places_of("pharmacy") if place.habits.restarts_receipts]
    place = rng.choice(tills)
    box = country.take(place, ready=at, fits=whole)
    if box is None:
        return False
    first = visit_of(country, place, country.person_at(place, rng), at, [box])
    report(country, first, "", at + MINUTE, plain=False)
    give_back(country, first, "", at + 3 * HOUR)
    later = at + DAY + rng.randint(-60, 60) * MINUTE
    second = visit_of(country, place, country.person_at(place, rng), later, [box], receipt=first.receipt)
    again = report(country, second, "", later + MINUTE, plain=False)
    story(country, "receipt_restart", [box], [deed("honest", again, second, box.code)])
    return True


def _late_return(country: Country, rng: Random) -> bool:
    """The return is uploaded at once, its sale days later: parked until then (R4)."""
    at = _moment(country, rng, before_end=7)
    found = _counter(country, rng, at, "pharmacy")
    if found is None:
        return False
    place, box = found
    visit = visit_of(country, place, country.person_at(place, rng), at, [box])
    sale = report(country, visit, "", at + MINUTE, arrival=at + rng.randint(3, 5) * DAY, plain=False)
    give_back(country, visit, "", at + rng.randint(1, 2) * DAY)
    story(country, "late_upload", [box], [deed("honest", sale, visit, box.code)], note="the return came first")
    return True


def _reversed_first(country: Country, rng: Random) -> bool:
    """The till sees no answer and reverses; on a slow line the reversal overtakes the settlement (R25)."""
    at = _moment(country, rng, before_end=1)
    found = _counter(country, rng, at, "pharmacy", "clinic", "hospital")
    if found is None:
        return False
    place, box = found
    person = country.person_at(place, rng)
    first = visit_of(country, place, person, at, [box])
    slow = settle(country, first, at + MINUTE, plain=False)
    reverse(country, first, slow, at + 3 * MINUTE)
    slow.arrival = at + rng.randint(5, 15) * MINUTE
    country.expected[slow.claim] = ("refuse", first.amount)
    second = visit_of(country, place, person, at + rng.randint(20, 40) * MINUTE, [box])
    again = sell(country, second)
    deeds = [deed("honest", slow, first, box.code), deed("honest", again, second, box.code)]
    story(country, "reversed_first", [box], deeds)
    return True


def _family(country: Country, rng: Random) -> bool:
    """Two people of one family at one counter in the same minutes, each with a box of the same product."""
    at = _moment(country, rng, before_end=1)
    found = _counter(country, rng, at, "pharmacy", "clinic")
    if found is None:
        return False
    place, box = found
    other = country.take(place, ready=at, product=box.product.code)
    if other is None:
        country.shelves[place.code].insert(0, box)
        return False
    deeds = []
    for person, own in zip(country.strangers(place, rng, 2), (box, other), strict=True):
        visit = visit_of(country, place, person, at, [own])
        deeds.append(deed("honest", sell(country, visit, wait=2 * MINUTE), visit, own.code))
        at += rng.randint(0, 2) * MINUTE
    story(country, "family", [box, other], deeds)
    return True


def _deletion(country: Country, rng: Random) -> bool:
    """An upload for the wrong person is deleted by its batch number and sent again."""
    at = _moment(country, rng, before_end=2)
    found = _counter(country, rng, at, "pharmacy")
    if found is None or found[0].habits.constant_batch:
        return False
    place, box = found
    wrong = visit_of(country, place, country.person_at(place, rng), at, [box])
    report(country, wrong, "", at + MINUTE, plain=False)
    delete_sale(country, wrong, at + 20 * MINUTE)
    right = visit_of(country, place, country.person_at(place, rng), at, [box])
    sale = report(country, right, "", at + 25 * MINUTE, plain=False)
    story(country, "deletion", [box], [deed("honest", sale, right, box.code)])
    return True


def _no_code(country: Country, rng: Random) -> bool:
    """Declared old stock, exempt goods and the escape code: sold without a code of their own (R19, R20)."""
    at = _moment(country, rng, before_end=1)
    style = rng.choice(("legacy", "exempt", "escape"))
    line = {"legacy": _legacy_line, "exempt": _exempt_line, "escape": _escape_line}[style](country, rng)
    if line is None:
        return False
    place, goods = line
    visit = visit_of(country, place, country.person_at(place, rng), at, [goods])
    claim = settle(country, visit, at + MINUTE, plain=False)
    report(country, visit, claim.claim, at + 5 * MINUTE, plain=False)
    country.truth.append(
        Truth(
            id=f"no_code-{country.next('story:no_code'):04d}",
            kind="no_code",
            planted=False,
            codes=goods.codes,
            keys=[],
            institutions=[place.code],
            deeds=[deed("honest", claim, visit, "".join(goods.codes))],
            note=style,
        )
    )
    return True


def _legacy_line(country: Country, rng: Random) -> tuple[Place, Line] | None:
    open_stock = sorted(key for key, left in country.left.items() if left > 1)
    if not open_stock:
        return None
    key = rng.choice(open_stock)
    units = rng.randint(1, 2)
    country.left[key] -= units
    product = next(product for product in country.products if product.code == key[1])
    return country.places[key[0]], Line(product=product, codes=[], quantity=units, price=product.price)


def _exempt_line(country: Country, rng: Random) -> tuple[Place, Line] | None:
    exempt = [product for product in country.without_codes if product.exempt]
    if not exempt:
        return None
    product = rng.choice(exempt)
    place = rng.choice(country.places_of("clinic", "hospital"))
    price = max(FEN, product.price // DOSES_A_BAG // FEN * FEN)
    return place, Line(product=product, codes=[], quantity=rng.randint(1, 9), price=price)


def _escape_line(country: Country, rng: Random) -> tuple[Place, Line] | None:
    products = [product for product in country.products if product.splittable and product.units >= UNITS_TO_SPLIT]
    if not products:
        return None
    product = rng.choice(products)
    place = rng.choice(country.places_of("clinic", "hospital"))
    price = _unit_price(product)
    return place, Line(product=product, codes=[ESCAPE], quantity=rng.randint(1, 3), price=price, split=True)


def _placeholder(country: Country, rng: Random) -> bool:
    """Somebody types anything where a code is demanded; reported as a cash sale."""
    at = _moment(country, rng, before_end=1)
    place, product = rng.choice(country.places_of("pharmacy", "clinic")), rng.choice(country.products)
    text = rng.choice(PLACEHOLDERS)
    line = Line(product=product, codes=[text], quantity=1, price=product.price)
    visit = visit_of(country, place, country.person_at(place, rng), at, [line])
    sale = report(country, visit, "", at + MINUTE, plain=False)
    number = country.next("story:placeholder")
    country.truth.append(
        Truth(
            id=f"placeholder-{number:04d}",
            kind="placeholder",
            planted=False,
            codes=[text],
            keys=[],
            institutions=[place.code],
            deeds=[deed("honest", sale, visit, text)],
        )
    )
    return True


_STORIES: dict[str, tuple[str, Callable[[Country, Random], bool]]] = {
    "split": ("split", _split),
    "mis_scan": ("mis_scan", _mis_scan),
    "rescan": ("rescan", _rescan),
    "unreversed_return": ("unreversed_return", _unreversed_return),
    "settle_cancel_settle": ("settle_cancel_settle", _settle_cancel_settle),
    "timely_return": ("timely_return", _timely_return),
    "branch_sharing": ("branch_sharing", _branch_sharing),
    "receipt_restart": ("receipt_restart", _receipt_restart),
    "late_return": ("late_return", _late_return),
    "reversed_first": ("reversed_first", _reversed_first),
    "family": ("family", _family),
    "deletion": ("deletion", _deletion),
    "no_code": ("no_code", _no_code),
    "placeholder": ("placeholder", _placeholder),
}
"""Cause → (its rate, its story). Those that need rare shelves come first."""


def disturb_the_post(country: Country, noise: Noise) -> None:
    """Repeat, delay and blur everyday messages after they were written: lines, messages, batches and files."""
    everyday = [upload for upload in country.uploads if upload.plain and upload.kind == "nhsa"]
    files = [upload for upload in country.uploads if upload.plain and upload.kind != "nhsa"]
    reports = [upload for upload in everyday if upload.infno in {"3505", "3505A"}]
    batches = [upload for upload in reports if upload.infno == "3505A"]
    for upload in _some(country, "equal_lines", batches, noise.equal_lines):
        _double_a_row(country, upload)
    for upload in _some(country, "late_upload", reports, noise.late_upload):
        _delay(country, upload)
    for upload in _some(country, "late_file", files, noise.late_upload):
        _delay(country, upload)
    for upload in _some(country, "retry", everyday, noise.retry):
        _send_again(country, upload)
    for upload in _some(country, "repeated_file", files, noise.repeated_file):
        country.send(msgspec.structs.replace(upload, arrival=upload.arrival + 7 * HOUR, number=country.next("upload")))
        _note(country, "retry", upload, [], f"file {upload.name}")


def _some(country: Country, purpose: str, uploads: list[Upload], rate: float) -> list[Upload]:
    rng = country.rng(f"noise:{purpose}")
    return rng.sample(uploads, min(len(uploads), _number(rate, len(uploads))))


def _double_a_row(country: Country, upload: Upload) -> None:
    """A clerk's system sends one row twice in the same batch."""
    body = msgspec.json.decode(country.raw(upload))
    rows = body["input"]["selinfoDetail"]
    rows.append(rows[0])
    country.rewrite(upload, msgspec.json.encode(body))
    codes = [node["drug_trac_codg"] for node in rows[0]["drugtracinfo"]]
    _note(country, "equal_lines", upload, codes, "")


def _delay(country: Country, upload: Upload) -> None:
    rng = country.rng(f"delay:{upload.number}")
    if upload.arrival > country.end - DAY:
        return
    hours = rng.randint(4, 20) if upload.awaited else rng.randint(24, 5 * 24)
    upload.arrival += hours * HOUR
    _note(country, "late_upload", upload, _codes_of(country, upload), f"{hours} hours")


def _send_again(country: Country, upload: Upload) -> None:
    """A time-out, a double click, a job that runs twice: the same content once more."""
    rng = country.rng(f"retry:{upload.number}")
    claimlike = not upload.infno.startswith("35")
    later = rng.randint(5, 40) * 1_000_000 if claimlike else rng.randint(1, 2 * 24 * 60) * MINUTE
    again = msgspec.structs.replace(upload, arrival=upload.arrival + later, number=country.next("upload"))
    style = rng.choice(("same bytes", "new numbers", "new numbers"))
    if style == "new numbers":
        _restamp(country, again)
    country.send(again)
    _note(country, "retry", again, _codes_of(country, again), style)


def _restamp(country: Country, upload: Upload) -> None:
    """As a client does that saw no answer: new msgid and sending time, and new batch numbers in every row."""
    body: dict[str, Any] = msgspec.json.decode(country.raw(upload))
    place = country.places[upload.by]
    upload.msgid = msgid_of(place, upload.arrival, country.next(f"msgid:{place.code}"))
    body["msgid"], body["inf_time"] = upload.msgid, clock(upload.arrival)
    for row in _rows(body["input"]):
        if "fixmedins_bchno" in row and not place.habits.constant_batch:
            row["fixmedins_bchno"] = f"N{country.next('restamped'):09d}"
    country.rewrite(upload, msgspec.json.encode(body))


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for node in body.values() for row in (node if isinstance(node, list) else [node])]


def _codes_of(country: Country, upload: Upload) -> list[str]:
    if upload.kind != "nhsa":
        return []
    rows = _rows(msgspec.json.decode(country.raw(upload))["input"])
    nodes = [node for row in rows for node in (row.get("drugtracinfo") or [row])]
    return [node["drug_trac_codg"] for node in nodes if "drug_trac_codg" in node]


def _note(country: Country, cause: str, upload: Upload, codes: list[str], note: str) -> None:
    country.truth.append(
        Truth(
            id=f"{cause}-{country.next(f'story:{cause}'):04d}",
            kind=cause,
            planted=False,
            codes=codes,
            keys=[key_of(code) for code in codes],
            institutions=[upload.by],
            note=" ".join(part for part in (upload.infno, upload.msgid, note) if part),
        )
    )


def key_of(code: str) -> str:
    """Box key of a code as this country prints it: twenty digits, or `(01)…(21)…`."""
    if code.startswith("(01)"):
        return f"gs1:{code[4:18]}:{code[22:].partition('(')[0]}"
    return f"trace20:{code}"
