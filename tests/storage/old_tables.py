"""Tables as earlier versions of the program wrote them, on either engine."""

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from suyuan.storage.database import engine_at, is_server
from suyuan.storage.migrations import upgrade

DATA = Path(__file__).parent / "data"


def write_old(place: str, version: str) -> None:
    """Leave tables of this version, with rows in them, at a path or in a database."""
    dump = (DATA / f"tables-version-{version}.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(":memory:" if is_server(place) else place)) as raw:
        raw.executescript(dump)
        if is_server(place):
            _carry(raw, place, version)


def _carry(raw: sqlite3.Connection, place: str, version: str) -> None:
    """There never was a database of that version: it has the tables of its step, and the rows of the file."""
    engine = engine_at(place)
    with engine.begin() as connection:
        upgrade(connection, None, version)
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name in {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}:
                columns = [column.name for column in table.columns]
                names = ", ".join(f'"{name}"' for name in columns)
                for row in raw.execute(f'SELECT {names} FROM "{table.name}"'):
                    values = {name: _meant(table.c[name], value) for name, value in zip(columns, row, strict=True)}
                    connection.execute(table.insert(), values)
    engine.dispose()


def _meant(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(column.type, sa.Boolean):
        return bool(value)
    return date.fromisoformat(value) if isinstance(column.type, sa.Date) else value
