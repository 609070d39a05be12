"""Cloned code (假药): counterfeiters print one code on many boxes, which surface at many places within days."""

from random import Random

from suyuan.simulation.actors import deed, report, settle, story, visit_of
from suyuan.simulation.world import DAY, HOUR, MINUTE, TRIES, Country, whole

SPREAD_HOURS = 60
"""All sales of one clone happen within this time, inside the three days of the national split."""


def plant(country: Country, rng: Random, count: int) -> int:
    """Plant up to `count` codes, each settled at three to five places in different provinces within three days."""
    shops = country.places_of("pharmacy", "clinic")
    planted = 0
    for _ in range(count * TRIES):
        copies = min(rng.randint(3, 5), len({shop.province for shop in shops}))
        places = list({shop.province: shop for shop in rng.sample(shops, len(shops))}.values())[:copies]
        first = country.start + rng.randint(2, country.days - 5) * DAY
        if (box := country.take(places[0], ready=first, fits=whole)) is None:
            continue
        spread = sorted(rng.sample(range(10, SPREAD_HOURS), copies))
        deeds = []
        for index, (place, hour) in enumerate(zip(places, spread, strict=True)):
            at = first + hour * HOUR + rng.randint(0, 50) * MINUTE
            visit = visit_of(country, place, country.person_at(place, rng), at, [box])
            claim = settle(country, visit, at + 2 * MINUTE, plain=False)
            report(country, visit, claim.claim, at + 6 * MINUTE, when=f"paid:{claim.claim}", plain=False)
            if index:
                country.expected[claim.claim] = ("refuse", visit.amount)
            deeds.append(deed("questioned" if index else "honest", claim, visit, box.code))
        story(country, "clone", [box], deeds, planted=True)
        planted += 1
        if planted == count:
            break
    return planted
