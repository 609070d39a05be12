"""The demo through the program: books that agree, codes to try that show what they promise, nothing overwritten."""

import json
import re
import shlex
from pathlib import Path

import pytest
from cli_shell import PHARMACY, Shell

BOX = "82345670000000000017"
SMALL = ("--boxes", "1500", "--institutions", "20", "--days", "15", "--no-serve")


def test_a_node_that_no_demo_made_is_never_touched(town: Shell) -> None:
    town.ingest("sold", PHARMACY, {"code": BOX, "event_time": "2026-03-09 12:00:00"})
    ran = town("demo", *SMALL)
    assert (ran.code, "no demo made" in ran.err) == (3, True)
    assert town.ask("check", BOX)["outcome"] == "one"
    other = Shell(town.home)
    other.folder = town.home / "letters"
    other.folder.mkdir()
    (other.folder / "dear").touch()
    assert other("demo", *SMALL).code == 3
    assert [path.name for path in other.folder.iterdir()] == ["dear"]


@pytest.mark.slow
def test_the_size_of_a_demo_is_checked_before_anything_is_made(shell: Shell) -> None:
    assert shell("demo", "--days", "3").code == 2
    assert not shell.folder.exists()


@pytest.mark.slow
def test_a_small_country_is_played_and_its_examples_show_what_they_promise(shell: Shell) -> None:
    ran = shell("demo", *SMALL)
    assert ran.code == 0, ran
    assert "账目一致" in ran.out
    offered = dict(re.findall(r"│ ([^│]+?) +│ (\S*suyuan [^│]+?) +│", ran.out))
    kinds = {words.split()[0] for words in offered}
    assert {"clean", "not", "in", "a", "sold", "swapped", "copied", "recalled", "split"} <= kinds
    shown = {}
    for words, command in offered.items():
        program, ask, code, option, folder = shlex.split(command)
        assert (Path(program).name, option, Path(folder)) == ("suyuan", "--dir", shell.folder)
        shown[words.split()[0]] = json.dumps(shell.ask(ask, code))
    for kind, words in (
        ("clean", '"outcome": "one"'),
        ("a", '"outcome": "carton"'),
        ("sold", '"resale"'),
        ("swapped", '"swap"'),
        ("copied", '"clone"'),
        ("split", '"split": true'),
    ):
        assert words in shown[kind]
    assert json.loads(shown["in"])["cartons"]
    assert json.loads(shown["recalled"])["holds"]
    again = shell("demo", *SMALL, "--seed", "2", "--format", "json")
    assert again.code == 0
    assert again.values[0]["sound"] is True
    assert {example["ask"] for example in again.values[0]["examples"]} == {"check", "trace"}
