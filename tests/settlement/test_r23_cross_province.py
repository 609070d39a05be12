"""R23: the nation is asked before a box is paid; policy follows the place of care, recovery the insured area."""

import socket
from collections.abc import Callable

import pytest
from story import HOSPITAL_A, HOSPITAL_B, HOSPITAL_FAR, Line, Story

from suyuan.ledger.events import Event, Kind, Verdict
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.signer import Signer
from suyuan.relay import asking
from suyuan.relay.asking import Asking
from suyuan.relay.link import Link, Post, Unreachable
from suyuan.settlement.policy import Policy, Step
from suyuan.storage.memory import MemoryJournal


def test_the_policy_is_that_of_the_place_of_care_and_the_insured_area_is_kept() -> None:
    here_only = Policy(name="here", steps=(Step("2000-01-01", "enforce", region="44"),))
    story = Story(policy=here_only)
    box = story.new_box()
    story.settle(HOSPITAL_FAR, box, order="O1")
    # The person is insured in 44, where scans are enforced; the hospital is in 11, where they are observed.
    assert story.settle(HOSPITAL_FAR, box, order="O2").verdict == "pay"
    [first, _] = [event for event in story.events() if event.key.startswith("claim:") and event.price]
    assert (first.region, first.detail["insured_area"]) == ("110100", "440100")


class Answering:
    """What the nation says of boxes: what a test has told it, and nothing while it is away."""

    def __init__(self) -> None:
        self.told: dict[str, list[Event]] = {}
        self.away = False
        self.questions: list[set[str]] = []

    def ask(self, keys: set[str]) -> dict[str, list[Event]] | None:
        self.questions.append(keys)
        return None if self.away else {key: self.told[key] for key in keys if key in self.told}


def provincial() -> tuple[Story, Answering]:
    """A province whose nation answers as the test wants it."""
    story, nation = Story(), Answering()
    story.desk.elsewhere, story.desk.nation = True, nation
    return story, nation


def sold_far(story: Story, code: str, *, kind: Kind = "claimed", verdict: Verdict = "pay") -> Event:
    """A sale of the box in another province, as the nation tells it."""
    key = story.key(code)
    return Event(
        1, "far", kind, key, 1, story.now, story.now, HOSPITAL_FAR, region="110100", verdict=verdict, drawn=True,
        fact="far", person="p1-far", origin="11/1",
    )  # fmt: skip


def test_a_box_that_was_paid_in_another_province_is_refused_and_the_others_are_paid() -> None:
    story, nation = provincial()
    box, other = story.new_box(), story.new_box()
    nation.told[story.key(box)] = [sold_far(story, box)]
    refused = story.settle(HOSPITAL_A, box, order="O1")
    assert (refused.verdict, refused.provisional) == ("refuse", False)
    [code] = refused.lines[0].codes
    assert (code.status, code.facts["earlier_sale"], code.facts["claimed"]) == ("conflict_sold", "elsewhere", "yes")
    [alert] = [event for event in story.events() if event.kind == "alerted"]
    assert (alert.detail["earlier"]["province"], alert.detail["earlier"]["region"]) == ("11", "110100")
    paid = story.settle(HOSPITAL_A, other, order="O2", visit="V2")
    assert (paid.verdict, paid.provisional) == ("pay", False)


def test_one_question_asks_for_all_boxes_of_a_claim_and_a_sale_report_asks_nothing() -> None:
    story, nation = provincial()
    boxes = [story.new_box() for _ in range(3)]
    story.settle(HOSPITAL_A, *boxes)
    assert nation.questions == [{story.key(box) for box in boxes}]
    story.report_sale(HOSPITAL_A, story.new_box())
    assert len(nation.questions) == 1


def test_a_hospital_that_settles_without_codes_has_its_reported_boxes_asked_for() -> None:
    story, nation = provincial()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box, visit="V1", line="1", product=Line().product)
    story.settle(HOSPITAL_A, setting="inpatient", visit="V1", lines=[Line()], expected=1)
    assert {story.key(box)} in nation.questions


def test_against_a_report_that_nobody_claimed_there_the_claim_is_held() -> None:
    story, nation = provincial()
    box = story.new_box()
    nation.told[story.key(box)] = [sold_far(story, box, kind="sold", verdict="")]
    assert story.settle(HOSPITAL_A, box).verdict == "hold"


def test_without_an_answer_the_payment_is_provisional_and_the_stored_verdict_says_so() -> None:
    story, nation = provincial()
    nation.away = True
    box = story.new_box()
    assert story.settle(HOSPITAL_A, box).provisional
    [stored] = [event for event in story.events() if event.key.startswith("claim:") and event.price]
    assert stored.detail["answer"]["provisional"] is True
    # Sent again it gets its first answer; a claim that is refused by what is known here is refused, not provisional.
    assert story.settle(HOSPITAL_A, box).provisional
    refused = story.settle(HOSPITAL_B, box, order="O2", visit="V2")
    assert (refused.verdict, refused.provisional) == ("refuse", False)


def test_who_belongs_to_no_nation_pays_as_ever() -> None:
    story = Story()
    assert not story.settle(HOSPITAL_A, story.new_box()).provisional


def a_link(post: Callable[[bytes, float], bytes]) -> Link:
    return Link(post, "44", Signer.new(), bytes(32), Ledger(MemoryJournal(), lambda: 0))


def test_a_nation_that_never_answers_costs_one_claim_its_budget_and_the_next_ones_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "REST_FIRST", 3600.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        post = Post(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        asks = Asking(a_link(post))
        assert [asks.ask({"trace20:1"}) for _ in range(5)] == [None] * 5
        assert (asks.asked, asks.unanswered, asks.spared, asks.resting) == (0, 1, 4, True)
        asks.close()
        post.close()


def test_after_its_rest_one_question_tries_and_an_answer_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "REST_FIRST", 0.0)
    monkeypatch.setattr(asking, "BUDGET", 60.0)
    away = [True]

    def post(question: bytes, _: float) -> bytes:
        raise Unreachable("away") if away[0] else ConnectionError(question)

    asks = Asking(a_link(post))
    assert asks.ask({"trace20:1"}) is None
    assert asks.ask({"trace20:1"}) is None
    assert (asks.unanswered, asks.spared) == (2, 0)
    answers: dict[str, list[Event]] = {"trace20:1": []}
    monkeypatch.setattr(asks, "_told", lambda _: answers)
    assert asks.ask({"trace20:1"}) == answers
    assert (asks.asked, asks.resting) == (1, False)
    asks.close()
