"""Backups: each run adds what came since, a moment can be gone back to, and what was altered does not come back."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suyuan.carry import FileRefused, FolderRefused, export_node
from suyuan.carry.backup import back_up, measured, read_parts
from suyuan.carry.restore import Until, restore_node
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.formats.reading import open_documents
from suyuan.lake.manifest import read_manifest
from suyuan.lake.refusals import LakeRefusal
from suyuan.node import IMPORTING, LAKE, SECRETS, Node, NodeUnusable
from suyuan.views import VIEWS
from suyuan.views.follow import Views

PHARMACY = "P44010000002"


def sell(node: Node, home: Path, *numbers: int) -> None:
    rows = (f"sold,8234567{number:013d},2026-03-01 10:00:00,R{number}" for number in numbers)
    path = home / "sales.csv"
    path.write_text("\n".join(["kind,code,event_time,receipt", *rows, ""]))
    for document in open_documents(path, PHARMACY):
        assert not node.take(document, PHARMACY).fatal


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    folder = tmp_path / "node"
    folder.mkdir()
    settings = ('policy = "strict"', 'name = "示例节点"', 'oidc_secret = "quiet"', "block_cache_mb = 8")
    (folder / "suyuan.toml").write_text("\n".join(settings))
    with Node.open(folder) as opened:
        opened.tables.save_catalogue(synthetic_catalogue(seed=3, products=5))
        opened.tables.add_person("li", "inspector", region="440100")
        opened.audit.append("person.add", "li", "new in the office")
        sell(opened, tmp_path, 1, 2, 3)
        yield opened


def test_each_run_adds_what_came_since_and_all_of_it_comes_back(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    first = back_up(node, backup, secrets=True)
    sell(node, tmp_path, 4)
    node.audit.append("trace.read", "box", "case 7", who="li")
    second = back_up(node, backup, secrets=True)
    third = back_up(node, backup, secrets=True)
    assert (first.batches, second.batches, third.batches) == (1, 1, 0)
    assert second.catalogue_part == third.catalogue_part == 1, "the catalogue has not changed"
    found = restore_node(tmp_path / "again", backup)
    assert (found.events, found.documents, found.audit_lines) == (first.events + second.events, 2, 2)
    with Node.open(tmp_path / "again") as again:
        assert export_node(again, tmp_path / "b.zip") == export_node(node, tmp_path / "a.zip")
        assert again.journal.append([], {}) == node.journal.append([], {}), "batches are as they were"
        assert again.settings.name == "示例节点"
        assert again.settings.oidc_secret == "quiet"
        sell(again, tmp_path, 5)


def test_a_moment_can_be_gone_back_to_and_only_whole_batches_come_back(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    times = []
    for number in (4, 5, 6):
        times.append(node.ledger.clock())
        sell(node, tmp_path, number)
    back_up(node, backup, secrets=True)
    for until in (Until(time=times[2]), Until(batches=3)):
        folder = tmp_path / f"until{until.batches}"
        assert restore_node(folder, backup, until=until).batches == 3
        with Node.open(folder) as again:
            assert [len(again.ledger.read([key])[key]) for key in keys_of(4, 5, 6)] == [1, 1, 0]
    with pytest.raises(FileRefused, match="holds 4 batches"):
        restore_node(tmp_path / "later", backup, until=Until(batches=5))
    assert not (tmp_path / "later").exists()


def keys_of(*numbers: int) -> list[str]:
    return [f"trace20:8234567{number:013d}" for number in numbers]


def test_whoever_followed_the_lost_part_is_told_and_lists_begin_again(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    sell(node, tmp_path, 4)
    beyond = node.journal.append([], {})
    assert isinstance(beyond, bytes)
    lists = tmp_path / "views.sqlite"
    views = Views.open(lists, node.journal, VIEWS)
    views.catch_up()
    views.close()
    restore_node(tmp_path / "again", backup)
    with Node.open(tmp_path / "again") as again:
        sell(again, tmp_path, 5, 6)  # as many batches as were lost, and others
        with pytest.raises(ValueError, match="begin again from the start"):
            again.journal.since(beyond, 10)
        views = Views.open(lists, again.journal, VIEWS)
        assert listed(views) == listed(again.views)
        views.close()


def listed(views: Views) -> list[Any]:
    """The lists as they are once they have followed."""
    views.catch_up()
    with views.read() as connection:
        return [
            connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            for table in ("sales", "sales_numbers", "uploads_channels", "uploads_readings")
        ]


def test_a_copied_journal_that_went_on_otherwise_is_noticed_by_the_lists_beside_it(node: Node, tmp_path: Path) -> None:
    node.journal.copy(tmp_path / "copy")
    sell(node, tmp_path, 4)
    node.views.catch_up()
    folder = node.folder
    node.close()
    shutil.rmtree(folder / "journal")
    (tmp_path / "copy").rename(folder / "journal")
    with Node.open(folder) as again:
        sell(again, tmp_path, 5, 6)
        anew = Views.open(None, again.journal, VIEWS)
        assert listed(again.views) == listed(anew)
        anew.close()


def test_secrets_settings_and_the_place_of_the_database_stay_out_unless_asked_for(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup)
    assert b"quiet" not in (backup / "part-000001" / "settings.json").read_bytes()
    assert not (backup / "part-000001" / SECRETS).exists()
    with pytest.raises(FolderRefused, match=f"first copy {SECRETS}"):
        restore_node(tmp_path / "again", backup)
    assert not (tmp_path / "again").exists()
    (tmp_path / "again").mkdir()
    shutil.copy(node.folder / SECRETS, tmp_path / "again")
    assert restore_node(tmp_path / "again", backup).batches == 1


@pytest.mark.parametrize("name", ["feed.gz", "tables.zip", "audit.jsonl.gz", "settings.json", "manifest.json"])
def test_an_altered_or_missing_file_is_named_and_nothing_is_written(node: Node, tmp_path: Path, name: str) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    sell(node, tmp_path, 4)
    back_up(node, backup, secrets=True)
    path = backup / "part-000001" / name
    kept = path.read_bytes()
    path.write_bytes(kept[:-3] + bytes([kept[-3] ^ 1]) + kept[-2:])
    with pytest.raises(FileRefused, match="part-00000"):
        restore_node(tmp_path / "again", backup)
    path.unlink()
    with pytest.raises((FileRefused, FolderRefused)):
        restore_node(tmp_path / "again", backup)
    assert not (tmp_path / "again").exists()


STRANGE = [
    "../outside",
    "lake/../../outside",
    "/etc/outside",
    "lake//etc/outside",
    "lake",
    "lake/",
    "notes.txt",
    "lake/\0",
]


@pytest.mark.parametrize("name", STRANGE)
def test_a_manifest_that_names_what_no_backup_holds_is_refused_before_anything_is_written(
    node: Node, tmp_path: Path, name: str
) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    (tmp_path / "outside").write_text("stays")
    with altered_part(backup) as part:
        part["files"][name] = part["files"]["feed.gz"]
    with pytest.raises(FileRefused, match="which no backup holds"):
        restore_node(tmp_path / "again", backup)
    assert not (tmp_path / "again").exists()
    assert (tmp_path / "outside").read_text() == "stays"


def test_a_torn_manifest_that_names_less_than_a_backup_holds_is_refused(node: Node, tmp_path: Path) -> None:
    back_up(node, tmp_path / "backup", secrets=True)
    with altered_part(tmp_path / "backup") as part:
        del part["files"]["feed.gz"]
    with pytest.raises(FileRefused, match=r"does not name \['feed.gz'\]"):
        restore_node(tmp_path / "again", tmp_path / "backup")
    with altered_part(tmp_path / "backup") as part:
        part["files"]["feed.gz"] = part["files"]["audit.jsonl.gz"]
        part["catalogue_part"] = -1
    with pytest.raises(FileRefused, match="does not name a part with the catalogue"):
        restore_node(tmp_path / "again", tmp_path / "backup")


@pytest.mark.parametrize("name", ["audit.jsonl.gz", "lake"])
def test_what_lies_behind_a_link_is_no_part_of_a_backup(node: Node, tmp_path: Path, name: str) -> None:
    node.reload_catalogue()
    node.lake.seal()
    back_up(node, tmp_path / "backup", secrets=True)
    place = tmp_path / "backup" / "part-000001" / name
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileRefused, match="is a link"):
        restore_node(tmp_path / "again", tmp_path / "backup")
    place.unlink()
    (tmp_path / "elsewhere").rename(place)
    assert restore_node(tmp_path / "again", tmp_path / "backup").lake


@pytest.mark.parametrize("name", ["database", "port = 1\ndatabase"])
def test_settings_of_a_backup_never_say_where_else_to_write(node: Node, tmp_path: Path, name: str) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    path = backup / "part-000001" / "settings.json"
    path.write_bytes(msgspec.json.encode({name: "postgresql://elsewhere/other"}))
    with altered_part(backup) as part:
        part["files"]["settings.json"] = measured(path)
    with pytest.raises(FileRefused, match=r"the settings of .* have .*database"):
        restore_node(tmp_path / "again", backup)
    assert not (tmp_path / "again").exists()


def test_a_lake_that_names_files_elsewhere_is_read_by_nobody(node: Node) -> None:
    node.reload_catalogue()
    node.lake.seal()
    path = node.folder / LAKE / "manifest.json"
    text = path.read_bytes().partition(b"\n")[0].replace(b'"name":"events/', b'"name":"events/../../')
    path.write_bytes(text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
    with pytest.raises(LakeRefusal, match="no file of a lake"):
        read_manifest(node.folder / LAKE)


@contextmanager
def altered_part(backup: Path) -> Iterator[dict[str, Any]]:
    """The manifest of the first part, to be written by who is hostile, or by a failing disk."""
    path = backup / "part-000001" / "manifest.json"
    part = msgspec.json.decode(path.read_bytes())
    yield part
    path.write_bytes(msgspec.json.encode(part))


def test_a_missing_part_is_noticed(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    for number in (4, 5, 6):
        back_up(node, backup, secrets=True)
        sell(node, tmp_path, number)
    shutil.rmtree(backup / "part-000002")
    with pytest.raises(FileRefused, match="does not follow"):
        restore_node(tmp_path / "again", backup)


def test_a_run_that_was_cut_off_leaves_no_part(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)

    def pull_the_plug(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("suyuan.carry.backup._sync_all", pull_the_plug)
    sell(node, tmp_path, 4)
    with pytest.raises(OSError, match="No space"):
        back_up(node, backup, secrets=True)
    assert len(read_parts(backup)) == 1
    monkeypatch.undo()
    assert back_up(node, backup, secrets=True).number == 2


def test_a_backup_is_of_one_node_and_one_history(node: Node, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    with Node.open(tmp_path / "other") as other, pytest.raises(FolderRefused, match="another node"):
        back_up(other, backup)
    sell(node, tmp_path, 4)
    back_up(node, backup, secrets=True)
    restore_node(tmp_path / "again", backup, until=Until(batches=1))
    with Node.open(tmp_path / "again") as again:
        sell(again, tmp_path, 5)
        with pytest.raises(FolderRefused, match="another history"):
            back_up(again, backup)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear").touch()
    with pytest.raises(FolderRefused, match="dear"):
        back_up(node, tmp_path / "letters")


def test_a_restore_that_was_cut_off_leaves_a_folder_that_says_so(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)

    def pull_the_plug(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("suyuan.carry.restore.append_page", pull_the_plug)
    with pytest.raises(OSError, match="No space"):
        restore_node(tmp_path / "again", backup)
    assert (tmp_path / "again" / IMPORTING).exists()
    with pytest.raises(NodeUnusable, match="not finished"):
        Node.open(tmp_path / "again")


def test_rows_of_the_catalogue_come_back_whatever_is_thought_of_them_now(node: Node, tmp_path: Path) -> None:
    content = node.tables.load_catalogue()
    content.products[0] = msgspec.structs.replace(content.products[0], list_class="no such class")
    node.tables.save_catalogue(content)
    back_up(node, tmp_path / "backup", secrets=True)
    restore_node(tmp_path / "again", tmp_path / "backup")
    with Node.open(tmp_path / "again") as again:
        assert again.tables.load_catalogue() == node.tables.load_catalogue()


def test_a_lake_and_its_checkpoints_come_back_each_file_kept_once(node: Node, tmp_path: Path) -> None:
    node.reload_catalogue()
    node.lake.seal()
    backup = tmp_path / "backup"
    back_up(node, backup, secrets=True)
    sell(node, tmp_path, 4)
    node.lake.seal()
    second = back_up(node, backup, secrets=True)
    kept = list(backup.rglob("*.leaves"))
    assert len(kept) == 2, "what an earlier part holds is not kept again"
    assert sum(name.endswith(".leaves") for name in second.files) == 2
    assert restore_node(tmp_path / "again", backup).lake
    with Node.open(tmp_path / "again") as again:
        assert again.verify_record().findings == []
        assert read_manifest(again.folder / LAKE) == read_manifest(node.folder / LAKE)
    restore_node(tmp_path / "before", backup, until=Until(batches=1))
    with Node.open(tmp_path / "before") as before:
        assert len(read_manifest(before.folder / LAKE).segments) == 1
        sell(before, tmp_path, 5)
        before.lake.seal()
        assert len(read_manifest(before.folder / LAKE).segments) == 2


@pytest.mark.parametrize("back", ["rocks", pytest.param("postgres", marks=pytest.mark.slow)])
def test_a_node_on_a_database_is_backed_up_and_comes_back_on_either_engine(
    node: Node, tmp_path: Path, database: str, postgres_server: Any, back: str
) -> None:
    backup = tmp_path / "backup"
    back_up(node, tmp_path / "first", secrets=True)
    restore_node(tmp_path / "server", tmp_path / "first", database=database)
    with Node.open(tmp_path / "server") as server:
        assert server.settings.database == database
        sell(server, tmp_path, 4)
        back_up(server, backup, secrets=True)
        sell(server, tmp_path, 5)
        assert back_up(server, backup, secrets=True).batches == 1
        manifest = export_node(server, tmp_path / "a.zip")
        other = postgres_server.new_database() if back == "postgres" else ""
        with pytest.raises(FolderRefused, match="holds a journal already"):
            restore_node(tmp_path / "over", backup, database=database)
    restore_node(tmp_path / "again", backup, database=other)
    with Node.open(tmp_path / "again") as again:
        assert export_node(again, tmp_path / "b.zip") == manifest
        assert (again.settings.database == "") == (back == "rocks")
        sell(again, tmp_path, 6)
