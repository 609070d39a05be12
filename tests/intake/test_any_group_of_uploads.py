"""Uploads taken by one append are judged, answered and stored as if one had come after the other."""

import os
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from sayings import GROUPS, Pen
from story import Story

from suyuan.formats.document import Document, Outcome
from suyuan.intake import store_together, upload_of
from suyuan.intake.upload import Upload, look_again
from suyuan.ledger.ledger import Books, Failure, Transaction
from suyuan.storage.rocks import RocksJournal

LONG = os.environ.get("SUYUAN_LONG") == "1"
"""Twenty times as many examples as the fast test, and else four times."""


def _broken(upload: Upload) -> None:
    """From now on it fails when all is decided."""
    decide = upload.decide

    def fail(books: Books) -> Outcome:
        decide(books)
        raise RuntimeError("this upload is broken")

    upload.decide = fail  # type: ignore[method-assign]


def _prepared(story: Story, documents: list[tuple[Document, bool]]) -> list[Upload | Outcome | Exception]:
    found: list[Upload | Outcome | Exception] = []
    for document, breaks in documents:
        upload = upload_of(story.desk, document, "")
        if breaks and isinstance(upload, Upload):
            _broken(upload)
        found.append(upload)
    return found


def _one_by_one(story: Story, documents: list[tuple[Document, bool]]) -> list[Any]:
    """Each by an append of its own, and a look at the orders when all are stored: they race each other."""
    uploads = _prepared(story, documents)
    answers: list[Any] = []
    for upload in uploads:
        if isinstance(upload, Upload):
            transaction = Transaction(upload.keys(), upload.decide, upload.more)
            answers += story.desk.ledger.transact_together([transaction])
        else:
            answers.append(upload)
    pairs = zip(uploads, answers, strict=True)
    look_again(
        story.desk, [one for one, answer in pairs if isinstance(one, Upload) and not isinstance(answer, Failure)]
    )
    return [answer.error if isinstance(answer, Failure) else answer for answer in answers]


def _told(answer: Any) -> Any:
    if isinstance(answer, Exception):
        return repr(answer)
    results = [msgspec.to_builtins(result) for result in answer.results]
    return (answer.fatal, answer.repeated, answer.reference, results)


def _stored(story: Story) -> dict[str, list[Any]]:
    """Every history, its events as they are but for their ids."""
    found: dict[str, list[Any]] = {}
    for event in story.events():
        found.setdefault(event.key, []).append(msgspec.to_builtins(msgspec.structs.replace(event, id="")))
    return found


def _compare(groups: list[Any], together: Story) -> None:
    alone, pen = Story(), Pen()
    for sayings, days in groups:
        found = [(pen.write(saying), breaks) for saying, breaks in sayings]
        documents = [(document, breaks) for document, breaks in found if document is not None]
        expected = _one_by_one(alone, documents)
        answers = store_together(together.desk, _prepared(together, documents))
        assert [_told(answer) for answer in answers] == [_told(answer) for answer in expected]
        assert alone.wait(days=days, minutes=1) == together.wait(days=days, minutes=1)
        pen.now = alone.now
    assert _stored(together) == _stored(alone)


@given(GROUPS)
@settings(max_examples=50, report_multiple_bugs=False)
def test_any_group_of_uploads_is_taken_as_one_after_the_other(groups: list[Any]) -> None:
    _compare(groups, Story())


@pytest.mark.slow
@given(groups=GROUPS)
@settings(max_examples=3_000 if LONG else 600, report_multiple_bugs=False)
def test_many_groups_of_uploads_are_taken_as_one_after_the_other(groups: list[Any]) -> None:
    _compare(groups, Story())


@pytest.mark.slow
@given(groups=GROUPS)
@settings(max_examples=100, report_multiple_bugs=False)
def test_the_engine_takes_groups_as_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, groups: list[Any]
) -> None:
    journal = RocksJournal(tmp_path_factory.mktemp("group") / "journal")
    try:
        _compare(groups, Story(journal=journal))
    finally:
        journal.close()
