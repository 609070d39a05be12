"""`suyuan export` and `suyuan import`: a whole node in one file, and back."""

from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from suyuan.cli import FINDINGS, FINE
from suyuan.cli.beside import warn_of_laid_aside, warn_of_quarantine
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, warn
from suyuan.node import Node


def export(
    file: Annotated[Path, cyclopts.Parameter(help="The file to write; an older one is replaced when it is complete.")],
    /,
    *,
    with_secrets: Annotated[
        bool, cyclopts.Parameter(negative="", help="Add the keys of pseudonyms and seals: guard the file like them.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Write facts, sealed messages, catalogue and accounts into one file with counts and hashes."""
    from suyuan.carry import export_node  # noqa: PLC0415  only this command needs it

    with Node.open_existing(dir) as node:
        manifest = export_node(node, file, secrets=with_secrets)
        warn_of_quarantine(node)
    _print(manifest, format)
    warn_of_laid_aside(dir)
    return 0


def import_(
    file: Annotated[Path, cyclopts.Parameter(help="A file that `suyuan export` wrote.")],
    /,
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Make a node in an empty folder from an export; counts and hashes are verified before and after."""
    from suyuan.carry import LEFT_OUT, import_node  # noqa: PLC0415  only this command needs it

    _print(import_node(dir, file), format)
    left = sorted((dir / LEFT_OUT).glob("*.csv"))
    for path in left:
        warn(f"rows of the catalogue that cannot be read are in {path}: mend them, then suyuan catalogue import")
    return FINDINGS if left else FINE


def _print(manifest: msgspec.Struct, format: str) -> None:  # noqa: A002  the option's name
    if format == "json":
        print_json(manifest)
    else:
        print_table(("what", "value"), msgspec.structs.asdict(manifest).items())
