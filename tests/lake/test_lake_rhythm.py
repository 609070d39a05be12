"""A server seals by itself: by size, by age, once."""

from pathlib import Path

from sealed_lake import DAY, START, Facts, agreed, append, source_of

from suyuan.lake.lake import Lake
from suyuan.lake.rhythm import SMALL_FILES, Rhythm
from suyuan.storage.memory import MemoryJournal

MINUTE = 60_000_000


class Timed:
    """A journal, its lake, and a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.journal, self.facts = MemoryJournal(), Facts()
        self.lake = Lake(folder / "lake", source_of(self.journal)._replace(clock=lambda: self.now))

    def say(self, count: int, days: int = 0) -> None:
        append(self.journal, self.facts.batch(count, days))


def test_what_waits_is_sealed_by_its_number_or_once_it_has_waited_long_enough(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    rhythm = Rhythm(timed.lake, events=100, minutes=10, days=0)
    assert rhythm.look() == 0
    timed.say(60)
    assert rhythm.look() == 0
    timed.say(60)
    assert rhythm.look() == 120, "by size"
    timed.say(5)
    assert rhythm.look() == 0
    timed.now += 9 * MINUTE
    assert rhythm.look() == 0
    timed.now += MINUTE
    assert rhythm.look() == 5, "by age"
    assert rhythm.look() == 0
    agreed(timed.lake, timed.journal)


def test_a_limit_of_nothing_never_holds(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    timed.say(500)
    by_age, by_size = Rhythm(timed.lake, events=0, minutes=1, days=0), Rhythm(timed.lake, events=501, minutes=0, days=0)
    assert by_age.look() == by_size.look() == 0
    timed.now += DAY
    assert by_size.look() == 0
    assert by_age.look() == 500


def test_of_two_servers_one_seals_and_the_other_finds_it_done(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    first, second = (Rhythm(timed.lake, events=10, minutes=1, days=0) for _ in range(2))
    timed.say(8)
    assert first.look() == second.look() == 0
    timed.say(8)
    assert (first.look(), second.look()) == (16, 0)
    timed.now += 5 * MINUTE
    assert second.look() == 0
    agreed(timed.lake, timed.journal)


def test_small_files_are_merged_and_old_ones_dropped_on_the_way(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    rhythm = Rhythm(timed.lake, events=1, minutes=0, days=30)
    for _ in range(SMALL_FILES):
        timed.say(1)
        timed.lake.seal(workers=0)
    timed.say(1)
    assert rhythm.look() == 1
    assert len(timed.lake.manifest().files) == 1
    agreed(timed.lake, timed.journal)
    timed.now += 40 * DAY
    timed.say(1, days=40)
    assert rhythm.look() == 1
    assert timed.lake.query("SELECT count(*) FROM sealed").rows == [(1,)]


def test_no_more_than_asked_for_is_sealed_at_once(tmp_path: Path) -> None:
    timed = Timed(tmp_path)
    for _ in range(5):
        timed.say(20)
    assert timed.lake.seal(workers=0, most=30, segment_events=20) == 40
    assert timed.lake.seal(workers=0, most=30, segment_events=1_000) == 60, "a page is sealed whole"
    agreed(timed.lake, timed.journal)
