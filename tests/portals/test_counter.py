"""The counter: who waits is answered, groups share an append, files stand back, and a stop loses nothing."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome
from suyuan.intake import take_together
from suyuan.node import Node
from suyuan.portals import counter as counter_module
from suyuan.portals.counter import Counter
from suyuan.portals.problem import Refused
from suyuan.settlement.claim import ClaimVerdict

HOSPITAL = "H44010000001"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "suyuan.toml").write_text('policy = "strict"\nblock_cache_mb = 8\n')
    with Node.open(tmp_path) as opened:
        yield opened


def _claim(number: int, box: int) -> Document:
    row = f'{{"feedetl_sn":"1","drug_trac_codg":"8123456{box + 10_001:013d}","trdn_flag":"0","min_prcunt_type":"2"}}'
    head = f'{{"psn_no":"{number}","mdtrt_id":"{number}","chrg_bchno":"{number}","medfee_sumamt":10}}'
    return nhsa.read(
        f'{{"infno":"2207","msgid":"{number}","fixmedins_code":"{HOSPITAL}",'
        f'"input":{{"data":{head},"drug_trac_info":[{row}]}}}}'.encode()
    )


def _verdict(outcome: Outcome) -> str:
    (result,) = outcome.results
    assert isinstance(result, ClaimVerdict)
    return result.verdict


def _run(node: Node, story: Callable[[Counter], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        counter = Counter(node)
        counter.start()
        try:
            await story(counter)
        finally:
            await counter.stop()

    asyncio.run(opened())


def _batches(node: Node) -> int:
    return int.from_bytes(node.journal.since(None, 10**9)[1][:8], "big")


def test_everybody_who_waits_gets_an_answer_and_groups_share_an_append(node: Node) -> None:
    async def story(counter: Counter) -> None:
        claims = [_claim(number, number % 100) for number in range(200)]
        outcomes = await asyncio.gather(*(counter.take(claim, HOSPITAL) for claim in claims))
        verdicts = [_verdict(outcome) for outcome in outcomes]
        assert verdicts[:100] == ["pay"] * 100, "who comes first is served first"
        assert "pay" not in verdicts[100:]
        assert counter.waiting() == {"counter": 0, "bulk": 0}
        assert counter.oldest_seconds() == 0

    _run(node, story)
    assert 200 / counter_module.GROUP_DOCUMENTS_MAX <= _batches(node) < 200


def test_on_a_database_a_second_group_is_begun_only_where_the_first_left_somebody_waiting(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.settings = msgspec.structs.replace(node.settings, database="postgresql://elsewhere/here")
    whole, take = counter_module.GROUP_DOCUMENTS_MAX, take_together
    sizes: list[int] = []
    begun, go, both = threading.Event(), threading.Event(), threading.Barrier(2, timeout=10)

    def watched(desk: Any, documents: Any) -> Any:
        sizes.append(len(documents))
        begun.set()
        if len(documents) == 1:
            assert go.wait(10)
        else:
            both.wait()
        return take(desk, documents)

    monkeypatch.setattr(counter_module, "take_together", watched)

    async def story(counter: Counter) -> None:
        tasks = [asyncio.create_task(counter.take(_claim(0, 0), HOSPITAL))]
        assert await asyncio.to_thread(begun.wait, 10)
        rest = [_claim(number, number) for number in range(1, 2 * whole + 1)]
        tasks += [asyncio.create_task(counter.take(claim, HOSPITAL)) for claim in rest]
        await asyncio.sleep(0)
        assert counter.waiting()["counter"] == len(rest), "a small group has the line to itself"
        go.set()
        assert {_verdict(outcome) for outcome in await asyncio.gather(*tasks)} == {"pay"}
        assert sizes == [1, whole, whole]

    _run(node, story)


def test_a_document_that_fails_fails_alone(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = _claim(2, 2)
    broken.records.append(object())  # type: ignore[arg-type]

    async def story(counter: Counter) -> None:
        tasks = [counter.take(document, HOSPITAL) for document in (_claim(1, 1), broken, _claim(3, 3))]
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, Outcome)
        assert isinstance(second, Exception)
        assert isinstance(third, Outcome)

    _run(node, story)


class _Panic(BaseException):
    """What a fault in the engine's own code is raised as."""


def test_a_fault_in_the_engine_itself_is_told_and_the_next_is_served(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = take_together

    def panics_once(*arguments: Any) -> Any:
        monkeypatch.setattr(counter_module, "take_together", take)
        raise _Panic("index out of bounds")

    monkeypatch.setattr(counter_module, "take_together", panics_once)

    async def story(counter: Counter) -> None:
        with pytest.raises(RuntimeError, match="index out of bounds"):
            await asyncio.wait_for(counter.take(_claim(1, 1), HOSPITAL), 10)
        assert _verdict(await asyncio.wait_for(counter.take(_claim(1, 1), HOSPITAL), 10)) == "pay"

    _run(node, story)


def test_who_comes_when_too_many_wait_is_told_to_come_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_module, "WAITING_MAX", 5)
    begin = threading.Event()
    take = take_together

    def held_up(*arguments: Any) -> Any:
        begin.wait(10)
        return take(*arguments)

    monkeypatch.setattr(counter_module, "take_together", held_up)

    async def story(counter: Counter) -> None:
        tasks = [asyncio.create_task(counter.take(_claim(number, number), HOSPITAL)) for number in range(30)]
        await asyncio.sleep(0.1)
        begin.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Refused)]
        assert refused
        assert {refusal.error.code for refusal in refused} == {"busy"}
        assert all(refusal.headers["retry-after"] for refusal in refused)
        taken = [result for result in results if isinstance(result, Outcome)]
        assert len(taken) + len(refused) == 30
        stored = [key for key in node.journal.keys("trace20:") if node.ledger.read([key])[key]]
        assert len(stored) == len(taken), "what was refused has left nothing behind"

    _run(node, story)


def test_a_stop_finishes_what_was_begun_and_refuses_what_was_not(node: Node) -> None:
    async def story() -> None:
        counter = Counter(node)
        counter.start()
        tasks = [asyncio.create_task(counter.take(_claim(number, number), HOSPITAL)) for number in range(300)]
        await asyncio.sleep(0.02)
        await counter.stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        taken = [number for number, result in enumerate(results) if isinstance(result, Outcome)]
        for number, result in enumerate(results):
            key = f"trace20:8123456{number + 10_001:013d}"
            assert bool(node.ledger.read([key])[key]) == (number in taken)
            assert isinstance(result, Outcome) or (isinstance(result, Refused) and result.error.code == "stopping")
        with pytest.raises(Refused, match="stopping"):
            await counter.take(_claim(999, 999), HOSPITAL)

    asyncio.run(story())


def test_who_has_gone_meanwhile_keeps_nobody_from_an_answer(node: Node) -> None:
    async def story(counter: Counter) -> None:
        impatient = asyncio.create_task(counter.take(_claim(1, 1), HOSPITAL))
        patient = asyncio.create_task(counter.take(_claim(2, 2), HOSPITAL))
        await asyncio.sleep(0)
        impatient.cancel()
        assert _verdict(await patient) == "pay"
        again = await counter.take(_claim(1, 1), HOSPITAL)
        assert _verdict(again) == "pay", "whether it was taken then or now, it is taken once"

    _run(node, story)


def test_a_file_stands_back_while_people_wait_and_is_taken_all_the_same(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    take = take_together

    def noted(desk: Any, documents: Any) -> Any:
        order.extend(document.msgid for document, _ in documents)
        return take(desk, documents)

    monkeypatch.setattr(counter_module, "take_together", noted)
    monkeypatch.setattr(counter_module, "GIVING_WAY_SECONDS", 30)

    async def story(counter: Counter) -> None:
        people = [asyncio.create_task(counter.take(_claim(number, number), HOSPITAL)) for number in range(100)]
        await asyncio.sleep(0)
        file = asyncio.create_task(counter.take(_claim(1000, 1000), HOSPITAL, "bulk"))
        outcomes = await asyncio.gather(*people, file)
        assert {_verdict(outcome) for outcome in outcomes} == {"pay"}
        assert order[-1] == "1000", "nobody at the counter waited for the file"

    _run(node, story)
