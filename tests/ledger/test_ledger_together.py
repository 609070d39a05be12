"""Several transactions by one append: each decides as if alone and in its turn, and none is hurt by another."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from story import HOSPITAL_A, HOSPITAL_B, Story

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome
from suyuan.intake import take_together
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Books, Failure, Ledger, Transaction
from suyuan.settlement.claim import ClaimVerdict
from suyuan.storage.memory import MemoryJournal


class _Counted(MemoryJournal):
    """Counts what is asked of it; `rival` comes first, once, when the next append is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.fetches = 0
        self.rival: Callable[[], object] | None = None

    def fetch(self, keys: Any) -> Any:
        self.fetches += 1
        return super().fetch(keys)

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        self.appends += 1
        return super().append(events, expected, documents)


def _ledger() -> tuple[Ledger, _Counted]:
    journal = _Counted()
    return Ledger(journal, lambda: 7), journal


def _selling(key: str, actor: str) -> Transaction:
    """Sells what nobody has sold; answers who has it."""

    def decide(books: Books) -> str:
        past = books.past(key)
        return past[0].actor if past else books.add(key, "sold", actor=actor).actor

    return Transaction({key}, decide)


def _adding(key: str, actor: str) -> Transaction:
    return Transaction({key}, lambda books: books.add(key, "sold", actor=actor).sequence)


def _failing(books: Books) -> None:
    books.add("failing", "sold")
    raise RuntimeError("this upload is broken")


def test_many_decisions_cost_one_fetch_and_one_append() -> None:
    ledger, journal = _ledger()
    assert ledger.transact_together([_adding(f"box {number}", "A") for number in range(50)]) == [1] * 50
    assert (journal.fetches, journal.appends) == (1, 1)


def test_the_second_of_two_rivals_in_one_append_sees_what_the_first_has_done() -> None:
    ledger, journal = _ledger()
    assert ledger.transact_together([_selling("box", "A"), _selling("box", "B")]) == ["A", "A"]
    assert ledger.transact_together([_adding("box", "C"), _adding("box", "D"), _adding("box", "E")]) == [2, 3, 4]
    assert [event.actor for event in ledger.read(["box"])["box"]] == ["A", "C", "D", "E"]
    assert journal.appends == 2


def test_what_one_asks_for_in_further_rounds_is_there_with_what_the_one_before_it_wrote() -> None:
    ledger, _ = _ledger()

    def more(books: Books) -> set[str]:
        return {"carton"} | ({"pallet"} if "carton" in books.histories and books.past("carton") else set())

    asking = Transaction({"box"}, lambda books: sorted(books.histories), more)
    assert ledger.transact_together([asking, _adding("carton", "A"), asking]) == [
        ["box", "carton"],
        1,
        ["box", "carton", "pallet"],
    ]


def test_one_that_raises_has_its_own_answer_and_leaves_nothing_behind() -> None:
    ledger, journal = _ledger()

    def no_keys(books: Books) -> set[str]:
        raise KeyError("nothing can be asked for")

    broken = Transaction({"failing"}, _failing)
    lost = Transaction({"lost"}, lambda books: books.add("lost", "sold"), no_keys)
    first, second, third, fourth = ledger.transact_together([_adding("a", "A"), broken, lost, _adding("b", "B")])
    assert (first, fourth) == (1, 1)
    assert isinstance(second, Failure)
    assert "broken" in str(second.error)
    assert isinstance(third, Failure)
    assert sorted(journal.keys("")) == ["a", "b"]
    with pytest.raises(RuntimeError, match="broken"):
        ledger.transact({"failing"}, _failing)


def test_one_that_cannot_be_stored_fails_alone() -> None:
    ledger, journal = _ledger()
    unstorable = Transaction({"c"}, lambda books: books.add("c", "sold", detail=object()))
    answers = ledger.transact_together([_adding("a", "A"), unstorable, _adding("b", "B")])
    assert [isinstance(answer, Failure) for answer in answers] == [False, True, False]
    assert sorted(journal.keys("")) == ["a", "b"]


def test_only_those_decide_again_whose_keys_proved_stale_and_those_that_rest_on_them() -> None:
    ledger, journal = _ledger()
    decided: Counter[str] = Counter()

    def counted(name: str, *keys: str) -> Transaction:
        def decide(books: Books) -> list[int]:
            decided[name] += 1
            return [books.add(key, "sold", actor=name).sequence for key in keys]

        return Transaction(set(keys), decide)

    journal.rival = lambda: journal.append(
        [Event(1, "0", "sold", "contested", 1, 0, 0, "rival")],
        {"contested": 0},
    )
    answers = ledger.transact_together(
        [counted("first", "own"), counted("late", "contested", "shared"), counted("rests on it", "shared")]
    )
    assert answers == [[1], [2, 1], [2]]
    assert decided == {"first": 1, "late": 2, "rests on it": 2}
    assert [event.actor for event in ledger.read(["contested"])["contested"]] == ["rival", "late"]


def test_what_two_write_unread_under_one_key_is_written_by_one_after_the_other() -> None:
    ledger, _ = _ledger()

    def told(books: Books) -> str:
        if books.past("alert"):
            return "told before"
        books.add("alert", "alerted")
        return "told"

    unread = Transaction(set(), told)
    assert ledger.transact_together([unread, unread, Transaction({"alert"}, told)]) == [
        "told",
        "told before",
        "told before",
    ]
    assert len(ledger.read(["alert"])["alert"]) == 1


def test_a_key_written_unread_that_was_there_long_ago_is_found_out() -> None:
    ledger, _ = _ledger()
    ledger.transact({"alert"}, lambda books: books.add("alert", "alerted"))
    unread = Transaction(set(), lambda books: books.add("alert", "alerted").sequence)
    reading = Transaction({"alert"}, lambda books: books.add("alert", "alerted").sequence)
    assert sorted(ledger.transact_together([unread, reading])) == [2, 3]


def test_a_rehearsal_judges_each_alone() -> None:
    ledger, journal = _ledger()
    ledger.rehearsing = True
    assert ledger.transact_together([_selling("box", "A"), _selling("box", "B")]) == ["A", "B"]
    assert not journal.appends


def _claim(place: str, box: str, number: str) -> Document:
    row = f'{{"feedetl_sn":"1","drug_trac_codg":"{box}","trdn_flag":"0","min_prcunt_type":"2"}}'
    head = f'{{"psn_no":"{number}","mdtrt_id":"{number}","chrg_bchno":"{number}","medfee_sumamt":10}}'
    return nhsa.read(
        f'{{"infno":"2207","msgid":"{number}","fixmedins_code":"{place}",'
        f'"input":{{"data":{head},"drug_trac_info":[{row}]}}}}'.encode()
    )


def _verdict(outcome: Outcome | Exception) -> str:
    assert isinstance(outcome, Outcome)
    (result,) = outcome.results
    assert isinstance(result, ClaimVerdict)
    return result.verdict


def test_rival_claims_in_one_append_pay_each_box_once() -> None:
    story = Story(journal=_Counted())
    boxes = [story.new_box() for _ in range(20)]
    dice = random.Random(1)
    claims = [
        (_claim(place, box, f"{place}-{box}-{copy}"), "")
        for box in boxes
        for place in (HOSPITAL_A, HOSPITAL_B)
        for copy in range(2)
    ]
    outcomes = take_together(story.desk, dice.sample(claims, len(claims)))
    assert Counter(map(_verdict, outcomes)) == {"pay": 20, "refuse": 60}
    assert [story.paid(box) for box in boxes] == [1] * 20
    assert isinstance(story.desk.ledger.journal, _Counted)
    assert story.desk.ledger.journal.appends == 1


def test_a_claim_sent_twice_in_one_append_gets_one_answer_twice() -> None:
    story = Story(journal=_Counted())
    claim = _claim(HOSPITAL_A, story.new_box(), "1")
    first, second = take_together(story.desk, [(claim, ""), (claim, "")])
    assert (_verdict(first), _verdict(second)) == ("pay", "pay")
    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.results[0].settlement == second.results[0].settlement != ""  # type: ignore[union-attr]


def test_an_unreadable_document_is_answered_beside_the_good_ones() -> None:
    story = Story()
    good = _claim(HOSPITAL_A, story.new_box(), "1")
    unreadable, stranger = nhsa.read(b"{"), _claim(HOSPITAL_A, story.new_box(), "2")
    outcomes = take_together(story.desk, [(unreadable, ""), (good, ""), (stranger, HOSPITAL_B)])
    assert [isinstance(outcome, Outcome) and bool(outcome.fatal) for outcome in outcomes] == [True, False, True]
    assert _verdict(outcomes[1]) == "pay"


def test_an_order_that_comes_while_an_append_is_on_its_way_is_alerted_for_each_sale_that_it_meets() -> None:
    journal = _Counted()
    story = Story(journal=journal)
    boxes = [story.new_box() for _ in range(3)]
    claims = [(_claim(HOSPITAL_A, box, box), "") for box in boxes]
    journal.rival = lambda: story.recall(boxes[0], scope="product")
    outcomes = take_together(story.desk, claims)
    assert [_verdict(outcome) for outcome in outcomes] == ["pay"] * 3
    assert story.alerts() == ["recalled"] * 3
    assert _verdict(take_together(story.desk, [(_claim(HOSPITAL_A, story.new_box(), "late"), "")])[0]) != "pay"
