"""Races: whoever claims the same boxes at the same time, each box is paid exactly once."""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from story import HOSPITAL_A, NOT_A_BOX, Line, Story

from suyuan.formats import nhsa
from suyuan.intake import Desk, take
from suyuan.ledger.box import Box
from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.ledger.ledger import ATTEMPTS_MAX, Contention
from suyuan.settlement.claim import ClaimVerdict
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.rocks import RocksJournal

THREADS = 64
CODES = 5
"""Codes of a claim."""
LONG = os.environ.get("SUYUAN_LONG") == "1"
"""Four times the boxes in the race in which all threads contest each box, and 20 seeds instead of four."""


def _messages(boxes: list[str], seed: int, *, rivals: int) -> list[list[bytes]]:
    """For each thread its claims, five codes each, under its own institution and in its own order.

    Every five boxes are claimed by so many threads, and always as the same five, so that each is won as a whole.
    """
    dice = random.Random(seed)
    queues: list[list[bytes]] = [[] for _ in range(THREADS)]
    for at in range(0, len(boxes), CODES):
        for thread in dice.sample(range(THREADS), rivals):
            lines = [Line((box,)) for box in boxes[at : at + CODES]]
            queues[thread].append(_claim(f"H4401{thread:07d}", lines, f"{thread}-{at}"))
    return [dice.sample(queue, len(queue)) for queue in queues]


def _claim(place: str, lines: list[Line], number: str) -> bytes:
    rows = ",".join(
        f'{{"feedetl_sn":"{at}","drug_trac_codg":"{line.boxes[0]}","trdn_flag":"0","min_prcunt_type":"2"}}'
        for at, line in enumerate(lines)
    )
    head = f'{{"psn_no":"{number}","mdtrt_id":"{number}","chrg_bchno":"{number}","medfee_sumamt":{len(lines)}}}'
    return (
        f'{{"infno":"2207","msgid":"{number}","fixmedins_code":"{place}",'
        f'"input":{{"data":{head},"drug_trac_info":[{rows}]}}}}'
    ).encode()


def _race(journal: Journal, *, boxes: int, seed: int, rivals: int) -> Counter[str]:
    """64 threads claim the same boxes; how many boxes were paid, and what was answered."""
    story = Story(journal=journal)
    queues = _messages([story.new_box() for _ in range(boxes)], seed, rivals=rivals)
    start = threading.Barrier(THREADS)

    def claim(queue: list[bytes]) -> Counter[str]:
        start.wait()
        return Counter(_send(story.desk, raw) for raw in queue)

    with ThreadPoolExecutor(THREADS) as threads:
        answers = sum(threads.map(claim, queues), Counter[str]())
    paid = [Box.of(key, journal.fetch([key])[key].events) for key in journal.keys("trace20:")]
    assert len(paid) == boxes
    assert all(box.claimed_units() <= 1 for box in paid)
    answers["boxes paid"] = sum(box.claimed_units() == 1 for box in paid)
    drawn = sum(
        event.drawn for event in _all(journal) if event.kind == "claimed" and not event.key.startswith(NOT_A_BOX)
    )
    assert drawn == answers["boxes paid"]
    return answers


def _send(desk: Desk, raw: bytes) -> str:
    [verdict] = take(desk, nhsa.read(raw)).results
    assert isinstance(verdict, ClaimVerdict)
    return verdict.verdict


def _all(journal: Journal) -> Iterator[Event]:
    position: bytes | None = None
    while True:
        events, position = journal.since(position, 50_000)
        if not events:
            return
        yield from events


@pytest.fixture
def rocks(tmp_path: Path) -> Iterator[RocksJournal]:
    journal = RocksJournal(tmp_path / "journal")
    yield journal
    journal.close()


def test_64_threads_claiming_the_same_boxes_are_paid_for_each_exactly_once(rocks: RocksJournal) -> None:
    answers = _race(rocks, boxes=200, seed=0, rivals=16)
    assert answers == {"boxes paid": 200, "pay": 40, "refuse": 15 * 40}


def test_claims_that_overlap_are_never_paid_twice() -> None:
    journal = MemoryJournal()
    story = Story(journal=journal)
    boxes = [story.new_box() for _ in range(12)]
    overlapping = [
        _claim(f"H4401{thread:07d}", [Line((box,)) for box in random.Random(thread).sample(boxes, CODES)], f"{thread}")
        for thread in range(THREADS)
    ]
    with ThreadPoolExecutor(THREADS) as threads:
        verdicts = Counter(threads.map(lambda raw: _send(story.desk, raw), overlapping))
    paid = sum(story.paid(box) for box in boxes)
    assert paid == CODES * verdicts["pay"] > 0
    assert all(story.paid(box) <= 1 for box in boxes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21 if LONG else 5))
def test_many_boxes_are_paid_exactly_once_in_every_race(rocks: RocksJournal, seed: int) -> None:
    boxes, rivals = (1000 if LONG else 250, THREADS) if seed == 1 else (1000, 8)
    answers = _race(rocks, boxes=boxes, seed=seed, rivals=rivals)
    claims = boxes // CODES
    assert answers == {"boxes paid": boxes, "pay": claims, "refuse": (rivals - 1) * claims}


class _Stale(MemoryJournal):
    """Somebody else is always first."""

    def append(self, *_: object) -> bytes | list[str]:
        return ["trace20:81234567890123456789"]


def test_a_decision_that_is_always_too_late_ends_with_words_and_writes_nothing() -> None:
    journal = _Stale()
    story = Story(journal=journal)
    with pytest.raises(Contention, match=f"{ATTEMPTS_MAX} times.*send it again"):
        story.report_sale(HOSPITAL_A, story.new_box(), visit="V1")
    assert not list(journal.keys(""))
