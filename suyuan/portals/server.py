"""The server: one process that serves an open node until it is told to stop, and stops without losing anything."""

import gc
import logging
import os
import socket
import sys
import traceback
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from suyuan.portals.door import Framed
from suyuan.portals.site import Site
from suyuan.settings import Settings

GRACE = 20
"""Seconds that requests under way are given when the server stops."""
CHAIN_MAX = 10
"""Errors that are told of, where each came of another."""

ErrorTold = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
"""An error as `sys.exc_info` tells it."""


def serve(application: ASGIApp, settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve on listening sockets until SIGTERM or Ctrl+C; then finish what was begun."""
    configure_log()
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="127.0.0.1" if settings.behind_proxy else None,
        server_header=False,
        backlog=2048,
    )
    gc.freeze()  # modules and catalogue stay: without them a look for cycles takes a tenth of the time
    _Server(config, application.site if isinstance(application, Framed) else None).run(sockets=sockets)


class _Server(uvicorn.Server):
    """Tells the site as soon as it is to stop: open streams must end, or everything would wait for them."""

    def __init__(self, config: uvicorn.Config, site: Site | None) -> None:
        super().__init__(config)
        self._site = site

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, finish what was begun, end."""
        if self._site is not None:
            self._site.stopping = True
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(2048)
    except OSError:
        opened.close()
        raise
    return opened


class LogLines:
    """Standard error for the log: where it cannot be written, say on a full disk, a line is lost and no answer."""

    def write(self, text: str) -> None:
        """One line."""
        with suppress(OSError):
            os.write(2, text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is kept back."""


def configure_log() -> None:
    """Lines of JSON on standard error; never a code, a person or an address in them, nor the words of an error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.ExceptionRenderer(type_and_place),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", LogLines())),
        cache_logger_on_first_use=True,
    )
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(_OthersLines())
    logging.basicConfig(handlers=[others], level=logging.WARNING)


def type_and_place(exc_info: ErrorTold) -> str:
    """An error and those that it came of, without their words, which may quote what somebody sent."""
    found: list[str] = []
    error = exc_info[1]
    while error is not None and len(found) < CHAIN_MAX:
        found.append("".join([*traceback.format_tb(error.__traceback__), type(error).__qualname__]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(found))


class _OthersLines(logging.Formatter):
    """Lines of libraries."""

    def formatException(self, ei: ErrorTold) -> str:  # noqa: N802  the standard library's name
        return type_and_place(ei)
