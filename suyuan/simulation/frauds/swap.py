"""Swap (串换): uncovered goods are sold, and one box's code is scanned for them again and again at one place."""

from random import Random

from suyuan.simulation.actors import deed, report, settle, story, visit_of
from suyuan.simulation.world import DAY, HOUR, MINUTE, TRIES, Country, whole


def plant(country: Country, rng: Random, count: int) -> int:
    """Plant up to `count` codes that one shop settles three to six times over days, each time for somebody else."""
    shops = country.places_of("pharmacy", "clinic")
    planted = 0
    for _ in range(count * TRIES):
        shop, times = rng.choice(shops), rng.randint(3, 6)
        first = country.start + rng.randint(2, max(3, country.days // 2)) * DAY
        if (box := country.take(shop, ready=first, fits=whole)) is None:
            continue
        deeds = []
        at = first + rng.randint(9, 12) * HOUR
        for index, person in enumerate(country.strangers(shop, rng, times)):
            visit = visit_of(country, shop, person, at, [box])
            claim = settle(country, visit, at + 2 * MINUTE, plain=False)
            report(country, visit, claim.claim, at + 8 * MINUTE, when=f"paid:{claim.claim}", plain=False)
            if index:
                country.expected[claim.claim] = ("refuse", visit.amount)
            deeds.append(deed("questioned" if index else "honest", claim, visit, box.code))
            at += rng.randint(1, 3) * DAY + rng.randint(-90, 90) * MINUTE
        story(country, "swap", [box], deeds, planted=True)
        planted += 1
        if planted == count:
            break
    return planted
