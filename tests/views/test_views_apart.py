"""Views kept by another process say what views kept here say, also after that process has died."""

import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, Story

from suyuan.storage.memory import MemoryJournal
from suyuan.storage.rocks import RocksJournal
from suyuan.views import VIEWS
from suyuan.views.apart import ViewsApart
from suyuan.views.follow import Views


def _tables(views: Views) -> dict[str, list[Any]]:
    with views.read() as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        rows = {name: connection.execute(sa.text(f'SELECT * FROM "{name}"')).all() for name in names}
    return {name: sorted(map(repr, found)) for name, found in rows.items() if name != "cursors"}


def _followed(views: Views, story: Story) -> None:
    """Wait until the feed is taken in."""
    end = time.monotonic() + 20
    while views.failure or _position(views) != story.desk.ledger.journal.since(None, 10**9)[1]:
        assert time.monotonic() < end, f"the views never caught up: {views.failure}"
        views.news()
        time.sleep(0.02)


def _position(views: Views) -> object:
    with views.read() as connection:
        found = set(connection.execute(sa.text("SELECT position FROM cursors")).scalars())
    return found.pop() if len(found) == 1 else found


def _busy_day(story: Story, number: int) -> None:
    boxes = [story.new_box() for _ in range(6)]
    story.settle(HOSPITAL_A, *boxes[:3], order=f"a{number}", visit=f"a{number}")
    story.settle(HOSPITAL_B, boxes[0], order=f"b{number}", visit=f"b{number}")
    story.report_sale(PHARMACY_P, *boxes[3:], receipt=f"r{number}")
    story.report_sale(HOSPITAL_A, *boxes[:2], visit=f"a{number}")


def test_another_process_keeps_the_same_lists(tmp_path: Path) -> None:
    journal = RocksJournal(tmp_path / "journal")
    story = Story(journal=journal)
    _busy_day(story, 1)
    apart = ViewsApart.open(tmp_path / "apart.sqlite", journal, VIEWS)
    here = Views.open(tmp_path / "here.sqlite", journal, VIEWS)
    pages: list[int] = []
    apart.listen(lambda: pages.append(1))
    apart.start()
    try:
        _followed(apart, story)
        _busy_day(story, 2)
        _followed(apart, story)
        here.catch_up()
        assert any(_tables(here).values())
        assert _tables(apart) == _tables(here)
        assert pages
        keeper = apart._keeper
        assert keeper is not None
        keeper.kill()
        _busy_day(story, 3)
        _followed(apart, story)
        here.catch_up()
        assert _tables(apart) == _tables(here)
        assert apart._keeper is None
    finally:
        apart.close()
        here.close()
        journal.close()


def test_views_that_stand_apart_are_brought_together_first(tmp_path: Path) -> None:
    journal = RocksJournal(tmp_path / "journal")
    story = Story(journal=journal)
    _busy_day(story, 1)
    some = Views.open(tmp_path / "views.sqlite", journal, VIEWS[:2])
    some.catch_up()
    some.close()
    _busy_day(story, 2)
    apart = ViewsApart.open(tmp_path / "views.sqlite", journal, VIEWS)
    apart.start()
    try:
        _followed(apart, story)
        here = Views.open(tmp_path / "here.sqlite", journal, VIEWS)
        here.catch_up()
        assert _tables(apart) == _tables(here)
        here.close()
    finally:
        apart.close()
        journal.close()


@pytest.mark.parametrize("started", [False, True])
def test_a_journal_in_memory_is_followed_here(*, started: bool) -> None:
    story = Story(journal=MemoryJournal())
    views = ViewsApart.open(None, story.desk.ledger.journal, VIEWS)
    if started:
        views.start()
    _busy_day(story, 1)
    assert views.catch_up() >= 0
    assert any(_tables(views).values())
    assert views._keeper is None
    views.close()
