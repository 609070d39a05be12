"""Makers' own schemes in 2D codes: one rule for each registered provider (`spec/codes.md` §1.2, R12)."""

import re

from suyuan.codes.code import Code

TEXT_LENGTH_MAX = 200
"""The draft standard allows free text of up to 200 characters."""

_SCHEME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_GROUPS = frozenset({"serial", "product", "lot"})


class MakerRule:
    """How one provider's codes look: `pattern` must match the whole text.

    Named groups, all optional: `serial`, `product`, `lot`. With `serial` the box key is
    `maker:<scheme>:<product>:<serial>` (or `maker:<scheme>:<serial>` where no product is named), so that it carries no
    lot or date; without `serial` the whole text stands for the box. A colon inside the product is written `%3A`.

    Raises:
        ValueError: the scheme's name or the pattern cannot be used; the words say why.
    """

    __slots__ = ("pattern", "scheme")

    def __init__(self, scheme: str, pattern: str) -> None:
        if not _SCHEME.fullmatch(scheme):
            raise ValueError(f"maker scheme {scheme!r}: use 1 to 40 letters, digits, '.', '_' or '-'")
        try:
            self.pattern = re.compile(pattern, re.ASCII)
        except (re.error, OverflowError, RecursionError) as fault:
            raise ValueError(
                f"maker scheme {scheme}: the pattern {pattern!r} is no regular expression: {fault}"
            ) from None
        strange = sorted(self.pattern.groupindex.keys() - _GROUPS)
        if strange:
            raise ValueError(f"maker scheme {scheme}: unknown group {strange[0]!r}; use serial, product or lot")
        self.scheme = scheme

    def read(self, text: str) -> Code | None:
        """The code, where `text` follows this scheme."""
        found = self.pattern.fullmatch(text) if len(text) <= TEXT_LENGTH_MAX else None
        if found is None:
            return None
        parts = {name: value or "" for name, value in found.groupdict().items()}
        serial, product = parts.get("serial", ""), parts.get("product", "")
        product = product.replace("%", "%25").replace(":", "%3A")
        product_key = f"maker:{self.scheme}:{product}" if product else ""
        box = f"{product_key or f'maker:{self.scheme}'}:{serial}" if serial else f"maker:{self.scheme}:{text}"
        return Code(
            system="maker", text=text, key=box, product_key=product_key, serial=serial, lot=parts.get("lot", "")
        )
