"""A real node with sales in it, sealed and signed, and hands that change what it has stored."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from suyuan.catalogue.content import Content
from suyuan.catalogue.parties import Party
from suyuan.formats import nhsa
from suyuan.ledger.events import Event, encoder
from suyuan.node import Node
from suyuan.storage.batch import batch_key
from suyuan.storage.packed import packed_batch, unpacked_batch
from suyuan.storage.rocks import RocksJournal

PHARMACY, ASYLUM = "P44010000001", "H44010000013"
PERSON = "person-with-a-number"
MOMENT = 1_773_000_000_000_000
Batches = list[list[Event]]


class Clock:
    """A clock that goes on by a second each time it is looked at."""

    def __init__(self) -> None:
        self.now = MOMENT

    def __call__(self) -> int:
        """µs UTC."""
        self.now += 1_000_000
        return self.now


def code(number: int) -> str:
    """The code of box `number`."""
    return f"8234567{number:013d}"


def key(number: int) -> str:
    """Its key."""
    return f"trace20:{code(number)}"


def sale(number: int, place: str = PHARMACY) -> bytes:
    """A sale of one box, with all that a message says of a person."""
    row = {
        "fixmedins_hilist_id": "1",
        "fixmedins_bchno": "B1",
        "rtal_docno": f"R{number:05d}",
        "psn_no": PERSON,
        "prsc_dr_name": "prescriber-with-a-name",
        "sel_retn_cnt": "1",
        "sel_retn_time": "2026-03-08 10:00:00",
        "trdn_flag": "0",
        "drugtracinfo": [{"drug_trac_codg": code(number)}],
    }
    head = {"infno": "3505", "msgid": f"{place}{number:018d}", "fixmedins_code": place, "infver": "V1.0"}
    return json.dumps({**head, "input": {"selinfo": row}}).encode()


def sell(node: Node, *numbers: int, place: str = PHARMACY) -> None:
    """Report a sale of each box."""
    for number in numbers:
        outcome = node.take(nhsa.read(sale(number, place)))
        assert not outcome.fatal


@contextmanager
def opened(folder: Path) -> Iterator[Node]:
    """The node in a folder; a new one knows a pharmacy and a psychiatric hospital."""
    new = not folder.exists()
    with Node.open(folder, Clock(), block_cache_mb=8) as node:
        if new:
            parties = [
                Party(PHARMACY, name="Good Pharmacy", kind="pharmacy", region="440103"),
                Party(ASYLUM, name="Quiet Hospital", kind="hospital", region="440105", sensitive=True),
            ]
            node.tables.save_catalogue(Content(parties=parties))
            node.reload_catalogue()
        yield node


def sealed_node(folder: Path, boxes: int = 30) -> None:
    """A node with three sealed segments, and a sale that is not sealed yet."""
    with opened(folder) as node:
        for first in range(1, boxes + 1, boxes // 3):
            sell(node, *range(first, first + boxes // 3))
            node.lake.seal(workers=0)
            node.checkpoint()
        sell(node, boxes + 1)


def change_feed(folder: Path, change: Callable[[Batches], Batches]) -> None:
    """Rewrite the log of a journal through its own engine, as somebody with the disk in hand could."""
    journal = RocksJournal(folder / "journal")
    log = journal._families["log"]
    batches: Batches = []
    while (record := log.get(batch_key(len(batches) + 1))) is not None:
        batches.append(unpacked_batch(record))
    changed = [batch for batch in change(batches) if batch]
    for number in range(max(len(batches), len(changed))):
        if number < len(changed):
            packed = packed_batch(len(changed[number]), b"".join(map(encoder.encode, changed[number])))
            log[batch_key(number + 1)] = packed
        else:
            del log[batch_key(number + 1)]
    journal.close()


def change_history(folder: Path, changed: str, old: bytes, new: bytes) -> None:
    """Rewrite bytes in the history of one key."""
    assert len(old) == len(new)
    journal = RocksJournal(folder / "journal")
    histories = journal._histories
    value = histories[changed.encode()]
    assert isinstance(value, bytes)
    assert old in value
    histories[changed.encode()] = value.replace(old, new)
    journal.close()


def change_document(folder: Path, changed: str, other: str) -> None:
    """Put another sealed message in the place of one, or flip a bit of it where no other is named."""
    journal = RocksJournal(folder / "journal")
    documents = journal._families["documents"]
    value = documents[(other or changed).encode()]
    assert isinstance(value, bytes)
    documents[changed.encode()] = value if other else value[:-1] + bytes([value[-1] ^ 1])
    journal.close()


def flip(path: Path, at: int = -1) -> None:
    """Flip one bit of a file, in the middle where no place is given."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at < 0 else at] ^= 1
    path.write_bytes(data)
