"""Orders of makers: a batch recalled while it stands on shelves, one box recalled, and an order lifted again."""

from random import Random

import msgspec

from suyuan.simulation import messages
from suyuan.simulation.actors import deed, report, sell, sell_instead, settle, story, visit_of
from suyuan.simulation.supply import send_table
from suyuan.simulation.truth import Deed
from suyuan.simulation.world import DAY, HOUR, MINUTE, Box, Country, Place, Visit, iso, whole

ORDER = ("kind", "code", "event_time", "scope", "lot", "reason")

SALES_MAX = 12
"""Boxes of a batch sold before an order, and again after it."""

BATCHES_MIN = 5
"""Below so many batches of whole boxes the other stories need them all."""

WRITTEN = 40 * MINUTE
"""From the decision of a maker until its order is acknowledged."""

Stock = list[tuple[Place, Box]]
"""Boxes of one batch and where they stand."""


def issue_orders(country: Country, rng: Random) -> None:
    """Recall one batch and one box some days before the end, and hold another batch for some hours.

    Where boxes are few, there may be fewer orders.
    All boxes of these batches leave the shelves, so that nobody else's story meets an order.
    """
    at = country.start + (country.days - rng.randint(4, 6)) * DAY + 10 * HOUR
    for tell in (_recall_batch, _hold_and_lift):
        if stock := _withdraw(country, rng, at):
            tell(country, rng, stock, at)
    _recall_box(country, rng, at + 2 * HOUR)


def _withdraw(country: Country, rng: Random, at: int) -> Stock:
    """Take a batch off all shelves: one of the five that most institutions hold at that time."""
    lots: dict[str, Stock] = {}
    for place in country.places.values():
        for box in country.shelves[place.code]:
            if whole(box):
                lots.setdefault(f"{box.product.code}:{box.lot.number}", []).append((place, box))
    ready = {lot: [(place, box) for place, box in stock if box.ready < at - 3 * DAY] for lot, stock in lots.items()}
    if len(ready) < BATCHES_MIN:
        return []
    held = sorted(ready, key=lambda lot: (-len({place.code for place, _ in ready[lot]}), -len(ready[lot]), lot))[:5]
    if not ready[held[0]]:
        return []
    lot = rng.choice([lot for lot in held if ready[lot]])
    gone = {box.code for _, box in lots[lot]}
    for place, _ in lots[lot]:
        country.shelves[place.code] = [box for box in country.shelves[place.code] if box.code not in gone]
    return _by_turns(ready[lot])


def _by_turns(stock: Stock) -> Stock:
    """One box of each institution after the other."""
    turns: dict[str, int] = {}
    order = []
    for place, box in stock:
        turns[place.code] = turns.get(place.code, 0) + 1
        order.append((turns[place.code], place.code, box.code, place, box))
    return [(place, box) for *_, place, box in sorted(order, key=lambda row: row[:3])]


def _order(country: Country, kind: str, box: Box, at: int, *, scope: str, reason: str) -> None:
    """The maker decides on an order, it is acknowledged WRITTEN later, and its file comes again at night."""
    row = (kind, box.code, iso(at), scope, box.lot.number if scope == "batch" else "", reason)
    upload = send_table(country, box.product.maker, kind, messages.table(ORDER, [row]), at + WRITTEN, plain=False)
    again = upload.arrival + 13 * HOUR
    country.send(msgspec.structs.replace(upload, arrival=again, number=country.next("upload")))


def _recall_batch(country: Country, rng: Random, stock: Stock, at: int) -> None:
    """A third of the boxes is sold before; then come a sale that races the order, one for cash, and honest claims."""
    _order(country, "hold_set", stock[0][1], at, scope="batch", reason="召回 含量不合格")
    number = min(SALES_MAX, len(stock) // 3)
    early, later = stock[len(stock) - number :], stock[: len(stock) - number]
    _sold_before(country, rng, early, at)
    boxes: list[Box] = []
    deeds: list[Deed] = []
    for index, (place, box) in enumerate(later[:SALES_MAX]):
        boxes.append(box)
        deeds += _sell_recalled(country, rng, place, box, at, style={1: "race", 2: "cash"}.get(index, "claim"))
    story(country, "recall", boxes, deeds, planted=True, note="batch")


def _recall_box(country: Country, rng: Random, at: int) -> None:
    """One box is recalled; the others of its batch go on being sold."""
    for place in rng.sample(list(country.places.values()), len(country.places)):
        box = country.take(place, ready=at, fits=whole)
        if box is not None:
            _order(country, "hold_set", box, at, scope="code", reason="被盗")
            deeds = _sell_recalled(country, rng, place, box, at, style="claim")
            story(country, "recall", [box], deeds, planted=True, note="code")
            return


def _hold_and_lift(country: Country, rng: Random, stock: Stock, at: int) -> None:
    """A batch is held in the morning and free the next day; the file that held it comes once more after that."""
    set_at = at - 2 * DAY
    _order(country, "hold_set", stock[0][1], set_at, scope="batch", reason="停售待查")
    _order(country, "hold_lifted", stock[0][1], set_at + 8 * HOUR, scope="batch", reason="复检合格")
    boxes, deeds = [], []
    for place, box in stock[:SALES_MAX]:
        visit = _visit(country, rng, place, box, set_at + DAY)
        boxes.append(box)
        deeds.append(deed("honest", sell(country, visit), visit, box.code))
    story(country, "lifted_order", boxes, deeds)


def _visit(country: Country, rng: Random, place: Place, box: Box, after: int) -> Visit:
    """A visit within the three days after a moment of the morning, in opening hours."""
    at = after + rng.randint(0, 2) * DAY + rng.randint(2 * 60, 8 * 60) * MINUTE
    return visit_of(country, place, country.person_at(place, rng), at, [box])


def _sold_before(country: Country, rng: Random, stock: Stock, order: int) -> None:
    """Boxes sold before the order; of every second the report arrives after it."""
    boxes, deeds = [], []
    for index, (place, box) in enumerate(stock):
        visit = _visit(country, rng, place, box, order - 3 * DAY)
        boxes.append(box)
        if index % 2:
            late = order + WRITTEN + rng.randint(1, 20) * HOUR
            sale = report(country, visit, "", visit.at + MINUTE, arrival=late, plain=False)
        else:
            sale = sell(country, visit)
        deeds.append(deed("honest", sale, visit, box.code))
    if boxes:
        story(country, "sold_before_recall", boxes, deeds)


def _sell_recalled(country: Country, rng: Random, place: Place, box: Box, order: int, *, style: str) -> list[Deed]:
    """Somebody sells a recalled box.

    A claim is refused, and the counter takes a box of another batch where it has one. A sale for cash is alerted.
    A sale that races the order is paid, and alerted by its report (R17).
    """
    visit = _visit(country, rng, place, box, order)
    if style == "cash":
        return [deed("questioned", report(country, visit, "", visit.at + MINUTE, plain=False), visit, box.code)]
    if style == "race":
        visit = visit_of(country, place, visit.person, order + WRITTEN // 2, [box])
        claim = settle(country, visit, visit.at + MINUTE, plain=False)
        late = report(country, visit, claim.claim, order + WRITTEN + HOUR, plain=False)
        return [deed("honest", claim, visit, box.code), deed("questioned", late, visit, box.code)]
    claim = settle(country, visit, visit.at + MINUTE, plain=False)
    country.expected[claim.claim] = ("refuse", visit.amount)
    other = country.take(place, ready=visit.at, product=box.product.code)
    if other is not None:
        sell_instead(country, claim, visit, other)
    return [deed("questioned", claim, visit, box.code)]
