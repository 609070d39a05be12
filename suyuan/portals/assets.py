"""Files that browsers fetch: under their hash they are kept for ever, without it they are asked for again."""

import mimetypes

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from suyuan.portals.problem import Refused
from suyuan.portals.templating import STATIC

mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")


async def static(request: Request) -> Response:
    """One file under `static/`."""
    name = request.path_params["name"]
    path = (STATIC / name).resolve()
    if not path.is_relative_to(STATIC) or not path.is_file():
        raise Refused("not_found", where="static", value=name)
    keep = "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache"
    return FileResponse(path, headers={"cache-control": keep})
