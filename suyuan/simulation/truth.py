"""What really happened: one record for every planted fraud and every honest oddity, written beside the uploads."""

from typing import Literal

import msgspec

FRAUDS = ("resale", "swap", "clone", "repeated_settlement", "two_lines")
"""Planted frauds, in the order of the confusion matrix."""

PLANTED = (*FRAUDS, "recall")
"""All planted kinds: frauds, and sales of what its maker has recalled."""

SILENT = (
    "retry",
    "rescan",
    "late_upload",
    "split",
    "settle_cancel_settle",
    "no_code",
    "receipt_restart",
    "branch_sharing",
    "timely_return",
    "deletion",
    "reversed_first",
    "family",
    "sold_before_recall",
    "lifted_order",
)
"""Honest causes that must never raise an alert."""

APART = ("mis_scan", "unreversed_return", "equal_lines", "placeholder")
"""Honest causes that do contradict what is known, so an alert about them is right to be raised; counted apart."""

Role = Literal["questioned", "honest"]


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a story, and what the platform should think of it."""

    role: Role
    """questioned: it should be alerted; honest: it should not."""
    by: str
    infno: str
    msgid: str
    code: str
    at: int
    """µs UTC of the sale it tells of."""
    references: dict[str, str]
    """order, visit, receipt as sent."""


class Truth(msgspec.Struct, kw_only=True):
    """One story: its kind or cause, the codes and institutions in it, and its messages."""

    id: str
    kind: str
    """One of PLANTED, SILENT or APART."""
    planted: bool
    codes: list[str]
    keys: list[str]
    """Box keys of the codes, as the ledger files them; empty for lines without codes."""
    institutions: list[str]
    deeds: list[Deed] = []
    note: str = ""


class Totals(msgspec.Struct, kw_only=True):
    """What a bookkeeper who knows everything expects. Money in millionths of a yuan."""

    boxes: int
    institutions: int
    uploads: int
    claims: int
    """Claims expected to be sent, branches taken as they should be; repeats not counted."""
    claims_paid: int
    claims_held: int
    claims_refused: int
    money_paid: int
    money_held: int
    money_refused: int
    stories: dict[str, int]
    """Number of stories by kind."""
    questioned: dict[str, int]
    """Number of messages that should be alerted, by kind."""
