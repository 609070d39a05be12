"""A made-up catalogue over the verified grammars: real generic names, invented makers, every row marked synthetic."""

import csv
import random
from datetime import date
from functools import cache
from importlib.resources import files

import msgspec

from suyuan.catalogue.content import Content
from suyuan.catalogue.mapping import Edge, Transcode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Party
from suyuan.catalogue.prefixes import Prefix
from suyuan.catalogue.product import Product
from suyuan.catalogue.regions import divisions
from suyuan.codes.check_digit import check_digit

_SHARES = {"western": 700, "tcm": 180, "consumable": 80, "herbal_slices": 20, "granules": 20}
"""Thousandths of the products; the official list is about 70 : 18 : rest."""

_IMPORT_FROM = 70000
"""Enterprise numbers from here on are taken for importers (spec/codes.md §2, recalled)."""
_IMPORT_SHARE = 0.06
_DISAGREE_EVERY = 331
"""One licence in so many has another enterprise in its std_code than in its NHSA code: 99.7 % agree, as measured."""
_RENAMED_EVERY = 53
"""One licence in so many was renamed: 5,015 of 269,110 real codes carry a former code."""
_UNMAPPED_EVERY = 97
_UNREVIEWED_EVERY = 19
_RENAMED_ON = date(2025, 1, 1)
_LAST_FORMER_DAY = date(2024, 12, 31)

_ORDINARY = 900_000
"""Prefixes 8000000 to 8899999; 89 is for special-control drugs."""
_SPECIAL = 100_000
_STRIDE = 7919
"""Prime to both, so that consecutive products get prefixes far apart and none twice."""

_PRODUCTS_MAX = 280_000
"""Three levels each must fit the ordinary prefixes."""

_REVIEWER = "合成审核员"
_UNITS = {"片剂": "片", "胶囊": "粒", "软胶囊": "粒", "注射剂": "支", "丸剂": "丸", "滴丸剂": "丸", "贴剂": "贴"}


class Generic(msgspec.Struct, frozen=True):
    """One row of the shipped list of generic names."""

    kind: str
    generic: str
    english: str
    category: str
    form: str
    form_code: str
    spec: str
    units: tuple[int, ...]
    splittable: bool
    list_class: str
    mark: str
    """`yes` for special-control drugs; serial or lot for consumables."""
    number: int
    """Position in the list, which stands in the invented codes."""


class Maker(msgspec.Struct, frozen=True):
    """An invented maker: five-digit enterprise number and party."""

    enterprise: str
    party: Party

    @property
    def imports(self) -> bool:
        """True for importers, whose goods carry GTINs instead of trace codes."""
        return int(self.enterprise) >= _IMPORT_FROM


@cache
def generics() -> tuple[Generic, ...]:
    """The shipped generic names with category, form, package sizes and list class."""
    text = files(__package__).joinpath("data", "generics.csv").read_text(encoding="utf-8")
    return tuple(
        Generic(
            kind=row["kind"],
            generic=row["generic"],
            english=row["english"],
            category=row["category"],
            form=row["form"],
            form_code=row["form_code"],
            spec=row["spec"],
            units=tuple(int(size) for size in row["units"].split("/")),
            splittable=row["splittable"] == "1",
            list_class=row["list_class"],
            mark=row["mark"],
            number=number,
        )
        for number, row in enumerate(csv.DictReader(text.splitlines()), start=1)
    )


def synthetic_catalogue(seed: int, products: int = 2000) -> Content:
    """Content of a demonstration catalogue, the same for the same seed and size on every machine.

    Exactly `products` current products, then the rows of codes that were renamed at the start of 2025. Makers are
    parties here; institutions and distributors are not made.

    Raises:
        ValueError: more products than there are synthetic trace prefixes.
    """
    if products > _PRODUCTS_MAX:
        raise ValueError(f"at most {_PRODUCTS_MAX:,} synthetic products, {products:,} asked for: ask for fewer")
    build = _Build(seed, products)
    for kind, share in _SHARES.items():
        if kind != "western":
            build.fill(kind, products * share // 1000)
    build.fill("western", products - len(build.content.products))
    build.content.products += build.former
    return build.content


class _Build:
    """A catalogue in the making: the dice, the makers, and the counters behind the codes."""

    def __init__(self, seed: int, products: int) -> None:
        self.dice = random.Random(f"suyuan-catalogue-{seed}")  # noqa: S311  reproducible demonstration data, no secret
        self.content = Content()
        self.former: list[Product] = []
        self.seed = seed
        self.licences = 0
        self.specs: dict[tuple[int, str], int] = {}
        self.prefixes = {False: 0, True: 0}
        self.items = 0
        self.makers = self._makers(max(24, products // 40))
        self.importers = [maker for maker in self.makers if maker.imports]
        self.domestic = [maker for maker in self.makers if not maker.imports]

    def _makers(self, count: int) -> list[Maker]:
        counties = sorted(code for code, row in divisions().items() if row.level == "county")
        abroad = max(2, count // 20)
        numbers = self.dice.sample(range(1, _IMPORT_FROM), count - abroad)
        numbers += self.dice.sample(range(_IMPORT_FROM, 100_000), abroad)
        makers = []
        for place, number in enumerate(numbers, start=1):
            region = self.dice.choice(counties)
            what = "进口代理" if number >= _IMPORT_FROM else "制药"
            name = f"合成{what}{place:04d}号（演示，非真实企业）"
            party = Party(f"M{region}{number:05d}", name, "manufacturer", region, synthetic=True)
            makers.append(Maker(f"{number:05d}", party))
        self.content.parties += [maker.party for maker in makers]
        return makers

    def fill(self, kind: str, count: int) -> None:
        """Licences of one kind, each with its packages, until there are `count` products more."""
        names = [generic for generic in generics() if generic.kind == kind]
        goal = len(self.content.products) + count
        while (left := goal - len(self.content.products)) > 0:
            generic = self.dice.choice(names)
            abroad = kind == "western" and not generic.mark and self.dice.random() < _IMPORT_SHARE
            maker = self.dice.choice(self.importers if abroad else self.domestic)
            spec = self.specs.get((generic.number, maker.enterprise), 0) + 1
            if spec > (1 if generic.category == "T" else 99):
                continue
            self.specs[generic.number, maker.enterprise] = spec
            self._licence(generic, maker, spec, left)

    def _licence(self, generic: Generic, maker: Maker, spec: int, left: int) -> None:
        """One approval with one std_code and its package sizes (std_code to NHSA code is 1:n)."""
        self.licences += 1
        drug = generic.kind in ("western", "tcm")
        approval = self._approval(generic, maker) if drug else ""
        std_code = self._std_code(maker) if drug else ""
        base = int(self.dice.lognormvariate(5.5 if not drug or maker.imports else 3.0, 0.7) * 100) + 100
        sizes = self.dice.sample(generic.units, min(left, self.dice.randint(1, len(generic.units))))
        for pack, units in enumerate(sorted(sizes), start=1):
            self._product(generic, maker, (spec, pack), units, (approval, std_code, base))

    def _product(
        self, generic: Generic, maker: Maker, numbers: tuple[int, int], units: int, licence: tuple[str, str, int]
    ) -> None:
        approval, std_code, base = licence
        spec, pack = numbers
        nhsa = _nhsa(generic, maker.enterprise, spec, pack)
        self.items += 1
        unit = _UNITS.get(generic.form, "袋" if generic.kind != "consumable" else "件")
        gtin = self._gtin(maker)
        product = Product(
            nhsa=nhsa,
            kind=generic.kind,
            generic=generic.generic,
            english=generic.english,
            trade="",
            form=generic.form,
            spec=f"{generic.spec}*{units}{unit}".lstrip("*"),
            company=maker.party.code,
            company_name=maker.party.name,
            approval=approval,
            std_code=std_code,
            ean13=gtin[1:],
            list_class=generic.list_class,
            identity=_identity(generic),
            exempt=generic.kind if generic.kind in ("herbal_slices", "granules") else "",
            splittable=generic.splittable and not maker.imports,
            unit=unit,
            price=base * max(1, pack) * 10_000,
            synthetic=True,
        )
        self.content.products.append(product)
        if product.identity == "none":
            return
        keys = self._packages(generic, maker, product, units, gtin)
        self._edges(product, keys)

    def _approval(self, generic: Generic, maker: Maker) -> str:
        letter = "Z" if generic.kind == "tcm" else "HJ" if maker.imports else "H"
        year = f"20{self.dice.randint(3, 24):02d}"
        start = year if maker.imports or self.dice.random() < 0.5 else f"{maker.party.region[:2]}02"  # noqa: PLR2004  half
        return f"国药准字{letter}{start}{self.licences % 10_000:04d}"

    def _std_code(self, maker: Maker) -> str:
        enterprise = maker.enterprise
        if self.licences % _DISAGREE_EVERY == 0:
            enterprise = f"{(int(enterprise) + 1) % _IMPORT_FROM:05d}"
        body = f"869{enterprise}{self.licences % 100_000:05d}"
        return body + check_digit(body)

    def _gtin(self, maker: Maker) -> str:
        """GTIN-14 of the smallest package: 699 is a hardly used Chinese prefix, 952 is GS1's own for examples."""
        body = f"0{952 if maker.imports else 699}{self.items:09d}"
        return body + check_digit(body)

    def _packages(self, generic: Generic, maker: Maker, product: Product, units: int, gtin: str) -> list[str]:
        """Prefixes and contents of box, middle package and carton; answers their product keys, smallest first."""
        if generic.kind == "consumable":
            counts = [1]
            keys = [self._di(gtin)]
        else:
            middle = self.dice.choice((5, 10, 20))
            carton = middle * self.dice.choice((10, 20, 40))
            counts = [1, carton] if self.dice.random() < 0.1 else [1, middle, carton]  # noqa: PLR2004  one in ten
            keys = [self._key(generic, maker, gtin, level) for level in range(1, len(counts) + 1)]
        ratio = ":".join(str(counts[-1] // count) for count in reversed(counts))
        reviewed = self.items % _UNREVIEWED_EVERY != 0
        for level, (key, count) in enumerate(zip(keys, counts, strict=True), start=1):
            self.content.prefixes.append(
                Prefix(key, product.generic, product.spec, level, ratio, maker.party.code, "synthetic", synthetic=True)
            )
            inner = (keys[level - 2], count // counts[level - 2]) if level > 1 else ("", 0)
            reviewer = _REVIEWER if reviewed else ""
            self.content.packages.append(Package(key, units * count, reviewed, *inner, "synthetic", reviewer))
        return keys

    def _key(self, generic: Generic, maker: Maker, gtin: str, level: int) -> str:
        if maker.imports:
            body = f"{level - 1}{gtin[1:13]}"
            return f"gs1:{body}{check_digit(body)}"
        special = generic.mark == "yes"
        self.prefixes[special] += 1
        span = _SPECIAL if special else _ORDINARY
        number = (self.prefixes[special] * _STRIDE + self.seed) % span
        return f"trace20:{8_900_000 + number if special else 8_000_000 + number}"

    def _di(self, gtin: str) -> str:
        """Two consumables of three have a GTIN, the third a MA identifier; its last character follows no known rule."""
        if self.items % 3:
            return f"gs1:{gtin}"
        return f"ma:MA.156.M0.{900_000 + self.items // 1_000_000:06d}.1{self.items % 1_000_000:06d}0"

    def _edges(self, product: Product, keys: list[str]) -> None:
        if self.items % _UNMAPPED_EVERY == 0:
            return
        reviewed = self.items % _UNREVIEWED_EVERY != 0
        reviewer, confidence = (_REVIEWER, 100) if reviewed else ("", 80)
        former = self._former(product) if self.items % _RENAMED_EVERY == 0 else ""
        for key in keys:
            if former:
                self.content.edges.append(
                    Edge(key, f"nhsa:{former}", reviewed, "synthetic", confidence, reviewer, valid_to=_LAST_FORMER_DAY)
                )
            since = {"valid_from": _RENAMED_ON} if former else {}
            self.content.edges.append(
                Edge(key, f"nhsa:{product.nhsa}", reviewed, "synthetic", confidence, reviewer, **since)
            )
        self.content.edges.append(Edge(keys[0], f"ean13:{product.ean13}", reviewed, "synthetic", confidence, reviewer))

    def _former(self, product: Product) -> str:
        """A code the product had before 2025, with a package number from 50; consumables keep theirs."""
        if product.kind == "consumable":
            return ""
        pack = int(product.nhsa[-7:-5]) + 50
        former = f"{product.nhsa[:-7]}{pack:02d}{product.nhsa[-5:]}"
        self.former.append(msgspec.structs.replace(product, nhsa=former, valid_to=_LAST_FORMER_DAY))
        self.content.transcodes.append(Transcode(former, product.nhsa, "合成：编码调整", _RENAMED_ON))
        return former


def _identity(generic: Generic) -> str:
    if generic.kind in ("herbal_slices", "granules"):
        return "none"
    return generic.mark if generic.kind == "consumable" else "serial"


def _nhsa(generic: Generic, enterprise: str, spec: int, pack: int) -> str:
    """An invented code over the grammar of spec/codes.md §1.5 and §1.6; `number` stands where the name part is."""
    if generic.category == "T":
        return f"T{generic.number:04d}{enterprise}"
    if generic.kind == "consumable":
        return f"{generic.category}{spec:02d}{pack:03d}{enterprise}"
    if generic.kind == "tcm":
        return f"{generic.category}A{generic.number:04d}{spec:02d}{pack:02d}{enterprise}"
    return f"{generic.category}A{generic.number:03d}{generic.form_code}{spec:02d}{pack:02d}{enterprise}"
