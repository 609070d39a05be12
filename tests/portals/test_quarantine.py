"""A message on which our own code fails is kept sealed with the error, its sender is told, and the rest goes on."""

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from story import PHARMACY_P

from suyuan.cli import run
from suyuan.formats import epcis, nhsa
from suyuan.intake import upload as upload_module
from suyuan.intake.claims import take_claim
from suyuan.intake.scans import take_scan
from suyuan.ledger.ledger import Books
from suyuan.node import Node
from suyuan.portals.app import application
from suyuan.portals.quarantined import retry
from suyuan.storage.quarantine import TRACE_MAX, Quarantine, QuarantineFull

POISON = "82345670000000000666"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "suyuan.toml").write_text('policy = "strict"\nblock_cache_mb = 8\n')
    with Node.open(tmp_path / "node") as opened:
        yield opened


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A decision that fails on one box, as a fault of ours would make it."""
    take = take_scan

    def fails(books: Books, fact: Any, *rest: Any) -> Any:
        if fact.key.endswith(POISON):
            raise ZeroDivisionError("no unit in the box")
        return take(books, fact, *rest)

    monkeypatch.setattr(upload_module, "take_scan", fails)
    return monkeypatch


def sale(code: str) -> dict[str, Any]:
    line = {"line": "1", "codes": [code]}
    told = {"time": "2026-03-09T10:00:00+08:00", "references": {"receipt": f"R{code}"}, "lines": [line]}
    return {"id": f"till-{code[-3:]}", "sales": [told]}


def answered(node: Node, *asked: tuple[str, Any]) -> list[httpx.Response]:
    """Posts, and questions without a body, at the same time, as the pharmacy."""
    issued = node.tables.create_credential(PHARMACY_P)

    async def all_of_them() -> list[httpx.Response]:
        app = application(node)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {issued.id}.{issued.secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            node.views  # noqa: B018  opened here
            site = app.site  # type: ignore[attr-defined]
            await site.start()
            try:
                return list(
                    await asyncio.gather(
                        *(client.request("POST" if body else "GET", path, **body) for path, body in asked)
                    )
                )
            finally:
                await site.stop()

    return asyncio.run(all_of_them())


def test_a_poisoned_upload_is_kept_and_the_others_of_its_group_are_taken(
    node: Node, poisoned: pytest.MonkeyPatch
) -> None:
    codes = ["82345670000000000001", POISON, "82345670000000000002"]
    first, bad, second = answered(node, *(("/api/v1/sales", {"json": sale(code)}) for code in codes))
    assert (first.status_code, second.status_code) == (200, 200)
    assert (bad.status_code, bad.json()["code"]) == (422, "quarantined")
    (kept,) = node.quarantine.all()
    assert str(kept.number) == bad.json()["value"]
    assert (kept.by, kept.step, kept.error) == (PHARMACY_P, "take", "ZeroDivisionError")
    assert "take_scan" in kept.trace or "fails" in kept.trace
    raw = (node.folder / "quarantine.sqlite").read_bytes()
    assert POISON.encode() not in raw, "it is sealed"
    assert b"no unit" not in raw, "and so is what the error says"
    assert retry(node, kept.number).startswith(f"{kept.number} failed again")
    assert node.quarantine.all()[0].tries == 2
    poisoned.undo()
    assert retry(node, kept.number) == f"{kept.number} was taken: 1 records"
    assert node.quarantine.all() == []
    assert node.ledger.read([f"trace20:{POISON}"])[f"trace20:{POISON}"]


def test_a_message_that_crashes_its_reader_is_kept_and_answered_in_its_own_envelope(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(*_: object) -> None:
        raise IndexError("no such row")

    wrong = {one.infno: msgspec.structs.replace(one, read=crashes) for one in nhsa.TRANSACTIONS if one.infno == "2207"}
    monkeypatch.setattr(nhsa, "_BY_INFNO", {**nhsa._BY_INFNO, **wrong})
    message = {"infno": "2207", "msgid": "M1", "fixmedins_code": PHARMACY_P, "input": {"data": {}}}
    (bad,) = answered(node, ("/fsi/api/rsfComIfsService/callService", {"json": message}))
    assert bad.json()["infcode"] == -1
    assert "封存待查" in bad.json()["err_msg"]
    (kept,) = node.quarantine.all()
    assert (kept.door, kept.step, kept.error) == ("nhsa", "read", "IndexError")


def test_a_claim_whose_lines_add_up_to_more_than_can_be_stored_is_kept_apart_and_draws_nothing(node: Node) -> None:
    def claim(lines: int) -> dict[str, Any]:
        told = [
            {"line": str(at), "product": "X", "amount": "999999999999.99", "codes": [{"code": f"8234567{at:013}"}]}
            for at in range(lines)
        ]
        return {"setting": "pharmacy", "references": {"order": f"O{lines}"}, "lines": told}

    absurd, large = answered(node, *(("/api/v1/claims", {"json": claim(lines)}) for lines in (12, 8)))
    assert (absurd.status_code, absurd.json()["code"]) == (422, "quarantined")
    assert large.json()["amount"] == "7999999999999.92"
    assert [kept.error for kept in node.quarantine.all()] == ["OverflowError"]
    assert not node.ledger.read(["trace20:82345670000000000011"])["trace20:82345670000000000011"]


def test_of_a_file_only_the_poisoned_part_stays_out(
    node: Node, poisoned: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.portals.api.files.CHUNK_ROWS", 2)
    rows = [f"sold,{code},2026-03-09 10:00:00,R{code}" for code in ("82345670000000000001", "82345670000000000002")]
    rows += [f"sold,{POISON},2026-03-09 10:00:00,R1", "sold,82345670000000000003,2026-03-09 10:00:00,R3"]
    rows += ["sold,82345670000000000004,2026-03-09 10:00:00,R4"]
    body = "\n".join(["kind,code,event_time,receipt", *rows, ""]).encode()
    (told,) = answered(node, ("/api/v1/files", {"content": body, "headers": {"content-type": "text/csv"}}))
    assert told.status_code == 200, told.text
    assert told.json()["lines"] == 3
    assert "own program failed" in told.json()["fatal"][0]
    assert len(node.quarantine.all()) == 1


class Sent(NamedTuple):
    """The page of a draft, judged and then sent."""

    judged: str
    page: str


def sent_from_a_page(node: Node, name: str, body: bytes) -> Sent:
    """A file that the pharmacy chooses, has judged, and sends."""
    issued = node.tables.create_credential(PHARMACY_P)
    headers = {"authorization": f"Bearer {issued.id}.{issued.secret}", "accept-language": "zh"}

    async def ended(client: httpx.AsyncClient, address: str) -> str:
        for _ in range(500):
            await asyncio.sleep(0.02)
            if not (await client.get(f"{address}/progress")).json()["running"]:
                break
        return (await client.get(address)).text

    async def story() -> Sent:
        app = application(node)
        site = app.site  # type: ignore[attr-defined]
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            await site.start()
            try:
                begun = await client.post("/institution/upload", files={"file": (name, body)})
                address = begun.headers["location"]
                judged = await ended(client, address)
                await client.post(f"{address}/send")
                return Sent(judged, await ended(client, address))
            finally:
                await site.stop()

    return asyncio.run(story())


def test_of_a_file_sent_from_a_page_only_the_poisoned_part_stays_out(
    node: Node, poisoned: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.portals.drafts.CHUNK_ROWS", 1)
    codes = ["82345670000000000001", POISON, "82345670000000000002"]
    rows = [f"sold,{code},2026-03-09 10:00:00,R{code}" for code in codes]
    sent = sent_from_a_page(node, "sales.csv", "\n".join(["kind,code,event_time,receipt", *rows, ""]).encode())
    assert "提交2行" in sent.judged, "the others can be sent"
    assert "程序处理时出错，未受理也未封存" in sent.judged
    assert "报文已封存待查，编号1" in sent.page
    assert [kept.step for kept in node.quarantine.all()] == ["take"]
    assert len(list(node.journal.keys("trace20:"))) == 2
    poisoned.undo()
    assert retry(node, 1) == "1 was taken: 1 records"


def test_of_messages_sent_from_a_page_the_one_that_crashes_its_reader_is_kept(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = nhsa.read

    def crashes(raw: bytes, infno: str = "") -> Any:
        if b"CRASH" in raw:
            raise IndexError("no such row")
        return read(raw, infno)

    monkeypatch.setattr(nhsa, "read", crashes)
    lines = []
    for number, code in enumerate(("82345670000000000001", "CRASH", "82345670000000000002")):
        row = {"feedetl_sn": "1", "trdn_flag": "0", "min_prcunt_type": "2", "drug_trac_codg": code}
        data = {"psn_no": "1", "mdtrt_id": f"V{number}", "chrg_bchno": f"O{number}", "medfee_sumamt": 10}
        told = {"data": data, "drug_trac_info": [row]}
        lines.append(json.dumps({"infno": "2207", "msgid": f"M{number}", "fixmedins_code": PHARMACY_P, "input": told}))
    sent = sent_from_a_page(node, "messages.jsonl", "\n".join(lines).encode())
    assert "报文已封存待查，编号1" in sent.page
    assert [(kept.door, kept.step, kept.by) for kept in node.quarantine.all()] == [("nhsa", "read", PHARMACY_P)]
    assert len(list(node.journal.keys("trace20:"))) == 2


def test_lines_of_which_only_the_address_says_what_happened_are_taken_when_they_are_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise IndexError("no such column")

    rows = b"code,event_time,receipt\n82345670000000000001,2026-03-09 10:00:00,R1\n"
    with monkeypatch.context() as broken:
        broken.setattr("suyuan.formats.tables.records_of", fails)
        asked = {"content": rows, "headers": {"content-type": "text/csv"}}
        answered(node, ("/api/v1/files?kind=sold", asked))
    (kept,) = node.quarantine.all()
    assert (kept.door, kept.by) == ("table/sold", PHARMACY_P)
    assert retry(node, kept.number) == f"{kept.number} was taken: 1 records"
    assert node.quarantine.all() == []


def test_the_command_line_says_whether_a_message_on_which_its_reader_fails_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: bytes) -> Any:
        raise IndexError("no such row")

    monkeypatch.setattr(nhsa, "read", fails)
    monkeypatch.setattr("suyuan.storage.quarantine.MESSAGES_MAX", 1)
    path, rejects = tmp_path / "messages.json", tmp_path / "rejects.json"
    path.write_bytes(b'{"infno": "3505", "input": {}}\n{"infno": "3506", "input": {}}\n')
    take = ["ingest", str(path), "--by", PHARMACY_P, "--dir", str(tmp_path / "node")]
    assert run([*take, "--rejects", str(rejects)]) == 1
    told = capsys.readouterr().err
    assert "line 1: Our own program failed on it; it is kept apart" in told
    assert "line 2: Our own program failed on it, and there is no room to keep it apart" in told
    assert ["no room" in line for line in rejects.read_text().splitlines()] == [False, True]


def test_of_a_dry_run_nothing_is_kept_that_could_be_recorded_later(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: bytes) -> Any:
        raise IndexError("no such row")

    monkeypatch.setattr(nhsa, "read", fails)
    monkeypatch.setattr(epcis, "read", fails)
    message, document = b'{"infno": "3505", "input": {}}', {"type": "EPCISDocument"}
    asked = {"content": message, "headers": {"content-type": "application/json"}}
    told, captured = answered(
        node, ("/api/v1/files?dry_run=true", asked), ("/api/v1/epcis/capture?dry_run=true", {"json": document})
    )
    assert "nothing of it was kept" in told.text
    assert "nothing of it was kept" in captured.text
    assert node.quarantine.count() == 0
    (kept,) = answered(node, ("/api/v1/files", asked))
    assert "it is kept, and the operator is told. Number 1." in kept.text
    assert node.quarantine.count() == 1
    path = node.folder.parent / "message.json"
    path.write_bytes(message)
    node.close()
    assert run(["ingest", str(path), "--by", PHARMACY_P, "--dry-run", "--dir", str(node.folder)]) == 1
    assert "nothing of it was kept" in capsys.readouterr().err
    with Node.open(node.folder) as again:
        assert again.quarantine.count() == 1


def test_the_operator_lists_shows_tries_and_drops_what_is_kept(node: Node, tmp_path: Path) -> None:
    folder = node.folder
    node.quarantine.keep("nhsa", "read", b'{"infno": "2207"}', PHARMACY_P, IndexError("no such row"))
    node.quarantine.keep("nhsa", "read", b"not a message", PHARMACY_P, IndexError("no such row"))
    node.close()
    assert run(["quarantine", "list", "--dir", str(folder), "--format", "json"]) == 1
    assert run(["quarantine", "show", "1", "--dir", str(folder)]) == 0
    assert run(["quarantine", "show", "1", "--raw", str(tmp_path / "raw"), "--dir", str(folder)]) == 2
    why = ["--raw", str(tmp_path / "raw"), "--reason", "ticket 7"]
    assert run(["quarantine", "show", "1", *why, "--dir", str(folder)]) == 0
    assert json.loads((tmp_path / "raw").read_bytes()) == {"infno": "2207"}
    assert run(["quarantine", "drop", "1", "--dir", str(folder)]) == 0
    assert run(["quarantine", "drop", "1", "--dir", str(folder)]) == 3
    assert run(["quarantine", "retry", "2", "--dir", str(folder)]) == 1
    assert run(["quarantine", "list", "--dir", str(folder)]) == 1, "what is refused stays"
    assert run(["quarantine", "drop", "2", "--dir", str(folder)]) == 0
    with Node.open(folder) as again:
        assert [line.reason for line in again.audit.lines()] == ["ticket 7", "dropped", "dropped"]


def test_what_an_error_says_is_sealed_and_opened_with_a_reason(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    folder = node.folder
    said = {"phone": "phone 13800000000 \ud800"}
    try:
        int(said["phone"])
    except ValueError as error:
        node.quarantine.keep("nhsa", "read", b"a message", PHARMACY_P, error)
    assert said["phone"] not in str(node.quarantine.all())
    node.close()
    for file in folder.glob("quarantine.sqlite*"):
        assert b"13800000000" not in file.read_bytes()
    assert run(["quarantine", "show", "1", "--dir", str(folder)]) == 0
    assert "13800000000" not in capsys.readouterr().out
    assert run(["quarantine", "show", "1", "--reason", "ticket 8", "--dir", str(folder)]) == 0
    assert "13800000000" in capsys.readouterr().out
    with Node.open(folder) as again:
        assert [line.reason for line in again.audit.lines()] == ["ticket 8"]


def test_what_a_file_of_before_has_in_the_clear_is_sealed_when_it_is_opened(node: Node) -> None:
    path = node.folder / "quarantine.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(OLD)
        row = (1, PHARMACY_P, "nhsa", "read", "m", "ValueError: no 13800000000", "at 13800000000", 1)
        old.execute("INSERT INTO messages VALUES (NULL,?,?,?,?,?,?,?,?,?)", (*row, node.privacy.seal(b"it")[1]))
    found = node.quarantine.one(1)
    assert found is not None
    assert (found[0].error, found[0].trace, found[1]) == ("ValueError", "", (b"it", "at 13800000000"))
    node.close()
    assert b"13800000000" not in path.read_bytes()


OLD = """
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, by TEXT NOT NULL, door TEXT NOT NULL,
    step TEXT NOT NULL, message TEXT NOT NULL UNIQUE, error TEXT NOT NULL, trace TEXT NOT NULL, tries INTEGER NOT NULL,
    sealed BLOB NOT NULL
)
"""


@pytest.mark.parametrize(("bound", "most"), [("MESSAGES_MAX", 1), ("BYTES_MAX", 60_500)])
def test_a_full_quarantine_refuses_the_next_message_and_drops_none(
    node: Node, poisoned: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    node.quarantine.keep("nhsa", "read", os.urandom(60_000), PHARMACY_P, IndexError("first"))
    assert node.quarantined() == (1, False)
    poisoned.setattr(f"suyuan.storage.quarantine.{bound}", most)
    told = {"json": sale(POISON)}
    ready, refused, fine = answered(
        node, ("/readyz", {}), ("/api/v1/sales", told), ("/api/v1/sales", {"json": sale("82345670000000000001")})
    )
    assert "full with 1 messages" in ready.json()["notes"]["quarantine"]
    assert (refused.status_code, refused.json()["code"], fine.status_code) == (507, "quarantine_full", 200)
    assert [kept.number for kept in node.quarantine.all()] == [1]
    node.quarantine.drop(1)
    assert answered(node, ("/api/v1/sales", told))[0].json()["code"] == "quarantined"


def test_where_a_program_failed_takes_room_in_the_quarantine_too(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def ping(depth: int) -> int:
        return pong(depth - 1) if depth else 1 // depth

    def pong(depth: int) -> int:
        return ping(depth - 1) if depth else 1 // depth

    with pytest.raises(ZeroDivisionError) as failed:
        ping(300)
    monkeypatch.setattr("suyuan.storage.quarantine.BYTES_MAX", TRACE_MAX * 3 // 2)
    node.quarantine.keep("nhsa", "read", b"first", PHARMACY_P, failed.value)
    with pytest.raises(QuarantineFull):
        node.quarantine.keep("nhsa", "read", b"second", PHARMACY_P, failed.value)
    node.quarantine.keep("nhsa", "read", b"short", PHARMACY_P, IndexError("no such row"))
    assert node.quarantine.count() == 2


def test_threads_that_ask_for_the_quarantine_at_once_get_one(node: Node) -> None:
    together = threading.Barrier(8)

    def ask(_: int) -> Quarantine:
        together.wait()
        return node.quarantine

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(8)))) == 1


def test_a_quarantine_that_cannot_be_read_keeps_the_server_neither_from_serving_nor_from_stopping(
    node: Node, poisoned: pytest.MonkeyPatch
) -> None:
    (node.folder / "quarantine.sqlite").write_bytes(b"no database" * 1_000)
    app = application(node)

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
        inner = app.application  # type: ignore[attr-defined]
        served = inner.router.lifespan_context(inner)
        async with served, httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [await client.get(path) for path in ("/readyz", "/metrics")]

    ready, figures = asyncio.run(asked())
    assert ready.status_code == 200
    assert "cannot be read" in ready.json()["notes"]["quarantine"]
    assert figures.status_code == 200
    assert "suyuan_quarantined 0.0" in figures.text
    refused, taken = answered(
        node, ("/api/v1/sales", {"json": sale(POISON)}), ("/api/v1/sales", {"json": sale("82345670000000000001")})
    )
    assert (refused.status_code, refused.json()["code"], taken.status_code) == (507, "quarantine_full", 200)


def test_what_was_acknowledged_is_kept_though_the_quarantine_is_full(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.storage.quarantine.MESSAGES_MAX", 0)
    with pytest.raises(QuarantineFull):
        node.quarantine.keep("document", "take", b"new", PHARMACY_P, IndexError("no such row"))
    node.quarantine.keep("document", "take", b"promised", PHARMACY_P, IndexError("no such row"), acknowledged=True)
    found = node.quarantine.one(1)
    assert found is not None
    assert found[1].content == b"promised"


def test_the_command_line_keeps_apart_what_fails_and_goes_on_with_the_rest(
    tmp_path: Path, poisoned: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = nhsa.read

    def crashes(raw: bytes, infno: str = "") -> Any:
        if b"CRASH" in raw:
            raise IndexError("no such row")
        return read(raw, infno)

    poisoned.setattr(nhsa, "read", crashes)
    row = {"feedetl_sn": "1", "trdn_flag": "0", "min_prcunt_type": "2"}
    lines = []
    for number, code in enumerate(("82345670000000000001", POISON, "82345670000000000002", "CRASH")):
        data = {"psn_no": "1", "mdtrt_id": f"V{number}", "chrg_bchno": f"O{number}", "medfee_sumamt": 10}
        told = {"data": data, "drug_trac_info": [{**row, "drug_trac_codg": code}]}
        lines.append(json.dumps({"infno": "2207", "msgid": f"M{number}", "fixmedins_code": PHARMACY_P, "input": told}))
    (tmp_path / "messages.jsonl").write_text("\n".join(lines))
    poisoned.setattr(upload_module, "take_claim", _failing_claim)
    assert run(["ingest", str(tmp_path / "messages.jsonl"), "--dir", str(tmp_path / "shop")]) == 1
    assert capsys.readouterr().err.count("the program itself failed on a message") == 2
    poisoned.undo()
    with Node.open(tmp_path / "shop") as node:
        assert [(kept.step, kept.by) for kept in node.quarantine.all()] == [("take", PHARMACY_P), ("read", "")]
        assert len(list(node.journal.keys("trace20:"))) == 2
        assert retry(node, 1) == "1 was taken: 1 records"
        assert len(list(node.journal.keys("trace20:"))) == 3


def _failing_claim(books: Books, prepared: Any, **more: Any) -> Any:
    if POISON in str(prepared.claim.lines):
        raise ZeroDivisionError("no unit in the box")
    return take_claim(books, prepared, **more)
