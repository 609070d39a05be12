"""The lake from the command line: seal, ask, tidy up, mend; each refusal in words."""

import json

from cli_shell import HOSPITAL, PHARMACY, Shell

BOX = "82345670000000000017"


def test_a_node_is_sealed_asked_and_put_in_order_by_command(town: Shell) -> None:
    for seller, receipt in ((HOSPITAL, "R1"), (PHARMACY, "R2")):
        row = {"code": BOX, "event_time": "2026-03-02 08:00:00", "receipt": receipt, "quantity": "1"}
        town.ingest("sold", seller, row)
    sealed = town.ask("lake", "seal")
    assert sealed["sealed"] == sealed["events"] > 2
    assert town.ask("lake", "seal")["sealed"] == 0
    assert town.ask("lake", "status")["segments"] == 1
    row = town.ask("lake", "query", "two_institutions")
    assert (row["key"], row["one"], row["another"]) == (f"trace20:{BOX}", HOSPITAL, PHARMACY)
    told = town(
        "lake", "query", "SELECT kind FROM events WHERE kind = 'sold' AND system = 'trace20'", "--format", "csv"
    )
    assert told.out == "kind\nsold\nsold\n"
    assert town.ask("lake", "compact")["files"] == 0
    assert town.ask("lake", "mend") == {"damaged": [], "made": []}
    assert town.ask("lake", "retain", "--days", "1")["files"] == 0
    assert (town.folder / "checkpoints").exists(), "what was sealed is signed"


def test_a_damaged_file_is_named_by_the_question_and_mended(town: Shell) -> None:
    town.ingest("sold", HOSPITAL, {"code": BOX, "event_time": "2026-03-02 08:00:00", "receipt": "R1"})
    town.ask("lake", "seal")
    (path,) = (town.folder / "lake" / "events").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    asked = town("lake", "query", "SELECT * FROM sealed")
    assert asked.code == 3
    assert path.name in asked.err
    assert "suyuan lake mend" in asked.err
    mended = town("lake", "mend", "--format", "json")
    assert mended.code == 1
    assert json.loads(mended.out)["made"] == [f"events/{path.name}"]
    assert town("lake", "query", "SELECT * FROM sealed").code == 0


def test_pseudonyms_need_a_reason_and_the_reason_is_recorded(town: Shell) -> None:
    town.ask("lake", "seal")
    asked = ("lake", "query", "SELECT count(DISTINCT person) AS persons FROM events")
    refused = town(*asked)
    assert refused.code == 2
    assert "person" in refused.err
    assert town(*asked, "--personal", "case 7").code == 0
    exported = town("access", "audit", "export").out
    assert "lake.query" in exported
    assert "case 7" in exported


def test_wrong_use_is_refused_in_words(town: Shell) -> None:
    assert town("lake", "query", "DROP VIEW events").code == 2
    assert town("lake", "query", "daily", "--limit", "-1").code == 2
    assert town("lake", "retain", "--days", "0").code == 2
    assert town("lake", "status").code == 0
