"""The control door: a socket in the node's folder, by which its owner's commands ask the server that has it open."""

import asyncio
import os
import secrets
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from suyuan.node import Node, system_clock
from suyuan.portals.problem import Refused
from suyuan.portals.quarantined import retry
from suyuan.portals.site import Site
from suyuan.storage.folder import COPY
from suyuan.storage.refusals import JournalInUse, JournalRefusal

SOCKET = "control.sock"
LEFT_SECONDS = 86_400
"""A copy of this age is what a server that was killed has left."""
REQUEST_BYTES_MAX = 1 << 20
FREE_SECONDS = 600
"""So long a server that begins waits for a command that has its folder open."""


class Given(NamedTuple):
    """What an operation answers, and what is to be done when its caller has gone."""

    answer: dict[str, Any]
    ended: Callable[[], object] = lambda: None


Operation = Callable[[Site, Mapping[str, Any]], Awaitable[Given]]


class Control:
    """The door of one folder: of several servers one has it. Who may open the folder's files may use it, nobody else.

    Runs once (`portals.once`): `start` is called by who has the turn of the folder, and by nobody beside it.
    """

    def __init__(self, site: Site, operations: Mapping[str, Operation]) -> None:
        self.site = site
        self._operations = operations
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; what lies at the place is of a server that is gone."""
        folder = self.site.node.folder
        for left in folder.glob(f"{COPY}*"):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        opened = await asyncio.to_thread(_listening, folder)
        self._server = await asyncio.start_unix_server(self._serve, sock=opened, limit=REQUEST_BYTES_MAX)

    async def stop(self) -> None:
        """Hear nobody any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self.site.node.folder / SOCKET).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = Given({})
        try:
            given = await self._answer(await reader.readline())
            writer.write(msgspec.json.encode(given.answer) + b"\n")
            await writer.drain()
            await reader.read()  # until the caller has gone
        except (OSError, ValueError):
            pass
        finally:
            writer.close()
            await asyncio.to_thread(given.ended)

    async def _answer(self, line: bytes) -> Given:
        try:
            asked = msgspec.json.decode(line, type=dict[str, Any])
            return await self._operations[asked["do"]](self.site, asked)
        except (msgspec.DecodeError, KeyError) as error:
            return Given({"refused": f"the server does not know what was asked: {error}; use the same version"})
        except Refused as refusal:
            return Given({"refused": " ".join(filter(None, (refusal.error.title, refusal.what, refusal.do)))})
        except (JournalRefusal, OSError) as error:
            return Given({"refused": str(error)})
        except Exception as error:  # whatever it is, its caller is told
            self.site.log.exception("control", error=type(error).__name__)
            return Given({"refused": f"the server failed: {type(error).__name__}: {error}"})


async def copy_journal(site: Site, _: Mapping[str, Any]) -> Given:
    """A consistent copy of the journal beside it, which goes when its caller has gone."""
    folder = site.node.folder / f"{COPY}{secrets.token_hex(6)}"
    try:
        await asyncio.to_thread(site.node.journal.copy, folder / "journal")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Given({"copy": f"{folder.name}/journal"}, lambda: shutil.rmtree(folder, ignore_errors=True))


async def force_deferral(site: Site, asked: Mapping[str, Any]) -> Given:
    """Lay uploads aside from now on, or end it; without either, how it stands."""
    deferral = site.counter.deferral
    if "on" in asked:
        deferral.force(on=bool(asked["on"]))
    waiting = await asyncio.to_thread(deferral.waiting_anywhere)
    elsewhere = "by another server process, or one that is gone" if waiting else ""
    reason = "; ".join(filter(None, (deferral.reason or elsewhere, deferral.short)))
    return Given({"reason": reason, "waiting": waiting, "forced": deferral.forced})


async def retry_kept(site: Site, asked: Mapping[str, Any]) -> Given:
    """Try a message in quarantine once more."""
    words = await asyncio.to_thread(retry, site.node, int(asked["number"]))
    site.views.news()
    return Given({"words": words})


def _listening(folder: Path) -> socket.socket:
    (folder / SOCKET).unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            opened.bind(path)
        (folder / SOCKET).chmod(0o600)
        opened.listen(16)
    except OSError:
        opened.close()
        raise
    return opened


class _short:  # noqa: N801  reads as what it gives
    """The socket's path by way of an open folder: the system takes no path of more than 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._folder}/{SOCKET}"

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)


def _connected(folder: Path) -> socket.socket:
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            asking.connect(path)
    except OSError:
        asking.close()
        raise
    return asking


# The other side


class NobodyThere(Exception):  # noqa: N818  the reader's word for it
    """No server of this folder listens."""


class ControlRefused(Exception):  # noqa: N818  the reader's word for it
    """The server refused what was asked; the words say why."""


def opened_when_free(folder: Path, clock: Callable[[], int] = system_clock) -> Node:
    """The node of a server that begins, as soon as the command that has it open has ended; no server is waited for.

    Raises:
        JournalInUse: another server has it open, or a command for ten minutes.
        NodeUnusable: as for `Node.open`.
    """
    until = time.monotonic() + FREE_SECONDS
    while True:
        try:
            return Node.open(folder, clock)
        except JournalInUse:
            if time.monotonic() > until:
                raise
            with suppress(OSError), _connected(folder):
                raise
        time.sleep(0.1)


class Asked:
    """A question to the server of a folder; its answer, and what it holds for us until this is closed.

    Raises:
        NobodyThere: no server listens there.
        ControlRefused: it refused.
    """

    def __init__(self, folder: Path, do: str, **more: object) -> None:
        try:
            self._socket = _connected(folder)
        except OSError as error:
            raise NobodyThere(str(error)) from error
        try:
            self._socket.sendall(msgspec.json.encode({"do": do, **more}) + b"\n")
            answer = msgspec.json.decode(self._received(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            self._socket.close()
            raise ControlRefused(f"the server of {folder} did not answer: {error}; look at its log") from error
        if "refused" in answer:
            self._socket.close()
            raise ControlRefused(str(answer["refused"]))
        self.answer = answer

    def _received(self) -> bytes:
        parts = bytearray()
        while not parts.endswith(b"\n"):
            part = self._socket.recv(1 << 16)
            if not part:
                break
            parts += part
        return bytes(parts)

    def __enter__(self) -> dict[str, Any]:
        return self.answer

    def __exit__(self, *_: object) -> None:
        self._socket.close()
