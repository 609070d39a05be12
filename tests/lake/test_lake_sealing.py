"""The lake holds every event of the journal once, whatever the order of appending, sealing, merging and dropping."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_lake import DAY, START, Facts, agreed, append, everything, journal_of, lake_of, source_of

from suyuan.lake import schema
from suyuan.lake.compaction import compact, retain
from suyuan.lake.lake import Lake
from suyuan.lake.manifest import changing, clean, read_manifest, reading
from suyuan.lake.mending import damages, mend
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.schema import NUMBERS, TEXTS
from suyuan.ledger.events import Event, encoder
from suyuan.proof.leaf import leaf
from suyuan.proof.tree import root_of
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.packed import packed_batch

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 60)),
        st.tuples(st.just("seal"), st.integers(1, 100)),
        st.tuples(st.just("compact"), st.integers(50, 1000)),
    ),
    min_size=3,
    max_size=12,
)


@given(STEPS)
@settings(max_examples=12)
def test_any_sequence_of_appends_seals_and_compactions_gives_the_journals_events_each_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    journal, facts = MemoryJournal(), Facts()
    lake = lake_of(tmp_path_factory.mktemp("lake"), journal)
    for step, size in [*steps, ("append", 1), ("seal", 1_000)]:
        if step == "append":
            append(journal, facts.batch(size))
        elif step == "seal":
            lake.seal(workers=0, segment_events=size)
        else:
            compact(lake.folder, file_events=size)
    agreed(lake, journal)


def test_nothing_is_found_in_a_lake_that_was_never_sealed(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, MemoryJournal())
    assert lake.feed_of("trace20:" + "8" * 20, 1) is None
    assert not lake.folder.exists()


def test_a_row_says_what_its_event_says(tmp_path: Path) -> None:
    facts = Facts()
    odd = facts.event(key="maker:x:a\x1fb", line="\x1f", software="\n", references={"note": "a\nb\x1f"})
    plain = facts.event(key="trace20:" + "8" * 20, reasons=("held", "expired"))
    journal = journal_of([facts.batch(700), [odd, plain], facts.batch(700)])
    lake = lake_of(tmp_path, journal)
    lake.seal(workers=0)
    rows = lake.rows_of(0, 2_000)
    events = everything(journal)
    assert len(rows) == len(events)
    for row, event in zip(rows, events, strict=True):
        said = msgspec.structs.asdict(event)
        assert {name: row[name] for name in NUMBERS} == {name: said[name] for name in NUMBERS}
        texts = {column: said[field] for field, column in TEXTS.items() if column != "refs"}
        assert {name: row[name] for name in texts} == texts
        assert (msgspec.json.decode(row["refs"]), row["reasons"]) == (event.references, list(event.reasons))
    assert [rows[701][name] for name in ("system", "product_key")] == ["trace20", "trace20:8888888"]
    assert lake.feed_of(odd.key, 1) == 700
    assert lake.feed_of(odd.key, 2) is None


def test_the_leaf_hashes_are_those_of_the_events_in_the_order_of_the_feed(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(30) for _ in range(50)])
    hidden = frozenset({"P44010000002"})
    lake = Lake(tmp_path / "lake", source_of(journal, hidden))
    lake.seal(workers=0, segment_events=600)
    events = everything(journal)
    expected = [
        leaf(event, number, b"k" * 32, hidden=event.actor in hidden).hash for number, event in enumerate(events)
    ]
    segments = lake.segments()
    assert len(segments) == 3
    assert b"".join(lake.leaves(segment.number) for segment in segments) == b"".join(expected)
    before = bytes(32)
    for segment in segments:
        assert segment.line.root == root_of(expected[segment.first : segment.first + segment.events])
        assert segment.line.before == before
        before = segment.line.hash


def test_events_of_an_earlier_release_and_of_several_in_one_batch_are_read(tmp_path: Path) -> None:
    facts = Facts()
    events = facts.batch(20)
    shorter = [_without_last_field(encoder.encode(event)) for event in events[:10]]
    record = packed_batch(10, b"".join(shorter))
    mixed = packed_batch(10, b"".join([*shorter[:5], *(encoder.encode(event) for event in events[15:])]))
    for name, one, expected in (("old", record, events[:10]), ("mixed", mixed, events[:5] + events[15:])):
        lake = Lake(
            tmp_path / name, source_of(MemoryJournal())._replace(feed=_one_page(record if name == "old" else one))
        )
        assert lake.seal(workers=0) == 10
        assert [(row["key"], row["sequence"], row["origin"]) for row in lake.rows_of(0, 99)] == [
            (event.key, event.sequence, "") for event in expected
        ]


def _without_last_field(event: bytes) -> bytes:
    last = len(msgspec.structs.fields(Event)) - 1
    return b"\xdc" + last.to_bytes(2, "big") + event[3:-1]


def _one_page(record: bytes) -> Any:
    from suyuan.storage.packed import batch_parts  # noqa: PLC0415

    return lambda position, _: ([], position) if position else ([batch_parts(record)], b"1")


def test_the_same_run_twice_seals_nothing_more_and_of_two_sealers_one_works(tmp_path: Path) -> None:
    journal = journal_of([Facts().batch(50)])
    lake = lake_of(tmp_path, journal)
    assert lake.seal() == 50
    assert lake.seal() == 0
    with changing(lake.folder, wait=False) as alone:
        assert alone
        assert lake.seal() is None
        assert compact(lake.folder) is None
        with pytest.raises(LakeRefusal, match="another process"):
            mend(lake, lake.source)


def test_many_sealers_at_once_seal_each_event_once(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(40) for _ in range(30)])
    lake = lake_of(tmp_path, journal)
    done = threading.Event()

    def seal_and_merge(number: int) -> None:
        while not done.is_set():
            lake.seal(workers=0, segment_events=100)
            if number:
                compact(lake.folder, file_events=500)

    threads = [threading.Thread(target=seal_and_merge, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        append(journal, facts.batch(10))
        assert lake.query("SELECT count(*) = count(DISTINCT feed) AS once FROM sealed").rows == [(True,)]
    done.set()
    for thread in threads:
        thread.join()
    lake.seal()
    agreed(lake, journal)


@pytest.mark.slow
def test_workers_make_the_same_segments_as_one_process(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(100) for _ in range(30)])
    alone, crew = lake_of(tmp_path / "a", journal), lake_of(tmp_path / "b", journal)
    for lake, workers in ((alone, 0), (crew, 2)):
        lake.folder.parent.mkdir()
        lake.seal(workers=workers, segment_events=700)
    assert [segment.line for segment in alone.segments()] == [segment.line for segment in crew.segments()]
    assert alone.rows_of(0, 9_999) == crew.rows_of(0, 9_999)


@pytest.mark.parametrize("workers", [0, 1])
def test_events_that_are_damaged_are_named_and_nothing_of_them_is_sealed(tmp_path: Path, workers: int) -> None:
    good = [encoder.encode(event) for event in Facts().batch(3)]
    bad = good[1].replace(b"accepted", b"accept\xff\xff").replace(b"conflict_sold", b"conflict\xffsold")
    record = packed_batch(3, good[0] + bad + good[2])
    lake = Lake(tmp_path / "lake", source_of(MemoryJournal())._replace(feed=_one_page(record)))
    with pytest.raises(LakeRefusal, match=r"^event 1 of the feed is not as events are stored"):
        lake.seal(workers=workers)
    assert lake.manifest().events == 0


def test_a_worker_ends_when_who_feeds_it_is_killed_in_the_middle_of_a_message() -> None:
    for sent in (b"", b"\0\0", (100).to_bytes(8, "big") + b"\x94", (4).to_bytes(8, "big") + b"\x94\xc0\x02\x09"):
        command = [sys.executable, "-m", "suyuan.lake.worker"]
        ended = subprocess.run(command, input=sent, capture_output=True, timeout=30, check=False)
        assert ended.stdout == b""


def test_a_lake_that_knows_more_than_its_journal_refuses_to_go_on(tmp_path: Path) -> None:
    facts = Facts()
    first = facts.batch(30)
    lake = lake_of(tmp_path, journal_of([first, facts.batch(30)]))
    lake.seal()
    restored = Lake(lake.folder, source_of(journal_of([first])))
    with pytest.raises(LakeRefusal, match="restored from an older copy"):
        restored.seal()
    assert lake.manifest().events == 60


def test_merging_changes_files_and_never_segments(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(50, days=days) for days in (0, 1, 2, 40, 41)])
    lake = lake_of(tmp_path, journal)
    lake.seal(workers=0, segment_events=50)
    before = lake.segments()
    assert compact(lake.folder, file_events=1_000) is not None
    assert lake.segments() == before
    assert [file.segments for file in lake.manifest().files] == [(0, 2), (3, 4)], "months stay apart"
    assert len(list((lake.folder / "events").iterdir())) == 2
    agreed(lake, journal)


def test_what_is_dropped_by_age_is_gone_from_the_lake_alone(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(50, days=days) for days in (0, 1, 60)])
    lake = lake_of(tmp_path, journal)
    lake.seal(workers=0, segment_events=50)
    done = retain(lake.folder, 30, START + 61 * DAY)
    assert done is not None
    assert (done.files, done.events) == (2, 100)
    assert lake.query("SELECT min(feed), count(*) FROM sealed").rows == [(100, 50)]
    assert len(lake.segments()) == 3
    assert len(lake.leaves(0)) == 50 * 32, "what was proven stays provable"
    append(journal, facts.batch(20, days=61))
    assert lake.seal() == 20
    assert lake.query("SELECT max(feed) FROM sealed").rows == [(169,)]


def test_files_are_not_deleted_while_somebody_reads(tmp_path: Path) -> None:
    facts = Facts()
    lake = lake_of(tmp_path, journal_of([facts.batch(50) for _ in range(4)]))
    lake.seal(workers=0, segment_events=50)
    with reading(lake.folder):
        compact(lake.folder)
        assert len(list((lake.folder / "events").iterdir())) == 5
    assert clean(lake.folder, lake.manifest()) == 4
    assert len(list((lake.folder / "events").iterdir())) == 1


def test_a_damaged_file_is_named_and_made_again_from_the_journal(tmp_path: Path) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(50) for _ in range(6)])
    lake = lake_of(tmp_path, journal)
    lake.seal(workers=0, segment_events=100)
    compact(lake.folder, file_events=200)
    assert not damages(lake)
    whole, torn = (lake.folder / file.name for file in lake.manifest().files)
    _flip(whole, whole.stat().st_size - 30)
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(LakeRefusal, match=r"00000000-00000001.*is damaged.*suyuan lake mend"):
        lake.query("SELECT * FROM sealed")
    assert [file.segments for file, _ in damages(lake)] == [(0, 1), (2, 2)]
    mend(Lake(lake.folder, source_of(journal, frozenset({"H44010000001"}))), lake.source)
    assert not damages(lake)
    agreed(lake, journal)


def test_a_journal_that_says_otherwise_does_not_mend_the_lake(tmp_path: Path) -> None:
    facts = Facts()
    events = facts.batch(50)
    lake = lake_of(tmp_path, journal_of([events]))
    lake.seal()
    _flip(lake.folder / lake.manifest().files[0].name, 500)
    altered = journal_of([[msgspec.structs.replace(events[0], price=1), *events[1:]]])
    with pytest.raises(LakeRefusal, match="no longer says what was sealed in segment 0"):
        mend(lake, source_of(altered))


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def test_a_manifest_that_was_altered_or_lost_is_refused_by_name(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, journal_of([Facts().batch(50)]))
    lake.seal()
    path = lake.folder / "manifest.json"
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"events":50', b'"events":51'))
    with pytest.raises(LakeRefusal, match=r"manifest\.json is damaged"):
        lake.seal()
    path.unlink()
    with pytest.raises(LakeRefusal, match=r"manifest\.json is missing beside sealed segments"):
        lake.seal()
    path.write_bytes(text)
    assert lake.seal() == 0


def test_files_of_an_earlier_schema_are_read_beside_newer_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()
    journal = journal_of([facts.batch(50, days=0), [facts.event(origin="44/1") for _ in range(50)]])
    lake = lake_of(tmp_path, journal)
    lake.seal(workers=0, segment_events=50)
    manifest = lake.manifest()
    old = lake.folder / manifest.files[0].name
    pl.read_parquet(old).drop("origin").write_parquet(old)
    manifest.files[0] = msgspec.structs.replace(manifest.files[0], schema=0)
    from suyuan.lake.manifest import write_manifest  # noqa: PLC0415  as if an earlier release had written it

    write_manifest(lake.folder, manifest)
    monkeypatch.setitem(schema.LATER, "origin", "''")
    asked = "SELECT origin, count(*) FROM sealed GROUP BY origin ORDER BY origin"
    assert lake.query(asked).rows == [("", 50), ("44/1", 50)]
    assert compact(lake.folder) is not None, "one of an older schema is written anew"
    assert lake.query(asked).rows == [("", 50), ("44/1", 50)]
    assert {file.schema for file in lake.manifest().files} == {schema.SCHEMA}
    agreed(lake, journal)


def test_an_empty_journal_makes_an_empty_lake_that_can_be_asked(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, MemoryJournal())
    assert lake.seal() == 0
    assert lake.query("SELECT count(*) FROM events").rows == [(0,)]
    assert read_manifest(lake.folder).segments == []
