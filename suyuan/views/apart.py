"""Views kept by a process of their own: the server hands the feed over as stored and has its processor for uploads."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

import msgspec

from suyuan.ledger.journal import Journal
from suyuan.views.follow import PAGE, Views
from suyuan.views.view import View

LENGTH_BYTES = 4


@runtime_checkable
class StoredFeed(Protocol):
    """A journal that gives its feed as stored."""

    def stored_since(self, position: bytes | None, limit: int) -> tuple[list[bytes], bytes]:
        """Batches after a position, and the position after them."""
        ...


class Page(msgspec.Struct, array_like=True):
    """A part of the feed on its way to the keeper of the views; without batches, a question where they stand."""

    before: bytes | None = None
    after: bytes = b""
    batches: list[bytes] = []


class Kept(msgspec.Struct, array_like=True):
    """What it answers."""

    together: bool
    """Whether all views stand at the same position."""
    position: bytes | None
    events: int = 0
    """Taken in just now."""
    failure: str = ""


def send(pipe: IO[bytes], message: Page | Kept) -> None:
    """Write one message."""
    packed = msgspec.msgpack.encode(message)
    pipe.write(len(packed).to_bytes(LENGTH_BYTES, "big") + packed)
    pipe.flush()


def received(pipe: IO[bytes]) -> bytes:
    """The next message; empty where the other side has ended."""
    length = pipe.read(LENGTH_BYTES)
    return pipe.read(int.from_bytes(length, "big")) if len(length) == LENGTH_BYTES else b""


class ViewsApart(Views):
    """Views of a server: once started, another process takes the feed in; whoever reads, reads the same file.

    If that process cannot be had, this one takes the feed in itself, as `Views` does.
    """

    def __init__(self, path: Path | None, journal: Journal, views: Sequence[View]) -> None:
        super().__init__(path, journal, views)
        self._file = path
        self._keeper: subprocess.Popen[bytes] | None = None
        self._kept: Kept | None = None
        """Where the keeper stands; None where nobody has asked it since somebody else wrote."""

    def start(self) -> None:
        """Begin to follow, in another process if the journal and its folder allow it."""
        if self._file is not None and isinstance(self._journal, StoredFeed):
            command = [sys.executable, "-m", "suyuan.views.keeper", str(self._file)]
            with suppress(OSError):
                self._keeper = subprocess.Popen(  # noqa: S603  our own
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
        super().start()

    def _next_page(self) -> int:
        if self._keeper is not None:
            try:
                taken = self._hand_over()
            except (OSError, msgspec.MsgspecError):
                self._dismiss()
            else:
                if taken is not None:
                    return taken
        self._kept = None
        return super()._next_page()

    def _hand_over(self) -> int | None:
        """Give the keeper the next page; answers how many events it took in, None where views stand apart."""
        kept = self._kept or self._ask(Page())
        if not kept.together:
            return None
        assert isinstance(self._journal, StoredFeed), "as seen when the keeper was called"
        batches, after = self._journal.stored_since(kept.position, PAGE)
        if not batches:
            return 0
        kept = self._ask(Page(kept.position, after, batches))
        if kept.failure:
            raise RuntimeError(kept.failure)
        return kept.events

    def _ask(self, page: Page) -> Kept:
        keeper = self._keeper
        assert keeper is not None, "somebody is asked"
        assert keeper.stdin is not None, "opened so"
        assert keeper.stdout is not None, "opened so"
        self._kept = None
        send(keeper.stdin, page)
        answer = received(keeper.stdout)
        if not answer:
            raise BrokenPipeError("the keeper of the views has ended")
        kept = msgspec.msgpack.decode(answer, type=Kept)
        self._kept = None if kept.failure else kept
        return kept

    def _dismiss(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            keeper.wait(timeout=10)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()

    def close(self) -> None:
        """Stop following and release the file. Closing twice is harmless."""
        super().close()
        self._dismiss()
