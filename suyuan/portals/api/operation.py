"""One operation of the interface: what it takes and gives, told once beside the function, and read by the reference."""

import base64
import binascii
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, NamedTuple, TypeVar

from msgspec import Meta
from starlette.requests import Request

from suyuan.intake.desk import day_of
from suyuan.portals import codec
from suyuan.portals.access import Scope, caller_of, scope_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Fields = TypeVar("Fields")

LIMIT_MAX = 500

After = Annotated[str, Meta(max_length=40, description="`next` of the page before; left out for the first page.")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Rows of a page.")]
Day = Annotated[
    str,
    Meta(
        pattern=r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="A day in China's time; today where it is left out.",
        extra_json_schema={"examples": ["2026-03-09"]},
    ),
]
CodeText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        description="The code as scanned or typed, in any code system.",
        extra_json_schema={"examples": ["81234560000000000001"]},
    ),
]
Next = Annotated[str, Meta(description="What to give as `after` for the next page; empty on the last one.")]


TAKING = ("unavailable", "quarantined", "quarantine_full")
"""What may happen to an upload besides being taken or refused for what it says."""
LATER = (*TAKING, "deferred", "no_room")
"""And to one that is laid aside while the store is away (`portals.deferral`)."""


class Operation(NamedTuple):
    """What the reference says of one address and method."""

    name: str
    """Unique; clients that are generated call it so."""
    group: str
    summary: str
    about: str = ""
    body: Any = None
    """A struct, or None where there is no JSON body."""
    body_kinds: tuple[str, ...] = (codec.JSON,)
    body_needed: bool = True
    query: Any = None
    answer: Any = None
    answer_kinds: tuple[str, ...] = (codec.JSON,)
    status: int = 200
    errors: tuple[str, ...] = ()
    """Codes of `problem.ERRORS` that this one may give besides those that every address of its kind may."""
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers that mean something here, with their meaning."""
    example: Any = None
    """A body that works."""


def operation(name: str, group: str, summary: str, **more: Any) -> Callable[[Endpoint], Endpoint]:  # noqa: ANN401  fields of Operation
    """Say what an endpoint takes and gives."""

    def told(endpoint: Endpoint) -> Endpoint:
        endpoint.operation = Operation(name, group, summary, **more)  # type: ignore[attr-defined]
        return endpoint

    return told


def query_of(request: Request, kind: type[Fields]) -> Fields:
    """The query of an address as a struct.

    Raises:
        Refused: a parameter is missing, unknown or cannot be read.
    """
    return codec.converted(dict(request.query_params), kind)


def scope_here(request: Request) -> Scope:
    """What the caller sees today."""
    site = site_of(request)
    return scope_of(caller_of(request), site.node.catalogue, day_of(site.node.ledger.clock()))


def day_in(site: Site, text: str) -> date:
    """The day that was asked for; today for none.

    Raises:
        Refused: there is no such day.
    """
    if not text:
        return day_of(site.node.ledger.clock())
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused("field_unusable", where="day", value=text, what="There is no such day.") from error


# Pages of lists


def cursor(number: int) -> str:
    """A place in a list as an opaque text."""
    return base64.urlsafe_b64encode(b"n%d" % number).decode().rstrip("=")


def place_of(after: str) -> int:
    """The place that `cursor` wrote; 0 for the beginning.

    Raises:
        Refused: it is none.
    """
    if not after:
        return 0
    try:
        text = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)).decode()
        if not text.startswith("n"):
            raise ValueError(text)  # noqa: TRY301  one way out for all
        number = int(text[1:])
    except (ValueError, binascii.Error) as error:
        raise Refused("field_unusable", where="after", value=after, what="It is no `next` of a page.") from error
    if not 0 <= number < 1 << 62:
        raise Refused("field_unusable", where="after", value=after, what="It is no `next` of a page.")
    return number
