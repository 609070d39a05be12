"""Plays a written country through a node's door in order of arrival, fills in answers and follows branches."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from suyuan.simulation.country import UPLOADS, Entry

Take = Callable[[bytes, str, int, str], bytes]
"""A node's door: (raw bytes, party that sends, µs UTC of arrival, nhsa | table | epcis) → the answer as JSON.

NHSA messages are answered in their own envelope, tables and EPCIS documents with
`{"read", "accepted", "repeated", "conflicts", "rejected"}`.
"""

Progress = Callable[[int, int], None]
"""Called now and then with the uploads done and their number."""

ANSWERS = "answers.jsonl"

PROGRESS_EVERY = 500

_PLACEHOLDER = re.compile(rb"@(setl|type):([^@\"]+)@")


class Answered(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of `answers.jsonl`: what became of the upload of this number in the play list."""

    upload: int
    answer: msgspec.Raw = msgspec.Raw(b"null")
    skipped: str = ""
    """The condition that did not hold; then nothing was sent."""


class Played(msgspec.Struct, kw_only=True):
    """What happened in a play."""

    uploads: int = 0
    sent: int = 0
    skipped: int = 0
    claims_taken: int = 0
    claims_refused: int = 0


class Counter(msgspec.Struct):
    """What the actors remember of answers: the setl_id of each claim that was taken, and which were refused."""

    settlements: dict[str, str] = {}
    refused: set[str] = set()

    def holds(self, condition: str) -> bool:
        """Whether `paid:<claim>` or `refused:<claim>` is so; an empty condition always is."""
        if not condition:
            return True
        outcome, _, claim = condition.partition(":")
        return claim in (self.settlements if outcome == "paid" else self.refused)

    def fill(self, raw: bytes) -> bytes:
        """Put the platform's answers where the sender quotes them.

        A sale whose claim was refused is reported as paid by the person: no setl_id, mdtrt_setl_type 2.
        """
        return _PLACEHOLDER.sub(self._filled, raw) if b"@" in raw else raw

    def learn(self, claim: str, answer: bytes) -> None:
        """Remember what was said to a claim; a repeat never overrides a settlement."""
        if claim in self.settlements:
            return
        settlement = settlement_in(answer)
        if settlement is None:
            self.refused.add(claim)
        else:
            self.settlements[claim] = settlement
            self.refused.discard(claim)

    def _filled(self, match: re.Match[bytes]) -> bytes:
        settlement = self.settlements.get(match[2].decode(), "")
        if match[1] == b"setl":
            return settlement.encode()
        return b"1" if settlement else b"2"


def settlement_in(answer: bytes) -> str | None:
    """The setl_id of an answer to a claim; None where it was refused."""
    body: Any = msgspec.json.decode(answer)
    if not isinstance(body, dict) or str(body.get("infcode")) != "0":
        return None
    output = body.get("output")
    found = output.get("setlinfo") if isinstance(output, dict) else None
    return str(found.get("setl_id") or "") if isinstance(found, dict) else ""


def play(folder: Path, take: Take, on_progress: Progress | None = None) -> Played:
    """Send every upload of the country in `folder` through `take`, in order of arrival, and record the answers.

    Writes `answers.jsonl`. A claim's answer decides what follows: messages that quote its setl_id get it, and
    messages that hang on its refusal are sent or not. Whatever `take` raises ends the play.
    """
    entries = play_list(folder)
    counter, played = Counter(), Played(uploads=len(entries))
    encoder = msgspec.json.Encoder()
    with (folder / ANSWERS).open("wb") as answers:
        for number, (entry, raw) in enumerate(uploads(folder, entries)):
            if on_progress is not None and number % PROGRESS_EVERY == 0:
                on_progress(number, len(entries))
            if not counter.holds(entry.when):
                played.skipped += 1
                answers.write(encoder.encode(Answered(upload=number, skipped=entry.when)) + b"\n")
                continue
            answer = take(counter.fill(raw), entry.by, entry.arrival, entry.kind)
            played.sent += 1
            if entry.claim:
                counter.learn(entry.claim, answer)
            answers.write(encoder.encode(Answered(upload=number, answer=msgspec.Raw(answer))) + b"\n")
    if on_progress is not None:
        on_progress(len(entries), len(entries))
    played.claims_taken, played.claims_refused = len(counter.settlements), len(counter.refused)
    return played


def play_list(folder: Path) -> list[Entry]:
    """All uploads of a country, in order of arrival."""
    decoder = msgspec.json.Decoder(Entry)
    return [decoder.decode(line) for line in (folder / UPLOADS).read_bytes().splitlines()]


def uploads(folder: Path, entries: list[Entry]) -> Iterator[tuple[Entry, bytes]]:
    """Each entry with its bytes as written; files of many messages are read piece by piece."""
    name, opened = "", None
    try:
        for entry in entries:
            path = folder / "uploads" / entry.file
            if entry.kind != "nhsa":
                yield entry, path.read_bytes()
                continue
            if opened is None or entry.file != name:
                _close(opened)
                name, opened = entry.file, path.open("rb")
            opened.seek(entry.offset)
            yield entry, opened.read(entry.length)
    finally:
        _close(opened)


def _close(opened: BinaryIO | None) -> None:
    if opened is not None:
        opened.close()
