"""What the processes that `started` forks have imported and read before they begin."""

import gc
import importlib

from suyuan.portals.templating import translations

for name in (
    "httpcore",
    "started",
    "suyuan.cli.backup",
    "suyuan.cli.relay",
    "suyuan.cli.serve",
    "suyuan.portals.app",
    "suyuan.portals.server",
    "suyuan.portals.workers",
    "suyuan.relay.station",
    "suyuan.storage.postgres",
    "suyuan.storage.rocks",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
):
    importlib.import_module(name)
translations()
gc.freeze()  # what all share is written by none
