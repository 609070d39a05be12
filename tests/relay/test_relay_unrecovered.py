"""A record restored while the nation is away: what it may lack is not paid again, and nothing that comes is lost."""

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from postgres_server import PostgresServer
from relay_field import HERE, HOSPITAL_A, Field, Place

from suyuan.carry.backup import back_up
from suyuan.carry.restore import restore_node
from suyuan.formats import nhsa
from suyuan.ledger.events import Event
from suyuan.node import Node
from suyuan.portals.counter import Counter
from suyuan.portals.problem import Refused
from suyuan.relay import province
from suyuan.relay.heard import Gate, Unrecovered, note_heard, unrecovered
from suyuan.relay.link import Unreachable
from suyuan.relay.messages import read
from suyuan.relay.province import Again, Province, Restored
from suyuan.relay.recovery import Recovery
from suyuan.relay.speaker import speaker_of
from suyuan.relay.station import Station, standing_of
from suyuan.simulation.union import differences

LOST, NEW, SOLD = 2, 3, 4
"""A box that was paid after the backup, and two that nobody has seen."""


class Served(Field):
    """A field whose nodes are opened as a server opens them; at the nation's address nobody answers."""

    def __init__(self, folder: Path) -> None:
        self.stations: list[Station] = []
        super().__init__(folder)

    def serve(self, folder: Path) -> Place:
        """Another folder in the place of the province's node."""
        self.places[HERE].node.close()
        self.places[HERE] = place = Place(folder, self.clock, upload=1000)
        self.stations.append(Station(place.node))
        return place

    def close(self) -> None:
        for station in self.stations:
            station.close()
        super().close()


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def box(number: int) -> str:
    return f"8234567{number:013d}"


def own(place: Place) -> list[Event]:
    return [event for event in place.events() if not event.origin and not event.key.startswith("relay:")]


def lose(field: Field) -> list[Event]:
    """A box is paid, a backup is made, another box is paid; the nation has all of it."""
    here = field.places[HERE]
    assert here.settle(HOSPITAL_A, box(1)).verdict == "pay"
    field.settle_down()
    back_up(here.node, field.folder / "backup", secrets=True)
    restore_node(field.folder / "again", field.folder / "backup")
    assert here.settle(HOSPITAL_A, box(LOST), order="O2").verdict == "pay"
    field.settle_down()
    return own(here)


def faults(field: Field) -> list[str]:
    plain = {name: [msgspec.structs.asdict(event) for event in place.events()] for name, place in field.places.items()}
    return differences(plain, [msgspec.structs.asdict(event) for event in field.center.events()])


def claim(number: int) -> bytes:
    head = {"psn_no": f"person {number}", "chrg_bchno": f"C{number}", "mdtrt_id": f"VC{number}", "insutype": "310"}
    row = {"feedetl_sn": "1", "drug_trac_codg": box(number), "trdn_flag": "0", "min_prcunt_type": "2"}
    return message("2207", 500 + number, {"data": {**head, "medfee_sumamt": 100}, "drug_trac_info": [row]})


def sale(number: int) -> bytes:
    row = {
        "med_list_codg": "",
        "fixmedins_hilist_id": "1",
        "fixmedins_bchno": f"B{number}",
        "psn_no": f"person {number}",
        "sel_retn_cnt": "1",
        "sel_retn_time": "2026-03-09 10:00:00",
        "drugtracinfo": [{"drug_trac_codg": box(number)}],
    }
    return message("3505", 700 + number, {"selinfo": row})


def message(infno: str, number: int, body: dict[str, Any]) -> bytes:
    head = {"infno": infno, "msgid": f"{HOSPITAL_A}{number:018d}", "insuplc_admdvs": "440100", "infver": "V1.0"}
    return json.dumps({**head, "fixmedins_code": HOSPITAL_A, "input": body}).encode()


def at_the_counter(place: Place | Node, story: Callable[[Counter], Coroutine[Any, Any, None]]) -> None:
    """While a server takes uploads."""
    node = place.node if isinstance(place, Place) else place

    async def told() -> None:
        counter = Counter(node)
        await counter.deferral.start()
        counter.start()
        try:
            await story(counter)
        finally:
            await counter.stop()
            await counter.deferral.stop()

    asyncio.run(told())


async def became(counter: Counter, raw: bytes) -> str:
    """The verdict on a claim, `taken`, or why it was not."""
    try:
        outcome = await counter.take(nhsa.read(raw), HOSPITAL_A)
    except Refused as refusal:
        return refusal.error.code
    return str(getattr(outcome.results[0], "verdict", "taken"))


def test_a_restored_record_pays_nothing_and_loses_nothing_until_it_is_recovered(field: Served) -> None:
    lost = lose(field)
    here = field.serve(field.folder / "again")
    before = own(here)

    async def unheard(counter: Counter) -> None:
        assert "suyuan relay recover --dir" in counter.deferral.reason
        assert [await became(counter, claim(number)) for number in (LOST, NEW)] == ["unavailable"] * 2
        assert await became(counter, sale(SOLD)) == "deferred"
        assert counter.deferral.notice() == "deferring; waiting=1"

    async def heard(counter: Counter) -> None:
        assert counter.deferral.reason == ""
        assert [await became(counter, claim(number)) for number in (LOST, NEW)] == ["refuse", "pay"]

    at_the_counter(here, unheard)
    # Whoever else writes is refused with the same words, and nothing was written at all.
    with pytest.raises(Unrecovered, match="suyuan relay recover --dir"):
        here.sell(HOSPITAL_A, box(LOST))
    assert own(here) == before
    assert "suyuan relay recover" in standing_of(here.node)["unrecovered"]
    # The nation is back: what was laid aside meanwhile is recorded behind what was lost.
    field.places[HERE].node.ledger.gate = None
    assert Recovery(field.relay_of(here)).recover() == len(lost) - len(before)
    here = field.serve(field.folder / "again")
    assert standing_of(here.node)["unrecovered"] == ""
    at_the_counter(here, heard)
    assert own(here)[: len(lost)] == lost
    assert [event.kind for event in here.history(f"trace20:{box(SOLD)}")] == ["sold"]
    field.connect(HERE)
    field.settle_down()
    assert faults(field) == []


def test_claims_that_are_laid_aside_by_choice_are_decided_after_the_recovery(field: Served) -> None:
    lose(field)
    settings = field.folder / "again" / "suyuan.toml"
    settings.write_text('defer_claims = "accept"\n' + settings.read_text(encoding="utf-8"), encoding="utf-8")
    here = field.serve(field.folder / "again")

    async def unheard(counter: Counter) -> None:
        assert [await became(counter, claim(number)) for number in (LOST, NEW)] == ["deferred"] * 2

    async def heard(counter: Counter) -> None:
        assert counter.deferral.reason == ""

    at_the_counter(here, unheard)
    here.node.ledger.gate = None
    Recovery(field.relay_of(here)).recover()
    at_the_counter(here := field.serve(field.folder / "again"), heard)
    verdicts = {event.key: event.verdict for event in here.events("claim:") if event.kind == "claimed"}
    assert [verdicts[f"claim:{HOSPITAL_A}:visit:VC{number}"] for number in (LOST, NEW)] == ["refuse", "pay"]


@pytest.mark.parametrize("how", ["begun again", "copied"])
def test_a_province_works_alone_but_not_a_copy_of_it(field: Served, how: str) -> None:
    here = field.places[HERE]
    assert here.settle(HOSPITAL_A, box(1)).verdict == "pay"
    field.settle_down()
    folder = here.node.folder
    if how == "copied":
        here.node.close()
        folder = Path(shutil.copytree(folder, field.folder / "copy"))
    here = field.serve(folder)

    async def told(counter: Counter) -> None:
        expected = ("pay", "taken") if how == "begun again" else ("unavailable", "deferred")
        assert (await became(counter, claim(NEW)), await became(counter, sale(SOLD))) == expected

    at_the_counter(here, told)


def test_a_record_that_no_nation_ever_heard_is_restored_and_goes_on_alone(field: Served) -> None:
    here = field.places[HERE]
    assert here.settle(HOSPITAL_A, box(1)).verdict == "pay"
    back_up(here.node, field.folder / "backup", secrets=True)
    restore_node(field.folder / "again", field.folder / "backup")
    verdict = field.serve(field.folder / "again").settle(HOSPITAL_A, box(NEW), order="O2")
    assert (verdict.verdict, verdict.provisional) == ("pay", True)


def test_a_record_that_its_nation_refuses_while_it_is_served_pays_no_more_not_even_begun_again(field: Served) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    # The copy is from before the nation was first heard: nothing in it tells of one.
    here.node.journal.copy(field.folder / "older")
    field.settle_down()
    here = field.serve(here.node.folder)
    assert here.settle(HOSPITAL_A, box(NEW), order="O3").verdict == "pay"
    here.node.close()
    shutil.rmtree(here.node.folder / "journal")
    (field.folder / "older").rename(here.node.folder / "journal")
    (here.node.folder / ".told").unlink()
    here = field.serve(here.node.folder)
    assert here.settle(HOSPITAL_A, box(SOLD), order="O4").verdict == "pay", "nobody could know"
    with pytest.raises(Restored, match=f"suyuan relay recover --dir {here.node.folder}"):
        field.relay_of(here).step()
    here = field.serve(here.node.folder)
    with pytest.raises(Unrecovered):
        here.settle(HOSPITAL_A, box(5), order="O5")


@contextmanager
def lagging(field: Served, server: PostgresServer, settings: str = "") -> Iterator[Callable[[], None]]:
    """A node in a database, and what puts that back, under the node, to before a box was paid and told.

    As where a standby is promoted that lacked the last facts.
    """
    database = server.new_database()
    name = database.rpartition("/")[2]
    back_up(field.places[HERE].node, field.folder / "backup", secrets=True)
    restore_node(field.folder / "again", field.folder / "backup", database=database)
    file = field.folder / "again" / "suyuan.toml"
    file.write_text(settings + file.read_text(encoding="utf-8"), encoding="utf-8")
    here = field.serve(field.folder / "again")
    field.relays[HERE] = field.relay_of(here)
    assert here.settle(HOSPITAL_A, box(1)).verdict == "pay"
    field.settle_down()
    with psycopg.connect(server.address(), autocommit=True) as connection:
        put_back(connection, f"CREATE DATABASE {name}_lagging TEMPLATE {name}", name)
        assert here.settle(HOSPITAL_A, box(LOST), order="O2").verdict == "pay"
        field.settle_down()

        def exchange() -> None:
            put_back(connection, f"ALTER DATABASE {name} RENAME TO {name}_lost", name)
            connection.execute(f"ALTER DATABASE {name}_lagging RENAME TO {name}")

        yield exchange


@pytest.mark.slow
@pytest.mark.parametrize("nation", ["away", "back"])
def test_a_database_put_back_to_an_earlier_time_under_a_running_node_is_noticed(
    field: Served, postgres_server: PostgresServer, nation: str
) -> None:
    with lagging(field, postgres_server) as exchange:
        exchange()
    here, relay = field.places[HERE], field.relays[HERE]
    if nation == "away":
        field.cut = lambda _: None
        # Before the relay has looked, and before the gate would look again by itself.
        with pytest.raises(Unrecovered, match="put back to an earlier time"):
            here.settle(HOSPITAL_A, box(LOST), order="O9")
    with pytest.raises(Unreachable if nation == "away" else Restored):
        go_on(relay)
    with pytest.raises(Unrecovered):
        here.settle(HOSPITAL_A, box(LOST), order="O9")
    field.cut = None
    here.node.ledger.gate = None
    assert Recovery(field.relay_of(here)).recover() > 0
    assert here.settle(HOSPITAL_A, box(LOST), order="O9").verdict == "refuse"


@pytest.mark.slow
def test_what_was_laid_aside_is_not_decided_by_an_older_copy_that_answers_instead(
    field: Served, postgres_server: PostgresServer
) -> None:
    async def away(counter: Counter) -> None:
        counter.deferral.begin("the store failed")
        assert [await became(counter, claim(number)) for number in (LOST, NEW)] == ["deferred"] * 2
        exchange()
        for _ in range(200):
            if not counter.deferral.reason or "suyuan relay recover" in counter.deferral.reason:
                break
            await asyncio.sleep(0.05)
        await asyncio.to_thread(counter.deferral._replay)
        assert ("suyuan relay recover" in counter.deferral.reason, counter.deferral.waiting) == (True, 2)

    async def heard(counter: Counter) -> None:
        assert counter.deferral.reason == ""

    with lagging(field, postgres_server, 'defer = "uploads"\ndefer_claims = "accept"\n') as exchange:
        at_the_counter(field.places[HERE], away)
    here = field.places[HERE]
    here.node.ledger.gate = None
    assert Recovery(field.relay_of(here)).recover() > 0
    at_the_counter(here := field.serve(here.node.folder), heard)
    verdicts = {event.key: event.verdict for event in here.events("claim:") if event.kind == "claimed"}
    assert [verdicts[f"claim:{HOSPITAL_A}:visit:VC{number}"] for number in (LOST, NEW)] == ["refuse", "pay"]


def journal_put_back(field: Served) -> Place:
    """The journal that was copied to `older` lies in the folder again, by hand."""
    node = field.places[HERE].node
    node.close()
    shutil.rmtree(node.folder / "journal")
    (field.folder / "older").rename(node.folder / "journal")
    return field.serve(node.folder)


@pytest.mark.parametrize("most", [2_000, 2])
def test_a_journal_put_back_to_before_a_slice_of_which_the_answer_was_lost_is_noticed(
    field: Served, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(province, "EVENTS_MAX", most)  # a slice may end anywhere in a batch
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here.node.journal.copy(field.folder / "older")
    here.settle(HOSPITAL_A, box(LOST), order="O2")

    def lose_answer(question: bytes) -> None:
        field.nation.answer(read(question))

    field.cut = lose_answer
    with pytest.raises(Unreachable):
        field.relays[HERE].step()
    assert unrecovered(here.node) == ""
    with pytest.raises(Unrecovered):
        journal_put_back(field).settle(HOSPITAL_A, box(LOST), order="O9")


def test_what_another_host_was_told_before_a_recovery_stops_nobody_after_it(field: Served) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here.node.journal.copy(field.folder / "older")
    here.settle(HOSPITAL_A, box(LOST), order="O2")
    field.settle_down()
    there = (told := here.node.folder / ".told").read_bytes()
    here = journal_put_back(field)
    assert unrecovered(here.node)
    here.node.ledger.gate = None
    assert Recovery(field.relay_of(here)).recover() > 0
    told.write_bytes(there)
    here = field.serve(here.node.folder)
    assert here.settle(HOSPITAL_A, box(NEW), order="O3").verdict == "pay"
    # And from before that recovery it is put back once more: the file of this host tells.
    here.node.journal.copy(field.folder / "older")
    field.connect(HERE)
    field.settle_down()
    Recovery(field.relay_of(here)).recover()
    with pytest.raises(Unrecovered):
        journal_put_back(field).settle(HOSPITAL_A, box(SOLD), order="O4")


def test_what_is_noted_here_holds_at_once_and_only_until_the_nation_says_otherwise(field: Served) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here = field.serve(here.node.folder)
    field.relays[HERE] = relay = field.relay_of(here)
    field.settle_down()
    assert here.settle(HOSPITAL_A, box(NEW), order="O2").verdict == "pay"
    note_heard(here.node, "")  # as another host does that was told more
    with pytest.raises(Unrecovered):
        here.settle(HOSPITAL_A, box(SOLD), order="O3")
    relay.step()
    assert here.settle(HOSPITAL_A, box(SOLD), order="O3").verdict == "pay"


def test_what_was_written_while_the_record_was_found_to_lack_facts_is_not_acknowledged(field: Served) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here = field.serve(here.node.folder)
    journal, append = here.node.journal, here.node.journal.append

    def late(*batch: Any) -> Any:
        """As one that was tried again once a standby had been promoted."""
        journal.append = append  # type: ignore[method-assign]
        note_heard(here.node, "")
        return append(*batch)

    journal.append = late  # type: ignore[method-assign, assignment]
    with pytest.raises(Unrecovered):
        here.settle(HOSPITAL_A, box(NEW), order="O2")
    note_heard(here.node, speaker_of(here.node))
    assert here.settle(HOSPITAL_A, box(SOLD), order="O3").verdict == "pay"


def test_a_node_in_memory_that_its_nation_refuses_acknowledges_nothing(tmp_path: Path) -> None:
    settings = f'engine = "memory"\nnation = "http://127.0.0.1:9"\nprovince = "{HERE}"\nnation_key = "{"ab" * 32}"\n'
    (tmp_path / "suyuan.toml").write_text(settings, encoding="utf-8")

    async def refused(counter: Counter) -> None:
        assert await became(counter, sale(SOLD)) == "taken"
        note_heard(node, "")
        assert await became(counter, sale(NEW)) == "unavailable"

    with Node.open(tmp_path) as node:
        node.ledger.gate = Gate(node)
        at_the_counter(node, refused)


def go_on(relay: Province) -> None:
    """Until something stands in the way."""
    while True:
        with suppress(Again):
            relay.step()


def put_back(connection: psycopg.Connection[Any], command: str, name: str) -> None:
    """Do what needs a database that nobody uses."""
    while True:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with suppress(psycopg.errors.ObjectInUse):
            connection.execute(command)
            return


def test_who_serves_it_unrecovered_on_purpose_pays_whatever_the_nation_says_of_it(field: Served) -> None:
    lose(field)
    here = field.serve(field.folder / "again")
    note_heard(here.node, speaker_of(here.node), by="operator")
    with pytest.raises(Restored):
        field.relay_of(here).step()
    assert here.settle(HOSPITAL_A, box(LOST), order="O9").verdict == "pay"
    # A copy of that one is another record.
    here.node.close()
    again = field.serve(Path(shutil.copytree(here.node.folder, field.folder / "copy")))
    with pytest.raises(Unrecovered):
        again.settle(HOSPITAL_A, box(NEW), order="O3")
