"""Files through the door: what was read, what came of it, which lines come back, and what they need to go in."""

import json

import pytest
from cli_shell import DRUG, FAR_AWAY, HOSPITAL, MAKER, PHARMACY, Shell, claim

BOX, OTHER = "82345670000000000017", "82345670000000000024"
HEADER = "kind,code,event_time,receipt,quantity\n"
NOON = "2026-03-09 12:00:00"
COUNTS = ("read", "accepted", "repeated", "conflicts", "rejected")


def counts(shell: Shell, *arguments: object) -> tuple[int, ...]:
    ran = shell("ingest", *arguments, "--format", "json")
    [summary] = ran.values
    assert list(summary) == [*COUNTS, "seconds"]
    assert ran.code == (1 if summary["rejected"] or summary["conflicts"] else 0)
    assert summary["read"] == sum(summary[name] for name in COUNTS[1:])
    return tuple(summary[name] for name in COUNTS)


def test_what_is_sent_twice_is_repeated_and_what_contradicts_is_a_conflict(town: Shell) -> None:
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\nsold,{OTHER},{NOON},R1,1\n")
    assert counts(town, sales, "--by", PHARMACY) == (2, 2, 0, 0, 0)
    assert counts(town, sales, "--by", PHARMACY) == (2, 0, 2, 0, 0)
    assert counts(town, sales, "--by", FAR_AWAY) == (2, 0, 0, 2, 0)


def test_several_files_of_several_kinds_are_one_upload_and_one_summary(town: Shell) -> None:
    made = town.table("produced", {"code": BOX, "event_time": NOON}, {"code": OTHER, "event_time": NOON})
    packed = town.write(
        "packed.jsonl", json.dumps({"kind": "packed", "code": BOX, "parent": OTHER, "event_time": NOON})
    )
    settled = town.write("claim.json", json.dumps(claim(PHARMACY, BOX, visit="V1")))
    assert counts(town, made, packed, "--by", MAKER) == (3, 3, 0, 0, 0)
    assert counts(town, settled, town.home / "gone.csv") == (2, 1, 0, 0, 1)


def test_who_speaks_is_said_by_the_file_or_by_the_operator(town: Shell) -> None:
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\n")
    ran = town("ingest", sales)
    assert ran.code == 1
    assert "--by" in ran.err
    message = town.write("claim.json", json.dumps(claim(PHARMACY, BOX, visit="V1")))
    assert counts(town, message) == (1, 1, 0, 0, 0)
    spoken_for = town("ingest", message, "--by", FAR_AWAY)
    assert (spoken_for.code, FAR_AWAY in spoken_for.err) == (1, True)


def test_bad_lines_come_back_with_their_reasons_and_go_in_once_mended(town: Shell) -> None:
    bad = f"sold,8.23457E+19,{NOON},R2,1\nsold,{OTHER},yesterday,R3,1\nborrowed,{OTHER[:-2]}31,{NOON},R4,1\n"
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\n{bad}")
    rejects = town.home / "rejects.csv"
    ran = town("ingest", sales, "--by", PHARMACY, "--rejects", rejects)
    assert ran.code == 1
    assert f"rejected lines are in {rejects}" in ran.out
    for line, word in (("line 3", "scientific"), ("line 4", "yesterday"), ("line 5", "borrowed")):
        assert any(line in told and word in told for told in ran.err.splitlines())
    text = rejects.read_text()
    assert text.count("\n") == 4
    mended = text.replace("8.23457E+19", OTHER[:-1] + "9").replace("yesterday", NOON).replace("borrowed", "sold")
    assert counts(town, town.write("mended.csv", mended), "--by", PHARMACY) == (3, 3, 0, 0, 0)
    assert counts(town, sales, "--by", PHARMACY) == (4, 0, 1, 0, 3)


def test_a_remark_is_shown_and_rejects_nothing(town: Shell) -> None:
    sales = town.write("sales.csv", f"kind,code,event_time,colour\nsold,{BOX},{NOON},red\n")
    ran = town("ingest", sales, "--by", PHARMACY, "--rejects", town.home / "rejects.csv")
    assert ran.code == 0
    assert "colour" in ran.err
    assert not (town.home / "rejects.csv").exists()


def test_only_the_first_faults_are_shown_and_the_rest_is_counted(town: Shell) -> None:
    lines = "".join(f"sold,{BOX},never,R{number},1\n" for number in range(100))
    ran = town("ingest", town.write("sales.csv", HEADER + lines), "--by", PHARMACY)
    assert len(ran.err.splitlines()) == 21
    assert "80 more" in ran.err


def test_the_rejects_never_go_over_what_is_being_read_or_where_nothing_can_be_written(town: Shell) -> None:
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},never,R1,1\n")
    for rejects in (sales, town.home / "nowhere" / "rejects.csv", town.home):
        ran = town("ingest", sales, "--by", PHARMACY, "--rejects", rejects)
        assert ran.code == 2
        assert str(rejects) in ran.err
    assert sales.read_text().startswith(HEADER)


def test_a_dry_run_judges_everything_and_writes_nothing(town: Shell) -> None:
    town.ingest("sold", PHARMACY, {"code": BOX, "event_time": NOON, "receipt": "R1"})
    before = town.ask("export", town.home / "before.zip")
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\nsold,{OTHER},{NOON},R1,1\n")
    assert counts(town, sales, "--by", FAR_AWAY, "--dry-run") == (2, 1, 0, 1, 0)
    assert town.ask("export", town.home / "after.zip") == before
    assert town.ask("check", OTHER)["outcome"] == "none"


def test_a_dry_run_where_there_is_no_node_leaves_none_behind(shell: Shell) -> None:
    sales = shell.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\n")
    assert counts(shell, sales, "--by", PHARMACY, "--dry-run") == (1, 1, 0, 0, 0)
    assert "nothing was written" in shell("ingest", sales, "--by", PHARMACY, "--dry-run").out
    assert not shell.folder.exists()


def test_no_bar_is_drawn_where_nobody_watches(town: Shell) -> None:
    sales = town.write("sales.csv", f"{HEADER}sold,{BOX},{NOON},R1,1\n")
    assert town("ingest", sales, "--by", PHARMACY).err == ""


def test_the_gbk_file_of_a_spreadsheet_goes_in(town: Shell) -> None:
    table = f"事件,追溯码,时间,医保编码,供应商\n入库,{BOX},2026/3/9 12:00,{DRUG},广州某公司\n".encode("gb18030")
    assert counts(town, town.write("in.csv", table), "--by", HOSPITAL) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("name", ["sales.csv", "sales.csv.gz"])
def test_a_message_in_a_file_of_many_is_named_by_its_line(town: Shell, name: str) -> None:
    import gzip  # noqa: PLC0415  for one of two cases

    good, bad = json.dumps(claim(PHARMACY, BOX, visit="V1")), '{"infno": "9999", "input": {}}'
    lines = f"{good}\n{bad}\n".encode()
    ran = town("ingest", town.write(name, gzip.compress(lines) if name.endswith("gz") else lines))
    assert ran.code == 1
    assert ran.err.startswith("line 2: ")
