"""A province that was copied or restored: one node speaks for it, and what was lost comes back from the nation."""

import io
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from relay_field import HERE, HOSPITAL_A, HOSPITAL_FAR, MAKER, THERE, Field, Place

from suyuan.carry.backup import back_up
from suyuan.carry.restore import restore_node
from suyuan.intake.answers_to_alerts import Step, answer_alert
from suyuan.intake.reports import (
    NOT_BACK,
    Report,
    open_contact,
    open_photo,
    open_words,
    read_report,
    take_report,
)
from suyuan.ledger.events import Event, encoder
from suyuan.relay import nation, province
from suyuan.relay.heard import unrecovered
from suyuan.relay.link import Unreachable
from suyuan.relay.messages import Unreadable, read
from suyuan.relay.province import Province, Stopped
from suyuan.relay.recovery import Recovery
from suyuan.relay.speaker import speaker_of
from suyuan.simulation.union import differences, untold


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    # Small slices, so that there are many of them.
    monkeypatch.setattr(province, "EVENTS_MAX", 7)
    monkeypatch.setattr(nation, "EVENTS_MAX", 7)
    monkeypatch.setattr(nation, "UNPACKED_BYTES_MAX", 3_000)
    made = Field(tmp_path)
    yield made
    made.close()


def box(number: int) -> str:
    return f"8234567{number:013d}"


def copied(place: Place, goal: Path) -> Path:
    """All of a node's folder, as who copies files does, while it runs."""
    left_out = shutil.ignore_patterns("journal", "*.sqlite*")
    shutil.copytree(place.node.folder, goal, ignore=left_out)
    place.node.journal.copy(goal / "journal")
    return goal


def go_on_with(field: Field, folder: Path) -> Place:
    """The province's node is lost, and another folder is opened in its place."""
    field.places[HERE].node.close()
    field.places[HERE] = place = Place(folder, field.clock, upload=1000)
    field.connect(HERE)
    return place


def faults(field: Field) -> list[str]:
    plain = {name: [msgspec.structs.asdict(event) for event in place.events()] for name, place in field.places.items()}
    at_nation = [msgspec.structs.asdict(event) for event in field.center.events()]
    return differences(plain, at_nation) + untold(plain, at_nation)


def stopped(relay: Province) -> str:
    """The words with which a relay stands still, once it has taken what waits."""
    for _ in range(100):
        try:
            relay.step()
        except Stopped as refusal:
            return str(refusal)
    raise AssertionError("it goes on")


def own(place: Place) -> list[Event]:
    return [event for event in place.events() if not event.origin and not event.key.startswith("relay:")]


def test_a_copy_beside_its_original_is_heard_by_nobody_and_the_original_goes_on(field: Field, tmp_path: Path) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copy = Place(copied(here, tmp_path / "copy"), field.clock, upload=1000)
    assert speaker_of(copy.node) == speaker_of(copy.node) != speaker_of(here.node)
    second = field.relay_of(copy)
    # It is the first to have something new, and still not the one who speaks.
    copy.settle(HOSPITAL_A, box(2), order="O2")
    before = len(field.center.events())
    assert "suyuan relay recover" in stopped(second)
    assert len(field.center.events()) == before
    assert here.settle(HOSPITAL_A, box(3), order="O3").verdict == "pay"
    field.settle_down()
    assert faults(field) == []
    # Begun again in its own folder, the original is the same.
    here.node.close()
    field.places[HERE] = here = Place(tmp_path / HERE, field.clock, upload=2000)
    field.connect(HERE)
    assert here.settle(HOSPITAL_A, box(4), order="O4").verdict == "pay"
    field.settle_down()
    assert faults(field) == []
    # What the copy is told it takes all the same, and all of it before it stands still: recalls hold there too.
    for number in range(9, 13):
        order = {"code": box(number), "scope": "code", "reason": "recall"}
        assert field.center.table(MAKER, "hold_set", order) == ["accepted"]
        field.settle_down()
    assert "another node has spoken" in stopped(second)
    for number in range(9, 13):
        assert [event.kind for event in copy.history(f"elsewhere:trace20:{box(number)}")] == ["hold_set"]
    copy.node.close()


def test_a_copy_that_takes_the_place_of_its_original_says_so_and_the_original_is_refused(
    field: Field, tmp_path: Path
) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    original, relay = here, field.relays[HERE]
    field.places[HERE] = moved = Place(copied(here, tmp_path / "moved"), field.clock, upload=1000)
    field.connect(HERE)
    assert Recovery(field.relays[HERE]).recover() == 0
    moved.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    assert faults(field) == []
    original.settle(HOSPITAL_A, box(3), order="O3")
    assert "another node has spoken" in stopped(relay)
    assert faults(field) == []
    original.node.close()


def lose(field: Field, tmp_path: Path) -> list[Event]:
    """Much happens after a copy was made: sales, undone ones, a repeat across the border that is told, orders."""
    here, there = field.places[HERE], field.places[THERE]
    first = here.settle(HOSPITAL_A, box(1))
    here.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    copied(here, tmp_path / "older")
    here.cancel(HOSPITAL_A, first.settlement)
    here.sell(HOSPITAL_A, box(3))
    here.table(MAKER, "hold_set", {"code": box(4), "scope": "code", "reason": "recall"})
    field.cut = lambda _: None
    here.settle(HOSPITAL_A, box(5), order="O5")
    there.settle(HOSPITAL_FAR, box(5), person="person 2")
    there.settle(HOSPITAL_FAR, box(2), order="O9", person="person 9")
    field.cut = None
    field.settle_down()
    here.sell(HOSPITAL_A, box(6), batch="B6")
    here.sell(HOSPITAL_A, box(6), batch="B7", person="person 7")
    field.settle_down()
    return own(here)


def test_a_province_restored_from_an_older_copy_gets_back_what_it_lost_once_and_goes_on(
    field: Field, tmp_path: Path
) -> None:
    lost = lose(field, tmp_path)
    here = go_on_with(field, tmp_path / "older")
    had = own(here)
    assert lost[: len(had)] == had
    assert "suyuan relay recover" in stopped(field.relays[HERE])
    assert Recovery(field.relays[HERE]).recover() == len(lost) - len(had)
    assert own(here) == lost
    field.settle_down()
    assert faults(field) == []
    # A box that was paid in the lost time is not paid again, and a repeat of what was lost finds itself.
    assert here.settle(HOSPITAL_A, box(5), order="O8", person="person 3").verdict == "refuse"
    assert here.settle(HOSPITAL_A, box(7), order="O7").verdict == "pay"
    field.settle_down()
    assert faults(field) == []
    # Once more, with nothing lacking; and then from the copy that is still older.
    assert Recovery(field.relays[HERE]).recover() == 0
    field.settle_down()
    assert faults(field) == []


def test_facts_written_since_the_restore_under_other_keys_are_shipped_beside_those_that_come_back(
    field: Field, tmp_path: Path
) -> None:
    lost = lose(field, tmp_path)
    here = go_on_with(field, tmp_path / "older")
    had = len(own(here))
    assert here.settle(HOSPITAL_A, box(8), order="O80").verdict == "pay"
    new = own(here)[had:]
    assert Recovery(field.relays[HERE]).recover() == len(lost) - had
    assert own(here) == [*lost[:had], *new, *lost[had:]]
    field.settle_down()
    # The nation has the new facts behind the lost ones; nothing twice.
    told = [event for event in field.center.events() if event.origin.startswith(f"{HERE}/")]
    assert [event.id for event in told] == [event.id for event in (*lost, *new)]


def test_facts_that_take_the_places_of_lost_ones_are_named_and_nothing_is_changed(field: Field, tmp_path: Path) -> None:
    lose(field, tmp_path)
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "older", again)
    here = go_on_with(field, tmp_path / "older")
    here.sell(HOSPITAL_A, box(3), person="person 8")
    before, at_nation = own(here), field.center.events()
    with pytest.raises(Stopped, match=rf"under 2 keys .*{box(3)}.* Restore the copy again"):
        Recovery(field.relays[HERE]).recover()
    assert (own(here), field.center.events()) == (before, at_nation)
    # As the words say.
    go_on_with(field, again)
    assert Recovery(field.relays[HERE]).recover() > 0
    field.settle_down()
    assert faults(field) == []


@pytest.mark.parametrize("apart", [13, pytest.param(2, marks=pytest.mark.slow)])
def test_a_recovery_that_is_cut_off_anywhere_is_begun_again_and_finds_what_it_has_done(
    field: Field, tmp_path: Path, apart: int
) -> None:
    lost = lose(field, tmp_path)
    here = go_on_with(field, tmp_path / "older")

    def cut_after(questions: int) -> Callable[[bytes], bytes | None]:
        left = iter(range(questions))
        return lambda question: question if next(left, None) is not None else None

    for questions in range(1, 200 + apart, apart):
        field.cut = cut_after(questions)
        field.connect(HERE)
        try:
            Recovery(field.relays[HERE]).recover()
            break
        except Unreachable:
            assert own(here) == lost[: len(own(here))]
    field.cut = None
    assert own(here) == lost
    field.settle_down()
    assert faults(field) == []


def test_a_restored_province_whose_original_still_ships_does_not_take_its_place(field: Field, tmp_path: Path) -> None:
    original, relay = field.places[HERE], field.relays[HERE]
    original.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copy = Place(copied(original, tmp_path / "copy"), field.clock, upload=1000)
    second = field.relay_of(copy)
    state = second.stand()
    original.settle(HOSPITAL_A, box(2), order="O2")
    relay.step()
    with pytest.raises(Stopped, match="still ships"):
        second.speak(state, nation.State())
    field.settle_down()
    assert faults(field) == []
    copy.node.close()


@pytest.mark.parametrize("asked", ["lost", "down"])
def test_who_ships_while_a_copy_recovers_ends_that_with_words(field: Field, tmp_path: Path, asked: str) -> None:
    original, relay = field.places[HERE], field.relays[HERE]
    original.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copy = Place(copied(original, tmp_path / "copy"), field.clock, upload=1000)
    # The original, or once that is refused a server of the copy's own record.
    place, ships = (original, relay) if asked == "lost" else (copy, field.relay_of(copy))
    questions: list[str] = []

    def ship_once(question: bytes) -> bytes:
        questions.append(what := read(question).head.what)
        if what == asked and questions.count(what) == 1:
            place.settle(HOSPITAL_A, box(2), order="O2")
            ships.ship()
        assert len(questions) < 100, "it goes on asking for ever"
        return question

    field.cut = ship_once
    with pytest.raises(Stopped, match="still ships"):
        Recovery(field.relay_of(copy)).recover()
    field.cut = None
    field.places[HERE], field.relays[HERE] = place, ships
    field.settle_down()
    assert faults(field) == []
    {original, copy}.difference([place]).pop().node.close()


def test_a_record_copied_between_a_restore_and_its_recovery_gets_back_what_was_lost_before(
    field: Field, tmp_path: Path
) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copied(here, tmp_path / "older")
    here.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    here = go_on_with(field, tmp_path / "older")
    for number in range(3, 6):
        here.settle(HOSPITAL_A, box(number), order=f"O{number}")
    copied(here, tmp_path / "again")
    assert Recovery(field.relays[HERE]).recover() > 0
    lost = own(here)
    # What the second copy has too is told first, what it lacks was told before that.
    field.relays[HERE].ship()
    here = go_on_with(field, tmp_path / "again")
    assert Recovery(field.relays[HERE]).recover() > 0
    assert own(here) == lost
    field.settle_down()
    assert here.settle(HOSPITAL_A, box(2), order="O9", person="person 2").verdict == "refuse"
    field.settle_down()
    told = [event.id for event in field.center.events() if event.origin.startswith(f"{HERE}/")]
    assert sorted(told) == sorted(event.id for event in own(here))


def test_that_a_claim_was_rechecked_in_the_lost_time_comes_back_once(field: Field, tmp_path: Path) -> None:
    here = field.places[HERE]
    field.cut = lambda _: None
    assert here.settle(HOSPITAL_A, box(5), order="O5").provisional
    field.cut = None
    field.relays[HERE].ship()
    copied(here, tmp_path / "older")
    field.settle_down()
    lost = own(here)
    here = go_on_with(field, tmp_path / "older")
    # Served all the same, it does not write either what the nation says of its claim.
    assert "suyuan relay recover" in stopped(field.relays[HERE])
    assert own(here) == lost[: len(own(here))]
    Recovery(field.relays[HERE]).recover()
    assert own(here) == lost
    assert [event.detail["rechecked"] for event in here.events("claim:") if event.kind == "corrected"] == ["sound"]
    field.settle_down()
    assert faults(field) == []


def test_alerts_of_the_lost_time_come_back_whoever_raised_them_first(field: Field, tmp_path: Path) -> None:
    here, there = field.places[HERE], field.places[THERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copied(here, tmp_path / "older")
    field.cut = lambda _: None
    for number in (5, 6):
        there.settle(HOSPITAL_FAR, box(number), order=f"O{number}", person="person 2")
        here.sell(HOSPITAL_A, box(number), batch=f"B{number}")
    field.cut = None
    for relay in field.relays.values():
        relay.ship()
    while field.follower.step():
        pass
    # Both the nation and the province raise this one, and the other only the nation; that one is contested.
    here.settle(HOSPITAL_A, box(5), order="O5")
    field.settle_down()
    own_alerts = {event.key for event in own(here) if event.kind == "alerted"}
    [other] = {event.key for event in here.events("alert:") if event.origin} - own_alerts
    contest = Step(alert=other.removeprefix("alert:"), kind="contested", actor=HOSPITAL_A, text="a typing error")
    assert answer_alert(here.node.desk, contest).status == "accepted"
    field.settle_down()
    lost, alerts = own(here), sorted(here.alerts())
    here = go_on_with(field, tmp_path / "older")
    assert "suyuan relay recover" in stopped(field.relays[HERE])
    Recovery(field.relays[HERE]).recover()
    assert (own(here), sorted(here.alerts())) == (lost, alerts)
    field.settle_down()
    assert (faults(field), sorted(here.alerts())) == ([], alerts)


def test_a_report_of_the_lost_time_comes_back_without_what_was_sealed_and_says_so(field: Field, tmp_path: Path) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copied(here, tmp_path / "older")
    photo = io.BytesIO()
    Image.new("RGB", (8, 8)).save(photo, "JPEG")
    report = Report(token="t" * 32, region="440100", words="torn", contact="by mail", photos=(photo.getvalue(),))
    receipt = take_report(here.node.desk, report).receipt
    kept = read_report(here.node.ledger, receipt)
    assert kept is not None
    assert open_words(here.node.desk, kept).words == "torn"
    assert open_photo(here.node.desk, kept, 0)
    field.settle_down()
    here = go_on_with(field, tmp_path / "older")
    Recovery(field.relays[HERE]).recover()
    assert read_report(here.node.ledger, receipt) == kept
    assert open_words(here.node.desk, kept).words == NOT_BACK
    assert open_contact(here.node.desk, kept, "A440100", "to ask") == NOT_BACK
    assert open_photo(here.node.desk, kept, 0) == b""


@pytest.mark.parametrize(("place", "value"), [(2, "teleported"), (0, 2)])
def test_a_lost_fact_that_only_a_newer_program_reads_stops_a_recovery_and_not_what_comes_down(
    field: Field, place: int, value: object
) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    fields: list[object] = msgspec.msgpack.decode(encoder.encode(own(here)[0]))
    fields[place] = value
    raw = msgspec.msgpack.encode([msgspec.Raw(encoder.encode(own(here)[0])), fields])
    answer = nation.Answer(events=zlib.compress(raw), size=len(raw))
    with pytest.raises(Unreadable, match="use that program"):
        list(province.events_in(answer, all_of_them=True))
    assert next(province.events_in(answer)) == own(here)[0]


def test_what_came_down_for_a_lost_claim_is_filed_once_the_claim_is_back(field: Field, tmp_path: Path) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    copied(here, tmp_path / "older")
    field.cut = lambda _: None
    assert here.settle(HOSPITAL_A, box(5), order="O5").provisional
    field.cut = None
    while field.relays[HERE].ship():
        pass
    here = go_on_with(field, tmp_path / "older")
    while field.follower.step():
        pass
    assert "another node has spoken" in stopped(field.relays[HERE])
    Recovery(field.relays[HERE]).recover()
    field.settle_down()
    assert [event.detail["rechecked"] for event in here.events("claim:") if event.kind == "corrected"] == ["sound"]
    assert faults(field) == []


@pytest.mark.slow
def test_a_backup_restored_into_a_database_gets_back_what_came_after_it(
    field: Field, tmp_path: Path, database: str
) -> None:
    here = field.places[HERE]
    back_up(here.node, tmp_path / "backup", secrets=True)
    lost = lose(field, tmp_path)
    restore_node(tmp_path / "again", tmp_path / "backup", database=database)
    here = go_on_with(field, tmp_path / "again")
    assert len(own(here)) == 0
    assert unrecovered(here.node) == "", "the backup is from before the nation first heard it"
    assert Recovery(field.relays[HERE]).recover() == len(lost)
    assert own(here) == lost
    assert here.settle(HOSPITAL_A, box(7), order="O7").verdict == "pay"
    field.settle_down()
    assert faults(field) == []
    # All hosts of one database are one speaker.
    assert speaker_of(here.node) == here.node.journal.identity  # type: ignore[attr-defined]
    assert not (tmp_path / "again" / ".speaker").exists()
    # And out of the database again, from a backup that is older than what was told since.
    back_up(here.node, tmp_path / "second", secrets=True)
    here.settle(HOSPITAL_A, box(8), order="O8")
    field.settle_down()
    lost = own(here)
    restore_node(tmp_path / "third", tmp_path / "second")
    here = go_on_with(field, tmp_path / "third")
    assert unrecovered(here.node)
    assert Recovery(field.relays[HERE]).recover() > 0
    assert (own(here), unrecovered(here.node)) == (lost, "")
    field.settle_down()
    assert faults(field) == []


def test_what_was_lost_is_told_in_parts_that_the_province_can_unpack(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose(field, tmp_path)
    monkeypatch.setattr(nation, "EVENTS_MAX", 2_000)
    after, told = "", []
    while (answer := field.nation.lost(HERE, after, slices_only=False)).number:
        part, after = list(province.events_in(answer)), answer.last
        assert answer.size <= 3_000 or sum(event.key.startswith("relay:") for event in part) == 1
        told += [event for event in part if not event.key.startswith("relay:")]
    assert told == lost
