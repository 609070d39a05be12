"""A process that loads a journal in PostgreSQL through whatever happens to it, and says what was acknowledged.

Usage: postgres_load.py ADDRESS PROCESS THREADS PATIENCE

It goes on until its standard input ends. Each line `ack THREAD NUMBER` is written after `append` has returned; `found
THREAD NUMBER` where a claim that was sent again, after a refusal, was there already; `refused WORDS` where the journal
gave up. A claim is sent again under its own reference until it is in.
"""

import os
import sys
import threading
import time

from storage_facts import fact
from storage_load import claim_events

from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.refusals import JournalRefusal

SHARDS = 4
"""Each claim draws on one of so many histories, which all processes share."""


def drawn_on(thread: int, number: int) -> str:
    """The shared history on which a claim draws."""
    return f"balance:escape:H31:x:{(thread + number) % SHARDS}"


def say(line: str) -> None:
    """One line at once, from any thread."""
    os.write(1, f"{line}\n".encode())


def send(journal: PostgresJournal, thread: int, number: int) -> None:
    """One claim, however often it takes."""
    shared, claim = drawn_on(thread, number), f"claim:H{thread}:{number}"
    while True:
        try:
            seen = journal.fetch([shared, claim])
            if seen[claim].sequence:
                say(f"found {thread} {number}")
                return
            *events, draw = claim_events(thread, number, seen[shared].sequence + 1)
            events.append(fact(shared, draw.sequence, line=claim))
            expected = {event.key: event.sequence - 1 for event in events}
            if isinstance(journal.append(events, expected, {claim: b"sealed" * 100}), bytes):
                say(f"ack {thread} {number}")
                return
        except JournalRefusal as refusal:
            say(f"refused {refusal}")
            time.sleep(0.05)  # as a client waits a moment before it tries again


def main(address: str, process: str, threads: str, patience: str) -> None:
    """Load from so many threads until nobody wants more."""
    journal = PostgresJournal(address, patience_seconds=float(patience))
    ending = threading.Event()

    def load(thread: int) -> None:
        number = 0
        while not ending.is_set():
            send(journal, thread, number)
            number += 1

    say("open")
    first = int(process) * 100
    loaders = [threading.Thread(target=load, args=(first + thread,)) for thread in range(int(threads))]
    for loader in loaders:
        loader.start()
    sys.stdin.read()
    ending.set()
    for loader in loaders:
        loader.join()
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
