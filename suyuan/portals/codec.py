"""JSON in and out of HTTP bodies: msgspec stands behind these few functions and nowhere else among the portals."""

from collections.abc import Callable
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
        Refused: not JSON by its content type (415), too large (413), no JSON at all (400), or a field that cannot be
            used (422).
    """
    return decoded(decoder.decode, await bytes_of(request))


async def bytes_of(request: Request, kinds: tuple[str, ...] = (JSON,), most: int = 0) -> bytes:
    """The bytes of a body, of one of the content types that are taken.

    `most` bounds a body of the lane `bulk`; in every other lane the door does.

    Raises:
        Refused: another content type (415), or more than `most` bytes (413).
    """
    check_kind(request, kinds)
    if not most:
        return await request.body()
    said = request.headers.get("content-length", "")
    if said.isdigit():
        if int(said) > most:
            raise too_large(most, said)
        return await request.body()
    blocks: list[bytes] = []
    size = 0
    async for block in request.stream():
        size += len(block)
        if size > most:
            raise too_large(most, str(size))
        blocks.append(block)
    return b"".join(blocks)


def check_kind(request: Request, kinds: tuple[str, ...]) -> None:
    """See that the body is of one of the content types.

    Raises:
        Refused: it is of another one, or of none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise Refused("not_json", where="content-type", value=kind or "none", do=f"Send {' or '.join(kinds)}.")


def too_large(most: int, value: str) -> Refused:
    """The refusal of a body beyond the limit, which it names."""
    return Refused("body_too_large", where="body", value=value, what=f"The limit is {most} bytes.")


def decoded(decode: Callable[[bytes], Body], raw: bytes) -> Body:
    """What `decode` makes of a body.

    Raises:
        Refused: it is no JSON (400), or a field cannot be used (422).
    """
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise unusable(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed_json", where="body", value=str(error)) from error
    except RecursionError as error:
        raise Refused("malformed_json", where="body", what="It is nested more deeply than the limit.") from error


def converted(values: Any, kind: type[Body]) -> Body:  # noqa: ANN401  texts, or what JSON gives
    """Texts of an address as the fields of a struct: numbers and flags are read from their texts.

    Raises:
        Refused: a field is missing, unknown or cannot be read.
    """
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise unusable(error) from error


def unusable(error: msgspec.ValidationError) -> Refused:
    """The refusal of a field, with its place and what is wrong with it."""
    what, _, where = str(error).partition(" - at `")
    return Refused("field_unusable", where=where.rstrip("`") or "$", what=what)
