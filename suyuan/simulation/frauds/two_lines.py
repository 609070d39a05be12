"""One box on two lines: a claim bills two boxes and scans one of them twice."""

from random import Random

from suyuan.simulation.actors import deed, report, settle, story, visit_of
from suyuan.simulation.world import DAY, HOUR, MINUTE, TRIES, Country, Line, whole


def plant(country: Country, rng: Random, count: int) -> int:
    """Plant up to `count` such claims; refused, every second shop takes another box for the second line and is paid."""
    shops = country.places_of("pharmacy", "clinic", "hospital")
    planted = 0
    for _ in range(count * TRIES):
        shop, day = rng.choice(shops), country.start + rng.randint(3, country.days - 2) * DAY
        if (box := country.take(shop, ready=day, fits=whole)) is None:
            continue
        person, at = country.person_at(shop, rng), day + rng.randint(9, 19) * HOUR
        one = Line(product=box.product, codes=[box.code], quantity=1, price=box.product.price, lot=box.lot)
        doubled = visit_of(country, shop, person, at, [one, one])
        claim = settle(country, doubled, at + 2 * MINUTE, plain=False)
        country.expected[claim.claim] = ("refuse", doubled.amount)
        deeds = [deed("questioned", claim, doubled, box.code)]
        boxes = [box]
        other = country.take(shop, ready=day, product=box.product.code) if planted % 2 else None
        if other is not None:
            boxes.append(other)
            mended = visit_of(country, shop, person, at + 9 * MINUTE, [box, other])
            second = settle(country, mended, mended.at + MINUTE, when=f"refused:{claim.claim}", plain=False)
            report(country, mended, second.claim, at + 20 * MINUTE, when=f"paid:{second.claim}", plain=False)
            deeds.append(deed("honest", second, mended, box.code))
        story(country, "two_lines", boxes, deeds, planted=True)
        planted += 1
        if planted == count:
            break
    return planted
