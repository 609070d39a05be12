"""A process that makes segments of what it is handed, until that ends."""

import os
import signal
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue

import msgspec

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # there is a worker for each processor

from suyuan.lake.crew import Answer, Order, received, send
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.segment import SegmentMaker


def main() -> None:
    """Make segments until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches both: who handed out the work ends this one
    orders: SimpleQueue[tuple[Order, bytes] | None] = SimpleQueue()
    # Read ahead: the next segment is here when this one is done, and nobody waits at the pipe meanwhile.
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    with suppress(BrokenPipeError):  # who handed out the work was killed
        _make(orders)


def _make(orders: "SimpleQueue[tuple[Order, bytes] | None]") -> None:
    maker: SegmentMaker | None = None
    failed = Answer()
    while handed := orders.get():
        order, events = handed
        try:
            if order.task is not None:
                maker, failed = SegmentMaker(order.task), Answer()
            elif order.events:
                if maker is not None:
                    maker.take([(order.events, events)])
            elif order.end:
                send(sys.stdout.buffer, Answer(maker.finish()) if maker is not None else failed)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001  told to who asked, who has the words for it
            refused = isinstance(error, LakeRefusal)
            failed = Answer(refusal=str(error)) if refused else Answer(failure=f"{type(error).__name__}: {error}")
            maker = None
            if order.end:
                send(sys.stdout.buffer, failed)


def _read(orders: "SimpleQueue[tuple[Order, bytes] | None]") -> None:
    pipe, decode = sys.stdin.buffer, msgspec.msgpack.Decoder(Order).decode
    try:
        while packed := received(pipe):
            order = decode(packed)
            orders.put((order, pipe.read(order.size)))
    finally:  # however it ends, nobody may wait for more
        orders.put(None)


if __name__ == "__main__":
    main()
