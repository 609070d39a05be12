"""What a reader of one code system gets and gives, and how the ledger's keys are put together."""

from collections.abc import Sequence
from typing import NamedTuple

from suyuan.codes.code import Code, Context
from suyuan.codes.makers import MakerRule

Reading = Code | str
"""A code; or words why a text that looks like this system is not of it; or `""`: not this system at all."""


class Scanned(NamedTuple):
    """A normalised text on its way through the readers."""

    text: str
    symbology: str = ""
    """AIM identifier without the bracket; empty where the scanner gave none."""
    context: Context = "scan"
    rules: Sequence[MakerRule] = ()
    """Schemes of registered makers (R12)."""


def key_of(product_key: str, serial: str, lot: str) -> str:
    """The box key, else the lot key, else the bare product key.

    Serials and lots may contain `:` and `/`. The key stays unambiguous because they stand last and because what is
    before them cannot contain a colon: split at the first two colons, after a leading `lot:` has been taken off.
    """
    if serial:
        return f"{product_key}:{serial}"
    if lot:
        return f"lot:{product_key}:{lot}"
    return product_key
