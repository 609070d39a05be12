"""The OpenAPI document: every operation of the interface, made of the same structs that read and answer it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from suyuan import __version__
from suyuan.portals import codec
from suyuan.portals.access import EVERYBODY
from suyuan.portals.api.operation import Operation
from suyuan.portals.door import SAFE, Url
from suyuan.portals.field_words import describe
from suyuan.portals.problem import ERROR, PROBLEM_JSON, Error

REFERENCE = "#/components/schemas/{name}"
SECURITY: dict[str, Any] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of an institution or firm, `<id>.<secret>`, as `suyuan access issue` gives it.",
    },
    "hmac": {
        "type": "http",
        "scheme": "suyuan-hmac-sm3",
        "description": "The same key, its secret never sent: `id=…, time=…, nonce=…, signature=…`, docs/access.md.",
    },
    "sm2": {
        "type": "http",
        "scheme": "suyuan-sm2",
        "description": "The institution's own SM2 signature over the same lines; the node knows its public key alone.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "suyuan_session",
        "description": "A person who signed in at /sign-in.",
    },
}
"""How a caller may prove who it is."""


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A refusal (RFC 9457). `code` is stable, words are for people; what does not apply is left out."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    do: str = ""
    where: str = ""
    value: str = ""
    errors: list[dict[str, str]] = []
    request_id: str = ""


def described(urls: Iterable[Url]) -> list[tuple[Url, Operation]]:
    """The addresses that say what they take and give, in their order."""
    return [(url, told) for url in urls if (told := getattr(url.endpoint, "operation", None)) is not None]


def document(urls: Sequence[Url]) -> dict[str, Any]:
    """The whole document, for an application with these addresses."""
    operations = described(urls)
    known, schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for url, told in operations:
        paths.setdefault(_path(url.path), {})[url.method.lower()] = _operation(url, told, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Suyuan",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
        "tags": [{"name": group} for group in dict.fromkeys(told.group for _, told in operations)],
    }


_ABOUT = (
    "Everything that is sent is answered line by line with a stable word, its meaning and the next action, in English "
    "and Chinese. Refusals of a whole request are application/problem+json; their codes are listed at /errors. "
    "Amounts are decimal texts in yuan, times ISO 8601, in answers always +08:00."
)


Known = dict[Any, dict[str, Any]]
"""The schema of each struct, by the struct: names alone may be those of several."""


def _schemas(operations: Iterable[tuple[Url, Operation]]) -> tuple[Known, dict[str, Any]]:
    """How each struct is referred to, and the schemas themselves by name."""
    kinds: list[Any] = [Problem]
    for _, told in operations:
        kinds += [kind for kind in (told.body, told.answer) if kind is not None]
    kinds = list(dict.fromkeys(kinds))
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    describe(schemas, kinds)
    return dict(zip(kinds, references, strict=True)), schemas


def _path(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(url: Url, told: Operation, known: Known) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": told.name,
        "tags": [told.group],
        "summary": told.summary,
        "description": "\n".join(filter(None, (told.about, _who(url)))),
        "parameters": [*_path_parameters(url), *_query_parameters(told), *_headers(told)],
        "responses": _responses(url, told, known),
    }
    if "citizen" not in url.who:
        found["security"] = [{name: []} for name in SECURITY]
    if told.body is not None or told.body_kinds != (codec.JSON,):
        found["requestBody"] = _body(told, known)
    return found


FOR = "For: "
"""Begins the sentence that names the roles."""


def _who(url: Url) -> str:
    return "Open to everybody." if url.who >= EVERYBODY else f"{FOR}{', '.join(sorted(url.who))}."


def _path_parameters(url: Url) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        }
        for name in re.findall(r"\{(\w+)(?::\w+)?\}", url.path)
    ]


def _query_parameters(told: Operation) -> list[dict[str, Any]]:
    if told.query is None:
        return []
    (reference,), parts = msgspec.json.schema_components([told.query], ref_template=REFERENCE)
    schema = parts[reference["$ref"].rpartition("/")[2]]
    needed = schema.get("required", [])
    found = []
    for name, one in schema["properties"].items():
        said = dict(one)
        words = said.pop("description", "")
        found.append({"name": name, "in": "query", "required": name in needed, "description": words, "schema": said})
    return found


def _headers(told: Operation) -> list[dict[str, Any]]:
    common = [
        ("X-Request-Id", "8 to 64 letters, digits, `.`, `_` or `-`; comes back in the answer, or a new one does."),
        ("X-Client-Software", "Vendor, name and version of the client, as `vendor/name/1.2`; kept with every record."),
    ]
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": words,
            "schema": {"type": "string", "maxLength": 64 if name != "X-Client-Software" else 100},
        }
        for name, words in (*told.headers, *common)
    ]


def _body(told: Operation, known: Known) -> dict[str, Any]:
    if told.body is None:
        schema: dict[str, Any] = {"type": "object"} if told.body_kinds[0].endswith("json") else {"type": "string"}
    else:
        schema = known[told.body]
    content: dict[str, Any] = {}
    for kind in told.body_kinds:
        content[kind] = {"schema": schema if kind.endswith("json") else {"type": "string"}}
        if told.example is not None and kind.endswith("json"):
            content[kind]["examples"] = {"example": {"value": told.example}}
    return {"required": told.body_needed, "content": content}


def _responses(url: Url, told: Operation, known: Known) -> dict[str, Any]:
    schema = known[told.answer] if told.answer is not None else {}
    content = {kind: {"schema": schema if kind == codec.JSON else {}} for kind in told.answer_kinds}
    found: dict[str, Any] = {str(told.status): {"description": "Done.", "content": content}}
    if "not_modified" in told.errors:
        found["304"] = {"description": "What the caller holds is still right."}
    return found | _refusals(errors_of(url, told))


def errors_of(url: Url, told: Operation) -> list[Error]:
    """Every refusal that an operation may give, in the order of `problem.ERRORS`."""
    names = {"too_often", "signature_wrong", *told.errors} - {"not_modified"}
    if "citizen" not in url.who:
        names |= {"not_signed_in", "password_change_needed"}
    if not url.who >= EVERYBODY:
        names |= {"not_allowed"}
    if url.method not in SAFE:
        names |= {"stopping", "busy", "forged_form"}
    if told.body is not None or told.body_kinds != (codec.JSON,):
        names |= {"malformed_json", "not_json", "field_unusable", "body_too_large", "not_allowed"}
    if told.query is not None or "{" in url.path:
        names |= {"field_unusable"}
    if "{" in url.path:
        names |= {"not_found"}
    return [error for error in ERROR.values() if error.code in names]


def _refusals(errors: Iterable[Error]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for error in errors:
        told = found.setdefault(
            str(error.status),
            {
                "description": "",
                "content": {PROBLEM_JSON: {"schema": {"$ref": REFERENCE.format(name="Problem")}, "examples": {}}},
            },
        )
        told["description"] = f"{told['description']} `{error.code}`: {error.title}".strip()
        told["content"][PROBLEM_JSON]["examples"][error.code] = {"value": _example(error)}
    return found


def _example(error: Error) -> dict[str, Any]:
    return {
        "type": f"/errors#{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "do": error.do,
        "request_id": "7f3a9c1e52b04d68",
    }


@lru_cache(maxsize=1)
def _whole(app: Starlette) -> dict[str, Any]:
    return document(app.state.urls)


async def described_here(request: Request) -> dict[str, Any]:
    """The document of the application that a request came to; made once, while others are served."""
    return await run_in_threadpool(_whole, request.app)


async def openapi_json(request: Request) -> Response:
    """The document as JSON."""
    return codec.answer(await described_here(request), headers={"cache-control": "no-cache"})
