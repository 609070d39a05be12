"""`suyuan serve`: the node over HTTP, for programs and people, until it is told to stop."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, say, warn
from suyuan.node import Node, NodeUnusable
from suyuan.settings import PREFIX

NATION_SECONDS = 3.0
"""So long the start waits for the nation: a province works alone."""


def serve(
    *,
    host: Annotated[str, cyclopts.Parameter(help="Address to listen on; the setting `host` if not given.")] = "",
    port: Annotated[
        int, cyclopts.Parameter(help="Port; 0 takes any that is free; the setting `port` if not given.")
    ] = -1,
    database: Annotated[
        str,
        cyclopts.Parameter(
            help="Address of the PostgreSQL that keeps the journal, as the setting of that name, which hides it better."
        ),
    ] = "",
    workers: Annotated[
        int, cyclopts.Parameter(help="Server processes; the setting `workers` if not given. Several need a database.")
    ] = 0,
    unrecovered: Annotated[
        bool,
        cyclopts.Parameter(
            negative="",
            help="Do not ask the nation whether this record lacks what it has of this province. Only where it is away "
            "for good: boxes that were paid in the lost time are paid again.",
        ),
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Serve the node over HTTP: API, the insurer's address, pages. Ctrl+C or SIGTERM stops it without losing anything.

    It speaks plain HTTP and is meant to stand behind a proxy that speaks TLS (docs/operations.md).
    """
    from suyuan.portals.control import opened_when_free  # noqa: PLC0415  likewise
    from suyuan.portals.server import listen  # noqa: PLC0415  costs a second of the start
    from suyuan.portals.workers import command_of, listen_together, make_ready, serve_together  # noqa: PLC0415

    # Workers read the settings as this process does.
    said = {"DATABASE": database, "WORKERS": str(workers or "")}
    os.environ.update({PREFIX + name: value for name, value in said.items() if value})
    with opened_when_free(dir) as node:
        node.check_clock()
        if node.settings.nation:
            _check_recovered(node, anyway=unrecovered)
        host, port = host or node.settings.host, node.settings.port if port < 0 else port
        count = node.settings.workers
        if count == 1:
            serve_node(node, listen(host, port))
            return 0
        make_ready(node)
    sockets = listen_together(host, port, count)
    say_where(sockets[0])
    serve_together(command_of(dir), sockets)
    return 0


def _check_recovered(node: Node, *, anyway: bool) -> None:
    """See to it that a record which may lack boxes that were paid does not pay them again, unless the operator says so.

    Raises:
        NodeUnusable: as for `check_recovered`.
    """
    from suyuan.relay.heard import note_heard, unrecovered  # noqa: PLC0415  only a province needs it
    from suyuan.relay.speaker import speaker_of  # noqa: PLC0415  likewise

    if anyway:
        note_heard(node, speaker_of(node), by="operator")
        return
    check_recovered(node)
    if words := unrecovered(node):
        warn(words)


def check_recovered(node: Node) -> None:
    """See that the nation has nothing of this province which its record lacks, and hears no other node of it.

    Where it does not say, the province begins alone, with a warning.

    Raises:
        NodeUnusable: it has, or does: boxes would be paid again that were paid in the lost time.
    """
    from suyuan.relay.link import Post, Unreachable  # noqa: PLC0415  costs a second of the start
    from suyuan.relay.province import Forgotten, Province, Restored, Stopped  # noqa: PLC0415  likewise
    from suyuan.relay.station import link_of  # noqa: PLC0415  likewise

    def asked(question: bytes) -> bytes:
        with closing(Post(node.settings.nation)) as post:
            return post(question, NATION_SECONDS)

    # In a thread: what finds the address of a name waits as long as it likes.
    asker = ThreadPoolExecutor(1, "ask-nation")
    link = link_of(node, lambda question, _: asker.submit(asked, question).result(NATION_SECONDS))
    try:
        Province(node, link).connect()
    except Forgotten as failure:
        warn(str(failure))
    except Restored as refusal:
        raise NodeUnusable(str(refusal)) from refusal
    except TimeoutError:
        warn(f"no answer from the nation within {NATION_SECONDS:.0f} s; this province begins alone")
    except (Unreachable, Stopped) as failure:
        warn(f"the nation does not say whether this record is whole, and this province begins alone: {failure}")
    finally:
        asker.shutdown(wait=False)


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

    say_where(opened)
    serve(application(node), node.settings, [opened])


def say_where(opened: socket.socket) -> None:
    """Tell the address of a server."""
    host, port = opened.getsockname()[:2]
    say(f"serving http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl+C stops)")
