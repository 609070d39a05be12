"""The story of an upload: who speaks, what each code is, what it means, one durable append, one answer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from suyuan.formats.document import Document, Outcome
from suyuan.intake.deadlines import take_time
from suyuan.intake.desk import Desk, day_of
from suyuan.intake.elsewhere import ask_for
from suyuan.intake.prepare import Preparer, Speaker, speaker_of
from suyuan.intake.upload import Upload, look_again
from suyuan.ledger.ledger import Failure, Transaction

__all__ = ["Desk", "store_together", "take", "take_all", "take_time", "take_together", "upload_of"]


def take(desk: Desk, document: Document, by: str = "") -> Outcome:
    """Take one document in: every door leads here (HTTP, command line, files, relay, simulation).

    `by` is the authenticated caller, empty where the operator of the node speaks; it may speak for itself and for
    those who delegated to it. The answer has one result a record, in order; a document refused as a whole says why
    in `fatal` and leaves nothing behind. Sent again, byte for byte under the same msgid, a document gets its
    first answer.
    """
    return _store(desk, upload_of(desk, document, by))


def take_together(desk: Desk, documents: Iterable[tuple[Document, str]]) -> list[Outcome | Exception]:
    """Take documents in, each with who brings it, by one durable append, as if one came after the other.

    One result a document, in order: its outcome, or what it raised. None is hurt by the failure of another.
    """
    return store_together(desk, [_prepared(desk, document, by) for document, by in documents])


def take_all(
    desk: Desk,
    documents: Iterable[Document],
    by: str = "",
    failed: Callable[[Document, Exception], Outcome] | None = None,
) -> Iterator[tuple[Document, Outcome]]:
    """Take documents in one after the other; the next is read and prepared while this one is being stored.

    `failed` answers for a document on which our own code failed, or raises what it is given; without it that ends all.
    """
    with ThreadPoolExecutor(1, "prepare") as ahead:
        rest = iter(documents)

        def prepare_next() -> tuple[Document, Upload | Outcome] | None:
            document = next(rest, None)
            if document is None:
                return None
            try:
                return document, upload_of(desk, document, by)
            except Exception as error:
                if failed is None:
                    raise
                return document, failed(document, error)

        waiting = ahead.submit(prepare_next)
        while (prepared := waiting.result()) is not None:
            waiting = ahead.submit(prepare_next)
            document, upload = prepared
            try:
                outcome = _store(desk, upload)
            except Exception as error:
                if failed is None:
                    raise
                outcome = failed(document, error)
            yield document, outcome


def upload_of(desk: Desk, document: Document, by: str) -> Upload | Outcome:
    """Everything that does not depend on what is stored: who speaks, what each code is, the message sealed."""
    now = desk.ledger.clock()
    if document.fatal:
        return Outcome(fatal=document.fatal, problems=document.problems, received=now)
    speaker, refusal = _who_speaks(desk, document, by, now)
    if speaker is None:
        return Outcome(fatal=refusal, problems=document.problems, received=now)
    name, sealed = desk.privacy.seal(document.raw) if document.raw else ("", b"")
    return Upload(desk, Preparer(desk, document, speaker, now, name), sealed)


def store_together(desk: Desk, prepared: Sequence[Upload | Outcome | Exception]) -> list[Outcome | Exception]:
    """Fetch, decide, append once for all uploads; what is answered already stays as it is."""
    uploads = [one for one in prepared if isinstance(one, Upload)]
    _ask_nation(desk, uploads)
    transactions = [Transaction(upload.keys(), upload.decide, upload.more) for upload in uploads]
    decided = desk.ledger.transact_together(transactions)
    answers = list(zip(uploads, decided, strict=True))
    if not desk.ledger.rehearsing:
        look_again(desk, [upload for upload, answer in answers if not isinstance(answer, Failure)])
    left = iter(answers)
    return [_answer_to(*next(left)) if isinstance(one, Upload) else one for one in prepared]


def _answer_to(upload: Upload, decided: Outcome | Failure) -> Outcome | Exception:
    return decided.error if isinstance(decided, Failure) else _complete(upload, decided)


def _prepared(desk: Desk, document: Document, by: str) -> Upload | Outcome | Exception:
    try:
        return upload_of(desk, document, by)
    except Exception as error:  # noqa: BLE001  it is the answer to this document; the others go on
        return error


def _store(desk: Desk, upload: Upload | Outcome) -> Outcome:
    """Fetch, decide, append once."""
    if isinstance(upload, Outcome):
        return upload
    _ask_nation(desk, [upload])
    outcome = desk.ledger.transact(upload.keys(), upload.decide, upload.more)
    if not desk.ledger.rehearsing:
        upload.look_again()
    return _complete(upload, outcome)


def _ask_nation(desk: Desk, uploads: Sequence[Upload]) -> None:
    """R23: one question for all boxes of all claims; what is judged then waits for nobody."""
    if desk.elsewhere:
        heard = ask_for(desk, [claim for upload in uploads for claim in upload.claims.values()])
        for upload in uploads:
            upload.heard = heard


def _complete(upload: Upload, outcome: Outcome) -> Outcome:
    outcome.problems = upload.document.problems
    outcome.received = upload.preparer.now
    outcome.document = upload.preparer.sealed
    return outcome


def _who_speaks(desk: Desk, document: Document, by: str, now: int) -> tuple[Speaker | None, str]:
    institution = document.institution or by
    if not institution:
        return None, "未说明上传机构：请在报文中填写 fixmedins_code，或使用 --by 指定机构"
    if by and by != institution and not desk.catalogue.may_speak(institution, by, day_of(now)):
        return None, f"{by} 无权代表 {institution} 上传：请使用本机构凭证，或由其委托"
    speaker = speaker_of(desk, institution, now)
    if speaker is None:
        return None, f"机构 {institution} 未登记：请先登记机构"
    return speaker, ""
