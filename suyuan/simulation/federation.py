"""A nation and its provinces as processes of their own on this machine, to be started, killed and looked into."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

import suyuan
from suyuan.catalogue.content import Content
from suyuan.ledger.events import Event
from suyuan.ledger.privacy import Privacy
from suyuan.ledger.signer import Signer
from suyuan.node import Node, place_secrets
from suyuan.portals.control import Asked, ControlRefused, NobodyThere
from suyuan.relay.nation import register

NATION = "nation"
READY_SECONDS = 60
FSI = "/fsi/api/rsfComIfsService/callService"
DOORS = {
    "nhsa": (FSI, "application/json"),
    "epcis": ("/api/v1/epcis/capture", "application/ld+json"),
    "table": ("/api/v1/files", "text/csv"),
}
"""Kind of upload → address and content type."""


class Member:
    """One node of the federation: its folder, and the server on it while there is one."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name, self.folder, self.port = name, folder, port
        self.keys: dict[str, str] = {}
        """Party → bearer key."""
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its server listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start its server, and wait until it can take uploads."""
        here = str(Path(suyuan.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}
        command = [sys.executable, "-m", "suyuan", "serve", "--dir", str(self.folder), "--port", str(self.port)]
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment)  # noqa: S603  our own
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.address}/livez", timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                assert self._process.poll() is None, f"the server of {self.name} has ended: {self.logged()}"
            time.sleep(0.1)
        raise AssertionError(f"the server of {self.name} was never ready: {self.logged()}")

    def logged(self) -> str:
        """The last that its server wrote."""
        return (self.folder.parent / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        self._end(signal.SIGKILL)
        self.kills += 1

    def stop(self) -> None:
        """SIGTERM: what was begun is finished."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait()

    def standing(self) -> dict[str, Any] | None:
        """How its relay stands; None where its server does not say."""
        try:
            with Asked(self.folder, "relay") as answer:
                standing: dict[str, Any] = answer["standing"]
                return standing
        except (NobodyThere, ControlRefused):
            return None

    def events(self) -> list[dict[str, Any]]:
        """Every fact it has, as plain values; its server must have ended."""
        found: list[Event] = []
        position: bytes | None = None
        with Node.open(self.folder) as node:
            while True:
                page, position = node.journal.since(position, 20_000)
                if not page:
                    return [msgspec.structs.asdict(event) for event in found]
                found += page


class Federation:
    """A nation and provinces that belong to it, with one catalogue; a context that ends its servers."""

    def __init__(self, folder: Path, provinces: Iterable[str], content: Content, settings: str = "") -> None:
        person_key = Privacy.new().keys()[0]
        names = [NATION, *provinces]
        ports = free_ports(len(names))
        self.members = {name: Member(name, folder / name, port) for name, port in zip(names, ports, strict=True)}
        public: dict[str, bytes] = {}
        for name, member in self.members.items():
            member.folder.mkdir(parents=True)
            signer = Signer.new()
            public[name] = signer.public
            place_secrets(member.folder, person_key + Privacy.new().keys()[1] + signer.seed)
            joined = (
                f'province = "{name}"\nnation = "{self.nation.address}"\nnation_key = "{public[NATION].hex()}"\n'
                if name != NATION
                else ""
            )
            (member.folder / "suyuan.toml").write_text(f"block_cache_mb = 16\n{settings}{joined}", encoding="utf-8")
            with Node.open(member.folder) as node:
                node.tables.save_catalogue(content)
                if name != NATION:
                    member.keys = dict(_issued(node, content))
        with Node.open(self.nation.folder) as node:
            for name in self.provinces:
                register(node, name, public[name])

    @property
    def nation(self) -> Member:
        """The nation."""
        return self.members[NATION]

    @property
    def provinces(self) -> dict[str, Member]:
        """All others."""
        return {name: member for name, member in self.members.items() if name != NATION}

    def __enter__(self) -> Self:
        for member in self.members.values():
            member.start()
        return self

    def __exit__(self, *_: object) -> None:
        for member in reversed(self.members.values()):
            member.stop()

    def settle_down(self, seconds: float) -> bool:
        """Wait until nobody has anything to tell any more; false where that took longer."""
        end, before, since = time.monotonic() + seconds, "", time.monotonic()
        while time.monotonic() < end:
            told = {name: member.standing() for name, member in self.members.items()}
            mark = repr([(one and (one["provinces"], one.get("number"), one["down"])) for one in told.values()])
            waits = any(one is None or one.get("waiting_since") or one.get("waiting_down") for one in told.values())
            if waits or mark != before:
                before, since = mark, time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                return True
            time.sleep(0.2)
        return False


QUIET_SECONDS = 3.0
"""So long nothing moves before all is said: a relay looks each half second."""


def _issued(node: Node, content: Content) -> Iterable[tuple[str, str]]:
    for party in content.parties:
        key = node.tables.create_credential(party.code)
        yield party.code, f"{key.id}.{key.secret}"


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens now."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return found


def send(client: httpx.Client, member: Member, raw: bytes, by: str, kind: str) -> httpx.Response:
    """One upload by its sender's own key."""
    path, content = DOORS[kind]
    headers = {"authorization": f"Bearer {member.keys[by]}", "content-type": content}
    return client.post(f"{member.address}{path}", content=raw, headers=headers)
