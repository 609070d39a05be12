"""The auditor: agrees with clean books, and finds each way of cooking them."""

import ast
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests_simulation_till import HonestTill

import suyuan.simulation.auditor
from suyuan.simulation.auditor import Books, Claimed, audit, box_of, check_story, keep_books, product_of
from suyuan.simulation.play import play


def test_clean_books_pass(small_country: Path) -> None:
    till = HonestTill()
    play(small_country, till.take)
    first = audit(small_country, {}, till.story)
    assert first.differences == []
    assert first.stories > 100
    again = audit(small_country, first.figures, till.story, sample=10)
    assert again.differences == []
    assert set(again.compared) == set(first.figures)
    assert first.figures["boxes"] == 500
    assert first.figures["packages"] > 500
    assert first.figures["sales"] > 200


def test_answers_are_set_against_what_the_truth_expects(small_country: Path) -> None:
    play(small_country, HonestTill("pays_twice").take)
    surprises = audit(small_country, {}).surprises
    assert any(surprise.startswith("claims_refused") for surprise in surprises)


def test_a_box_paid_twice_is_found(small_country: Path) -> None:
    till = HonestTill("pays_twice")
    play(small_country, till.take)
    differences = audit(small_country, {}, till.story).differences
    assert any("paid twice" in difference for difference in differences)
    assert any("open paid claims" in difference for difference in differences)


def test_a_recalled_box_that_is_paid_after_the_order_is_found(small_country: Path) -> None:
    till = HonestTill()
    play(small_country, till.take)
    assert till.orders
    figures = audit(small_country, {}).figures
    assert (figures["orders"], figures["orders_lifted"]) == (3, 1)
    assert figures["refused_by_order"] >= 3
    play(small_country, HonestTill("ignores_orders").take)
    lax = audit(small_country, {})
    assert len(lax.differences) == figures["refused_by_order"]
    assert all("after the order on it was acknowledged" in difference for difference in lax.differences)
    assert lax.figures["refused_by_order"] == 0


def test_a_claim_that_is_taken_after_its_reversal_is_found(small_country: Path) -> None:
    play(small_country, HonestTill("ignores_reversals").take)
    differences = audit(small_country, {}).differences
    assert differences
    assert all("was reversed before it arrived" in difference for difference in differences)


def test_money_that_does_not_add_up_is_found(small_country: Path) -> None:
    till = HonestTill("loses_money")
    play(small_country, till.take)
    differences = audit(small_country, {}, till.story).differences
    assert len(differences) == 1
    assert "that is not the same" in differences[0]


def test_a_repeated_claim_that_gets_another_settlement_is_found(small_country: Path) -> None:
    till = HonestTill("forgets_repeats")
    play(small_country, till.take)
    differences = audit(small_country, {}).differences
    assert any("its repeat with" in difference for difference in differences)


def test_an_acknowledged_sale_that_is_missing_from_the_story_is_found(small_country: Path) -> None:
    till = HonestTill()
    play(small_country, till.take)
    code = next(
        code for code, events in sorted(till.stories.items()) if any(event["kind"] == "sold" for event in events)
    )

    def forgetful(asked: str) -> dict[str, Any]:
        told = till.story(asked)
        kept = [event for event in told["events"] if event["kind"] != "sold" or box_of(asked) != box_of(code)]
        return {"events": kept}

    differences = audit(small_country, {}, forgetful, sample=10_000).differences
    assert differences
    assert all("was acknowledged and is not in the story" in difference for difference in differences)
    assert all(box_of(code) in difference for difference in differences)


@pytest.mark.parametrize(
    "name", ["boxes", "sales", "claims_paid", "claims_refused", "money_paid", "money_refused", "claims_open"]
)
def test_a_wrong_figure_is_found(small_country: Path, name: str) -> None:
    play(small_country, HonestTill().take)
    figures = audit(small_country, {}).figures
    cooked = audit(small_country, {**figures, name: figures[name] + 1})
    assert len(cooked.differences) == 1
    assert cooked.differences[0].startswith(name)


def test_a_figure_that_nobody_knows_is_named(small_country: Path) -> None:
    play(small_country, HonestTill().take)
    assert audit(small_country, {"boxen": 1}).differences == [
        "figure 'boxen' of the node is none that the auditor knows"
    ]


def test_an_alert_without_a_second_visit_is_found_and_one_with_it_is_not(small_country: Path) -> None:
    play(small_country, HonestTill().take)
    books = keep_books(small_country)
    once = next(box for box, uses in sorted(books.uses.items()) if len(uses) == 1)
    twice = next(box for box, uses in sorted(books.uses.items()) if len(uses) > 1 and box)
    alerts = [{"class": "resale", "box": once}, {"class": "swap", "box": twice}, {"class": "recalled", "box": once}]
    differences = audit(small_country, {}, alerts=alerts).differences
    assert differences == [f"alert resale on {once}: these books know of no second visit with it"]


def test_codes_of_all_carriers_name_the_same_box() -> None:
    assert box_of("81234567890123456789") == "trace20:81234567890123456789"
    assert box_of("(01)09520000006037(21)0403(17)280228(10)2602001") == "gs1:09520000006037:0403"
    assert box_of("(01)09520000006037(17)280228(10)2602001(21)0403") == "gs1:09520000006037:0403"
    assert box_of("https://id.gs1.org/01/09520000006037/21/0403") == "gs1:09520000006037:0403"
    assert [box_of(text) for text in ("9" * 20, "无", "12345678901234567890", "")] == [""] * 4
    assert product_of("trace20:81234567890123456789") == "trace20:8123456"
    assert product_of("gs1:09520000006037:0403") == "gs1:09520000006037"


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def test_the_auditor_shares_no_code_with_what_it_audits() -> None:
    folder = Path(suyuan.simulation.auditor.__file__).parent
    seen: set[str] = set()
    waiting = ["auditor"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = folder / f"{name}.py"
        if not path.exists():
            path = folder / name / "__init__.py"
        for module in imported_by(path):
            room = module.split(".")[1] if module.startswith("suyuan.") else ""
            assert room not in {"ledger", "settlement", "intake", "storage", "node", "formats"}, (name, module)
            if room == "simulation":
                waiting.append(module.split(".", 2)[2].partition(".")[0])
    assert "play" in seen


def hold_story(sequence: int, verdict: str, *more: dict[str, Any]) -> dict[str, Any]:
    """A story in which a claim was taken, with what followed it."""
    references = {"settlement": "S1"}
    claim = {"kind": "claimed", "sequence": sequence, "verdict": verdict, "drawn": True, "references": references}
    return {"events": [claim, *more]}


def test_a_claim_on_hold_waits_and_is_no_unpaid_one() -> None:
    code, key = "81234567890123456789", ("H1", "O1")
    whole = Fraction(1)
    books = Books(
        claims={key: Claimed(by="H1", order="O1", visit="V1", settlement="S1", codes={box_of(code): ("hold", whole)})},
        drawn={box_of(code): {key: whole}},
    )
    assert check_story(books, code, hold_story(4, "hold")) == []
    refused = {"kind": "due", "corrects": 4, "verdict": "refuse", "references": {}}
    assert check_story(books, code, hold_story(4, "hold", refused))
    books.claims[key].codes[box_of(code)] = ("pay", whole)
    assert check_story(books, code, hold_story(4, "pay")) == []
    assert check_story(books, code, hold_story(4, "hold"))
