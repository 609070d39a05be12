"""`suyuan quarantine`: messages on which the program itself failed; `suyuan defer`: uploads laid aside for later."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts

from suyuan.cli import FINDINGS, FINE
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.cli.writing import joined
from suyuan.lookup.moment import iso_time
from suyuan.node import Node, NodeUnusable, is_node, read_secrets
from suyuan.storage.quarantine import FILE, Quarantine
from suyuan.storage.refusals import JournalInUse

app = cyclopts.App(name="quarantine", help="Messages on which the program itself failed, kept sealed until you look.")

Number = Annotated[int, cyclopts.Parameter(help="The number under which the message is kept.")]


@app.command(name="list")
def list_(
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """List what is kept, with the kind of error of each; exit code 1 where there is anything."""
    with _opened(dir) as kept:
        found = kept.all()
    if format == "json":
        for one in found:
            print_json({name: getattr(one, name) for name in one.__struct_fields__ if name != "trace"})
    elif found:
        rows = [(one.number, iso_time(one.at), one.by, one.door, one.step, one.tries, one.error) for one in found]
        print_table(("number", "at", "by", "door", "step", "tries", "error"), rows)
    else:
        say("nothing is in quarantine")
    return FINDINGS if found else FINE


@app.command(name="show")
def show(
    number: Number,
    /,
    *,
    raw: Annotated[Path | None, cyclopts.Parameter(help="Write the message to this file; needs a reason.")] = None,
    reason: Annotated[str, cyclopts.Parameter(help="Why it is opened: goes into the audit record.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Show where in the program it failed; with a reason, also what the error says, which may quote the message."""
    if raw is not None and not reason:
        raise cyclopts.ValidationError(msg="--raw opens a sealed message: say why with --reason")
    with _opened(dir) as quarantine:
        found = quarantine.one(number)
        if found is None:
            raise NodeUnusable(f"there is no {number} in quarantine")
        kept, opened = found
        if reason:
            _audit(dir, kept.message, reason)
        if raw is not None:
            raw.touch(mode=0o600)
            raw.write_bytes(opened.content)
    say(f"{number} by {kept.by} at {iso_time(kept.at)}, for {kept.door}, failed to {kept.step}: {kept.error}")
    say((opened.words if reason else kept.trace).rstrip())
    return FINE


@app.command(name="retry")
def retry(
    number: Number,
    /,
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Read and take it once more, by the running server if there is one; what is taken leaves the quarantine."""
    from suyuan.portals.control import Asked  # noqa: PLC0415  costs a second of the start
    from suyuan.portals.quarantined import retry as again  # noqa: PLC0415

    try:
        with Node.open_existing(dir) as node, joined(node):
            words = again(node, number)
    except JournalInUse:
        with Asked(dir, "retry", number=number) as answer:
            words = answer["words"]
    say(words)
    return FINE if "was taken" in words else FINDINGS


@app.command(name="drop")
def drop(
    number: Number,
    /,
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Forget one that need not be taken any more; the audit record keeps that it was."""
    with _opened(dir) as kept:
        found = kept.one(number)
        if found is None:
            raise NodeUnusable(f"there is no {number} in quarantine")
        _audit(dir, found[0].message, "dropped")
        kept.drop(number)
    say(f"{number} is forgotten")
    return FINE


def defer(
    to: Annotated[Literal["on", "off", "status"], cyclopts.Parameter(help="Begin, end, or only ask.")] = "status",
    /,
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Ask the running server to lay uploads aside and record them later, or to end that (setting `defer`)."""
    from suyuan.portals.control import Asked, NobodyThere  # noqa: PLC0415  costs a second of the start

    more: dict[str, Any] = {} if to == "status" else {"on": to == "on"}
    try:
        with Asked(dir, "defer", **more) as answer:
            found = answer
    except NobodyThere:
        raise NodeUnusable(f"no server of {dir} is running") from None
    if format == "json":
        print_json(found)
    elif found["reason"]:
        say(f"{found['waiting']} uploads are laid aside: {found['reason']}")
    else:
        say("uploads are recorded at once")
    return FINDINGS if found["reason"] else FINE


@contextmanager
def _opened(folder: Path) -> Iterator[Quarantine]:
    """The quarantine alone: a server that is running has the rest."""
    if not is_node(folder):
        raise NodeUnusable(f"there is no node in {folder}: name its folder with --dir")
    path = folder / FILE
    kept = Quarantine(path if path.exists() else None, read_secrets(folder))
    try:
        yield kept
    finally:
        kept.close()


def _audit(folder: Path, subject: str, reason: str) -> None:
    from suyuan.cli.access import accounts  # noqa: PLC0415  only these need it

    with accounts(folder) as (_, record):
        record.append("quarantine.open", subject, reason)
