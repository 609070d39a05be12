"""What a sender says about codes, before anything is decided: the input of admission."""

import msgspec

from suyuan.ledger.events import Kind


class Scan(msgspec.Struct, gc=False, kw_only=True):
    """One code in one line of a document. Text fields are as sent, trimmed; `kind` is what is said to have happened."""

    kind: Kind
    code: str
    """As scanned, in any code system; empty where the line has no code."""
    where: str
    """Line for the reader: `3` for a table's line, `selinfoDetail[2].drugtracinfo[0]` for a message."""
    event_time: int
    """µs UTC; 0 where the sender gave none (then arrival counts)."""
    references: dict[str, str] = {}
    """Typed: settlement, order, visit, receipt, delivery, original, bill, batch. R3 and R5 say which decides."""
    line: str = ""
    """feedetl_sn or other line number that the sender keeps when it sends again; empty where it has none."""
    product: str = ""
    """NHSA product code (med_list_codg)."""
    item: str = ""
    """The sender's own item id."""
    quantity: str = "1"
    """Decimal text in the smallest priced unit, for the whole line."""
    split: bool = False
    price: int = 0
    """Unit price in millionths of a yuan."""
    amount: int = 0
    lot: str = ""
    expiry: str = ""
    """ISO date or empty."""
    made: str = ""
    person: str = ""
    """Raw identifier of the person; a pseudonym before anything is stored. `<type>:<number>`, type `id` or `psn`."""
    prescriber: str = ""
    fund: str = ""
    """employee, resident, work_injury, self_paid, or empty."""
    counterparty: str = ""
    place: str = ""
    """Where, if not at the actor's own address."""
    parent: str = ""
    """Carton code, for packed and unpacked."""
    children: tuple[str, ...] = ()
    """Child codes, when one line packs or unpacks many."""
    reason: str = ""
    """Why, for exits, refusals, stock changes, holds (inv_chg_type, bill type, words)."""
    no_code: str = ""
    """legacy, exempt, unreadable or virtual, where the sender says why a line has no code (R20)."""
    scope: str = ""
    """code, batch or product, for holds."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One fault in a document, for its reader: what, where, the value, what to do."""

    where: str
    what: str
    value: str = ""
    do: str = ""
    code: str = "malformed"


class Result(msgspec.Struct, gc=False):
    """The answer to one scan."""

    where: str
    code: str
    key: str
    status: str
    reasons: tuple[str, ...] = ()
    first: bool = True
    """False where the answer repeats one given earlier."""
    alert: str = ""
    message: str = ""
