"""Steps of the tables from one version to the next, run by alembic within one transaction."""

from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

FOLDER = Path(__file__).parent


def upgrade(connection: sa.Connection, held: str | None, wanted: str) -> None:
    """Take every step from one version (None: nothing is there yet) to another, in the caller's transaction."""
    steps = ScriptDirectory(FOLDER).iterate_revisions(wanted, held or "base")
    with Operations.context(MigrationContext.configure(connection)):
        for step in reversed(list(steps)):
            step.module.upgrade()
