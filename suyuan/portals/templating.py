"""Templates in two languages: Jinja2 over the folder of templates, gettext catalogues read as they are written."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from babel.messages.pofile import read_po

HERE = Path(__file__).parent
STATIC = HERE / "static"
LANGUAGES = ("zh", "en")
"""The first is the default; the other is the language in which the templates are written."""


class Templates:
    """All pages of the site. A text without a translation stands in English; a test keeps that from happening."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.globals["static"] = static_url
        self._chinese = translations()

    def text(self, message: str, language: str) -> str:
        """One text in a language."""
        return self._chinese.get(message, message) if language == "zh" else message

    def render(self, name: str, language: str, values: dict[str, Any]) -> str:
        """One page. `_` in a template translates its text; `%(name)s` in it is filled from named arguments."""

        def translate(message: str, **named: object) -> str:
            text = self.text(message, language)
            return text % named if named else text

        return self._environment.get_template(name).render(values, _=translate, language=language)


@lru_cache(maxsize=1)
def translations() -> dict[str, str]:
    """Every English text that has a Chinese one, over all areas."""
    found: dict[str, str] = {}
    for path in sorted((HERE / "translations" / "zh").glob("*.po")):
        with path.open("rb") as file:
            found |= {
                str(message.id): str(message.string)
                for message in read_po(file, locale="zh_CN")
                if message.id and message.string and not message.fuzzy
            }
    return found


@lru_cache(maxsize=1000)
def static_url(name: str) -> str:
    """The address of a file under `static/`, with its hash, so that browsers may keep it for ever."""
    data = (STATIC / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}"
