"""What an institution owes: rows come with what opens a debt, go with what settles it, and equal the claim files."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from story import ESCAPE, GTIN, HOSPITAL_A, HOSPITAL_B, LEGACY, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story

from suyuan.ledger.admission import iso_day
from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.lookup.owed import KINDS, Coverage, class_of
from suyuan.settlement.claim_file import ClaimFile
from suyuan.settlement.policy import REHEARSAL, STRICT
from suyuan.views.owed import OWED, balances_of, list_owed, list_unmapped, tallies
from suyuan.views.uploads import UPLOADS, channels, coverage, delays, late

PLACES = (HOSPITAL_A, HOSPITAL_B, PHARMACY_P)


@contextmanager
def tables(events: list[Event], page: int = 1000) -> Iterator[sa.Connection]:
    """Both views over these events, taken in pages of so many."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        for view in (OWED, UPLOADS):
            view.metadata.create_all(connection)
            for start in range(0, len(events), page):
                view.apply(connection, events[start : start + page])
        yield connection
    engine.dispose()


def owed(story: Story, institution: str = HOSPITAL_A) -> dict[str, int]:
    """How many scans or lines are owed, by kind; what is not owed is left out."""
    with tables(story.events(), page=3) as connection:
        return {kind: tally.count for kind, tally in tallies(connection, institution).items() if tally.rows}


def test_a_code_to_follow_is_owed_until_it_is_scanned() -> None:
    story = Story()
    box = story.new_box()
    story.fees(HOSPITAL_A, [Line(product=WHOLE)])
    story.settle(HOSPITAL_A, expected=1)
    assert owed(story) == {"awaiting": 1}
    assert owed(story, HOSPITAL_B) == {}
    with tables(story.events()) as connection:
        [row] = list_owed(connection, HOSPITAL_A, "awaiting").rows
    assert (row.product, row.reference, row.line) == (WHOLE, "visit:V1", "1")
    assert (row.deadline - row.arrived) == 3 * 24 * 3600 * 1_000_000
    story.again()
    assert owed(story) == {"awaiting": 1}
    story.report_sale(HOSPITAL_A, box, visit="V1", product=WHOLE)
    assert owed(story) == {}


def test_after_the_deadline_it_is_a_missing_code_until_the_settlement_is_cancelled() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=SPLITTABLE)])
    settlement = story.settle(HOSPITAL_A, expected=2).settlement
    assert owed(story) == {"awaiting": 2}
    story.report_sale(HOSPITAL_A, story.new_box(), visit="V1", product=WHOLE)
    assert owed(story) == {"awaiting": 1}
    story.wait(days=4)
    assert owed(story) == {"not_scanned": 1}
    story.cancel(HOSPITAL_A, settlement)
    assert owed(story) == {}


def test_a_hold_is_owed_until_its_deadline_or_its_cancel() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_B, box, order="O9")
    held = story.settle(HOSPITAL_A, box)
    assert held.verdict == "hold"
    with tables(story.events()) as connection:
        [row] = list_owed(connection, HOSPITAL_A, "hold").rows
    assert (row.amount, row.reasons, row.settlement) == (100_000_000, ("conflict_sold",), held.settlement)
    assert row.deadline - row.arrived == 15 * 24 * 3600 * 1_000_000
    story.wait(days=16)
    assert owed(story) == {}


def test_a_hold_beside_awaited_scans_has_a_deadline_of_its_own() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_B, box, order="O9")
    story.settle(HOSPITAL_A, box, expected=2)
    assert owed(story) == {"awaiting": 1, "hold": 1}
    story.wait(days=4)
    assert owed(story) == {"not_scanned": 1, "hold": 1}
    story.wait(days=12)
    assert owed(story) == {"not_scanned": 1}


def test_a_refused_claim_is_owed_until_it_is_settled_again() -> None:
    story = Story()
    sold, other = story.new_box(), story.new_box()
    story.settle(HOSPITAL_B, sold, order="O9")
    assert story.settle(HOSPITAL_A, sold).verdict == "refuse"
    assert owed(story) == {"refused": 1}
    assert story.settle(HOSPITAL_A, other).verdict == "pay"
    assert owed(story) == {}


def test_a_sale_without_its_code_is_missing_until_it_is_deleted_and_sent_again() -> None:
    story = Story()
    story.report_sale(PHARMACY_P, "", product=WHOLE, batch="B7")
    assert owed(story, PHARMACY_P) == {"not_scanned": 1}
    story.report_sale(PHARMACY_P, story.new_box(), product=WHOLE, batch="B8")
    assert owed(story, PHARMACY_P) == {"not_scanned": 1}
    assert story.delete(PHARMACY_P, "B7") == "accepted"
    assert owed(story, PHARMACY_P) == {}


def test_a_code_that_reads_in_two_ways_is_owed_once_and_until_it_is_scanned_again() -> None:
    story = Story()
    # Without its separator the lot swallows what follows: this text can be cut in two ways.
    code = f"01{GTIN}10ABCDEFGH1730010121SN123456"
    story.report_sale(HOSPITAL_A, code, batch="B1")
    [_, *others] = [event for event in story.events() if "code_review" in event.reasons]
    assert others, "the text is filed under both of its readings"
    assert owed(story) == {"code_review": 1}
    story.report_sale(HOSPITAL_B, f"(01){GTIN}(21)SN123456", batch="B2")
    assert owed(story) == {"code_review": 1}
    story.report_sale(HOSPITAL_A, f"(01){GTIN}(21)SN123456", batch="B2")
    assert owed(story) == {}


def test_a_code_under_review_is_owed_no_longer_than_the_claim_that_was_held_for_it() -> None:
    story = Story()
    story.settle(HOSPITAL_A, f"01{GTIN}10ABCDEFGH1730010121SN123456", expected=-1)
    assert owed(story) == {"hold": 1, "code_review": 1}
    story.wait(days=14)
    assert owed(story) == {"hold": 1, "code_review": 1}
    story.wait(days=2)
    assert owed(story) == {}


def test_prefixes_without_a_product_are_counted_by_prefix() -> None:
    story = Story()
    unknown = [f"8999999{number:013d}" for number in (1, 2)]
    story.report_sale(HOSPITAL_A, *unknown)
    story.again()
    story.settle(HOSPITAL_A, unknown[0], visit="V3")
    with tables(story.events(), page=2) as connection:
        [row] = list_unmapped(connection, HOSPITAL_A)
        assert list_unmapped(connection, HOSPITAL_B) == []
    assert (row.product_key, row.sold, row.claimed, row.moved) == ("trace20:8999999", 2, 1, 0)


def test_stock_without_codes_declines_and_comes_back() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=LEGACY)])
    settlement = story.settle(HOSPITAL_A).settlement
    with tables(story.events()) as connection:
        assert balances_of(connection, HOSPITAL_A) == {("legacy", LEGACY): 1}
    story.cancel(HOSPITAL_A, settlement)
    with tables(story.events()) as connection:
        assert balances_of(connection, HOSPITAL_A) == {("legacy", LEGACY): 0}


def test_coverage_counts_each_line_once_whatever_is_repeated_filled_or_deleted() -> None:
    story = Story()
    day = "2026-03-09"
    story.report_sale(PHARMACY_P, story.new_box(), product=WHOLE, batch="B1", receipt="R1")
    story.again()
    story.report_sale(PHARMACY_P, "", product=WHOLE, batch="B2", receipt="R2")
    story.report_sale(PHARMACY_P, ESCAPE, product=SPLITTABLE, split=True, batch="B3", receipt="R3")
    assert _coverage(story, PHARMACY_P) == {(day, "sale", "X"): Coverage(needed=3, coded=1)}
    story.delete(PHARMACY_P, "B2")
    assert _coverage(story, PHARMACY_P) == {(day, "sale", "X"): Coverage(needed=2, coded=1)}
    story.delete(PHARMACY_P, "B2")
    assert _coverage(story, PHARMACY_P)[day, "sale", "X"].share == "50.0"


def test_coverage_of_claims_rises_with_the_scan_and_goes_with_the_cancel() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=WHOLE), Line(product=LEGACY), Line(product="001102000010000-110200001")])
    settlement = story.settle(HOSPITAL_A, expected=1).settlement
    day = "2026-03-09"
    assert _coverage(story)[day, "claim", "X"] == Coverage(needed=1)
    story.report_sale(HOSPITAL_A, story.new_box(), visit="V1", product=WHOLE)
    found = _coverage(story)
    assert (found[day, "claim", "X"], found[day, "sale", "X"]) == (Coverage(needed=1, coded=1),) * 2
    story.cancel(HOSPITAL_A, settlement)
    assert set(_coverage(story)) == {(day, "sale", "X")}


def _coverage(story: Story, institution: str = HOSPITAL_A) -> dict[tuple[str, str, str], Coverage]:
    with tables(story.events(), page=2) as connection:
        return coverage(connection, institution, "2026-01-01")


def test_late_uploads_are_listed_with_the_typical_delay() -> None:
    story = Story()
    early = story.clock()
    story.report_sale(PHARMACY_P, story.new_box(), batch="B1")
    story.wait(days=2)
    story.report_sale(PHARMACY_P, story.new_box(), story.new_box(), batch="B2", when=early)
    with tables(story.events(), page=1) as connection:
        [row], more = late(connection, PHARMACY_P)
        assert (row.kind, row.count, more) == ("sold", 2, None)
        assert delays(connection, PHARMACY_P, "2026-03-09") == {0: 1, 2 * 24 * 60: 2}
        assert late(connection, HOSPITAL_A) == ([], None)
        days = [(row.day, row.channel, row.documents) for row in channels(connection, PHARMACY_P, "2026-03-01")]
    assert days == [("2026-03-11", "nhsa:3505", 1), ("2026-03-09", "nhsa:3505", 1)]


def test_a_list_is_read_page_by_page_without_gap_or_repeat() -> None:
    story = Story()
    for number in range(7):
        story.fees(HOSPITAL_A, [Line(product=WHOLE)], visit=f"V{number}", order=f"O{number}")
        story.settle(HOSPITAL_A, expected=1, visit=f"V{number}", order=f"O{number}")
        story.wait(minutes=1)
    with tables(story.events()) as connection:
        seen, after = [], None
        while True:
            page = list_owed(connection, HOSPITAL_A, "awaiting", after=after, limit=3)
            seen += [row.reference for row in page.rows]
            after = page.after
            if after is None:
                break
    assert seen == [f"visit:V{number}" for number in range(7)]


# Whatever is sent in whatever order


class Uploaded(RuleBasedStateMachine):
    """A few visits, boxes and batches: everything that can happen to them happens, and the tables stay equal."""

    @initialize(policy=st.sampled_from([STRICT, REHEARSAL]))
    def begin(self, policy: Any) -> None:
        self.story = Story(policy=policy)
        boxes = [self.story.new_box(product) for product in (WHOLE, WHOLE, SPLITTABLE)]
        self.codes = [*boxes, "", ESCAPE, f"01{GTIN}10ABCDEFGH1730010121SN123456", "89999990000000000001"]
        self.settlements: list[tuple[str, str]] = []
        self.sent: list[bytes] = []

    @rule(place=st.sampled_from(PLACES), visit=st.sampled_from("12"), product=st.sampled_from([WHOLE, LEGACY]))
    def fees(self, place: str, visit: str, product: str) -> None:
        lines = [Line(product=product, quantity="2"), Line(product=SPLITTABLE)]
        self.story.fees(place, lines, visit=visit, order=f"O{visit}")

    @rule(
        place=st.sampled_from(PLACES),
        visit=st.sampled_from("12"),
        picks=st.lists(st.integers(0, 6), max_size=2),
        expected=st.sampled_from([-1, 1, 3]),
        setting=st.sampled_from(["", "inpatient"]),
    )
    def settle(self, place: str, visit: str, picks: list[int], expected: int, setting: str) -> None:
        setting = "" if place == PHARMACY_P else setting
        boxes = [self.codes[pick] for pick in picks]
        verdict = self.story.settle(place, *boxes, visit=visit, order=f"O{visit}", expected=expected, setting=setting)
        self.sent.append(self.story.raw)
        if verdict.settlement:
            self.settlements.append((place, verdict.settlement))

    @rule(
        place=st.sampled_from(PLACES),
        visit=st.sampled_from(["", "1", "2"]),
        picks=st.lists(st.integers(0, 6), min_size=1, max_size=2),
        product=st.sampled_from(["", WHOLE, SPLITTABLE, LEGACY]),
        batch=st.sampled_from(["B1", "B2"]),
        days=st.integers(0, 3),
    )
    def sell(self, *, place: str, visit: str, picks: list[int], product: str, batch: str, days: int) -> None:
        when = self.story.clock()
        self.story.wait(days=days)
        boxes = [self.codes[pick] for pick in picks]
        if all(boxes) or product:
            self.story.report_sale(place, *boxes, visit=visit, product=product, batch=batch, when=when, split=False)
            self.sent.append(self.story.raw)

    @rule(place=st.sampled_from(PLACES), pick=st.integers(0, 2))
    def give_back(self, place: str, pick: int) -> None:
        self.story.give_back(place, self.codes[pick])

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        if self.settlements:
            place, settlement = self.settlements[pick % len(self.settlements)]
            self.story.cancel(place, settlement, visit="")

    @rule(place=st.sampled_from(PLACES), batch=st.sampled_from(["B1", "B2"]))
    def delete(self, place: str, batch: str) -> None:
        self.story.delete(place, batch)

    @rule(pick=st.integers(0, 50))
    def send_again(self, pick: int) -> None:
        if self.sent:
            self.story.send_bytes(self.sent[pick % len(self.sent)])

    @rule(days=st.sampled_from([1, 4, 16]))
    def wait(self, days: int) -> None:
        self.story.wait(days=days)

    def teardown(self) -> None:
        if hasattr(self, "story"):
            self.tables_equal_the_claim_files_and_do_not_depend_on_pages()

    def tables_equal_the_claim_files_and_do_not_depend_on_pages(self) -> None:
        events = self.story.events()
        with tables(events, page=1) as one_by_one, tables(events) as at_once:
            assert _everything(one_by_one) == _everything(at_once)
            for place in PLACES:
                assert _rows(at_once, place) == _expected(self.story, place)
                assert coverage(at_once, place, "") == _expected_coverage(self.story, place)


def _everything(connection: sa.Connection) -> dict[str, list[Any]]:
    """Every row but counts that have gone back to nothing, which a page may or may not have come by."""
    return {
        table.name: sorted(
            tuple(row)
            for row in connection.execute(table.select())
            if any(row[-3:]) or table.name not in {"uploads_coverage", "uploads_batches"}
        )
        for view in (OWED, UPLOADS)
        for table in view.metadata.sorted_tables
    }


def _rows(connection: sa.Connection, place: str) -> Counter[tuple[Any, ...]]:
    rows: Counter[tuple[Any, ...]] = Counter()
    for kind in KINDS:
        for row in list_owed(connection, place, kind, limit=1000).rows:
            rows[kind, row.key, row.sequence, row.line if kind in {"awaiting", "hold"} else "", row.count] += 1
    return rows


def _expected(story: Story, place: str) -> Counter[tuple[Any, ...]]:
    """The same from the claim files, boxes and lines themselves."""
    rows: Counter[tuple[Any, ...]] = Counter()
    for key in story.journal.keys(f"claim:{place}:"):
        past = story.journal.fetch([key])[key].events
        for entry in ClaimFile.of(past).settlements:
            rows.update(_of_settlement(key, past, entry))
        answered = {event.fact: event for event in past if event.kind == "claimed" and "answer" in event.detail}
        rows.update(("refused", key, event.sequence, "", 1) for event in answered.values() if event.verdict == "refuse")
    rows.update(_missing_lines(story, place))
    rows.update(_open_reviews(story, place))
    return rows


def _of_settlement(key: str, past: Any, entry: Any) -> Iterator[tuple[Any, ...]]:
    waited = past[entry.sequence - 1].detail["awaiting"]
    yield from (("awaiting", key, entry.sequence, line, row["count"]) for line, row in entry.awaiting.items())
    for line in entry.detail["lines"]:
        if "not_scanned" in line["reasons"] and line["line"] not in waited:
            yield "not_scanned", key, entry.sequence, "", 1
    for due in past:
        if _lapsed(due) and due.corrects == entry.sequence:
            before = ClaimFile.of(past[: due.sequence - 1])
            [then] = [one for one in before.settlements if one.sequence == entry.sequence]
            yield from (
                ("not_scanned", key, entry.sequence, "", then.awaiting[line]["count"])
                for line in due.detail["not_scanned"]
            )
    if entry.detail["verdict"] == "hold" and not _hold_ended(past, entry.sequence):
        yield "hold", key, entry.sequence, "", 1


def _lapsed(event: Event) -> bool:
    return event.kind == "due" and bool(event.detail) and "not_scanned" in event.detail


def _hold_ended(past: Any, sequence: int) -> bool:
    carriers = {event.sequence for event in past if sequence in {event.sequence, event.corrects} and event.deadline}
    return any(
        event.kind == "due" and event.detail and "ended" in event.detail and event.corrects in carriers
        for event in past
    )


def _missing_lines(story: Story, place: str) -> Iterator[tuple[Any, ...]]:
    lines = [event for event in story.events() if event.key.startswith("line:") and event.actor == place]
    undone = {(event.key, event.corrects) for event in lines if event.corrects}
    for event in lines:
        if event.kind == "sold" and "not_scanned" in event.reasons and (event.key, event.sequence) not in undone:
            yield "not_scanned", event.key, event.sequence, "", max(1, event.n)


def _open_reviews(story: Story, place: str) -> Iterator[tuple[Any, ...]]:
    found: dict[str, tuple[str, int]] = {}
    for event in story.events():
        if event.kind == "alerted" or event.key.startswith(_FILES):
            continue
        if "code_review" in event.reasons and event.actor == place and event.verdict != "refuse":
            found.setdefault(event.fact, (event.key, event.sequence))
        elif event.corrects:
            found = {fact: mark for fact, mark in found.items() if mark != (event.key, event.corrects)}
    return (("code_review", key, sequence, "", 1) for key, sequence in found.values())


_FILES = ("claim:", "message:", "batch:")


def _expected_coverage(story: Story, place: str) -> dict[tuple[str, str, str], Coverage]:
    found: dict[tuple[str, str, str], Coverage] = {}
    for event in _standing_sales(story, place):
        part = found.setdefault((iso_day(event.event_time), "sale", class_of(event.product)), Coverage())
        line = event.key.startswith("line:")
        balance = event.detail["balance"] if line else ""
        missing = line and "not_scanned" in event.reasons
        exempt = not missing and balance.startswith(("balance:legacy", "balance:exempt"))
        part.exempt += exempt
        part.needed += not exempt
        part.coded += not exempt and not missing and not balance.startswith("balance:escape")
    for key in story.journal.keys(f"claim:{place}:"):
        past = story.journal.fetch([key])[key].events
        for entry in ClaimFile.of(past).settlements:
            _add_claim(found, entry, past)
    return {key: part for key, part in found.items() if part.needed or part.exempt}


def _standing_sales(story: Story, place: str) -> Iterator[Event]:
    """Sale reports that opened something, one a line, but for those that were deleted."""
    events = [event for event in story.events() if event.actor == place]
    deleted = {
        tuple(mark)
        for event in events
        if event.key.startswith(f"batch:{place}:4:") and event.kind == "corrected"
        for mark in story.journal.fetch([event.key])[event.key].events[event.corrects - 1].detail["facts"]
    }
    told: dict[tuple[str, int], Event] = {}
    for event in events:
        opened = event.status not in NOT_A_SALE or event.status == "code_review"
        if event.kind == "sold" and opened and not event.key.startswith((*_FILES, "balance:")):
            told.setdefault((event.fact, event.arrived), event)
    return (event for event in told.values() if (event.key, event.sequence) not in deleted)


def _add_claim(found: dict[tuple[str, str, str], Coverage], entry: Any, past: Any) -> None:
    event = past[entry.sequence - 1]
    lapsed = {
        line for due in past if _lapsed(due) and due.corrects == entry.sequence for line in due.detail["not_scanned"]
    }
    for line in entry.detail["lines"]:
        part = found.setdefault((iso_day(event.event_time), "claim", class_of(line["product"])), Coverage())
        codes = [code["code"] for code in line["codes"]]
        if not codes and line["product"][:1].isdigit():
            continue
        if line["line"] in event.detail["awaiting"]:
            part.needed += 1
            part.coded += line["line"] not in entry.awaiting and line["line"] not in lapsed
        elif codes and not any(codes) and "not_scanned" not in line["reasons"]:
            part.exempt += 1
        else:
            part.needed += 1
            part.coded += "not_scanned" not in line["reasons"] and bool(codes) and set("".join(codes)) != {"9"}


def test_in_any_order_of_uploads_the_tables_equal_a_fold_of_the_files() -> None:
    run_state_machine_as_test(Uploaded, settings=settings(max_examples=15, stateful_step_count=12))


@pytest.mark.slow
def test_in_many_orders_of_uploads_the_tables_equal_a_fold_of_the_files() -> None:
    examples = 150 if os.environ.get("SUYUAN_LONG") == "1" else 60
    run_state_machine_as_test(Uploaded, settings=settings(max_examples=examples, stateful_step_count=30))
