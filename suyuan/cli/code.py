"""`suyuan code`: what system a text belongs to and what it says, from text, standard input or a picture."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts

from suyuan.cli.output import Format, Unreadable, print_json, print_table, warn
from suyuan.cli.picture import texts_in
from suyuan.codes.code import Code
from suyuan.codes.recognise import recognise

COLUMNS = (
    "input", "system", "carrier", "key", "code", "product_key", "serial", "lot", "expiry", "review", "problems",
)  # fmt: skip


def code(
    text: Annotated[
        tuple[str, ...],
        cyclopts.Parameter(
            help="Codes as scanned or typed; - reads lines from standard input.",
            allow_leading_hyphen=True,
            show_default=False,
        ),
    ] = (),
    /,
    *,
    image: Annotated[
        tuple[Path, ...],
        cyclopts.Parameter(negative="", show_default=False, help="A PNG or JPEG with one or more barcodes."),
    ] = (),
    context: Annotated[
        Literal["scan", "product"], cyclopts.Parameter(help="Where it stood: a scanner's field or a product field.")
    ] = "scan",
    draw: Annotated[Path | None, cyclopts.Parameter(help="Also print the codes as barcodes: one PNG sheet.")] = None,
    symbology: Annotated[
        Literal["datamatrix", "gs1_datamatrix", "code128", "qr"], cyclopts.Parameter(help="Of the barcodes drawn.")
    ] = "datamatrix",
    format: Format = "json",  # noqa: A002  the option's name
) -> int:
    """Recognise codes of every system in use, check them offline, and with --draw print them as barcodes.

    Prints a JSON line for each. Nothing here says that a code is genuine: only that it is well formed.
    """
    if not text and not image:
        raise cyclopts.ValidationError(msg="give codes, - for standard input, or a picture with --image")
    for one in text:
        if one.startswith("--"):
            raise cyclopts.ValidationError(msg=f"no option {one}; a code that begins so goes in by standard input")
    pictures, failed = _pictures(image)
    found = failed
    rows: list[list[object]] = []
    drawn: list[str] = []
    for source in (_texts(text), pictures):
        for one in source:
            answer = describe(one, recognise(one, context))
            drawn.append(answer["code"] or one)
            found |= answer["system"] == "unknown" or answer["review"]
            if format == "json":
                print_json(answer)
            else:
                rows.append([_cell(answer[name]) for name in COLUMNS])
    if rows:
        print_table(COLUMNS, rows)
    if draw is not None:
        found |= not _draw(draw, drawn, symbology)
    return 1 if found else 0


def _draw(path: Path, texts: list[str], symbology: Literal["datamatrix", "gs1_datamatrix", "code128", "qr"]) -> bool:
    """Print codes as one PNG sheet; says why where a symbology cannot hold one of them."""
    from suyuan.codes.barcode import PictureError, draw_sheet  # noqa: PLC0415  the image library is slow to load

    try:
        path.write_bytes(draw_sheet(texts, symbology))
    except PictureError as error:
        warn(f"{path}: {error}")
        return False
    return True


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


def _cell(value: object) -> object:
    if isinstance(value, list):
        return "; ".join(value)
    return "" if value is False else "yes" if value is True else value


def _texts(text: Iterable[str]) -> Iterator[str]:
    for one in text:
        if one == "-":
            for line in sys.stdin.buffer:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        else:
            yield one


def _pictures(images: Iterable[Path]) -> tuple[list[str], bool]:
    """The texts in the pictures, and whether one of them could not be read or held none."""
    texts: list[str] = []
    failed = False
    for path in images:
        try:
            texts += texts_in(path)
        except Unreadable as error:
            warn(str(error))
            failed = True
    return texts, failed
