"""A process that settles claims from many threads and says what it was answered, to be killed at any moment."""

import json
import random
import sys
import threading
from pathlib import Path

from suyuan.formats import nhsa
from suyuan.node import Node

BOXES = 400
CODES = 5


def claim(number: int, codes: list[str]) -> bytes:
    """A settlement of outpatient visit `number` for five boxes."""
    rows = [
        {"feedetl_sn": str(line), "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "2"}
        for line, code in enumerate(codes)
    ]
    data = {"psn_no": f"N{number}", "mdtrt_id": f"V{number}", "chrg_bchno": f"O{number}", "medfee_sumamt": 50}
    message = {"infno": "2207", "msgid": f"M{number}", "fixmedins_code": f"H4401000{number % 7:05d}"}
    return json.dumps({**message, "input": {"data": data, "drug_trac_info": rows}}).encode()


def codes_of(number: int) -> list[str]:
    """Boxes of claim `number`: few enough that claims collide."""
    return [f"81234567{box:012d}" for box in random.Random(number).sample(range(BOXES), CODES)]


def main(folder: str, first: str, threads: str) -> None:
    """Settle claims from number `first` on, for ever."""
    numbers = iter(range(int(first), 1 << 30))
    lock = threading.Lock()
    with Node.open(Path(folder)) as node:

        def client() -> None:
            while True:
                with lock:
                    number = next(numbers)
                raw = claim(number, codes_of(number))
                with lock:
                    sys.stdout.write(f"asked {number}\n")
                    sys.stdout.flush()
                document = nhsa.read(raw)
                answer = json.loads(nhsa.answer(document, node.take(document)))
                paid = answer["infcode"] == 0
                settlement = answer["output"]["setlinfo"]["setl_id"] if paid else "-"
                with lock:
                    sys.stdout.write(f"answered {number} {settlement}\n")
                    sys.stdout.flush()

        clients = [threading.Thread(target=client, daemon=True) for _ in range(int(threads))]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
