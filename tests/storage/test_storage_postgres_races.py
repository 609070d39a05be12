"""64 clients in four processes want the same 1,000 boxes: each box is won once, and its winner was told so."""

import os
from pathlib import Path

import pytest
from postgres_race import box
from started import Started
from storage_facts import audit

from suyuan.storage.postgres import PostgresJournal

RACE = Path(__file__).with_name("postgres_race.py")
LONG = os.environ.get("SUYUAN_LONG") == "1"
PROCESSES, CLIENTS = 4, 16


def winners(address: str, boxes: int, seed: int) -> list[tuple[str, str]]:
    """Who was told that it has won which box, after all have raced."""
    racing = [Started(RACE, address, number, CLIENTS, boxes, seed) for number in range(PROCESSES)]
    for process in racing:
        assert process.stdout.readline() == "ready\n"
    for process in racing:
        process.tell("go")
    told = []
    for process in racing:
        with process.stdout:
            told.append(process.stdout.read())
    assert [process.wait() for process in racing] == [0] * PROCESSES
    lines = [line.split() for text in told for line in text.splitlines()]
    return [(client, key) for _, client, *keys in lines for key in keys]


def raced(address: str, boxes: int, seed: int) -> set[str]:
    """Race, compare with what is stored, and answer the processes that won something."""
    won = winners(address, boxes, seed)
    assert sorted(key for _, key in won) == [box(number) for number in range(boxes)]
    journal = PostgresJournal(address)
    books = audit(journal)
    journal.close()
    assert {key: [event.line for event in events] for key, events in books.items()} == {
        key: [client] for client, key in won
    }
    return {client.split("-")[0] for client, _ in won}


def test_each_of_200_boxes_is_won_once(database: str) -> None:
    raced(database, 200, 0)  # so few that on a busy machine one process may win them all


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21 if LONG else 3))
def test_each_of_1000_boxes_is_won_once(database: str, seed: int) -> None:
    assert len(raced(database, 1_000, seed)) > 1
