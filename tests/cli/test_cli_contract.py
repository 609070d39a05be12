"""The contract of the program: its commands, their formats and exit codes, and words instead of tracebacks."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_shell import PHARMACY, ROOT, Shell, program

from suyuan.cli import app
from suyuan.node import Node

COMMANDS = [
    "demo",
    "serve",
    "ingest",
    "code",
    "check",
    "trace",
    "settle",
    "proof",
    "verify",
    "simulate",
    "catalogue",
    "access",
    "nhsa",
    "export",
    "import",
    "backup",
    "restore",
    "move",
    "keys",
    "quarantine",
    "defer",
    "lake",
    "bench",
    "relay",
    "database",
    "settings",
    "doctor",
]
BOX = "82345670000000000017"
SALE = {"code": BOX, "event_time": "2026-03-09 12:00:00"}


def test_the_commands_are_those_of_the_contract() -> None:
    assert [name for name in app if not name.startswith("-")] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(shell: Shell, command: str) -> None:
    from suyuan.cli import run  # noqa: PLC0415  without --dir, which --help would not take amiss but need not have

    out = io.StringIO()
    sys.stdout, kept = out, sys.stdout
    try:
        assert run([command, "--help"]) == 0
    finally:
        sys.stdout = kept
    assert command in out.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        ["frobnicate"],
        ["ingest"],
        ["ingest", "a.csv", "--frobnicate"],
        ["check"],
        ["check", "a", "b"],
        ["trace", "a", "--format", "xml"],
        ["code"],
        ["code", "x", "--frobnicate"],
        ["code", "x", "--context", "elsewhere"],
        ["simulate", "country", "--days", "3"],
        ["simulate", "country", "--noise", "deafening"],
        ["simulate", "country", "--boxes", "many"],
        ["catalogue", "import", "nonsense", "x.csv"],
        ["catalogue", "import", "products", "x.csv", "--complete", "soon"],
        ["catalogue", "find", BOX, "--on", "2026-02-30"],
        ["catalogue", "synthetic", "--products", "0"],
        ["access", "delegate", "a", "b", "tomorrow"],
        ["access", "person", "li", "king"],
    ],
)
def test_wrong_usage_exits_2_with_words_and_makes_nothing(shell: Shell, line: list[str]) -> None:
    line = [str(shell.home / word) if word == "country" else word for word in line]
    ran = shell(*line)
    assert ran.code == 2, ran
    assert ran.err.strip()
    assert not shell.folder.exists()
    assert not (shell.home / "country" / "uploads.jsonl").exists()


@pytest.mark.parametrize("command", ["ingest", "settle"])
@pytest.mark.parametrize(
    "content", [None, b"", b"\n\n  \n", b"\x00\x01\x02", b"\xff\xfe\x00", b"<a/>", b"PK\x03\x04junk", b"\x1f\x8bjunk"]
)
def test_an_empty_or_unreadable_file_exits_1_with_words(shell: Shell, command: str, content: bytes | None) -> None:
    path = shell.home / "upload" if content is None else shell.write("upload", content)
    ran = shell(command, path)
    assert ran.code == 1
    assert "upload" in ran.err


def test_other_files_that_cannot_be_read_exit_1_as_well(shell: Shell) -> None:
    nothing, junk = shell.home / "nothing", shell.write("junk", b"\x89PNGjunk")
    for command, path in (
        ("catalogue import products", nothing),
        ("catalogue import products", junk),
        ("import", nothing),
        ("import", junk),
        ("check --image", nothing),
        ("trace --image", junk),
        ("code --image", junk),
    ):
        ran = shell(*command.split(), path)
        assert ran.code == 1, (command, ran)
        assert path.name in ran.err or "text" in ran.err


def test_who_only_asks_makes_no_node_and_is_told_that_there_is_none(shell: Shell) -> None:
    for line in (["check", BOX], ["trace", BOX], ["export", "out"], ["catalogue", "show"], ["access", "keys"]):
        ran = shell(*line)
        assert ran.code == 3
        assert "there is no node" in ran.err
        assert "--dir" in ran.err
    assert not shell.folder.exists()


def test_a_node_is_made_in_an_empty_folder_and_in_no_other(shell: Shell) -> None:
    sale = shell.table("sold", SALE)
    shell.folder.mkdir()
    (shell.folder / "letter.txt").write_text("dear")
    ran = shell("ingest", sale, "--by", PHARMACY)
    assert ran.code == 3
    assert "letter.txt" in ran.err
    assert [path.name for path in shell.folder.iterdir()] == ["letter.txt"]
    (shell.folder / "letter.txt").rename(shell.folder / "suyuan.toml")
    assert shell("ingest", sale, "--by", PHARMACY).code == 3  # no settings
    (shell.folder / "suyuan.toml").write_text('policy = "strict"\n')
    assert shell("ingest", sale, "--by", PHARMACY).code == 0


def test_a_file_in_place_of_the_folder_is_refused_with_words(shell: Shell) -> None:
    shell.folder.write_text("")
    for line in (["ingest", shell.table("sold", SALE)], ["check", BOX]):
        ran = shell(*line)
        assert (ran.code, ran.out) == (3, "")
        assert str(shell.folder) in ran.err


def test_a_folder_that_lost_a_part_stays_shut(town: Shell) -> None:
    for part in ("secrets.json", "journal"):
        (town.folder / part).rename(town.home / "aside")
        ran = town("check", BOX)
        assert ran.code == 3
        assert part.removesuffix(".json") in ran.err
        (town.home / "aside").rename(town.folder / part)
    assert town("check", BOX).code == 0


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ('engine = "oracle"', "oracle"),
        ('policy = "kind"', "kind"),
        ("block_cache_mb = 1", "block_cache_mb"),
        ('block_cache_mb = "much"', "block_cache_mb"),
        ("colour = 3", "colour"),
        ("= nonsense", "suyuan.toml"),
        ('engine = "memory"', "memory"),
    ],
)
def test_settings_that_cannot_be_used_exit_3_with_their_name(town: Shell, settings: str, word: str) -> None:
    (town.folder / "suyuan.toml").write_text(settings)
    ran = town("check", BOX)
    assert ran.code == 3
    assert word in ran.err


def test_the_environment_wins_over_the_file_of_settings(town: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (town.folder / "suyuan.toml").write_text('policy = "strict"\nblock_cache_mb = 64\n')
    monkeypatch.setenv("SUYUAN_POLICY", "rehearsal")
    found = {row["check"]: row["words"] for row in town("doctor", "--format", "json").values}
    assert (found["setting policy"], found["setting block_cache_mb"]) == ("rehearsal", "64")
    monkeypatch.setenv("SUYUAN_KEEP_DOCUMENTS", "perhaps")
    assert "keep_documents" in town("check", BOX).err


def test_a_folder_in_use_by_another_is_refused_with_who_it_is(town: Shell) -> None:
    with Node.open(town.folder):
        ran = town("check", BOX)
    assert ran.code == 3
    assert f"process {os.getpid()}" in ran.err
    assert town("check", BOX).code == 0


def test_the_data_folder_can_stand_in_the_environment(town: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUYUAN_DIR", str(town.folder))
    assert program("check", BOX, "--format", "json").returncode == 0


# As a process of its own.


def test_bytes_that_are_no_text_are_an_argument_like_any_other(town: Shell) -> None:
    junk = os.fsdecode(b"\xff\xfe8234")
    ran = program("code", junk)
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert json.loads(ran.stdout)["system"] == "unknown"
    assert program("ingest", town.table("sold", SALE), "--by", junk, "--dir", town.folder).returncode == 0


def test_a_terminal_without_chinese_shows_escapes_instead_of_failing(town: Shell) -> None:
    ran = program("check", BOX, "--dir", town.folder, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"\\u7ed3\\u679c" in ran.stdout


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    codes = tmp_path / "codes.txt"
    codes.write_text("\n".join(f"8{number:019d}" for number in range(5_000)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "suyuan", "code", "-"]
    with (
        codes.open("rb") as text,
        subprocess.Popen(line, stdin=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as ran,
    ):
        assert ran.stdout is not None
        assert ran.stdout.readline().startswith(b'{"input":"8')
        ran.stdout.close()
        assert ran.stderr is not None
        assert ran.stderr.read() == b""
    assert ran.returncode == 0


def test_a_full_disk_under_the_output_is_told_in_words(town: Shell) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "suyuan", "check", BOX, "--dir", str(town.folder)]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert ran.returncode == 3
    assert ran.stderr.count(b"\n") == 1
    assert b"No space left" in ran.stderr


@pytest.mark.slow
def test_stopped_from_the_keyboard_it_says_so_and_keeps_what_was_acknowledged(shell: Shell) -> None:
    rows = "".join(f"sold,8234567{number:013d},2026-03-09 12:00:00,R{number}\n" for number in range(300_000))
    upload = shell.write("sold.csv", f"kind,code,event_time,receipt\n{rows}")
    line = [sys.executable, "-m", "suyuan", "ingest", str(upload), "--by", PHARMACY, "--dir", str(shell.folder)]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as ran:
        begun = time.monotonic()
        while not list(shell.folder.glob("journal/db/*.log")) and time.monotonic() - begun < 30:
            time.sleep(0.05)
        time.sleep(1)
        ran.send_signal(signal.SIGINT)
        _, words = ran.communicate(timeout=60)
    assert ran.returncode == 3
    assert b"stopped" in words
    assert b"Traceback" not in words
    summary = shell("ingest", upload, "--by", PHARMACY, "--format", "json").values[0]
    assert summary["accepted"] + summary["repeated"] == 300_000
    assert shell("doctor", "--full").code == 0
