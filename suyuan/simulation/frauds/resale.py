"""Resale of returned drugs (回流药): settled at a hospital, bought back, and claimed again by a pharmacy far away."""

from random import Random

from suyuan.simulation.actors import deed, report, sell, settle, story, visit_of
from suyuan.simulation.world import DAY, HOUR, MINUTE, TRIES, Country, whole

GAP_DAYS = (6, 40)
"""Well beyond the three days that separate a resold box from a copied code."""


def plant(country: Country, rng: Random, count: int) -> int:
    """Plant up to `count` resold boxes; every fourth is sold the second time for cash, so only its report can tell."""
    hospitals, pharmacies = country.places_of("hospital"), country.places_of("pharmacy")
    planted = 0
    for _ in range(count * TRIES):
        first, second = rng.choice(hospitals), rng.choice(pharmacies)
        gap = rng.randint(GAP_DAYS[0], max(GAP_DAYS[0], min(GAP_DAYS[1], country.days // 2)))
        latest = country.start + rng.randint(2, country.days - gap - 2) * DAY
        if first.province == second.province or (box := country.take(first, ready=latest, fits=whole)) is None:
            continue
        bought = visit_of(country, first, country.person_at(first, rng), latest + rng.randint(9, 16) * HOUR, [box])
        sale = sell(country, bought, scanned="none" if first.habits.settles_first else "all")
        at = bought.at + gap * DAY + rng.randint(1, 300) * MINUTE
        resold = visit_of(country, second, country.person_at(second, rng), at, [box])
        if planted % 4 == 3:  # noqa: PLR2004  every fourth
            again = report(country, resold, "", at + MINUTE, plain=False)
        else:
            again = settle(country, resold, at, plain=False)
            country.expected[again.claim] = ("refuse", resold.amount)
            report(country, resold, again.claim, at + 5 * MINUTE, when=f"paid:{again.claim}", plain=False)
        deeds = [deed("honest", sale, bought, box.code), deed("questioned", again, resold, box.code)]
        story(country, "resale", [box], deeds, planted=True)
        planted += 1
        if planted == count:
            break
    return planted
