"""Double claim (重复结算): the same box, place and person, minutes apart, under another order number."""

from random import Random

from suyuan.simulation.actors import deed, report, settle, story, visit_of
from suyuan.simulation.world import DAY, HOUR, MINUTE, TRIES, Country, whole


def plant(country: Country, rng: Random, count: int) -> int:
    """Plant up to `count` boxes that are settled twice within half an hour, without a cancel between."""
    shops = country.places_of("pharmacy", "hospital")
    planted = 0
    for _ in range(count * TRIES):
        shop, day = rng.choice(shops), country.start + rng.randint(3, country.days - 2) * DAY
        if (box := country.take(shop, ready=day, fits=whole)) is None:
            continue
        person, at = country.person_at(shop, rng), day + rng.randint(9, 19) * HOUR
        once = visit_of(country, shop, person, at, [box])
        claim = settle(country, once, at + MINUTE, plain=False)
        report(country, once, claim.claim, at + 40 * MINUTE, when=f"paid:{claim.claim}", plain=False)
        twice = visit_of(country, shop, person, at + rng.randint(3, 25) * MINUTE, [box])
        again = settle(country, twice, twice.at + MINUTE, plain=False)
        report(country, twice, again.claim, at + 50 * MINUTE, when=f"paid:{again.claim}", plain=False)
        country.expected[again.claim] = ("refuse", twice.amount)
        deeds = [deed("honest", claim, once, box.code), deed("questioned", again, twice, box.code)]
        story(country, "repeated_settlement", [box], deeds, planted=True)
        planted += 1
        if planted == count:
            break
    return planted
