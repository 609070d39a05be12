"""`suyuan serve`: the node over HTTP, for programs and people, until it is told to stop."""

from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, say
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
    with Node.open(dir) as node:
        serve_node(node, host or node.settings.host, node.settings.port if port < 0 else port)
    return 0


def serve_node(node: Node, host: str, port: int) -> None:
    """Serve an open node and say where."""
    from suyuan.portals.app import application  # noqa: PLC0415  costs a second of the start
    from suyuan.portals.server import listen, serve  # noqa: PLC0415

    opened = listen(host, port)
    at = opened.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    say(f"serving http://{shown}:{at}/  (Ctrl+C stops)")
    serve(application(node), node.settings, [opened])
