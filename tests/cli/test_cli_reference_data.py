"""Catalogue, accounts and the doctor through the program, and a whole node carried from one folder to another."""

import json
import re
from pathlib import Path

import pytest
from cli_shell import CATALOGUE, DRUG, FAR_AWAY, GTIN, MAKER, PHARMACY, Shell, claim

BOX = "82345670000000000017"
SALE = {"code": BOX, "event_time": "2026-03-09 12:00:00", "receipt": "R1"}


def test_the_catalogue_goes_out_and_comes_in_the_same(town: Shell) -> None:
    ran = town("catalogue", "export", town.home / "out", "--format", "json")
    files = {Path(row["file"]).stem: row["rows"] for row in ran.values}
    assert (files["products"], files["parties"], files["delegations"]) == (2, 6, 0)
    for name, rows in files.items():
        counts = town.ask("catalogue", "import", name, town.home / "out" / f"{name}.csv")
        assert counts == {"added": 0, "changed": 0, "ended": 0, "same": rows, "rejected": 0}
    assert town.ask("catalogue", "show")["edges"] == 3


def test_bad_rows_come_back_with_their_reasons_and_go_in_once_mended(town: Shell) -> None:
    rejects = town.home / "rejects.csv"
    rows = "code,name,kind,region\nP44010000077,甲,pharmacy,440106\nP44010000078,乙,castle,440106\n"
    ran = town("catalogue", "import", "parties", town.write("more.csv", rows), "--rejects", rejects, "--format", "json")
    assert (ran.code, ran.values[0]["added"], ran.values[0]["rejected"]) == (1, 1, 1)
    assert "line 3: rejected: kind 'castle'" in ran.err
    mended = town.write("mended.csv", rejects.read_text().replace("castle", "pharmacy"))
    assert town.ask("catalogue", "import", "parties", mended)["added"] == 1


def test_a_dry_run_of_the_catalogue_changes_nothing(town: Shell) -> None:
    rows = town.write("more.csv", "code,name,kind,region\nP44010000077,甲,pharmacy,440106\n")
    assert town.ask("catalogue", "import", "parties", rows, "--dry-run")["added"] == 1
    assert town.ask("catalogue", "show")["parties"] == 6


def test_a_complete_file_ends_what_it_does_not_name(town: Shell) -> None:
    rows = town.write("parties.csv", "\n".join(CATALOGUE["parties"].splitlines()[:3]))
    counts = town.ask("catalogue", "import", "parties", rows, "--complete", "2026-06-01")
    assert (counts["same"], counts["ended"]) == (2, 4)


def test_the_product_behind_a_code_is_found_as_of_a_day(town: Shell) -> None:
    for code in (BOX, "trace20:8234567", f"(01){GTIN}(21)A1"):
        assert town.ask("catalogue", "find", code)["nhsa"] == [DRUG]
    assert "氯化钠注射液" in town("catalogue", "find", BOX).out
    unknown = town("catalogue", "find", "89999990000000000017", "--on", "2026-03-01")
    assert (unknown.code, "no product is mapped" in unknown.err) == (1, True)
    assert town("catalogue", "find", "hello").code == 1


def test_synthetic_products_go_into_an_empty_catalogue_only(shell: Shell) -> None:
    assert shell.ask("catalogue", "synthetic", "--products", 30)["products"] >= 30
    again = shell("catalogue", "synthetic")
    assert (again.code, "already has" in again.err) == (1, True)


def test_a_key_is_shown_once_listed_and_revoked(town: Shell) -> None:
    issued = town.ask("access", "issue", PHARMACY)
    assert issued["institution"] == PHARMACY
    assert len(issued["secret"]) > 30
    [listed] = town("access", "keys", PHARMACY, "--format", "json").values
    assert listed["key"] == issued["id"]
    assert issued["secret"] not in json.dumps(listed)
    assert town("access", "keys", FAR_AWAY).out == "none yet\n"
    assert town("access", "revoke", issued["id"]).code == 0
    assert town("access", "keys", "--format", "json").values[0]["revoked"]
    unknown = town("access", "revoke", "nonsense")
    assert (unknown.code, "nonsense" in unknown.err) == (3, True)


def test_people_have_a_role_and_can_be_locked_out(town: Shell) -> None:
    assert town.ask("access", "person", "li", "inspector", "--region", "440100")["role"] == "inspector"
    assert town("access", "person", "li", "inspector").code == 3
    assert town("access", "disable", "li").code == 0
    assert [one["disabled"] for one in town("access", "people", "--format", "json").values] == [True]
    assert town("access", "disable", "li", "--enable").code == 0
    assert "li" in town("access", "people").out
    assert town("access", "disable", "wang").code == 3


def test_a_delegate_speaks_for_another_until_the_day_it_ends(town: Shell) -> None:
    message = town.write("claim.json", json.dumps(claim(PHARMACY, BOX, visit="V1")))
    assert town("settle", message, "--by", "V001").code == 1
    made = town.ask("access", "delegate", PHARMACY, "V001", "2099-12-31", "--since", "2026-01-01", "--purpose", "HIS")
    assert (made["grantor"], made["delegate"], made["valid_to"]) == (PHARMACY, "V001", "2099-12-31")
    assert town("settle", message, "--by", "V001").code == 0
    ended = town("access", "delegate", PHARMACY, "V002", "2026-01-31", "--since", "2026-01-01")
    assert "V002 may speak for" in ended.out
    assert town("settle", message, "--by", "V002").code == 1
    assert town("access", "delegate", PHARMACY, "V001", "2099-12-31").code == 3


def test_the_doctor_looks_at_everything_and_says_what_is_wrong(town: Shell) -> None:
    town.ingest("sold", PHARMACY, SALE)
    findings = {row["check"]: row for row in town("doctor", "--full", "--format", "json").values}
    assert all(row["good"] for row in findings.values())
    assert {"python", "disk", "setting engine", "journal", "sync", "deadlines", "sequences", "feed", "payments"} <= set(
        findings
    )
    assert re.match(r"\d+ keys, \d+ events, 0 keys with a gap", findings["sequences"]["words"])
    assert "ok" in town("doctor").out


def test_the_doctor_of_no_node_looks_at_the_machine_and_makes_none(shell: Shell) -> None:
    ran = shell("doctor")
    assert (ran.code, "there is none" in ran.out) == (0, True)
    assert not shell.folder.exists()


def test_a_box_paid_twice_is_found_by_the_doctor(town: Shell) -> None:
    from suyuan.node import Node  # noqa: PLC0415  what no door lets in is written past the doors

    with Node.open(town.folder) as node:
        paid = {"actor": PHARMACY, "verdict": "pay", "drawn": True}
        key = f"trace20:{BOX}"
        node.ledger.transact([key], lambda books: [books.add(key, "claimed", **paid, fact=fact) for fact in "ab"])
    ran = town("doctor", "--full")
    assert ran.code == 1
    assert "paid for more than once" in ran.out


def test_a_whole_node_goes_out_and_comes_in_with_its_secrets(town: Shell) -> None:
    town.ingest("sold", PHARMACY, SALE)
    town("access", "person", "li", "inspector")
    manifest = town.ask("export", town.home / "node.zip", "--with-secrets")
    twin = Shell(town.home)
    twin.folder = town.home / "twin"
    assert twin.ask("import", town.home / "node.zip") == manifest
    assert twin.ask("export", town.home / "again.zip") == manifest
    for command in ("check", "trace"):
        assert twin.ask(command, BOX) == town.ask(command, BOX)
    again = twin("import", town.home / "node.zip")
    assert (again.code, "holds a node already" in again.err) == (3, True)
    assert twin("access", "people").out == town("access", "people").out


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_an_altered_export_is_refused_with_words_and_leaves_nothing(town: Shell, place: float) -> None:
    town("export", town.home / "node.zip", "--with-secrets")
    content = bytearray((town.home / "node.zip").read_bytes())
    content[int(place * len(content))] ^= 1
    twin = Shell(town.home)
    twin.folder = town.home / "twin"
    ran = twin("import", twin.write("altered.zip", bytes(content)))
    assert (ran.code, "altered" in ran.err) == (1, True)
    assert not twin.folder.exists()


def test_without_its_secrets_a_node_comes_in_only_beside_them(town: Shell) -> None:
    town.ingest("sold", MAKER, SALE)
    town("export", town.home / "node.zip")
    twin = Shell(town.home)
    twin.folder = town.home / "twin"
    refused = twin("import", town.home / "node.zip")
    assert (refused.code, "--with-secrets" in refused.err) == (3, True)
    twin.folder.mkdir()
    (twin.folder / "secrets.json").write_bytes((town.folder / "secrets.json").read_bytes())
    assert twin("import", town.home / "node.zip").code == 0
