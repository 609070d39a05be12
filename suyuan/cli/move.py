"""`suyuan move`: a node goes on in another folder or in a database, and the place that it left is closed."""

from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.cli.progress import Progress


def move(
    goal: Annotated[Path, cyclopts.Parameter(help="An empty or new folder, where the node is to go on.")],
    /,
    *,
    database: Annotated[
        str, cyclopts.Parameter(help="Journal and tables go into this empty PostgreSQL.", show_default=False)
    ] = "",
    give_up: Annotated[
        bool, cyclopts.Parameter(negative="", help="Open the node in --dir again after a move that was not finished.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Carry the node to another folder, from RocksDB to PostgreSQL or back; run it again if it was cut off."""
    from suyuan.carry.move import give_up as open_again  # noqa: PLC0415  only this command needs it
    from suyuan.carry.move import move_node  # noqa: PLC0415

    if give_up:
        open_again(dir, goal)
        say(f"{dir} takes uploads again; delete {goal}")
        return 0
    with Progress((), quiet=format == "json") as progress:
        moved = move_node(dir, goal, database=database, step=lambda count: progress.step(0, count))
    if format == "json":
        print_json(moved)
        return 0
    print_table(("what", "value"), msgspec.structs.asdict(moved.manifest).items())
    say(f"the node goes on in {goal}; {dir} is closed")
    return 0
