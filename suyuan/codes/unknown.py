"""What no rule reads: kept under its own text, with words about what it may be (`spec/codes.md` §1.9, R13)."""

import hashlib

from suyuan.codes.code import Code
from suyuan.codes.normalise import GS

TEXT_LENGTH_MAX = 200

_DIGEST = 32
_SHORTEST = 7
_RUN = "0123456789" * 21


def of(text: str, problems: tuple[str, ...] = ()) -> Code:
    """The unknown code; `text` is normalised, a separator in it is shown as `<GS>`, and a long text is cut."""
    shown = text.replace(GS, "<GS>")
    if len(shown) > TEXT_LENGTH_MAX:
        return cut(shown, shown, problems)
    placeholder = placeholder_words(text)
    if placeholder:
        problems = (*problems, placeholder)
    return Code(system="unknown", text=shown, key=f"unknown:{shown}", problems=problems)


def cut(head: str, whole: str, problems: tuple[str, ...]) -> Code:
    """The unknown code of a long text: its first 167 characters and a hash of all, so that two do not become one."""
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    shown = f"{head[: TEXT_LENGTH_MAX - _DIGEST - 1]}…{digest}"
    return Code(system="unknown", text=shown, key=f"unknown:{shown}", problems=problems)


def placeholder_words(text: str) -> str:
    """Words where somebody typed something to fill the field; empty where not."""
    if not text:
        return "placeholder: the field is empty; scan the code, or say why there is none"
    if len(set(text)) <= 2:  # noqa: PLR2004  "000000000000000001" is typed, not scanned
        why = "repeats one or two characters"
    elif len(text) < _SHORTEST:
        why = f"has {len(text)} characters, fewer than any code"
    elif text in _RUN or text in _RUN[::-1]:
        why = "counts up or down"
    else:
        return ""
    return f"placeholder: {text[:40]!r} {why}; scan the code, or say why there is none"
