"""`suyuan settings`: every setting of a node, its value, and where that value stands."""

import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table
from suyuan.settings import explain_settings


def settings(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """Show every setting with its value and its origin: default, the node's suyuan.toml, or the environment."""
    found = explain_settings(dir)
    if format == "json":
        for one in found:
            print_json(one)
    else:
        print_table(("setting", "value", "origin"), [msgspec.structs.astuple(one) for one in found])
    return 0
