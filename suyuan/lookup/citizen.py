"""The citizen's answer: no sale, one, or several — and what to do if it is mine or not. It accuses and names nobody."""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.parties import Party
from suyuan.catalogue.prefixes import VIRTUAL_SCHEME
from suyuan.catalogue.product import Product
from suyuan.catalogue.regions import city
from suyuan.codes import trace20
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise
from suyuan.ledger.admission import iso_day
from suyuan.ledger.box import Box, Sale
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.packing import children_of
from suyuan.lookup import mistyped
from suyuan.lookup.advice import ADVICE, EXPIRED, NOT_ISSUED, RECALLED
from suyuan.lookup.moment import iso_time
from suyuan.lookup.orders import orders_on
from suyuan.lookup.story import leading_first, product_name
from suyuan.lookup.words import NO_WORDS, Language, Words

RETAIL = frozenset({"ean13", "gtin14", "std_code"})
FOLLOWED = frozenset({"trace20", "gs1", "ma", "ahm", "maker"})
"""Systems whose codes name one box each, if they carry a serial."""

_KINDS = {
    "hospital": Words("医院", "hospital"),
    "clinic": Words("诊所", "clinic"),
    "pharmacy": Words("药店", "pharmacy"),
}


class CitizenSale(msgspec.Struct, kw_only=True):
    """One sale as a citizen sees it. Times are ISO 8601 in China's time, `+08:00`."""

    event_time: str
    arrived: str
    institution: str
    """Name or code; of psychiatric, infectious and reproductive places only kind and city."""
    region: str
    undone: bool
    """Given back or cancelled: shown, not counted."""
    split: bool
    """A part of the box; all parts together count as one sale."""


class ProductFacts(msgspec.Struct, kw_only=True):
    """The medicine or consumable behind the code; a field is empty where the catalogue does not know it."""

    generic: str = ""
    english: str = ""
    trade: str = ""
    spec: str = ""
    form: str = ""
    company: str = ""
    approval: str = ""
    list_class: str = ""
    """甲, 乙 or 丙 of the reimbursement list; empty where not reimbursed."""
    indications: str = ""
    usage: str = ""
    cautions: str = ""
    storage: str = ""
    """The leaflet's own words, where the catalogue has them."""
    lot: str = ""
    expiry: str = ""
    """ISO date: the last day of use."""
    expired: bool = False
    synthetic: bool = False
    """Invented for demonstration; never to be shown as a real product."""


class CitizenAnswer(msgspec.Struct, kw_only=True):
    """The answer of `check`. Advice, holds and hints are in the language that was asked for."""

    code: str
    outcome: str
    """none, one, several, lot, carton, retail_barcode, virtual or unknown."""
    sales: list[CitizenSale]
    product: str
    facts: ProductFacts
    updated: str
    """When the latest record of this code arrived, as ISO 8601; empty where there is none."""
    advice_mine: str
    advice_not_mine: str
    advice_unsure: str
    """What to do who does not know, for a gift or a medicine that somebody else bought."""
    holds: tuple[str, ...]
    """Recalls and stops in force on the code, its batch or its product, in words."""
    contains: int
    """Packages in a carton, by its last packing; 0 for what is none."""
    hints: tuple[str, ...]
    """What may be wrong with a code that was not recognised, the likeliest first."""
    meant: str
    """The trace code that was probably meant by one typed with look-alike letters; empty where none can be guessed."""
    problems: tuple[str, ...]
    """What is doubtful about the code itself, as recognised, in English."""


def check(ledger: Ledger, catalogue: Catalogue, text: str, language: Language = "both") -> CitizenAnswer:
    """What a citizen learns from a code: any text gets an answer."""
    code = recognise(text, "scan", catalogue.maker_rules)
    keys, histories = leading_first(ledger, code)
    events, now = histories[keys[0]], ledger.clock()
    children = children_of(events)
    outcome, problems = _outcome_without_sales(code, keys[0], catalogue, events, now), code.problems
    sales: list[CitizenSale] = []
    if not outcome or outcome == "carton":
        sales, count = sales_of(keys[0], events, catalogue, language)
        outcome = outcome or ("none" if count == 0 else "one" if count == 1 else "several")
    elif code.key.startswith(_VIRTUAL) and outcome == "unknown":
        problems = (*problems, NOT_ISSUED.told(language))
    holds = orders_on(ledger, code, events, language)
    facts = facts_of(code, events, catalogue, now)
    before = RECALLED if holds else NO_WORDS
    before = before.then(EXPIRED) if facts.expired else before
    mine, not_mine, unsure = (before.then(advice).told(language) for advice in ADVICE[outcome])
    return CitizenAnswer(
        code=code.text or text,
        outcome=outcome,
        sales=sales,
        product=product_name(ledger, catalogue, code, events) or _contents(catalogue, children, now),
        facts=facts,
        updated=iso_time(max((event.arrived for event in events if event.kind != "reported"), default=0)),
        advice_mine=mine,
        advice_not_mine=not_mine,
        advice_unsure=unsure,
        holds=holds,
        contains=len(children),
        hints=tuple(hint.told(language) for hint in _hints(text, code, outcome, catalogue, now)),
        meant=mistyped.meant(text) if outcome == "unknown" else "",
        problems=problems,
    )


def facts_of(code: Code, events: Sequence[Event], catalogue: Catalogue, now: int) -> ProductFacts:
    """The product by mapping, as of its latest record, with lot and expiry: the maker's word before the label's."""
    product = _product(code, events, catalogue, now)
    made = [event for event in events if event.kind == "produced"]
    lot = _latest("lot", made) or code.lot or _latest("lot", events)
    expiry = _latest("expiry", made) or code.expiry or _latest("expiry", events)
    facts = ProductFacts(lot=lot, expiry=expiry, expired=bool(expiry) and expiry < iso_day(now))
    if product is not None:
        facts.generic, facts.english, facts.trade = product.generic, product.english, product.trade
        facts.spec, facts.form, facts.company = product.spec, product.form, product.company_name
        facts.approval, facts.list_class, facts.synthetic = product.approval, product.list_class, product.synthetic
        leaflet = catalogue.leaflet(product.approval, _day(now))
        if leaflet is not None:
            facts.indications, facts.usage = leaflet.indications, leaflet.usage
            facts.cautions, facts.storage = leaflet.cautions, leaflet.storage
    return facts


def _latest(field: str, events: Sequence[Event]) -> str:
    return next((value for event in reversed(events) if (value := getattr(event, field))), "")


def _product(code: Code, events: Sequence[Event], catalogue: Catalogue, now: int) -> Product | None:
    """The first product that the code is mapped to; None for an unmapped code."""
    if not code.product_key:
        return None
    day = _day(max((event.event_time for event in events), default=now))
    edge = catalogue.product_of(code.product_key, day)
    found = (catalogue.product(nhsa, day) for nhsa in sorted(edge.nhsa)) if edge is not None else ()
    return next((product for product in found if product is not None), None)


def _hints(text: str, code: Code, outcome: str, catalogue: Catalogue, now: int) -> Sequence[Words]:
    """Help for a code that leads nowhere: one that is not recognised, and a trace code of no listed product."""
    if outcome == "unknown":
        return mistyped.hints(text, code)
    if outcome == "none" and code.system == "trace20" and catalogue.identified(code.product_key, _day(now)) is None:
        mapped = catalogue.product_of(code.product_key, _day(now)) is not None
        return () if mapped else (mistyped.unknown_prefix(code),)
    return ()


_VIRTUAL = f"maker:{VIRTUAL_SCHEME.scheme}:"


def _outcome_without_sales(code: Code, key: str, catalogue: Catalogue, events: Sequence[Event], now: int) -> str:
    """What the code is, where that is the answer; empty for a box, of which the sales are."""
    if code.system in RETAIL or (code.system in FOLLOWED and key == code.product_key):
        return "retail_barcode"
    if key.startswith("lot:"):
        return "lot"
    if code.system == "sscc" or children_of(events) or _is_outer_package(code, catalogue, now):
        return "carton"
    if code.key.startswith(_VIRTUAL):
        return "virtual" if catalogue.virtual(code.key) is not None else "unknown"
    filler = any(problem.startswith("placeholder") for problem in code.problems)
    followed = code.system in FOLLOWED or code.review
    return "" if events or (followed and not filler) else "unknown"


def _is_outer_package(code: Code, catalogue: Catalogue, now: int) -> bool:
    """Whether the identification library knows the prefix as that of a package of packages."""
    prefix = catalogue.identified(code.product_key, _day(now)) if code.product_key else None
    return prefix is not None and prefix.level > 1


def sales_of(
    key: str, events: Iterable[Event], catalogue: Catalogue, language: Language = "both"
) -> tuple[list[CitizenSale], int]:
    """All sales of a box by event time, undone ones too, and how many of them stand.

    A claim and its report are one sale; so are all parts of a split box while they fit into it. A report that may
    belong to a claim already there (R3) is not told apart from it until it is known to be another sale.
    """
    told, count = told_sales(key, events)
    return [_sale(event, catalogue, language, undone=undone) for event, undone in told], count


def told_sales(key: str, events: Iterable[Event]) -> tuple[list[tuple[Event, bool]], int]:
    """The facts by which the sales of a box are known, each with whether it was undone, and how many stand."""
    box = Box(key)
    opened: dict[int, Event] = {}
    for event in events:
        box.apply(event)
        if box.sales:
            opened.setdefault(box.sales[-1].first, event)
    standing = {sale.first: sale for sale in box.sales}
    doubtful = {sale.first for sale in box.sales if sale.doubt}
    told = sorted(
        (
            (standing[first].known_by if first in standing else event, first not in standing)
            for first, event in opened.items()
            if first not in doubtful
        ),
        key=lambda each: (each[0].event_time, each[0].arrived),
    )
    return told, _count([sale for sale in box.sales if not sale.doubt])


def is_kept_back(event: Event, catalogue: Catalogue) -> bool:
    """Whether citizens are told kind and city of the place only."""
    party = _party(event.actor, catalogue, event.event_time)
    return party is not None and party.sensitive


def _count(sales: Iterable[Sale]) -> int:
    """Split sales that fit into the box are one; what no longer fits is another (R18)."""
    facts = [sale.known_by for sale in sales]
    parts = sum(1 for fact in facts if fact.m != 1 and "over_split" not in fact.reasons)
    return len(facts) - parts + bool(parts)


def _sale(event: Event, catalogue: Catalogue, language: Language, *, undone: bool) -> CitizenSale:
    named = "en" if language == "en" else "zh"
    party = _party(event.actor, catalogue, event.event_time)
    region = event.region or (party.region if party is not None else "")
    name = party.name if party is not None and party.name else event.actor
    if party is not None and party.sensitive:
        region = city(region)
        kind = _KINDS[party.kind].told(language) if party.kind in _KINDS else party.kind
        name = f"{kind}（{catalogue.region_name(region, named)}）"
    return CitizenSale(
        event_time=iso_time(event.event_time),
        arrived=iso_time(event.arrived),
        institution=name,
        region=catalogue.region_name(region, named) if region else "",
        undone=undone,
        split=event.m != 1,
    )


def _party(code: str, catalogue: Catalogue, when: int) -> Party | None:
    """The party as of the sale; where it was not listed then, any of its rows, a sensitive one before others."""
    party = catalogue.party(code, _day(when))
    if party is not None:
        return party
    rows = [row for row in catalogue.content.parties if row.code == code]
    return max(rows, key=lambda row: row.sensitive, default=None)


def _contents(catalogue: Catalogue, children: Iterable[str], now: int) -> str:
    """Names of the products in a carton that has no name of its own."""
    products = dict.fromkeys(map(_product_key, children))
    edges = [catalogue.product_of(product, _day(now)) for product in products]
    return "、".join(dict.fromkeys(edge.name for edge in edges if edge is not None))


def _product_key(box: str) -> str:
    """The product in a box key: the first digits of a trace code, the part before the serial of any other."""
    system, _, rest = box.partition(":")
    return f"{system}:{rest[: trace20.PREFIX] if system == 'trace20' else rest.partition(':')[0]}"


def _day(moment: int) -> date:
    return date.fromisoformat(iso_day(moment))
