"""Undo: cancels, reversals and deletions release exactly what they name, once, within their window (R4, R25)."""

from collections.abc import Sequence

import msgspec

from suyuan.formats.times import digits17
from suyuan.intake.desk import Desk
from suyuan.intake.prepare import Speaker
from suyuan.intake.scans import draw_down
from suyuan.ledger.admission import DAY
from suyuan.ledger.alerts import CLASSES
from suyuan.ledger.events import Event, Kind
from suyuan.ledger.keys import alert_key, batch_key, claim_key, digest, message_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import STATUS
from suyuan.settlement.claim import Undo
from suyuan.settlement.claim_file import ClaimFile, Settlement

SALES_TYPE = "4"
"""inv_data_type of 3507 for sales and their returns."""


class PreparedUndo(msgspec.Struct, gc=False):
    """An undo with the keys under which its original is filed."""

    undo: Undo
    speaker: Speaker
    sealed: str

    def keys(self) -> set[str]:
        """First round: the message, batch, claim file or settlement that the undo names."""
        references, institution = self.undo.references, self.speaker.institution
        if self.undo.kind == "reversed":
            return {message_key(institution, references.get("transaction", ""), references.get("message", ""))}
        if self.undo.kind == "corrected":
            return {batch_key(institution, self.undo.data_type, references.get("batch", ""))}
        if not self.settlement:
            return {claim_key(institution, references)}
        return {self._pointer(institution), alert_key(self.alert), *self._elsewhere()}

    def more(self, books: Books) -> set[str]:
        """Next rounds: the claim files behind pointers, every code that the original made, balances of its lines."""
        wanted = self._files(books)
        made: list[tuple[str, int]] = []
        if self.undo.kind == "corrected":
            made = [fact for upload in _uploads(books, next(iter(self.keys()))) for fact in upload.detail["facts"]]
        for key in wanted:
            made += [code for entry in ClaimFile.of(books.past(key)).settlements for code in entry.codes]
        for code, _ in made:
            wanted.add(code)
            last = books.last(code) if code.startswith("line:") and code in books.histories else None
            if last is not None and last.detail and last.detail["balance"]:
                wanted.add(last.detail["balance"])
        return wanted

    @property
    def settlement(self) -> str:
        """The settlement id that a cancel quotes; empty where it quotes none."""
        return self.undo.references.get("settlement", "")

    @property
    def alert(self) -> str:
        """Id of the alert that this cancel raises if the settlement is another institution's."""
        return digest("undo_by_another", self.speaker.institution, self.settlement)

    def file_key(self, books: Books) -> str:
        """The claim file that a cancel means; empty where its settlement is none of this institution's."""
        return next(iter(self._files(books)), "")

    def is_of_another(self, books: Books) -> bool:
        """Whether the settlement was issued to another institution."""
        return any(books.past(key) for key in self._elsewhere())

    def _files(self, books: Books) -> set[str]:
        """Claim files meant, following pointers from setl_id or msgid."""
        if self.undo.kind == "cancelled" and not self.settlement:
            return self.keys()
        key = self._pointer(self.speaker.institution) if self.settlement else next(iter(self.keys()))
        return {event.detail["claim"] for event in books.past(key) if event.detail and "claim" in event.detail}

    def _pointer(self, institution: str) -> str:
        return claim_key(institution, {"settlement": self.settlement})

    def _elsewhere(self) -> set[str]:
        """Where the settlement is filed if it is another institution's: its id begins with whose it is."""
        owner = self.settlement[:12]
        return {self._pointer(code) for code in (owner, owner.rstrip("0"))} - {self._pointer(self.speaker.institution)}


def take_undo(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    """Undo what the message names, or say why not; nothing is half undone."""
    kind = prepared.undo.kind
    if kind == "corrected":
        return _delete_batch(books, prepared, desk)
    if kind == "reversed":
        return _reverse(books, prepared, desk)
    return _cancel(books, prepared, desk)


def _cancel(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    key = prepared.file_key(books)
    file = ClaimFile.of(books.past(key))
    wanted = prepared.settlement
    if wanted and any(entry.settlement == wanted for entry in file.closed):
        return _answer(prepared, "first_answer", key)
    found = file.meant_by({"settlement": wanted} if wanted else prepared.undo.references)
    if not found and wanted and prepared.is_of_another(books):
        return _by_another(books, prepared)
    if len(found) > 1:
        return _answer(prepared, "undo_ambiguous", key, [entry.settlement for entry in found])
    if not found:
        return _answer(prepared, "undo_not_found", key)
    return _undo_settlement(books, prepared, desk, key, found[0])


def _reverse(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    """2601 undoes by the original's msgid and infno; it is idempotent, and may arrive first."""
    key = next(iter(prepared.keys()))
    events = books.past(key)
    if any(event.kind == "reversed" and "answers" not in (event.detail or {}) for event in events):
        # An event with answers is what a 2601 of this number was told, not what became of it.
        return _answer(prepared, "first_answer", key)
    mark = {"actor": prepared.speaker.institution, "event_time": prepared.undo.event_time or books.now}
    if not events:
        books.add(key, "reversed", status="parked", reasons=("parked",), document=prepared.sealed, **mark)
        return _answer(prepared, "parked", key)
    claims = [event for event in events if event.detail and "claim" in event.detail]
    if not claims:
        return _answer(prepared, "undo_not_found", key)
    meant = {
        (event.detail["claim"], entry.sequence): entry
        for event in claims
        for entry in ClaimFile.of(books.past(event.detail["claim"])).settlements
        if entry.sequence == event.detail["sequence"]
    }
    if len(meant) > 1:
        # One msgid on two bodies (T5): nobody can say which of them is meant.
        return _answer(prepared, "undo_ambiguous", key, [entry.settlement for entry in meant.values()])
    result = _answer(prepared, "accepted", key)
    for (file, _), entry in meant.items():
        result = _undo_settlement(books, prepared, desk, file, entry)
    if result.status == "accepted":
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
    """What a line took from its balance goes back; what it gave back is taken again."""
    last = books.last(line)
    assert last is not None, "an undo names lines that exist"
    if not last.drawn or not last.detail["balance"]:
        return
    kind: Kind = "claimed" if last.kind == "claimed" else "sold"
    draw_down(
        books, last.detail["balance"], kind, last.n if last.kind == "returned" else -last.n, actor=actor, line=line
    )


def _by_another(books: Books, prepared: PreparedUndo) -> Result:
    """R25: an undo by somebody else undoes nothing and is an alert."""
    speaker, settlement = prepared.speaker, prepared.settlement
    key = alert_key(prepared.alert)
    if not books.past(key):
        meaning, innocent = CLASSES["undo_by_another"]
        books.add(
            key,
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
                "meaning": meaning,
                "innocent": [*innocent, "number typed wrongly"],
            },
        )
    result = _answer(prepared, "undo_by_another", "")
    result.alert = prepared.alert
    return result


def _uploads(books: Books, key: str) -> list[Event]:
    return [event for event in books.past(key) if event.detail and "facts" in event.detail]


def _delete_batch(books: Books, prepared: PreparedUndo, desk: Desk) -> Result:
    """3507: undoes a batch if exactly one message made it; repeated, it succeeds."""
    key = next(iter(prepared.keys()))
    made = _uploads(books, key)
    undone = {event.corrects for event in books.past(key) if event.kind == "corrected"}
    left = [event for event in made if event.sequence not in undone]
    if made and not left:
        return _answer(prepared, "first_answer", key)
    if len(left) > 1:
        several = [f"{digits17(event.arrived)[:14]}上传{len(event.detail['facts'])}条" for event in left]
        return _answer(prepared, "undo_ambiguous", key, several)
    if not left:
        return _answer(prepared, "undo_not_found", key)
    if prepared.undo.data_type == SALES_TYPE and _is_too_late(books, prepared, desk, left[0]):
        return _answer(prepared, "undo_too_late", key)
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


def _is_too_late(books: Books, prepared: PreparedUndo, desk: Desk, upload: Event) -> bool:
    """The window of a deletion is that of a return: from the oldest sale of the batch (R25)."""
    sales = [books.past(code)[sequence - 1] for code, sequence in upload.detail["facts"]]
    days = desk.policy.undo_days["pharmacy" if prepared.speaker.kind == "pharmacy" else "inpatient"]
    when = prepared.undo.event_time or books.now
    return when - min((event.event_time for event in sales), default=when) > days * DAY


def _answer(prepared: PreparedUndo, status: str, key: str, candidates: Sequence[str] = ()) -> Result:
    words = STATUS[status].meaning_zh + (f"：{'、'.join(candidates)}" if candidates else "")
    return Result(prepared.undo.where, "", key, status, (status,), first=status != "first_answer", message=words)
