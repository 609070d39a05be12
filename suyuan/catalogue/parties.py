"""Institutions, firms and authorities with their standing, and who may speak for whom until when."""

from datetime import date

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN

KINDS = (
    "hospital",
    "clinic",
    "pharmacy",
    "manufacturer",
    "distributor",
    "logistics",
    "vendor",
    "head_office",
    "agency",
    "inspector",
    "drug_regulator",
    "partner",
)
"""`agency` 经办, `inspector` 监管, `vendor` of HIS software, `head_office` of a chain, `partner` police and courts."""

STANDINGS = ("active", "suspended", "ended")


class Party(msgspec.Struct, frozen=True, gc=False):
    """Somebody who may send or be told something; a change of standing is a new row with its first day."""

    code: str
    name: str = ""
    kind: str = "pharmacy"
    region: str = ""
    """Six-digit division code of the address."""
    standing: str = "active"
    """active, suspended (settlement stopped) or ended (agreement over)."""
    sensitive: bool = False
    """Psychiatric, infectious or reproductive place: citizens see kind and city only."""
    chain: str = ""
    """Party code of the head office; empty for a single shop."""
    synthetic: bool = False
    valid_from: date = ALWAYS
    valid_to: date = OPEN


class Delegation(msgspec.Struct, frozen=True, gc=False):
    """`grantor` lets `delegate` speak for it. The last day is required: no delegation is for ever."""

    grantor: str
    delegate: str
    purpose: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN
