"""The inbox: what was acknowledged comes out in order, whatever end the process had and whatever the disk kept."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from bounded_files import no_file_beyond

from suyuan.storage.inbox import Inbox, InboxFull, Onlooker

SIZE = 1 << 16


def contents(folder: Path) -> list[bytes]:
    """All that waits, taken out."""
    inbox = Inbox.open(folder, SIZE)
    found = []
    while (entry := inbox.first()) is not None:
        found.append(entry.content)
        inbox.take_out(entry.number)
    inbox.close()
    return found


def test_what_goes_in_comes_out_in_order_also_after_a_restart_and_round_after_round(tmp_path: Path) -> None:
    chance = random.Random(3)
    for turn in range(20):
        wanted = [bytes([turn, number]) * chance.randrange(1, 900) for number in range(chance.randrange(1, 30))]
        inbox = Inbox.open(tmp_path, SIZE)
        numbers = [inbox.put(content) for content in wanted]
        assert numbers == sorted(set(numbers))
        done = chance.randrange(len(wanted))
        for _ in range(done):
            entry = inbox.first()
            assert entry is not None
            inbox.take_out(entry.number)
        inbox.close()
        assert contents(tmp_path) == wanted[done:]
        assert contents(tmp_path) == []


def test_it_has_its_room_from_the_beginning_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    assert (tmp_path / "00.inbox").stat().st_size == SIZE
    inbox.put(b"x" * (SIZE - 100))
    with pytest.raises(InboxFull):
        inbox.put(b"x" * 100)
    assert inbox.put(b"small") == 2
    inbox.close()
    assert len(contents(tmp_path)) == 2


@pytest.mark.parametrize("kept", [0, 3, 15, 16, 20, 115])
def test_an_entry_that_was_cut_off_was_acknowledged_to_nobody_and_is_left_out(tmp_path: Path, kept: int) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    for turn in range(2):  # the second time over what the first has left
        inbox.put(b"first %d" % turn)
        place = 16 + len(b"first 0")
        inbox.put(b"y" * 100)
        if turn == 0:
            inbox.take_out(2)
    inbox.close()
    with (tmp_path / "00.inbox").open("r+b") as file:
        file.seek(place + kept)
        file.write(bytes(116 - kept))
    assert contents(tmp_path) == [b"first 1"]
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.put(b"after")
    inbox.close()
    assert contents(tmp_path) == [b"after"]


def test_a_torn_mark_of_what_was_taken_out_brings_it_out_once_more(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.put(b"one")
    inbox.put(b"two")
    inbox.take_out(1)
    inbox.close()
    (tmp_path / "00.done").write_bytes(b"torn")
    assert contents(tmp_path) == [b"one", b"two"]


def test_each_process_has_a_file_and_what_a_killed_one_left_is_found(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, os; from suyuan.storage.inbox import Inbox; "
        f"box = Inbox.open(pathlib.Path({str(tmp_path)!r}), {SIZE}); box.put(b'left behind'); "
        "print('ready', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    other.stdout.readline()
    mine = Inbox.open(tmp_path, SIZE)
    assert mine.waiting == 0, "the other's is not mine"
    looks = Onlooker(tmp_path, bytes)
    assert looks.waits(b"left behind"), "and can be seen"
    assert list(Inbox.left(tmp_path)) == [], "nor is it left behind while its owner lives"
    os.kill(other.pid, 9)
    other.wait()
    other.stdin.close()
    other.stdout.close()
    (left,) = Inbox.left(tmp_path)
    left.close()
    mine.close()
    assert contents(tmp_path) == [b"left behind"]
    assert not looks.waits(b"left behind")


def test_who_looks_on_reads_each_entry_once_and_sees_what_is_taken_out(tmp_path: Path) -> None:
    read: list[bytes] = []

    def name(content: bytes) -> bytes:
        read.append(content)
        return content

    looks = Onlooker(tmp_path, name)
    assert not looks.waits(b"0"), "there is no file yet"
    inbox = Inbox.open(tmp_path, SIZE)
    last = 0
    for turn in range(3):  # after each round the next begins at the beginning of the file
        entries = [b"%d" % (turn * 10 + number) for number in range(4)]
        for entry in entries:
            last = inbox.put(entry)
            assert looks.waits(entry)
        inbox.take_out(last - 2)
        assert [looks.waits(entry) for entry in entries] == [False, False, True, True]
        assert looks.waiting() == inbox.waiting == 2
        assert inbox.put(entries[0]) == last + 1
        assert looks.waits(entries[0]), "it came once more"
        inbox.take_out(last + 1)
        assert not any(looks.waits(entry) for entry in entries)
        assert looks.waiting() == 0
    assert len(read) == 15
    inbox.close()


def test_who_looks_on_forgets_an_entry_that_the_disk_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, inbox = Onlooker(tmp_path, bytes), Inbox.open(tmp_path, SIZE)
    inbox.put(b"one")
    sync = os.fdatasync

    def refuses(_: int) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(os, "fdatasync", refuses)
    with pytest.raises(OSError, match="away"):
        inbox.put(b"refused")
    assert looks.waits(b"refused"), "for the file may have it"
    monkeypatch.setattr(os, "fdatasync", sync)
    inbox.put(b"a longer one")
    inbox.put(b"three")
    assert [looks.waits(name) for name in (b"one", b"refused", b"a longer one", b"three")] == [True, False, True, True]
    inbox.close()


def test_what_is_left_can_be_found_again_where_who_found_it_went_no_further(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.put(b"left behind")
    inbox.close()
    for _ in range(2):
        for left in Inbox.left(tmp_path):
            assert left.waiting == 1
            break
        else:
            raise AssertionError("it is not found")


def test_a_closed_inbox_takes_nothing(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.close()
    with pytest.raises(OSError, match="closed"):
        inbox.put(b"too late")


def test_a_try_without_room_leaves_nothing_behind_and_the_next_one_has_the_same_place(tmp_path: Path) -> None:
    opened = len(list(Path("/proc/self/fd").iterdir()))
    with no_file_beyond(SIZE - 1):
        for _ in range(70):  # more often than there are places
            with pytest.raises(OSError, match="too large"):
                Inbox.open(tmp_path, SIZE)
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    assert {path.name: path.stat().st_blocks for path in tmp_path.glob("*.inbox")} == {"00.inbox": 0}
    assert list(Inbox.left(tmp_path)) == []
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.put(b"there is room again")
    inbox.close()
    assert contents(tmp_path) == [b"there is room again"]


def test_where_something_waits_the_file_is_taken_as_it_is_and_grows_when_there_is_room(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path, SIZE)
    inbox.put(b"one")
    inbox.close()
    with no_file_beyond(SIZE):
        inbox = Inbox.open(tmp_path, 2 * SIZE)
        assert inbox.bytes_max == SIZE
        assert inbox.put(b"two") == 2
        with pytest.raises(InboxFull):
            inbox.put(b"x" * SIZE)
        inbox.close()
    inbox = Inbox.open(tmp_path, 2 * SIZE)
    assert inbox.put(b"x" * SIZE) == 3
    inbox.close()
    assert contents(tmp_path) == [b"one", b"two", b"x" * SIZE]
    with no_file_beyond(SIZE), pytest.raises(OSError, match="too large"):
        Inbox.open(tmp_path, 3 * SIZE)  # nothing waits: nobody is told of room that is not there
    assert (tmp_path / "00.inbox").stat().st_size == 2 * SIZE
