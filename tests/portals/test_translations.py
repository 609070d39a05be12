"""Every text of the pages stands in Chinese too, with the same places to fill in."""

import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from suyuan.portals.pages import citizen
from suyuan.portals.templating import HERE, translations

TEMPLATES = HERE / "templates"
PLACES = re.compile(r"%\(\w+\)s|\{\d\}")


def texts_of(template: Path) -> Iterator[str]:
    """What stands in `_( )`."""
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
    with template.open("rb") as file:
        for _, _, message, _ in babel_extract(file, ["_"], [], options):
            # With values to fill in, it is the first of several arguments; of a variable there is no text to see.
            text = message[0] if isinstance(message, tuple) else message
            if isinstance(text, str):
                yield text


@pytest.mark.parametrize(
    "template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_each_text_of_a_template_has_its_chinese(template: Path) -> None:
    known = translations()
    assert [text for text in texts_of(template) if text not in known] == []


def test_verdicts_and_what_scripts_say_have_their_chinese() -> None:
    known = translations()
    said = [verdict.title for verdict in citizen.VERDICTS.values()] + list(citizen.SCRIPT_TEXTS.values())
    assert [text for text in said if text not in known] == []


def test_places_to_fill_in_are_the_same_in_both_languages() -> None:
    for english, chinese in translations().items():
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(chinese)), english


def test_two_areas_never_translate_one_text_differently() -> None:
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((HERE / "translations" / "zh").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale="zh_CN", abort_invalid=True):
                if message.id:
                    text, where = found.setdefault(str(message.id), (str(message.string), path.name))
                    assert text == message.string, f"{message.id}: {path.name} and {where} disagree"


def test_a_text_without_chinese_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('{% if x %}{{ _("Nobody translated this") }}{% endif %}', encoding="utf-8")
    assert list(texts_of(tmp_path / "page.html")) == ["Nobody translated this"]
    (tmp_path / "page.html").write_text('{{ _("broken" }}', encoding="utf-8")
    with pytest.raises(jinja2.TemplateSyntaxError):
        list(texts_of(tmp_path / "page.html"))
