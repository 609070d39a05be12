"""Everything that reports and receipts say from code, and not from a template, stands in Chinese too."""

import ast
import inspect
from collections.abc import Iterator

import pytest

from suyuan.intake import photos, reports
from suyuan.portals.pages import receipt, report
from suyuan.portals.templating import translations

REFUSALS = frozenset({"Fault", "PhotoRefused", "StepRefused"})


def refusals(source: str) -> Iterator[str]:
    """The words with which something is refused: the last text of each call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS and node.args:
            last = node.args[-1]
            if isinstance(last, ast.Constant) and isinstance(last.value, str):
                yield last.value


def said() -> Iterator[str]:
    for module in (photos, reports, report):
        yield from refusals(inspect.getsource(module))
    for words in (report.TRAIT_WORDS, report.STATE_WORDS, report.SCRIPT_TEXTS, receipt.SCRIPT_TEXTS, receipt.AT_ISSUE):
        yield from words.values()
    for title, advice in receipt.WRONG.values():
        yield from (title, advice)
    for _, text in (*receipt.STANDINGS.values(), *receipt.ON_IT.values()):
        yield text


@pytest.mark.parametrize("text", sorted(set(said())))
def test_each_text_has_its_chinese(text: str) -> None:
    assert text in translations()


def test_the_refusals_of_the_code_are_found() -> None:
    code = 'raise StepRefused("No.")\nFault("field", "Bad.")\nother("x")'
    assert sorted(refusals(code)) == ["Bad.", "No."]
    assert len(set(said())) > 50
