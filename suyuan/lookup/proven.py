"""The proof of what a citizen is told: the sales of a box, each with its place in the signed record."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from suyuan.catalogue.catalogue import Catalogue
from suyuan.codes.recognise import recognise
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Ledger
from suyuan.lookup.citizen import is_kept_back, told_sales
from suyuan.lookup.story import leading_first
from suyuan.proof.leaf import WHAT
from suyuan.proof.prover import Place, Prover
from suyuan.proof.verifier import Checkpoint


class ProvenSales(NamedTuple):
    """What can be proven of a code now."""

    file: bytes
    """The proof file; empty where nothing can be proven yet."""
    proven: int
    """Sales (or events, where all were asked for) in the file."""
    waiting: int
    """Those that the next sealing will take in: of sales, the file holds a signed promise of each."""
    kept_back: int
    """Sales whose proof would tell a place that citizens are not told."""
    checkpoint: Checkpoint | None
    """To which the file leads."""
    altered: int = 0
    """Those that are no longer what was sealed: nothing is signed for them."""


class Promising(Protocol):
    """Signs that an event is in the record and will be sealed."""

    def __call__(self, event: Event, *, hidden: bool) -> str:
        """The signed note; `hidden` where the place is not told."""
        ...


def prove_sales(ledger: Ledger, catalogue: Catalogue, prover: Prover, promise: Promising, text: str) -> ProvenSales:
    """The proof of the sales that `citizen.check` tells of this code, and of what undid them."""
    keys, histories = leading_first(ledger, recognise(text, "scan", catalogue.maker_rules))
    events = histories[keys[0]]
    checkpoint = prover.checkpoints.latest()
    places: list[Place] = []
    promises: list[str] = []
    proven = waiting = kept_back = altered = 0
    for sale, undone in told_sales(keys[0], events)[0]:
        place = _place(prover, sale, checkpoint)
        if place is None and prover.is_altered(sale):
            altered += 1
        elif place is None:
            waiting += 1
            promises.append(promise(sale, hidden=is_kept_back(sale, catalogue)))
        elif is_kept_back(sale, catalogue) and not place.hidden:
            kept_back += 1  # it became such a place after it was sealed
        else:
            proven += 1
            places.append(place)
            places += _undoing(prover, sale, events, checkpoint, place) if undone else ()
    file = prover.proof(places, checkpoint, promises) if places or promises else b""
    return ProvenSales(file, proven, waiting, kept_back, checkpoint, altered)


def prove_all(ledger: Ledger, catalogue: Catalogue, prover: Prover, text: str, *, whole: bool) -> ProvenSales:
    """The proof of every event of a code, for who may know it all; of what is not sealed yet nothing is promised.

    `whole` opens each of them: the file then holds pseudonyms, prices and references.
    """
    keys, histories = leading_first(ledger, recognise(text, "scan", catalogue.maker_rules))
    checkpoint = prover.checkpoints.latest()
    events = [event for key in keys for event in histories[key]]
    places = [_place(prover, event, checkpoint) for event in events]
    found = [place for place in places if place is not None]
    altered = sum(place is None and prover.is_altered(event) for event, place in zip(events, places, strict=True))
    waiting = len(events) - len(found) - altered
    file = prover.proof(found, checkpoint, open_places=True, open_whole=whole) if found else b""
    return ProvenSales(file, len(found), waiting, 0, checkpoint, altered)


def _place(prover: Prover, event: Event, checkpoint: Checkpoint | None) -> Place | None:
    """Where the event stands, if the checkpoint covers it."""
    if checkpoint is None:
        return None
    place = prover.place_of(event)
    return place if place is not None and place.segment.number < checkpoint.segments else None


def _undoing(
    prover: Prover, sale: Event, events: Sequence[Event], checkpoint: Checkpoint | None, place: Place
) -> Iterable[Place]:
    """What undid a sale, where the same party did: another one is told to nobody here."""
    for event in events:
        if WHAT.get(event.kind) == "undone" and event.corrects == sale.sequence and event.actor == sale.actor:
            undoing = _place(prover, event, checkpoint)
            if undoing is not None and undoing.hidden == place.hidden:
                yield undoing
