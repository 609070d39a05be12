"""Preparing: every scan of a document recognised, looked up and stripped of persons, so that judging is pure."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from suyuan.catalogue.mapping import ProductEdge
from suyuan.codes.code import Code
from suyuan.codes.columns import recognise_many
from suyuan.formats.document import Document
from suyuan.intake.desk import Desk, day_of
from suyuan.ledger.admission import Fact, iso_day
from suyuan.ledger.keys import balance_key, digest, hold_key, line_key
from suyuan.ledger.scan import Scan

SALES = frozenset({"sold", "claimed", "returned"})
_NO_IDENTITY = frozenset({"batch", "invoice", "prescription"})
STRONGEST = ("settlement", "order", "visit", "original", "receipt", "delivery", "bill", "time")


NO_CODE = Code(system="unknown")


class Speaker(NamedTuple):
    """Who a document speaks for, as far as judging needs to know."""

    institution: str
    kind: str
    """hospital, clinic, pharmacy, …; pharmacy or hospital by the code's first letter where unknown."""
    region: str
    suspended: bool
    day: date


def speaker_of(desk: Desk, institution: str, now: int) -> Speaker | None:
    """The party behind an institution code today; None where it is unknown and unknown ones are refused."""
    day = day_of(now)
    party = desk.catalogue.party(institution, day)
    if party is not None:
        return Speaker(institution, party.kind, party.region, party.standing == "suspended", day)
    if not desk.accept_unknown:
        return None
    region = institution[1:7] if institution[1:7].isdigit() else ""
    kind = "pharmacy" if institution.startswith("P") else "hospital"
    return Speaker(institution, kind, region, suspended=False, day=day)


class Preparer:
    """Turns the scans of one document into facts. One per document: it counts equal lines and remembers look-ups."""

    def __init__(self, desk: Desk, document: Document, speaker: Speaker, now: int, sealed: str) -> None:
        self.desk = desk
        self.catalogue = desk.catalogue
        self.document = document
        self.speaker = speaker
        self.now = now
        self.sealed = sealed
        self._parents: dict[str, str] = {}
        self._edges: dict[str, ProductEdge | None] = {}
        self._counted: dict[str, int] = {}
        self._undo_days = desk.policy.undo_days["pharmacy" if speaker.kind == "pharmacy" else "inpatient"]
        self._covered = {
            product for institution, product in desk.policy.stock_covered if institution == speaker.institution
        }

    def facts(self, scans: Sequence[Scan]) -> list[Fact]:
        """One fact a scan, in order; children of cartons follow their carton."""
        codes = recognise_many([scan.code for scan in scans], self.catalogue.maker_rules)
        shared = _codes_per_line(scans)
        facts = [self.fact(scan, code, shared.get(_line_of(scan), 1)) for scan, code in zip(scans, codes, strict=True)]
        for scan, fact in zip(scans, facts, strict=True):
            if scan.parent or scan.children:
                self._pack(scan, fact)
        return facts

    def _pack(self, scan: Scan, fact: Fact) -> None:
        """The carton that a line names, and the children of a line about a carton."""
        rules = self.catalogue.maker_rules
        if scan.children:
            fact.children = tuple(code.key for code in recognise_many(scan.children, rules) if code.text)
        elif scan.parent:
            parent = self._parents.get(scan.parent)
            if parent is None:
                parent = self._parents[scan.parent] = recognise_many([scan.parent], rules)[0].key
            fact.parent = parent

    def fact(self, scan: Scan, code: Code, codes_on_line: int = 1) -> Fact:
        """One scan, ready to be judged."""
        when = scan.event_time or self.now
        references = self._references(scan, when)
        edge = self.edge(code.product_key) if code.product_key else None
        n, m = self._units(scan, edge, codes_on_line)
        speaker = self.speaker
        identity, content = self._identity(scan, code, references, when)
        fact = Fact(
            kind=scan.kind,
            key=code.key,
            code=code.text or scan.code,
            where=scan.where,
            fact=identity,
            content=content,
            event_time=when,
            actor=speaker.institution,
            place=scan.place or speaker.institution,
            region=speaker.region,
            references=references,
            line=scan.line,
            product=scan.product,
            n=n,
            m=m,
            split=scan.split,
            price=scan.price,
            fund=scan.fund,
            person=self.desk.privacy.pseudonym(scan.person) if scan.person else "",
            prescriber=self.desk.privacy.pseudonym(scan.prescriber) if scan.prescriber else "",
            counterparty=scan.counterparty,
            lot=scan.lot or code.lot,
            expiry=scan.expiry or code.expiry,
            reason=scan.reason,
            undo_days=self._undo_days,
            mapped=edge is not None,
            splittable=edge is not None and edge.splittable,
            suspended=speaker.suspended,
            product_key=code.product_key,
            code_lot=code.lot,
            code_expiry=code.expiry,
            document=self.sealed,
            software=self.document.software,
        )
        if scan.product and edge is not None and scan.kind in SALES:
            fact.differs = self.catalogue.same_product(code.product_key, scan.product, self.speaker.day) is False
        if code.review:
            fact.review = True
            fact.key, fact.readings = code.readings[0], code.readings[1:]
        fact.placeholder = _names_no_box(code)
        if self._covered and scan.product in self._covered:
            fact.missing_stock = True
        if fact.placeholder or not (code.is_box and code.text):
            self._file_as_line(fact, scan, code)
        elif code.system == "maker" and scan.kind in SALES:
            self._file_virtual(fact, scan)
        return fact

    def fact_without_code(self, scan: Scan, setting: str) -> Fact:
        """A line that has no code: filed under the balance it may draw on, if any (R20)."""
        fact = self.fact(scan, NO_CODE)
        if not fact.balance:
            why = self.catalogue.exemption(scan.product, setting, scan.split, self.speaker.day) if scan.product else ""
            if why:
                fact.balance = balance_key("exempt", self.speaker.institution, scan.product, fact.fact)
                fact.reason = why
        return fact

    def edge(self, product_key: str) -> ProductEdge | None:
        """The product behind a prefix, GTIN or DI today."""
        if product_key not in self._edges:
            self._edges[product_key] = self.catalogue.product_of(product_key, self.speaker.day)
        return self._edges[product_key]

    def _references(self, scan: Scan, when: int) -> dict[str, str]:
        references = scan.references
        if "receipt" in references:
            # Receipt numbers restart daily at real pharmacies: they, and only they, carry the business date (R5).
            return {**references, "receipt": f"{references['receipt']}@{iso_day(when)}"}
        return dict(references)

    def _identity(self, scan: Scan, code: Code, references: dict[str, str], when: int) -> tuple[str, str]:
        """R5: institution + kind + typed reference + line + code; and the hash of what is said, without ids and times."""
        for kind in STRONGEST:
            if kind in references:
                reference = f"{kind}:{references[kind]}"
                break
        else:
            reference = f"time:{when}"
        said = (
            f"{scan.product}|{scan.quantity}|{scan.split:d}|{scan.price}|{scan.amount}|{scan.lot}|{scan.expiry}|{scan.fund}"
            f"|{scan.reason}|{scan.counterparty}|{scan.parent}|{scan.no_code}|{scan.scope}"
        )
        base = f"{self.speaker.institution}|{scan.kind}|{reference}|{scan.line or said}|{code.key or code.text}"
        if not code.is_box or not code.text:
            # Lines without a box of their own are told apart by their ordinal among equal lines of one message.
            ordinal = self._counted[base] = self._counted.get(base, 0) + 1
            base = f"{base}|{ordinal}"
        return digest(base), digest(said, scan.person)

    def _units(self, scan: Scan, edge: ProductEdge | None, codes_on_line: int) -> tuple[int, int]:
        """R18: n of m units for a split sale of one code a line by a reviewed size; m = 0 where the size is unknown."""
        if not scan.split:
            return 1, 1
        if edge is None or not edge.units_reviewed or edge.units <= 1 or codes_on_line > 1:
            return 1, 0
        part = quantity_of(scan.quantity)
        return int(part * part.denominator), edge.units * part.denominator

    def _file_virtual(self, fact: Fact, scan: Scan) -> None:
        """R20: a code issued by the platform is bound to an institution, a product and a quantity."""
        issued = self.catalogue.virtual(fact.key)
        if issued is None:
            return
        right = issued.institution == self.speaker.institution and issued.nhsa in {"", scan.product}
        if right and issued.valid_from <= self.speaker.day <= issued.valid_to:
            fact.balance = balance_key("virtual", self.speaker.institution, fact.key)
            fact.limit, fact.reason = issued.quantity, "virtual"
        fact.key, fact.mapped, fact.placeholder = line_key(fact.fact), True, not fact.balance
        fact.n = fact.m = max(1, int(quantity_of(scan.quantity)))

    def _file_as_line(self, fact: Fact, scan: Scan, code: Code) -> None:
        """A lot, the escape code, a retail barcode or nothing at all: counted, not followed."""
        institution = self.speaker.institution
        fact.key = line_key(fact.fact)
        count = quantity_of(scan.quantity)
        fact.n = max(1, int(count))
        if code.key.startswith("lot:"):
            fact.balance = balance_key("lot", institution, code.key, fact.fact)
        elif code.system == "escape":
            self._file_escape(fact, scan)
        elif not code.text:
            fact.mapped = True
            self._file_no_code(fact, scan)
        fact.m = fact.n if not scan.split else 1

    def _file_escape(self, fact: Fact, scan: Scan) -> None:
        """R19: only with the split flag on a splittable product."""
        fact.mapped = True
        product = self.catalogue.product(scan.product, self.speaker.day)
        if scan.split and (product is None or product.splittable):
            fact.balance = balance_key("escape", self.speaker.institution, scan.product, fact.fact)

    def _file_no_code(self, fact: Fact, scan: Scan) -> None:
        """R20: legacy stock, exempt product, unreadable label, virtual code — or simply not scanned."""
        institution, day = self.speaker.institution, self.speaker.day
        if not scan.product:
            return
        entry = self.catalogue.no_code(institution, scan.product, day)
        if entry is not None:
            fact.balance = balance_key("no_code", institution, scan.product)
            fact.limit = entry.quantity
            fact.reason = entry.kind
            return
        setting = "pharmacy" if self.speaker.kind == "pharmacy" else "inpatient"
        why = self.catalogue.exemption(scan.product, setting, scan.split, day)
        if why:
            fact.balance = balance_key("exempt", institution, scan.product, fact.fact)
            fact.reason = fact.reason or why


def hold_keys(fact: Fact, lot: str) -> tuple[str, ...]:
    """Orders that may cover a fact: on its product, and on its batch where the maker or the code says which."""
    if not fact.product_key:
        return ()
    lots = dict.fromkeys(filter(None, (lot, fact.code_lot)))
    return (
        hold_key("product", fact.product_key),
        *(hold_key("batch", f"{fact.product_key}:{lot}") for lot in lots),
    )


def quantity_of(text: str) -> Fraction:
    """A decimal quantity as an exact fraction; 1 where it says nothing usable."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return Fraction(1)
    return value if 0 < value < 10**9 else Fraction(1)


def _names_no_box(code: Code) -> bool:
    """True for what was typed to fill the field, and for what a spreadsheet made of a code: many boxes share the text."""
    for problem in code.problems:
        if problem.startswith("placeholder") or (code.system == "unknown" and problem.startswith("spreadsheet")):
            return True
    return False


def _line_of(scan: Scan) -> str:
    return scan.where.rsplit(".", 1)[0] if scan.split else ""


def _codes_per_line(scans: Sequence[Scan]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for scan in scans:
        if scan.split and "." in scan.where:
            line = _line_of(scan)
            counts[line] = counts.get(line, 0) + 1
    return counts
