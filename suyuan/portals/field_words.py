"""What each field of a struct means, taken from the sentence under it: written once, read in code and reference."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import msgspec


def structs_in(kinds: Iterable[Any]) -> dict[str, list[type[Any]]]:
    """Every struct that the types are made of, by its name; several may share one."""
    found: dict[str, list[type[Any]]] = {}
    seen: set[Any] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in seen:
                seen.add(kind)
                found.setdefault(kind.__name__, []).append(kind)
                waiting += [field.type for field in msgspec.structs.fields(kind)]
        else:
            waiting += [part for part in get_args(kind) if not isinstance(part, msgspec.Meta | str)]
    return found


def words_of(kind: type[Any]) -> dict[str, str]:
    """The sentence under each field of a struct, by the name that JSON gives the field."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    words: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        told = _module(one.__module__).get(one.__qualname__, {})
        words |= {names[name]: text for name, text in told.items() if name in names}
    return words


@cache
def _module(name: str) -> dict[str, dict[str, str]]:
    """The sentences of every class of a module, by class and field; nothing where there is no source to read."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError, KeyError):
        return {}
    return {node.name: dict(_sentences(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _sentences(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in pairwise(node.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield field.target.id, " ".join(value.value.split())


def describe(schemas: dict[str, Any], kinds: Iterable[Any]) -> None:
    """Put the sentences into the schemas, where a field says nothing of itself yet."""
    for name, structs in structs_in(kinds).items():
        schema = schemas.get(name)
        if schema is None or len(structs) > 1:
            continue
        for field, text in words_of(structs[0]).items():
            told = schema.get("properties", {}).get(field)
            if told is not None and "$ref" not in told:
                told.setdefault("description", text)
