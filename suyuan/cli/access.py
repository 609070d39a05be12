"""`suyuan access`: institutions' credentials, people with roles, delegations with an end date."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import cyclopts
import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.node import Node
from suyuan.storage.tables import ROLES, Person

app = cyclopts.App(name="access", help="Who may come in: credentials of institutions, people with roles, delegations.")


@app.command(name="issue")
def issue(institution: str, /, *, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002
    """Issue a key to an institution or firm. Its secret is shown this once and kept only as a hash."""
    with Node.open(dir) as node:
        issued = node.tables.create_credential(institution)
    if format == "json":
        print_json(issued)
    else:
        say(f"key {issued.id} for {institution}\nsecret (shown once): {issued.secret}")
    return 0


@app.command(name="keys")
def keys(institution: str = "", /, *, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002
    """List keys, revoked ones too."""
    with Node.open_existing(dir) as node:
        found = node.tables.list_credentials(institution)
    rows = [(one.id, one.institution, _iso(one.created), _iso(one.revoked)) for one in found]
    _print(("key", "institution", "created", "revoked"), rows, format)
    return 0


@app.command(name="revoke")
def revoke(key: str, /, *, dir: Folder = DEFAULT_FOLDER) -> int:  # noqa: A002  the option's name
    """End a key at once."""
    with Node.open_existing(dir) as node:
        node.tables.revoke(key)
    say(f"key {key} is revoked")
    return 0


@app.command(name="person")
def person(
    name: Annotated[str, cyclopts.Parameter(help="Account name.")],
    role: Annotated[str, cyclopts.Parameter(help=f"{', '.join(ROLES[:-1])} or {ROLES[-1]}.")],
    /,
    *,
    institution: Annotated[str, cyclopts.Parameter(help="Where the person works.")] = "",
    region: Annotated[str, cyclopts.Parameter(help="Division code, for inspectors and agencies.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Record somebody with a role."""
    if role not in ROLES:
        raise cyclopts.ValidationError(msg=f"no role {role!r}; there are: {', '.join(ROLES)}")
    with Node.open(dir) as node:
        added = node.tables.add_person(name, role, institution, region)
    if format == "json":
        print_json(added)
    else:
        say(f"{added.name}: {added.role}")
    return 0


@app.command(name="disable")
def disable(
    name: str,
    /,
    *,
    enable: Annotated[bool, cyclopts.Parameter(negative="", help="Let the person in again.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Lock somebody out, or with --enable let them in again."""
    with Node.open_existing(dir) as node:
        node.tables.disable_person(name, disabled=not enable)
    say(f"{name} is {'enabled' if enable else 'disabled'}")
    return 0


@app.command(name="people")
def people(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """List people and roles."""
    with Node.open_existing(dir) as node:
        found = node.tables.list_people()
    _print(Person.__struct_fields__, [msgspec.structs.astuple(one) for one in found], format)
    return 0


@app.command(name="delegate")
def delegate(
    grantor: Annotated[str, cyclopts.Parameter(help="The party that lets another speak for it.")],
    to: Annotated[str, cyclopts.Parameter(help="Vendor, head office, third-party warehouse.")],
    until: Annotated[str, cyclopts.Parameter(help="ISO date, the last day.")],
    /,
    *,
    since: Annotated[str, cyclopts.Parameter(help="ISO date; today if not given.")] = "",
    purpose: Annotated[str, cyclopts.Parameter(help="Why, in words.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Let one party speak for another until a date."""
    try:
        first = date.fromisoformat(since) if since else date.today()  # noqa: DTZ011  the operator's own day
        last = date.fromisoformat(until)
    except ValueError as error:
        raise cyclopts.ValidationError(msg=f"no date (yyyy-mm-dd): {error}") from error
    with Node.open(dir) as node:
        made = node.tables.delegate(grantor, to, first, last, purpose)
    if format == "json":
        print_json(made)
    else:
        say(f"{made.delegate} may speak for {made.grantor} from {made.valid_from} to {made.valid_to}")
    return 0


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _print(columns: tuple[str, ...], rows: Sequence[tuple[object, ...]], format: str) -> None:  # noqa: A002  the option's name
    """Records as lines or as a table."""
    if format == "json":
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    elif rows:
        print_table(columns, rows)
    else:
        say("none yet")
