"""The play: arrival order, setl_ids of the answers, and what actors do when a claim is refused."""

from pathlib import Path
from typing import Any

import msgspec
from tests_simulation_till import HonestTill

from suyuan.simulation.play import Answered, Counter, play, play_list


def test_everything_is_sent_in_order_of_arrival_and_every_answer_is_kept(small_country: Path) -> None:
    till, steps = HonestTill(), []
    played = play(small_country, till.take, lambda done, total: steps.append((done, total)))
    assert till.arrivals == sorted(till.arrivals)
    assert played.sent == len(till.arrivals) == played.uploads - played.skipped
    lines = (small_country / "answers.jsonl").read_bytes().splitlines()
    answers = [msgspec.json.decode(line, type=Answered) for line in lines]
    assert [answer.upload for answer in answers] == list(range(played.uploads))
    assert sum(bool(answer.skipped) for answer in answers) == played.skipped
    assert steps[0] == (0, played.uploads)
    assert steps[-1] == (played.uploads, played.uploads)


def test_nothing_goes_out_with_a_gap_in_it(small_country: Path) -> None:
    till, sent = HonestTill(), []

    def take(raw: bytes, by: str, arrival: int, kind: str) -> bytes:
        sent.append(raw)
        return till.take(raw, by, arrival, kind)

    play(small_country, take)
    assert not any(b"@setl" in raw or b"@type" in raw for raw in sent)
    reports = [msgspec.json.decode(raw)["input"] for raw in sent if b'"infno":"3505"' in raw]
    rows: list[dict[str, Any]] = [report["selinfo"] for report in reports]
    settled = {claim["setl_id"] for claim in till.claims.values()}
    assert all(row["setl_id"] in settled for row in rows if row["setl_id"])
    assert any(row["setl_id"] for row in rows)


def test_a_refused_claim_leads_to_another_box_and_a_taken_one_does_not(small_country: Path) -> None:
    entries = {entry.when for entry in play_list(small_country) if entry.when.startswith("refused:")}
    assert entries
    honest = play(small_country, HonestTill().take)
    lavish = play(small_country, HonestTill("pays_everything").take)
    assert honest.claims_refused > 0
    assert lavish.claims_refused == 0
    skipped = (small_country / "answers.jsonl").read_bytes()
    assert all(when.encode() in skipped for when in entries)


def test_a_sale_whose_claim_was_refused_is_reported_as_paid_by_the_person() -> None:
    counter = Counter()
    counter.learn("A", b'{"infcode": 0, "output": {"setlinfo": {"setl_id": "S1"}}}')
    counter.learn("B", b'{"infcode": -1, "err_msg": "no", "output": null}')
    row = b'{"setl_id":"@setl:%s@","mdtrt_setl_type":"@type:%s@"}'
    assert counter.fill(row % (b"A", b"A")) == b'{"setl_id":"S1","mdtrt_setl_type":"1"}'
    assert counter.fill(row % (b"B", b"B")) == b'{"setl_id":"","mdtrt_setl_type":"2"}'
    assert counter.holds("paid:A")
    assert counter.holds("refused:B")
    assert not counter.holds("refused:A")
    assert not counter.holds("paid:unheard-of")
    assert not counter.holds("refused:unheard-of")


def test_a_repeat_of_a_claim_does_not_change_what_its_actor_knows() -> None:
    counter = Counter()
    counter.learn("A", b'{"infcode": "0", "output": {"setlinfo": {"setl_id": "S1"}}}')
    counter.learn("A", b'{"infcode": -1, "output": null}')
    assert counter.fill(b"@setl:A@") == b"S1"
    assert not counter.refused
