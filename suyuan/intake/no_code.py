"""Requests for the no-code library: an institution asks with its reason, the agency accepts or refuses, once."""

from datetime import date
from typing import Any, Literal

import msgspec

from suyuan.catalogue.content import Content
from suyuan.catalogue.dating import day_before
from suyuan.catalogue.no_code import NoCodeEntry
from suyuan.intake.desk import Desk
from suyuan.ledger.events import Event
from suyuan.ledger.keys import digest
from suyuan.ledger.ledger import Books

KINDS = ("legacy", "exempt", "unreadable")
"""What may be asked for; virtual codes are issued by the platform itself."""
REASON_MAX = 1000
QUANTITY_MAX = 1_000_000


class NoCodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution holds without readable codes, and why."""

    institution: str
    region: str
    nhsa: str
    kind: Literal["legacy", "exempt", "unreadable"]
    quantity: int
    reason: str
    reference: str = ""
    """Number of the declaration, photo or purchase that stands behind it."""
    until: str
    """ISO date of the last day on which it shall settle without a scan."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the agency says to a request."""

    id: str
    accepted: bool
    actor: str
    person: str = ""
    region: str = ""
    words: str = ""


class Answered(msgspec.Struct, frozen=True):
    """What became of a request or a decision."""

    id: str
    status: Literal["accepted", "first_answer", "unknown", "not_now"]
    state: Literal["open", "accepted", "refused", ""]


def request_key(identity: str) -> str:
    """`no_code:<id>`: one request and what was decided on it."""
    return f"no_code:{identity}"


def ask_no_code(desk: Desk, request: NoCodeRequest) -> Answered:
    """Record a request. The same one again gets its first answer."""
    asked = msgspec.to_builtins(request)
    identity = digest("no_code", *(f"{name}={value}" for name, value in asked.items()))[:16]
    key = request_key(identity)

    def decide(books: Books) -> Answered:
        past = books.past(key)
        if past:
            return Answered(identity, "first_answer", state_of(past))
        books.add(
            key,
            "reported",
            actor=request.institution,
            region=request.region,
            product=request.nhsa,
            n=request.quantity,
            detail={"step": "asked", **asked},
        )
        return Answered(identity, "accepted", "open")

    return desk.ledger.transact({key}, decide)


def decide_no_code(desk: Desk, decision: Decision) -> Answered:
    """Record what was decided on a request, once: a request that was decided otherwise stays as it was decided."""
    key = request_key(decision.id)
    wanted: Literal["accepted", "refused"] = "accepted" if decision.accepted else "refused"

    def decide(books: Books) -> Answered:
        past = books.past(key)
        if not past:
            return Answered(decision.id, "unknown", "")
        state = state_of(past)
        if state != "open":
            return Answered(decision.id, "first_answer" if state == wanted else "not_now", state)
        books.add(
            key,
            "corrected",
            actor=decision.actor,
            region=decision.region,
            corrects=past[0].sequence,
            detail={"step": wanted, "person": decision.person, "words": decision.words},
        )
        return Answered(decision.id, "accepted", wanted)

    return desk.ledger.transact({key}, decide)


def state_of(events: list[Event]) -> Literal["open", "accepted", "refused"]:
    """Where a request stands after these events."""
    for event in reversed(events):
        detail: Any = event.detail
        if event.kind == "corrected" and detail["step"] in {"accepted", "refused"}:
            step: Literal["accepted", "refused"] = detail["step"]
            return step
    return "open"


def with_entry(content: Content, asked: NoCodeRequest, identity: str, today: date) -> Content:
    """The catalogue with what an accepted request grants; one that holds it already comes back as it is.

    Uses are counted from the first declaration on, so what is granted is added to what was declared before (R20).
    Accepted after its last day, a request grants nothing: a row that ends before it begins could not be read again.
    """
    own = [row for row in content.no_code if (row.institution, row.nhsa, row.kind) == _key(asked)]
    if any(identity in row.reference.split() for row in own) or date.fromisoformat(asked.until) < today:
        return content
    others = [row for row in content.no_code if (row.institution, row.nhsa, row.kind) != _key(asked)]
    declared = max(own, key=lambda row: row.valid_from).quantity if own else 0
    entry = NoCodeEntry(
        institution=asked.institution,
        nhsa=asked.nhsa,
        kind=asked.kind,
        quantity=declared + asked.quantity,
        reason=_plain(asked.reason)[:200],
        reference=" ".join(
            [*(row.reference for row in own if row.valid_from == today), _plain(asked.reference), identity]
        ).strip(),
        valid_from=today,
        valid_to=date.fromisoformat(asked.until),
    )
    kept = [
        msgspec.structs.replace(row, valid_to=min(row.valid_to, day_before(today)))
        for row in own
        if row.valid_from < today
    ]
    return msgspec.structs.replace(content, no_code=[*others, *kept, entry])


def _plain(text: str) -> str:
    """Without line breaks and other signs that no table file can hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _key(asked: NoCodeRequest) -> tuple[str, str, str]:
    return (asked.institution, asked.nhsa, asked.kind)
