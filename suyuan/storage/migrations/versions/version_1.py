"""Version 1 of the tables: catalogue, keys and people."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

# Catalogue table → its key, then its other columns; of a text nothing is said, other kinds stand after a colon.
CATALOGUE = {
    "products": (
        "nhsa",
        (
            "kind generic english trade form spec company company_name approval std_code ean13 list_class identity "
            "exempt splittable:bool unit price:int market synthetic:bool"
        ),
    ),
    "prefixes": ("product_key", "name spec level:int ratio holder source synthetic:bool"),
    "maker_schemes": ("scheme", "pattern holder source"),
    "packages": ("product_key", "units:int units_reviewed:bool inner inner_count:int source reviewer"),
    "edges": ("left right", "reviewed:bool source confidence:int reviewer"),
    "transcodes": ("former", "code reason"),
    "parties": ("code", "name kind region standing sensitive:bool chain synthetic:bool"),
    "delegations": ("grantor delegate", "purpose"),
    "no_code": ("institution nhsa kind", "quantity:int reason reference"),
    "virtual_codes": ("key", "institution nhsa quantity:int reason"),
    "exemptions": ("product_class setting split_only:bool", "name"),
}
KINDS: dict[str, sa.types.TypeEngine[Any]] = {"": sa.Text(), "int": sa.BigInteger(), "bool": sa.Boolean()}


def upgrade() -> None:
    """Make the first tables."""
    for name, (key, rest) in CATALOGUE.items():
        op.create_table(
            f"catalogue_{name}",
            *columns(key, primary=True),
            *columns(rest),
            sa.Column("valid_from", sa.Date(), nullable=False, primary_key=True),
            sa.Column("valid_to", sa.Date(), nullable=False),
        )
    op.create_table("meta", *columns("key", primary=True), *columns("value"))
    op.create_table(
        "credentials",
        *columns("id", primary=True),
        *columns("institution salt digest created:int"),
        sa.Column("revoked", sa.BigInteger()),
    )
    op.create_index("ix_credentials_institution", "credentials", ["institution"])
    op.create_table("people", *columns("name", primary=True), *columns("role institution region disabled:bool"))


def columns(told: str, *, primary: bool = False) -> list[sa.Column[Any]]:
    """Columns as they are written above."""
    parts = [one.partition(":") for one in told.split()]
    return [sa.Column(name, KINDS[kind], nullable=False, primary_key=primary) for name, _, kind in parts]
