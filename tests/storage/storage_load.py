"""A process that loads a journal until it is stopped, and says on its output what was acknowledged.

Usage: storage_load.py FOLDER THREADS BATCHES [nosync] [file-limit=BYTES]

Every line `ack THREAD NUMBER` is written after `append` has returned. Each batch is a claim and its boxes, of which
one is shared by all threads; it opens a deadline and brings a document. If the journal stops, its words follow.
"""

import os
import resource
import sys
import threading
from pathlib import Path

from storage_facts import fact

from suyuan.ledger.events import Event
from suyuan.storage.refusals import JournalRefusal
from suyuan.storage.rocks import RocksJournal

BOXES = 5
SHARED = "balance:escape:H31:x:0"


def claim_events(thread: int, number: int, shared_sequence: int) -> list[Event]:
    """What belongs together: a claim that names its boxes, the boxes, a draw on a balance that all share."""
    claim = f"claim:H{thread}:{number}"
    boxes = [f"trace20:{thread:010}{number * BOXES + box:010}" for box in range(BOXES)]
    return [
        fact(
            claim, 1, kind="claimed", document=claim, deadline=number + 1, detail={"boxes": boxes, "pad": "x" * 3_000}
        ),
        *(fact(box, 1, line=claim) for box in boxes),
        fact(SHARED, shared_sequence, line=claim),
    ]


def load(journal: RocksJournal, thread: int, batches: int) -> None:
    """One thread's claims, one after the other."""
    for number in range(batches):
        answer: bytes | list[str] = []
        while not isinstance(answer, bytes):
            seen = journal.fetch([SHARED])[SHARED].sequence
            events = claim_events(thread, number, seen + 1)
            expected = {event.key: event.sequence - 1 for event in events}
            try:
                answer = journal.append(events, expected, {events[0].key: b"sealed" * 100})
            except JournalRefusal as refusal:
                os.write(1, f"stopped {refusal}\n".encode())
                return
        os.write(1, f"ack {thread} {number}\n".encode())


def main(folder: str, threads: str, batches: str, *options: str) -> None:
    """Load from so many threads, so many batches each."""
    for option in options:
        if option.startswith("file-limit="):
            limit = int(option.partition("=")[2])
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        journal = RocksJournal(Path(folder), block_cache_bytes=1 << 20, _sync="nosync" not in options)
    except JournalRefusal as refusal:
        os.write(1, f"refused {refusal}\n".encode())
        return
    os.write(1, b"open\n")
    loaders = [threading.Thread(target=load, args=(journal, thread, int(batches))) for thread in range(int(threads))]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
