"""The catalogue in memory: every question about products, parties and exemptions, answered as of a date."""

from collections.abc import Callable, Iterable
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

from suyuan.catalogue import regions
from suyuan.catalogue.content import Content
from suyuan.catalogue.dating import OPEN, Dated, as_of, day_after, day_before
from suyuan.catalogue.leaflets import Leaflet
from suyuan.catalogue.mapping import Edge, ProductEdge, Standing, Transcode, follow, standing
from suyuan.catalogue.no_code import KINDS as NO_CODE_KINDS
from suyuan.catalogue.no_code import Exemption, NoCodeEntry, VirtualCode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.prefixes import Prefix
from suyuan.catalogue.product import Product
from suyuan.codes.makers import MakerRule

_HERB_CODE_LENGTH = 10

Row = TypeVar("Row", bound=Dated)


def _by(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, tuple[Row, ...]]:
    """Rows by key, in the order of their first days."""
    groups: dict[Any, tuple[Row, ...]] = {}
    for row in rows:
        name = key(row)
        held = groups.get(name)
        groups[name] = (row,) if held is None else tuple(sorted((*held, row), key=lambda each: each.valid_from))
    return groups


class Catalogue:
    """Answers from a `Content` that does not change under it; a change makes a new Catalogue.

    Every answer takes the day it is asked for: the day of the sale, not today. The look-ups of a scan cost one or two
    dictionary gets; what needs putting together (`product_of`) is put together once per product key.
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self._products = _by(content.products, lambda row: row.nhsa)
        self._parties = _by(content.parties, lambda row: row.code)
        self._links = _by(content.edges, lambda row: row.left)
        self._timelines: dict[str, tuple[ProductEdge, ...]] = {}

    # Who is who

    def party(self, code: str, on: date) -> Party | None:
        """The party as it stood on the day; None for a code that is not listed then."""
        for row in self._parties.get(code, ()):
            if row.valid_from <= on <= row.valid_to:
                return row
        return None

    def may_speak(self, actor: str, by: str, on: date) -> bool:
        """True where `by` is the actor itself or holds a delegation of the actor that has not ended.

        A delegate whose own standing has ended speaks for nobody else.
        """
        if actor == by:
            return True
        if as_of(self._delegations.get((actor, by), ()), on) is None:
            return False
        delegate = self.party(by, on)
        return delegate is None or delegate.standing != "ended"

    def speaks_for(self, by: str, on: date) -> list[str]:
        """All others for whom `by` may speak on the day, in order."""
        grantors = {actor for actor, delegate in self._delegations if delegate == by}
        return sorted(actor for actor in grantors if self.may_speak(actor, by, on))

    # Which product a code belongs to

    def product_of(self, product_key: str, on: date) -> ProductEdge | None:
        """What a trace prefix, GTIN or DI stands for on the day; None where nothing maps it then."""
        timeline = self._timelines.get(product_key)
        if timeline is None:
            timeline = self._timeline(product_key)
        for edge in timeline:
            if edge.valid_from <= on <= edge.valid_to:
                return edge
        return None

    def same_product(self, product_key: str, nhsa: str, on: date) -> bool | None:
        """Whether the scanned product is the billed one (settlement rule R14).

        None where nobody can say: unmapped, or no reviewed edge, or the billed code is a suggestion under review.
        Codes that were renamed count as the same.
        """
        edge = self.product_of(product_key, on)
        if edge is None or not edge.reviewed:
            return None
        if nhsa in edge.nhsa:
            return True
        billed = self.current_code(nhsa, on)
        if any(billed == self.current_code(code, on) for code in edge.nhsa):
            return True
        return None if nhsa in edge.suggested or billed in edge.suggested else False

    def product(self, nhsa: str, on: date) -> Product | None:
        """The product of a NHSA code as it stood on the day."""
        for row in self._products.get(nhsa, ()):
            if row.valid_from <= on <= row.valid_to:
                return row
        return None

    def leaflet(self, approval: str, on: date) -> Leaflet | None:
        """The leaflet of an approval number on the day; None where the catalogue has none."""
        return as_of(self._leaflets.get(approval, ()), on) if approval else None

    def standing(self, nhsa: str, on: date) -> Standing:
        """Why `product` says what it says: known, not yet valid, disabled since, renamed, or unknown."""
        return standing(nhsa, self._products.get(nhsa, ()), self._transcodes, on)

    def current_code(self, nhsa: str, on: date) -> str:
        """The name the code goes by on the day (转码); itself where nobody renamed it."""
        return follow(nhsa, self._transcodes, on)

    def identified(self, product_key: str, on: date) -> Prefix | None:
        """The row of the identification library: known as a package even where no NHSA code is mapped."""
        return as_of(self._prefixes.get(product_key, ()), on)

    def held_by(self, firm: str) -> tuple[Prefix, ...]:
        """Every row of the identification library that a firm has registered, of all times."""
        return self._holdings.get(firm, ())

    def linked(self, code: str, system: str, on: date) -> list[Edge]:
        """Edges on the day between a code (written `nhsa:…`) and codes of `system`, in both directions."""
        start = f"{system}:"
        links = [edge for edge in self._links.get(code, ()) if edge.right.startswith(start)]
        links += [edge for edge in self._links_back.get(code, ()) if edge.left.startswith(start)]
        return [edge for edge in links if edge.valid_from <= on <= edge.valid_to]

    @cached_property
    def maker_rules(self) -> list[MakerRule]:
        """Rules of registered providers for `codes.recognise`, by scheme; codes outlive a rule, so ended ones stay."""
        latest = {row.scheme: row.pattern for row in sorted(self.content.maker_schemes, key=lambda row: row.valid_from)}
        return [MakerRule(scheme, pattern) for scheme, pattern in sorted(latest.items())]

    # Who may go without a scan

    def exemption(self, nhsa: str, setting: str, split: bool, on: date) -> str:  # noqa: FBT001  read as a sentence at the call: exempt, here, split
        """Why no scan is required, as a word for the verdict, or empty (settlement rules R13 and R20).

        `setting` is pharmacy, outpatient or inpatient. A ten-character T code is a decoction piece even where the
        catalogue does not list it.
        """
        product = self.product(nhsa, on)
        if product is not None:
            product_class = product.exempt
        else:
            product_class = "herbal_slices" if nhsa.startswith("T") and len(nhsa) == _HERB_CODE_LENGTH else ""
        for rule in self._exemptions.get(product_class, ()) if product_class else ():
            if rule.setting in ("", setting) and split >= rule.split_only and rule.valid_from <= on <= rule.valid_to:
                return rule.name or product_class
        for rule in self._exemptions.get("", ()):
            if rule.setting in ("", setting) and split >= rule.split_only and rule.valid_from <= on <= rule.valid_to:
                return rule.name
        return ""

    def no_code(self, institution: str, nhsa: str, on: date) -> NoCodeEntry | None:
        """What the institution has declared to hold of this product without codes; the first of `no_code.KINDS`."""
        return as_of(self._no_code.get((institution, nhsa), ()), on)

    def virtual(self, code_key: str) -> VirtualCode | None:
        """The platform's own code under this key; None for every other code. Its dates are the caller's to check."""
        rows = self._virtual.get(code_key)
        return rows[-1] if rows else None

    # Where it is

    def region_name(self, code: str, language: str = "zh") -> str:
        """Full name of a six-digit division, `zh` or `en`."""
        return regions.region_name(code, language)

    def province(self, code: str) -> str:
        """Six-digit code of the province a division is in; empty where it is in none."""
        return regions.province(code)

    # How the answers are put together

    @cached_property
    def _delegations(self) -> dict[Any, tuple[Delegation, ...]]:
        return _by(self.content.delegations, lambda row: (row.grantor, row.delegate))

    @cached_property
    def _prefixes(self) -> dict[Any, tuple[Prefix, ...]]:
        return _by(self.content.prefixes, lambda row: row.product_key)

    @cached_property
    def _holdings(self) -> dict[Any, tuple[Prefix, ...]]:
        return _by(self.content.prefixes, lambda row: row.holder)

    @cached_property
    def _leaflets(self) -> dict[Any, tuple[Leaflet, ...]]:
        return _by(self.content.leaflets, lambda row: row.approval)

    @cached_property
    def _packages(self) -> dict[Any, tuple[Package, ...]]:
        return _by(self.content.packages, lambda row: row.product_key)

    @cached_property
    def _links_back(self) -> dict[Any, tuple[Edge, ...]]:
        return _by(self.content.edges, lambda row: row.right)

    @cached_property
    def _transcodes(self) -> dict[Any, tuple[Transcode, ...]]:
        return _by(self.content.transcodes, lambda row: row.former)

    @cached_property
    def _exemptions(self) -> dict[Any, tuple[Exemption, ...]]:
        return _by(self.content.exemptions, lambda row: row.product_class)

    @cached_property
    def _no_code(self) -> dict[Any, tuple[NoCodeEntry, ...]]:
        ranked = sorted(self.content.no_code, key=lambda row: NO_CODE_KINDS.index(row.kind))
        groups: dict[Any, tuple[NoCodeEntry, ...]] = {}
        for row in ranked:
            key = (row.institution, row.nhsa)
            groups[key] = (*groups.get(key, ()), row)
        return groups

    @cached_property
    def _virtual(self) -> dict[Any, tuple[VirtualCode, ...]]:
        return _by(self.content.virtual_codes, lambda row: row.key)

    def _timeline(self, product_key: str) -> tuple[ProductEdge, ...]:
        """The periods of a product key, each with one unchanging answer; kept for keys that are mapped at all."""
        links = [edge for edge in self._links.get(product_key, ()) if edge.right.startswith("nhsa:")]
        if not links:
            return ()
        rows: list[Dated] = [*links, *self._prefixes.get(product_key, ()), *self._packages.get(product_key, ())]
        for link in links:
            rows += self._products.get(link.right.removeprefix("nhsa:"), ())
        begins = {row.valid_from for row in rows} | {day_after(row.valid_to) for row in rows if row.valid_to != OPEN}
        starts = sorted(begins)
        ends = [*(day_before(start) for start in starts[1:]), OPEN]
        timeline = tuple(
            edge
            for start, end in zip(starts, ends, strict=True)
            if (edge := self._joined(product_key, links, start, end)) is not None
        )
        self._timelines[product_key] = timeline
        return timeline

    def _joined(self, product_key: str, links: list[Edge], start: date, end: date) -> ProductEdge | None:
        """Edge, package and product rows that hold throughout a period, as one answer; None where none is mapped."""
        held = [edge for edge in links if edge.valid_from <= start <= edge.valid_to]
        if not held:
            return None
        reviewed = frozenset(edge.right.removeprefix("nhsa:") for edge in held if edge.reviewed)
        every = frozenset(edge.right.removeprefix("nhsa:") for edge in held)
        prefix = as_of(self._prefixes.get(product_key, ()), start)
        package = as_of(self._packages.get(product_key, ()), start)
        codes = reviewed or every
        products = [row for code in sorted(codes) if (row := self.product(code, start)) is not None]
        name = prefix.name if prefix is not None and prefix.name else products[0].name if products else ""
        return ProductEdge(
            product_key,
            nhsa=codes,
            reviewed=bool(reviewed),
            suggested=every - codes,
            name=name,
            level=prefix.level if prefix is not None else 1,
            units=package.units if package is not None else 0,
            units_reviewed=package is not None and package.units_reviewed,
            splittable=any(row.splittable for row in products),
            valid_from=start,
            valid_to=end,
        )
