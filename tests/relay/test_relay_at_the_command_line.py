"""Uploads at the command line of a province: the nation is asked before a box is paid, as its server asks (R23)."""

import contextlib
import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from relay_field import HERE, HOSPITAL_A, HOSPITAL_FAR, THERE, Field, Place

from suyuan.carry.backup import back_up
from suyuan.carry.restore import restore_node
from suyuan.cli import run
from suyuan.cli.serve import check_recovered
from suyuan.node import Node, NodeUnusable, system_clock
from suyuan.relay import asking
from suyuan.relay.following import Follower
from suyuan.relay.heard import unrecovered
from suyuan.relay.link import KIND
from suyuan.relay.nation import Nation
from suyuan.relay.province import Restored
from suyuan.relay.recovery import Recovery


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path)
    made.now = system_clock()  # which commands use
    yield made
    made.close()


@contextlib.contextmanager
def answering(field: Field, folder: Path) -> Iterator[None]:
    """While the nation answers at the address that the settings of a province in this folder name."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answered = field.carry(self.rfile.read(int(self.headers["content-length"])), 0)
            self.send_response(200)
            self.send_header("content-type", KIND)
            self.send_header("content-length", str(len(answered)))
            self.end_headers()
            self.wfile.write(answered)

        def log_message(self, *_: object) -> None:
            pass

    settings = folder / "suyuan.toml"
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as address:
        away = settings.read_text(encoding="utf-8")
        settings.write_text(away.replace("127.0.0.1:9", f"127.0.0.1:{address.server_port}"), encoding="utf-8")
        thread = threading.Thread(target=address.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            address.shutdown()
            thread.join()
            settings.write_text(away, encoding="utf-8")


def box(number: int) -> str:
    return f"8234567{number:013d}"


def claims(folder: Path, *numbers: int) -> Path:
    file = folder / "claims.jsonl"
    file.write_text("".join(json.dumps(_claim(number)) + "\n" for number in numbers), encoding="utf-8")
    return file


def _claim(number: int) -> dict[str, Any]:
    who = {"psn_no": f"person {number}", "chrg_bchno": f"C{number}", "mdtrt_id": f"VC{number}", "insutype": "310"}
    row = {"feedetl_sn": "1", "drug_trac_codg": box(number), "trdn_flag": "0", "min_prcunt_type": "2"}
    head = {"infno": "2207", "msgid": f"{HOSPITAL_A}{number:018d}", "insuplc_admdvs": "440100", "infver": "V1.0"}
    body = {"data": {**who, "medfee_sumamt": 100}, "drug_trac_info": [row]}
    return {**head, "fixmedins_code": HOSPITAL_A, "input": body}


def suyuan(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(one) for one in arguments])
    return code, out.getvalue(), err.getvalue()


def left(field: Field, name: str) -> Path:
    """The folder of a province at rest."""
    field.places[name].node.close()
    return field.places[name].node.folder


def decided(field: Field, folder: Path) -> list[tuple[str, bool]]:
    """What became of each claim: its verdict, and whether it is provisional."""
    place = Place(folder, field.clock)
    with place.node:
        stored = [event for event in place.events("claim:") if event.kind == "claimed" and event.detail.get("answer")]
        return [(event.verdict, event.detail["answer"]["provisional"]) for event in stored]


@pytest.mark.parametrize("command", ["settle", "ingest"])
def test_a_box_that_was_paid_in_another_province_is_not_paid_from_a_file(
    field: Field, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "BUDGET", 20.0)  # however slow this machine is
    assert field.places[THERE].settle(HOSPITAL_FAR, box(1)).verdict == "pay"
    field.relays[THERE].ship()
    folder = left(field, HERE)
    with answering(field, folder):
        code, out, err = suyuan(command, claims(field.folder, 1, 2), "--dir", folder)
    assert (code, "provisional" in out, err) == (1, False, err)
    assert decided(field, folder) == [("refuse", False), ("pay", False)]


@pytest.mark.parametrize("command", ["settle", "ingest"])
def test_without_an_answer_it_is_paid_provisionally_from_a_file_too(field: Field, command: str) -> None:
    assert field.places[THERE].settle(HOSPITAL_FAR, box(1)).verdict == "pay"
    field.relays[THERE].ship()
    folder = left(field, HERE)
    code, out, _ = suyuan(command, claims(field.folder, 1, 2), "--dir", folder)
    assert (code, out.count("provisional")) == (0, 2 if command == "settle" else 0)
    assert decided(field, folder) == [("pay", True), ("pay", True)]


@pytest.mark.parametrize("put_back", [False, True])
def test_a_journal_put_back_by_hand_takes_no_file_and_one_that_stayed_does(field: Field, *, put_back: bool) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    here.node.journal.copy(field.folder / "older")
    here.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    folder = left(field, HERE)
    if put_back:
        shutil.rmtree(folder / "journal")
        (field.folder / "older").rename(folder / "journal")
    stored = Place(folder, field.clock, upload=1000)
    with stored.node:
        before = stored.events()
    code, _, _ = suyuan("settle", claims(field.folder, 3), "--dry-run", "--dir", folder)
    assert code == (3 if put_back else 0)
    stored = Place(folder, field.clock, upload=2000)
    with stored.node:
        assert stored.events() == before
    code, _, err = suyuan("settle", claims(field.folder, 3), "--dir", folder)
    assert (code, f"suyuan relay recover --dir {folder}" in err) == ((3, True) if put_back else (0, False))
    assert [verdict for verdict, _ in decided(field, folder)] == ["pay"] * (1 if put_back else 3)
    with answering(field, folder):
        assert suyuan("relay", "recover", "--dir", folder)[0] == 0
    code, _, err = suyuan("settle", claims(field.folder, 2, 4), "--dir", folder)
    assert (code, err) == (1, "")
    assert [verdict for verdict, _ in decided(field, folder)][-2:] == ["refuse", "pay"]


def test_a_restored_record_takes_no_file_before_it_is_recovered(field: Field) -> None:
    here, file = field.places[HERE], claims(field.folder, 2)
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    back_up(here.node, field.folder / "backup", secrets=True)
    here.settle(HOSPITAL_A, box(2), order="O2")
    field.settle_down()
    here.node.close()
    folder = field.folder / "again"
    restore_node(folder, field.folder / "backup")
    status = ("relay", "status", "--format", "json")
    for command in (("ingest", file), ("settle", file), ("settle", file, "--dry-run"), status):
        code, out, err = suyuan(*command, "--dir", folder)
        assert (code, f"suyuan relay recover --dir {folder}" in out + err) == (1 if command == status else 3, True)
    assert len(decided(field, folder)) == 1
    with answering(field, folder):
        assert suyuan("relay", "recover", "--dir", folder)[0] == 0
    assert suyuan("settle", file, "--dir", folder)[0] == 1
    assert [verdict for verdict, _ in decided(field, folder)] == ["pay", "pay", "refuse"]
    assert suyuan(*status, "--dir", folder)[0] == 0


@pytest.mark.parametrize("nation", ["restored", "as it was"])
def test_a_nation_restored_from_before_a_recovery_is_told_apart_from_one_that_hears_another_node(
    field: Field, nation: str
) -> None:
    here = field.places[HERE]
    here.settle(HOSPITAL_A, box(1))
    field.settle_down()
    back_up(here.node, field.folder / "backup", secrets=True)
    folder = field.folder / "again"
    restore_node(folder, field.folder / "backup")
    field.center.node.journal.copy(field.folder / "older")
    here.node.close()
    field.places[HERE] = here = Place(folder, field.clock, upload=1000)
    assert Recovery(field.relay_of(here)).recover() == 0
    if nation == "restored":
        put_back_nation(field)
    else:
        restore_node(field.folder / "third", field.folder / "backup")
        third = Place(field.folder / "third", field.clock, upload=1000)
        with third.node:
            Recovery(field.relay_of(third)).recover()
    words = "restored from an older copy, from before" if nation == "restored" else "another node has spoken"
    with pytest.raises(Restored, match=f"{words}.*`suyuan relay recover"):
        field.relay_of(here).step()
    assert bool(unrecovered(here.node)) == (nation == "as it was")
    here.node.close()
    with answering(field, folder):
        node = Node.open(folder)
        with node, contextlib.redirect_stderr(said := io.StringIO()):
            if nation == "as it was":
                with pytest.raises(NodeUnusable, match="another node has spoken"):
                    check_recovered(node)
                return
            check_recovered(node)
        assert "suyuan relay recover" in said.getvalue()
        assert suyuan("settle", claims(field.folder, 2), "--dir", folder)[0] == 0
        assert suyuan("relay", "recover", "--dir", folder)[0] == 0
    field.places[HERE] = here = Place(folder, field.clock, upload=3000)
    field.connect(HERE)
    field.settle_down()
    assert [event.verdict for event in field.center.events("trace20:")] == ["pay", "pay"]


def put_back_nation(field: Field) -> None:
    """The nation's journal that was copied to `older` lies in its folder again."""
    folder = field.center.node.folder
    field.center.node.close()
    shutil.rmtree(folder / "journal")
    (field.folder / "older").rename(folder / "journal")
    field.center = Place(folder, field.clock, upload=5000)
    field.nation, field.follower = Nation(field.center.node), Follower(field.center.node)
