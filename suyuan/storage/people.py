"""People who sign in: accounts with a role, passwords, sessions, and what waits for a second person's approval."""

import hashlib
import hmac
import secrets
import time
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from suyuan.ledger.privacy import Privacy
from suyuan.storage.credentials import TablesError
from suyuan.storage.database import keep_value, or_else
from suyuan.storage.passwords import check_password, hash_password, is_outdated, new_password, password_fault

ROLES = (
    "clerk",
    "pharmacist",
    "manager",
    "firm",
    "agency",
    "inspector",
    "drug_regulator",
    "vendor",
    "auditor",
    "security_officer",
    "administrator",
)
"""Who sees what is decided by role (`docs/access.md`); citizens need no account, and software has keys."""

FAILURES_MAX = 5
"""Wrong passwords in a row after which an account rests."""
REST_FIRST, REST_MAX = 30, 3600
"""Seconds: the first rest, doubled with every further failure up to an hour."""
STRANGERS_MAX = 10_000
"""Names that nobody has and somebody tried: anybody can make them up, so no more are kept."""
BACK_MAX = 300_000_000
"""µs by which a session may have been seen in the future: beyond, the clock was set back, and nobody can say how old
the session is."""
SEEN_EVERY = 60
"""Seconds between two notes that a session is in use: a page must not cost a write."""

_SECOND = 1_000_000
_ADDED = "person added"


class Person(msgspec.Struct, frozen=True):
    """Somebody who works with the system, and for whom."""

    name: str
    """Account name, unique."""
    role: str
    """One of `ROLES`; empty until a second person has approved it."""
    institution: str = ""
    region: str = ""
    """Six-digit division code, for inspectors and agencies."""
    disabled: bool = False
    fund: str = ""
    """The fund an agency's clerk works for; empty for all."""
    subject: str = ""
    """Who it is at the organisation's sign-on server (OpenID Connect); empty: signs in with a password."""


class Password(msgspec.Struct, frozen=True):
    """What is kept of a password, and how often somebody failed at it."""

    name: str
    kept: str
    must_change: bool = False
    """Set by somebody else: good for the first sign-in alone."""
    changed: int = 0
    """µs UTC."""
    failures: int = 0
    rests_until: int = 0
    """µs UTC; before that no password is tried."""


class Session(msgspec.Struct, frozen=True):
    """One sign-in of one person in one browser."""

    id: str
    """SHA-256 of what the cookie holds: who reads the table cannot pass for anybody."""
    person: str
    begun: int
    seen: int
    ends: int
    """µs UTC, all three."""
    client: str = ""
    """What the browser calls itself."""


class Request(msgspec.Struct, frozen=True):
    """Something about an account or a key that a second person must approve (三员分立)."""

    id: str
    kind: Literal["grant", "reset", "key"]
    person: str
    """Account name; for a key the party's code."""
    asked_by: str
    asked: int
    role: str = ""
    institution: str = ""
    region: str = ""
    fund: str = ""
    reason: str = ""
    decided_by: str = ""
    decided: int = 0
    outcome: Literal["", "approved", "refused"] = ""


class PeopleSchema:
    """The tables of people within a set of tables. Times are µs since 1970 UTC, as in the journal."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.people = sa.Table(
            "people",
            metadata,
            sa.Column("name", sa.Text, primary_key=True),
            *_texts("role", "institution", "region"),
            sa.Column("disabled", sa.Boolean, nullable=False),
            *_texts("fund", "subject", default="''"),
        )
        self.passwords = sa.Table(
            "passwords",
            metadata,
            sa.Column("name", sa.Text, primary_key=True),
            *_texts("kept"),
            sa.Column("must_change", sa.Boolean, nullable=False),
            *_numbers("changed", "failures", "rests_until"),
        )
        self.sessions = sa.Table(
            "sessions",
            metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("person", sa.Text, nullable=False, index=True),
            *_numbers("begun", "seen", "ends"),
            *_texts("client"),
        )
        self.requests = sa.Table(
            "account_requests",
            metadata,
            sa.Column("id", sa.Text, primary_key=True),
            *_texts("kind", "person", "asked_by"),
            *_numbers("asked"),
            *_texts("role", "institution", "region", "fund", "reason", "decided_by"),
            *_numbers("decided"),
            *_texts("outcome"),
        )
        self.strangers = sa.Table(
            "strangers", metadata, sa.Column("name", sa.Text, primary_key=True), *_numbers("failures", "rests_until")
        )


def _texts(*names: str, default: str | None = None) -> list[sa.Column[Any]]:
    server_default = None if default is None else sa.text(default)
    return [sa.Column(name, sa.Text, nullable=False, server_default=server_default) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


class PeopleTables:
    """What the tables do about people. Every public function is one transaction; threads may share it."""

    _engine: sa.Engine
    _schema: PeopleSchema
    _privacy: Privacy | None

    # Accounts

    def add_person(
        self, name: str, role: str, institution: str = "", region: str = "", *, fund: str = "", subject: str = ""
    ) -> Person:
        """Record somebody with a role, for an institution or a region. An empty role waits for approval.

        Raises:
            TablesError: the name is taken or empty, or the role is not one of `ROLES`.
        """
        _check_role(role)
        if not name.strip():
            raise TablesError("A person needs a name. Give an account name.")
        person = Person(name.strip(), role, institution, region, fund=fund, subject=subject)
        table = self._schema.people
        with self._engine.begin() as connection:
            keep_value(connection, _ADDED, "")  # of two at the same time one waits, and then sees the other
            if connection.execute(table.select().where(table.c.name == person.name)).first() is not None:
                raise TablesError(f"The name {person.name!r} is taken. Choose another.")
            if subject and connection.execute(table.select().where(table.c.subject == subject)).first() is not None:
                raise TablesError(f"Somebody else signs in as {subject!r} at the organisation. Look who it is.")
            connection.execute(table.insert(), msgspec.structs.asdict(person))
        return person

    def person(self, name: str) -> Person | None:
        """Somebody by account name."""
        return self._one_person(self._schema.people.c.name == name)

    def person_called(self, subject: str) -> Person | None:
        """Somebody by the name at the organisation's sign-on server."""
        return self._one_person(self._schema.people.c.subject == subject) if subject else None

    def list_people(self, text: str = "", after: str = "", limit: int | None = None) -> list[Person]:
        """Everybody by name, disabled ones included; of `text` those whose name, role or party holds it."""
        table = self._schema.people
        query = table.select().where(table.c.name > after).order_by(table.c.name).limit(limit)
        if text:
            like = f"%{text.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%"
            columns = (table.c.name, table.c.role, table.c.institution, table.c.region)
            query = query.where(sa.or_(*(column.like(like, escape="!") for column in columns)))
        with self._engine.begin() as connection:
            return [Person(*row) for row in connection.execute(query)]

    def disable_person(self, name: str, disabled: bool = True) -> None:  # noqa: FBT001, FBT002  reads as said
        """Lock somebody out at once, every session with it, or let them in again.

        Raises:
            TablesError: there is nobody of that name.
        """
        with self._engine.begin() as connection:
            self._change_person(connection, name, {"disabled": disabled})
            if disabled:
                connection.execute(self._schema.sessions.delete().where(self._schema.sessions.c.person == name))

    def _one_person(self, which: sa.ColumnElement[bool]) -> Person | None:
        with self._engine.begin() as connection:
            row = connection.execute(self._schema.people.select().where(which)).first()
        return None if row is None else Person(*row)

    def _change_person(self, connection: sa.Connection, name: str, values: dict[str, Any]) -> None:
        change = self._schema.people.update().where(self._schema.people.c.name == name).values(**values)
        if not connection.execute(change).rowcount:
            raise TablesError(f"There is nobody named {name!r}. List the people to see their names.")

    # Passwords

    def set_password(self, name: str, password: str, *, must_change: bool = False) -> None:
        """Let somebody sign in with this password from now on; all sessions end.

        Raises:
            TablesError: there is nobody of that name, or it is no password (too short, too easy).
        """
        if fault := password_fault(name, password):
            raise TablesError(fault)
        row = Password(name, hash_password(password), must_change, _now())
        with self._engine.begin() as connection:
            self._change_person(connection, name, {"name": name})
            self._save_password(connection, row)
            connection.execute(self._schema.sessions.delete().where(self._schema.sessions.c.person == name))

    def one_time_password(self, name: str) -> str:
        """A new password for the first sign-in, shown this once.

        Raises:
            TablesError: there is nobody of that name.
        """
        password = new_password()
        self.set_password(name, password, must_change=True)
        return password

    def try_password(self, name: str, password: str) -> tuple[Password | None, int]:
        """Try a password: what is kept where it is right, else None; and the seconds before another is tried.

        A name that nobody has takes the same time as a wrong password, and rests like one that somebody has.
        """
        held = self.password_of(name)
        rests_until = self._stranger_rests_until(name) if held is None else held.rests_until
        wait = max(0, rests_until - _now())
        if wait:
            return None, -(-wait // _SECOND)
        right = check_password(password, held.kept if held else "")
        if held is None:
            return None, self._note_stranger(name)
        return (self._note_success(held, password), 0) if right else (None, self._note_failure(name))

    def password_of(self, name: str) -> Password | None:
        """What is kept of somebody's password."""
        table = self._schema.passwords
        with self._engine.begin() as connection:
            row = connection.execute(table.select().where(table.c.name == name)).first()
        return None if row is None else Password(*row)

    def _note_success(self, held: Password, password: str) -> Password:
        kept = hash_password(password) if is_outdated(held.kept) else held.kept
        row = msgspec.structs.replace(held, kept=kept, failures=0, rests_until=0)
        if row != held:
            with self._engine.begin() as connection:
                self._save_password(connection, row)
        return row

    def _note_failure(self, name: str) -> int:
        """One more failure, counted where it is kept: of many guesses at the same time each one counts."""
        table = self._schema.passwords
        own = table.c.name == name
        with self._engine.begin() as connection:
            connection.execute(table.update().where(own).values(failures=table.c.failures + 1))
            failures = connection.execute(sa.select(table.c.failures).where(own)).scalar() or 0
            rest = _rest(failures)
            if rest:
                connection.execute(table.update().where(own).values(rests_until=_now() + rest * _SECOND))
        return rest

    def _note_stranger(self, name: str) -> int:
        """As for an account, so that nobody learns which names there are."""
        table = self._schema.strangers
        first = {"name": self._stranger(name), "failures": 1, "rests_until": 0}
        with self._engine.begin() as connection:
            one_more = or_else(connection, table, first, {"failures": table.c.failures + 1})
            failures: int = connection.execute(one_more.returning(table.c.failures)).scalar_one()
            rest = _rest(failures)
            if rest:
                own = table.c.name == first["name"]
                connection.execute(table.update().where(own).values(rests_until=_now() + rest * _SECOND))
            if (connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0) > STRANGERS_MAX:
                connection.execute(table.delete())
        return rest

    def _stranger_rests_until(self, name: str) -> int:
        table = self._schema.strangers
        query = sa.select(table.c.rests_until).where(table.c.name == self._stranger(name))
        with self._engine.begin() as connection:
            return connection.execute(query).scalar() or 0

    def _stranger(self, name: str) -> str:
        """Under what a name that nobody has is kept: people mistype their passwords into this field."""
        key = self._privacy.keys()[0] if self._privacy else b""
        return hmac.digest(key, f"stranger {name}".encode("utf-8", "surrogatepass"), "sha256").hex()

    def _save_password(self, connection: sa.Connection, row: Password) -> None:
        connection.execute(or_else(connection, self._schema.passwords, msgspec.structs.asdict(row)))

    # Sessions

    def open_session(self, name: str, seconds: int, client: str = "") -> tuple[str, Session]:
        """A new session and what its cookie holds; sessions that are over are forgotten on the way."""
        token, now = secrets.token_urlsafe(32), _now()
        row = Session(session_id(token), name, now, now, now + seconds * _SECOND, client[:200])
        table = self._schema.sessions
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.ends < now))
            connection.execute(table.insert(), msgspec.structs.asdict(row))
        return token, row

    def session_of(self, token: str, idle_seconds: int) -> tuple[Session, Person] | None:
        """The session of a cookie and whose it is; None for one that is unknown, over, or was idle too long."""
        sessions, people, now = self._schema.sessions, self._schema.people, _now()
        both = sa.select(sessions, people).join(people, people.c.name == sessions.c.person)
        own = sessions.c.id == session_id(token)
        with self._engine.begin() as connection:
            row = connection.execute(both.where(own)).first()
            if row is None:
                return None
            fields = len(Session.__struct_fields__)
            session, person = Session(*row[:fields]), Person(*row[fields:])
            if person.disabled or not person.role or now >= session.ends:
                return None
            if now - session.seen >= idle_seconds * _SECOND or session.seen - now > BACK_MAX:
                return None
            if now - session.seen >= SEEN_EVERY * _SECOND:
                connection.execute(sessions.update().where(own).values(seen=now))
        return session, person

    def list_sessions(self, name: str) -> list[Session]:
        """Open sessions of a person, the latest first."""
        table = self._schema.sessions
        query = table.select().where(table.c.person == name, table.c.ends > _now()).order_by(table.c.begun.desc())
        with self._engine.begin() as connection:
            return [Session(*row) for row in connection.execute(query)]

    def end_sessions(self, name: str, only: str = "") -> int:
        """End all sessions of a person, or one of them by its id; answers how many."""
        table = self._schema.sessions
        which = sa.and_(table.c.person == name, table.c.id == only) if only else table.c.person == name
        with self._engine.begin() as connection:
            return connection.execute(table.delete().where(which)).rowcount

    # What a second person approves

    def ask(
        self,
        kind: Literal["grant", "reset", "key"],
        person: str,
        asked_by: str,
        *,
        role: str = "",
        institution: str = "",
        region: str = "",
        fund: str = "",
        reason: str = "",
    ) -> Request:
        """Ask for a role (`grant`), a one-time password (`reset`) or a key; it holds when somebody else approves it.

        Raises:
            TablesError: there is nobody of that name, no such role, or somebody asks for themselves.
        """
        _check_role(role)
        if person == asked_by:
            raise TablesError("Nobody asks for themselves. Let another administrator ask.")
        if kind != "key" and self.person(person) is None:
            raise TablesError(f"There is nobody named {person!r}. List the people to see their names.")
        row = Request(
            secrets.token_hex(6),
            kind,
            person,
            asked_by,
            _now(),
            role=role,
            institution=institution,
            region=region,
            fund=fund,
            reason=reason[:500],
        )
        with self._engine.begin() as connection:
            connection.execute(self._schema.requests.insert(), msgspec.structs.asdict(row))
        return row

    def decide(self, request_id: str, decided_by: str, *, approve: bool) -> tuple[Request, str]:
        """Approve or refuse what waits; an approval acts at once and answers a one-time password where one is due.

        Raises:
            TablesError: it does not wait any more, or who decides has asked for it or is concerned.
        """
        table = self._schema.requests
        with self._engine.begin() as connection:
            row = connection.execute(table.select().where(table.c.id == request_id, table.c.outcome == "")).first()
            if row is None:
                raise TablesError(f"Nothing waits under {request_id!r}: somebody has decided it already.")
            asked = Request(*row)
            if decided_by in (asked.asked_by, asked.person):
                raise TablesError("Who asked, or is concerned, does not decide. Let another security officer look.")
            outcome: Literal["approved", "refused"] = "approved" if approve else "refused"
            done = msgspec.structs.replace(asked, decided_by=decided_by, decided=_now(), outcome=outcome)
            waiting = sa.and_(table.c.id == request_id, table.c.outcome == "")
            if not connection.execute(table.update().where(waiting).values(msgspec.structs.asdict(done))).rowcount:
                raise TablesError(f"Nothing waits under {request_id!r}: somebody has decided it already.")
            if approve and asked.kind == "grant":
                values = {name: getattr(asked, name) for name in ("role", "institution", "region", "fund")}
                self._change_person(connection, asked.person, values)
                # What was begun in another role must not go on in the new one.
                sessions = self._schema.sessions
                connection.execute(sessions.delete().where(sessions.c.person == asked.person))
        return done, self._first_password(done) if approve else ""

    def list_requests(self, *, waiting: bool = True, limit: int = 200) -> list[Request]:
        """What waits for approval, oldest first; or what was decided, latest first."""
        table = self._schema.requests
        order = table.c.asked if waiting else table.c.decided.desc()
        open_ones = table.c.outcome == "" if waiting else table.c.outcome != ""
        with self._engine.begin() as connection:
            return [
                Request(*row)
                for row in connection.execute(table.select().where(open_ones).order_by(order).limit(limit))
            ]

    def _first_password(self, done: Request) -> str:
        """The approver gets it: who administers accounts alone can then never enter one."""
        if done.kind == "key":
            return ""
        person = self.person(done.person)
        assert person is not None, "the approval has just changed it"
        first = done.kind == "grant" and not person.subject and self.password_of(done.person) is None
        return self.one_time_password(done.person) if first or done.kind == "reset" else ""


def session_id(token: str) -> str:
    """The id under which the session of a cookie is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _rest(failures: int) -> int:
    """Seconds that an account rests after so many failures in a row."""
    return min(REST_MAX, REST_FIRST << min(failures - FAILURES_MAX, 16)) if failures >= FAILURES_MAX else 0


def _check_role(role: str) -> None:
    if role and role not in ROLES:
        raise TablesError(f"There is no role {role!r}. Use one of: {', '.join(ROLES)}.")


def _now() -> int:
    return time.time_ns() // 1000
