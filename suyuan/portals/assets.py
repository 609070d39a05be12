"""Files that browsers fetch: under their hash they are kept for ever, without it they are asked for again."""

import asyncio
import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from suyuan.portals.problem import Refused
from suyuan.portals.templating import STATIC

mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")

SHRINKING = frozenset({".css", ".js", ".json", ".svg", ".txt", ".wasm", ".webmanifest"})
"""Kinds of files that gzip makes smaller: the barcode reader by half, the charts by two thirds."""


async def static(request: Request) -> Response:
    """One file under `static/`."""
    name = request.path_params["name"]
    path = _file(name)
    if path is None:
        raise Refused("not_found", where="static", value=name)
    keep = "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache"
    headers = {"cache-control": keep}
    if path.suffix not in SHRINKING:
        return FileResponse(path, headers=headers)
    headers["vary"] = "accept-encoding"
    if not takes_gzip(request):
        return FileResponse(path, headers=headers)
    body = await asyncio.to_thread(_shrunk, path, path.stat().st_mtime_ns)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(body, headers={**headers, "content-encoding": "gzip"}, media_type=kind)


def _file(name: str) -> Path | None:
    """The file of a name; None for one that there is not, cannot be, or that lies elsewhere."""
    try:
        path = (STATIC / name).resolve()
        return path if path.is_relative_to(STATIC) and path.is_file() else None
    except (OSError, ValueError):
        return None


def takes_gzip(request: Request) -> bool:
    """Whether the reader says that it can unpack gzip."""
    return "gzip" in request.headers.get("accept-encoding", "").lower()


@lru_cache(maxsize=200)
def _shrunk(path: Path, changed: int) -> bytes:  # noqa: ARG001  a changed file is another one
    return gzip.compress(path.read_bytes(), mtime=0)
