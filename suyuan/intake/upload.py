"""One upload under decision: its records prepared once, judged against fetched books as often as needed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from suyuan.formats.document import Outcome
from suyuan.formats.times import digits17
from suyuan.intake.claim_lines import PreparedClaim
from suyuan.intake.claims import take_claim, take_fee_lines
from suyuan.intake.desk import Desk, paced
from suyuan.intake.elsewhere import UNHEARD, Heard, keys_elsewhere
from suyuan.intake.fill import fill_waiting, report_keys, write_reports
from suyuan.intake.orders import alert_late_orders, order_key, take_order
from suyuan.intake.prepare import Preparer
from suyuan.intake.scans import hold_round, scan_keys, take_scan, write_cartons
from suyuan.intake.undo import PreparedUndo, take_undo
from suyuan.ledger.admission import Fact
from suyuan.ledger.keys import batch_key, claim_key, message_key
from suyuan.ledger.ledger import Books
from suyuan.ledger.scan import Result, Scan
from suyuan.ledger.statuses import STATUS
from suyuan.settlement.claim import Claim, ClaimVerdict, FeeLine, Undo

ORDERS = frozenset({"hold_set", "hold_lifted"})
DATA_TYPES = {
    "counted": "1",
    "changed": "2",
    "exited": "2",
    "received": "3",
    "shipped": "3",
    "sold": "4",
    "returned": "4",
}
"""inv_data_type of 3507 by the kind of fact that an upload made."""


class Upload:
    """The records of one document, and the decision on them."""

    def __init__(self, desk: Desk, preparer: Preparer, sealed: bytes) -> None:
        self.desk = desk
        self.preparer = preparer
        self.document = preparer.document
        self.sealed = sealed
        self.institution = preparer.speaker.institution
        records = self.document.records
        self.scans = [record for record in records if isinstance(record, Scan)]
        self.facts = preparer.facts(self.scans)
        self.claims = {
            place: PreparedClaim(desk, preparer, record)
            for place, record in enumerate(records)
            if isinstance(record, Claim)
        }
        self.undos = {
            place: PreparedUndo(record, preparer.speaker, preparer.sealed)
            for place, record in enumerate(records)
            if isinstance(record, Undo)
        }
        self.fees = [record for record in records if isinstance(record, FeeLine)]
        self.reports = report_keys(self.facts, self.institution)
        self.advice = any(prepared.claim.advice for prepared in self.claims.values())
        document = self.document
        self.message = message_key(
            self.institution, document.infno or document.format, document.msgid or preparer.sealed
        )
        self._holds = hold_round(desk, self.facts)
        self.heard: Heard = UNHEARD
        """What the nation said of the boxes of its claims."""
        self.orders: dict[str, int] = {}
        """Orders on products and batches as the decision saw them: key and number of events."""

    def keys(self) -> set[str]:
        """First round: every key that the records name."""
        keys = scan_keys([fact for fact in self.facts if fact.kind not in ORDERS])
        keys.add(self.message)
        keys.update(
            order_key(scan, fact) or fact.key
            for scan, fact in zip(self.scans, self.facts, strict=True)
            if fact.kind in ORDERS
        )
        for prepared in self.claims.values():
            keys |= prepared.keys()
        for undo in self.undos.values():
            keys |= undo.keys()
        keys.update(claim_key(self.institution, fee.references) for fee in self.fees)
        keys.update(self.reports)
        keys.update(self._batches())
        if self.desk.elsewhere:
            keys |= keys_elsewhere(self.facts)
            keys |= keys_elsewhere(fact for claim in self.claims.values() for _, facts in claim.sent for fact in facts)
        return keys

    def more(self, books: Books) -> set[str]:
        """Next rounds: cartons, claim files, boxes and orders that the first rounds led to."""
        books.heard = self.heard.told
        wanted = self._holds(books)
        for prepared in self.claims.values():
            wanted |= prepared.more(books)
        for undo in self.undos.values():
            wanted |= undo.more(books)
        return wanted

    def decide(self, books: Books) -> Outcome:
        """Judge all records in order and write what follows; the same document again gets its first answer."""
        books.heard = self.heard.told
        before = self._answered_before(books)
        if before is not None:
            return before
        results = self._results(books)
        named = self.document.msgid and self.document.records
        if not self.advice and (books.events or named):
            # Also what wrote nothing: an undo refused, a repeat. What came since must not change its answer (R6).
            self._remember(books, results)
        self.orders = {key: books.next_sequence(key) - 1 for key in books.order_keys}
        return Outcome(results=results, reference=self._reference(books.now))

    def _results(self, books: Books) -> list[Result | ClaimVerdict]:
        results: list[Result | ClaimVerdict] = []
        seen: set[tuple[str, str]] = set()
        rules, speaker = self.desk.policy.rules, self.preparer.speaker.kind
        pairs = iter(zip(self.scans, self.facts, strict=True))
        fees = iter(take_fee_lines(books, self.fees, self.institution, self.preparer.sealed))
        reversed_before = self._reversed_before(books)
        for place, record in enumerate(paced(self.desk, self.document.records)):
            if isinstance(record, Scan):
                scan, fact = next(pairs)
                order = fact.kind in ORDERS
                results.append(take_order(books, scan, fact, speaker) if order else take_scan(books, fact, rules, seen))
            elif isinstance(record, Claim):
                claim = self.claims[place]
                claim.heard = self.heard.covers
                results.append(take_claim(books, claim, reversed_before=reversed_before))
            elif isinstance(record, Undo):
                results.append(take_undo(books, self.undos[place], self.desk))
            else:
                results.append(next(fees))
        write_cartons(books, self.facts)
        if self.reports:
            fill_waiting(books, self.reports, self.desk)
        return results

    def _reversed_before(self, books: Books) -> bool:
        """Whether a reversal of this message came first and has not met its claim yet."""
        past = books.past(self.message)
        waiting = any(event.kind == "reversed" and event.status == "parked" for event in past)
        return waiting and not any(event.detail and "claim" in event.detail for event in past)

    def look_again(self) -> None:
        """R17: orders are only read; what was sold while one was being acknowledged is alerted, not prevented."""
        facts = [fact for fact in self.facts if fact.kind == "sold"]
        for prepared in self.claims.values():
            facts += prepared.facts
        if self.orders and facts and not self.advice:
            alert_late_orders(self.desk, facts, self.orders)

    def _answered_before(self, books: Books) -> Outcome | None:
        """R6: a byte-equal document with the same msgid always gets its first answer.

        A table has no msgid; its orders must act again after they were lifted, whatever was sent before.
        """
        if not self.preparer.sealed or (not self.document.msgid and any(fact.kind in ORDERS for fact in self.facts)):
            return None
        for event in books.past(self.message):
            if event.content == self.preparer.sealed and event.detail and "answers" in event.detail:
                results = first_answers(event.detail, self._places())
                return Outcome(results=results, repeated=True, reference=self._reference(event.arrived))
        return None

    def _remember(self, books: Books, results: list[Result | ClaimVerdict]) -> None:
        """What this message did: its answer for a repeat, its claim for a reversal, its facts for a deletion."""
        detail = _answers(results)
        for prepared in self.claims.values():
            if prepared.sequence:
                detail |= {"claim": prepared.key, "sequence": prepared.sequence}
        write_reports(books, self.reports, self.institution, self.preparer.sealed)
        for key, facts in self._batches().items():
            made = {(fact.key, books.written[fact.fact]): None for fact in facts if fact.fact in books.written}
            if made:
                books.add(key, facts[0].kind, actor=self.institution, detail={"facts": list(made)})
        sealed = self.preparer.sealed
        books.add(self.message, self._kind(), actor=self.institution, content=sealed, document=sealed, detail=detail)
        if self.desk.keep_documents and self.sealed:
            books.documents[self.preparer.sealed] = self.sealed

    def _kind(self) -> str:
        """The kind of what a message did, for its own record."""
        if self.facts:
            return self.facts[0].kind
        if self.undos:
            return next(iter(self.undos.values())).undo.kind
        return "claimed" if self.claims else "fee_line"

    def _batches(self) -> dict[str, list[Fact]]:
        batches: dict[str, list[Fact]] = {}
        for fact in self.facts:
            batch = fact.references.get("batch")
            if batch and fact.kind in DATA_TYPES:
                batches.setdefault(batch_key(self.institution, DATA_TYPES[fact.kind], batch), []).append(fact)
        return batches

    def _places(self) -> list[tuple[str, str]]:
        """Where each record stands and the code that an answer to it names."""
        facts = iter(self.facts)
        return [
            ("" if isinstance(record, Claim) else record.where, next(facts).code if isinstance(record, Scan) else "")
            for record in self.document.records
        ]

    def _reference(self, when: int) -> str:
        """inf_refmsgid: area 6, time 14, sequence 10."""
        region = f"{self.preparer.speaker.region:0<6}"[:6]
        number = int(self.preparer.sealed[:12] or "0", 16) % 10**10
        return f"{region}{digits17(when)[:14]}{number:010d}"


def _answers(results: Sequence[Result | ClaimVerdict]) -> dict[str, object]:
    """What a message was told, for its own record: equal answers in a row counted, and by number what one says more."""
    answers: list[list[Any]] = []
    more: dict[str, list[str]] = {}
    for number, result in enumerate(results):
        if isinstance(result, ClaimVerdict):
            answer: object = msgspec.to_builtins(result)
        else:
            answer = [result.status, *result.reasons[1:]]
            words = "" if result.message == STATUS[result.status].meaning_zh else result.message
            if result.alert or words:
                more[str(number)] = [result.alert, words]
        if answers and answers[-1][0] == answer:
            answers[-1][1] += 1
        else:
            answers.append([answer, 1])
    return {"answers": answers, "more": more} if more else {"answers": answers}


def first_answers(detail: dict[str, Any], places: Sequence[tuple[str, str]]) -> list[Result | ClaimVerdict]:
    """What a message was told, from the `detail` of its own record; `places` are where and code of each line.

    Raises:
        ValueError: there are more places than answers, or fewer.
    """
    results: list[Result | ClaimVerdict] = []
    answers = [answer for answer, count in detail["answers"] for _ in range(count)]
    for number, ((where, code), answer) in enumerate(zip(places, answers, strict=True)):
        if isinstance(answer, dict):
            verdict = msgspec.convert(answer, ClaimVerdict)
            verdict.first = False
            results.append(verdict)
        else:
            alert, words = detail.get("more", {}).get(str(number), ("", ""))
            results.append(Result(where, code, "", answer[0], tuple(answer), first=False, alert=alert, message=words))
    return results


def look_again(desk: Desk, uploads: Sequence[Upload]) -> None:
    """R17 for several uploads that are stored: one look tells which of them an order has overtaken, mostly none."""
    keys = set().union(*(upload.orders for upload in uploads))
    if not keys:
        return
    now = {key: history.sequence for key, history in desk.ledger.journal.fetch(keys).items()}
    for upload in uploads:
        if any(now[key] != number for key, number in upload.orders.items()):
            upload.look_again()
