"""The event record: one frozen fact about one key, never rewritten."""

from typing import Annotated, Any, Literal

import msgspec

RECORD_VERSION = 1

Kind = Literal[
    "produced",
    "packed",
    "unpacked",
    "shipped",
    "received",
    "refused",
    "counted",
    "changed",
    "sold",
    "returned",
    "claimed",
    "cancelled",
    "reversed",
    "fee_line",
    "exited",
    "hold_set",
    "hold_lifted",
    "alerted",
    "reported",
    "due",
    "corrected",
    "prescribed",
    "relayed",
]

Verdict = Literal["", "pay", "hold", "refuse"]

NUMBER_MAX = (1 << 63) - 1
Number = Annotated[int, msgspec.Meta(ge=-NUMBER_MAX - 1, le=NUMBER_MAX)]
"""What columns and databases hold in 64 bits; nothing larger comes in, from a sum, another node or a file."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact as stored. Times are µs since 1970 UTC; amounts millionths of a yuan; quantity is n of m units of a box.

    The field order is the stored format (`docs/event-record.md`): new fields go last, with a default.
    """

    version: int
    id: str
    """Time-ordered: hexadecimal µs of arrival, a tag of the process that wrote it, a number."""
    kind: Kind
    key: str
    """What it is about: a box, carton, lot line, claim, message, hold, balance, alert or report key."""
    sequence: Number
    """Position in the key's own history, from 1 without gaps."""
    event_time: Number
    arrived: Number
    actor: str
    """Who says so: an institution or firm code."""
    place: str = ""
    region: str = ""
    """Six-digit division code of the place."""
    status: str = "accepted"
    reasons: tuple[str, ...] = ()
    """All reasons in order of precedence; the first is `status`."""
    verdict: Verdict = ""
    fact: str = ""
    """Hash of the line's identity (settlement rule R5)."""
    attempt: Number = 1
    content: str = ""
    """Hash of what was said, without msgid, batch number, operator and sending time (R6)."""
    relates: Number = 0
    """Sequence, on the same key, of the earlier event this one was judged against; 0 for none."""
    corrects: Number = 0
    """Sequence, on the same key, of the event that this one undoes, lifts or corrects; 0 for none."""
    drawn: bool = False
    """True when this fact takes n/m of the box."""
    n: Number = 1
    m: Number = 1
    """Units a box holds; 0 where a split pack's size is not known (then uses are counted, never refused)."""
    counterparty: str = ""
    references: dict[str, str] = {}
    """Typed references: settlement, order, visit, receipt, time, original, message, delivery …"""
    line: str = ""
    product: str = ""
    """NHSA product code as billed or declared by the sender."""
    parent: str = ""
    """Carton key, for packed and unpacked."""
    lot: str = ""
    expiry: str = ""
    """ISO date."""
    price: Number = 0
    fund: str = ""
    person: str = ""
    """Keyed pseudonym, never an identifier (R24)."""
    prescriber: str = ""
    deadline: Number = 0
    """µs UTC at which something falls due if nothing happens; 0 for never."""
    document: str = ""
    """Hash of the sealed raw message that said so."""
    software: str = ""
    """supplier/name/version of the client."""
    detail: Any = None
    """What belongs to this kind alone: children of a carton, lines of a claim, evidence of an alert, an answer."""
    joins: Number = 0
    """Sequence, on the same box, of the other record (report or claim) of the same sale; 0 for none."""
    alert: str = ""
    """Id of the alert that speaks for this fact, raised in the same append or earlier for the same conflict."""
    origin: str = ""
    """Where it came from through the relay, as `<province>/<sequence there>`; empty for what was first stored here."""


encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(Event)
