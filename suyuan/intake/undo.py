"""Undo: cancels, reversals and deletions release exactly what they name, once, within their window (R4, R25)."""

import msgspec

from suyuan.intake.desk import Desk
from suyuan.intake.prepare import Speaker
from suyuan.ledger.admission import DAY
from suyuan.ledger.balances import used
from suyuan.ledger.events import Event
from suyuan.ledger.keys import alert_key, batch_key, claim_key, digest, message_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import STATUS
from suyuan.settlement.claim import Undo
from suyuan.settlement.claim_file import ClaimFile, Settlement


class PreparedUndo(msgspec.Struct, gc=False):
    """An undo with the keys under which its original is filed."""

    undo: Undo
    speaker: Speaker
    sealed: str

    def keys(self) -> set[str]:
        """First round: the message, batch or claim file that the undo names."""
        references, institution = self.undo.references, self.speaker.institution
        if self.undo.kind == "reversed":
            return {message_key(institution, references.get("transaction", ""), references.get("message", ""))}
        if self.undo.kind == "corrected":
            return {batch_key(institution, self.undo.data_type, references.get("batch", ""))}
        keys = {claim_key(institution, references)}
        if references.get("settlement"):
            keys.add(claim_key(institution, {"settlement": references["settlement"]}))
        return keys

    def more(self, books: Books) -> set[str]:
        """Next rounds: the claim file behind a pointer, then every code that the original drew."""
        wanted: set[str] = set()
        if self.undo.kind == "corrected":
            for made in _uploads(books, next(iter(self.keys()))):
                wanted.update(key for key, _ in made.detail["facts"])
            return wanted
        for key in self._files(books):
            wanted.add(key)
            if key not in books.histories:
                continue
            for entry in ClaimFile.of(books.past(key)).settlements:
                for code, _ in entry.codes:
                    wanted.add(code)
                    last = books.last(code) if code in books.histories and code.startswith("line:") else None
                    if last is not None and last.detail and last.detail["balance"]:
                        wanted.add(last.detail["balance"])
        return wanted

    def _files(self, books: Books) -> set[str]:
        """Claim files meant, following pointers from settl_id or msgid."""
        files = set()
        for key in self.keys():
            events = books.past(key)
            pointed = {event.detail["claim"] for event in events if event.detail and "claim" in event.detail}
            files |= pointed or ({key} if key.startswith("claim:") else set())
        return files

    def file_key(self, books: Books) -> str:
        """The claim file meant; the visit's before a mere pointer's."""
        files = sorted(self._files(books), key=lambda key: not books.past(key) if key in books.histories else True)
        return files[0] if files else ""


def take_undo(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    """Undo what the message names, or say why not; nothing is half undone."""
    kind = prepared.undo.kind
    if kind == "corrected":
        return _delete_batch(books, prepared)
    if kind == "reversed":
        return _reverse(books, prepared, desk)
    return _cancel(books, prepared, desk)


def _cancel(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    references = prepared.undo.references
    key = prepared.file_key(books)
    file = ClaimFile.of(books.past(key))
    wanted = references.get("settlement", "")
    if wanted and any(entry.settlement == wanted for entry in file.closed):
        return _answer(prepared, "first_answer", key)
    found = file.meant_by({"settlement": wanted} if wanted else references)
    if not found and wanted and not wanted.startswith(f"{prepared.speaker.institution[:12]:0<12}"):
        return _by_another(books, prepared, wanted)
    if len(found) != 1:
        return _answer(prepared, "undo_ambiguous" if found else "undo_not_found", key)
    return _undo_settlement(books, prepared, desk, key, found[0])


def _reverse(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    """2601 undoes by the original's msgid and infno; it is idempotent, and may arrive first."""
    key = next(iter(prepared.keys()))
    events = books.past(key)
    if any(event.kind == "reversed" for event in events):
        return _answer(prepared, "first_answer", key)
    claims = [event for event in events if event.detail and event.detail.get("claim")]
    mark = {"actor": prepared.speaker.institution, "event_time": prepared.undo.event_time or books.now}
    if not claims:
        books.add(key, "reversed", status="parked", reasons=("parked",), document=prepared.sealed, **mark)
        return _answer(prepared, "parked", key)
    detail = claims[-1].detail
    file = ClaimFile.of(books.past(detail["claim"]))
    meant = next((entry for entry in file.settlements if entry.sequence == detail["sequence"]), None)
    result = _answer(prepared, "accepted", key)
    if meant is not None:
        result = _undo_settlement(books, prepared, desk, detail["claim"], meant)
        if result.status != "accepted":
            return result
    books.add(key, "reversed", corrects=claims[-1].sequence, document=prepared.sealed, **mark)
    return result


def _undo_settlement(books: Books, prepared: PreparedUndo, desk: Desk, key: str, settlement: Settlement) -> Result:
    when = prepared.undo.event_time or books.now
    days = desk.policy.undo_days[settlement.setting or "inpatient"]
    if when - settlement.event_time > days * DAY:
        return _answer(prepared, "undo_too_late", key)
    kind = prepared.undo.kind
    shared = {
        "event_time": when,
        "actor": prepared.speaker.institution,
        "place": prepared.speaker.institution,
        "region": prepared.speaker.region,
        "references": settlement.references,
        "document": prepared.sealed,
    }
    for code, sequence in settlement.codes:
        if code.startswith("line:"):
            _give_back(books, code, prepared.speaker.institution)
        books.add(code, kind, corrects=sequence, relates=sequence, fact=digest(kind, code, str(sequence)), **shared)
    books.add(
        key,
        kind,
        corrects=settlement.sequence,
        relates=settlement.sequence,
        fact=digest(kind, key, str(settlement.sequence)),
        price=settlement.detail["amount"],
        fund=settlement.fund,
        person=settlement.person,
        detail={"paid": settlement.detail["paid"], "held": settlement.detail["held"]},
        **shared,
    )
    if settlement.deadline:
        books.add(
            key, "due", actor=prepared.speaker.institution, corrects=settlement.sequence, deadline=settlement.deadline
        )
    return _answer(prepared, "accepted", key)


def _give_back(books: Books, line: str, actor: str) -> None:
    last = books.last(line)
    assert last is not None, "a settlement draws lines that exist"
    balance = last.detail["balance"]
    if last.drawn and balance:
        total = max(0, used(books.last(balance)) - last.n)
        books.add(balance, "cancelled", actor=actor, n=last.n, detail={"used": total, "line": line})


def _by_another(books: Books, prepared: PreparedUndo, settlement: str) -> Result:
    """R25: an undo by somebody else undoes nothing and is an alert."""
    speaker = prepared.speaker
    identity = digest("undo_by_another", speaker.institution, settlement)
    if not books.past(alert_key(identity)):
        books.add(
            alert_key(identity),
            "alerted",
            actor=speaker.institution,
            region=speaker.region,
            status="undo_by_another",
            reasons=("undo_by_another",),
            references=prepared.undo.references,
            document=prepared.sealed,
            detail={
                "class": "undo_by_another",
                "box": "",
                "code": "",
                "institution": speaker.institution,
                "earlier": {"institution": settlement[:12], "settlement": settlement},
                "meaning": "A cancel quotes another institution's settlement.",
                "innocent": ["branch of the same chain", "number typed wrongly"],
            },
        )
    result = _answer(prepared, "undo_by_another", "")
    result.alert = identity
    return result


def _uploads(books: Books, key: str) -> list[Event]:
    return [event for event in books.past(key) if event.detail and "facts" in event.detail]


def _delete_batch(books: Books, prepared: PreparedUndo) -> Result:
    """3507: undoes a batch if exactly one message made it; repeated, it succeeds."""
    key = next(iter(prepared.keys()))
    made = _uploads(books, key)
    undone = {event.corrects for event in books.past(key) if event.kind == "corrected"}
    left = [event for event in made if event.sequence not in undone]
    if made and not left:
        return _answer(prepared, "first_answer", key)
    if len(left) != 1:
        return _answer(prepared, "undo_ambiguous" if left else "undo_not_found", key)
    shared = {
        "event_time": prepared.undo.event_time or books.now,
        "actor": prepared.speaker.institution,
        "region": prepared.speaker.region,
        "document": prepared.sealed,
    }
    for code, sequence in left[0].detail["facts"]:
        if code.startswith("line:"):
            _give_back(books, code, prepared.speaker.institution)
        elif sequence in books.box(code).undone:
            continue
        books.add(code, "corrected", corrects=sequence, relates=sequence, **shared)
    books.add(key, "corrected", corrects=left[0].sequence, **shared)
    return _answer(prepared, "accepted", key)


def _answer(prepared: PreparedUndo, status: str, key: str) -> Result:
    return Result(
        prepared.undo.where,
        "",
        key,
        status,
        (status,),
        first=status != "first_answer",
        message=STATUS[status].meaning_zh,
    )
