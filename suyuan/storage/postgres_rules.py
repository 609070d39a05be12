"""The nine rules that keep one schema valid on PostgreSQL and Citus, checked on a real catalogue and on our own SQL."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

_UNIQUE = """
SELECT table_class.relname, index_class.relname, array_agg(attribute.attname)::text[]
FROM pg_index
JOIN pg_class AS table_class ON table_class.oid = pg_index.indrelid
JOIN pg_class AS index_class ON index_class.oid = pg_index.indexrelid
JOIN pg_attribute AS attribute ON attribute.attrelid = table_class.oid AND attribute.attnum = ANY (pg_index.indkey)
WHERE table_class.relnamespace = 'journal'::regnamespace AND pg_index.indisunique
GROUP BY 1, 2 ORDER BY 1, 2
"""
_COLUMNS = """
SELECT pg_class.relname, attribute.attname, format_type(attribute.atttypid, NULL), attribute.attnotnull,
       attribute.attidentity <> '' OR coalesce(pg_get_expr(adbin, adrelid), '') LIKE '%nextval%'
FROM pg_attribute AS attribute
JOIN pg_class ON pg_class.oid = attribute.attrelid
LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attribute.attnum
WHERE pg_class.relnamespace = 'journal'::regnamespace AND pg_class.relkind IN ('r', 'p')
  AND attribute.attnum > 0 AND NOT attribute.attisdropped
ORDER BY 1, attribute.attnum
"""
_FOREIGN = """
SELECT pg_constraint.conname, pg_class.relname, confrelid::regclass::text, ARRAY(
    SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)
)
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE contype = 'f' AND pg_class.relnamespace = 'journal'::regnamespace
"""
_TRIGGERS = """
SELECT tgname, pg_class.relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE NOT tgisinternal AND relnamespace = 'journal'::regnamespace
UNION ALL
SELECT rulename, pg_class.relname FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
WHERE relnamespace = 'journal'::regnamespace
"""
_FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = 'journal'::regnamespace"

FILED_BY_CODE = frozenset({"event", "deadline"})
FILED_OTHERWISE = frozenset({"document", "feed", "meta"})
"""A document by its own hash; the feed and what is noted of the record stay on the node through which facts come in."""

_VOLATILE = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|random|gen_random_uuid|nextval)\s*\(|\bCURRENT_", re.IGNORECASE
)
_DIVIDED = re.compile(r"\b(GROUPING\s+SETS|ROLLUP|CUBE|WITH\s+RECURSIVE)\b", re.IGNORECASE)


Columns = dict[str, list[tuple[str, str, bool, bool]]]
"""Of each table: name, type, whether it is always filled, whether it counts by itself."""


def catalogue_faults(connection: Connection) -> Iterator[str]:
    """What in the tables of the journal breaks one of the rules 1 to 4, or 9, each in words."""
    columns: Columns = {}
    for table, name, kind, filled, numbered in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(table, []).append((name, kind, filled, numbered))
    for table in sorted(columns.keys() ^ (FILED_BY_CODE | FILED_OTHERWISE)):
        yield f"{table}: whether it is filed by code is not said, or it is missing"
    by_code = {table for table, held in columns.items() if any(name == "code" for name, *_ in held)}
    for table, index, names in connection.execute(_UNIQUE).fetchall():
        if table in by_code and "code" not in names:
            yield f"rule 1: the unique index {index} of {table} does not contain code"
    yield from _column_faults(columns)
    for constraint, table, other, names in connection.execute(_FOREIGN).fetchall():
        if table in by_code and "code" not in names:
            yield f"rule 3: the foreign key {constraint} from {table} to {other} does not contain code"
    for name, table in connection.execute(_TRIGGERS).fetchall():
        yield f"rule 4: {table} has the trigger or rule {name}"
    for (name,) in connection.execute(_FUNCTIONS).fetchall():
        yield f"rule 4: there is the function {name}"


def _column_faults(columns: Columns) -> Iterator[str]:
    for table, held in columns.items():
        for name, kind, filled, numbered in held:
            if name == "code" and kind != "text":
                yield f"rule 2: {table}.code is {kind}, not text"
            if name == "code" and not filled:
                yield f"rule 2: {table}.code may be NULL"
            if numbered:
                yield f"rule 9: {table}.{name} counts by itself: a sequence is no order of commits"


def placing_faults(connection: Connection) -> Iterator[str]:
    """On Citus: which table is not where the rules 1, 2 and 8 want it; nothing where there is no Citus."""
    if not connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'citus'").fetchall()[0][0]:
        return
    asked = "SELECT table_name::text, citus_table_type, distribution_column FROM citus_tables"
    placed = {name: (kind, column) for name, kind, column in connection.execute(asked).fetchall()}
    wanted = {"journal.event": "code", "journal.deadline": "code", "journal.document": "digest"}
    for table, column in wanted.items():
        if placed.get(table) != ("distributed", column):
            yield f"{table} is not distributed by {column}"
    for table in sorted(placed.keys() & {"journal.feed", "journal.meta"}):
        yield f"{table} must stay on one node"


def text_faults(text: str) -> Iterator[str]:
    """What in a statement breaks one of the rules 2 and 4 to 7, each in words."""
    words = " ".join(text.split())
    changes = re.search(r"\bUPDATE\b|\bON CONFLICT\b.*\bDO UPDATE\b", words, re.IGNORECASE)
    if changes and _VOLATILE.search(words[changes.start() :]):
        yield f"rule 4: a time or chance within a change, to be passed as a parameter: {words[:80]}"
    set_to = re.search(r"\bUPDATE\b.*?\bSET\b(.*?)(\bWHERE\b|$)", words, re.IGNORECASE)
    if set_to and re.search(r"\bcode\s*=", set_to[1]):
        yield f"rule 2: a code is changed: {words[:80]}"
    if re.search(r"\bFOR (UPDATE|SHARE)\b", words, re.IGNORECASE) and not re.search(r"\bcode = (%s|\$\d)", words):
        yield f"rule 5: rows of more than one code are locked: {words[:80]}"
    if _DIVIDED.search(words):
        yield f"rule 5: no shard can do it alone: {words[:80]}"
    if re.search(r"\bINSERT INTO journal\.\w+.*\bSELECT\b.*\bunnest\b", words, re.IGNORECASE):
        yield f"rule 6: small groups go in as rows of values: {words[:80]}"
    if re.search(r"\bLOCK TABLE\b|\bpg_advisory(?!_xact_lock\(%s\))", words, re.IGNORECASE):
        yield f"rule 7: a lock, which another node does not know: {words[:80]}"


def faults(connection: Connection, statements: Iterable[str] = ()) -> list[str]:
    """All faults of a database and of statements, in words; none where all is well."""
    found = [*catalogue_faults(connection), *placing_faults(connection)]
    return found + [fault for statement in statements for fault in text_faults(statement)]
