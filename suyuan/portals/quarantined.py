"""What is kept apart at the doors: a message on which our own reader fails, and trying it again once that is mended."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from msgspec import MsgspecError

from suyuan.formats import epcis, nhsa, tables
from suyuan.formats.api.documents import SHAPES, read, read_cancel, read_claim, read_reversal
from suyuan.formats.document import Document
from suyuan.formats.faults import UnreadableError, refusal, refusal_in_chinese
from suyuan.formats.keeping import unpacked_document
from suyuan.intake import take_together
from suyuan.node import Node
from suyuan.portals.failing import is_poison
from suyuan.portals.problem import ERROR, Refused
from suyuan.storage.quarantine import Kept, QuarantineFull

LEFT_OUT = ("quarantined", "quarantine_full")
"""Refusals of a message on which our own code failed: of a file, the other parts are taken all the same."""


def _table(raw: bytes, kind: str = "") -> Document:
    return next(tables.read([raw], kind=kind, chunk_rows=1 << 30))


READERS: dict[str, Callable[[bytes], Document]] = {
    "document": unpacked_document,
    "nhsa": nhsa.read,
    "epcis": epcis.read,
    "table": _table,
    "api/claim": partial(read_claim, advice=False),
    "api/advice": partial(read_claim, advice=True),
    "api/reversal": read_reversal,
    **{f"api/{name}": partial(read, name) for name in SHAPES},
}
"""By door, what reads a message that was kept."""


@contextmanager
def kept_apart(node: Node, door: str, raw: bytes, by: str, *, dry_run: bool = False) -> Iterator[None]:
    """Around a reader: where it fails on a message, and not the message on it, that is kept sealed for the operator.

    Nothing of a dry run is: tried again, it would be recorded.

    Raises:
        Refused: `quarantined`, with the number under which it is kept; `quarantine_full` where there is no room.
    """
    try:
        yield
    except (UnreadableError, MsgspecError):
        raise
    except Exception as error:
        if not is_poison(error):
            raise
        if dry_run:
            raise Refused("field_unusable", where="body", what=refusal("failed")) from error
        raise put_apart(node, door, "read", raw, by, error=error) from error


def put_apart(node: Node, door: str, step: str, content: bytes, by: str, *, error: Exception) -> Refused:
    """Keep a message on which our own code failed, where there is room; answers what its sender is told."""
    try:
        return Refused("quarantined", value=str(node.quarantine.keep(door, step, content, by, error)))
    except (QuarantineFull, sqlite3.Error, OSError):  # why it cannot be written is told by /readyz
        return Refused("quarantine_full", headers={"retry-after": "3600"})


def left_out(refusal: Refused) -> str:
    """Words for a part of a file that was kept apart, or could not be."""
    number = f" Number {refusal.value}." if refusal.value else ""
    return f"{refusal.error.title}{number}"


def left_out_in_chinese(words: str) -> str:
    """Words made by `left_out`, in Chinese; other words as `refusal_in_chinese` has them."""
    for error in map(ERROR.__getitem__, LEFT_OUT):
        if words.startswith(error.title):
            number = words.removeprefix(error.title).strip(" .").removeprefix("Number ")
            return f"{error.title_zh}，编号{number}" if number else error.title_zh
    return refusal_in_chinese(words)


def retry(node: Node, number: int) -> str:
    """Read and take a message once more; answers what became of it, in words. What is taken leaves the quarantine.

    Raises:
        Refused: there is no such entry.
    """
    found = node.quarantine.one(number)
    if found is None:
        raise Refused("not_found", where="quarantine", value=str(number))
    kept, (raw, _) = found
    try:
        document = _reader(kept)(raw)
        (outcome,) = take_together(node.desk, [(document, kept.by)])
        if isinstance(outcome, Exception):
            raise outcome  # noqa: TRY301  one way out for reading and taking
    except Exception as error:
        if not is_poison(error):
            raise
        node.quarantine.keep(kept.door, kept.step, raw, kept.by, error)
        return f"{number} failed again: {type(error).__name__}"
    if outcome.fatal or document.fatal:
        return f"{number} was refused, and is still kept: {outcome.fatal or document.fatal}"
    node.quarantine.drop(number)
    return f"{number} was taken: {len(outcome.results)} records"


def _reader(kept: Kept) -> Callable[[bytes], Document]:
    if kept.door.startswith("api/cancel/"):
        return partial(read_cancel, settlement=kept.door.removeprefix("api/cancel/"))
    if kept.door.startswith("table/"):
        return partial(_table, kind=kept.door.removeprefix("table/"))
    return READERS[kept.door]
