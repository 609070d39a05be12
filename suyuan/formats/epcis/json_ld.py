"""EPCIS 2.0 JSON-LD documents, query documents and bare events, read into scans event by event."""

import re
from collections.abc import Callable
from typing import Any

from suyuan.formats.decoding import to_json
from suyuan.formats.document import Document, Record
from suyuan.formats.epcis.vocabulary import MASTER_DATA, MASTER_DATA_PREFIXES, bare, is_allowed
from suyuan.formats.faults import MALFORMED, NOT_TAKEN, UnreadableError, refusal, shortened
from suyuan.formats.times import iso_date, stamp
from suyuan.formats.values import CODE_CHARACTERS_MAX, quantity, text
from suyuan.ledger.events import Kind
from suyuan.ledger.scan import Problem, Scan

EVENT_TYPES = ("ObjectEvent", "AggregationEvent")
LATER_TYPES = ("TransactionEvent", "TransformationEvent", "AssociationEvent")
ACTIONS = ("ADD", "OBSERVE", "DELETE")

BIZ_STEP_KINDS: dict[str, Kind] = {
    "shipping": "shipped",
    "receiving": "received",
    "retail_selling": "sold",
    "dispensing": "sold",
    "decommissioning": "exited",
    "destroying": "exited",
}
"""What an observed or deleted object went through; any other step only saw it (counted)."""

_FIELDS = frozenset(
    """type eventID eventTime eventTimeZoneOffset recordTime errorDeclaration certificationInfo epcList quantityList
    parentID childEPCs childQuantityList action bizStep disposition persistentDisposition readPoint bizLocation
    bizTransactionList sourceList destinationList sensorElementList ilmd""".split()  # noqa: SIM905  words, not code
)
"""Fields of the standard; others carry a namespace."""

_QUANTITY_FIELDS = frozenset({"epcClass", "quantity", "uom"})
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d", re.ASCII)
_REFERENCE_TYPES = {"desadv": "delivery", "bol": "delivery", "inv": "invoice", "po": "purchase", "rma": "original"}
"""bizTransaction type → typed reference; a despatch advice goes before a bill of lading."""


def read(raw: bytes) -> Document:
    """Read a capture document, a query document or one bare event.

    An event with a fault stays out and is named, with the planted fault and its place; the others go in.
    Contexts are never loaded. Codes are passed on as sent: URN, Digital Link, or a plain code of another system.
    """
    document = Document(format="epcis", raw=raw)
    try:
        body = to_json(raw)
        if not isinstance(body, dict):
            raise UnreadableError(refusal("not_object"))  # noqa: TRY301  one way out for all refusals
        document.infno = text(body.get("type"))
        document.msgid = text(body.get("instanceIdentifier")) or text(body.get("id"))
        document.institution = text(body.get("sender"))
        document.sent = stamp(text(body.get("creationDate"))) or 0
        for where, event in _events(body):
            document.records += _Event(event, where, document.problems).scans()
    except UnreadableError as error:
        document.fatal = str(error)
    return document


def _events(body: dict[str, Any]) -> list[tuple[str, object]]:
    """The events of a document with their places. Raises UnreadableError where the document itself is not right."""
    kind = text(body.get("type"))
    if "@context" not in body:
        raise UnreadableError("`@context` is missing. Name the EPCIS context, even though it is never loaded.")
    if kind in {*EVENT_TYPES, *LATER_TYPES}:
        return [("event", body)]
    if kind not in {"EPCISDocument", "EPCISQueryDocument"}:
        raise UnreadableError(f"`type` is neither an EPCIS document nor an event: {shortened(kind) or 'empty'}.")
    missing = [name for name in ("schemaVersion", "creationDate", "epcisBody") if not body.get(name)]
    if missing:
        raise UnreadableError(f"A required field of the document is missing: {', '.join(missing)}.")
    if not text(body["schemaVersion"]).startswith("2"):
        raise UnreadableError(f"Only version 2 is read as JSON, not {shortened(text(body['schemaVersion']))}.")
    if not stamp(text(body["creationDate"])):
        raise UnreadableError(f"`creationDate` is no time with a zone: {shortened(text(body['creationDate']))}.")
    inner = body["epcisBody"]
    for step in ("queryResults", "resultsBody") if kind == "EPCISQueryDocument" else ():
        inner = inner.get(step) if isinstance(inner, dict) else None
    events = inner.get("eventList") if isinstance(inner, dict) else None
    if not isinstance(events, list):
        raise UnreadableError("The document has no `eventList`.")
    return [(f"eventList[{index}]", event) for index, event in enumerate(events)]


class _Event:
    """One event: checked first, field by field, then read."""

    def __init__(self, body: object, where: str, problems: list[Problem]) -> None:
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}
        self.where = where
        self.problems = problems
        self.faulty = False

    def scans(self) -> list[Record]:
        """The scans of an event without fault; none for any other, which is named."""
        if not self._is_taken():
            return []
        for check in _CHECKS:
            check(self)
        if self.faulty:
            return []
        if "errorDeclaration" in self.body:
            self._later("errorDeclaration", "Withdrawing an event by an error declaration is not taken yet")
            return []
        found = self._packed() if self.body["type"] == "AggregationEvent" else self._moved()
        if not found:
            self._later("sensorElementList", "The event names no code; sensor data are not taken yet")
        return list(found)

    # Checks.

    def fault(self, field: str, what: str, value: object = "", do: str = "") -> None:
        """Name a fault that keeps the event out."""
        self.faulty = True
        place = f"{self.where}.{field}" if field else self.where
        self.problems.append(Problem(where=place, what=what, value=shortened(str(value)), do=do, code=MALFORMED))

    def _later(self, field: str, what: str, value: object = "") -> None:
        self.problems.append(
            Problem(where=f"{self.where}.{field}", what=what, value=shortened(str(value)), code=NOT_TAKEN)
        )

    def _is_taken(self) -> bool:
        kind = text(self.body.get("type"))
        if kind in EVENT_TYPES:
            return True
        if kind in LATER_TYPES or ":" in kind:
            self._later("type", f"{shortened(kind)} is not taken yet")
        else:
            self.fault("type", "The event type is not known", kind, "Use one of the EPCIS event types.")
        return False

    def check_fields(self) -> None:
        """A field of one's own carries a namespace."""
        for name in self.body:
            if ":" not in name and not name.startswith("@") and name not in _FIELDS:
                self.fault(name, "The field is not known", name, "Give a field of your own a namespace.")

    def check_time(self) -> None:
        """There is a time with a zone, and the offset of the place."""
        written = self.body.get("eventTime")
        if not written:
            self.fault("eventTime", "eventTime is missing", "", "Say when it happened.")
        elif not isinstance(written, str) or stamp(written) is None:
            self.fault("eventTime", "eventTime is no time with a zone", written, "Write 2026-07-22T06:45:00+08:00.")
        offset = self.body.get("eventTimeZoneOffset")
        if not offset:
            self.fault("eventTimeZoneOffset", "eventTimeZoneOffset is missing", "", "Write +08:00.")
        elif not isinstance(offset, str) or not _OFFSET.fullmatch(offset):
            self.fault("eventTimeZoneOffset", "eventTimeZoneOffset is no offset", offset, "Write +08:00.")

    def check_action(self) -> None:
        """ADD, OBSERVE or DELETE."""
        action = self.body.get("action")
        if not action:
            self.fault("action", "action is missing", "", "Write ADD, OBSERVE or DELETE.")
        elif action not in ACTIONS:
            self.fault("action", "action is not known", action, "Write ADD, OBSERVE or DELETE.")

    def check_words(self) -> None:
        """Business step, disposition and the types of transactions and parties are standard words or full URIs."""
        uri = "Use a word of the Core Business Vocabulary, or a full URI of your own."
        for field, vocabulary in (("bizStep", "bizstep"), ("disposition", "disp")):
            written = self.body.get(field)
            if written is not None and not is_allowed(text(written), vocabulary):
                self.fault(field, f"{field} is not standard", written, uri)
        lists = (("bizTransactionList", "btt"), ("sourceList", "sdt"), ("destinationList", "sdt"))
        for field, vocabulary in lists:
            for index, member in enumerate(self.objects(field)):
                written = text(member.get("type"))
                if written and not is_allowed(written, vocabulary):
                    self.fault(f"{field}[{index}].type", "The type is not standard", written, uri)

    def check_identifiers(self) -> None:
        """Something must be named, and codes are texts."""
        aggregation = self.body["type"] == "AggregationEvent"
        lists = ("childEPCs",) if aggregation else ("epcList",)
        for field in lists:
            for index, code in enumerate(self.members(field)):
                if not isinstance(code, str) or not code.strip() or len(code) > CODE_CHARACTERS_MAX:
                    self.fault(
                        f"{field}[{index}]", "An identifier is text", code, "Write a URN, a Digital Link or a code."
                    )
        parent = self.body.get("parentID")
        if parent is not None and (not isinstance(parent, str) or not parent.strip()):
            self.fault("parentID", "parentID is text", parent)
        if not aggregation and not any(name in self.body for name in ("epcList", "quantityList", "sensorElementList")):
            self.fault("", "The event has no identifier list", "", "Name codes in epcList or quantityList.")
        if aggregation and not parent and self.body.get("action") in {"ADD", "DELETE"}:
            self.fault("parentID", "parentID is missing", "", "Name the carton that was packed or unpacked.")
        if aggregation and self.body.get("action") == "ADD" and not self._children() and not self._quantities():
            self.fault("childEPCs", "The event has no identifier list", "", "Name what was packed in childEPCs.")

    def check_quantities(self) -> None:
        """A class with a number, and nothing else."""
        field = "childQuantityList" if self.body["type"] == "AggregationEvent" else "quantityList"
        for index, member in enumerate(self.members(field)):
            place = f"{field}[{index}]"
            if not isinstance(member, dict):
                self.fault(place, "A quantity is an object", member)
                continue
            for name in member.keys() - _QUANTITY_FIELDS:
                self.fault(
                    f"{place}.{name}", "The field is not known in a quantity", name, "Use epcClass, quantity, uom."
                )
            if not text(member.get("epcClass")):
                self.fault(f"{place}.epcClass", "epcClass is missing", "", "Name the class.")
            amount = member.get("quantity", 0)
            if isinstance(amount, (str, bool)) or quantity(text(amount)) is None:
                self.fault(f"{place}.quantity", "quantity is no number", amount, "Write a number, not text.")

    def check_certification(self) -> None:
        """Certificates are named by an address, or several."""
        written = self.body.get("certificationInfo", [])
        for member in written if isinstance(written, list) else [written]:
            if not isinstance(member, str) or ":" not in member:
                self.fault("certificationInfo", "certificationInfo is no address", member, "Write the address as text.")

    def check_master_data(self) -> None:
        """Fields of ilmd carry a namespace."""
        ilmd = self.body.get("ilmd", {})
        if not isinstance(ilmd, dict):
            self.fault("ilmd", "ilmd is no object", ilmd)
            return
        for name in ilmd:
            if ":" not in name:
                self.fault(f"ilmd.{name}", "An ilmd field has no namespace", name, f"Write cbvmda:{name}.")

    # Reading.

    def members(self, field: str) -> list[object]:
        """The members of a list; none where it is missing, the value itself where it is no list."""
        value = self.body.get(field, [])
        return value if isinstance(value, list) else [value]

    def objects(self, field: str) -> list[dict[str, Any]]:
        """The members of a list that are objects."""
        return [member for member in self.members(field) if isinstance(member, dict)]

    def _children(self) -> tuple[str, ...]:
        return tuple(code.strip() for code in self.members("childEPCs") if isinstance(code, str))

    def _quantities(self) -> list[tuple[str, str, str]]:
        """Classes as (place, class, number); 0 where the number is left open."""
        field = "childQuantityList" if self.body["type"] == "AggregationEvent" else "quantityList"
        return [
            (f"{self.where}.{field}[{index}]", text(member.get("epcClass")), text(member.get("quantity", 0)))
            for index, member in enumerate(self.objects(field))
        ]

    def _said(self) -> dict[str, Any]:
        """What the event says of each of its objects."""
        moment = stamp(self.body["eventTime"])
        assert moment is not None, "checked"
        step = bare(text(self.body.get("bizStep")), "bizstep")
        return {
            "event_time": moment,
            "references": self._references(),
            "place": self._id("readPoint") or self._id("bizLocation"),
            "counterparty": self._counterparty(step),
            "reason": step,
            "lot": self._master_data("lotNumber"),
            "expiry": iso_date(self._master_data("itemExpirationDate", "expirationDate"), end=True) or "",
            "made": iso_date(self._master_data("productionDate", "manufacturingDate")) or "",
        }

    def _moved(self) -> list[Scan]:
        """An object event: each code and each class once."""
        said = self._said()
        kind = self._object_kind(said["reason"])
        if kind == "produced":
            said["reason"] = ""
        codes = [
            Scan(kind=kind, code=str(code).strip(), where=f"{self.where}.epcList[{index}]", **said)
            for index, code in enumerate(self.members("epcList"))
        ]
        return codes + [Scan(kind=kind, code=code, where=at, quantity=n, **said) for at, code, n in self._quantities()]

    def _object_kind(self, step: str) -> Kind:
        action = self.body["action"]
        if step in BIZ_STEP_KINDS:
            return BIZ_STEP_KINDS[step]
        if action == "ADD":
            return "produced"
        return "exited" if action == "DELETE" else "counted"

    def _packed(self) -> list[Scan]:
        """An aggregation event: one scan about the carton with its children, one for each class in it."""
        said = self._said()
        parent = text(self.body.get("parentID"))
        if self.body["action"] == "OBSERVE":
            seen = [(self.where, parent)] if parent else []
            seen = seen or [(f"{self.where}.childEPCs[{index}]", code) for index, code in enumerate(self._children())]
            return [Scan(kind="counted", code=code, where=where, **said) for where, code in seen]
        kind: Kind = "packed" if self.body["action"] == "ADD" else "unpacked"
        scans = [
            Scan(kind=kind, code=code, where=at, quantity=n, parent=parent, **said)
            for at, code, n in self._quantities()
        ]
        children = self._children()
        if children or not scans:
            # A carton is in no carton of its own: without children the scan is about the carton alone.
            named = parent if children else ""
            scans.insert(0, Scan(kind=kind, code=parent, where=self.where, parent=named, children=children, **said))
        return scans

    def _references(self) -> dict[str, str]:
        references: dict[str, str] = {}
        for member in self.objects("bizTransactionList"):
            word = bare(text(member.get("type")), "btt")
            kind = _REFERENCE_TYPES.get(word, "")
            number = text(member.get("bizTransaction"))
            if kind and number and (kind not in references or word == "desadv"):
                references[kind] = number
        event = text(self.body.get("eventID"))
        return {**references, "event": event} if event else references

    def _counterparty(self, step: str) -> str:
        """The receiver of goods shipped, the sender of goods received."""
        field, name = {"shipping": ("destinationList", "destination"), "receiving": ("sourceList", "source")}.get(
            step, ("", "")
        )
        named = {bare(text(member.get("type")), "sdt"): text(member.get(name)) for member in self.objects(field)}
        return named.get("owning_party") or named.get("possessing_party") or named.get("location") or ""

    def _id(self, field: str) -> str:
        value = self.body.get(field)
        return text(value.get("id")) if isinstance(value, dict) else text(value)

    def _master_data(self, *names: str) -> str:
        """A field of ilmd under the standard's namespaces, as CURIE or full URI."""
        ilmd = self.body.get("ilmd", {})
        for key, value in ilmd.items():
            prefix, _, local = key.partition(":")
            for space in MASTER_DATA:
                if key.startswith(space):
                    prefix, local = "cbvmda", key.removeprefix(space)
            if prefix in MASTER_DATA_PREFIXES and local in names:
                return text(value)
        return ""


_CHECKS: tuple[Callable[[_Event], None], ...] = (
    _Event.check_fields,
    _Event.check_time,
    _Event.check_action,
    _Event.check_words,
    _Event.check_identifiers,
    _Event.check_quantities,
    _Event.check_certification,
    _Event.check_master_data,
)
"""Every check of an event; all are made, so that all faults are named at once."""
