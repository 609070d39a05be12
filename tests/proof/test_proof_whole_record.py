"""Whoever alters, drops, adds, moves or back-dates one stored event, or flips a byte of a file, is found and named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl
import pytest
from proven_node import (
    MOMENT,
    Batches,
    change_document,
    change_feed,
    change_history,
    code,
    flip,
    key,
    opened,
    sealed_node,
)

from suyuan.cli import run
from suyuan.lake.manifest import write_manifest
from suyuan.lake.segment import file_hash
from suyuan.lake.verification import Checked, checkpoint_faults
from suyuan.ledger.events import Event
from suyuan.lookup.proven import prove_all, prove_sales
from suyuan.proof.verifier import ED25519, Key


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proof") / "good"
    sealed_node(folder)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "node")
    return tmp_path / "node"


def checked(folder: Path) -> Checked:
    with opened(folder) as node:
        return node.verify_record()


def told(folder: Path) -> list[str]:
    return [str(finding) for finding in checked(folder).findings]


def test_a_record_that_nobody_touched_is_whole(folder: Path) -> None:
    seen = checked(folder)
    assert seen.findings == []
    assert (seen.segments, seen.checkpoints) == (3, 3)
    assert seen.events > 30
    assert seen.unsealed > 0
    assert seen.keys > 30


def of(batches: Batches, number: int) -> tuple[int, int]:
    """Batch and place of the sale of a box."""
    return next(
        (at, place) for at, batch in enumerate(batches) for place, event in enumerate(batch) if event.key == key(number)
    )


def changed(number: int, **fields: object) -> Callable[[Batches], Batches]:
    def change(batches: Batches) -> Batches:
        at, place = of(batches, number)
        batches[at][place] = msgspec.structs.replace(batches[at][place], **fields)
        return batches

    return change


def dropped(number: int) -> Callable[[Batches], Batches]:
    def change(batches: Batches) -> Batches:
        at, place = of(batches, number)
        del batches[at][place]
        return batches

    return change


def swapped(batches: Batches) -> Batches:
    batches[2], batches[3] = batches[3], batches[2]
    return batches


def added(batches: Batches) -> Batches:
    event = batches[2][0]
    batches[2].insert(0, msgspec.structs.replace(event, key=key(77_777), sequence=1))
    return batches


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (changed(15, arrived=MOMENT - 86_400_000_000), f"{key(15)} event 1", "back-dated in the journal: arrived was"),
        pytest.param(
            changed(15, actor="P44010000002"),
            f"{key(15)} event 1",
            "altered in the journal: actor was 'P44010000001'",
            marks=pytest.mark.slow,
        ),
        (
            changed(4, fact="f"),
            f"{key(4)} event 1",
            "altered in the journal: a field that the columns do not hold",
        ),
        pytest.param(
            changed(30, price=1), f"{key(30)} event 1", "altered in the journal: price was", marks=pytest.mark.slow
        ),
        (dropped(15), f"{key(15)} event 1", "is missing from the journal"),
        pytest.param(dropped(1), f"{key(1)} event 1", "is missing from the journal", marks=pytest.mark.slow),
        pytest.param(dropped(30), f"{key(30)} event 1", "is missing from the journal", marks=pytest.mark.slow),
        (swapped, "event 1", "after later ones: moved"),
        (added, f"{key(77_777)} event 1", "was never sealed: added"),
    ],
)
def test_a_stored_event_that_was_tampered_with_is_named(
    folder: Path, change: Callable[[Batches], Batches], where: str, what: str
) -> None:
    change_feed(folder, change)
    found = told(folder)
    assert any(where in each and what in each for each in found), found
    # And nothing else is accused but this event, in the feed and where its history now differs from it.
    if where != "event 1":
        assert {each.split(":")[1].split(" ")[0] for each in found} == {where.split(":")[1].split(" ", maxsplit=1)[0]}


def test_a_history_that_differs_from_the_feed_is_named(folder: Path) -> None:
    change_history(folder, key(8), b"P44010000001", b"P44010000002")
    assert told(folder) == [f"{key(8)} event 1: in the history of its key it is not what the feed says: altered"]


def test_nothing_is_signed_for_a_sale_that_is_no_longer_what_was_sealed(folder: Path) -> None:
    change_history(folder, key(8), b"P44010000001", b"P44010000002")
    with opened(folder) as node:
        altered, whole, waiting = (
            prove_sales(node.ledger, node.catalogue, node.prover, node.promise, code(number)) for number in (8, 9, 31)
        )
    assert (altered.file, altered.altered, altered.waiting) == (b"", 1, 0)
    assert (whole.proven, whole.altered) == (1, 0)
    assert (waiting.waiting, waiting.altered) == (1, 0)


def test_of_every_event_of_a_code_the_altered_are_told_apart_from_those_not_sealed_yet(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_history(folder, key(8), b"P44010000001", b"P44010000002")
    with opened(folder) as node:
        altered, whole, waiting = (
            prove_all(node.ledger, node.catalogue, node.prover, code(number), whole=False) for number in (8, 9, 31)
        )
    assert (altered.file, altered.altered, altered.waiting) == (b"", 1, 0)
    assert (whole.proven, whole.altered, whole.waiting) == (1, 0, 0)
    assert (waiting.file, waiting.altered, waiting.waiting) == (b"", 0, 1)
    assert run(["proof", code(8), "--all", "--dir", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "1 ALTERED" in told
    assert "not sealed yet" not in told
    assert run(["proof", code(31), "--all", "--dir", str(folder)]) == 1
    assert "1 not sealed yet 尚未封存: not in the file" in capsys.readouterr().err
    assert run(["proof", code(99), "--all", "--dir", str(folder)]) == 1
    assert "nothing of this code is recorded" in capsys.readouterr().err


def test_a_sealed_message_that_was_altered_or_exchanged_is_named(folder: Path) -> None:
    with opened(folder) as node:
        [one], [other] = (node.journal.fetch([key(at)])[key(at)].events for at in (3, 4))
    change_document(folder, one.document, other.document)
    [found] = told(folder)
    assert found.startswith(f"document {one.document} of ")
    assert "another message was put in its place" in found
    change_document(folder, other.document, "")
    assert any(each.startswith(f"document {other.document} of ") for each in told(folder))


def test_the_end_of_the_journal_cut_off_is_found(folder: Path) -> None:
    change_feed(folder, lambda batches: batches[:-5])
    found = told(folder)
    assert any(f"{key(30)} event 1: " in each and "missing from the journal" in each for each in found), found


@pytest.mark.parametrize("name", ["lake/leaves/00000001.leaves", "lake/events/00000002-00000002.1.parquet"])
def test_a_flipped_byte_in_a_file_of_the_lake_is_named(folder: Path, name: str) -> None:
    flip(folder / name)
    assert {finding.where for finding in checked(folder).findings} == {str(folder / name)}


@pytest.mark.slow
def test_a_flipped_byte_in_the_manifest_is_named(folder: Path) -> None:
    size = (folder / "lake/manifest.json").stat().st_size
    for at in (0, size // 3, size // 2, size - 3):
        flip(folder / "lake/manifest.json", at)
        [finding] = checked(folder).findings
        assert "manifest.json" in finding.what
        flip(folder / "lake/manifest.json", at)
    assert told(folder) == []


@pytest.mark.slow
def test_a_flipped_byte_in_any_checkpoint_is_named(folder: Path) -> None:
    path = folder / "checkpoints/2.txt"
    with opened(folder) as node:
        signers, segments = [Key(ED25519, public) for public in node.publics], node.lake.segments()
        for at in range(path.stat().st_size):
            flip(path, at)
            found = list(checkpoint_faults(node.checkpoints, segments, signers))
            assert [finding.where for finding in found] == ["checkpoint 2"], at
            flip(path, at)
        assert not list(checkpoint_faults(node.checkpoints, segments, signers))


@pytest.mark.parametrize("dropped_row", [False, True])
def test_columns_that_were_altered_with_their_hash_are_named(folder: Path, *, dropped_row: bool) -> None:
    with opened(folder) as node:
        manifest = node.lake.manifest()
        file = manifest.files[1]
        path = node.lake.folder / file.name
        frame, mine = pl.read_parquet(path), pl.col("key") == key(15)
        changed = frame.with_columns(actor=pl.when(mine).then(pl.lit("P1")).otherwise(pl.col("actor")))
        (frame.filter(~mine) if dropped_row else changed).write_parquet(path)
        manifest.files[1] = msgspec.structs.replace(file, sha256=file_hash(path))
        write_manifest(node.lake.folder, manifest)
    [found] = told(folder)
    assert found.startswith(f"{key(15)} event 1: ")
    what = "is missing from the columns" if dropped_row else "actor is 'P1' and should be 'P44010000001'"
    assert what in found


@pytest.mark.slow
def test_a_lost_leaf_file_and_a_lost_parquet_file_are_named(folder: Path) -> None:
    (folder / "lake/leaves/00000000.leaves").unlink()
    (folder / "lake/events/00000001-00000001.1.parquet").unlink()
    found = told(folder)
    assert any("00000000.leaves" in each for each in found)
    assert any("00000001-00000001.1.parquet" in each and "cannot be read" in each for each in found)


@pytest.mark.slow
def test_segments_dropped_behind_a_checkpoint_are_found(folder: Path) -> None:
    with opened(folder) as node:
        manifest = node.lake.manifest()
        manifest.segments, manifest.files = manifest.segments[:2], manifest.files[:2]
        write_manifest(node.lake.folder, manifest)
    assert any("checkpoint 3: it has 3 segments, the record only 2" in each for each in told(folder))


@pytest.mark.slow
def test_events_are_told_by_their_places_where_the_columns_are_gone(folder: Path) -> None:
    change_feed(folder, changed(15, price=1))
    shutil.rmtree(folder / "lake/events")
    (folder / "lake/events").mkdir()
    assert any(each.startswith(f"{key(15)} event 1: event ") for each in told(folder))


def test_an_event_is_a_fact(folder: Path) -> None:
    with opened(folder) as node:
        [event] = node.journal.fetch([key(3)])[key(3)].events
        assert isinstance(event, Event)
        place = node.prover.place_of(event)
        assert place is not None
        assert place.segment.number == 0


def test_a_number_that_no_event_can_hold_is_told_with_its_place(folder: Path) -> None:
    change_feed(folder, changed(15, arrived=1 << 63))
    with opened(folder) as node:
        before = node.lake.feed_of(key(15), 1)
    [found] = told(folder)
    number = int(found.removeprefix("journal: its log cannot be read on after event ").split(":")[0])
    assert "Expected `int` <= 9223372036854775807" in found
    assert before is not None
    assert before - 10 < number <= before, "no further away than the beginning of its append"
