"""Box: one package as the fold of its events, on independent axes (`spec/domain.md` §2)."""

from collections.abc import Iterable
from fractions import Fraction

import msgspec

from suyuan.ledger.events import Event

NOTHING, WHOLE = Fraction(0), Fraction(1)

NOT_A_SALE = frozenset(
    {
        "malformed",
        "not_allowed",
        "key_reused",
        "duplicate_in_document",
        "code_review",
        "tolerated_repeat",
        "first_answer",
    }
)
"""Statuses under which a sale report or claim is kept as evidence and opens nothing."""


class Sale:
    """One sale of a box: a report, a claim, or both (settlement rule R3). It stands while either stands."""

    __slots__ = ("claim", "doubt", "first", "report", "returned")

    def __init__(self, event: Event) -> None:
        self.first = event.sequence
        self.report: Event | None = None
        self.claim: Event | None = None
        self.doubt = 0
        """Sequence of the event that may be the other half of this report, without a common reference; 0 for none.
        A doubtful report draws nothing until joined or due (R3)."""
        self.returned = Fraction(0)
        """The part of the box given back of a split sale."""
        self.join(event)

    def join(self, event: Event) -> None:
        """Add the claim to its report, or the report to its claim."""
        if event.kind == "claimed":
            self.claim = event
        else:
            self.report = event

    @property
    def known_by(self) -> Event:
        """The fact that speaks for the sale: its report, else its claim."""
        event = self.report or self.claim
        assert event is not None, "a standing sale has a report or a claim"
        return event

    @property
    def units(self) -> Fraction:
        """The part of the box that this sale takes."""
        if self.doubt:
            return Fraction(0)
        for event in (self.claim, self.report):
            if event is not None and event.drawn and event.m:
                return max(Fraction(event.n, event.m) - self.returned, Fraction(0))
        return Fraction(0)

    @property
    def claimed(self) -> bool:
        """True while a claim for it is paid or on hold."""
        return self.claim is not None

    @property
    def paid(self) -> bool:
        """True while a claim for it is the box's open paid claim (R1)."""
        return self.claim is not None and self.claim.verdict == "pay" and self.claim.drawn

    def has(self, sequence: int) -> bool:
        """Whether the event with this sequence is a standing part of this sale."""
        return (self.report is not None and self.report.sequence == sequence) or (
            self.claim is not None and self.claim.sequence == sequence
        )


class Box:
    """A package: where it is, what became of it, what remains of it. Fold of its own events alone."""

    __slots__ = (
        "carton",
        "custodian",
        "exit",
        "expiry",
        "facts",
        "given_back",
        "holds",
        "in_transit_to",
        "key",
        "lot",
        "parked",
        "product",
        "registered",
        "sales",
        "sequence",
        "undone",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.sequence = 0
        self.registered = False
        self.product = ""
        self.lot = ""
        self.expiry = ""
        """From the maker alone: institutions fill the field with invented dates (R16)."""
        self.custodian = ""
        self.in_transit_to = ""
        self.carton = ""
        self.exit: Event | None = None
        self.holds: list[Event] = []
        """Orders on this very code that are not lifted; those on its batch and product are filed apart."""
        self.sales: list[Sale] = []
        """Standing sales in order of arrival."""
        self.parked: list[Event] = []
        """Returns that came before their sale."""
        self.facts: dict[str, Event] = {}
        """The latest event of each fact (R5)."""
        self.given_back: list[tuple[Event, Event]] = []
        """Returns that had their effect, with the sale report that each gave back."""
        self.undone: set[int] = set()
        """Sequences of events that were undone."""

    @classmethod
    def of(cls, key: str, events: Iterable[Event]) -> "Box":
        """Fold a history."""
        box = cls(key)
        for event in events:
            box.apply(event)
        return box

    def apply(self, event: Event) -> None:
        """Take one more fact into account."""
        self.sequence = event.sequence
        if event.fact and event.status not in _BESIDE_THE_FACT:
            self.facts[event.fact] = event
        step = _STEPS.get(event.kind)
        if step is not None:
            step(self, event)

    def stands(self, event: Event) -> bool:
        """R6: a fact stands while it is neither undone nor refused."""
        return event.sequence not in self.undone and event.verdict != "refuse" and event.status not in _NEVER_STOOD

    def sale_with(self, sequence: int) -> Sale | None:
        """The standing sale that holds the event with this sequence."""
        for sale in self.sales:
            if sale.has(sequence):
                return sale
        return None

    def taken(self) -> Fraction:
        """The part of the box that its standing sales take."""
        return sum((sale.units for sale in self.sales), Fraction(0))

    def claimed_units(self, besides: int = 0) -> Fraction:
        """The part of the box that open paid claims take, but for the one at `besides`; at most the whole (R1)."""
        return sum(
            (
                Fraction(sale.claim.n, sale.claim.m)
                for sale in self.sales
                if sale.paid and sale.claim is not None and sale.claim.m and sale.claim.sequence != besides
            ),
            Fraction(0),
        )

    def _open_sale(self, event: Event) -> None:
        if event.status in NOT_A_SALE or event.verdict == "refuse":
            return
        joined = self.sale_with(event.joins) if event.joins else None
        if joined is None:
            self.sales.append(Sale(event))
        elif "possible_same_sale" in event.reasons:
            # Without a common reference the two records stay apart, and the report draws nothing (R3).
            own = Sale(event)
            (own if event.kind == "sold" else joined).doubt = event.sequence
            self.sales.append(own)
        else:
            joined.doubt = 0
            joined.join(event)

    def _undo(self, event: Event) -> None:
        if event.status == "parked":
            self.parked.append(event)
            return
        if event.status != "accepted" or not event.corrects:
            return
        self.parked = [waiting for waiting in self.parked if waiting.fact != event.fact]
        sale = self.sale_with(event.corrects)
        if event.kind == "returned" and sale is not None and sale.report is not None:
            self.given_back.append((event, sale.report))
        if sale is None:
            self._undo_no_sale(event.corrects)
        elif self._is_part_of_split(sale, event):
            sale.returned += Fraction(event.n, event.m)
        else:
            self._release(sale, event.corrects)

    def _release(self, sale: Sale, sequence: int) -> None:
        """Take the report or the claim out of a sale, and with it the doubt whether it belongs to another record."""
        self.undone.add(sequence)
        if sale.claim is not None and sale.claim.sequence == sequence:
            sale.claim = None
        else:
            sale.report, sale.returned = None, Fraction(0)
        if sale.report is None and sale.claim is None:
            self.sales.remove(sale)
        for other in self.sales:
            if other.report is not None and sequence in {other.doubt, other.report.joins}:
                other.doubt = 0

    def _undo_no_sale(self, sequence: int) -> None:
        """Something other than a standing sale is deleted: a waiting return, an exit, a return that had its effect."""
        self.undone.add(sequence)
        self.parked = [waiting for waiting in self.parked if waiting.sequence != sequence]
        if self.exit is not None and self.exit.sequence == sequence:
            self.exit = None
        for returned, report in self.given_back:
            if sequence in {returned.sequence, returned.relates}:
                self.given_back.remove((returned, report))
                self._sell_again(returned, report)
                return

    def _sell_again(self, returned: Event, report: Event) -> None:
        """The return was deleted: the sale that it gave back stands as before, unless it was told again since."""
        sale = self.sale_with(report.sequence)
        if sale is not None:
            sale.returned -= Fraction(returned.n, returned.m)
            return
        latest = self.facts[report.fact]
        if latest is not report and self.stands(latest):
            return
        self.undone.discard(report.sequence)
        claimed = next(
            (sale for sale in self.sales if sale.claim is not None and sale.claim.joins == report.sequence), None
        )
        if claimed is not None:
            claimed.join(report)
        else:
            self._open_sale(report)

    @staticmethod
    def _is_part_of_split(sale: Sale, event: Event) -> bool:
        report = sale.report
        return (
            event.kind == "returned"
            and report is not None
            and report.m > 1
            and event.m > 1
            and sale.returned + Fraction(event.n, event.m) < Fraction(report.n, report.m)
        )

    def _fall_due(self, event: Event) -> None:
        self.parked = [waiting for waiting in self.parked if waiting.sequence != event.corrects]
        for sale in self.sales:
            if sale.doubt == event.corrects:
                sale.doubt = 0
            if event.verdict and sale.claim is not None and sale.claim.sequence == event.corrects:
                self._end_hold(sale, event)
                return
        if event.verdict == "refuse":
            self.undone.add(event.corrects)

    def _end_hold(self, sale: Sale, event: Event) -> None:
        """A hold ends by release or by its deadline: paid, or refused where somebody else was paid meanwhile (R9)."""
        assert sale.claim is not None, "only a claim is on hold"
        if event.verdict == "pay":
            sale.claim = msgspec.structs.replace(sale.claim, verdict="pay", drawn=True)
        else:
            self._release(sale, event.corrects)

    def _produce(self, event: Event) -> None:
        if event.status not in {"accepted", "unmapped"}:
            return
        self.registered = True
        self.product = event.product or self.product
        self.lot = event.lot or self.lot
        self.expiry = event.expiry or self.expiry
        self.custodian = self.custodian or event.actor

    def _move(self, event: Event) -> None:
        if event.status in NOT_A_SALE:
            return
        if event.kind == "received":
            self.custodian, self.in_transit_to = event.actor, ""
        elif event.kind == "shipped":
            self.in_transit_to = event.counterparty
        elif event.kind == "refused":
            self.in_transit_to = ""
        elif event.kind == "packed":
            self.carton = event.parent
        elif event.kind == "unpacked":
            self.carton = ""

    def _hold(self, event: Event) -> None:
        self.holds.append(event)

    def _lift(self, event: Event) -> None:
        self.holds = [hold for hold in self.holds if hold.sequence != event.corrects]

    def _leave(self, event: Event) -> None:
        if event.status not in NOT_A_SALE:
            self.exit = event


_BESIDE_THE_FACT = frozenset({"first_answer", "tolerated_repeat", "duplicate_in_document", "key_reused"})
"""A further scan under these statuses does not replace the fact that it repeats or contradicts."""

_NEVER_STOOD = frozenset(
    {
        "malformed",
        "not_allowed",
        "key_reused",
        "duplicate_in_document",
        "undo_by_another",
        "undo_not_found",
        "undo_ambiguous",
        "undo_too_late",
    }
)

_STEPS = {
    "produced": Box._produce,  # noqa: SLF001  the table is part of the class, kept outside it so that it is made once
    "packed": Box._move,  # noqa: SLF001
    "unpacked": Box._move,  # noqa: SLF001
    "shipped": Box._move,  # noqa: SLF001
    "received": Box._move,  # noqa: SLF001
    "refused": Box._move,  # noqa: SLF001
    "sold": Box._open_sale,  # noqa: SLF001
    "claimed": Box._open_sale,  # noqa: SLF001
    "returned": Box._undo,  # noqa: SLF001
    "cancelled": Box._undo,  # noqa: SLF001
    "reversed": Box._undo,  # noqa: SLF001
    "corrected": Box._undo,  # noqa: SLF001
    "hold_set": Box._hold,  # noqa: SLF001
    "hold_lifted": Box._lift,  # noqa: SLF001
    "exited": Box._leave,  # noqa: SLF001
    "due": Box._fall_due,  # noqa: SLF001
}
