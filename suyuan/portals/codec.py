"""JSON in and out of HTTP bodies: msgspec stands behind these few functions and nowhere else among the portals."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from suyuan.portals.problem import Refused

Body = TypeVar("Body")
JSON = "application/json"

_encoder = msgspec.json.Encoder()


def to_json(value: Any) -> bytes:  # noqa: ANN401  any plain value or struct
    """A value as compact JSON in UTF-8."""
    return _encoder.encode(value)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401  as above
    """A value as an answer of application/json."""
    return Response(_encoder.encode(value), status, headers, JSON)


async def read_body(request: Request, decoder: msgspec.json.Decoder[Body]) -> Body:
    """The body of a request as the decoder's type.

    Raises:
        Refused: not JSON by its content type (415), no JSON at all (400), or a field that cannot be used (422).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused("not_json", value=kind or "none")
    try:
        return decoder.decode(await request.body())
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `")
        raise Refused("field_unusable", where=where.rstrip("`") or "$", value=what) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("malformed_json", value=str(error)) from error
