"""A process whose clients race for the same boxes as those of other processes, and says which each of them won.

Usage: postgres_race.py ADDRESS PROCESS CLIENTS BOXES SEED

It begins when a line comes on its standard input. Each client goes through all boxes in an order of its own, some at a
time, and claims those that it finds free; `won CLIENT BOX…` names what it was told that it has won.
"""

import os
import random
import sys
import threading

from suyuan.ledger.ledger import Books, Ledger
from suyuan.node import system_clock
from suyuan.storage.postgres import PostgresJournal

TOGETHER = 20
"""Boxes of one claim."""


def box(number: int) -> str:
    """A box that everybody wants."""
    return f"trace20:8123456{number:013}"


def claim(ledger: Ledger, client: str, wanted: list[str]) -> list[str]:
    """Claim those of the boxes that are free, all in one append."""

    def decide(books: Books) -> list[str]:
        free = [key for key in wanted if not books.histories[key].sequence]
        for key in free:
            books.add(key, "claimed", line=client)
        return free

    return ledger.transact(wanted, decide)


def main(address: str, process: str, clients: str, boxes: str, seed: str) -> None:
    """Race once."""
    journal = PostgresJournal(address)
    ledger = Ledger(journal, system_clock)

    def race(number: int) -> None:
        client = f"{process}-{number}"
        keys = [box(one) for one in range(int(boxes))]
        random.Random(f"{seed}-{client}").shuffle(keys)
        for at in range(0, len(keys), TOGETHER):
            won = claim(ledger, client, keys[at : at + TOGETHER])
            if won:
                os.write(1, f"won {client} {' '.join(won)}\n".encode())

    racers = [threading.Thread(target=race, args=(number,)) for number in range(int(clients))]
    os.write(1, b"ready\n")
    sys.stdin.readline()
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
