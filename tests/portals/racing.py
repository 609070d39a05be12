"""Races for boxes over HTTP, and what must hold after them: for tests of one server and of many."""

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path

from portal import Portal
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q
from till import Till, claim, settlement_of

from suyuan.ledger.box import Box
from suyuan.node import Node

SELLERS = (HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q)


def codes(count: int, first: int = 0) -> list[str]:
    return [f"8234567{number * 2_654_435_761 % 10**13:013d}" for number in range(first + 1, first + count + 1)]


def paid_claims(node: Node, boxes: list[str]) -> list[int]:
    """How many open paid claims each box has, by its own history."""
    histories = node.ledger.read([f"trace20:{code}" for code in boxes])
    found = []
    for key, events in histories.items():
        box = Box.of(key, events)
        found.append(sum(sale.paid for sale in box.sales))
    return found


async def race(portal: Portal, boxes: list[str], tills: int, share: int, seed: int = 0) -> list[str]:
    """Every till claims its share of the boxes in an order of its own, so that `tills / len(boxes) * share` of them
    contest each box; answers the boxes that were paid, once for each time.
    """
    numbers = itertools.count(seed * 1_000_000 + 1)
    paid: list[str] = []

    async def work(place: int) -> None:
        institution = SELLERS[place % len(SELLERS)]
        till = Till(portal.port, portal.keys[institution])
        own = [boxes[(place * len(boxes) // tills + step) % len(boxes)] for step in range(share)]
        for code in random.Random(1000 * seed + place).sample(own, share):
            answer = await till.insist(claim(institution, next(numbers), [code]))
            if settlement_of(answer):
                paid.append(code)
        till.close()

    await asyncio.gather(*map(work, range(tills)))
    return paid


def raced(folder: Path, boxes: list[str], tills: int, share: int) -> None:
    with Portal(folder) as portal:
        paid = asyncio.run(race(portal, boxes, tills, share))
    assert sorted(paid) == sorted(boxes), "each box is paid once, to one till"
    with portal.node() as node:
        assert paid_claims(node, boxes) == [1] * len(boxes)


async def killed(portal: Portal, kills: int, tills: int, kill: Callable[[], object]) -> dict[str, str]:
    """Tills claim boxes of their own and contested ones until the last kill; answers code → settlement acknowledged."""
    acknowledged: dict[str, str] = {}
    ended = False
    numbers = itertools.count(1)

    async def work(place: int) -> None:
        institution = SELLERS[place % len(SELLERS)]
        till = Till(portal.port, portal.keys[institution])
        for own in itertools.count():
            if ended:
                break
            code = f"8234567{place:03d}{own:010d}" if own % 3 else f"8234567{own:013d}"
            raw = claim(institution, next(numbers), [code])
            settlement = settlement_of(await till.insist(raw))
            if settlement:
                assert acknowledged.setdefault(code, settlement) == settlement, "one box, two settlements"
                assert settlement_of(await till.insist(raw)) == settlement, "the same bytes find themselves"
        till.close()

    async def power_cuts() -> None:
        nonlocal ended
        chance = random.Random(7)
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            await asyncio.to_thread(kill)
        await asyncio.sleep(0.5)
        ended = True

    await asyncio.gather(power_cuts(), *map(work, range(tills)))
    return acknowledged


def killed_under_load(portal: Portal, kills: int, kill: Callable[[], object], tills: int = 16) -> None:
    """Nothing acknowledged is lost, and every claim that is repeated finds itself, whatever is killed meanwhile."""
    portal.start()
    try:
        acknowledged = asyncio.run(killed(portal, kills, tills, kill))
    finally:
        portal.stop()
    assert len(acknowledged) > kills
    assert_kept(portal, acknowledged)


def assert_kept(portal: Portal, acknowledged: dict[str, str]) -> None:
    """Each box is paid once, and by the settlement that was acknowledged."""
    with portal.node() as node:
        assert set(paid_claims(node, sorted(acknowledged))) == {1}, "nothing acknowledged is lost, nothing paid twice"
        for code, settlement in acknowledged.items():
            events = node.ledger.read([f"trace20:{code}"])[f"trace20:{code}"]
            standing = [event for event in events if event.kind == "claimed" and event.verdict == "pay"]
            assert [event.references["settlement"] for event in standing] == [settlement]
