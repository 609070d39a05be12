"""The fault simulation: seeds that the auditor agrees on, bugs on purpose that it catches, runs that failed once."""

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from postgres_server import PostgresServer

from suyuan.cli import FINE, USAGE
from suyuan.cli import run as run_command
from suyuan.intake import undo
from suyuan.ledger.events import Event, decoder, encoder
from suyuan.simulation.faults.auditor import FaultAuditor, Held
from suyuan.simulation.faults.campaign import command_of, play_seeds, shrink
from suyuan.simulation.faults.disks import MemoryDisk, PostgresDisk
from suyuan.simulation.faults.run import Plan, Result, Run
from suyuan.simulation.faults.senders import Job, Senders
from suyuan.simulation.faults.stage import Stage
from suyuan.simulation.faults.weather import RATES
from suyuan.storage.memory import MemoryJournal

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
DEAR = {"flipped-into-gbk", "refused-undo-comes-late"}
"""Of these, such as take seconds."""
SMALL: dict[str, Any] = {"days": 20, "boxes": 100}
"""A country small enough for the fast tests, in which every deliberate bug still shows."""


class Failed(msgspec.Struct, kw_only=True):
    """A run that failed once: what was wrong, what mended it, and the plan that showed it."""

    found: str
    mended: str
    plan: Plan


def quiet(what: str, **particulars: Any) -> None:
    """No log."""


def play(folder: Path, plan: Plan, broken: Callable[[Run], None] = lambda _: None) -> Result:
    """One run, perhaps with something broken first."""
    run = Run(plan, folder, quiet)
    broken(run)
    return run.play()


# It passes


def test_the_auditor_agrees_on_a_small_country(tmp_path: Path) -> None:
    result = play(tmp_path, Plan(seed=2, engine="rocks", **SMALL))
    assert result.findings == []
    assert result.figures["acknowledged"] > 50
    assert result.figures["retries"] > 5
    assert sum(result.faults.values()) > 30


def test_a_run_cut_short_is_the_beginning_of_the_whole_one_and_then_only_ends_what_it_began(tmp_path: Path) -> None:
    def trace(until: int) -> list[tuple[str, dict[str, Any]]]:
        lines: list[tuple[str, dict[str, Any]]] = []
        plan = Plan(seed=57, until=until, days=15, boxes=40)
        Run(plan, tmp_path / f"{until}", lambda what, **said: lines.append((what, said))).play()
        return lines

    whole, shorter = trace(0), trace(10)
    same = list(takewhile(lambda line: line[1]["day"] < 9, shorter))
    assert 20 < len(same) < len(whole)
    assert same == whole[: len(same)]
    assert shorter[-1] == ("checked", {"seed": 57, "day": shorter[-1][1]["day"], "findings": 0, "final": True})
    begun = {said["upload"]: said["day"] for _, said in reversed(shorter) if "upload" in said}
    assert max(begun.values()) <= 10
    assert max(said["day"] for _, said in whole) > 12


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["rocks", "postgres"])
def test_the_same_seed_is_the_same_run_and_a_shorter_one_holds_less(
    engine: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    plan = Plan(seed=2, engine=engine, database=postgres_server.address(), **SMALL)
    whole, again = (play(tmp_path / name, plan) for name in ("whole", "again"))
    assert (again.fingerprint, again.faults, again.figures) == (whole.fingerprint, whole.faults, whole.figures)
    shorter = play(tmp_path / "shorter", msgspec.structs.replace(plan, until=8))
    assert shorter.findings == []
    assert 0 < shorter.figures["events"] < whole.figures["events"]


@pytest.mark.slow
def test_the_auditor_agrees_on_ten_seeds(postgres_server: PostgresServer) -> None:
    engines = ("memory", "rocks", "postgres", "memory", "rocks")
    address = postgres_server.address()
    seeds = 200 if os.environ.get("SUYUAN_LONG") == "1" else 10
    plans = [Plan(seed=seed, engine=engines[seed % 5], database=address) for seed in range(1, seeds + 1)]
    results = [seen.result for seen in play_seeds(plans)]
    assert {result.plan.seed: result.findings for result in results if result.findings} == {}
    struck = {fault for result in results for fault in result.faults}
    assert struck >= RATES.keys() - {"moved by export and import", "moved by backup and restore"}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in DEAR else []) for path in CORPUS],
)
def test_a_run_that_failed_once_does_not_fail_again(path: Path, tmp_path: Path) -> None:
    failed = msgspec.json.decode(path.read_bytes(), type=Failed)
    assert play(tmp_path, failed.plan).findings == []


# It can fail: three bugs on purpose


class NumberedJournal(MemoryJournal):
    """Hands out a number when a write begins and reads the feed by these numbers, as `id > last` does in SQL."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._begun = 0
        self._written: dict[int, list[Event]] = {}

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        self._begun += 1
        number = self._begun
        self._stage.pause()
        answer = super().append(events, expected, documents)
        if isinstance(answer, bytes):
            self._written[number] = [decoder.decode(encoder.encode(event)) for event in events]
        return answer

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        last = int.from_bytes(position or b"", "big")
        numbers = sorted(number for number in self._written if number > last)[: max(1, limit // 20)]
        reached = [last, *numbers][-1].to_bytes(8, "big")
        return [event for number in numbers for event in self._written[number]], reached


def feed_by_number(run: Run) -> None:
    assert isinstance(run.disk, MemoryDisk)
    run.disk.shared = NumberedJournal(run.stage)


def feed_without_horizon(run: Run) -> None:
    assert isinstance(run.disk, PostgresDisk)
    run.disk.horizon = False


def retries_get_new_keys(patch: pytest.MonkeyPatch) -> None:
    def renumbered(_: Senders, job: Job) -> bytes:
        body = msgspec.json.decode(job.raw)
        rows = [row for node in body["input"].values() for row in (node if isinstance(node, list) else [node])]
        for row in rows:
            for name in {"chrg_bchno", "mdtrt_id", "mdtrt_sn", "rtal_docno", "feedetl_sn"} & row.keys():
                row[name] = f"{row[name]}9"
        body["msgid"] = body["msgid"][:-4] + f"{9000 + job.tries}"
        return msgspec.json.encode(body)

    patch.setattr(Senders, "renumbered", renumbered)


def cancels_forget_the_boxes(patch: pytest.MonkeyPatch) -> None:
    original = undo._undo_settlement

    def without_the_original(books: Any, prepared: Any, desk: Any, key: str, settlement: Any) -> Any:
        return original(books, prepared, desk, key, msgspec.structs.replace(settlement, codes=[]))

    patch.setattr(undo, "_undo_settlement", without_the_original)


def caught(folder: Path, plans: Sequence[Plan], words: str, broken: Callable[[Run], None] = lambda _: None) -> Result:
    """The first of some runs on which the auditor says these words."""
    for plan in plans:
        result = play(folder / f"{plan.seed}", plan, broken)
        if any(words in finding for finding in result.findings):
            return result
    raise AssertionError(f"the auditor is blind: on no seed it says {words!r}")


def plans_of(*seeds: int, **more: Any) -> list[Plan]:
    return [Plan(seed=seed, **SMALL, **more) for seed in seeds]


def test_a_feed_by_number_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RATES, "racing", 1.0)
    caught(tmp_path, plans_of(*range(8, 30)), "a follower of the feed missed", feed_by_number)


@pytest.mark.slow
def test_a_feed_by_number_is_caught_on_postgresql(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RATES, "racing", 1.0)
    plans = plans_of(*range(4, 40), engine="postgres", database=postgres_server.address())
    caught(tmp_path, plans, "a follower of the feed missed", feed_without_horizon)


def test_a_retry_under_a_new_key_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retries_get_new_keys(monkeypatch)
    caught(tmp_path, plans_of(*range(8, 30)), "nobody was told: counted twice")


def test_a_cancel_that_forgets_its_original_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancels_forget_the_boxes(monkeypatch)
    caught(tmp_path, plans_of(*range(1, 10)), "was not given back")


@pytest.mark.slow
def test_a_run_that_fails_is_made_as_short_and_mild_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cancels_forget_the_boxes(patch)
        failed = caught(tmp_path / "failing", plans_of(*range(1, 10)), "was not given back")
        smallest = shrink(failed)
        assert play(tmp_path / "smallest", smallest).findings
    # Nothing has to go wrong for this bug to show, so every fault could be left out.
    assert set(smallest.without) >= {fault for fault in failed.faults if fault in RATES}
    assert 0 < smallest.until <= failed.day + 1
    assert f"--seed {smallest.seed}" in command_of(smallest)
    assert play(tmp_path / "mended", smallest).findings == []


def test_a_server_that_is_away_is_named_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    away = "postgresql://postgres:secret@127.0.0.1:1/postgres"
    assert run_command(["simulate", "--faults", "--engine", "postgres", "--database", away]) not in {FINE, USAGE}
    words = capsys.readouterr().err
    assert "No database can be made" in words
    assert "secret" not in words


# The auditor is not blind


Cook = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def first(feed: list[dict[str, Any]], **wanted: Any) -> int:
    """Where the first event stands that has these values."""
    return next(place for place, event in enumerate(feed) if all(event[key] == wanted[key] for key in wanted))


def without(place: int, feed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The feed without one event, as if it had never been there."""
    gone = feed[place]
    kept = [event for event in feed if event is not gone]
    return [
        event | {"sequence": event["sequence"] - 1}
        if event["key"] == gone["key"] and event["sequence"] > gone["sequence"]
        else event
        for event in kept
    ]


def changed(place: int, feed: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    return [*feed[:place], feed[place] | values, *feed[place + 1 :]]


def paid_claim(feed: list[dict[str, Any]]) -> int:
    return next(
        place
        for place, event in enumerate(feed)
        if event["kind"] == "claimed" and event["key"].startswith("claim:") and event["price"] and event["drawn"]
    )


def other_money(feed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    place = paid_claim(feed)
    detail = feed[place]["detail"]
    answer = detail["answer"] | {"paid": detail["answer"]["paid"] + 1}
    return changed(place, feed, detail=detail | {"answer": answer})


def second_payment(feed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    paid = next(event for event in feed if event["kind"] == "claimed" and event["drawn"] and ":" in event["key"][:8])
    last = max(event["sequence"] for event in feed if event["key"] == paid["key"])
    return [*feed, paid | {"sequence": last + 1, "id": "another"}]


def sold(feed: list[dict[str, Any]]) -> int:
    return next(
        place
        for place, event in enumerate(feed)
        if event["kind"] == "sold" and event["drawn"] and event["key"].startswith("trace20:")
    )


COOKED: dict[str, tuple[Cook, str]] = {
    "an acknowledged claim is lost": (lambda feed: without(paid_claim(feed), feed), "was told, and is stored 0 times"),
    "an acknowledged sale is lost": (lambda feed: without(sold(feed), feed), "was acknowledged and is lost"),
    "other money is stored than told": (other_money, "told"),
    "a box is paid twice": (second_payment, "is paid more than once"),
    "a sale is stored that nobody sent": (
        lambda feed: changed(sold(feed), feed, references={"visit": "nobody's"}),
        "nobody was told: counted twice",
    ),
    "an alert is gone": (lambda feed: without(first(feed, kind="alerted"), feed), "which is not there"),
    "nobody was alerted": (
        lambda feed: [event | {"alert": ""} for event in feed if event["kind"] != "alerted"],
        "nobody was alerted",
    ),
    "the feed repeats an event": (lambda feed: [*feed, feed[-1]], "is in the feed twice"),
    "two events of a key change places": (
        lambda feed: [
            event | {"sequence": 3 - event["sequence"]} if event["sequence"] < 3 else event for event in feed
        ],
        "the feed has its events as",
    ),
    "a balance is drawn twice": (
        lambda feed: [
            event | {"detail": event["detail"] | {"sold": event["detail"]["sold"] + 1}}
            if event["key"].startswith("balance:")
            else event
            for event in feed
        ],
        "its lines say",
    ),
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[FaultAuditor, Held]:
    """The auditor of a run that passes, with all that the node held at its end."""
    seen: list[tuple[FaultAuditor, Held]] = []
    check = FaultAuditor.check

    def remembered(self: FaultAuditor, held: Held, *, final: bool) -> list[str]:
        seen[:] = [(self, held)]
        return check(self, held, final=final)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaultAuditor, "check", remembered)
        assert play(tmp_path_factory.mktemp("run"), Plan(seed=1, days=60, boxes=200)).findings == []
    return seen[0]


@pytest.mark.parametrize("what", COOKED)
def test_cooked_books_are_found(audited: tuple[FaultAuditor, Held], what: str) -> None:
    auditor, held = audited
    cook, words = COOKED[what]
    feed = cook(held.feed)
    histories: dict[str, list[dict[str, Any]]] = {}
    for event in feed:
        histories.setdefault(event["key"], []).append(event)
    cooked = msgspec.structs.replace(
        held, feed=feed, keys=list(histories), history=lambda key: histories[key], followed=[one["id"] for one in feed]
    )
    assert any(words in finding for finding in auditor.check(cooked, final=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"followed": []}, "a follower of the feed missed"),
        ({"lake": []}, "the lake has 0 events"),
        ({"due": [(1, "claim:none", 1)]}, "deadlines are open by the feed"),
        ({"has_document": lambda _: False}, "is not kept"),
        ({"lists": {"claims": (["a"], ["a", "b"])}}, "the list claims has 1 rows, made again 2"),
    ],
)
def test_what_stands_beside_the_feed_is_looked_at(
    audited: tuple[FaultAuditor, Held], changes: dict[str, Any], words: str
) -> None:
    auditor, held = audited
    assert auditor.check(held, final=True) == []
    assert any(words in finding for finding in auditor.check(msgspec.structs.replace(held, **changes), final=True))


def test_a_deadline_that_passed_unseen_is_found(audited: tuple[FaultAuditor, Held]) -> None:
    auditor, held = audited
    event = held.feed[0] | {"deadline": held.now + 1}
    waits = msgspec.structs.replace(
        held,
        feed=[event, *held.feed[1:]],
        due=[*held.due, (event["deadline"], event["key"], event["sequence"])],
        history=lambda key: [event if one["id"] == event["id"] else one for one in held.history(key)],
    )
    assert auditor.check(waits, final=True) == []
    passed = msgspec.structs.replace(waits, now=event["deadline"])
    assert any("has passed" in finding for finding in auditor.check(passed, final=True))


def test_a_damaged_message_that_is_taken_is_found() -> None:
    auditor = FaultAuditor()
    auditor.refused_at_the_door("upload 1", b'{"infcode": -1, "err_msg": "no"}')
    assert auditor.findings == []
    auditor.refused_at_the_door("upload 1", b'{"infcode": 0, "output": {}}')
    assert len(auditor.findings) == 1


# From the command line


def test_the_command_plays_seeds_keeps_a_log_and_says_what_struck(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "faults.jsonl"
    few = ["--days", "14", "--until", "4", "--engine", "memory", "--without", "slow store"]
    assert run_command(["simulate", "--faults", "--seed", "3", *few, "--log", str(log), "--format", "json"]) == FINE
    told = msgspec.json.decode(capsys.readouterr().out)
    assert (told["seeds"], told["failed"], told["engines"]) == (1, [], {"memory": 1})
    assert "slow store" not in told["faults"]
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [lines[0]["what"], lines[-1]["what"]] == ["began", "ended"]
    assert sum(line["what"] == "answered" for line in lines) >= told["figures"]["acknowledged"]


@pytest.mark.parametrize(
    "options",
    [["--days", "3"], ["--seeds", "0"], ["--engine", "postgres"], ["--without", "rain"], ["--engine", "tape"]],
)
def test_wrong_use_of_the_faults_is_refused_with_words(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["simulate", "--faults", *options]) == USAGE
    assert capsys.readouterr().err
