"""One code as read from a package: its system, its canonical text, and the keys it stands for."""

from typing import Literal

import msgspec

System = Literal[
    "trace20",
    "gs1",
    "sscc",
    "gtin14",
    "ean13",
    "ma",
    "ahm",
    "std_code",
    "nhsa_drug",
    "nhsa_cons",
    "approval",
    "institution",
    "maker",
    "escape",
    "unknown",
]
"""The code systems of `spec/codes.md` §1, plus `escape` (twenty nines) and `unknown`."""

Carrier = Literal["plain", "element string", "bracketed", "Digital Link", "URL"]
"""How the text carried the code: as printed, as GS1 elements, with (AI) brackets, or inside an address."""

Context = Literal["scan", "product"]
"""Where the text came from: a scanner's field or a product field (R9 of `spec/codes.md`)."""

ESCAPE = "9" * 20
"""The national stand-in code for split packs (settlement rule R19)."""


class Code(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A recognised code. `text` is canonical; the raw scan is kept by the caller.

    `key` is what the ledger files under: a *box key* (`trace20:<20 digits>`, `gs1:<gtin14>:<serial>`,
    `ma:<di>:<serial>`, `ahm:<di>:<serial>`, `maker:<scheme>:<text>`), a *carton key* (`sscc:<18>`), a *lot key*
    (`lot:<product key>:<lot>`) where there is no serial, a bare product key where there is neither, or
    `unknown:<text>`. It never contains a lot or an expiry date beside a serial.
    """

    system: System
    carrier: Carrier = "plain"
    text: str = ""
    key: str = ""
    product_key: str = ""
    """`trace20:<7>`, `gs1:<gtin14>`, `ma:<di>`, `ahm:<di>`; empty where the code names no product."""
    serial: str = ""
    lot: str = ""
    expiry: str = ""
    """ISO date, day 00 already turned into the last day of the month."""
    made: str = ""
    """ISO date of production (AI 11, MA M/P, AHM MD)."""
    symbology: str = ""
    """AIM identifier without the bracket, such as `d2`, where the scanner gave one."""
    review: bool = False
    """True when the text reads plausibly in two ways; then `readings` holds the keys of both."""
    readings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Words for a reader, such as `separator lost: …` or `placeholder: …`; empty for a clean code."""

    @property
    def is_box(self) -> bool:
        """True where the key names one physical package (serialised, or an unknown text taken as one)."""
        return bool(self.serial) or self.system in {"sscc", "unknown", "maker"}
