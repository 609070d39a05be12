"""Preparing: every scan of a document recognised, looked up and stripped of persons, so that judging is pure."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from suyuan.catalogue.mapping import ProductEdge
from suyuan.codes.code import Code
from suyuan.codes.columns import recognise_many
from suyuan.formats.document import Document
from suyuan.intake.desk import Desk, day_of, paced
from suyuan.ledger.admission import DAY, HOUR, MINUTE, Fact, iso_day
from suyuan.ledger.keys import balance_key, digest, hold_key, line_key
from suyuan.ledger.scan import Scan

SALES = frozenset({"sold", "claimed", "returned"})
AHEAD_MINUTES = 10
"""How far a sender's clock may run ahead before its times are flagged."""
KNOWN_MAX = 500_000
"""Product look-ups remembered by a desk."""
STRONGEST = ("settlement", "order", "visit", "original", "receipt", "delivery", "bill", "time")


class Speaker(NamedTuple):
    """Who a document speaks for, as far as judging needs to know."""

    institution: str
    kind: str
    """hospital, clinic, pharmacy, …; by the code's first letter where the catalogue does not know it, else unknown."""
    region: str
    suspended: bool


def speaker_of(desk: Desk, institution: str, now: int) -> Speaker | None:
    """The party behind an institution code today; None where it is unknown and unknown ones are refused."""
    party = desk.catalogue.party(institution, day_of(now))
    if party is not None:
        return Speaker(institution, party.kind, party.region, party.standing == "suspended")
    if not desk.accept_unknown:
        return None
    region = institution[1:7] if institution[1:7].isdigit() else ""
    kind = {"P": "pharmacy", "H": "hospital"}.get(institution[:1], "unknown")
    return Speaker(institution, kind, region, suspended=False)


class Preparer:
    """Turns the scans of one document into facts. One per document: it counts equal lines and remembers look-ups."""

    def __init__(self, desk: Desk, document: Document, speaker: Speaker, now: int, sealed: str) -> None:
        self.desk = desk
        self.catalogue = desk.catalogue
        self.document = document
        self.speaker = speaker
        self.now = now
        self._soon = now + AHEAD_MINUTES * MINUTE
        self.sealed = sealed
        self._parents: dict[str, str] = {}
        self._days: dict[int, date] = {}
        self._counted: dict[str, int] = {}
        self._undo_days = desk.policy.undo_days["pharmacy" if speaker.kind == "pharmacy" else "inpatient"]
        self.covered = {
            product for institution, product in desk.policy.stock_covered if institution == speaker.institution
        }
        """Products whose inbound codes are known to be complete here (R15)."""

    def facts(self, scans: Sequence[Scan], setting: str = "") -> list[Fact]:
        """One fact a scan, in order; children of cartons follow their carton.

        `setting` is that of a claim; a report does not say, so a hospital's counts as inpatient, where more is exempt.
        """
        codes = recognise_many([scan.code for scan in scans], self.catalogue.maker_rules)
        shared = _codes_per_line(scans)
        setting = setting or ("pharmacy" if self.speaker.kind == "pharmacy" else "inpatient")
        facts = [
            self._fact(scan, code, shared.get(_line_of(scan), 1), setting)
            for scan, code in paced(self.desk, zip(scans, codes, strict=True))
        ]
        for scan, fact in zip(scans, facts, strict=True):
            if scan.parent or scan.children:
                self._pack(scan, fact)
        return facts

    def _pack(self, scan: Scan, fact: Fact) -> None:
        """The carton that a line names, and the children of a line about a carton."""
        rules = self.catalogue.maker_rules
        if scan.children:
            fact.children = tuple(code.key for code in recognise_many(scan.children, rules) if code.text)
        else:
            parent = self._parents.get(scan.parent)
            if parent is None:
                parent = self._parents[scan.parent] = recognise_many([scan.parent], rules)[0].key
            fact.parent = parent

    def _fact(self, scan: Scan, code: Code, codes_on_line: int, setting: str) -> Fact:
        when = scan.event_time or self.now
        references = self._references(scan, when)
        edge, differs = self._known(code.product_key, scan.product, when) if code.product_key else (None, False)
        n, m = _units(edge, scan.quantity, codes_on_line) if scan.split else (1, 1)
        speaker = self.speaker
        person = self.desk.privacy.pseudonym(scan.person) if scan.person else ""
        identity, content = self._identity(scan, code, references, when, person)
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
            person=person,
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
        if when > self._soon:
            fact.ahead = True
        if differs and scan.kind in SALES:
            fact.differs = True
        fact.review = code.review
        boxes = tuple(key for key in code.readings if not key.startswith("lot:") and key != code.product_key)
        if boxes:
            fact.key, fact.readings = boxes[0], boxes[1:]
        fact.placeholder = bool(code.text) and _names_no_box(code)
        if self.covered and scan.product in self.covered:
            fact.missing_stock = True
        if fact.placeholder or not (boxes or (code.is_box and code.text)):
            self._file_as_line(fact, scan, code, setting)
        elif code.system == "maker" and scan.kind in SALES:
            self._file_virtual(fact, scan)
        return fact

    def differs(self, fact: Fact, billed: str) -> bool:
        """R14: the scanned product is not the billed one, by a mapping reviewed on the day of the sale."""
        return bool(fact.product_key) and self._known(fact.product_key, billed, fact.event_time)[1]

    def units(self, fact: Fact, quantity: str, codes: int) -> tuple[int, int]:
        """R18: what a split sale takes, n of m units, once its fee line says how much and `codes` share the line."""
        return _units(self._known(fact.product_key, "", fact.event_time)[0], quantity, codes)

    def _known(self, product_key: str, billed: str, when: int) -> tuple[ProductEdge | None, bool]:
        """The product behind a prefix, GTIN or DI on the day of the event; whether it is not the billed one."""
        mark = (product_key, billed, (when + 8 * HOUR) // DAY)
        known = self.desk.known
        found = known.get(mark)
        if found is None:
            if len(known) >= KNOWN_MAX:
                known.clear()
            day = self._day(when)
            differs = bool(billed) and self.catalogue.same_product(product_key, billed, day) is False
            found = known[mark] = (self.catalogue.product_of(product_key, day), differs)
        return found

    def _day(self, when: int) -> date:
        number = (when + 8 * HOUR) // DAY
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = day_of(when)
        return day

    def _references(self, scan: Scan, when: int) -> dict[str, str]:
        references = scan.references
        if "receipt" in references:
            # Receipt numbers restart daily at real pharmacies: they, and only they, carry the business date (R5).
            return {**references, "receipt": f"{references['receipt']}@{iso_day(when)}"}
        return dict(references)

    def _identity(self, scan: Scan, code: Code, references: dict[str, str], when: int, person: str) -> tuple[str, str]:
        """R5: institution + kind + typed reference + line + code; and the hash of what is said, without ids and times.

        Only the person's pseudonym goes into it: a plain hash of a document number can be tried out (R24).
        """
        reference = f"time:{when}"
        for kind in STRONGEST:
            if kind in references:
                reference = f"{kind}:{references[kind]}"
                break
        said = (
            f"{scan.product}|{scan.quantity}|{scan.split:d}|{scan.price}|{scan.amount}|{scan.lot}|{scan.expiry}|{scan.fund}"
            f"|{scan.reason}|{scan.counterparty}|{scan.parent}|{scan.no_code}|{scan.scope}"
        )
        base = f"{self.speaker.institution}|{scan.kind}|{reference}|{scan.line or said}|{code.key or code.text}"
        if not code.is_box or not code.text:
            # Lines without a box of their own are told apart by their ordinal among equal lines of one message.
            ordinal = self._counted[base] = self._counted.get(base, 0) + 1
            base = f"{base}|{ordinal}"
        return digest(base), digest(said, person)

    def _file_virtual(self, fact: Fact, scan: Scan) -> None:
        """R20: a code issued by the platform is bound to an institution, a product and a quantity."""
        issued = self.catalogue.virtual(fact.key)
        if issued is None:
            return
        right = issued.institution == self.speaker.institution and issued.nhsa in {"", scan.product}
        if right and issued.valid_from <= self._day(fact.event_time) <= issued.valid_to:
            fact.balance = balance_key("virtual", self.speaker.institution, fact.key)
            fact.limit, fact.reason = issued.quantity, "virtual"
        fact.key, fact.mapped, fact.placeholder = line_key(fact.fact), True, not fact.balance
        fact.n = fact.m = max(1, int(quantity_of(scan.quantity)))

    def _file_as_line(self, fact: Fact, scan: Scan, code: Code, setting: str) -> None:
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
            if scan.kind != "prescribed":
                self._file_no_code(fact, scan, setting)
        fact.m = fact.n if not scan.split else 1

    def _file_escape(self, fact: Fact, scan: Scan) -> None:
        """R19: only with the split flag on a splittable product."""
        fact.mapped = True
        product = self.catalogue.product(scan.product, self._day(fact.event_time))
        if scan.split and (product is None or product.splittable):
            fact.balance = balance_key("escape", self.speaker.institution, scan.product, fact.fact)

    def _file_no_code(self, fact: Fact, scan: Scan, setting: str) -> None:
        """R20: legacy stock, exempt product, unreadable label — or simply not scanned."""
        institution, day = self.speaker.institution, self._day(fact.event_time)
        if not scan.product:
            return
        entry = self.catalogue.no_code(institution, scan.product, day)
        if entry is not None:
            fact.balance = balance_key(entry.kind, institution, scan.product)
            fact.limit = -1 if entry.kind == "exempt" and not entry.quantity else entry.quantity
            fact.reason = entry.kind
            return
        why = self.catalogue.exemption(scan.product, setting, scan.split, day)
        if why:
            fact.balance = balance_key("exempt", institution, scan.product, fact.fact)
            fact.reason = fact.reason or why


def hold_keys(fact: Fact, lot: str) -> tuple[str, ...]:
    """Orders that may cover a fact: on its product, and on its batch where the maker or the code says which."""
    return _hold_keys(fact.product_key, lot, fact.code_lot)


@lru_cache(maxsize=100_000)
def _hold_keys(product_key: str, lot: str, code_lot: str) -> tuple[str, ...]:
    if not product_key:
        return ()
    lots = dict.fromkeys(filter(None, (lot, code_lot)))
    return (hold_key("product", product_key), *(hold_key("batch", f"{product_key}:{lot}") for lot in lots))


def _units(edge: ProductEdge | None, quantity: str, codes: int) -> tuple[int, int]:
    """R18: n of m units for a split sale of one code a line by a reviewed size; m = 0 where the size is unknown."""
    if edge is None or not edge.units_reviewed or edge.units <= 1 or codes > 1:
        return 1, 0
    part = quantity_of(quantity)
    return part.numerator, edge.units * part.denominator


def quantity_of(text: str) -> Fraction:
    """A decimal quantity as an exact fraction; 1 where it says nothing usable."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return Fraction(1)
    return value if 0 < value < 10**9 else Fraction(1)


def _names_no_box(code: Code) -> bool:
    """True for what was typed to fill the field, or what a spreadsheet made of a code: many boxes share the text."""
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
