"""Codes wrapped in an ordinary web address: where in it a code may stand (`spec/codes.md` §1.8, N6)."""

import re
from urllib.parse import unquote

from suyuan.codes.digital_link import names_gs1_key

_ADDRESS = re.compile(r"(?:https?://|www\.)[^/?#]*([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.IGNORECASE)


def is_address(text: str) -> bool:
    """True for a web address, with or without its scheme."""
    return bool(_ADDRESS.fullmatch(text))


def inner_texts(address: str) -> list[str]:
    """Values of query parameters, the last part of the path, the fragment: what may be the code, in this order.

    Empty where the path names something by GS1 key: then a number in it belongs to that key and is no code by itself.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or names_gs1_key(address):
        return []
    parameters = [part.partition("=") for part in re.split("[&;]", found[2] or "")]
    values = [value or name for name, _, value in parameters]
    candidates = [*values, found[1].rstrip("/").rpartition("/")[2], found[3] or ""]
    return [unquote(candidate) for candidate in candidates if candidate]
