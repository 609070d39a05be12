"""Version 3 of the tables: what several server processes keep in common; on a server, audit record and webhooks too."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

COMMON = {
    "strangers": ("name", "failures:int rests_until:int"),
    "proofs_used": ("name", "body until:int"),
    "windows": ("lane name", "ends:int came:int"),
}
ON_A_SERVER = {
    "audit_lines": ("number:int", "at:int action subject reason who role party request hash"),
    "webhooks": (
        "id",
        (
            "owner role party person region fund url filters:json secret:bytes created:int cursor:int state words "
            "delivered:int delivered_at:int failures:int failing_since:int"
        ),
    ),
}
PLACED = (
    "products prefixes maker_schemes packages edges transcodes parties delegations no_code virtual_codes exemptions "
    "leaflets"
)
KINDS: dict[str, sa.types.TypeEngine[Any]] = {
    "": sa.Text(),
    "int": sa.BigInteger(),
    "json": sa.JSON(),
    "bytes": sa.LargeBinary(),
}
GUARDS = (
    (
        "CREATE FUNCTION audit_lines_stay() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'lines are never changed and never removed'; END $$"
    ),
    (
        "CREATE TRIGGER audit_lines_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_lines "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_lines_stay()"
    ),
)


def upgrade() -> None:
    """Make the new tables. In a folder, audit record and webhooks stay in files of their own."""
    _make(COMMON)
    op.create_index("ix_proofs_used_until", "proofs_used", ["until"])
    op.create_index("ix_windows_ends", "windows", ["ends"])
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE windows SET UNLOGGED")
    for name in PLACED.split():
        op.execute(f"ALTER TABLE catalogue_{name} ADD COLUMN place BIGINT GENERATED ALWAYS AS IDENTITY")
    _make(ON_A_SERVER)
    op.create_index("ix_webhooks_owner", "webhooks", ["owner"])
    for guard in GUARDS:
        op.execute(guard)


def _make(tables: dict[str, tuple[str, str]]) -> None:
    for name, (key, rest) in tables.items():
        columns = [_column(one, primary=True) for one in key.split()] + [_column(one) for one in rest.split()]
        op.create_table(name, *columns)


def _column(told: str, *, primary: bool = False) -> sa.Column[Any]:
    name, _, kind = told.partition(":")
    return sa.Column(name, KINDS[kind], nullable=False, primary_key=primary, autoincrement=False)
