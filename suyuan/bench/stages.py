"""Stages: the steps that a document goes through, one after the other in one thread, each with its CPU time."""

import itertools
import time
from collections.abc import Callable, Sequence

from suyuan.formats import nhsa
from suyuan.intake import upload_of
from suyuan.intake.upload import Upload
from suyuan.ledger.ledger import Books
from suyuan.node import Node

LISTS = "lists that follow (views)"
Lap = Callable[[str], None]


def spent_by_stage(node: Node, messages: Sequence[bytes], by: str, together: int) -> dict[str, float]:
    """Stage → µs CPU a document, of NHSA messages of which so many are written by one append."""
    spent: dict[str, float] = {}
    last = time.thread_time()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.thread_time()
        spent[stage] = spent.get(stage, 0.0) + now - last
        last = now

    for at in range(0, len(messages), together):
        _take(node, messages[at : at + together], by, lap)
    node.views.catch_up()
    lap(LISTS)
    return {stage: seconds / len(messages) * 1e6 for stage, seconds in spent.items()}


def _take(node: Node, messages: Sequence[bytes], by: str, lap: Lap) -> None:
    documents = [nhsa.read(raw) for raw in messages]
    lap("read the message")
    uploads = [upload_of(node.desk, document, by) for document in documents]
    lap("recognise, look up, hash, seal")
    decided = []
    for upload in uploads:
        assert isinstance(upload, Upload), "the bench's own messages are in order"
        books = Books(node.journal.fetch(upload.keys()), node.ledger.clock(), "bench", itertools.count())
        while missing := upload.more(books) - books.histories.keys():
            books.histories.update(node.journal.fetch(missing))
        lap("fetch, decode, fold, find orders")
        decided.append((books, upload.decide(books)))
        lap("judge, make the events")
    events = [event for books, _ in decided for event in books.events]
    expected = {
        key: books.histories[key].sequence if key in books.histories else 0
        for books, _ in decided
        for key in books.sequences
    }
    sealed = {name: raw for books, _ in decided for name, raw in books.documents.items()}
    assert isinstance(node.journal.append(events, expected, sealed), bytes), "nobody else writes here"
    lap("encode, file, write, sync")
    for document, (_, outcome) in zip(documents, decided, strict=True):
        nhsa.answer(document, outcome)
    lap("answer")
