"""`suyuan proof` and `suyuan verify`: proven in an empty folder, refused and named once altered."""

import json
from pathlib import Path

import pytest
from cli_shell import MENTAL, PHARMACY, Ran, Shell

from suyuan.cli import run
from suyuan.node import Node
from suyuan.proof.verifier import ED25519, Key, in_words, verify_file

BOX, SECOND, HIDDEN = "82345670000000000017", "82345670000000000024", "82345670000000000031"


@pytest.fixture
def shell(shell: Shell) -> Shell:
    shell.take_catalogue()
    sell(shell, PHARMACY, BOX)
    sell(shell, MENTAL, HIDDEN)
    seal(shell)
    return shell


def sell(shell: Shell, place: str, box: str) -> None:
    shell.ingest("sold", place, {"code": box, "event_time": "2026-03-09 12:00:00", "receipt": "0001"})


def seal(shell: Shell) -> None:
    with Node.open_existing(shell.folder) as node:
        node.lake.seal(workers=0)
        node.checkpoint()


def key_of(shell: Shell) -> str:
    return shell("proof").out.splitlines()[-1]


def verify(*arguments: object) -> Ran:
    """The command in this folder, without any node."""
    import contextlib  # noqa: PLC0415  as the shell does, but without --dir
    import io  # noqa: PLC0415

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["verify", *map(str, arguments)])
    return Ran(code, out.getvalue(), err.getvalue())


def test_an_old_sale_is_proven_in_an_empty_folder_with_the_file_and_the_key_alone(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for box in range(40, 44):
        sell(shell, PHARMACY, f"823456700000000000{box}")
        seal(shell)
    key = key_of(shell)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert shell("proof", BOX, "--out", "sale.json").code == 0
    good = verify("sale.json", "--key", key)
    assert good.code == 0
    assert f"sale of trace20:{BOX}" in good.out
    assert "5 segments" in good.out
    assert key in good.out
    Path("key.txt").write_text(key + "\n")
    assert verify("sale.json", "--key", "key.txt").out == good.out
    assert "compare it with the published one" in verify("sale.json").out
    altered = Path("sale.json").read_text().replace("2026", "2025").replace(BOX, SECOND)
    Path("sale.json").write_text(altered)
    bad = verify("sale.json", "--key", key)
    assert (bad.code, bad.out) == (1, "")
    assert "NOT PROVEN" in bad.err
    assert sorted(path.name for path in Path().iterdir()) == ["key.txt", "sale.json"]


def test_nothing_is_told_that_citizens_are_not_told(shell: Shell) -> None:
    told = shell("proof", HIDDEN).out
    assert MENTAL not in told
    assert verify_file(told.encode()).records[0].actor == ""
    assert MENTAL in "\n".join(in_words(verify_file(shell("proof", HIDDEN, "--all").out.encode())))
    assert shell("proof", BOX, "--whole", "x").code == 2
    whole = shell("proof", BOX, "--whole", "court order 12 of 2026")
    assert verify_file(whole.out.encode()).records[0].whole
    assert "court order 12 of 2026" in shell("access", "audit", "export").out


@pytest.mark.slow
def test_what_is_not_sealed_yet_is_told(shell: Shell) -> None:
    sell(shell, PHARMACY, SECOND)
    ran = shell("proof", SECOND, "--out", shell.home / "promise.json")
    assert "1 not sealed yet" in ran.err
    promised = verify(shell.home / "promise.json", "--key", key_of(shell))
    assert "signed, not sealed yet" in promised.out
    assert f"sale of trace20:{SECOND}" in promised.out
    seal(shell)
    assert "proven" in verify(shell.write("sealed.json", shell("proof", SECOND).out)).out
    assert "nothing to prove" in shell("proof", "82345670000000000099").err


@pytest.mark.slow
def test_growth_is_proven_and_another_past_is_not(shell: Shell, tmp_path: Path) -> None:
    first = shell.write("first.txt", shell("proof").out.rsplit("\n\n", 1)[0] + "\n")
    sell(shell, PHARMACY, SECOND)
    seal(shell)
    second = shell.write("second.txt", shell("proof").out.rsplit("\n\n", 1)[0] + "\n")
    growth, key = tmp_path / "growth.json", key_of(shell)
    assert shell("proof", "--since", first, "--out", growth).code == 0
    assert "only grew" in verify(growth, "--key", key).out
    assert verify("--checkpoint", first, growth, "--key", key).code == 0
    assert shell("verify", "--checkpoint", first, second, "--key", key).code == 0
    assert "ask the node for the proof" in verify("--checkpoint", first, second, "--key", key).err
    assert "give with --key" in verify("--checkpoint", first, first).err
    forged = shell.write("forged.txt", first.read_text().replace("events ", "events 1"))
    for wrong in (
        shell("proof", "--since", forged),
        verify("--checkpoint", forged, growth, "--key", key),
        shell("verify", "--checkpoint", second, first, "--key", key),
        verify("--checkpoint", forged, forged, "--key", key),
    ):
        assert (wrong.code, wrong.out) == (1, ""), wrong
    other = Key(ED25519, bytes(32)).text("suyuan/node")
    assert "does not follow from the one you gave" in verify(growth, "--key", other).err


@pytest.mark.slow
def test_the_whole_record_is_looked_at(shell: Shell) -> None:
    good = shell("verify", "--node")
    assert (good.code, good.err) == (0, "")
    assert "1 segments" in good.out
    [leaves] = (shell.folder / "lake/leaves").iterdir()
    leaves.write_bytes(b"\0" + leaves.read_bytes()[1:])
    bad = shell("verify", "--node")
    assert bad.code == 1
    assert str(leaves) in bad.err
    # A sale is still found where its own leaf is whole, and what the file proves is checked by whoever reads it.
    assert "whole 完好" not in bad.out


@pytest.mark.slow
def test_one_thing_is_verified_at_a_time(shell: Shell) -> None:
    assert verify().code == 2
    assert verify("sale.json", "--node").code == 2
    assert verify("none.json").code == 3
    assert verify("none.json", "--key", "nonsense").code == 1
    assert json.loads(shell("proof", BOX).out)["suyuan proof"] == 1
