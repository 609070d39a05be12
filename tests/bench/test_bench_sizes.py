"""The bench at size: its ledger is what the door would have made of it, and its table shows what grew."""

from pathlib import Path

import msgspec
import pytest

from suyuan.bench.core import MAKER, Codes, fill, lot_of
from suyuan.bench.sizes import columns, course, rows, run, sizes_in
from suyuan.formats import tables
from suyuan.ledger.events import Event
from suyuan.node import Node

BOXES = 40
LATER = ("id", "event_time", "arrived")
"""What differs because it is another moment."""
HASHES = ("fact", "content", "document")


def comparable(event: Event) -> dict[str, object]:
    """A record without what two takings of the same file differ in; of hashes, how long they are."""
    told = msgspec.structs.asdict(event)
    told |= {name: len(told[name]) for name in HASHES} | {"key": event.key.split(":")[0]}
    return {name: value for name, value in told.items() if name not in LATER}


def test_boxes_that_are_filled_in_are_the_records_that_the_door_writes_for_the_same_file(tmp_path: Path) -> None:
    # Not from box 0: its code is twenty digits that stand for "could not be scanned".
    codes, said = Codes(BOXES + 1), lambda _: None
    file = tmp_path / "boxes.csv"
    lines = [f"produced,{codes[box]},2026-01-01 09:00:00,{lot_of(box)},2028-12-31" for box in range(1, BOXES + 1)]
    file.write_text("kind,code,event_time,lot,expiry\n" + "\n".join(lines) + "\n", encoding="utf-8")
    with Node.open(tmp_path / "filled") as filled, Node.open(tmp_path / "door") as door:
        fill(filled, codes, said, 1)
        door.use_catalogue(codes.catalogue())
        for document, outcome in door.take_all(tables.read_table(file, MAKER), MAKER):
            assert not document.problems
            assert not outcome.fatal
        ours, theirs = (node.journal.since(None, 1_000)[0] for node in (filled, door))
        assert [comparable(event) for event in ours] == [comparable(event) for event in theirs]
        assert len(ours) == BOXES + 1
        kept = [node.journal.document(events[0].document) for node, events in ((filled, ours), (door, theirs))]
        sizes = [len(document or b"") for document in kept]
        assert min(sizes) > 0
        assert max(sizes) - min(sizes) < max(sizes) / 10


def test_sizes_are_read_as_people_write_them_and_only_grow() -> None:
    assert sizes_in("500k,1m, 10M,1g") == [500_000, 1_000_000, 10_000_000, 1_000_000_000]
    assert sizes_in("1000") == [1_000]
    for wrong in ("", "1m,", "many", "10m,1m", "1m,1m", "0", "-1"):
        with pytest.raises(ValueError, match="size"):
            sizes_in(wrong)


def test_a_first_size_too_small_for_what_is_measured_is_refused() -> None:
    assert course("1200,2400", 100, 100).sizes == [1_200, 2_400]
    with pytest.raises(ValueError, match="too small"):
        course("1199,2400", 100, 100)


def test_each_size_is_measured_alike_beside_the_bare_engine_and_shows_its_ratio_to_the_first(tmp_path: Path) -> None:
    done = run(course("2k,4k", 200, 40), folder=tmp_path)
    small, large = done.stages
    assert [stage.boxes for stage in done.stages] == [2_000, 4_000]
    assert [one.name for one in small.measures] == [one.name for one in large.measures]
    assert all(one.value >= 0 for stage in done.stages for one in stage.measures)
    assert not any("refused as sold before: 0" not in one.note for one in large.measures if "refused" in one.note)
    table = list(rows(done))
    assert len(columns(done)) == len(table[0]) == 4
    bulk = next(one for one in table if one[0].startswith("bulk upload"))
    assert "×" in bulk[3]
    assert len({one[0] for one in table}) == len(table), "no row hides another"
    assert [one[0].strip() for one in table if "processor time" in one[0]] == [
        "processor time, bulk upload",
        "processor time, claims of 5 codes",
    ]
    assert not list(tmp_path.iterdir())
