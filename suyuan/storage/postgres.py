"""The journal on PostgreSQL: any number of processes and hosts, group commit in each, no lock but the primary key."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import psycopg

from suyuan.ledger.events import Event
from suyuan.ledger.journal import History
from suyuan.storage.batch import Deadline
from suyuan.storage.database import said_by
from suyuan.storage.group import GroupCommit, Request
from suyuan.storage.packed import packed_events, unpacked_batch
from suyuan.storage.postgres_connections import (
    PATIENCE_SECONDS,
    Connection,
    Connections,
    Patience,
    is_away,
    may_succeed_again,
    refusal,
)
from suyuan.storage.postgres_plan import SEPARATOR, Plan, code_of, is_key
from suyuan.storage.postgres_position import Stand, foreign, packed_position, stand_in
from suyuan.storage.postgres_rows import COPY_ROWS_MIN, copy_events, insert_events, insert_rest
from suyuan.storage.postgres_rules import faults
from suyuan.storage.postgres_schema import close_tables, current_era, notes, open_tables, prepare
from suyuan.storage.refusals import JournalRefusal, JournalStopped, JournalUnusable
from suyuan.storage.seen import SeenSequences

TAIL_EVENTS = 64
"""So many of a history are read at once; the older ones when somebody asks."""

PAGE_KEYS = 1_000

HOLDS, HOLDS_END = "hold:", "hold;"
HOLDS_ASKED_MIN = 16
"""Who asks for so many orders at once first learns which there are at all, unless there are as many as asked for."""

_FETCH = """
SELECT k.place, e.sequence, e.data
FROM unnest(string_to_array(%s, E'\\x02')) WITH ORDINALITY AS k (code, place)
CROSS JOIN LATERAL (
    SELECT sequence, data FROM journal.event WHERE code = k.code ORDER BY sequence DESC LIMIT %s
) AS e
"""
_SEQUENCES = "SELECT code, max(sequence) FROM journal.event WHERE code = ANY (%s) GROUP BY code"
_SHORT = "SELECT code, sequence, data FROM journal.event WHERE code = ANY (%s)"
_LONG = "SELECT code, sequence, data FROM journal.event WHERE code = %s AND sequence > %s"
_EXISTING = """
SELECT count(*) FROM unnest(string_to_array(%s, E'\\x02'), string_to_array(%s, ',')::integer[]) AS k (code, sequence)
JOIN journal.event AS e ON e.code = k.code AND e.sequence = k.sequence
"""
_OLDER = "SELECT data FROM journal.event WHERE code = %s AND sequence <= %s ORDER BY sequence"
_HORIZON = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
"""Every transaction with a smaller number has ended: what it wrote is seen by now, and nothing can come before it."""

_SINCE = """
WITH page AS (
    SELECT era, transaction, ordinal, batch, data, events,
           sum(events) OVER (ORDER BY era, transaction, ordinal) AS reached
    FROM (
        SELECT era, transaction, ordinal, batch, data, events FROM journal.feed
        WHERE (era, transaction, ordinal) > (%(era)s, %(transaction)s, %(ordinal)s)
          AND (era, transaction) < (%(now)s, {horizon})
        ORDER BY era, transaction, ordinal LIMIT %(rows)s
    ) AS next
)
SELECT known.so, page.era, page.transaction, page.ordinal, page.batch, page.data
FROM (
    SELECT EXISTS (
        SELECT FROM journal.feed WHERE era = %(era)s AND transaction = %(transaction)s
           AND ordinal = %(ordinal)s AND batch = %(batch)s
    ) AS so
) AS known
LEFT JOIN page ON page.reached <= %(limit)s OR page.reached = page.events
ORDER BY page.era, page.transaction, page.ordinal
"""
_LATEST = f"""
SELECT era, transaction, ordinal, batch FROM journal.feed WHERE (era, transaction) < (%s, {_HORIZON})
ORDER BY era DESC, transaction DESC, ordinal DESC LIMIT 1
"""  # noqa: S608  our own text
_OUTCOME = """
SELECT (SELECT batch FROM journal.feed WHERE era = %(era)s AND transaction = %(transaction)s AND ordinal = 1),
       CASE WHEN %(transaction)s < pg_current_xact_id()::text::bigint
            THEN pg_xact_status(%(transaction)s::text::xid8) END
"""
"""Held against a number of its own, for the snapshot's end says only what has ended: the youngest transaction would not
be known there while it is under way. None is of a server that was promoted with less, and has not come so far."""
_DUE = "SELECT due, code, sequence FROM journal.deadline WHERE due <= %s ORDER BY due, code, sequence LIMIT %s"
_KEYS_UP_TO = "SELECT code FROM journal.event WHERE sequence = 1 AND code >= %s AND code < %s LIMIT %s"
_KEYS = "SELECT code FROM journal.event WHERE sequence = 1 AND code >= %s ORDER BY code LIMIT %s"
_FIRST = "SELECT data FROM journal.event WHERE code = %s AND sequence = 1"


class PostgresJournal(GroupCommit):
    """A journal in a database. Any number of threads, processes and hosts may use the same one.

    The tables are made where there are none, unless `make` says that they must be there.

    `_horizon=False` reads the feed in the order of numbers alone: it exists for the test which shows that facts lost
    that way would be noticed. `_distributed` asks as a cluster must be asked, wherever.

    Raises:
        JournalUnusable: the database is of another version, incomplete, or does not keep what it acknowledges.
        JournalStopped: the database cannot be reached.
    """

    def __init__(
        self,
        address: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        make: bool = True,
        distribute: bool = False,
        _horizon: bool = True,
        _distributed: bool = False,
    ) -> None:
        super().__init__()
        self.greeted = 0
        """Rises with each new connection: it may lead to a server that has less than the one before."""
        self._connections = Connections(address, patience_seconds=patience_seconds)
        try:
            with self._connections.one() as connection:
                noted = prepare(connection, make=make, distribute=distribute)
                self.identity = noted["database"]
                """What tells this record from every other, wherever it is brought."""
                self._eras: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
                """In which era each connection's server numbers transactions."""
                self._greet(connection)
        except BaseException as error:
            self.close()
            if isinstance(error, psycopg.Error):
                raise _unusable(self._connections.name, error) from error
            raise
        self._connections.greet = self._greet
        self._database = bytes.fromhex(self.identity)
        self._distributed = _distributed or bool(noted["distributed"])
        self._since = _SINCE.format(horizon=_HORIZON if _horizon else "9223372036854775807").encode()
        self._seen = SeenSequences()

    def _greet(self, connection: Connection) -> None:
        """See that a new connection leads to the same record, though perhaps brought to another server meanwhile.

        Raises:
            JournalUnusable: it leads to another one.
        """
        held = notes(connection).get("database", "")
        if held != self.identity:
            raise JournalUnusable(
                f"The database {self._connections.name} has the record {held[:8]}… now, and this journal is "
                f"{self.identity[:8]}…: nothing is written there. Bring back the right one; then it goes on by itself."
            )
        self._eras[connection] = current_era(connection)
        self.greeted += 1

    def fetch(self, keys: Iterable[str]) -> dict[str, History]:
        """The histories of the keys; a key never written has sequence 0."""
        wanted = sorted(set(keys))
        seen = self._seen.after(self._connections.losses)
        rows = self._connections.run(lambda connection: self._rows(connection, wanted))
        seen.note({key: rows[key][-1][0] for key in rows})
        older, none = self._older, ()
        return {key: StoredHistory(key, rows.get(key, none), older) for key in wanted}

    def _rows(self, connection: Connection, wanted: list[str]) -> "dict[str, list[tuple[int, bytes]]]":
        """Sequence and bytes of the latest events of each key that has any, oldest first."""
        keys = self._asked(connection, wanted)
        rows: dict[str, list[tuple[int, bytes]]] = {}
        for place, sequence, data in self._read(connection, keys, TAIL_EVENTS):
            key = keys[place - 1]
            held = rows.get(key)
            if held is None:
                rows[key] = [(sequence, data)]
            else:
                held.append((sequence, data))
        for held in rows.values():
            if len(held) > 1:
                held.sort()
        return rows

    def _asked(self, connection: Connection, wanted: list[str]) -> list[str]:
        """The keys without the orders of which none exists: a batch asks for thousands, and there are few or none."""
        first, last = bisect_left(wanted, HOLDS), bisect_left(wanted, HOLDS_END)
        asked = last - first
        if asked < HOLDS_ASKED_MIN:
            return wanted
        held = connection.execute(_KEYS_UP_TO, (HOLDS, HOLDS_END, asked)).fetchall()
        if len(held) == asked:
            return wanted
        codes = {code for (code,) in held}
        return [*wanted[:first], *(key for key in wanted[first:last] if code_of(key) in codes), *wanted[last:]]

    def _read(self, connection: Connection, keys: list[str], most: int) -> "Iterable[tuple[int, int, bytes]]":
        """Place in `keys`, sequence and bytes of at most so many latest events of each."""
        if not keys:
            return ()
        if self._distributed:
            return self._read_distributed(connection, keys, most)
        codes = SEPARATOR.join(map(code_of, keys))
        return connection.cursor(binary=True).execute(_FETCH, (codes, most), prepare=True).fetchall()

    def _read_distributed(self, connection: Connection, keys: list[str], most: int) -> list[tuple[int, int, bytes]]:
        """The same where no query may look at each code by itself: first how far each has come, then the events."""
        places = {code_of(key): place for place, key in enumerate(keys, 1)}
        sequences: dict[str, int] = dict(connection.execute(_SEQUENCES, (list(places),)).fetchall())
        if most == 1:
            return [(places[code], sequence, b"") for code, sequence in sequences.items()]
        short = [code for code, sequence in sequences.items() if sequence <= most]
        rows = connection.cursor(binary=True).execute(_SHORT, (short,)).fetchall() if short else []
        for code in sequences.keys() - set(short):
            rows += connection.cursor(binary=True).execute(_LONG, (code, sequences[code] - most)).fetchall()
        return [(places[code], sequence, data) for code, sequence, data in rows]

    def _older(self, key: str, until: int) -> list[bytes]:
        """All events of a key up to a sequence; they never change."""
        rows = self._connections.run(
            lambda connection: connection.cursor(binary=True).execute(_OLDER, (code_of(key), until)).fetchall()
        )
        if len(rows) != until:
            raise JournalUnusable(
                f"The journal in the database {self._connections.name} cannot be read: events of {key} are missing. "
                "Restore the database from a backup."
            )
        return [data for (data,) in rows]

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        """Write all or nothing, durably before it returns; answers the new position, or the keys that went stale.

        Raises:
            JournalStopped: the database was away for too long, or cannot write. The next append tries again.
        """
        return self._commit(Request(events, expected, documents or {}))

    def append_each(self, batches: Sequence[tuple[Sequence[Event], Mapping[str, int], Mapping[str, bytes]]]) -> None:
        """Write batches one after the other in one transaction, each as `append` would: for restoring a record.

        Raises:
            ValueError: a batch does not follow what is there; it was not written.
            JournalStopped: as for `append`.
        """
        requests = [Request(*batch) for batch in batches]
        self._write_group(requests)
        for request in requests:
            if request.answer is None:
                raise request.failure or AssertionError("a group leaves nobody without an answer")
            if isinstance(request.answer, list):
                raise ValueError(f"{request.answer[0]} has a gap")  # noqa: TRY004  a value, not a type

    def _write_group(self, group: list[Request]) -> None:
        try:
            answers = self._stored(group)
        except JournalRefusal as refused:
            error = refused.__cause__
            if len(group) > 1 and isinstance(error, psycopg.Error) and not may_succeed_again(error):
                for request in group:  # what one of them brings cannot be stored: the others are not hurt by it
                    self._write_group([request])
                return
            for request in group:
                request.failure = refused
        except Exception as error:  # noqa: BLE001  it is the answer of those who wait
            for request in group:
                request.failure = error
        else:
            for request, answer in zip(group, answers, strict=True):
                request.answer = answer

    def _stored(self, group: list[Request]) -> list[bytes | list[str]]:
        """Write the group in one transaction, however often it takes; answers each request."""
        known: dict[str, int] = {}
        patience = self._connections.patience()
        while True:
            plan = Plan(group, known)
            if plan.is_empty:
                return self._answers(plan, (0, 0))
            try:
                with self._connections.one() as connection:
                    written = self._written(connection, plan)
                    if written is None:  # somebody was first: see who is stale, and write what is not
                        known = self._sequences(connection, group)
                        continue
                    lost = self._lost_in_commit(connection)
                kept = lost is None or self._was_kept(plan, written, patience, lost)
            except psycopg.errors.CheckViolation as error:
                raise JournalStopped(self._connections.run(notes).get("closed", said_by(error))) from error
            except psycopg.Error as error:
                patience.wait(error)
                continue
            if kept:
                self._connections.reached()
                self._seen.after(self._connections.losses).note(plan.last)
                return self._answers(plan, written)

    def _written(self, connection: Connection, plan: Plan) -> tuple[int, int] | None:
        """Write everything, uncommitted; answers era and transaction, or None where it contradicts what is stored."""
        connection.autocommit, era = False, self._eras[connection]
        try:
            if len(plan.events) < COPY_ROWS_MIN:
                with connection.pipeline():
                    checks = self._checks(connection, plan)
                    inserted = insert_events(connection, plan)
                    feed = insert_rest(connection, plan, era)
                right = all(check() for check in checks) and sum(one.rowcount for one in inserted) == len(plan.events)
            else:
                right = all(check() for check in self._checks(connection, plan))
                if right:
                    copy_events(connection, plan)
                    with connection.pipeline():
                        feed = insert_rest(connection, plan, era)
            if right:
                return era, int(feed.fetchall()[0][0]) if feed is not None else 0
        except psycopg.errors.UniqueViolation:
            pass
        connection.rollback()
        return None

    def _checks(self, connection: Connection, plan: Plan) -> "list[Any]":
        """Questions whether what the plan rests on is so, where the primary key does not tell; each to be called."""
        seen = self._seen.after(self._connections.losses)
        there, absent = plan.predecessors(seen), plan.successors()
        checks = []
        if self._distributed and (there or absent):
            stands = dict(there) | {code: sequence - 1 for code, sequence in absent}
            asked = connection.execute(_SEQUENCES, (list(stands),))
            return [lambda: dict.fromkeys(stands, 0) | dict(asked.fetchall()) == stands]
        for expected, pairs in ((len(there), there), (0, absent)):
            if pairs:
                codes = SEPARATOR.join(code for code, _ in pairs)
                asked = connection.execute(_EXISTING, (codes, ",".join(str(sequence) for _, sequence in pairs)))
                checks.append(lambda asked=asked, expected=expected: asked.fetchall()[0][0] == expected)
        return checks

    def _lost_in_commit(self, connection: Connection) -> psycopg.Error | None:
        """Commit; answers the error where the connection was lost on the way, and the outcome is not known."""
        try:
            connection.commit()
        except psycopg.Error as error:
            if not is_away(error):
                raise
            return error
        return None

    def _was_kept(self, plan: Plan, written: tuple[int, int], patience: Patience, lost: psycopg.Error) -> bool:
        """Look whether a transaction whose end was not heard has been committed; its first batch tells.

        Raises:
            JournalStopped: that cannot be found out now.
        """
        if not plan.batches:  # documents alone: they may be written twice
            return False
        _, batch, *_ = plan.batches[0]
        asked = dict(zip(("era", "transaction"), written, strict=True))
        ended = 0
        error = lost
        while True:
            try:
                patience.wait(error)
                with self._connections.one() as connection:
                    stored, status = connection.execute(_OUTCOME, asked).fetchall()[0]
                    if stored == batch:
                        # A commit of our own waits for the disk, and for standbys, as the lost one should have.
                        connection.execute("UPDATE journal.meta SET value = value WHERE name = 'format'")
                        return True
            except psycopg.Error as again:
                error = again
            except JournalRefusal as refused:
                raise refusal(self._connections.name, error, unknown=True) from refused.__cause__
            else:
                ended += status != "in progress"
                if ended > 1:  # asked once more, for it may have ended between the two questions of the first look
                    return False

    def _sequences(self, connection: Connection, group: list[Request]) -> dict[str, int]:
        """How far each key of the group has come."""
        keys = sorted({key for request in group for key in request.expected})
        found = dict.fromkeys(keys, 0)
        for place, sequence, _ in self._read(connection, keys, 1):
            found[keys[place - 1]] = sequence
        return found

    def _answers(self, plan: Plan, written: tuple[int, int]) -> list[bytes | list[str]]:
        positions = plan.positions(self._database, *written)
        # Who wrote nothing is answered without asking again: a failure now would deny what the others have stored.
        written_last = next(filter(None, reversed(positions)), b"")
        return [
            stale or position or written_last or self.latest()
            for stale, position in zip(plan.stale, positions, strict=True)
        ]

    def latest(self) -> bytes:
        """The position after everything of which the order is settled."""
        rows = self._connections.run(lambda at: at.execute(_LATEST, (self._eras[at],)).fetchall())
        return packed_position(self._database, Stand(*rows[0]) if rows else Stand())

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        """Whole batches after a position, in order of arrival, and the position after them; at least one if any."""
        records, reached = self.stored_since(position, limit)
        return [event for record in records for event in unpacked_batch(record)], reached

    def stored_since(self, position: bytes | None, limit: int) -> tuple[list[bytes], bytes]:
        """The same batches as stored (`packed.unpacked_batch`), for who unpacks them elsewhere."""
        stand = stand_in(self._database, position)
        era, transaction, ordinal, batch = msgspec.structs.astuple(stand)
        asked = {"era": era, "transaction": transaction, "ordinal": ordinal, "batch": batch}
        asked |= {"rows": limit + 1, "limit": limit}
        rows = self._connections.run(
            lambda at: at.cursor(binary=True).execute(self._since, asked | {"now": self._eras[at]}).fetchall()
        )
        if batch and not rows[0][0]:
            assert position is not None, "a batch stands in it"
            raise foreign(position)
        found = [row for row in rows if row[1] is not None]
        if found:
            stand = Stand(*found[-1][1:5])
        return [row[5] for row in found], packed_position(self._database, stand)

    def due(self, until: int, limit: int) -> list[Deadline]:
        """Open deadlines up to `until` (µs UTC), earliest first, as (deadline, key, sequence)."""
        rows = self._connections.run(lambda connection: connection.execute(_DUE, (until, limit)).fetchall())
        return [(time, self._key_of(code), sequence) for time, code, sequence in rows]

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with the prefix, in order; those added meanwhile may be among them."""
        begin = prefix
        while True:
            page = self._page_of_keys(begin)
            for code in page:
                if not code.startswith(prefix):
                    return
                yield self._key_of(code)
            if len(page) < PAGE_KEYS:
                return
            begin = page[-1] + "\x01"  # the least that can follow

    def _page_of_keys(self, begin: str) -> list[str]:
        rows = self._connections.run(lambda connection: connection.execute(_KEYS, (begin, PAGE_KEYS)).fetchall())
        return [code for (code,) in rows]

    def _key_of(self, code: str) -> str:
        """The key that is filed under a code."""
        if is_key(code):
            return code
        first = self._connections.run(lambda at: at.cursor(binary=True).execute(_FIRST, (code,)).fetchall())
        return packed_events([first[0][0]])[0].key

    def document(self, digest: str) -> bytes | None:
        """A sealed raw message by its hash."""
        asked = "SELECT data FROM journal.document WHERE digest = %s"
        rows = self._connections.run(lambda at: at.cursor(binary=True).execute(asked, (digest,)).fetchall())
        return rows[0][0] if rows else None

    def latest_arrival(self) -> int:
        """Arrival (µs UTC) of what was written last, as far as the order is settled; 0 where nothing is."""
        asked = _LATEST.replace("batch FROM", "data FROM").encode()
        rows = self._connections.run(lambda at: at.cursor(binary=True).execute(asked, (self._eras[at],)).fetchall())
        return max(event.arrived for event in unpacked_batch(rows[0][3])) if rows else 0

    def mark(self, mark: str = "") -> str:
        """The mark of the secrets that belong with this record; the first one given is noted for ever."""

        def noted(connection: Connection) -> str:
            if mark:
                connection.execute(
                    "INSERT INTO journal.meta (name, value) VALUES ('secrets', %s) ON CONFLICT DO NOTHING", (mark,)
                )
            return notes(connection).get("secrets", "")

        return self._connections.run(noted)

    def close_for_writing(self, words: str) -> None:
        """Refuse every append from now on, on every host, and say why; returns when those under way have ended."""
        self._connections.run(lambda connection: close_tables(connection, words))

    def reopen_for_writing(self) -> None:
        """Take appends again; harmless where they were never refused."""
        self._connections.run(open_tables)

    def faults(self) -> list[str]:
        """Which of the rules for one schema on PostgreSQL and Citus the tables break, in words."""
        return self._connections.run(faults)

    def copy(self, path: Path) -> None:
        """A database has no folder to copy."""
        raise JournalUnusable(
            f"A journal in PostgreSQL is not copied to a folder such as {path}: use suyuan backup or suyuan export, or "
            "the tools of PostgreSQL."
        )

    def close(self) -> None:
        """Release the connections. Closing twice is harmless."""
        self._connections.close(f"The journal in the database {self._connections.name} is closed.")


class StoredHistory(msgspec.Struct, gc=False):
    """What is stored of one key, unpacked when somebody looks."""

    _key: str
    _rows: Sequence[tuple[int, bytes]]
    _older: Any
    _tail: list[Event] | None = None

    @property
    def sequence(self) -> int:
        """Number of events so far."""
        rows = self._rows
        return rows[-1][0] if rows else 0

    @property
    def tail(self) -> Sequence[Event]:
        """The latest events, oldest first: all of them up to 64."""
        if self._tail is None:
            self._tail = packed_events([data for _, data in self._rows])
        return self._tail

    @property
    def events(self) -> Sequence[Event]:
        """All events, oldest first; reads what was not read yet."""
        tail, before = self.tail, self._rows[0][0] - 1 if self._rows else 0
        return [*packed_events(self._older(self._key, before)), *tail] if before else tail


def _unusable(name: str, error: psycopg.Error) -> JournalRefusal:
    said = said_by(error)
    if is_away(error):
        return JournalStopped(
            f"The database {name} cannot be reached: {said}. See that it runs and that the setting database names it."
        )
    return JournalUnusable(
        f"The database {name} cannot be used: {said}. See that this user may make a schema and tables there."
    )
