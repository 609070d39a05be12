"""`suyuan serve`: the node over HTTP, for programs and people, until it is told to stop."""

import socket
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, say, warn
from suyuan.node import Node


def serve(
    *,
    host: Annotated[str, cyclopts.Parameter(help="Address to listen on; the setting `host` if not given.")] = "",
    port: Annotated[
        int, cyclopts.Parameter(help="Port; 0 takes any that is free; the setting `port` if not given.")
    ] = -1,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Serve the node over HTTP: API, the insurer's address, pages. Ctrl+C or SIGTERM stops it without losing anything.

    It speaks plain HTTP and is meant to stand behind a proxy that speaks TLS (docs/operations.md).
    """
    from suyuan.portals.server import listen  # noqa: PLC0415  costs a second of the start

    with Node.open(dir) as node:
        serve_node(node, listen(host or node.settings.host, node.settings.port if port < 0 else port))
    return 0


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or on any that is free if somebody has it."""
    from suyuan.portals.server import listen  # noqa: PLC0415  costs a second of the start

    try:
        return listen(host, port)
    except OSError as error:
        warn(f"port {port} cannot be used ({error.strerror}); taking another")
        return listen(host, 0)


def serve_node(node: Node, opened: socket.socket) -> None:
    """Serve an open node on a listening socket, and say where."""
    from suyuan.portals.app import application  # noqa: PLC0415  costs a second of the start
    from suyuan.portals.server import serve  # noqa: PLC0415

    host, port = opened.getsockname()[:2]
    say(f"serving http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl+C stops)")
    serve(application(node), node.settings, [opened])
