"""A product as the insurer knows it: one row a NHSA code and period, with the grammar of its codes."""

import re
from datetime import date
from typing import Literal

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN

Kind = Literal["western", "tcm", "herbal_slices", "granules", "consumable"]
Identity = Literal["serial", "lot", "none"]

KINDS: tuple[Kind, ...] = ("western", "tcm", "herbal_slices", "granules", "consumable")
IDENTITIES: tuple[Identity, ...] = ("serial", "lot", "none")
LIST_CLASSES = ("", "甲", "乙", "丙")
MARKETS = ("on_market", "stopped", "never_marketed")

NHSA = re.compile(
    r"X[A-Z]\d\d[A-Z]{2}[A-Z]\d{3}[A-Z]\d{12}"  # western, 23 (spec/codes.md §1.5)
    r"|Z[A-Z]\d\d[A-Z]{2}[A-Z]\d{13}"  # proprietary Chinese medicine, 20
    r"|C\d{19}"  # consumable, 20 (§1.6)
    r"|T[A-Z0-9]{9}"  # decoction pieces, 10
)
STD_CODE = re.compile(r"869\d{11}")
APPROVAL = re.compile(r"国药准字[A-Z]{1,2}\d{8}|(?:H|S|HC|BH)\d{8}")


class Product(msgspec.Struct, frozen=True, gc=False):
    """One NHSA code (package-specific) and what it stands for."""

    nhsa: str
    kind: str = "western"
    """One of `KINDS`."""
    generic: str = ""
    english: str = ""
    trade: str = ""
    form: str = ""
    spec: str = ""
    """Specification and package in words: `0.25g*24粒`."""
    company: str = ""
    """Party code of the maker or licence holder; empty where unknown."""
    company_name: str = ""
    approval: str = ""
    std_code: str = ""
    ean13: str = ""
    list_class: str = ""
    """甲, 乙 or 丙 of the reimbursement list; empty where not reimbursed."""
    identity: str = "serial"
    """What its packages are told apart by: a serial, only a lot, or nothing."""
    exempt: str = ""
    """Class whose exemption from scanning is policy by date: `herbal_slices`, `granules`; else empty."""
    splittable: bool = False
    """May be handed out in parts of a box (拆零)."""
    unit: str = ""
    """The smallest unit handed out, in words: 片, 粒, 支."""
    price: int = 0
    """Usual price of a smallest package in millionths of a yuan; 0 where unknown."""
    market: str = "on_market"
    synthetic: bool = False
    """Invented for demonstration; never to be shown as a real product."""
    valid_from: date = ALWAYS
    valid_to: date = OPEN

    @property
    def serialised(self) -> bool:
        """True where every package has a code of its own; False at lot level (R21)."""
        return self.identity == "serial"

    @property
    def name(self) -> str:
        """Generic name and specification, for a reader."""
        return f"{self.generic} {self.spec}".strip()


def same_enterprise(nhsa: str, std_code: str) -> bool | None:
    """Three-in-one cross-check: last 5 of a NHSA drug code against digits 4-8 of the std_code.

    None where one of them is missing or not of its grammar. True for 99.7 % of real rows: False warns and hints at a
    swap, it never rejects (spec/codes.md §2).
    """
    if not nhsa.startswith(("X", "Z")) or not NHSA.fullmatch(nhsa) or not STD_CODE.fullmatch(std_code):
        return None
    return nhsa[-5:] == std_code[3:8]
