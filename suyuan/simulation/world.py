"""The nouns of a small country: products, places, people, boxes, visits, and the post that carries their uploads."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from random import Random
from typing import BinaryIO

import msgspec

from suyuan.simulation.truth import Truth

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEIJING = timezone(timedelta(hours=8))
TRIES = 200
"""Shelves looked at, for each instance of a story, before it is given up: most have no box that fits on that day."""

YUAN = 1_000_000
"""Amounts are millionths of a yuan, as everywhere in the ledger."""


class Product(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pack of one drug, as far as its makers and sellers need to know it."""

    code: str
    """NHSA code (med_list_codg)."""
    name: str
    maker: str
    """Party code of the firm that makes it."""
    maker_name: str
    approval: str
    prefix: str = ""
    """Seven digits of the box; empty where the boxes carry GS1 codes."""
    packages: list[tuple[str, int]] = []
    """Larger packages, smallest first: prefix and how many of the next smaller one it holds."""
    gtin: str = ""
    units: int = 1
    """Smallest units in a box (R18)."""
    price: int = 0
    """Of a box, in millionths of a yuan."""
    splittable: bool = False
    exempt: bool = False
    """No code is required (herbal slices and the like, R20)."""


class Habits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How one institution works: what real clients differ in."""

    settles_first: bool = False
    """Settles before dispensing; the codes come with the sale report (R13)."""
    one_by_one: bool = False
    """Uploads each sale at once; the others send a batch in the evening."""
    scans_stock: bool = False
    """Uploads the codes of what it takes in (3502); the others send purchases without codes (3503)."""
    restarts_receipts: bool = False
    """Receipt numbers begin at 1 every morning."""
    constant_batch: bool = False
    """Sends "0001" as fixmedins_bchno in every row (T43)."""
    sends_documents: bool = False
    """Sale rows carry the person's document number beside psn_no."""


class Place(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A designated institution."""

    code: str
    name: str
    region: str
    kind: str
    """hospital, clinic or pharmacy."""
    chain: str = ""
    habits: Habits = Habits()

    @property
    def province(self) -> str:
        """First two digits of the division code."""
        return self.region[:2]


class Firm(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A maker or wholesaler."""

    code: str
    name: str
    region: str
    kind: str


class Person(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An insured person; all numbers are invented, and area 99 exists nowhere."""

    number: str
    document: str
    area: str
    fund: str
    """insutype: 310 employee, 390 resident."""


class Lot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A production batch."""

    product: Product
    number: str
    made: str
    expiry: str


class Box(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One box: what is printed on it and where it went."""

    code: str
    """As a scanner gives it."""
    key: str
    lot: Lot
    parent: str
    """The code of the package it was packed into."""
    ready: int
    """µs UTC at which it stands on the shelf of its institution."""

    @property
    def product(self) -> Product:
        """What is in it."""
        return self.lot.product


class Line(msgspec.Struct, gc=False, kw_only=True):
    """One line of a sale: a product, how much, and the codes of it."""

    product: Product
    codes: list[str]
    quantity: int
    """In the priced unit: boxes, or smallest units of a split sale."""
    price: int
    split: bool = False
    lot: Lot | None = None

    @property
    def amount(self) -> int:
        """Millionths of a yuan."""
        return self.quantity * self.price


class Visit(msgspec.Struct, gc=False, kw_only=True):
    """A person at a counter: what is sold, under which numbers."""

    number: str
    order: str
    receipt: str
    place: Place
    person: Person
    at: int
    lines: list[Line]

    @property
    def amount(self) -> int:
        """Millionths of a yuan."""
        return sum(line.amount for line in self.lines)

    @property
    def codes(self) -> list[str]:
        """All codes of the visit, in order of its lines."""
        return [code for line in self.lines for code in line.codes]


class Upload(msgspec.Struct, gc=False, kw_only=True):
    """What one actor sends at one moment."""

    arrival: int
    number: int
    """Order of sending; settles ties of arrival."""
    by: str
    kind: str
    """nhsa, table or epcis."""
    offset: int = 0
    """Where its bytes stand in the country's scratch file."""
    length: int = 0
    name: str = ""
    """File name, for tables and EPCIS documents; NHSA messages stand together in a file a day."""
    infno: str = ""
    msgid: str = ""
    when: str = ""
    """`paid:<claim>` or `refused:<claim>`: sent only if that claim was so answered; empty for always."""
    claim: str = ""
    """Our own id of the claim that this message makes."""
    plain: bool = True
    """An everyday message or file that noise may repeat or delay; False for what a planted story depends on."""
    awaited: bool = False
    """Brings the codes of a claim that was settled before dispensing, so it cannot be days late."""


class Country:
    """All there is: who lives and works here, what stands on the shelves, and what has been sent so far."""

    def __init__(self, seed: int, start: date, days: int, scratch: BinaryIO) -> None:
        self.seed = seed
        self._scratch = scratch
        """Bytes of all uploads: hundreds of megabytes, which nobody needs before they are written out in order."""
        self._written = 0
        self._flushed = True
        self.first_day = start
        self.start = int(datetime(start.year, start.month, start.day, tzinfo=BEIJING).timestamp()) * 1_000_000
        self.days = days
        self.products: list[Product] = []
        self.makers: dict[str, Firm] = {}
        self.wholesalers: dict[str, Firm] = {}
        self.places: dict[str, Place] = {}
        self.chains: dict[str, list[Place]] = defaultdict(list)
        self.people: list[Person] = []
        self.neighbours: dict[str, list[Person]] = defaultdict(list)
        self.holders: dict[str, list[Place]] = defaultdict(list)
        """Product → institutions that were sent some of it."""
        self.shelves: dict[str, list[Box]] = {}
        """Boxes at each institution that nothing has been decided about yet."""
        self.declared: dict[tuple[str, str], int] = {}
        """No-code stock: (institution, product) → units declared."""
        self.left: dict[tuple[str, str], int] = {}
        """The same, less what has been sold."""
        self.without_codes: list[Product] = []
        """Herbal slices and granules, which need no code."""
        self.boxes = 0
        """How many are made in all."""
        self.uploads: list[Upload] = []
        self.truth: list[Truth] = []
        self.expected: dict[str, tuple[str, int]] = {}
        """Claim → what should become of it (pay, hold, refuse, cancelled, unsent) and its amount."""
        self.batches: dict[tuple[str, int], list[msgspec.Raw]] = defaultdict(list)
        """Encoded rows of sale reports waiting for the evening upload, by institution and day."""
        self._counters: dict[str, int] = defaultdict(int)

    @property
    def end(self) -> int:
        """µs UTC of the last midnight."""
        return self.start + self.days * DAY

    def rng(self, purpose: str) -> Random:
        """A generator of its own for each purpose, so that a change in one leaves the others as they were."""
        return Random(f"{self.seed}:{purpose}")  # noqa: S311  a simulation, no secret

    def next(self, what: str) -> int:
        """The next number of a series, from 1."""
        self._counters[what] += 1
        return self._counters[what]

    def day_of(self, at: int) -> int:
        """Day since the start, by the clock of Beijing."""
        return (at - self.start) // DAY

    def send(self, upload: Upload, raw: bytes = b"") -> Upload:
        """Hand an upload to the post; without bytes, one that repeats those of another."""
        if raw:
            self.rewrite(upload, raw)
        self.uploads.append(upload)
        return upload

    def rewrite(self, upload: Upload, raw: bytes) -> None:
        """Give an upload its bytes."""
        self._scratch.write(raw)
        self._flushed = False
        upload.offset, upload.length = self._written, len(raw)
        self._written += len(raw)

    def raw(self, upload: Upload) -> bytes:
        """The bytes of an upload."""
        if not self._flushed:
            self._scratch.flush()
            self._flushed = True
        return os.pread(self._scratch.fileno(), upload.length, upload.offset)

    def take(
        self, place: Place, *, ready: int, fits: Callable[[Box], bool] | None = None, product: str = ""
    ) -> Box | None:
        """Take a box from a shelf for a story of its own; None where no box that stood there by `ready` fits."""
        shelf = self.shelves[place.code]
        for index in range(len(shelf) - 1, -1, -1):
            box = shelf[index]
            if box.ready <= ready and (not product or box.product.code == product) and (fits is None or fits(box)):
                del shelf[index]
                return box
        return None

    def places_of(self, *kinds: str) -> list[Place]:
        """Institutions of these kinds, in order."""
        return [place for place in self.places.values() if place.kind in kinds]

    def person_at(self, place: Place, rng: Random) -> Person:
        """Somebody who walks in: nearly always a neighbour."""
        near = self.neighbours[place.province]
        return rng.choice(near if near and rng.random() < 0.94 else self.people)  # noqa: PLR2004  one in seventeen travels

    def strangers(self, place: Place, rng: Random, count: int) -> list[Person]:
        """Different people, in one place."""
        near = self.neighbours[place.province]
        return rng.sample(near if len(near) >= count else self.people, count)


def whole(box: Box) -> bool:
    """A box that is sold whole and needs its code: what the planted stories are about."""
    return not box.product.splittable and not box.product.exempt


def boxes_as_lines(boxes: Iterable[Box]) -> list[Line]:
    """Boxes on a counter as lines: boxes of one product and lot on one line, in order of appearance."""
    lines: dict[tuple[str, str], Line] = {}
    for box in boxes:
        line = lines.get((box.product.code, box.lot.number))
        if line is None:
            line = Line(product=box.product, codes=[], quantity=0, price=box.product.price, lot=box.lot)
            lines[(box.product.code, box.lot.number)] = line
        line.codes.append(box.code)
        line.quantity += 1
    return list(lines.values())


def clock(at: int) -> str:
    """A moment (µs UTC) as institutions write it: `yyyy-MM-dd HH:mm:ss` in Beijing."""
    return _second_named(at // 1_000_000)


@lru_cache(maxsize=256)
def _second_named(second: int) -> str:
    # One message writes the same moments again and again.
    return datetime.fromtimestamp(second, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def day_name(at: int) -> str:
    """The Beijing day of a moment, `yyyyMMdd`."""
    return _day_named((at + 8 * HOUR) // DAY)


@lru_cache(maxsize=256)
def _day_named(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).strftime("%Y%m%d")


def iso(at: int) -> str:
    """A moment (µs UTC) as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
