"""Docs that can be checked are checked: generated pages, commands, settings, links, decisions, the glossary."""

import dataclasses
import importlib
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import cyclopts
import msgspec
import pytest

from suyuan.ledger.events import Kind
from tools.docs import PAGES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def prose(text: str) -> str:
    """A page without its code blocks: links and headings in there are examples."""
    return re.sub(r"^( *)(```|~~~).*?^\1\2", "", text, flags=re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor that a Markdown viewer makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)}


def link_faults(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = page.parent / path if path else page
        if not goal.exists():
            yield f"{page.name}: the link {target} leads nowhere"
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal.read_text(encoding="utf-8")):
            yield f"{page.name}: the link {target} names no heading of that page"


def decision_faults(name: str, text: str) -> Iterator[str]:
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    if headings != ["Problem", "Choice", "Reason", "Price"]:
        yield f"{name} has the headings {headings}: a decision gives Problem, Choice, Reason, Price"


Options = Mapping[str, tuple[set[str], bool]]
"""Of one command: the parameter, its names on the command line, and whether it must be documented."""


def commands(app: cyclopts.App, path: str = "suyuan") -> Iterator[tuple[str, Options]]:
    """Every command of the program with its parameters, also those of commands of commands."""
    if app.default_command or path == "suyuan":
        arguments = app.assemble_argument_collection() if app.default_command else ()
        yield path, {one.name: ({*one.names, one.name.lstrip("-").upper()}, one.show) for one in arguments}
    for name in app:
        if not name.startswith("-") and app[name].show:
            yield from commands(app[name], f"{path} {name}")


def sections(page: str) -> dict[str, str]:
    """The text under each heading that names a command; what stands before the first one is under `suyuan`."""
    parts = re.split(r"^#+ `?(suyuan(?: [a-z-]+)+)\b", page, flags=re.MULTILINE)
    return {"suyuan": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def command_faults(page: str, program: Iterable[tuple[str, Options]]) -> Iterator[str]:
    described = sections(page)
    known = dict(program)
    everywhere = {"--help", "--version"}.union(*(names for options in known.values() for names, _ in options.values()))
    for command, options in known.items():
        if command not in described:
            yield f"docs/cli.md has no heading for {command}"
            continue
        told = set(re.findall(r"[\w-]+", described[command] + described["suyuan"]))
        for option, (names, show) in options.items():
            if show and not names & told:
                yield f"docs/cli.md: {command} does not mention {option}"
    for command, text in described.items():
        if command not in known and not any(other.startswith(command + " ") for other in known):
            yield f"docs/cli.md describes {command}, which the program does not have"
        for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text)) - everywhere):
            yield f"docs/cli.md: {command} mentions {option}, which the program does not have"


def setting_names(settings: Any) -> list[str]:
    if dataclasses.is_dataclass(settings):
        return [one.name for one in dataclasses.fields(settings)]
    return [one.name for one in msgspec.structs.fields(settings)]


def setting_faults(page: str, names: Iterable[str]) -> Iterator[str]:
    names = set(names)
    described = set(re.findall(r"^\| *`(\w+)`", page, re.MULTILINE))
    yield from (f"docs/settings.md has no row for {name}" for name in sorted(names - described))
    yield from (f"docs/settings.md has a row for {name}, which is no setting" for name in sorted(described - names))


def glossary_rows(page: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if row[:2] != ["English", "中文"]]


def glossary_faults(page: str) -> Iterator[str]:
    seen: dict[str, str] = {}
    for row in glossary_rows(page):
        if len(row) != 3 or not all(row):
            yield f"docs/glossary.md: {row} is not English, 中文, meaning"
            continue
        for word in (row[0], *row[1].split("、")):
            if word in seen:
                yield f"docs/glossary.md: {word} stands at {seen[word]} and at {row[0]}: one noun, one meaning"
            seen[word] = row[0]


def none_of(faults: Iterable[str]) -> None:
    found = list(faults)
    assert not found, "\n" + "\n".join(found)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def written(name: str) -> Any:
    """A module of the program, or a skip with its reason while it is not written."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not written yet")
    return importlib.import_module(name)


@pytest.mark.parametrize("path", PAGES)
def test_a_generated_page_says_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), f"{path} is stale; mend it with: make docs"


def test_every_command_and_option_is_described_and_none_that_does_not_exist() -> None:
    program = list(commands(written("suyuan.cli").app))
    none_of(command_faults(read("cli.md"), program))


def test_every_setting_is_described_and_none_that_does_not_exist() -> None:
    names = setting_names(written("suyuan.settings").Settings)
    none_of(setting_faults(read("settings.md"), names))


def test_every_link_leads_somewhere() -> None:
    none_of(fault for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] for fault in link_faults(page))


def test_every_decision_gives_problem_choice_reason_and_price() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    none_of(fault for page in pages for fault in decision_faults(page.name, page.read_text(encoding="utf-8")))


def test_every_dependency_has_its_line_of_why() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    page = read("decisions/0001-dependencies.md")
    none_of(
        f"docs/decisions/0001-dependencies.md has no row for {name}"
        for name in (re.split(r"[^\w-]", one)[0] for one in wanted)
        if f"| {name} |" not in page
    )


def test_the_glossary_gives_each_noun_one_meaning_and_knows_every_kind_of_event() -> None:
    page = read("glossary.md")
    none_of(glossary_faults(page))
    assert {f"`{kind}`" for kind in get_args(Kind)} <= {row[0] for row in glossary_rows(page)}


# Each check must be able to fail.


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One box\n[a](#one-box) [b](page.md#one-box) [c](https://example.org/x)\n```\n[d](none.md)\n```\n"
    )
    assert not list(link_faults(page))
    page.write_text("# One box\n[a](#two-boxes) [b](none.md)\n")
    assert len(list(link_faults(page))) == 2


def test_a_decision_without_its_price_is_found() -> None:
    good = "# 1. Why\n## Problem\n## Choice\n## Reason\n## Price\n"
    assert not list(decision_faults("0001", good))
    assert list(decision_faults("0001", good.replace("## Price\n", "")))


def test_a_command_or_option_that_is_not_described_is_found() -> None:
    app = cyclopts.App(name="suyuan")
    catalogue = cyclopts.App(name="catalogue")
    app.command(catalogue)

    @app.command
    def ingest(files: list[Path], *, by: str = "", dry_run: bool = False) -> None: ...

    @catalogue.command(name="import")
    def import_(file: Path) -> None: ...

    program = list(commands(app))
    good = "# Commands\n## `suyuan ingest FILES…`\n`--by`, `--dry-run`\n## suyuan catalogue import\nreads FILE\n"
    assert not list(command_faults(good, program))
    assert list(command_faults(good.replace("`--by`, ", ""), program))
    assert list(command_faults(good.replace("## suyuan catalogue import", ""), program))
    assert list(command_faults(good + "## suyuan forget\n", program))
    assert list(command_faults(good + "`--force`\n", program))


def test_a_setting_that_is_not_described_is_found() -> None:
    class Settings(msgspec.Struct):
        cache_mib: int = 256

    assert not list(setting_faults("| `cache_mib` | 256 |", setting_names(Settings)))
    assert list(setting_faults("| `cache_mb` | 256 |", setting_names(Settings)))


def test_a_noun_with_two_meanings_is_found() -> None:
    row = "| box | 盒 | what is sold |\n"
    assert not list(glossary_faults("| English | 中文 | meaning |\n|---|---|---|\n" + row))
    assert list(glossary_faults(row + "| box | 箱 | what is shipped |\n"))
    assert list(glossary_faults(row + "| pack | 盒 | what is sold |\n"))
