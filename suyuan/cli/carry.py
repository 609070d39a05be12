"""`suyuan export` and `suyuan import`: a whole node in one file, and back."""

import os
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

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

    with Node.open(dir) as node:
        manifest = export_node(node, file, secrets=with_secrets)
    if with_secrets:
        file.chmod(0o600)
    _print(manifest, format)
    return 0


def import_(
    file: Annotated[Path, cyclopts.Parameter(help="A file that `suyuan export` wrote.")],
    /,
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Fill an empty node from an export; counts and hashes are verified before and after."""
    from suyuan.carry import CarryRefused, import_node, secrets_in  # noqa: PLC0415  only this command needs it
    from suyuan.node import place_secrets  # noqa: PLC0415

    try:
        keys = secrets_in(file)
        if keys is not None:
            place_secrets(dir, keys)
        with Node.open(dir) as node:
            manifest = import_node(node, file)
    except CarryRefused as error:
        warn(f"suyuan: {error}")
        return 3
    os.sync()
    _print(manifest, format)
    return 0


def _print(manifest: msgspec.Struct, format: str) -> None:  # noqa: A002  the option's name
    if format == "json":
        print_json(manifest)
    else:
        print_table(("what", "value"), msgspec.structs.asdict(manifest).items())
