"""What an institution asks the fund to pay, and what undoes it: the input of the verdict."""

from typing import Literal

import msgspec

Setting = Literal["pharmacy", "outpatient", "inpatient"]


class ClaimCode(msgspec.Struct, gc=False, kw_only=True):
    """One code of one claim line (a `drug_trac_info` row)."""

    code: str
    where: str
    split: bool = False


class ClaimLine(msgspec.Struct, gc=False, kw_only=True):
    """One fee line: which product, how much, with which codes."""

    line: str
    """feedetl_sn."""
    where: str
    product: str = ""
    """NHSA code (med_list_codg); empty where no fee details were sent."""
    item: str = ""
    quantity: str = ""
    """Decimal text in the smallest priced unit; empty where unknown."""
    price: int = 0
    amount: int = 0
    """Millionths of a yuan."""
    codes: list[ClaimCode] = []
    no_code: str = ""


class Claim(msgspec.Struct, gc=False, kw_only=True):
    """A settlement request or, with `advice`, a pre-settlement that changes nothing (2101, 2206, 2303)."""

    setting: Setting
    advice: bool = False
    references: dict[str, str] = {}
    """order (chrg_bchno), visit (mdtrt_id), receipt."""
    event_time: int = 0
    person: str = ""
    """Raw, `<type>:<number>`."""
    insured_area: str = ""
    fund: str = ""
    amount: int = 0
    expected_drug: int = -1
    """minpacunt_drug_trac_cnt; −1 where not given."""
    expected_consumable: int = -1
    """mcs_trac_cnt; −1 where not given."""
    lines: list[ClaimLine] = []


class FeeLine(msgspec.Struct, gc=False, kw_only=True):
    """A row of 2204 or 2301: which product a fee line is."""

    line: str
    where: str
    references: dict[str, str] = {}
    product: str = ""
    item: str = ""
    quantity: str = ""
    price: int = 0
    amount: int = 0
    event_time: int = 0
    exempt: str = ""


class Undo(msgspec.Struct, gc=False, kw_only=True):
    """A cancel (2103, 2208, 2305), a reversal (2601) or a deletion of uploaded data (3507)."""

    kind: Literal["cancelled", "reversed", "corrected"]
    where: str
    references: dict[str, str] = {}
    """settlement, visit; for 2601 message (omsgid) and transaction (oinfno); for 3507 batch (fixmedins_bchno)."""
    data_type: str = ""
    """3507 inv_data_type: 1 stocktake, 2 stock change, 3 purchase, 4 sale."""
    person: str = ""
    event_time: int = 0


class CodeVerdict(msgspec.Struct, gc=False, kw_only=True):
    """What became of one code of a claim."""

    code: str
    where: str
    key: str
    status: str
    reasons: tuple[str, ...]
    verdict: str
    """pay, hold or refuse."""
    drawn: bool = False
    alert: str = ""
    """Id of the alert raised in the same append, if any."""
    message: str = ""
    """Every reason in words, for the institution."""
    next_action: str = ""
    """The next physical action: rescan, take another box, mark split, wait for mapping."""
    facts: dict[str, str] = {}
    """The facts behind it, as far as the institution may see them (kind of place and date band elsewhere)."""


class LineVerdict(msgspec.Struct, gc=False, kw_only=True):
    """What became of one claim line; it shows its worst code."""

    line: str
    where: str
    product: str
    verdict: str
    status: str
    reasons: tuple[str, ...]
    amount: int = 0
    paid: int = 0
    """Millionths of a yuan that the fund pays now."""
    codes: list[CodeVerdict] = []
    message: str = ""
    next_action: str = ""


class ClaimVerdict(msgspec.Struct, gc=False, kw_only=True):
    """What became of a claim; it shows its worst line. The same value answers a repeat."""

    verdict: str
    settlement: str = ""
    """setl_id, issued here; empty for advice and refused claims."""
    advice: bool = False
    first: bool = True
    """False where this repeats the first answer."""
    amount: int = 0
    paid: int = 0
    held: int = 0
    refused: int = 0
    lines: list[LineVerdict] = []
    problems: tuple[str, ...] = ()
    """Faults that concern the whole claim (not_allowed, malformed), in words."""
    contest: str = ""
    """How to contest."""
    provisional: bool = False
    """True where the nation could not be asked: it looks again when it gets the claim (R23)."""
