"""What the pages about the program say is so: their examples are run, their fields are those of the records."""

import contextlib
import io
import re
import shlex
import sys
import typing
from pathlib import Path

import pytest

from suyuan.cli import run
from suyuan.formats.summary import Summary
from suyuan.ledger.events import Event, Kind
from suyuan.lookup.citizen import CitizenAnswer, CitizenSale
from suyuan.lookup.story import Chapter, Story
from suyuan.settings import Settings
from suyuan.settlement.claim import ClaimVerdict

DOCS = Path(__file__).resolve().parents[2] / "docs"

FILE = re.compile(r"^`([\w.-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

VOLATILE = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+08:00", "(arrival)"),
    (r'"seconds":[\d.]+', '"seconds":(seconds)'),
    (r"│ +[\d.]+ +│$", "│ (seconds) │"),
    (r'"(\w+_hash|secrets_mark)":"[0-9a-f]+"', r'"\1":"(hash)"'),
    (r'"audit_head":"[^"]*"', '"audit_head":"(head)"'),
    (r"head: \d+ [0-9a-f]+", "head: (head)"),
    (r"[━─┏┓┗┛┡┩├┤┼╇┳┻┬┴╈]+", ""),
    (r"[ \t]+", " "),
)
"""What differs from run to run, and what stands in for it when outputs are compared."""


def steady(text: str) -> str:
    for pattern, stand_in in VOLATILE:
        text = re.sub(pattern, stand_in, text, flags=re.MULTILINE)
    return text


def ran(command: str) -> str:
    """What a command of the page prints, standard error first; another exit code than 0 stands at the end."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(shlex.split(command)[1:])
    return err.getvalue() + out.getvalue() + (f"[exit {code}]\n" if code else "")


def executed(page: str) -> str:
    """The page with what its commands print now; runs in the current folder."""
    for name, content in FILE.findall(page):
        Path(name).write_text(content, encoding="utf-8")

    def example(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.*)$", block[1], re.MULTILINE)
        return "```console\n" + "\n".join(f"$ {command}\n{ran(command)}" for command in commands) + "```"

    return CONSOLE.sub(example, page)


def test_the_examples_of_the_page_print_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUYUAN_DIR", raising=False)
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert len(CONSOLE.findall(page)) >= 10
    assert steady(executed(page)) == steady(page), "mend it with: python tests/cli/test_cli_docs.py"


def section(page: str, heading: str) -> str:
    return re.split(r"^## ", page.partition(f"## {heading}")[2], flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("suyuan ingest", Summary),
        ("suyuan check", CitizenAnswer),
        ("suyuan check", CitizenSale),
        ("suyuan trace", Story),
        ("suyuan trace", Chapter),
        ("suyuan settle", ClaimVerdict),
    ],
)
def test_every_field_that_a_command_prints_is_described(heading: str, record: typing.Any) -> None:
    told = set(re.findall(r"`(\w+)`", section((DOCS / "cli.md").read_text(encoding="utf-8"), heading)))
    assert set(record.__struct_fields__) <= told


def test_the_event_record_is_described_field_by_field_in_order() -> None:
    page = (DOCS / "event-record.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)
    assert [name for _, name in rows] == list(Event.__struct_fields__)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))


def test_every_kind_of_event_and_no_other_is_described() -> None:
    page = (DOCS / "event-record.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^\| `(\w+)` \|", section(page, "Kinds"), re.MULTILINE)
    assert kinds == list(typing.get_args(Kind))


def test_every_setting_is_described_with_the_default_that_it_has() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`|empty) \|", page, re.MULTILINE)
    defaults = {name: str(getattr(Settings(), name)).lower() for name in Settings.__struct_fields__}
    assert dict(rows) == defaults


if __name__ == "__main__":  # write the examples of the page anew
    import os
    import tempfile

    sys.path.insert(0, str(DOCS.parent))
    page_path = DOCS / "cli.md"
    old = page_path.read_text(encoding="utf-8")
    os.chdir(tempfile.mkdtemp())
    page_path.write_text(executed(old), encoding="utf-8")
