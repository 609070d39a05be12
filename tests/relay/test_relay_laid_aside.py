"""Uploads laid aside by a record that is not recovered: one place for all of them, room or words, and none is lost."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bounded_files import no_file_beyond
from relay_field import HERE, HOSPITAL_A
from test_relay_unrecovered import SOLD, Served, at_the_counter, became, box, claim, lose, sale

from suyuan.carry.restore import restore_node
from suyuan.portals.counter import Counter
from suyuan.relay.heard import note_heard
from suyuan.relay.recovery import Recovery
from suyuan.relay.speaker import speaker_of
from suyuan.storage.inbox import Inbox


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def set_up(field: Served, settings: str) -> None:
    """The province's node, served, with further settings."""
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    file = here.node.folder / "suyuan.toml"
    file.write_text(settings + file.read_text(encoding="utf-8"), encoding="utf-8")
    field.serve(here.node.folder)


async def until(question: Callable[[], bool]) -> None:
    for _ in range(500):
        if question():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


def test_uploads_that_find_at_once_that_the_record_is_not_recovered_are_laid_aside_in_one_place(
    field: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(field, "defer_mb = 1\n")
    here, opened = field.places[HERE], Inbox.open

    def slow(folder: Path, size: int) -> Inbox:
        time.sleep(0.1)  # of the disk
        return opened(folder, size)

    monkeypatch.setattr(Inbox, "open", slow)

    async def told(counter: Counter) -> None:
        note_heard(here.node, "")
        answers = await asyncio.gather(*(became(counter, sale(100 + number)) for number in range(16)))
        assert answers == ["deferred"] * 16
        assert [path.name for path in (here.node.folder / "inbox").glob("*.inbox")] == ["00.inbox"]
        assert counter.deferral.waiting == counter.deferral.waiting_anywhere() == 16
        note_heard(here.node, speaker_of(here.node))
        await until(lambda: not counter.deferral.reason)
        assert all(here.history(f"trace20:{box(100 + number)}") for number in range(16))

    at_the_counter(here, told)


def test_a_record_not_recovered_without_room_is_served_and_says_both_until_there_is_room(field: Served) -> None:
    lose(field)
    here = field.serve(field.folder / "again")

    async def told(counter: Counter) -> None:
        assert (await became(counter, claim(SOLD)), await became(counter, sale(SOLD))) == ("unavailable", "no_room")
        words = counter.deferral.told()
        assert words.startswith("deferring; waiting=0; no room; the nation does not hear this record")
        assert "suyuan relay recover" in words
        assert "needs 64 MB. Free space there" in words
        freed()
        await until(lambda: not counter.deferral.refusing)
        assert await became(counter, sale(SOLD)) == "deferred"

    with no_file_beyond(10_000_000) as freed:
        at_the_counter(here, told)


def test_where_the_store_failed_first_the_operator_still_reads_which_command_to_run(field: Served) -> None:
    set_up(field, 'defer = "uploads"\ndefer_mb = 1\n')
    here = field.places[HERE]

    async def told(counter: Counter) -> None:
        counter.deferral.begin("the store failed: connection refused")
        note_heard(here.node, "")
        await until(lambda: "suyuan relay recover" in counter.deferral.reason)
        counter.deferral.begin("the store failed: connection refused")
        assert "suyuan relay recover" in counter.deferral.told(), "what only a person ends is not overwritten"

    at_the_counter(here, told)


def test_what_a_folder_that_is_given_up_has_laid_aside_is_recorded_in_the_next_one(field: Served) -> None:
    lose(field)
    given_up = field.serve(field.folder / "again").node.folder

    async def told(counter: Counter) -> None:
        assert await became(counter, sale(SOLD)) == "deferred"

    async def nothing(counter: Counter) -> None:
        assert counter.deferral.reason == ""

    at_the_counter(field.places[HERE], told)
    restore_node(field.folder / "next", field.folder / "backup")
    shutil.copytree(given_up / "inbox", field.folder / "next" / "inbox")
    here = field.serve(field.folder / "next")
    here.node.ledger.gate = None
    Recovery(field.relay_of(here)).recover()
    at_the_counter(here := field.serve(here.node.folder), nothing)
    assert [event.kind for event in here.history(f"trace20:{box(SOLD)}")] == ["sold"]
