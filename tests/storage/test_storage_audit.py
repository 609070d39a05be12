"""The audit record: every line is on disk before it counts, and no line is altered, dropped or moved unseen."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from started import Started

from suyuan.storage.audit import HEAD, AuditBroken, AuditRecord, Line, head_of
from suyuan.storage.database import engine_at, is_server
from suyuan.storage.tables import Tables


@pytest.fixture
def path(place: str) -> str:
    """A file that is not there yet, and a database with tables."""
    if is_server(place):
        Tables.open(place).close()
    return place


@pytest.fixture
def record(path: str) -> Iterator[AuditRecord]:
    opened = AuditRecord.open(path)
    for number in range(1, 8):
        opened.append("trace.read", f"box {number}", f"case {number}", who="li", role="inspector")
    yield opened
    opened.close()


def tampered(path: str, *statements: str) -> None:
    """Somebody with the file and a tool takes the guards off and changes it."""
    if is_server(path):
        with psycopg.connect(path) as connection:
            connection.execute("ALTER TABLE audit_lines DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement.replace("lines", "audit_lines").encode())
        return
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER lines_stay")
        raw.execute("DROP TRIGGER lines_remain")
        for statement in statements:
            raw.execute(statement)
    raw.close()


def test_a_whole_record_verifies_and_tells_its_head(record: AuditRecord) -> None:
    verified = record.verify()
    assert (verified.lines, verified.faults) == (7, [])
    assert verified.head.startswith("7 ")
    assert record.verify(verified.head).faults == []


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["UPDATE lines SET reason = 'curiosity' WHERE number = 3"], "line 3 is not as it was written"),
        (["UPDATE lines SET at = at - 1 WHERE number = 7"], "line 7 is not as it was written"),
        (["DELETE FROM lines WHERE number = 4"], "lines 4 to 4 are missing"),
        (
            ["DELETE FROM lines WHERE number = 4", "UPDATE lines SET number = number - 1 WHERE number > 4"],
            "line 4 is not as it was written",
        ),
        (
            [
                "UPDATE lines SET number = 100 WHERE number = 2",
                "UPDATE lines SET number = 2 WHERE number = 3",
                "UPDATE lines SET number = 3 WHERE number = 100",
            ],
            "line 2 is not as it was written",
        ),
        (["DELETE FROM lines WHERE number > 5"], "noted as the head, is missing"),
        (["DELETE FROM lines"], "noted as the head, is missing"),
    ],
)
def test_a_line_altered_dropped_moved_or_cut_off_is_found(
    record: AuditRecord, path: str, statements: list[str], fault: str
) -> None:
    head = record.verify().head
    tampered(path, *statements)
    assert any(fault in found for found in record.verify(head).faults)


def test_a_record_written_anew_from_the_first_line_is_found_by_a_head_noted_earlier(path: str, tmp_path: Path) -> None:
    first, second = AuditRecord.open(path), AuditRecord.open(tmp_path / "forged.sqlite")
    first.append("trace.read", "box 1", "case 1")
    second.append("trace.read", "box 1", "case 2")
    assert second.verify().faults == []
    assert second.verify(first.verify().head).faults == ["line 1 is not the one that was noted as the head"]
    first.close()
    second.close()


def test_the_file_itself_refuses_to_change_or_lose_a_line(record: AuditRecord, path: str) -> None:
    table = "audit_lines" if is_server(path) else "lines"
    engine = engine_at(path)
    for statement in (f"UPDATE {table} SET who = 'nobody'", f"DELETE FROM {table}"):
        with pytest.raises(sa.exc.DBAPIError, match="lines are never"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()
    assert record.verify().lines == 7


def test_threads_and_openings_write_one_chain(record: AuditRecord, path: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: record.append("many", str(number)), range(100)))
    other = AuditRecord.open(path)
    other.append("another process", "x")
    record.append("the first again", "y")
    assert record.verify().faults == []
    assert [line.number for line in other.lines()] == list(range(1, 110))
    other.close()


def test_the_head_is_kept_elsewhere_with_every_line_of_a_file(tmp_path: Path) -> None:
    heads: list[str] = []
    record = AuditRecord.open(tmp_path / "audit.sqlite", heads.append)
    record.append("one", "x")
    record.append("two", "y")
    assert heads == [f"{line.number} {line.hash}" for line in record.lines()]
    record.close()


def test_a_database_keeps_the_head_with_the_line(database: str) -> None:
    with Tables.open(database) as tables:
        record = AuditRecord.open(database)
        for action in ("one", "two"):
            line = record.append(action, "x")
            assert tables.meta(HEAD) == head_of(line)
        record.close()


def test_lines_are_found_from_the_latest_back(record: AuditRecord) -> None:
    def numbers(lines: list[Line]) -> list[int]:
        return [line.number for line in lines]

    assert numbers(record.find(limit=3)) == [7, 6, 5]
    assert numbers(record.find(limit=3, before=5)) == [4, 3, 2]
    assert numbers(record.find(text="case 2")) == [2]
    assert numbers(record.find(text="%")) == []
    assert numbers(record.find(action="trace")) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(record.find(action="key")) == []


KILLED = """
import os, sys
from suyuan.storage.audit import AuditRecord
record = AuditRecord.open(sys.argv[1])
for number in range(20):
    line = record.append("trace.read", str(number))
    os.write(1, f"{line.number} {line.hash}\\n".encode())
os.kill(os.getpid(), 9)
"""


def test_what_was_recorded_before_a_kill_is_there_after_it(path: str, tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED, encoding="utf-8")
    killed = Started(tmp_path / "killed.py", path)
    with killed.stdout:
        heads = killed.stdout.read().splitlines()
    assert killed.wait() == -9
    assert len(heads) == 20
    record = AuditRecord.open(path)
    assert record.verify(*heads).faults == []
    record.close()


MANY = """
import sys
from suyuan.storage.audit import AuditRecord
record = AuditRecord.open(sys.argv[1])
for number in range(25):
    record.append("many", f"{sys.argv[2]} {number}")
record.close()
"""


def test_processes_write_one_chain(path: str, tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(MANY, encoding="utf-8")
    running = [Started(tmp_path / "many.py", path, number) for number in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    for one in running:
        one.stdout.close()
    record = AuditRecord.open(path)
    assert record.verify().faults == []
    assert record.verify().lines == 75
    record.close()


def test_a_file_that_is_no_record_is_refused_with_words(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(AuditBroken, match="cannot be opened"):
        AuditRecord.open(path)


def test_a_line_that_cannot_be_written_is_refused_with_words(path: str) -> None:
    record = AuditRecord.open(path)
    engine = engine_at(path)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {'audit_lines' if is_server(path) else 'lines'}")
    engine.dispose()
    with pytest.raises(AuditBroken, match="cannot be written"):
        record.append("trace.read", "box 1", "case 1")
    record.close()
