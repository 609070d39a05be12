"""`suyuan code`: what system a text belongs to and what it says, from text, standard input or a picture."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts

from suyuan.cli.output import Format, print_json, print_table, warn
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise

COLUMNS = (
    "input", "system", "carrier", "key", "code", "product_key", "serial", "lot", "expiry", "review", "problems",
)  # fmt: skip


def code(
    text: Annotated[tuple[str, ...], cyclopts.Parameter(help="Codes as scanned or typed; - reads lines from standard input.")] = (),
    /,
    *,
    image: Annotated[tuple[Path, ...], cyclopts.Parameter(help="A PNG or JPEG with one or more barcodes.")] = (),
    context: Annotated[
        Literal["scan", "product"], cyclopts.Parameter(help="Where the text stood: a scanner's field or a product field.")
    ] = "scan",
    format: Format = "json",  # noqa: A002  the option's name
) -> int:
    """Recognise codes of every system in use and check them offline.

    Prints a JSON line for each. Nothing here says that a code is genuine: only that it is well formed.
    """
    found = 0
    rows: list[list[object]] = []
    texts: Iterable[str] = _texts(text)
    pictures, failed = _pictures(image)
    for one in [*texts, *pictures]:
        answer = describe(one, recognise(one, context))
        found += answer["system"] == "unknown" or answer["review"]
        if format == "json":
            print_json(answer)
        else:
            rows.append([answer[name] for name in COLUMNS])
    if rows:
        print_table(COLUMNS, rows)
    return 1 if found or failed else 0


def describe(text: str, code: Code) -> dict[str, Any]:
    """A recognised code as the command prints it."""
    return {
        "input": text,
        "system": code.system,
        "carrier": code.carrier,
        "key": code.key,
        "code": code.text,
        "product_key": code.product_key,
        "serial": code.serial,
        "lot": code.lot,
        "expiry": code.expiry,
        "review": code.review,
        "problems": list(code.problems),
        **({"readings": list(code.readings)} if code.readings else {}),
    }


def _texts(text: tuple[str, ...]) -> Iterator[str]:
    for one in text:
        if one == "-":
            for line in sys.stdin.buffer:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        else:
            yield one


def _pictures(images: tuple[Path, ...]) -> tuple[list[str], bool]:
    if not images:
        return [], False
    from suyuan.codes.barcode import PictureError, read_codes  # noqa: PLC0415  the image library is slow to load

    texts, failed = [], False
    for path in images:
        try:
            seen = read_codes(path)
        except (PictureError, OSError) as error:
            warn(f"{path}: {error}")
            failed = True
            continue
        if not seen:
            warn(f"{path}: no barcode found; take the picture closer, straight and in good light")
            failed = True
        texts += [one.text for one in seen]
    return texts, failed
