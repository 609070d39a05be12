"""`suyuan access`: keys of software, people with roles and passwords, delegations, and the audit record."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.node import TABLES, Node, NodeUnusable, check_folder, is_node, kept_at, open_audit, read_secrets
from suyuan.settings import read_settings
from suyuan.storage.audit import HEAD, AuditRecord
from suyuan.storage.tables import ROLES, Person, Tables

app = cyclopts.App(
    name="access",
    help="Who may come in: keys of institutions, people with roles, delegations; and the audit record. All but "
    "delegate also while the node is being served.",
)
audit = cyclopts.App(name="audit", help="The audit record: every reading of personal data, every change of an account.")
app.command(audit)

Networks = Annotated[str, cyclopts.Parameter(help="Source networks from which it is taken, with commas between.")]
Label = Annotated[str, cyclopts.Parameter(help="What it is used for, in words.")]
NO_FINDINGS, FINDINGS = 0, 1


@app.command(name="issue")
def issue(
    institution: str,
    /,
    *,
    label: Label = "",
    networks: Networks = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Issue a key to an institution or firm. Its secret is shown this once and kept only hashed and sealed."""
    with accounts(dir, make=True) as (tables, record):
        record.append("account.key.issue", institution, label)
        issued = tables.create_credential(institution, label=label, networks=networks, made_by="operator")
    if format == "json":
        print_json(issued)
    else:
        say(f"key {issued.id} for {institution}\nsecret (shown once): {issued.secret}")
    return 0


@app.command(name="register")
def register(
    institution: str,
    public_key: Annotated[str, cyclopts.Parameter(help="SM2, 130 hexadecimal digits (or 128, or 66 compressed).")],
    /,
    *,
    label: Label = "",
    networks: Networks = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Take signatures of an SM2 public key as an institution's."""
    from suyuan.portals.signatures import KeyWrong, public_sm2_key  # noqa: PLC0415  only this command needs it

    try:
        key = public_sm2_key(public_key)
    except KeyWrong as error:
        raise cyclopts.ValidationError(msg=str(error)) from error
    with accounts(dir, make=True) as (tables, record):
        record.append("account.key.issue", institution, label)
        made = tables.register_public_key(institution, key, label=label, networks=networks, made_by="operator")
    say(f"key {made.id} for {institution}")
    return 0


@app.command(name="network")
def network(
    institution: str,
    networks: Annotated[str, cyclopts.Parameter(help="Such as 10.1.0.0/16,192.0.2.7.")],
    /,
    *,
    label: Label = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Take who calls the NHSA address from these networks as an institution: for old clients that cannot sign."""
    with accounts(dir, make=True) as (tables, record):
        record.append("account.key.network", institution, networks)
        made = tables.register_network(institution, networks, label=label, made_by="operator")
    say(f"key {made.id} for {institution}: {made.networks}")
    return 0


@app.command(name="replace")
def replace(
    key: str,
    /,
    *,
    overlap_days: Annotated[int, cyclopts.Parameter(help="How long the old key stays good.")] = 7,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Issue a key in place of another, which stays good for some days."""
    with accounts(dir) as (tables, record):
        record.append("account.key.replace", key, f"overlap of {overlap_days} days")
        issued = tables.replace_credential(key, timedelta(days=overlap_days), made_by="operator")
    if format == "json":
        print_json(issued)
    else:
        say(f"key {issued.id} for {issued.institution}\nsecret (shown once): {issued.secret}")
    return 0


@app.command(name="keys")
def keys(institution: str = "", /, *, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002
    """List keys, revoked ones too."""
    with accounts(dir) as (tables, _):
        found = tables.list_credentials(institution)
    rows = [
        (one.id, one.institution, one.kind, one.label, _iso(one.created), _iso(one.valid_until), _iso(one.revoked))
        for one in found
    ]
    _print(("key", "institution", "kind", "label", "created", "valid_until", "revoked"), rows, format)
    return 0


@app.command(name="revoke")
def revoke(key: str, /, *, dir: Folder = DEFAULT_FOLDER) -> int:  # noqa: A002  the option's name
    """End a key at once; a server that is running follows within seconds."""
    with accounts(dir) as (tables, record):
        record.append("account.key.revoke", key)
        tables.revoke(key)
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
    fund: Annotated[str, cyclopts.Parameter(help="For agencies: employee, resident or work_injury; empty: all.")] = "",
    subject: Annotated[str, cyclopts.Parameter(help="The person's name at the organisation's sign-on server.")] = "",
    password: Annotated[
        bool, cyclopts.Parameter(negative="", help="Show a one-time password for the first sign-in.")
    ] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Record somebody with a role."""
    if role not in ROLES:
        raise cyclopts.ValidationError(msg=f"no role {role!r}; there are: {', '.join(ROLES)}")
    with accounts(dir, make=True) as (tables, record):
        record.append("account.add", name, " ".join(part for part in (role, institution, region, fund) if part))
        added = tables.add_person(name, role, institution, region, fund=fund, subject=subject)
        secret = tables.one_time_password(added.name) if password else ""
    if format == "json":
        print_json({**msgspec.structs.asdict(added), **({"password": secret} if secret else {})})
    else:
        say(f"{added.name}: {added.role}")
        if secret:
            say(f"one-time password (shown once): {secret}")
    return 0


@app.command(name="password")
def password(name: str, /, *, dir: Folder = DEFAULT_FOLDER) -> int:  # noqa: A002  the option's name
    """Set a one-time password, shown this once; it must be changed at the first sign-in. All sessions end."""
    with accounts(dir) as (tables, record):
        record.append("account.reset", name)
        secret = tables.one_time_password(name)
    say(f"one-time password of {name} (shown once): {secret}")
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
    with accounts(dir) as (tables, record):
        record.append("account.enable" if enable else "account.disable", name)
        tables.disable_person(name, disabled=not enable)
    say(f"{name} is {'enabled' if enable else 'disabled'}")
    return 0


@app.command(name="people")
def people(*, dir: Folder = DEFAULT_FOLDER, format: Format = "table") -> int:  # noqa: A002  the options' names
    """List people and roles."""
    with accounts(dir) as (tables, _):
        found = tables.list_people()
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
        node.audit.append("account.delegation.give", f"{grantor} → {to}", f"until {last} {purpose}".strip())
    if format == "json":
        print_json(made)
    else:
        say(f"{made.delegate} may speak for {made.grantor} from {made.valid_from} to {made.valid_to}")
    return 0


@audit.command(name="export")
def export(
    *,
    action: Annotated[str, cyclopts.Parameter(help="Only actions that begin so, such as read or account.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Write every line, the first first: as CSV, or with --format json as lines of JSON."""
    with accounts(dir) as (_, record):
        lines = (line for line in record.lines() if line.action.startswith(action))
        if format == "json":
            for line in lines:
                print_json(line)
        else:
            from suyuan.portals.pages.audit_record import csv_of  # noqa: PLC0415  only this command needs it

            for text in csv_of(lines):
                sys.stdout.write(text)
    return 0


@audit.command(name="verify")
def verify(
    *,
    head: Annotated[str, cyclopts.Parameter(help="A head noted earlier: number and hash.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Look through the whole record; exit code 1 where a line was altered, dropped, moved or cut off."""
    with accounts(dir) as (tables, record):
        found = record.verify(*(one for one in (tables.meta(HEAD), head) if one))
    if format == "json":
        print_json(found)
    else:
        for fault in found.faults:
            say(fault)
        say(f"{found.lines} lines, {len(found.faults)} faults; head: {found.head or 'none'}")
    return FINDINGS if found.faults else NO_FINDINGS


@contextmanager
def accounts(folder: Path, *, make: bool = False) -> Iterator[tuple[Tables, AuditRecord]]:
    """Tables and audit record of a node, without its journal: a server that is running keeps that to itself."""
    if not is_node(folder):
        if not make:
            raise NodeUnusable(
                f"there is no node in {folder}: name its folder with --dir; the first upload or import makes a new one"
            )
        with Node.open(folder):
            pass
    check_folder(folder)
    settings = read_settings(folder)
    with Tables.open(kept_at(folder, settings, TABLES) or folder / TABLES, read_secrets(folder)) as tables:
        record = open_audit(folder, settings, tables)
        try:
            yield tables, record
        finally:
            record.close()


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
