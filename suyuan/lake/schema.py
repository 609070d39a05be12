"""What a row of the lake says: its columns, their types, and the field of the event that each comes from."""

from typing import Any

import polars as pl

SCHEMA = 1
"""Raised when a column is added or changes its meaning; columns are never taken away."""

NAMES = "kind key actor place region status verdict counterparty line product parent lot expiry fund person prescriber"
TEXTS = {
    **{name: name for name in (*NAMES.split(), "software", "alert", "origin")},
    "references": "refs",  # a word that SQL keeps for itself
}
"""Field of the event → column of text."""
VARIED = frozenset({"key", "line", "person", "refs"})
"""Columns of text with about as many values as rows; the others are kept as numbers of a short list of values."""
NUMBERS: dict[str, Any] = {
    "sequence": pl.Int64,
    "event_time": pl.Int64,
    "arrived": pl.Int64,
    "relates": pl.Int64,
    "corrects": pl.Int64,
    "drawn": pl.Boolean,
    "n": pl.Int64,
    "m": pl.Int64,
    "price": pl.Int64,
    "joins": pl.Int64,
}
"""Field of the event, and column: its type."""

SCHEMA_OF_ROWS: dict[str, Any] = {
    "feed": pl.Int64,
    "day": pl.Date,
    "system": pl.String,
    "product_key": pl.String,
    **dict.fromkeys(TEXTS.values(), pl.String),
    "reasons": pl.List(pl.String),
    **NUMBERS,
}
"""Every column with its type, as it is read. `docs/lake.md` says what each means."""

PERSONAL = ("person", "prescriber")
"""Columns of pseudonyms: who asks by hand sees them only with a reason that is recorded."""

LATER: dict[str, str] = {}
"""Column that came after schema 1 → what it says, in SQL, of rows sealed before it came."""
