"""The tables in `docs/` about formats are those of the code."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from suyuan.formats.columns import COLUMNS, KIND_NAMES, SCANNED, UNDONE
from suyuan.formats.nhsa import TRANSACTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def columns() -> str:
    rows = [(f"`{one.name}`", one.form, one.meaning, ", ".join(f"`{name}`" for name in one.also)) for one in COLUMNS]
    return table(("column", "form", "meaning", "also"), rows)


def kinds() -> str:
    words = {
        kind: [word for word, named in KIND_NAMES.items() if named == kind] for kind in (*SCANNED, "fee_line", *UNDONE)
    }
    rows = [(f"`{kind}`", ", ".join(also)) for kind, also in words.items()]
    return table(("kind", "also"), rows)


def transactions() -> str:
    rows = [(one.infno, one.name, one.name_zh, one.becomes) for one in TRANSACTIONS]
    return table(("infno", "transaction", "交易", "records"), rows)


@pytest.mark.parametrize(
    ("page", "section", "expected"),
    [
        ("tables.md", "columns", columns()),
        ("tables.md", "kinds", kinds()),
        ("messages.md", "transactions", transactions()),
    ],
)
def test_a_table_in_the_docs_is_that_of_the_code(page: str, section: str, expected: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    begin, rest = text.split(f"<!-- {section}: ", 1)
    shown = rest.split("-->\n", 1)[1].split(f"<!-- end of {section} -->", 1)[0]
    assert shown.strip() == expected.strip(), f"write this into docs/{page}:\n\n{expected}"
    assert begin
