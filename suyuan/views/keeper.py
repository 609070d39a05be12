"""The keeper of the views: a process that takes in the pages of the feed which a server hands it, until that ends."""

import signal
import sys
from pathlib import Path
from typing import cast

import msgspec
import sqlalchemy as sa

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.storage.packed import unpacked_batch
from suyuan.views import VIEWS
from suyuan.views.apart import Kept, Page, received, send
from suyuan.views.follow import Views


class Handed:
    """As much of a journal as following asks for: the one page that is handed over."""

    def __init__(self) -> None:
        self.page = Page()

    def since(self, position: bytes | None, _: int) -> tuple[list[Event], bytes]:
        """The events of the page for who stands where it begins; nothing for anybody else."""
        if position != self.page.before or not self.page.batches:
            return [], position or b""
        return [event for record in self.page.batches for event in unpacked_batch(record)], self.page.after


def keep(views: Views, handed: Handed, page: Page) -> Kept:
    """Take a page in and answer where the views stand then."""
    handed.page = page
    try:
        # Once for the page, and once that finds nothing more.
        events = views.catch_up() if page.batches else 0
    except Exception as error:  # noqa: BLE001  the server tells it, and hands the page over again
        return Kept(together=False, position=None, failure=f"{type(error).__name__}: {error}")
    with views.read() as connection:
        positions = [row.position for row in connection.execute(sa.text("SELECT position FROM cursors"))]
    return Kept(together=len(set(positions)) == 1, position=positions[0], events=events)


def main(path: Path) -> None:
    """Keep the views in this file until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches both: the server ends this one when it is done
    handed = Handed()
    views = Views.open(path, cast("Journal", handed), VIEWS)
    try:
        while packed := received(sys.stdin.buffer):
            send(sys.stdout.buffer, keep(views, handed, msgspec.msgpack.decode(packed, type=Page)))
    except BrokenPipeError:
        pass
    finally:
        views.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
