"""Following the feed: each event once whoever else writes, each reader one state, and no fault that reaches uploads."""

import threading
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from story import PHARMACY_P, Story

from suyuan.ledger.events import Event
from suyuan.views.counts import CountsView, Period, sums
from suyuan.views.follow import Views


class _Waits(CountsView):
    """Counts as the real one does, and commits only when it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.goes_on = threading.Event()

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        super().apply(connection, events)
        self.reached.set()
        self.goes_on.wait(10)


def _sell(story: Story, count: int) -> None:
    for number in range(count):
        story.report_sale(PHARMACY_P, story.new_box(), receipt=f"{story.now} {number}")


def _sales(views: Views) -> int:
    with views.read() as connection:
        return sums(connection, Period()).sales


def test_what_two_processes_take_in_at_the_same_time_counts_once(tmp_path: Path) -> None:
    story, waits = Story(), _Waits()
    _sell(story, 3)
    killed = Views.open(tmp_path / "views.sqlite", story.journal, [waits])
    new = Views.open(tmp_path / "views.sqlite", story.journal, [CountsView()])
    last_breath = threading.Thread(target=killed.catch_up)
    last_breath.start()
    waits.reached.wait(10)
    taken: list[int] = []
    following = threading.Thread(target=lambda: taken.append(new.catch_up()))
    following.start()
    following.join(0.3)  # by now it waits for the other's commit
    waits.goes_on.set()
    last_breath.join()
    following.join()
    assert (taken, _sales(new)) == ([0], 3)
    _sell(story, 2)
    new.catch_up()
    assert _sales(new) == 5
    killed.close()
    new.close()


def test_a_reader_sees_one_state_from_its_first_look_to_its_last(tmp_path: Path) -> None:
    story = Story()
    views = Views.open(tmp_path / "views.sqlite", story.journal, [CountsView()])
    _sell(story, 3)
    views.catch_up()
    with views.read() as connection:
        before = sums(connection, Period()).sales
        _sell(story, 2)
        views.catch_up()
        assert (before, sums(connection, Period()).sales) == (3, 3)
    assert _sales(views) == 5
    views.close()


def test_lists_that_have_come_further_than_a_restored_journal_are_made_again(tmp_path: Path) -> None:
    story, restored = Story(), Story()
    _sell(story, 5)
    _sell(restored, 2)
    views = Views.open(tmp_path / "views.sqlite", story.journal, [CountsView()])
    views.catch_up()
    views.close()
    views = Views.open(tmp_path / "views.sqlite", restored.journal, [CountsView()])
    views.catch_up()
    assert _sales(views) == 2
    views.close()
    views = Views.open(tmp_path / "views.sqlite", restored.journal, [CountsView()])
    assert views.catch_up() == 0, "a journal that has come so far is gone on with"
    views.close()
