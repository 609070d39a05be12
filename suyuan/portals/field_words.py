"""What each field of a struct means, taken from the sentence under it: written once, read in code and reference."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import msgspec

COMMON = {
    "institution": "Code of the institution or firm.",
    "region": "Six-digit division code.",
    "event_time": "When it happened, by its sender.",
    "arrived": "When it reached this node.",
    "received": "When it reached this node.",
    "kind": "What happened.",
    "status": "The leading one of its reasons; see /api/v1/statuses.",
    "reasons": "Every status that holds, in order of precedence.",
    "verdict": "pay, hold or refuse.",
    "references": "Typed numbers as they were sent.",
    "alert": "Id of the alert that was raised; empty for none.",
    "product": "Product code of the national insurer.",
    "fund": "employee, resident, work_injury or self_paid; empty where unknown.",
    "setting": "pharmacy, outpatient or inpatient.",
    "settlement": "Id of the settlement.",
    "order": "Charge order.",
    "visit": "Visit number.",
    "receipt": "Receipt number; of a sale with its day.",
    "amount": "Yuan.",
    "paid": "Yuan that the fund pays now.",
    "held": "Yuan that are held.",
    "refused": "Yuan that are refused.",
    "price": "Yuan a unit.",
    "line": "The sender's number of the line.",
    "lot": "Lot number.",
    "expiry": "Last day of use.",
    "reason": "Why, in the sender's words.",
    "contest": "How to contest it; empty where there is nothing to contest.",
    "advice": "True where it was only asked and nothing was stored.",
    "first": "False where this repeats an answer given earlier.",
    "reference": "Our id of the upload.",
    "dry_run": "True where nothing was written.",
    "person": "The insured person.",
    "prescriber": "Who prescribed.",
    "party": "Code of the institution, firm or authority.",
    "name": "For people.",
    "until": "The last day.",
    "used": "Smallest packages used so far.",
    "count": "How many.",
    "counterparty": "The other party of a movement.",
    "meaning": "For people, in English.",
    "meaning_zh": "For people, in Chinese.",
    "next_action": "The next physical action, in English.",
    "next_action_zh": "The next physical action, in Chinese.",
}
"""What a field means wherever it stands and nothing else is said of it: one noun, one meaning."""


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
        own = words_of(structs[0])
        for field, told in schema.get("properties", {}).items():
            text = own.get(field) or COMMON.get(field)
            if text and "$ref" not in told:
                told.setdefault("description", text)
