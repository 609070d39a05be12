"""`suyuan lake`: seal the journal's facts as columns, ask them in SQL, and keep their files in order."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
import msgspec

from suyuan.cli import FINDINGS, FINE
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, plain_time, print_json, print_table, say, warn
from suyuan.lookup.moment import iso_time
from suyuan.node import LAKE, Node, check_folder, is_node, kept_at, open_audit, read_secrets
from suyuan.settings import read_settings

if TYPE_CHECKING:
    from suyuan.lake.compaction import Changed
    from suyuan.lake.lake import Lake
    from suyuan.lake.query import Rows

app = cyclopts.App(
    name="lake", help="The same facts as columns: seal, ask in SQL (DuckDB, or Spark over the same files), tidy up."
)

ROWS = 1_000
"""Rows of an answer that are shown unless more are asked for."""


@app.command
def seal(
    *,
    workers: Annotated[
        int | None, cyclopts.Parameter(help="Processes that seal side by side. [default: one a processor]")
    ] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Seal what the journal has and the lake lacks; interrupted, the next one goes on where it stopped.

    A server seals by itself; this is for a node that is not served.
    """
    with Node.open_existing(dir) as node:
        before = node.lake.manifest()
        sealed = node.lake.seal(workers=workers, say=lambda events: warn(f"… {events:,} events are sealed"))
        after = node.lake.manifest()
        signed = _sign(node)
    if sealed is None:
        warn("another process is sealing at this moment")
        return FINDINGS
    told = {
        "sealed": sealed,
        "segments": len(after.segments) - len(before.segments),
        "events": after.events,
        "signed": signed,
    }
    if format == "json":
        print_json(told)
    else:
        say(f"{sealed:,} events sealed, {after.events:,} in all, in {len(after.segments):,} segments")
    return FINE


@app.command
def status(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """What is sealed, up to when, in how many files; works beside a running server."""
    manifest = _lake(dir).manifest()
    kept = sum(file.events for file in manifest.files)
    last = manifest.segments[-1] if manifest.segments else None
    told = {
        "events": manifest.events,
        "segments": len(manifest.segments),
        "files": len(manifest.files),
        "bytes": sum(file.size for file in manifest.files),
        "dropped": manifest.events - kept,
        "arrived_last": _time(max(segment.arrived_last for segment in manifest.segments)) if last else "",
        "sealed": _time(last.sealed) if last else "",
        "root": last.root if last else "",
    }
    if format == "json":
        print_json(told)
    else:
        print_table(
            ("what", "value"),
            [(name, f"{value:,}" if isinstance(value, int) else value) for name, value in told.items()],
        )
    return FINE


@app.command
def query(
    sql: Annotated[str, cyclopts.Parameter(help="One SELECT over events, boxes or sealed; or a kept question's name.")],
    /,
    *,
    spark: Annotated[
        str, cyclopts.Parameter(help="Ask the Spark cluster of this master instead, as spark://host:7077 or local[2].")
    ] = "",
    limit: Annotated[int, cyclopts.Parameter(help="Rows shown; 0 for all (at most a million).")] = ROWS,
    personal: Annotated[
        str,
        cyclopts.Parameter(help="Why person and prescriber are to be shown (pseudonyms); it is recorded."),
    ] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Annotated[  # noqa: A002  the option's name
        Literal["table", "json", "csv"], cyclopts.Parameter(help="table for people, json or csv for programs.")
    ] = "table",
) -> int:
    """Ask the lake in SQL; it can be read and not changed. Works beside a running server.

    Kept questions: two_institutions (codes sold by two), flows (codes from one party to another), daily (each
    institution day by day). `docs/lake.md` describes the columns.
    """
    from suyuan.lake.query import ROWS as ROWS_MAX  # noqa: PLC0415  half a second that other commands do without
    from suyuan.lake.query import ask  # noqa: PLC0415  likewise

    if limit < 0:
        raise cyclopts.ValidationError(msg=f"--limit is {limit}; it must be at least 0")
    lake, rows = _lake(dir), min(limit, ROWS_MAX) or ROWS_MAX
    if personal:
        _note(dir, personal, sql)
    if spark:
        from suyuan.lake.spark import SparkLake  # noqa: PLC0415  needs the extra

        with SparkLake(lake.folder, spark, personal=bool(personal)) as cluster:
            answer = cluster.query(sql, rows=rows)
    else:
        answer = ask(lake.folder, sql, rows=rows, personal=bool(personal))
    _show(answer, format)
    if answer.cut:
        warn(f"only the first {rows:,} rows are shown; --limit shows more")
    return FINE


@app.command
def compact(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """Merge small files into larger ones; segments and proofs stay what they are. A server does it by itself."""
    from suyuan.lake.compaction import compact as merge  # noqa: PLC0415  as for query

    return _tell(merge(_lake(dir).folder), "merged", format)


@app.command
def retain(
    *,
    days: Annotated[
        int | None, cyclopts.Parameter(help="Drop what arrived more than so many days ago. [default: lake_keep_days]")
    ] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Drop old files from the lake; the journal keeps every fact, and what was proven stays provable."""
    from suyuan.lake.compaction import retain as drop  # noqa: PLC0415  as for query
    from suyuan.node import system_clock  # noqa: PLC0415  only here

    kept = read_settings(dir).lake_keep_days if days is None else days
    if kept < 1:
        raise cyclopts.ValidationError(msg="say with --days, or the setting lake_keep_days, how long (at least 1 day)")
    return _tell(drop(_lake(dir).folder, kept, system_clock()), "dropped", format)


@app.command
def mend(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """Read every Parquet file, name those that are damaged, and make them again from the journal."""
    from suyuan.lake.mending import damages  # noqa: PLC0415  as for query
    from suyuan.lake.mending import mend as make_again  # noqa: PLC0415  likewise

    with Node.open_existing(dir) as node:
        found = damages(node.lake)
        for file, words in found:
            warn(f"{node.lake.folder / file.name} is damaged: {words}")
        made = make_again(node.lake, node.lake.source) if found else []
    if format == "json":
        print_json({"damaged": [file.name for file, _ in found], "made": [file.name for file in made]})
    else:
        say(
            f"{len(found)} files were damaged, {len(made)} made again in their place" if found else "no file is damaged"
        )
    return FINDINGS if found else FINE


def _sign(node: Node) -> bool:
    """Sign what is sealed; where another host keeps the signed record, this lake is for questions alone."""
    from suyuan.proof.checkpoints import KeptElsewhere  # noqa: PLC0415  only here

    try:
        return node.checkpoint() is not None
    except KeptElsewhere as refusal:
        warn(f"sealed for questions, and not signed: {refusal}")
        return False


def _lake(folder: Path) -> "Lake":
    """The lake of a node that may be open elsewhere."""
    from suyuan.lake.lake import Lake  # noqa: PLC0415  as for query

    if not is_node(folder):
        with Node.open_existing(folder):  # refused in its own words
            pass
    check_folder(folder)
    return Lake(folder / LAKE)


def _note(folder: Path, reason: str, sql: str) -> None:
    """Record who looks at pseudonyms and why, before anything is shown."""
    from suyuan.storage.tables import Tables  # noqa: PLC0415  only here

    settings = read_settings(folder)
    at = kept_at(folder, settings, "tables.sqlite")
    tables = Tables.open(at or ":memory:", read_secrets(folder))
    try:
        audit = open_audit(folder, settings, tables)
        try:
            audit.append("lake.query", sql, reason)
        finally:
            audit.close()
    finally:
        tables.close()


def _tell(done: "Changed | None", what: str, format: str) -> int:  # noqa: A002  the option's name
    if done is None:
        warn("another process is changing the lake at this moment")
        return FINDINGS
    if format == "json":
        print_json(done._asdict())
    else:
        say(f"{done.files:,} files with {done.events:,} events {what}, {done.made:,} made; {done.size:,} bytes less")
    return FINE


def _show(answer: "Rows", format: str) -> None:  # noqa: A002  the option's name
    if format == "json":
        for row in answer.rows:
            print_json({name: _plain(value) for name, value in zip(answer.columns, row, strict=True)})
    elif format == "csv":
        import csv  # noqa: PLC0415  only here
        import sys  # noqa: PLC0415  only here

        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(answer.columns)
        out.writerows(answer.rows)
    else:
        print_table(answer.columns, answer.rows, f"{len(answer.rows):,} rows")


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever SQL answers
    """A value as JSON has it."""
    try:
        msgspec.json.encode(value)
    except (TypeError, OverflowError, msgspec.MsgspecError):
        return str(value)
    return value


def _time(micros: int) -> str:
    return plain_time(iso_time(micros))
