"""One of several server processes: it serves on a socket that its parent opened, until that tells it to stop."""

import gc
import socket
import sys
from pathlib import Path

import structlog

from suyuan import COLLECT_AFTER
from suyuan.node import Node, NodeUnusable
from suyuan.portals.app import application
from suyuan.portals.server import configure_log, serve
from suyuan.portals.workers import stop_with_parent
from suyuan.settings import SettingsWrong
from suyuan.storage.refusals import JournalRefusal
from suyuan.storage.tables import TablesError

CANNOT = 3
"""Exit code of who cannot begin; the parent tries again after a while."""


def main(folder: Path, opened: int, lifeline: int) -> int:
    """Serve the node of a folder on an open socket."""
    gc.set_threshold(COLLECT_AFTER)
    configure_log()
    stop_with_parent(lifeline)
    try:
        with Node.open(folder) as node:
            serve(application(node), node.settings, [socket.socket(fileno=opened)])
    except (NodeUnusable, SettingsWrong, JournalRefusal, TablesError) as error:
        structlog.get_logger("suyuan").error("worker cannot begin", error=str(error))
        return CANNOT
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
