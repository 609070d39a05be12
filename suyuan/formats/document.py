"""A parsed upload: who sent what, as records in order, with the faults found on the way."""

import msgspec

from suyuan.ledger.scan import Problem, Result, Scan
from suyuan.settlement.claim import Claim, ClaimVerdict, FeeLine, Undo

Record = Scan | Claim | FeeLine | Undo


class Document(msgspec.Struct, kw_only=True):
    """One message, or one chunk of a table file. Reading never decides: good lines and faults stand side by side."""

    format: str
    """nhsa, table or epcis."""
    infno: str = ""
    """NHSA transaction number without the A, the table's event kind, or the EPCIS document type."""
    msgid: str = ""
    institution: str = ""
    """The party that speaks, as written in the document; empty where the caller must say (`--by`)."""
    institution_name: str = ""
    sent: int = 0
    """µs UTC, the sender's own sending time."""
    software: str = ""
    raw: bytes = b""
    """The bytes as received, sealed before storing."""
    records: list[Record] = []
    problems: list[Problem] = []
    fatal: str = ""
    """Why nothing of it could be read; then there are no records."""
    first_line: int = 0
    """For a part of a file of lines: the number, from 1, of the first line of `raw` that is no header."""
    crash: Exception | None = None
    """What our own reader failed with; then `fatal` says so, until somebody has kept `raw` apart."""
    in_file: bool = False
    """Part of a file, which is sent again as a whole: it is never laid aside for later."""
    batch: bool = False
    """True for the A variants, whose rows are answered one by one."""


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a document: one result per record in order, to be put into the sender's own envelope."""

    results: list[Result | ClaimVerdict] = []
    """In the order of `Document.records`."""
    problems: list[Problem] = []
    fatal: str = ""
    """Why the whole document was refused (nothing stored)."""
    repeated: bool = False
    """True where this very document was answered before."""
    received: int = 0
    """µs UTC."""
    reference: str = ""
    """Our id of the message (inf_refmsgid)."""
    document: str = ""
    """Hash of the sealed message, as every event that it became carries it; empty where none is kept."""
