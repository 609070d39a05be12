"""What can go wrong between two nodes: cut, repeated, reordered, altered, restored, of another version, unknown."""

import contextlib
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from relay_field import HERE, HOSPITAL_A, HOSPITAL_FAR, MAKER, THERE, Field, Place

from suyuan.ledger.events import Event, encoder
from suyuan.ledger.origins import province_of
from suyuan.ledger.signer import Signer
from suyuan.relay import feed, following, nation, province, slices
from suyuan.relay.link import Unreachable
from suyuan.relay.messages import Head, Message, Unreadable, read, written
from suyuan.relay.nation import Answer, Stranger, end_key, register
from suyuan.relay.province import Again, Stopped
from suyuan.relay.slices import Slice
from suyuan.relay.speaker import speaker_of
from suyuan.simulation.union import differences, untold


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path)
    yield made
    made.close()


def box(number: int) -> str:
    return f"8234567{number:013d}"


def faults(field: Field) -> list[str]:
    """What the independent books find."""
    plain = {name: [msgspec.structs.asdict(event) for event in place.events()] for name, place in field.places.items()}
    at_nation = [msgspec.structs.asdict(event) for event in field.center.events()]
    return differences(plain, at_nation) + untold(plain, at_nation)


class BadWire:
    """Loses questions, cuts answers off, brings things twice and old ones again."""

    def __init__(self, field: Field, seed: int) -> None:
        self.chance = random.Random(seed)
        self._carried = field.carry
        self._kept: list[bytes] = []

    def __call__(self, question: bytes, timeout: float) -> bytes:
        self._kept.append(question)
        fate = self.chance.random()
        if fate < 0.2:
            raise Unreachable("the question is lost")
        if fate < 0.3:
            self._carried(self.chance.choice(self._kept), timeout)  # an old one comes again, before this one
        answer = self._carried(question, timeout)
        if fate < 0.4:
            self._carried(question, timeout)
        if fate < 0.6:
            raise Unreachable("the answer is cut off")
        return answer


def settle_something(field: Field, chance: random.Random, number: int) -> None:
    name, hospital = chance.choice([(HERE, HOSPITAL_A), (THERE, HOSPITAL_FAR)])
    place = field.places[name]
    settled = place.settle(hospital, box(1 + number % 40), order=f"O{number}", person=f"p{number}")
    if settled.settlement and chance.random() < 0.2:
        place.cancel(hospital, settled.settlement)


def test_what_is_lost_repeated_late_or_begun_again_changes_nothing(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small slices and pages, so that there are many of them.
    monkeypatch.setattr(province, "EVENTS_MAX", 7)
    monkeypatch.setattr(feed, "PAGE", 5)
    monkeypatch.setattr(following, "PAGE", 11)
    wire = BadWire(field, 1)
    carried = field.carry
    monkeypatch.setattr(field, "carry", wire)
    for number in range(60):
        settle_something(field, wire.chance, number)
        for name, relay in list(field.relays.items()):
            with contextlib.suppress(Unreachable, Again):
                relay.step()
            if wire.chance.random() < 0.1:
                field.connect(name)  # its process was killed and began again
        field.follower.step()
        if wire.chance.random() < 0.1:
            field.follower = following.Follower(field.center.node)
    monkeypatch.setattr(field, "carry", carried)
    for name in field.places:
        field.connect(name)
    field.settle_down()
    assert len(field.center.events()) > 100
    assert faults(field) == []


def test_an_append_larger_than_a_slice_is_shipped_in_parts_and_gone_on_with_after_a_kill(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(province, "EVENTS_MAX", 10)
    rows = [{"code": box(number), "lot": "L1"} for number in range(1, 96)]
    field.places[HERE].table("M00000000001", "produced", *rows)
    for _ in range(4):
        field.connect(HERE)
        field.relays[HERE].step()
    field.connect(HERE)
    field.settle_down()
    assert faults(field) == []
    assert sum(event.kind == "produced" for event in field.center.events("trace20:")) == 95


def test_facts_that_are_too_large_for_one_slice_go_in_several(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(province, "BODY_BYTES_MAX", 1_000)
    rows = [{"code": box(number), "lot": "L1"} for number in range(1, 60)]
    field.places[HERE].table("M00000000001", "produced", *rows)
    field.settle_down()
    assert faults(field) == []
    assert field.nation.state(HERE).number > 1


def test_what_waits_is_listed_in_entries_of_bounded_size(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "ENTRY_KEYS", 3, raising=False)
    here, there = field.places[HERE], field.places[THERE]
    carton, boxes = box(1000), [box(number) for number in range(1, 251)]
    here.table(MAKER, "packed", *({"code": one, "parent": carton} for one in boxes))
    here.table(MAKER, "shipped", {"code": carton, "counterparty": HOSPITAL_FAR})
    there.table(HOSPITAL_FAR, "received", {"code": carton})
    field.settle_down()
    entries = field.center.events(f"relay:down:{THERE}:")
    assert max(len(entry.detail["keys"]) for entry in entries) == 3
    assert len({entry.key for entry in entries}) == 2
    assert all(there.history(f"elsewhere:trace20:{one}") for one in boxes)
    assert field.nation.state(THERE).down == len(entries)
    assert faults(field) == []


def head_of(field: Field, what: str) -> Head:
    """The head of a question of a province to its nation."""
    nation_key, speaker = field.center.node.signer.public.hex(), speaker_of(field.places[HERE].node)
    return Head(sender=HERE, recipient=nation_key, what=what, at=field.now, content="", speaker=speaker)


def resent(field: Field, change: Callable[[Slice], Slice]) -> Answer:
    """The next slice of a province, changed by somebody who has its key."""
    relay, place = field.relays[HERE], field.places[HERE]
    relay.connect()
    assert relay._state is not None
    assert relay._feed is not None
    pending = relay._next(relay._state, relay._feed)
    assert pending is not None
    body = msgspec.msgpack.encode(change(msgspec.msgpack.decode(pending.body, type=Slice)))
    head = head_of(field, "slice")
    raw = field.nation.answer(read(written(place.node.signer, head, body)))
    return msgspec.msgpack.decode(read(raw).body, type=Answer)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda one: msgspec.structs.replace(one, number=one.number + 1), "out_of_order"),
        (lambda one: msgspec.structs.replace(one, before="0" * 64), "out_of_order"),
        (lambda one: msgspec.structs.replace(one, number=1, before=""), "taken"),
        (lambda one: msgspec.structs.replace(one, events=slices.EVENTS_MAX + 1), "too_large"),
        (lambda one: one, ""),
    ],
)
def test_a_slice_that_was_dropped_reordered_or_repeated_under_another_form_is_seen(
    field: Field, change: Callable[[Slice], Slice], refused: str
) -> None:
    field.places[HERE].settle(HOSPITAL_A, box(1))
    field.settle_down()
    field.places[HERE].settle(HOSPITAL_A, box(2), order="O2")
    before = len(field.center.events())
    assert resent(field, change).refused == refused
    assert (len(field.center.events()) == before) == bool(refused)


def test_a_gap_in_a_history_is_refused(field: Field) -> None:
    field.places[HERE].settle(HOSPITAL_A, box(1))
    field.settle_down()

    def with_gap(one: Slice) -> Slice:
        [event, *_] = slices.read_events(one).events
        packed, size = slices.packed_events([msgspec.structs.replace(event, sequence=event.sequence + 1)])
        return msgspec.structs.replace(one, packed=packed, size=size, events=1)

    field.places[HERE].sell(HOSPITAL_A, box(1), person="person 9")
    assert resent(field, with_gap).refused == "gap"


def test_only_a_registered_key_speaks_and_only_the_nation_is_believed(field: Field) -> None:
    stranger, head = Signer.new(), head_of(field, "state")
    with pytest.raises(Stranger, match="not signed"):
        field.nation.answer(read(written(stranger, head, b"\xc0")))
    with pytest.raises(Stranger, match="no province"):
        field.nation.answer(read(written(stranger, msgspec.structs.replace(head, sender="99"), b"\xc0")))
    signer = field.places[HERE].node.signer
    message = read(written(signer, head, b"\xc0"))
    assert field.nation.answer(message)
    with pytest.raises(Stranger):
        field.nation.answer(Message(message.signed, message.signature, b"\x01"))
    # A second key beside the first, then the first is taken out: at once, also where it was heard before.
    register(field.center.node, HERE, stranger.public)
    end_key(field.center.node, HERE, signer.public)
    assert field.nation.answer(read(written(stranger, head, b"\xc0")))
    with pytest.raises(Stranger):
        field.nation.answer(message)
    # What answers with another key than the nation's, or to another question, is not believed.
    relay = field.relays[THERE]
    answer = Answer(state=nation.State())
    for signed_by, answers in ((stranger, None), (field.center.node.signer, "of another question")):

        def impostor(question: bytes, _: float, by: Signer = signed_by, to: str | None = answers) -> bytes:
            told = Head(
                sender="nation", recipient="", what="state", at=0, content="", answers=to or read(question).mark
            )
            return written(by, told, msgspec.msgpack.encode(answer))

        relay.link._post = impostor  # type: ignore[attr-defined]
        with pytest.raises(Unreachable, match="has not signed"):
            relay.step()


def test_what_is_addressed_to_another_nation_or_another_province_is_refused(field: Field, tmp_path: Path) -> None:
    # Another nation knows the same provinces: what they told the first one is read to it.
    other = Place(tmp_path / "other", field.clock)
    here = field.places[HERE]
    for name, place in field.places.items():
        register(other.node, name, place.node.signer.public)
    told: list[bytes] = []
    field.cut = lambda question: told.append(question) or question  # type: ignore[func-returns-value]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    assert {read(question).head.what for question in told} == {"state", "slice", "down", "boxes", "catalogue"}
    for question in told:
        with pytest.raises(Stranger, match="set nation_key in the province"):
            nation.Nation(other.node).answer(read(question))
    assert other.events("trace20:") == []
    other.node.close()

    # Nor does a province take what the nation has signed for another, though it answers this very question.
    def for_another(question: bytes, _: float) -> bytes:
        head = Head(
            sender="nation",
            recipient=field.places[THERE].node.signer.public.hex(),
            what="state",
            at=field.now,
            content="",
            answers=read(question).mark,
        )
        return written(field.center.node.signer, head, msgspec.msgpack.encode(Answer(state=nation.State())))

    field.connect(HERE)
    field.relays[HERE].link._post = for_another  # type: ignore[attr-defined]
    with pytest.raises(Unreachable, match="addressed to another node"):
        field.relays[HERE].step()
    old = msgspec.msgpack.encode({"sender": HERE, "what": "state", "at": field.now, "content": ""})
    with pytest.raises(Unreadable, match="recipient"):
        field.nation.answer(Message(old, here.node.signer.sign(old), b""))


def test_a_province_that_was_restored_from_an_older_copy_stops_with_words(field: Field, tmp_path: Path) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here.node.journal.copy(tmp_path / "older")
    here.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    here.node.close()
    shutil.rmtree(tmp_path / HERE / "journal")
    (tmp_path / "older").rename(tmp_path / HERE / "journal")
    field.places[HERE] = here = Place(tmp_path / HERE, field.clock)
    field.connect(HERE)
    with pytest.raises(Stopped, match="restored from an older copy"):
        field.relays[HERE].step()
    # What comes down does not wait for that: a recall holds here too.
    assert field.center.table(MAKER, "hold_set", {"code": box(9), "scope": "code", "reason": "recall"}) == ["accepted"]
    while field.follower.step():
        pass
    with pytest.raises(Stopped, match="restored from an older copy"):
        field.relays[HERE].step()
    assert [event.kind for event in here.history(f"elsewhere:trace20:{box(9)}")] == ["hold_set"]
    # Others have written on meanwhile: still no end of its feed that the nation knows.
    for number in range(3, 9):
        assert field.places[HERE].settle(HOSPITAL_A, box(number), order=f"O{number}").verdict == "pay"
    with pytest.raises(Stopped, match="restored from an older copy"):
        field.relays[HERE].step()


def test_a_nation_that_was_restored_from_an_older_copy_gets_all_again_and_keeps_nothing_back(
    field: Field, tmp_path: Path
) -> None:
    here, there = field.places[HERE], field.places[THERE]
    field.cut = lambda _: None
    here.settle(HOSPITAL_A, box(1))
    there.settle(HOSPITAL_FAR, box(1), person="person 2")
    field.cut = None
    field.settle_down()
    field.center.node.journal.copy(tmp_path / "older")
    assert here.table(MAKER, "hold_set", {"code": box(2), "scope": "code", "reason": "recall"}) == ["accepted"]
    field.settle_down()
    field.center.node.close()
    shutil.rmtree(tmp_path / "nation" / "journal")
    (tmp_path / "older").rename(tmp_path / "nation" / "journal")
    field.center = Place(tmp_path / "nation", field.clock)
    field.nation, field.follower = nation.Nation(field.center.node), following.Follower(field.center.node)
    # Its next entry has the number of one that was taken before, and is another.
    assert field.center.table(MAKER, "hold_set", {"code": box(3), "scope": "code", "reason": "theft"}) == ["accepted"]
    while field.follower.step():
        pass
    field.settle_down()
    own = f"trace20:{box(3)}: the nation has a fact of nobody's"
    assert [fault for fault in faults(field) if fault != own and not fault.startswith("message:")] == []
    assert len(there.alerts()) == 1
    assert len([event for event in there.events("claim:") if (event.detail or {}).get("rechecked")]) == 1
    field.cut = lambda _: None
    for number in (2, 3):
        verdict = there.settle(HOSPITAL_FAR, box(number), order=f"O{number}")
        assert verdict.lines[0].codes[0].reasons == ("held",)


def test_a_province_that_joins_later_hears_of_the_orders_from_before_once(field: Field, tmp_path: Path) -> None:
    order = {"code": box(1), "scope": "product", "reason": "recall"}
    assert field.places[HERE].table(MAKER, "hold_set", order) == ["accepted"]
    field.settle_down()
    key = field.center.node.signer.public.hex()
    late = Place(
        tmp_path / "33", field.clock, f'nation = "http://127.0.0.1:9"\nprovince = "33"\nnation_key = "{key}"\n'
    )
    field.places["33"] = late
    register(field.center.node, "33", late.node.signer.public)
    field.connect("33")
    field.settle_down()
    field.cut = lambda _: None
    assert late.settle(HOSPITAL_FAR, box(2)).lines[0].codes[0].reasons == ("held",)
    field.cut = None
    field.follower = following.Follower(field.center.node)
    field.settle_down()
    assert [one.detail["step"] for one in field.center.history("relay:province:33")] == ["key", "orders"]
    assert len(late.events("elsewhere:hold:")) == 1


def test_a_node_that_names_persons_otherwise_and_a_protocol_of_tomorrow_are_refused_with_words(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(province, "person_mark", lambda _: "other")
        with pytest.raises(Stopped, match="names persons otherwise"):
            field.relays[HERE].step()
    with monkeypatch.context() as patch:
        patch.setattr("suyuan.relay.link.PROTOCOL", 2)
        field.places[HERE].settle(HOSPITAL_A, box(1))
        with pytest.raises(Stopped, match="protocol 1, the province 2: bring the older"):
            field.relays[HERE].step()
    field.settle_down()
    assert faults(field) == []


def test_a_clock_that_is_far_off_is_told_and_facts_are_shipped_all_the_same(field: Field) -> None:
    field.places[HERE].settle(HOSPITAL_A, box(1))
    field.relays[HERE].ship()
    behind = field.places[HERE].node.ledger.clock
    field.relays[HERE].link._clock = lambda: behind() - 3_600_000_000  # type: ignore[attr-defined]
    field.places[HERE].settle(HOSPITAL_A, box(2), order="O2")
    assert field.relays[HERE].ship()
    with pytest.raises(Stopped, match="clocks"):
        field.relays[HERE].step()


class TestVersions:
    def told(self, *raw: bytes) -> slices.Told:
        body = msgspec.msgpack.encode([msgspec.Raw(one) for one in raw])
        packed, size = zlib.compress(body), len(body)
        one = Slice(number=1, before="", position="", last="", events=len(raw), size=size, packed=packed)
        return slices.read_events(one)

    def fields(self) -> list[object]:
        event = Event(1, "id", "sold", "trace20:1", 1, 5, 6, "H1", detail={"reason": "x"})
        plain: list[object] = msgspec.msgpack.decode(encoder.encode(event))
        return plain

    def test_an_event_from_before_there_was_an_origin_reads_as_of_today(self) -> None:
        [event] = self.told(msgspec.msgpack.encode(self.fields()[:-1])).events
        assert (event.kind, event.origin) == ("sold", "")

    def test_fields_of_tomorrow_are_kept_with_the_slice_and_the_event_is_read(self) -> None:
        told = self.told(msgspec.msgpack.encode([*self.fields(), "new", 7]))
        assert (told.events[0].kind, told.beyond) == ("sold", [["id", ["new", 7]]])

    @pytest.mark.parametrize(("place", "value"), [(2, "teleported"), (0, 2)])
    def test_a_kind_or_a_record_of_tomorrow_is_kept_whole_in_its_place(self, place: int, value: object) -> None:
        fields = self.fields()
        fields[place] = value
        told = self.told(msgspec.msgpack.encode(fields), msgspec.msgpack.encode(self.fields()))
        [unknown, known] = told.events
        assert (unknown.kind, unknown.key, unknown.sequence, known.kind) == ("relayed", "trace20:1", 1, "sold")
        assert unknown.detail["event"] == fields

    def test_the_nation_takes_a_fact_of_a_kind_it_does_not_know_and_goes_on(self, field: Field) -> None:
        place, relay = field.places[HERE], field.relays[HERE]
        place.settle(HOSPITAL_A, box(1))
        [event] = place.history(f"trace20:{box(1)}")
        tomorrow: list[object] = msgspec.msgpack.decode(encoder.encode(event))
        tomorrow[2] = "teleported"

        def renamed(one: Slice) -> Slice:
            raws = msgspec.msgpack.decode(slices.unpacked(one.packed, one.size), type=list[msgspec.Raw])
            changed = [
                msgspec.Raw(msgspec.msgpack.encode(tomorrow)) if bytes(raw) == encoder.encode(event) else raw
                for raw in raws
            ]
            body = msgspec.msgpack.encode(changed)
            return msgspec.structs.replace(one, packed=zlib.compress(body), size=len(body))

        assert not resent(field, renamed).refused
        [kept] = field.center.history(f"trace20:{box(1)}")
        assert (kept.kind, kept.detail["kind"], province_of(kept)) == ("relayed", "teleported", HERE)
        while field.follower.step():
            pass
        assert relay is field.relays[HERE]

    def test_what_is_damaged_or_too_large_is_no_slice(self) -> None:
        packed = zlib.compress(msgspec.msgpack.encode([1]))
        for size, data in ((3, packed), (1, packed), (2, b"x"), (slices.UNPACKED_BYTES_MAX + 1, packed), (2, packed)):
            one = Slice(number=1, before="", position="", last="", events=1, size=size, packed=data)
            with pytest.raises(Unreadable):
                slices.read_events(one)


class TestTheBooksOfTheUnion:
    """The independent check itself: each harm to the nation's record is noticed."""

    def told(self, field: Field) -> tuple[dict[str, list[dict[str, object]]], list[dict[str, object]]]:
        field.cut = lambda _: None
        field.places[HERE].settle(HOSPITAL_A, box(1))
        field.places[THERE].settle(HOSPITAL_FAR, box(1), person="person 2")
        field.cut = None
        field.settle_down()
        plain = [[msgspec.structs.asdict(event) for event in one.events()] for one in field.places.values()]
        nation_events = [msgspec.structs.asdict(event) for event in field.center.events()]
        return dict(zip(field.places, plain, strict=True)), nation_events

    def test_a_fact_dropped_doubled_changed_or_invented_at_the_nation_is_named(self, field: Field) -> None:
        feeds, record = self.told(field)
        assert differences(feeds, record) == []
        place = next(at for at, event in enumerate(record) if event["origin"])
        foreign = {**record[place], "origin": "", "key": "trace20:9"}
        for harmed in (
            record[:place] + record[place + 1 :],
            [*record[: place + 1], *record[place:]],
            [*record[:place], {**record[place], "price": 5}, *record[place + 1 :]],
            [*record, foreign],
            [*record, {**record[place], "origin": "99/1", "key": "trace20:9", "sequence": 1}],
        ):
            assert differences(feeds, harmed) != []

    @pytest.mark.parametrize("deaf", [HERE, THERE, "nation"])
    def test_a_side_that_was_not_told_of_a_repeat_is_named(self, field: Field, deaf: str) -> None:
        feeds, record = self.told(field)
        assert untold(feeds, record) == []
        everybody = {**feeds, "nation": record}
        everybody[deaf] = [event for event in everybody[deaf] if event["kind"] != "alerted"]
        assert untold({name: everybody[name] for name in feeds}, everybody["nation"]) != []
