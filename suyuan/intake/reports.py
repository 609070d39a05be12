"""Citizens' reports: taken with all their evidence in one append, followed by receipt number, answered step by step."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from typing import Any

import msgspec

from suyuan.catalogue.regions import divisions
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise
from suyuan.intake.desk import Desk
from suyuan.intake.photos import PhotoRefused, clean_photo
from suyuan.intake.report_number import number_of, read_number
from suyuan.ledger.admission import DAY, MINUTE
from suyuan.ledger.events import Event
from suyuan.ledger.ledger import Books, Ledger
from suyuan.lookup.story import keys_of

TRAITS = (
    "sold_before",
    "not_mine",
    "packaging",
    "print",
    "look_or_smell",
    "no_code",
    "price",
    "seller",
    "no_receipt",
    "effect",
    "other",
)
"""What is wrong, as ticked by whoever reports it."""

STEPS: dict[str, frozenset[str]] = {
    "taken_up": frozenset({"received"}),
    "checking": frozenset({"taken_up", "answered"}),
    "answered": frozenset({"taken_up", "checking"}),
    "passed_on": frozenset({"received", "taken_up", "checking"}),
}
"""The steps of an authority, each with the states from which it may be taken; passed on, a report waits anew."""

PHOTOS_MAX = 5
WORDS_MAX = 2000
PLACE_MAX = 200
CONTACT_MAX = 100
ANSWER_MAX = 1000
TOKEN_MIN, TOKEN_MAX = 16, 100
LINKS_MAX = 20
"""Reports that stand in the history of one code; further ones are taken all the same, and listed by code."""
AHEAD = 10 * MINUTE
OLDEST = 10 * 365 * DAY
PERSONAL = re.compile(r"(?<!\d)(?:1[3-9]\d{9}|\d{17}[\dXx])(?!\d)", re.ASCII)
"""A mobile number or an identity number, which no public answer should hold."""
CANDIDATES = 4
"""Numbers to try for one form: two forms that fall on one number are as good as never."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sends. Time is µs since 1970 UTC."""

    token: str
    """Of the form: the same form sent twice is one report."""
    code: str = ""
    region: str = ""
    """Six-digit division code of the place."""
    institution: str = ""
    """Code of the hospital or pharmacy, where one is named."""
    place: str = ""
    happened: int = 0
    traits: tuple[str, ...] = ()
    words: str = ""
    photos: tuple[bytes, ...] = ()
    """As sent."""
    contact: str = ""
    software: str = ""


class Fault(msgspec.Struct, frozen=True):
    """One field that cannot be used, in words."""

    field: str
    words: str


class ReportRefused(Exception):  # noqa: N818  the sender's word for it
    """A report that cannot be taken as it is; `faults` say why. Nothing was written."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.words}" for fault in self.faults))


class StepRefused(Exception):  # noqa: N818  the sender's word for it
    """A step that cannot be taken now; the words say why. Nothing was written."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a report that was taken."""

    receipt: str
    first: bool = True
    """False where this form had come before."""
    changed: bool = False
    """True where it had come before with other words: those of the first time stand."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way of a report. `words` are public."""

    state: str
    at: int
    by: str = ""
    person: str = ""
    words: str = ""
    region: str = ""


class ReportFile(msgspec.Struct, kw_only=True):
    """One report as the fold of its events; what the sender wrote is named by the hash of the sealed document."""

    receipt: str
    received: int
    happened: int
    region: str
    institution: str
    code: str
    box: str
    traits: tuple[str, ...]
    document: str
    content: str
    state: str = "received"
    photos: list[str] = []
    contact: str = ""
    steps: list[Step] = []
    openings: list[Step] = []
    """Who opened what, and why: `state` says what, `words` the reason."""


class Written(msgspec.Struct):
    """What a sender wrote in their own words: sealed, with a salt, so that its hash cannot be tried out."""

    salt: str
    code: str = ""
    """As typed, where it is no code that is known: such a text may be anything, a telephone number too."""
    place: str = ""
    words: str = ""
    contact: str = ""


NOT_BACK = "记录恢复时，原文未能取回。 What was written here did not come back when the record was recovered."
"""Stands for what a sender wrote before a recovery from the nation, which has the facts and not the documents."""


def report_key(receipt: str) -> str:
    """`report:<receipt number>`."""
    return f"report:{receipt}"


# Taking


def take_report(desk: Desk, report: Report) -> Taken:
    """Take one report in, with photos and contact, in one durable append.

    Raises:
        ReportRefused: something in it cannot be used.
    """
    faults = faults_of(report, desk.ledger.clock())
    cleaned, pictures = _photos(report.photos)
    if faults + cleaned:
        raise ReportRefused(faults + cleaned)
    taking = _Taking(desk, report, pictures)
    return desk.ledger.transact(taking.keys(), taking.decide)


def known_receipt(desk: Desk, token: str) -> str:
    """The receipt number under which this form has come before; empty where it has not."""
    form, numbers = _marked(desk, token)
    histories = desk.ledger.read(map(report_key, numbers))
    taken = (number for number in numbers if histories[report_key(number)])
    return next((number for number in taken if histories[report_key(number)][0].detail["form"] == form), "")


def _marked(desk: Desk, token: str) -> tuple[str, list[str]]:
    """What stands for a form, and the receipt numbers that it may get; without the key nobody knows them."""
    mark = desk.privacy.mark
    numbers = [number_of(mark(f"report number {place}", token)) for place in range(CANDIDATES)]
    return mark("report form", token).hex()[:32], numbers


def faults_of(report: Report, now: int) -> list[Fault]:
    """Everything in a report that cannot be used, but for its photos."""
    faults: list[Fault] = []
    if not TOKEN_MIN <= len(report.token) <= TOKEN_MAX:
        faults.append(Fault("token", "Open the form again."))
    if not re.fullmatch(r"[A-Za-z0-9-]{0,40}", report.institution):
        faults.append(Fault("institution", "There is no such institution."))
    if report.region not in divisions():
        faults.append(Fault("region", "Choose where it happened."))
    if set(report.traits) - set(TRAITS):
        faults.append(Fault("traits", "Choose from the list."))
    if not report.traits and not report.words.strip():
        faults.append(Fault("traits", "Tick what is wrong, or describe it."))
    if report.happened and not now - OLDEST <= report.happened <= now + AHEAD:
        faults.append(Fault("happened", "Give a day that is past, within ten years."))
    for field, text, most in (
        ("words", report.words, WORDS_MAX),
        ("place", report.place, PLACE_MAX),
        ("contact", report.contact, CONTACT_MAX),
        ("code", report.code, PLACE_MAX),
    ):
        if len(text) > most:
            faults.append(Fault(field, "This is too long."))
    if len(report.photos) > PHOTOS_MAX:
        faults.append(Fault("photos", "Send at most five photos."))
    return faults


def _photos(sent: tuple[bytes, ...]) -> tuple[list[Fault], list[bytes]]:
    faults: list[Fault] = []
    pictures: list[bytes] = []
    for raw in sent[:PHOTOS_MAX]:
        try:
            pictures.append(clean_photo(raw))
        except PhotoRefused as refusal:
            faults.append(Fault("photos", str(refusal)))
    return faults, pictures


class _Taking:
    """One report under decision: sealed once, judged as often as needed."""

    def __init__(self, desk: Desk, report: Report, pictures: list[bytes]) -> None:
        self.report = report
        mark = desk.privacy.mark
        self.content = mark("report content", msgspec.json.encode(_said(report)).decode()).hex()[:32]
        self.mark, self.numbers = _marked(desk, report.token)
        self.code = recognise(report.code, "scan", desk.catalogue.maker_rules)
        self.boxes = keys_of(self.code)[:1] if _names_a_box(self.code) else ()
        seal, salt = desk.privacy.seal, secrets.token_hex(16)
        typed = "" if _is_known(self.code) else report.code.strip()
        own = Written(salt, code=typed, place=report.place.strip(), words=report.words.strip())
        self.words = seal(msgspec.json.encode(own))
        self.photos = [seal(picture) for picture in pictures]
        contact = Written(secrets.token_hex(16), contact=report.contact.strip())
        self.contact = seal(msgspec.json.encode(contact)) if contact.contact else None

    def keys(self) -> list[str]:
        return [*map(report_key, self.numbers), *self.boxes]

    def decide(self, books: Books) -> Taken:
        for number in self.numbers:
            past = books.past(report_key(number))
            if not past:
                self._write(books, number)
                return Taken(receipt=number)
            if past[0].detail["form"] == self.mark:
                return Taken(receipt=number, first=False, changed=past[0].content != self.content)
        raise AssertionError("four numbers of 54 bits are never all taken")

    def _write(self, books: Books, number: str) -> None:
        """The report first, then what belongs to it: each sealed document has an event that names it."""
        report, key = self.report, report_key(number)
        where = {
            "event_time": report.happened or books.now,
            "place": report.institution,
            "region": report.region,
            "software": report.software,
        }
        detail = {
            "step": "received",
            "form": self.mark,
            "traits": list(report.traits),
            "code": self.code.text if _is_known(self.code) else "",
            "box": self.boxes[0] if self.boxes else "",
        }
        books.add(key, "reported", content=self.content, document=self.words[0], detail=detail, **where)
        for name, _ in self.photos:
            books.add(key, "reported", document=name, detail={"step": "photo"}, **where)
        if self.contact:
            books.add(key, "reported", document=self.contact[0], detail={"step": "contact"}, **where)
        books.documents.update([self.words, *self.photos, *([self.contact] if self.contact else [])])
        for box in self.boxes:
            self._link(books, box, number, where)

    def _link(self, books: Books, box: str, number: str, where: dict[str, Any]) -> None:
        """The code's own history tells of the report; its state stays, and a doubtful reading stays doubtful.

        Of a code without any history none is begun: whoever types numbers would else add to the codes collected.
        """
        past = books.past(box)
        if past and sum(event.kind == "reported" for event in past) < LINKS_MAX:
            doubt = ("code_review",) if self.code.review else ()
            status = doubt[0] if doubt else "accepted"
            references = {"report": number}
            books.add(box, "reported", references=references, status=status, reasons=doubt, **where)


def _said(report: Report) -> tuple[Any, ...]:
    """What a report says, the same for the same form; photos by their bytes."""
    photos = [hashlib.sha256(photo).hexdigest() for photo in report.photos]
    return (
        report.code.strip(),
        report.region,
        report.institution,
        report.place.strip(),
        report.happened,
        report.traits,
        report.words.strip(),
        photos,
        report.contact.strip(),
    )


def _is_known(code: Code) -> bool:
    """Whether the text is of a code system at all."""
    return bool(code.text) and code.system != "unknown"


def _names_a_box(code: Code) -> bool:
    """Whether the text names one package whose history should tell of the report."""
    filler = any(problem.startswith("placeholder") for problem in code.problems)
    return _is_known(code) and (code.is_box or code.review) and code.system != "escape" and not filler


# Following


def read_report(ledger: Ledger, receipt: str) -> ReportFile | None:
    """The report with this number, as typed; None where there is none."""
    number = read_number(receipt)
    events = ledger.read([report_key(number)])[report_key(number)] if number else []
    return file_of(events) if events else None


def file_of(events: Iterable[Event]) -> ReportFile:
    """Fold the history of one report."""
    first, *rest = events
    detail = first.detail
    file = ReportFile(
        receipt=first.key.partition(":")[2],
        received=first.arrived,
        happened=first.event_time,
        region=first.region,
        institution=first.place,
        code=detail["code"],
        box=detail["box"],
        traits=tuple(detail["traits"]),
        document=first.document,
        content=first.content,
    )
    for event in rest:
        _fold(file, event)
    return file


def _fold(file: ReportFile, event: Event) -> None:
    step = event.detail["step"]
    if step == "photo":
        file.photos.append(event.document)
    elif step == "contact":
        file.contact = event.document
    elif step == "opened":
        file.openings.append(_step_of(event, event.detail["what"]))
    else:
        file.state = "received" if step == "passed_on" else step
        file.region = event.region
        file.steps.append(_step_of(event, step))


def _step_of(event: Event, state: str) -> Step:
    detail = event.detail
    return Step(
        state=state,
        at=event.arrived,
        by=event.actor,
        person=detail["person"],
        words=detail["text"],
        region=event.region,
    )


# Answering


def take_step(
    desk: Desk, receipt: str, step: str, by: str, words: str = "", *, person: str = "", region: str = ""
) -> ReportFile:
    """One step of an authority: taken_up, checking, answered, or passed_on to another `region`.

    `words` are public: whoever has the receipt number reads them. The same step sent twice is one step.

    Raises:
        StepRefused: no such report, not from this state, or words that should not be public.
    """
    number = read_number(receipt)
    if not number:
        raise StepRefused("There is no report with this number.")
    words = words.strip()
    _check_step(step, words, region)

    def decide(books: Books) -> None:
        past = books.past(report_key(number))
        if not past:
            raise StepRefused("There is no report with this number.")
        file = file_of(past)
        last = file.steps[-1] if file.steps else None
        if last is not None and (last.state, last.by, last.words) == (step, by, words):
            return
        if file.state not in STEPS[step]:
            raise StepRefused("This step does not follow from where the report stands.")
        detail = {"step": step, "person": person, "text": words}
        where = region if step == "passed_on" else file.region
        books.add(report_key(number), "reported", actor=by, region=where, detail=detail)

    desk.ledger.transact([report_key(number)], decide)
    found = read_report(desk.ledger, number)
    assert found is not None, "it was there a moment ago"
    return found


def _check_step(step: str, words: str, region: str) -> None:
    if step not in STEPS:
        raise StepRefused("There is no such step.")
    if step == "answered" and not words:
        raise StepRefused("An answer needs words.")
    if len(words) > ANSWER_MAX:
        raise StepRefused("This is too long.")
    if step == "passed_on" and region not in divisions():
        raise StepRefused("Choose where the report is passed on to.")
    if PERSONAL.search(words):
        raise StepRefused("The answer is public: it must hold no telephone or identity numbers.")


def open_words(desk: Desk, file: ReportFile) -> Written:
    """What the sender wrote, without the contact; `NOT_BACK` where that did not come back."""
    return _written(desk, file.document)


def open_photo(desk: Desk, file: ReportFile, place: int) -> bytes:
    """One photo as JPEG, by its place from 0; empty where it did not come back."""
    return _document(desk, file.photos[place])


def open_contact(desk: Desk, file: ReportFile, by: str, reason: str, *, person: str = "") -> str:
    """How to reach the sender; who opened it and why is recorded first, in the report's own history.

    Raises:
        StepRefused: no reason is given.
    """
    reason = reason.strip()
    if not reason:
        raise StepRefused("State why the contact is opened; the reason is kept.")
    if not file.contact:
        return ""

    def decide(books: Books) -> None:
        detail = {"step": "opened", "what": "contact", "person": person, "text": reason}
        books.add(report_key(file.receipt), "reported", actor=by, region=file.region, detail=detail)

    desk.ledger.transact([report_key(file.receipt)], decide)
    return _written(desk, file.contact).contact


def _written(desk: Desk, name: str) -> Written:
    raw = _document(desk, name)
    return msgspec.json.decode(raw, type=Written) if raw else Written("", words=NOT_BACK, contact=NOT_BACK)


def _document(desk: Desk, name: str) -> bytes:
    """A document; it stands in the append of the report that names it, but no nation has one: empty then."""
    sealed = desk.ledger.journal.document(name)
    return desk.privacy.unseal(sealed) if sealed is not None else b""
