"""The reference of the interface as pages: every operation with its fields, and every refusal with what to do."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from suyuan.portals.openapi import FOR, described_here
from suyuan.portals.pages.shell import page, text_of
from suyuan.portals.problem import ERRORS, PROBLEM_JSON

DEPTH_MAX = 6
"""Fields within fields; deeper ones are told at their own place."""


class Field(NamedTuple):
    """One field of a body, a query or an answer."""

    path: str
    kind: str
    needed: bool
    limits: str
    words: str


class Told(NamedTuple):
    """One operation, ready to be shown."""

    anchor: str
    method: str
    path: str
    group: str
    summary: str
    about: str
    asked: list[Field]
    """Parameters of address and header."""
    body: list[Field]
    example: str
    """A call that can be copied."""
    status: str
    answer: list[Field]
    refusals: list[tuple[str, str]]
    """Status and code."""
    open: bool
    """Nobody need sign in."""


async def reference(request: Request) -> Response:
    """Every operation; `q` keeps those in which all its words stand."""
    document = await described_here(request)
    return await run_in_threadpool(_reference, request, document)  # some 100 ms that nobody else should wait


def _reference(request: Request, document: dict[str, Any]) -> Response:
    words = request.query_params.get("q", "").split()[:8]
    told = [one for one in _operations(request, document) if _fits(one, words)]
    groups: dict[str, list[Told]] = {}
    for one in told:
        groups.setdefault(one.group, []).append(one)
    values = {"groups": groups, "asked": " ".join(words), "count": len(told), "version": document["info"]["version"]}
    return page(request, "api/reference.html", values)


async def errors(request: Request) -> Response:
    """Every refusal."""
    return page(request, "api/errors.html", {"errors": ERRORS})


def _fits(told: Told, words: list[str]) -> bool:
    text = f"{told.method} {told.path} {told.summary} {told.about} {told.group} {told.anchor}".lower()
    return all(word.lower() in text for word in words)


def _operations(request: Request, document: dict[str, Any]) -> Iterator[Told]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            body = _content(one.get("requestBody", {}))
            status, answer = next(
                (status, found) for status, found in one["responses"].items() if status.startswith("2")
            )
            yield Told(
                anchor=one.get("operationId", f"{method}{path}"),
                method=method.upper(),
                path=path,
                group=text_of(request, next(iter(one.get("tags", ())), "Others")),
                summary=text_of(request, one.get("summary", "")),
                about=" ".join(_words(request, part) for part in one.get("description", "").split("\n") if part),
                asked=[_parameter(parameter) for parameter in one.get("parameters", ())],
                body=list(fields_of(body.get("schema", {}), schemas)),
                example=_example(method.upper(), path, one, body),
                status=status,
                answer=list(fields_of(_content(answer).get("schema", {}), schemas)),
                refusals=[
                    (number, code)
                    for number, refusal in one["responses"].items()
                    for code in _content(refusal, PROBLEM_JSON).get("examples", {})
                ],
                open="security" not in one,
            )


def _words(request: Request, part: str) -> str:
    """One sentence of a description in the language of the reader; roles have names of their own."""
    if not part.startswith(FOR):
        return text_of(request, part)
    roles = [text_of(request, f"role: {role}").removeprefix("role: ") for role in part[len(FOR) : -1].split(", ")]
    return f"{text_of(request, FOR.strip())} {', '.join(roles)}"


def _content(part: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    found: dict[str, Any] = part.get("content", {}).get(kind, {})
    return found


def _parameter(parameter: dict[str, Any]) -> Field:
    schema = parameter.get("schema", {})
    name = f"{{{parameter['name']}}}" if parameter["in"] == "path" else parameter["name"]
    name = f"{name}:" if parameter["in"] == "header" else name
    return Field(
        name, _kind(schema), parameter.get("required", False), _limits(schema), parameter.get("description", "")
    )


def _example(method: str, path: str, one: dict[str, Any], body: dict[str, Any]) -> str:
    """A call with curl that works once the key is filled in."""
    needed = "&".join(
        f"{parameter['name']}={_first(parameter['schema'])}"
        for parameter in one.get("parameters", ())
        if parameter["in"] == "query" and parameter.get("required")
    )
    call = ["curl", *(["-X", method] if method != "GET" else []), f"'$HOST{path}{f'?{needed}' if needed else ''}'"]
    lines = [" ".join(call)]
    if "security" in one:
        lines.append('  -H "Authorization: Bearer $KEY"')
    examples = body.get("examples", {})
    if examples:
        value = next(iter(examples.values()))["value"]
        lines += ["  -H 'Content-Type: application/json'", f"  -d '{json.dumps(value, ensure_ascii=False, indent=1)}'"]
    return " \\\n".join(lines)


def _first(schema: dict[str, Any]) -> str:
    return str(next(iter(schema.get("examples", ())), "…"))


def fields_of(
    schema: dict[str, Any], schemas: dict[str, Any], path: str = "", depth: int = 0, *, needed: bool = True
) -> Iterator[Field]:
    """The fields of a schema, each with its path: `sales[].lines[].codes[]`."""
    words = schema.get("description", "")
    schema = _resolved(schema, schemas)
    if depth > DEPTH_MAX:
        return
    if schema.get("type") == "object" and "properties" in schema:
        if path:
            yield Field(path, "object", needed, "", words or schema.get("description", ""))
        required = schema.get("required", ())
        for name, inner in schema["properties"].items():
            inside = f"{path}.{name}" if path else name
            yield from fields_of(inner, schemas, inside, depth + 1, needed=name in required)
    elif schema.get("type") == "array":
        items = _resolved(schema.get("items", {}) or {}, schemas)
        if items.get("type") == "object" and "properties" in items:
            yield from fields_of(items, schemas, f"{path}[]", depth + 1, needed=needed)
        else:
            yield Field(f"{path}[]", _kind(items), needed, _limits(schema) or _limits(items), words)
    elif path:
        yield Field(path, _kind(schema), needed, _limits(schema), words or schema.get("description", ""))


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, behind its name, or the one that is not null."""
    for _ in range(4):
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = next((one for one in schema["anyOf"] if one.get("type") != "null"), {})
    return schema


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) or "“”" for value in schema["enum"])
    kind = schema.get("type", "")
    return kind if isinstance(kind, str) else " | ".join(kind)


def _limits(schema: dict[str, Any]) -> str:
    names = {
        "minLength": "≥ {} chars",
        "maxLength": "≤ {} chars",
        "minItems": "≥ {} items",
        "maxItems": "≤ {} items",
        "minimum": "≥ {}",
        "maximum": "≤ {}",
    }
    return ", ".join(text.format(schema[name]) for name, text in names.items() if name in schema)
