"""A question reads the lake and nothing else, and its refusal is in words."""

from pathlib import Path
from typing import Any

import pytest
from sealed_lake import START, Facts, journal_of, lake_of

from suyuan.lake.lake import Lake
from suyuan.lake.query import ask
from suyuan.lake.refusals import QuestionRefused
from suyuan.ledger.events import Event

FIRST, SECOND = "H44010000001", "P44010000002"
ONE, OTHER = "trace20:" + "8" * 20, "gs1:09520000016326:S1"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    facts = Facts()
    given: dict[str, Any] = {"event_time": START, "arrived": START, "reasons": (), "status": "accepted", "verdict": ""}

    def said(kind: str, key: str, actor: str, **more: Any) -> Event:
        return facts.event(kind=kind, key=key, actor=actor, region="440100", **{**given, **more})

    events = [
        said("shipped", ONE, FIRST),
        said("received", ONE, SECOND),
        said("sold", ONE, FIRST, price=5),
        said("sold", ONE, SECOND),
        said("claimed", ONE, FIRST, verdict="pay", price=7),
        said("sold", OTHER, FIRST),
        said("sold", OTHER, FIRST, status="conflict_sold"),
        said("sold", f"elsewhere:{OTHER}", SECOND),
        said("relayed", "relay:44", SECOND),
    ]
    made = lake_of(tmp_path, journal_of([events]))
    made.seal()
    return made


def test_codes_that_two_institutions_sold_are_told_and_those_of_one_are_not(lake: Lake) -> None:
    assert [(row[0], row[1], row[2], row[3]) for row in lake.query("two_institutions").rows] == [
        (ONE, 2, FIRST, SECOND)
    ]


def test_flows_are_what_both_sides_say(lake: Lake) -> None:
    assert [row[:3] for row in lake.query("flows").rows] == [(FIRST, SECOND, 1)]


def test_a_day_of_an_institution_counts_its_sales_claims_and_amounts(lake: Lake) -> None:
    assert [row[1:] for row in lake.query("daily").rows] == [
        (FIRST, "440100", 3, 1, 1, 7),
        (SECOND, "440100", 1, 0, 0, 0),
    ]


def test_what_others_said_is_sealed_and_no_fact_of_this_node(lake: Lake) -> None:
    assert lake.query("SELECT count(*) FROM sealed").rows == [(9,)]
    assert lake.query("SELECT count(*) FROM events").rows == [(7,)]
    assert lake.query("SELECT key, sales, paid FROM boxes ORDER BY key").rows == [(OTHER, 2, 0), (ONE, 2, 1)]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("SELECT nothing FROM events", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELEC", "no SQL"),
        ("", "one SELECT"),
        ("DROP VIEW events", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("COPY (SELECT 1) TO 'x.csv'", "one SELECT"),
        ("SET threads = 1", "one SELECT"),
        ("INSTALL httpfs", "one SELECT"),
        ("SELECT * FROM read_csv('/etc/hostname')", "nothing else; not 'read_csv'"),
        ("SELECT * FROM read_text('{folder}/manifest.json')", "nothing else; not 'read_text'"),
        ("SELECT * FROM glob('/etc/*')", "nothing else; not 'glob'"),
        ("SELECT * FROM query('SELECT 1')", "nothing else; not 'query'"),
        ("WITH own AS (FROM '/etc/x.csv') SELECT 1 FROM own", "nothing else; not '/etc/x.csv'"),
        ("EXPLAIN ANALYZE CREATE TABLE own AS SELECT 1", "one SELECT"),
    ],
)
def test_a_question_that_is_wrong_or_reaches_beyond_the_lake_is_refused(lake: Lake, question: str, words: str) -> None:
    with pytest.raises(QuestionRefused, match=words):
        lake.query(question.format(folder=lake.folder))
    assert lake.query("SELECT 1 AS one").rows == [(1,)]


def test_pseudonyms_are_shown_only_to_who_may_see_them(lake: Lake) -> None:
    assert ask(lake.folder, "SELECT person, prescriber FROM events").rows
    with pytest.raises(QuestionRefused, match="person"):
        ask(lake.folder, "SELECT person FROM events", personal=False)
    assert "person" not in ask(lake.folder, "SELECT * FROM sealed", personal=False).columns


def test_no_question_gets_at_the_files_behind_the_views_nor_writes_them(lake: Lake) -> None:
    [file, *_] = sorted(lake.folder.rglob("*.parquet"))
    stored = file.read_bytes()
    for question in (
        "SELECT person FROM read_parquet('{}')",
        "SELECT person FROM '{}'",
        "SELECT (SELECT max(person) FROM parquet_scan(['{}'])) FROM events",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{}' (FORMAT csv, USE_TMP_FILE false)",
    ):
        with pytest.raises(QuestionRefused):
            ask(lake.folder, question.format(file), personal=False)
    assert file.read_bytes() == stored
    assert ask(lake.folder, "EXPLAIN ANALYZE SELECT count(*) FROM events JOIN range(3) ON true").rows


def test_an_answer_is_cut_and_a_question_without_end_is_ended(lake: Lake) -> None:
    cut = ask(lake.folder, "SELECT feed FROM sealed ORDER BY feed", rows=4)
    assert (cut.rows, cut.cut) == ([(0,), (1,), (2,), (3,)], True)
    assert not ask(lake.folder, "SELECT feed FROM sealed", rows=9).cut
    with pytest.raises(QuestionRefused, match="longer than"):
        ask(
            lake.folder,
            "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range % 7 = b.range % 11",
            seconds=0.3,
        )


def test_parameters_fill_in_what_a_program_asks_for(lake: Lake) -> None:
    assert lake.query("SELECT count(*) FROM events WHERE key = ?", [ONE]).rows == [(5,)]
    assert lake.query("SELECT count(*) FROM events WHERE key = $key", {"key": "x' OR '1'='1"}).rows == [(0,)]
