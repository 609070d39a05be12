"""A burst of alerts: uploads go on, memory stays bounded, and every subscriber gets every alert in order."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from live_watch import STREAM, Receiver, Subscriber, moment, new_code, sell, sell_twice
from portal import INSPECTOR, Portal, eventually
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q

from suyuan.bench.soak import tree_of
from suyuan.ledger.keys import alert_key
from suyuan.portals.figures import used_by

SETTINGS = (
    'policy = "strict"\nblock_cache_mb = 16\nwrite_buffer_mb = 32\nwebhook_private = true\n'
    'rate_counter = "1000000/minute"\n'
)
LONG = os.environ.get("SUYUAN_LONG") == "1"
DOCUMENT = 2_000
"""Codes an upload."""


def rss(portal: Portal) -> int:
    """Memory of the server in MiB."""
    assert portal._process is not None
    status = Path(f"/proc/{portal._process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))


class Till(threading.Thread):
    """Somebody who goes on selling, one box at a time, whatever else happens."""

    def __init__(self, portal: Portal) -> None:
        super().__init__(daemon=True)
        self.portal = portal
        self.answered = 0
        self.refused: list[int] = []
        self.ending = threading.Event()

    def run(self) -> None:
        with self.portal.client(PHARMACY_Q) as client:
            while not self.ending.is_set():
                references = {"receipt": f"T{self.answered}"}
                sale = {"time": moment(), "lines": [{"codes": [new_code()]}], "references": references}
                answer = client.post("/api/v1/sales", json={"sales": [sale]})
                if answer.status_code == httpx.codes.OK:
                    self.answered += 1
                else:
                    self.refused.append(answer.status_code)


def burst(portal: Portal, alerts: int) -> tuple[list[int], list[int], list[int], Till, int]:
    """So many boxes sold twice while a till goes on; answers what a stream, a late reader and a webhook were told."""
    till = Till(portal)
    with Receiver() as receiver, portal.client(INSPECTOR) as inspector:
        made = inspector.post("/api/v1/webhooks", json={"url": receiver.url})
        assert made.status_code == httpx.codes.CREATED
        before = rss(portal)
        with (
            Subscriber(portal, INSPECTOR) as prompt,
            # This one has asked and takes nothing until all is over.
            inspector.stream("GET", STREAM, params={"after": "0"}, timeout=600) as late,
        ):
            till.start()
            for _ in range(alerts // DOCUMENT):
                codes = [new_code() for _ in range(DOCUMENT)]
                for party in (HOSPITAL_A, PHARMACY_P):
                    with portal.client(party) as client:
                        client.timeout = httpx.Timeout(120)
                        sell(client, *codes, person=party[-1])
            eventually(lambda: len(prompt.alerts) >= alerts, 300)
            grown = rss(portal) - before
            late_numbers = list(_numbers(late, alerts))
        till.ending.set()
        till.join()
        eventually(lambda: len(receiver.numbers) >= alerts, 300)
        return prompt.numbers, late_numbers, receiver.numbers, till, grown


def _numbers(stream: httpx.Response, last: int) -> Iterator[int]:
    """The ids of a stream's alerts up to a number."""
    for line in stream.iter_lines():
        number = int(line[4:]) if line.startswith("id: ") else 0
        if number:
            yield number
        if number >= last:
            return


def check(portal: Portal, alerts: int, memory_max: int) -> None:
    prompt, late, hooked, till, grown = burst(portal, alerts)
    expected = list(range(1, alerts + 1))
    assert prompt == expected
    assert late == expected
    assert list(dict.fromkeys(hooked)) == expected
    assert till.answered > alerts // DOCUMENT, "uploads went on beside the burst"
    assert till.refused == []
    assert grown < memory_max, f"{grown} MiB more"


@pytest.mark.slow
def test_a_burst_reaches_every_subscriber_whole_and_in_order_while_uploads_go_on(tmp_path: Path) -> None:
    """Ten thousand alerts; a hundred thousand where SUYUAN_LONG=1."""
    with Portal(tmp_path / "node", SETTINGS) as portal:
        check(portal, *((100_000, 400) if LONG else (5 * DOCUMENT, 250)))


@pytest.mark.slow
def test_the_earlier_hospital_is_told_of_a_burst_only_its_own_side(tmp_path: Path) -> None:
    with Portal(tmp_path / "node", SETTINGS) as portal, Subscriber(portal, HOSPITAL_B) as hospital:
        codes = [new_code() for _ in range(300)]
        for party in (HOSPITAL_B, PHARMACY_P):
            with portal.client(party) as client:
                sell(client, *codes, person=party[-1])
        hospital.await_codes(*codes)
        assert PHARMACY_P not in str(hospital.alerts)


FLOOD = int(os.environ.get("SUYUAN_ALERTS", "1000000" if LONG else "20000"))
"""Alerts in the journal that no list has taken in yet; SUYUAN_ALERTS=10000000 is a bad day (see docs/benchmarks.md)."""
GROWTH_MAX_MIB = 120
"""By so much memory may grow between the first fifth of a flood and its end, however many follow."""


class Reader(threading.Thread):
    """A subscriber that keeps nothing but its place, and sees that each alert is the one after the last."""

    def __init__(self, portal: Portal, last: int) -> None:
        super().__init__(daemon=True)
        self.portal, self.last = portal, last
        self.place = 0
        self.wrong = ""
        self.waits = threading.Event()
        """While it is not set, it takes nothing."""
        self.waits.set()

    def run(self) -> None:
        while self.place < self.last and not self.wrong:
            try:
                self._listen()
            except httpx.TransportError:
                time.sleep(0.1)

    def _listen(self) -> None:
        with (
            self.portal.client(INSPECTOR, headers={"last-event-id": str(self.place)}) as client,
            client.stream("GET", STREAM, params={"after": "0"}, timeout=httpx.Timeout(60)) as answer,
        ):
            alert = False
            for line in answer.iter_lines():
                if line == "event: alert":
                    alert = True
                elif alert and line.startswith("id: "):
                    alert = False
                    if int(line[4:]) != self.place + 1:
                        self.wrong = f"{line} after {self.place}"
                    self.place = int(line[4:])
                    self.waits.wait()
                if self.place >= self.last or self.wrong:
                    return


def flooded(portal: Portal, alerts: int) -> int:
    """Write alerts into the journal of a stopped server, copies of a real one; answers how many there are then."""
    with portal:
        sell_twice(portal, HOSPITAL_A, PHARMACY_P)
    with portal.node() as node:
        (real,) = [event for event in node.journal.since(None, 1_000)[0] if event.kind == "alerted"]
        for first in range(0, alerts, 10_000):
            copies = [
                msgspec.structs.replace(real, id=f"{real.id}-{number}", key=alert_key(f"{number:024x}"))
                for number in range(first, min(first + 10_000, alerts))
            ]
            assert isinstance(node.journal.append(copies, dict.fromkeys((one.key for one in copies), 0)), bytes)
    return alerts + 1


@pytest.mark.slow
def test_a_flood_of_alerts_is_listed_and_streamed_whole_in_order_in_bounded_memory(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node", SETTINGS)
    last = flooded(portal, FLOOD)
    with portal:
        prompt, late, till = Reader(portal, last), Reader(portal, last), Till(portal)
        late.waits.clear()
        for thread in (prompt, late, till):
            thread.start()
        seen: list[tuple[float, int]] = []
        assert portal._process is not None
        while prompt.is_alive():
            memory = sum(used_by(process)[0] for process in tree_of(portal._process.pid)) / 2**20
            seen.append((memory, prompt.place))
            time.sleep(0.25)
        late.waits.set()
        late.join(timeout=3_600)
        till.ending.set()
        till.join()
    assert (prompt.wrong, prompt.place) == (late.wrong, late.place) == ("", last)
    assert till.answered > 0, "uploads went on beside the flood"
    assert till.refused == []
    early = max(memory for memory, place in seen if place <= last // 5)
    whole = max(memory for memory, _ in seen)
    assert whole - early < GROWTH_MAX_MIB, f"{early:.0f} MiB after a fifth, {whole:.0f} at the most"
