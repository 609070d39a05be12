"""Receipts: a till names a sale, and gets a signed token that binds it without naming any person (B9)."""

import json
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from suyuan.codes.recognise import recognise
from suyuan.formats import nhsa
from suyuan.formats.api import documents
from suyuan.formats.document import Document
from suyuan.intake import upload_of
from suyuan.intake.desk import Desk, day_of
from suyuan.intake.upload import Upload
from suyuan.ledger.box import Box, Sale
from suyuan.ledger.events import Event
from suyuan.ledger.keys import claim_key, message_key
from suyuan.ledger.ledger import Books, Ledger
from suyuan.ledger.packing import children_of
from suyuan.ledger.privacy import SealBroken
from suyuan.ledger.signer import Signer
from suyuan.lookup.receipt import BOXES_MAX, ID, SALT, Reversed, Token, mark_of, marks_of, sealed
from suyuan.lookup.story import keys_of

REFERENCES = ("receipt", "settlement", "order", "visit")
"""Typed references of a sale, the one that is printed first."""
MESSAGES = ("3505", "2102", "2207", "2304", "sales", "claims")
"""Messages by which a sale becomes known, where a till names an id only."""
CODES_MAX = 500
PARTS_MAX = 32

Facts = dict[str, list[int]]
"""By box or line: sequences of the events that are the sale."""


class SaleNotFound(Exception):  # noqa: N818  the till's word for it
    """No sale of this institution is what was named; the words say what to do."""


class Wanted(msgspec.Struct, kw_only=True):
    """A sale as a till names it: by its codes, by a reference, or by the message that told of it."""

    institution: str
    codes: tuple[str, ...] = ()
    references: dict[str, str] = {}
    """receipt, settlement, order, visit."""
    date: str = ""
    """Business day of a receipt number, ISO; numbers begin anew each day."""
    msgid: str = ""
    infno: str = ""


class Issued(msgspec.Struct, kw_only=True):
    """A receipt as made: one token for each 16 boxes."""

    id: str
    tokens: list[str]
    institution: str
    name: str
    sold: int
    """µs UTC."""
    boxes: int
    lines: int
    reversed: Reversed


class Standing(msgspec.Struct, kw_only=True):
    """What has become of the sale on a receipt since."""

    reversed: Reversed
    facts: int


def issue_receipt(desk: Desk, signer: Signer, node: str, wanted: Wanted) -> Issued:
    """The receipt of a sale; the same sale always has the same id and marks, and a fresh checkpoint.

    Raises:
        SaleNotFound: nothing that was sold here is what was named.
    """
    facts = _facts(desk, wanted)
    if not facts:
        raise SaleNotFound("No sale of this institution has these codes or this reference: report the sale first.")
    histories = desk.ledger.read(facts)
    told = [histories[key][sequences[-1] - 1] for key, sequences in facts.items()]
    identity = _id(desk, wanted.institution, facts)
    _remember(desk.ledger, wanted.institution, identity, facts, told)
    salt = desk.privacy.mark("receipt salt", identity.hex())[:SALT]
    keys, boxes = _boxes(histories)
    party = desk.catalogue.party(wanted.institution, day_of(told[0].event_time))
    sold = min(event.event_time for event in told)
    token = Token(
        key=b"",
        id=identity,
        institution=wanted.institution,
        # Of psychiatric, infectious and reproductive places a paper that is found should not tell the name.
        name=party.name if party is not None and not party.sensitive else "",
        sold=sold // 1_000_000,
        issued=desk.ledger.clock() // 1_000_000,
        position=desk.ledger.journal.append([], {}),  # type: ignore[arg-type]  # nothing is written, so nothing is stale
        node=node,
        salt=salt,
        reference=mark_of(salt, "reference", _printed(wanted, told)),
        boxes=boxes,
        lines=sum(key.startswith("line:") for key in facts),
        reversed=_reversed(facts, histories),
        split=any(event.m != 1 and not event.key.startswith("line:") for event in told),
    )
    tokens = [sealed(part, signer) for part in _parts(token, keys)]
    return Issued(
        id=identity.hex(),
        tokens=tokens,
        institution=wanted.institution,
        name=token.name,
        sold=sold,
        boxes=token.boxes,
        lines=token.lines,
        reversed=token.reversed,
    )


def standing_of(ledger: Ledger, institution: str, identity: str) -> Standing | None:
    """Whether the sale on a receipt still stands; None where no such receipt was made here."""
    key = message_key(institution, "receipt", identity)
    events = ledger.read([key])[key]
    if not events:
        return None
    facts = {fact: list(sequences) for fact, sequences in events[0].detail["facts"]}
    return Standing(reversed=_reversed(facts, ledger.read(facts)), facts=len(facts))


def _parts(token: Token, keys: list[str]) -> list[Token]:
    """One token, or several where one QR code cannot hold all boxes."""
    groups = [keys[start : start + BOXES_MAX] for start in range(0, len(keys), BOXES_MAX)] or [[]]
    if len(groups) > PARTS_MAX:
        raise SaleNotFound(
            f"A receipt binds at most {PARTS_MAX * BOXES_MAX} boxes: make one for each part of the sale."
        )
    return [
        msgspec.structs.replace(token, part=number, parts=len(groups), marks=marks_of(token.salt, group))
        for number, group in enumerate(groups, 1)
    ]


def _remember(ledger: Ledger, institution: str, identity: bytes, facts: Facts, told: list[Event]) -> None:
    """Keep, once, which facts the receipt binds: a till's wish is a message of its institution."""
    key = message_key(institution, "receipt", identity.hex())

    def decide(books: Books) -> None:
        if not books.past(key):
            detail = {"facts": [[fact, sequences] for fact, sequences in facts.items()]}
            where = {"actor": institution, "place": told[0].place, "region": told[0].region}
            books.add(key, "sold", event_time=told[0].event_time, detail=detail, **where)

    ledger.transact([key], decide)


def _id(desk: Desk, institution: str, facts: Facts) -> bytes:
    said = json.dumps([institution, sorted((key, sequences[0]) for key, sequences in facts.items())])
    return desk.privacy.mark("receipt", said)[:ID]


def _printed(wanted: Wanted, told: Iterable[Event]) -> str:
    """The number that stands on the paper: as the till says, else as the sale says; without the day."""
    for references in (wanted.references, *(event.references for event in told)):
        for kind in REFERENCES:
            if references.get(kind):
                return references[kind].partition("@")[0] if kind == "receipt" else references[kind]
    return wanted.msgid


def _boxes(histories: Mapping[str, list[Event]]) -> tuple[list[str], int]:
    """What the buyer can check, and how many boxes it is: of a carton those that it holds, and its own code beside."""
    keys: dict[str, None] = {}
    count = 0
    for key, events in histories.items():
        if not key.startswith("line:"):
            children = children_of(events)
            keys |= dict.fromkeys((key, *children))
            count += len(children) or 1
    return list(keys), count


# Which facts are the sale


def _facts(desk: Desk, wanted: Wanted) -> Facts:
    if wanted.codes:
        return _by_codes(desk, wanted)
    if wanted.msgid:
        return _by_message(desk, wanted)
    return _by_reference(desk.ledger, wanted)


def _by_codes(desk: Desk, wanted: Wanted) -> Facts:
    """Every code must have been sold here: one that was not is an error of the till, and told."""
    facts: Facts = {}
    for text in dict.fromkeys(wanted.codes[:CODES_MAX]):
        keys = keys_of(recognise(text, "scan", desk.catalogue.maker_rules))
        histories = desk.ledger.read(keys)
        found = next((found for key in keys if (found := _sale_of(key, histories[key], wanted))), None)
        if found is None:
            raise SaleNotFound(f"{text} was not sold here, or not under this reference: report the sale first.")
        facts[found[0]] = found[1]
    return facts


def _sale_of(key: str, events: list[Event], wanted: Wanted) -> tuple[str, list[int]] | None:
    """The latest standing sale of a box by this institution under these references, else the latest undone one."""
    box = Box.of(key, events)
    for sale in reversed(box.sales):
        parts = [event for event in (sale.report, sale.claim) if event is not None]
        if sale.known_by.actor == wanted.institution and any(_fits(event, wanted) for event in parts):
            return key, _sequences(sale)
    for event in reversed(events):
        mine = event.actor == wanted.institution and event.kind in {"sold", "claimed"}
        if mine and event.sequence in box.undone and _fits(event, wanted):
            return key, [event.sequence]
    return None


def _sequences(sale: Sale) -> list[int]:
    """Its events, the one that speaks for it last."""
    known = sale.known_by.sequence
    parts = {event.sequence for event in (sale.report, sale.claim) if event is not None} | {sale.first}
    return [*sorted(parts - {known}), known]


def _fits(event: Event, wanted: Wanted) -> bool:
    """Whether an event carries the references that were named, as far as it has such ones."""
    for kind, value in wanted.references.items():
        own = event.references.get(kind, "")
        if kind == "receipt":
            number, _, day = own.partition("@")
            own = number if day == (wanted.date or day) else f"{number}@"
        if value and own and own != value:
            return False
    return True


def _by_reference(ledger: Ledger, wanted: Wanted) -> Facts:
    """By the claim of a visit, order, receipt or settlement, and the sale reports of its visit."""
    references = {kind: value for kind, value in wanted.references.items() if value}
    if "receipt" in references and wanted.date:
        references["receipt"] = f"{references['receipt']}@{wanted.date}"
    keys = {claim_key(wanted.institution, references)}
    if "settlement" in references:
        keys.add(claim_key(wanted.institution, {"settlement": references["settlement"]}))
    histories = ledger.read(keys)
    pointed = {
        event.detail["claim"]
        for events in histories.values()
        for event in events
        if isinstance(event.detail, dict) and "claim" in event.detail
    }
    histories |= ledger.read(pointed - histories.keys())
    return _joined(ledger, [pair for events in histories.values() for pair in _codes_in(events, wanted.references)])


def _codes_in(events: Iterable[Event], references: Mapping[str, str]) -> list[tuple[str, int]]:
    """What the claims and reports of a file say was sold, undone ones too; with an order or settlement, only that."""
    pairs: list[tuple[str, int]] = []
    narrow = {kind: references[kind] for kind in ("settlement", "order") if references.get(kind)}
    for event in events:
        detail = event.detail if isinstance(event.detail, dict) else {}
        if event.kind == "claimed" and "codes" in detail and event.verdict != "refuse":
            if all(event.references.get(kind, value) == value for kind, value in narrow.items()):
                pairs += [(key, sequence) for key, sequence in detail["codes"]]
        elif not narrow:
            pairs += [(row[0], row[1]) for row in detail.get("reports", ())]
    return pairs


def _by_message(desk: Desk, wanted: Wanted) -> Facts:
    """By the message that told of the sale: its sealed bytes are read again."""
    names = [wanted.infno] if wanted.infno else list(MESSAGES)
    keys = [message_key(wanted.institution, name, wanted.msgid) for name in names]
    pairs: list[tuple[str, int]] = []
    for key, events in desk.ledger.read(keys).items():
        for event in events:
            detail = event.detail if isinstance(event.detail, dict) else {}
            if "claim" in detail:
                claim = desk.ledger.read([detail["claim"]])[detail["claim"]][detail["sequence"] - 1]
                pairs += [(code, sequence) for code, sequence in claim.detail["codes"]]
            elif event.document:
                pairs += _told_in(desk, wanted.institution, key.split(":", 3)[2], event.document)
    return _joined(desk.ledger, pairs)


def _told_in(desk: Desk, institution: str, name: str, document: str) -> list[tuple[str, int]]:
    """The sales that a kept message told of, as they were filed."""
    read = _read_again(desk, name, document)
    upload = upload_of(desk, read, institution) if read is not None else None
    if not isinstance(upload, Upload):
        return []
    sold = [fact for fact in upload.facts if fact.kind == "sold"]
    histories = desk.ledger.read({fact.key for fact in sold})
    return [
        (fact.key, event.sequence)
        for fact in sold
        for event in histories[fact.key]
        if event.fact == fact.fact and event.kind == "sold"
    ]


def _read_again(desk: Desk, name: str, document: str) -> Document | None:
    kept = desk.ledger.journal.document(document)
    if kept is None:
        return None
    try:
        raw = desk.privacy.unseal(kept)
        return nhsa.read(raw) if name.isdigit() else documents.read(name, raw)
    except (SealBroken, KeyError, msgspec.MsgspecError):
        return None


def _joined(ledger: Ledger, pairs: Iterable[tuple[str, int]]) -> Facts:
    """Claims and reports of one box are one sale; a line is known by its own event."""
    sequences: Facts = {}
    for key, sequence in pairs:
        sequences.setdefault(key, []).append(sequence)
    facts: Facts = {}
    for key, events in ledger.read(sequences).items():
        if key.startswith("line:"):
            facts[key] = sequences[key][-1:]
            continue
        box = Box.of(key, events)
        sale = next((sale for sequence in sequences[key] if (sale := box.sale_with(sequence))), None)
        facts[key] = _sequences(sale) if sale is not None else sequences[key][-1:]
    return facts


# Whether it still stands


def _reversed(facts: Facts, histories: Mapping[str, list[Event]]) -> Reversed:
    found = {_undone(key, sequences, histories[key]) for key, sequences in facts.items()}
    return found.pop() if len(found) == 1 else "part"


def _undone(key: str, sequences: list[int], events: list[Event]) -> Reversed:
    """How much of one fact was given back, cancelled or deleted."""
    if key.startswith("line:"):
        undo = (event for event in events if event.corrects in sequences and event.kind in _UNDOING)
        return "all" if any(event.status == "accepted" for event in undo) else "none"
    for sale in Box.of(key, events).sales:
        if sale.first in sequences or any(sale.has(sequence) for sequence in sequences):
            return "part" if sale.returned else "none"
    return "all"


_UNDOING: frozenset[Literal["returned", "cancelled", "reversed", "corrected"]] = frozenset(
    {"returned", "cancelled", "reversed", "corrected"}
)
