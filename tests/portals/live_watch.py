"""Those who are told: a subscriber to the stream, and a receiver of webhooks, both as small as real ones begin."""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
from portal import Portal, eventually

STREAM = "/api/v1/alerts/stream"
_SERIALS = itertools.count(int(time.time()) % 1_000_000_000 * 1_000)


def new_code() -> str:
    """The code of a box that nobody has seen yet."""
    return f"8234567{next(_SERIALS):013d}"


def moment() -> str:
    """Now, as a till writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sell(client: httpx.Client, *codes: str, person: str = "1", **references: str) -> dict[str, Any]:
    """One sale over HTTP, in the name of the client's key; answers what became of it."""
    buyer = {"document_number": f"44010119900101{person:0>4}"}
    numbers = {"receipt": f"{codes[0][-12:]}-{person}", **references}
    sale = {"time": moment(), "lines": [{"codes": list(codes)}], "person": buyer, "references": numbers}
    answer = client.post("/api/v1/sales", json={"sales": [sale]})
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


def sell_twice(portal: Portal, first: str, second: str) -> str:
    """One box sold by two parties: the second sale raises an alert. Answers its code."""
    code = new_code()
    with portal.client(first) as one, portal.client(second) as other:
        sell(one, code, person="1")
        sell(other, code, person="2")
    return code


class Subscriber:
    """A client of the stream that keeps what it is told, and comes again with Last-Event-ID when it was cut off."""

    def __init__(self, portal: Portal, party: str, **query: str) -> None:
        self.portal, self.party, self.query = portal, party, query
        self.alerts: list[dict[str, Any]] = []
        self.arrived: list[float] = []
        """When each alert came, by the clock of `time.time`."""
        self.id = ""
        self.connected = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the alerts in the order in which they came."""
        return [alert["number"] for alert in self.alerts]

    @property
    def codes(self) -> list[str]:
        """The codes that the alerts are about."""
        return [alert["code"] for alert in self.alerts]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.connected.wait(20), "the stream never began"
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(timeout=20)

    def _follow(self) -> None:
        while not self._ending:
            with contextlib.suppress(httpx.TransportError):
                self._listen()
            time.sleep(0.05)

    def _listen(self) -> None:
        headers = {"last-event-id": self.id} if self.id else {}
        with (
            self.portal.client(self.party, headers=headers) as client,
            client.stream("GET", STREAM, params=self.query, timeout=httpx.Timeout(20, read=0.4)) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                return
            self._read(answer.iter_lines())

    def _read(self, lines: Iterator[str]) -> None:
        event: dict[str, str] = {}
        for line in lines:
            if not line:
                self._take(event)
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
            if self._ending:
                return

    def _take(self, event: dict[str, str]) -> None:
        self.id = event.get("id", self.id)
        self.connected.set()
        if event.get("event") == "alert":
            self.alerts.append(json.loads(event["data"]))
            self.arrived.append(time.time())

    def await_codes(self, *codes: str, seconds: float = 15) -> None:
        """Wait until it was told of all these codes."""
        eventually(lambda: set(codes) <= set(self.codes), seconds)


class Receiver:
    """A small HTTP server that webhooks are sent to; what it answers is up to the test."""

    def __init__(self, port: int = 0) -> None:
        self.deliveries: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.location = ""
        self.seen = threading.Event()
        receiver = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.deliveries.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.send_header("content-length", "0")
                self.end_headers()
                receiver.seen.set()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the base class calls it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Take)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/alerts"

    @property
    def codes(self) -> list[str]:
        """The codes of all alerts that it took with a 2xx, in the order in which they came."""
        return [alert["code"] for _, body in self.deliveries for alert in json.loads(body)["alerts"]]

    @property
    def numbers(self) -> list[int]:
        """The numbers of the alerts, likewise."""
        return [alert["number"] for _, body in self.deliveries for alert in json.loads(body)["alerts"]]

    def kill(self) -> None:
        """It is gone; its port is free."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
