"""Whatever anybody may send about a few boxes, as strategies: messages written as stories write them, and not sent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from story import ESCAPE, HOSPITAL_A, HOSPITAL_B, LEGACY, MAKER, PHARMACY_P, SPLITTABLE, WHOLE, Line, Story

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome

PLACES = st.sampled_from([HOSPITAL_A, HOSPITAL_B, PHARMACY_P])
NUMBERS = st.sampled_from(["1", "2"])
PICKS = st.lists(st.integers(0, 4), min_size=1, max_size=2)
PERSONS = st.sampled_from(["Ann", "Bob", ""])
MSGIDS = st.sampled_from(["", "", "", "m1", "m2"])
SCOPES = st.sampled_from(["code", "product", "batch"])

Say = Callable[["Pen"], object]


class _WrittenError(Exception):
    """The message is written; nobody is to answer it."""


class Pen(Story):
    """Writes messages as a story does, and sends none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.codes = [self.new_box(product) for product in (WHOLE, WHOLE, SPLITTABLE, SPLITTABLE)]
        self.codes.append("(01)06901234567892(17)270101(10)L1(21)SN1")
        self.document = nhsa.read(b"")
        self.written: list[Document] = []

    def send_bytes(self, raw: bytes, *, by: str = "") -> Outcome:
        """Keep the document."""
        self.document = nhsa.read(raw)
        raise _WrittenError

    def take(self, document: Document) -> Any:
        """Keep the document."""
        self.document = document
        raise _WrittenError

    def write(self, saying: Say | int) -> Document | None:
        """What was to be said, as a document; for a number one that was written before, if any was."""
        if isinstance(saying, int):
            return self.written[saying % len(self.written)] if self.written else None
        with pytest.raises(_WrittenError):
            saying(self)
        self.written.append(self.document)
        return self.document


def _boxes(pen: Pen, picks: list[int]) -> list[str]:
    return [pen.codes[pick] for pick in picks]


def _settling(place: str, picks: list[int], *, split: bool, quantity: str, **how: Any) -> Say:
    def say(pen: Pen) -> object:
        lines = [Line((box,), split=split, quantity=quantity) for box in _boxes(pen, picks)]
        return pen.settle(place, lines=lines, **how)

    return say


SETTLE = st.builds(
    _settling,
    PLACES,
    PICKS,
    split=st.booleans(),
    quantity=st.sampled_from(["1", "12"]),
    order=NUMBERS,
    visit=NUMBERS,
    person=PERSONS,
    msgid=MSGIDS,
    advice=st.sampled_from([False, False, False, True]),
)


def _selling(place: str, picks: list[int], person: str, msgid: str, **how: Any) -> Say:
    visit = how["visit"]
    said = {"person": person, "msgid": msgid, "visit": visit, "receipt": "" if visit else "R1", "batch": how["batch"]}
    said |= {"split": how["split"], "quantity": how["quantity"]}

    def say(pen: Pen) -> object:
        send = pen.give_back if how["returned"] else pen.report_sale
        when = pen.clock() - timedelta(hours=how["hours_ago"])
        return send(place, *_boxes(pen, picks), when=when, **said)

    return say


SELL = st.builds(
    _selling,
    PLACES,
    PICKS,
    PERSONS,
    MSGIDS,
    visit=st.sampled_from(["", "1", "2"]),
    batch=st.sampled_from(["B1", "B2"]),
    split=st.booleans(),
    quantity=st.sampled_from(["1", "12"]),
    returned=st.sampled_from([False, False, True]),
    hours_ago=st.sampled_from([0, 0, 1]),
)
WITHOUT_CODE = st.builds(
    lambda place, visit, product: (
        lambda pen: pen.report_sale(
            place, *([ESCAPE] if product == SPLITTABLE else []), visit=visit, product=product, split=True, quantity="2"
        )
    ),
    PLACES,
    NUMBERS,
    st.sampled_from([LEGACY, SPLITTABLE]),
)
BEFORE_DISPENSING = st.builds(
    lambda place, number, setting: (
        lambda pen: pen.settle(
            place, order=number, visit=number, expected=1, setting=setting, lines=[Line(product=WHOLE)]
        )
    ),
    st.sampled_from([HOSPITAL_A, HOSPITAL_B]),
    NUMBERS,
    st.sampled_from(["inpatient", "outpatient"]),
)
FEES = st.builds(
    lambda place, number: lambda pen: pen.fees(place, [Line(product=WHOLE)], order=number, visit=number),
    PLACES,
    NUMBERS,
)
CANCEL = st.builds(lambda place, visit: lambda pen: pen.cancel(place, "", visit), PLACES, NUMBERS)
REVERSE = st.builds(
    lambda place, msgid: lambda pen: pen.reverse(place, msgid, "2102" if place == PHARMACY_P else "2207"),
    PLACES,
    st.sampled_from(["m1", "m2"]),
)
DELETE = st.builds(lambda place, batch: lambda pen: pen.delete(place, batch), PLACES, st.sampled_from(["B1", "B2"]))
ORDER = st.builds(
    lambda pick, scope, lift: lambda pen: (pen.lift if lift else pen.recall)(pen.codes[pick], scope=scope, lot="L1"),
    st.integers(0, 4),
    SCOPES,
    st.booleans(),
)
PACK = st.builds(
    lambda picks, kind: (
        lambda pen: pen.send_table(
            MAKER, kind, *({"code": box, "parent": "(00)106901234567890005"} for box in _boxes(pen, picks))
        )
    ),
    PICKS,
    st.sampled_from(["packed", "unpacked"]),
)
RECEIVE = st.builds(lambda place, picks: lambda pen: pen.receive(place, *_boxes(pen, picks)), PLACES, PICKS)
SAYINGS = st.one_of(
    SETTLE, SETTLE, SELL, SELL, WITHOUT_CODE, BEFORE_DISPENSING, FEES, CANCEL, REVERSE, DELETE, ORDER, PACK, RECEIVE
)

AGAIN = st.integers(0, 30)
"""Which of the documents so far comes once more, byte for byte."""
BREAKS = st.sampled_from([False] * 6 + [True])
GROUPS = st.lists(
    st.tuples(st.lists(st.tuples(SAYINGS | AGAIN, BREAKS), min_size=1, max_size=6), st.sampled_from([0, 1, 4])),
    min_size=1,
    max_size=4,
)
"""Groups of documents, each with the days that pass after it; of some documents the decision fails at its end."""
