"""A document as bytes, and back: for uploads that are laid aside and taken in later exactly as they were read."""

from typing import Any

import msgspec

from suyuan.formats.document import Document, Record
from suyuan.ledger.scan import Problem, Scan
from suyuan.settlement.claim import Claim, FeeLine, Undo

_KINDS: dict[str, type[Any]] = {"scan": Scan, "claim": Claim, "fee_line": FeeLine, "undo": Undo}
_APART = frozenset({"records", "problems", "crash"})
_NAMES = {kind: name for name, kind in _KINDS.items()}


class _Kept(msgspec.Struct):
    """The fields of a document by name; of each record its kind, which nothing in its own bytes tells."""

    fields: dict[str, Any]
    problems: list[Problem]
    records: list[tuple[str, msgspec.Raw]]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Kept)


def packed_document(document: Document) -> bytes:
    """The document with all that was read of it."""
    fields = {name: getattr(document, name) for name in document.__struct_fields__ if name not in _APART}
    records = [(_NAMES[type(record)], msgspec.Raw(_encode(record))) for record in document.records]
    return _encode(_Kept(fields, document.problems, records))


def unpacked_document(packed: bytes) -> Document:
    """The document again; fields that this program no longer has are left out.

    Raises:
        ValueError: it cannot be read.
    """
    kept = _decoder.decode(packed)
    fields = {name: value for name, value in kept.fields.items() if name in Document.__struct_fields__}
    records: list[Record] = [msgspec.msgpack.decode(raw, type=_KINDS[kind]) for kind, raw in kept.records]
    return Document(**fields, problems=kept.problems, records=records)
