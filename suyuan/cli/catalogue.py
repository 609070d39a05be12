"""`suyuan catalogue`: products, prefixes, mappings, packages, parties and no-code stock, in and out as CSV."""

from datetime import date
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import TABLE, TABLES
from suyuan.catalogue.exchange import Report, export_table, import_table, write_rejected
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, Unreadable, print_json, print_table, say, warn
from suyuan.cli.writing import node_to_write
from suyuan.codes.recognise import recognise
from suyuan.node import Node

app = cyclopts.App(
    name="catalogue", help="Products, prefixes, mappings, packages, parties, no-code stock: in and out as CSV."
)

_SYSTEMS = frozenset({"trace20", "gs1", "ma", "ahm", "maker"})

TableName = Annotated[str, cyclopts.Parameter(help=f"One of: {', '.join(table.name for table in TABLES)}.")]


def _known(table: str) -> None:
    if table not in TABLE:
        raise cyclopts.ValidationError(msg=f"no table {table!r}; there are: {', '.join(TABLE)}")


def _day(option: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise cyclopts.ValidationError(msg=f"{option} {text!r} is no date (yyyy-mm-dd): {error}") from error


@app.command(name="import")
def import_(
    table: TableName,
    file: Annotated[Path, cyclopts.Parameter(help="CSV in UTF-8 or GBK, with a heading line.")],
    /,
    *,
    rejects: Annotated[
        Path | None, cyclopts.Parameter(help="Where to write lines that were not taken, with reasons.")
    ] = None,
    complete: Annotated[
        str, cyclopts.Parameter(help="ISO date: the file is the whole table; rows it does not name end the day before.")
    ] = "",
    dry_run: Annotated[bool, cyclopts.Parameter(negative="", help="Show what would change.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Take rows in: good lines change the catalogue, bad lines come back with line, field, value and what to do."""
    _known(table)
    day = _day("--complete", complete)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Unreadable(f"{file}: cannot be read: {error.strerror}; check the path and the permissions") from error
    with node_to_write(dir, dry_run=dry_run) as node:
        content, report = import_table(node.tables.load_catalogue(), table, data, day)
        if not report.fatal and not dry_run:
            node.tables.save_catalogue(content, [table])
    if rejects is not None and report.rejected:
        rejects.write_bytes(write_rejected(report))
    _print_report(report, format)
    return 1 if report.fatal or report.lines_rejected else 0


def _print_report(report: Report, format: str) -> None:  # noqa: A002  the option's name
    for fault in report.faults:
        words = "warning" if fault.warning else "rejected"
        warn(f"line {fault.line}: {words}: {fault.field} {fault.value!r}: {fault.what}; {fault.do}")
    if report.fatal:
        warn(report.fatal)
    counts = {
        "added": len(report.added),
        "changed": len(report.changed),
        "ended": len(report.ended),
        "same": report.same,
        "rejected": report.lines_rejected,
    }
    if format == "json":
        print_json(counts)
    else:
        print_table(tuple(counts), [list(counts.values())], report.table)


@app.command(name="export")
def export(
    folder: Annotated[Path, cyclopts.Parameter(help="Where to write one CSV a table.")],
    /,
    *,
    table: Annotated[str, cyclopts.Parameter(help="Only this table.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Write the catalogue's tables as CSV; what is imported again is the same."""
    if table:
        _known(table)
    with Node.open_existing(dir) as node:
        content = node.tables.load_catalogue()
    folder.mkdir(parents=True, exist_ok=True)
    for one in TABLES:
        if table in {"", one.name}:
            path, rows = folder / f"{one.name}.csv", len(getattr(content, one.name))
            path.write_bytes(export_table(content, one.name))
            if format == "json":
                print_json({"file": str(path), "rows": rows})
            else:
                say(f"{path}: {rows} rows")
    return 0


@app.command(name="show")
def show(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """How many rows each table has."""
    with Node.open_existing(dir) as node:
        content = node.tables.load_catalogue()
    counts = {table.name: len(getattr(content, table.name)) for table in TABLES}
    if format == "json":
        print_json(counts)
    else:
        print_table(("table", "rows"), counts.items())
    return 0


@app.command(name="find")
def find(
    code: Annotated[str, cyclopts.Parameter(help="A code as scanned, or a product key such as trace20:8123456.")],
    /,
    *,
    on: Annotated[str, cyclopts.Parameter(help="ISO date; today if not given.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """The product behind a code's prefix, as of a date: its NHSA codes, level and units."""
    day = _day("--on", on) or date.today()  # noqa: DTZ011  the operator's own day
    with Node.open_existing(dir) as node:
        key = _product_key(code, node.catalogue)
        edge = node.catalogue.product_of(key, day) if key else None
    if edge is None:
        warn(
            f"{code}: no product is mapped to {key or 'this text'} on {day}; import prefixes and edges, or check "
            "the code"
        )
        return 1
    if format == "json":
        print_json(edge)
    else:
        print_table(("field", "value"), [(name, _cell(value)) for name, value in msgspec.structs.asdict(edge).items()])
    return 0


def _product_key(code: str, catalogue: Catalogue) -> str:
    """The product key in a code; what is already one, such as `trace20:8123456`, stays as it is."""
    return code if code.partition(":")[0] in _SYSTEMS else recognise(code, "scan", catalogue.maker_rules).product_key


def _cell(value: object) -> object:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else value


@app.command(name="synthetic")
def synthetic(
    *,
    seed: Annotated[int, cyclopts.Parameter(help="The same seed gives the same products.")] = 1,
    products: Annotated[int, cyclopts.Parameter(help="How many.")] = 2000,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Fill an empty catalogue with synthetic products over the real grammars; every row is marked synthetic."""
    if products < 1:
        raise cyclopts.ValidationError(msg=f"--products {products}: at least one")
    with Node.open(dir) as node:
        before = node.tables.load_catalogue()
        if before.products:
            warn(f"the catalogue already has {len(before.products)} products; synthetic ones go into an empty one only")
            return 1
        content = synthetic_catalogue(seed, products)
        content.parties, content.delegations = before.parties, before.delegations
        node.tables.save_catalogue(content)
    counts = {name: len(getattr(content, name)) for name in ("products", "prefixes", "edges")}
    if format == "json":
        print_json(counts)
    else:
        print_table(tuple(counts), [list(counts.values())])
    return 0
