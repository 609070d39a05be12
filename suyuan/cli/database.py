"""`suyuan database`: the tables of a journal in PostgreSQL or Citus, made beforehand and checked."""

from typing import Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, say
from suyuan.settings import SettingsWrong, read_settings

app = cyclopts.App(name="database", help="The tables of a journal in PostgreSQL or Citus.")
NO_FINDINGS, FINDINGS = 0, 1


@app.command(name="init")
def init(
    *,
    citus: Annotated[
        bool, cyclopts.Parameter(negative="", help="Distribute what is filed by code over the nodes of the cluster.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Make the tables in the database that the settings name; where they are made already, nothing changes."""
    from suyuan.node import make_database  # noqa: PLC0415  the engines take a while to import

    record = make_database(_address(dir), distribute=citus)
    say(f"the database holds the record {record}")
    return NO_FINDINGS


@app.command(name="check")
def check(*, dir: Folder = DEFAULT_FOLDER) -> int:  # noqa: A002  the option's name
    """Tell which rule for one schema on PostgreSQL and Citus the tables of the journal break; exit code 1 if any."""
    from suyuan.node import database_faults  # noqa: PLC0415  as above

    found = database_faults(_address(dir))
    for fault in found:
        say(fault)
    if not found:
        say("the tables of the journal keep all rules")
    return FINDINGS if found else NO_FINDINGS


def _address(folder: Folder) -> str:
    address = read_settings(folder).database
    if not address:
        raise SettingsWrong(
            "no database is set: name it with the setting database, as SUYUAN_DATABASE=postgresql://user@host/name"
        )
    return address
