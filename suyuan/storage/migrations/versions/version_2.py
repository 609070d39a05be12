"""Version 2 of the tables: keys of more kinds that end by themselves; people who sign in; clients; leaflets."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

# Later releases of the program gave these tables to files of version 1 as well: there they stand already.
TABLES = {
    "passwords": ("name", "kept must_change:bool changed:int failures:int rests_until:int"),
    "sessions": ("id", "person begun:int seen:int ends:int client"),
    "account_requests": (
        "id",
        "kind person asked_by asked:int role institution region fund reason decided_by decided:int outcome",
    ),
    "nhsa_clients": ("institution", "verify infcode scan_required:bool"),
    "nhsa_sign_ins": ("sign_no", "day institution party key"),
    "catalogue_leaflets": (
        "approval valid_from:day",
        "indications usage cautions storage source synthetic:bool valid_to:day",
    ),
}
KINDS: dict[str, sa.types.TypeEngine[Any]] = {
    "": sa.Text(),
    "int": sa.BigInteger(),
    "bool": sa.Boolean(),
    "day": sa.Date(),
}


def upgrade() -> None:
    """Add columns and tables. Software has keys and no account: a person recorded as `institution` becomes a clerk."""
    for name, (key, rest) in TABLES.items():
        columns = [_column(one, primary=True) for one in key.split()] + [_column(one) for one in rest.split()]
        op.create_table(name, *columns, if_not_exists=True)
    op.create_index("ix_sessions_person", "sessions", ["person"], if_not_exists=True)
    for name, default in (("kind", "'key'"), *((one, "''") for one in ("sealed", "public_key", "networks", "label"))):
        _add("credentials", name, default)
    op.add_column("credentials", sa.Column("valid_until", sa.BigInteger()))
    _add("credentials", "made_by", "''")
    for name in ("fund", "subject"):
        _add("people", name, "''")
    op.execute("UPDATE people SET role = 'clerk' WHERE role = 'institution'")


def _add(table: str, name: str, default: str) -> None:
    op.add_column(table, sa.Column(name, sa.Text(), nullable=False, server_default=sa.text(default)))


def _column(told: str, *, primary: bool = False) -> sa.Column[Any]:
    name, _, kind = told.partition(":")
    return sa.Column(name, KINDS[kind], nullable=False, primary_key=primary)
