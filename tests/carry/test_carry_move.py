"""Moving a node to a database and back: nothing is lost or changed, and never are there two of it."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from suyuan.carry import FolderRefused, export_node
from suyuan.carry import move as moving
from suyuan.carry.backup import back_up
from suyuan.carry.lakes import carry_lake
from suyuan.carry.move import give_up, move_node
from suyuan.carry.restore import append_page, restore_node
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.cli import run
from suyuan.formats.reading import open_documents
from suyuan.lake.manifest import read_manifest
from suyuan.node import LAKE, Node, NodeUnusable
from suyuan.storage.inbox import Inbox
from suyuan.storage.refusals import JournalRefusal

PHARMACY = "P44010000002"


def sell(node: Node, home: Path, *numbers: int) -> None:
    rows = (f"sold,8234567{number:013d},2026-03-01 10:00:00,R{number}" for number in numbers)
    path = home / "sales.csv"
    path.write_text("\n".join(["kind,code,event_time,receipt", *rows, ""]))
    for document in open_documents(path, PHARMACY):
        assert not node.take(document, PHARMACY).fatal


@pytest.fixture
def lived_in(tmp_path: Path) -> Path:
    """A node with facts, catalogue, accounts, an audit record and a sealed lake; closed."""
    folder = tmp_path / "rocks"
    folder.mkdir()
    (folder / "suyuan.toml").write_text('name = "示例节点"\nblock_cache_mb = 8\n')
    with Node.open(folder) as node:
        node.tables.save_catalogue(synthetic_catalogue(seed=3, products=5))
        node.reload_catalogue()
        node.tables.add_person("li", "inspector", region="440100")
        node.audit.append("person.add", "li", "new in the office")
        for number in range(0, 60, 3):
            sell(node, tmp_path, number, number + 1, number + 2)
        sell(node, tmp_path, 0, 7)  # a repeat and a conflict
        node.lake.seal()
        sell(node, tmp_path, 100)
    return folder


def exported(folder: Path) -> dict[str, bytes]:
    """What an export of the node holds, entry by entry."""
    path = folder.with_suffix(".zip")
    with Node.open(folder) as node:
        export_node(node, path, secrets=True)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_node_moved_to_a_database_and_back_exports_the_same_each_time(
    lived_in: Path, tmp_path: Path, database: str
) -> None:
    before = exported(lived_in)
    sealed = [segment.line for segment in read_manifest(lived_in / LAKE).segments]
    moved = move_node(lived_in, tmp_path / "server", database=database)
    assert exported(tmp_path / "server") == before
    assert moved.manifest.events > 60
    with Node.open(tmp_path / "server") as node:
        assert node.settings.name == "示例节点"
        sell(node, tmp_path, 101)
        node.lake.seal()
    after = exported(tmp_path / "server")
    assert after != before
    move_node(tmp_path / "server", tmp_path / "back")
    assert exported(tmp_path / "back") == after
    segments = [segment.line for segment in read_manifest(tmp_path / "back" / LAKE).segments]
    assert segments[: len(sealed)] == sealed
    assert len(segments) > len(sealed), "the lake went on where it was, under the same checkpoints"


@pytest.mark.slow
def test_the_place_that_a_node_left_takes_nothing_more_and_says_where_it_went(
    lived_in: Path, tmp_path: Path, database: str
) -> None:
    move_node(lived_in, tmp_path / "server", database=database)
    with pytest.raises(NodeUnusable, match=r"has moved: it goes on in .*/server"):
        Node.open(lived_in)
    with pytest.raises(NodeUnusable, match="has moved"):
        move_node(lived_in, tmp_path / "elsewhere")
    with Node.open(tmp_path / "server") as running:
        move_node(tmp_path / "server", tmp_path / "back")
        with pytest.raises(JournalRefusal, match="being moved"):
            sell(running, tmp_path, 102)
    with Node.open(tmp_path / "back") as node:
        sell(node, tmp_path, 102)


def test_a_move_that_was_cut_off_goes_on_and_nothing_can_be_used_before_it_is_done(
    lived_in: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = exported(lived_in)
    goal = tmp_path / "server"
    monkeypatch.setattr("suyuan.carry.restore.PAGE", 5)
    append, left = append_page, 3

    def pull_the_plug(*arguments: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        append(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(moving, "append_page", pull_the_plug)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            move_node(lived_in, goal, database=database)
        with pytest.raises(NodeUnusable, match="run suyuan move again"):
            Node.open(goal)
    monkeypatch.undo()
    moved = move_node(lived_in, goal, database=database)
    assert moved.found == 3 * 2
    assert exported(goal) == before


@pytest.mark.slow
def test_a_move_that_is_given_up_leaves_the_node_where_it_was(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    move_node(lived_in, tmp_path / "server", database=database)
    monkeypatch.setattr(moving, "_copy_tables", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        move_node(tmp_path / "server", tmp_path / "back")
    with Node.open(tmp_path / "server") as node, pytest.raises(JournalRefusal):
        sell(node, tmp_path, 102)
    give_up(tmp_path / "server", tmp_path / "back")
    with Node.open(tmp_path / "server") as node:
        sell(node, tmp_path, 102)
    with pytest.raises(NodeUnusable, match="not finished"):
        Node.open(tmp_path / "back")
    with pytest.raises(FolderRefused, match="no move into"):
        give_up(tmp_path / "server", lived_in)


def test_messages_in_quarantine_go_along_with_a_move_and_a_backup_and_an_export_says_that_they_do_not(
    lived_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Node.open(lived_in) as node:
        number = node.quarantine.keep("table", "read", b"1 box", PHARMACY, ZeroDivisionError("no unit"))
        back_up(node, tmp_path / "backup", secrets=True)
        node.quarantine.keep("table", "read", b"2 boxes", PHARMACY, ZeroDivisionError("no unit"))
        back_up(node, tmp_path / "backup", secrets=True)
        node.quarantine.drop(number)
    assert run(["export", str(tmp_path / "one.zip"), "--dir", str(lived_in)]) == 0
    assert "1 messages are in quarantine and in no export" in capsys.readouterr().err
    move_node(lived_in, tmp_path / "moved")
    restore_node(tmp_path / "again", tmp_path / "backup")
    for folder, expected in (("moved", [b"2 boxes"]), ("again", [b"1 box", b"2 boxes"])):
        with Node.open(tmp_path / folder) as node:
            kept = [node.quarantine.one(entry.number) for entry in node.quarantine.all()]
            assert [one[1].content for one in kept if one] == expected
            assert node.quarantine.keep("table", "read", b"3", PHARMACY, ZeroDivisionError()) == 3


def test_nothing_is_moved_over_something(lived_in: Path, tmp_path: Path) -> None:
    with Node.open(tmp_path / "other"):
        pass
    with pytest.raises(FolderRefused, match="holds a node already"):
        move_node(lived_in, tmp_path / "other")
    with pytest.raises(FolderRefused, match="there is no node"):
        move_node(tmp_path / "nothing", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_move_killed_at_any_moment_is_finished_by_running_it_again(lived_in: Path, tmp_path: Path) -> None:
    before = exported(lived_in)
    command = [sys.executable, "-m", "suyuan", "move", str(tmp_path / "new"), "--dir", str(lived_in)]
    seconds = 0.6
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            seconds += 0.15
            if (tmp_path / "new" / "MOVING").exists():
                with pytest.raises(NodeUnusable, match="not finished"):
                    Node.open(tmp_path / "new")
            continue
        assert process.stderr is not None
        words = process.stderr.read().decode()
        process.stderr.close()
        assert process.returncode == 0 or "has moved" in words, words
        break
    assert exported(tmp_path / "new") == before


def test_a_folder_in_which_uploads_wait_is_not_left_and_who_copies_it_is_told(
    lived_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: object) -> str:
        assert run([str(one) for one in (*arguments, "--dir", lived_in)]) == 0
        return capsys.readouterr().err

    inbox = Inbox.open(lived_in / "inbox", 1 << 16)
    with pytest.raises(FolderRefused, match=r"a server of .* is running"):
        move_node(lived_in, tmp_path / "goal")
    inbox.put(b"acknowledged")
    inbox.close()
    with pytest.raises(FolderRefused, match=r"1 uploads are laid aside .* not moved with the rest\. Start the server"):
        move_node(lived_in, tmp_path / "goal")
    assert not (tmp_path / "goal").exists()
    copies = ("export", tmp_path / "a.zip"), ("backup", tmp_path / "backup"), ("relay", "status")
    assert ["1 uploads are laid aside in" in told(*copy) for copy in copies] == [True] * 3
    inbox = Inbox.open(lived_in / "inbox", 1 << 16)
    inbox.take_out(1)
    inbox.close()
    assert [told(*copy) for copy in copies] == [""] * 3
    move_node(lived_in, tmp_path / "goal")
    with pytest.raises(NodeUnusable, match="it goes on in"), Node.open(lived_in):
        pass


def test_what_is_laid_aside_while_a_move_is_under_way_keeps_the_old_place_open(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any) -> bool:
        inbox = Inbox.open(lived_in / "inbox", 1 << 16)  # a server on a database that is refused every write
        inbox.put(b"acknowledged")
        inbox.close()
        return carry_lake(*arguments)

    monkeypatch.setattr(moving, "carry_lake", meanwhile)
    with pytest.raises(FolderRefused, match=r"--give-up --dir .* which records them"):
        move_node(lived_in, tmp_path / "goal")
    give_up(lived_in, tmp_path / "goal")
    with Node.open(lived_in) as node:
        sell(node, tmp_path, 200)
