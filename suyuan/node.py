"""A node: one folder with journal, tables and secrets, wired into a desk; the only place that names an engine."""

import fcntl
import hashlib
import os
import secrets as random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, runtime_checkable

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import Content
from suyuan.formats.document import Document, Outcome
from suyuan.ledger.journal import Journal
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.privacy import Privacy
from suyuan.ledger.signer import Link, Signer, followed
from suyuan.lookup.moment import iso_time
from suyuan.settings import FILE, Settings, read_settings
from suyuan.settlement.policy import PRESETS
from suyuan.storage.audit import FILE as AUDIT
from suyuan.storage.audit import HEAD, AuditRecord
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.packed import batch_parts
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.quarantine import FILE as QUARANTINE
from suyuan.storage.quarantine import Quarantine
from suyuan.storage.rocks import MIB, RocksJournal
from suyuan.storage.tables import Tables
from suyuan.views import VIEWS
from suyuan.views.apart import StoredFeed, ViewsApart

if TYPE_CHECKING:
    from suyuan.intake import Desk
    from suyuan.intake.desk import Nation
    from suyuan.lake.lake import Lake
    from suyuan.lake.rhythm import Rhythm
    from suyuan.lake.verification import Checked
    from suyuan.ledger.events import Event
    from suyuan.proof.checkpoints import Checkpoints, Hand
    from suyuan.proof.prover import Prover
    from suyuan.proof.verifier import Checkpoint, Key

Opened = TypeVar("Opened")

SECRETS = "secrets.json"
JOURNAL = "journal"
TABLES = "tables.sqlite"
LISTS = "views.sqlite"
LAKE = "lake"
CHECKPOINTS = "checkpoints"
DATABASE = "DATABASE"
"""Stands in a folder whose journal is in a database, and names that record: another one is not taken for it."""
IMPORTING = "IMPORTING"
"""Stands in a folder while an export is being brought in; a folder that still has it was not filled to the end."""
SECRETS_MARK = "secrets_mark"
"""Under this name the tables keep which secrets belong with the node."""
MOVING = "MOVING"
"""Stands in a folder while a node is being moved into it, and names the folder from where."""
MOVED = "MOVED"
"""Stands in a folder that a node has left, and says where it went."""


@runtime_checkable
class Dated(Protocol):
    """A journal that knows when its last facts arrived."""

    def latest_arrival(self) -> int:
        """µs UTC; 0 where there are none."""
        ...


class opened_once(Generic[Opened]):  # noqa: N801  stands where `cached_property` would
    """A property that is opened when it is first asked for: once, however many threads ask at the same moment.

    `cached_property` would do so on Python 3.11 only.
    """

    def __init__(self, opened: Callable[[Any], Opened]) -> None:
        self._opened = opened
        self._one = threading.Lock()
        self.__doc__ = opened.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, node: Any, _: type | None = None) -> Opened:  # noqa: ANN401  whatever has it
        with self._one:
            if self._name not in node.__dict__:
                node.__dict__[self._name] = self._opened(node)  # where it is found from now on
            opened: Opened = node.__dict__[self._name]
        return opened


class NodeUnusable(Exception):  # noqa: N818  the reader's word for it
    """The node's folder cannot be opened; the words say why and what to do."""


class _Secrets(msgspec.Struct, omit_defaults=True):
    person_key: bytes
    seal_key: bytes
    """The first one; those that replaced it follow in `later_seal_keys`."""
    sign_key: bytes = b""
    """The newest one. Folders from before there was one get theirs when it is first needed."""
    later_seal_keys: list[bytes] = []
    sign_chain: list[Link] = []
    """Public parts of all keys that signed, once one was replaced."""


def system_clock() -> int:
    """µs UTC now."""
    return time.time_ns() // 1000


class SteadyClock:
    """The machine's clock for facts: it never steps back, not even behind what was written before it was made.

    While the machine's own clock is behind, the time stands still, and `behind` says by how much.
    """

    def __init__(self, latest: int = 0) -> None:
        self._latest = latest
        self._one = threading.Lock()
        self.behind = 0
        """µs by which the machine's clock was behind when it was last looked at."""

    def __call__(self) -> int:
        """µs UTC."""
        now = system_clock()
        with self._one:
            self.behind = max(0, self._latest - now)
            self._latest = max(self._latest, now)
            return self._latest


class Node:
    """An open node. Close it, or use it as a context."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Settings,
        journal: Journal,
        tables: Tables,
        privacy: Privacy,
        clock: Callable[[], int],
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.journal = journal
        self.tables = tables
        self.privacy = privacy
        self.ledger = Ledger(journal, clock)
        self.catalogue_lock = threading.Lock()
        """Held while the catalogue is changed, in the tables and here: one change at a time."""
        self._desk: Desk | None = None
        self._agreed = ""
        """What was signed last, once it was found to be of this folder's record."""
        self._looked = False
        self._nation: Nation | None = None
        self._changes: dict[str, str] = {}
        """What the tables said of the catalogue when it was read last."""
        self.reload_catalogue()

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Callable[[], int] = system_clock,
        *,
        block_cache_mb: int | None = None,
        half_made: bool = False,
    ) -> Self:
        """Open the node in a folder, or make one there if the folder is empty or absent.

        `block_cache_mb` stands in for that setting where the caller knows how much memory there is to spend.
        `half_made` opens one that is being moved, for who moves it.

        Raises:
            NodeUnusable: the folder cannot be used (something else is in it, not writable, newer version, incomplete).
            SettingsWrong: its settings cannot be used.
        """
        check_folder(folder, half_made=half_made)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NodeUnusable(
                f"the folder {folder} cannot be made: {error.strerror}; choose another with --dir"
            ) from error
        settings = read_settings(folder)
        if settings.database:
            settings = msgspec.structs.replace(settings, engine="postgresql")
        if block_cache_mb is not None:
            settings = msgspec.structs.replace(settings, block_cache_mb=block_cache_mb)
        journal, privacy = _opened(folder, settings)
        try:
            tables = Tables.open(kept_at(folder, settings, TABLES) or ":memory:", privacy)
            _check_secrets(folder, tables, privacy)
        except BaseException:
            journal.close()
            raise
        if clock is system_clock:
            clock = SteadyClock(journal.latest_arrival() if isinstance(journal, Dated) else 0)
        return cls(folder, settings=settings, journal=journal, tables=tables, privacy=privacy, clock=clock)

    @classmethod
    def open_copy(cls, folder: Path, copy: Path, clock: Callable[[], int] = system_clock) -> Self:
        """The node in a folder, with a copy of its journal instead of the one that a server owns; for reading.

        Raises:
            NodeUnusable: as for `open`.
        """
        settings = read_settings(folder)
        privacy = read_secrets(folder)
        journal = RocksJournal(copy, block_cache_bytes=min(settings.block_cache_mb, 64) * MIB)
        try:
            tables = Tables.open(folder / TABLES, privacy)
        except BaseException:
            journal.close()
            raise
        return cls(folder, settings=settings, journal=journal, tables=tables, privacy=privacy, clock=clock)

    @classmethod
    def open_existing(cls, folder: Path, clock: Callable[[], int] = system_clock) -> Self:
        """Open the node in a folder; who only asks makes none, for a wrong folder must not answer `nothing is known`.

        Raises:
            NodeUnusable: there is no node, or as for `open`.
            SettingsWrong: its settings cannot be used.
        """
        if not is_node(folder):
            raise NodeUnusable(
                f"there is no node in {folder}: name its folder with --dir; the first upload or import makes a new one"
            )
        return cls.open(folder, clock)

    def check_clock(self) -> None:
        """See that the machine's clock is not far behind what the journal holds: for who is going to write for long.

        Raises:
            NodeUnusable: it is, and facts would be dated wrong for as long.
        """
        now = self.ledger.clock()
        behind = getattr(self.ledger.clock, "behind", 0) // 3_600_000_000
        if behind >= self.settings.clock_behind_hours_max:
            raise NodeUnusable(
                f"the latest fact in {self.folder} arrived at {iso_time(now)}, and the clock of this machine is "
                f"{behind} hours behind it: set the clock. If that fact was dated by a clock that was wrong, restore a "
                "backup from before it, or raise the setting clock_behind_hours_max: time stands still until then"
            )

    def reload_catalogue(self) -> None:
        """Read the catalogue from the tables; uploads from now on are judged by it."""
        changes = self.tables.catalogue_changes()  # read before the content: what changes between is looked at again
        self.use_catalogue(self.tables.load_catalogue())
        self._changes = changes

    def follow_catalogue(self) -> bool:
        """Use what has become of the catalogue in the tables, whoever changed it; whether anything had."""
        changes = self.tables.catalogue_changes()
        stale = [name for name, word in changes.items() if self._changes.get(name) != word]
        if stale:
            fresh = self.tables.load_catalogue(stale)
            rows = {name: getattr(fresh, name) for name in stale}
            self.use_catalogue(msgspec.structs.replace(self.catalogue.content, **rows))
            self._changes = changes
        return bool(stale)

    def use_catalogue(self, content: Content) -> None:
        """Judge uploads from now on by this catalogue."""
        self.catalogue = Catalogue(content)

    def ask_nation(self, nation: "Nation") -> None:
        """Ask from now on before a claim is judged (R23)."""
        self._nation, self._desk = nation, None

    @property
    def desk(self) -> "Desk":
        """Where uploads are taken and judged; what only asks never needs it, and starts faster without."""
        # One that is made while the catalogue changes is for this upload alone: the next one asks again.
        catalogue, desk = self.catalogue, self._desk
        if desk is None or desk.catalogue is not catalogue:
            self._desk = desk = self._desk_with(catalogue)
        return desk

    def _desk_with(self, catalogue: Catalogue) -> "Desk":
        from suyuan.intake import Desk  # noqa: PLC0415  costs a third of the start

        return Desk(
            ledger=self.ledger,
            catalogue=catalogue,
            privacy=self.privacy,
            policy=PRESETS[self.settings.policy],
            accept_unknown=self.settings.accept_unknown,
            keep_documents=self.settings.keep_documents,
            elsewhere=bool(self.settings.nation),
            nation=self._nation,
        )

    @opened_once
    def views(self) -> ViewsApart:
        """Lists over the journal; opened when somebody first asks for one."""
        path = self.folder / LISTS if self.settings.engine != "memory" else None
        return ViewsApart.open(path, self.journal, VIEWS)

    @opened_once
    def audit(self) -> AuditRecord:
        """Who opened personal data or changed an account; opened when somebody first does."""
        return open_audit(self.folder, self.settings, self.tables)

    @cached_property
    def salt_key(self) -> bytes:
        """From which the salts of proofs are made."""
        return self.privacy.mark("salts of proofs", "1")

    @cached_property
    def lake(self) -> "Lake":
        """The journal's facts as columns.

        Raises:
            NodeUnusable: the journal is forgotten at the end of the process; there is nothing to seal.
        """
        from suyuan.lake.lake import Lake, Source  # noqa: PLC0415  half a second that most commands do without
        from suyuan.proof.leaf import hidden_places  # noqa: PLC0415  likewise

        if self.settings.engine == "memory":
            raise NodeUnusable("the engine memory forgets its journal: there is nothing to seal")
        hidden = lambda: hidden_places(self.catalogue.content)  # noqa: E731  it changes with the catalogue
        return Lake(self.folder / LAKE, Source(self.batches, self.salt_key, hidden, self.ledger.clock))

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        """What this node signed of its sealed record."""
        from suyuan.proof.checkpoints import Checkpoints, origin_of  # noqa: PLC0415  few commands ask for it

        return Checkpoints(self.folder / CHECKPOINTS, origin_of(self.settings.name))

    @cached_property
    def prover(self) -> "Prover":
        """Makes proofs from the sealed record."""
        from suyuan.proof.prover import Prover  # noqa: PLC0415  likewise

        return Prover(self.lake, self.checkpoints, self.salt_key, self.sign_chain, self._sm2_public())

    def checkpoint(self) -> "Checkpoint | None":
        """Sign the sealed record as it stands, where it has grown since; None before anything is sealed.

        Raises:
            CheckpointRefused: the record contradicts what was signed before.
            KeptElsewhere: by another host of the same database, which keeps the record.
        """
        lines = [segment.line for segment in self.lake.segments()]
        if self.settings.database and lines:
            from suyuan.proof.checkpoints import agreed  # noqa: PLC0415  few commands ask for it

            self.checkpoints.check(lines)  # first: what was lost or altered here is no other host's doing
            # Other hosts have lakes of their own, cut elsewhere: what any of them has signed holds for all.
            self.tables.change_value(self._signed, lambda last: agreed(last, lines))
        return self.checkpoints.sign(lines, self._hands(), self.ledger.clock())

    def keeps_record(self) -> bool:
        """Whether this folder has the record that the node signs: of several hosts on one database, one has."""
        if not self.settings.database:
            return True
        from suyuan.proof.checkpoints import CheckpointRefused, agreed  # noqa: PLC0415  few commands ask for it

        last = self.tables.meta(self._signed) or ""
        if last and last != self._agreed:
            try:
                agreed(last, [segment.line for segment in self.lake.segments()])
            except CheckpointRefused:
                return False
            self._agreed = last
        return True

    @property
    def _signed(self) -> str:
        """Under which the tables keep size and root of what was signed last; another name is another record."""
        return f"signed:{self.checkpoints.origin}"

    def promise(self, event: "Event", *, hidden: bool) -> str:
        """A signed note that an event is in the record and will be sealed; `hidden` where its place is not told."""
        from suyuan.proof.checkpoints import promised  # noqa: PLC0415  few commands ask for it

        minutes = 2 * self.settings.lake_seal_minutes or 24 * 60
        by = self.ledger.clock() + minutes * 60_000_000
        return promised(event, self.checkpoints.origin, self._hands(), by, hidden=hidden)

    def _hands(self) -> list["Hand"]:
        from suyuan.ledger.sm2 import sign_sm2  # noqa: PLC0415  likewise
        from suyuan.proof.checkpoints import Hand  # noqa: PLC0415
        from suyuan.proof.verifier import ED25519, Key  # noqa: PLC0415

        hands = [Hand(Key(ED25519, self.signer.public), self.signer.sign)]
        sm2, private = self._sm2_public(), self.settings.sm2_key
        if sm2 is not None:
            hands.append(Hand(sm2, lambda message: bytes.fromhex(sign_sm2(private, message))))
        return hands

    def verify_record(self) -> "Checked":
        """Look whether journal, sealed record and checkpoints are all as they were (`lake.verification`)."""
        from suyuan.lake.verification import Secrets, verify_record  # noqa: PLC0415  likewise
        from suyuan.proof.leaf import hidden_places  # noqa: PLC0415
        from suyuan.proof.verifier import ED25519, Key  # noqa: PLC0415

        sm2 = self._sm2_public()
        signers = [*(Key(ED25519, public) for public in self.publics), *([sm2] if sm2 else [])]
        secrets = Secrets(self.salt_key, hidden_places(self.catalogue.content), signers, self.privacy.unseal)
        return verify_record(self.lake, self.journal, self.checkpoints, secrets)

    def _sm2_public(self) -> "Key | None":
        from suyuan.ledger.sm2 import public_of  # noqa: PLC0415  likewise
        from suyuan.proof.verifier import SM2, Key  # noqa: PLC0415

        return Key(SM2, public_of(self.settings.sm2_key)) if self.settings.sm2_key else None

    @cached_property
    def rhythm(self) -> "Rhythm":
        """When this node's server seals."""
        from suyuan.lake.rhythm import Rhythm  # noqa: PLC0415  as for the lake

        chosen = self.settings
        return Rhythm(
            self.lake, events=chosen.lake_seal_events, minutes=chosen.lake_seal_minutes, days=chosen.lake_keep_days
        )

    def seal_in_time(self) -> int:
        """Seal what has waited long enough, and sign it; answers how many events that were.

        Raises:
            LakeRefusal: the lake cannot be read or written.
            CheckpointRefused: the record contradicts what was signed before.
        """
        if not self.keeps_record():
            return 0
        sealed = self.rhythm.look()
        if sealed or not self._looked:  # what was sealed and not signed when the last process ended is signed now
            self.checkpoint()
            self._looked = True
        return sealed

    def batches(self, position: bytes | None, limit: int) -> tuple[list[tuple[int, bytes]], bytes]:
        """The feed after a position as stored: number of events and their MessagePack, batch by batch.

        Raises:
            ValueError: the position is none of this journal's.
        """
        assert isinstance(self.journal, StoredFeed), "every engine gives its feed as stored"
        records, reached = self.journal.stored_since(position, limit)
        return list(map(batch_parts, records)), reached

    @opened_once
    def quarantine(self) -> Quarantine:
        """Messages on which our own code failed; opened when there is one."""
        return Quarantine(self.folder / QUARANTINE if self.settings.engine != "memory" else None, self.privacy)

    def quarantined(self) -> tuple[int, bool]:
        """How many messages are in quarantine, and whether it is full; none is made to be asked."""
        if "quarantine" not in self.__dict__ and not (self.folder / QUARANTINE).exists():
            return 0, False
        return self.quarantine.count(), self.quarantine.full()

    @cached_property
    def signer(self) -> Signer:
        """The node's own signature, made once."""
        return _signer(self.folder)

    @cached_property
    def sign_chain(self) -> list[Link]:
        """The public keys that ever signed for this node, each signed by the one before it."""
        return sign_chain_of(self.folder)

    @property
    def publics(self) -> list[bytes]:
        """Public keys that ever signed for this node, the newest first."""
        return [link.public for link in reversed(self.sign_chain)]

    def secrets_written(self) -> bytes:
        """All secrets, as they stand in their file."""
        _ = self.signer  # an older folder gets it by this
        return msgspec.json.encode(_kept_secrets(self.folder))

    def take(self, document: Document, by: str = "") -> Outcome:
        """Take one document in (`intake.take`)."""
        from suyuan.intake import take  # noqa: PLC0415  as for the desk

        return take(self.desk, document, by)

    def take_all(
        self,
        documents: Iterable[Document],
        by: str = "",
        failed: Callable[[Document, Exception], Outcome] | None = None,
    ) -> Iterator[tuple[Document, Outcome]]:
        """Take documents in, one after the other (`intake.take_all`)."""
        from suyuan.intake import take_all  # noqa: PLC0415  as for the desk

        return take_all(self.desk, documents, by, failed)

    def take_time(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Write what has fallen due (`intake.take_time`), until it is `stopping`; nothing in a rehearsal."""
        from suyuan.intake import take_time  # noqa: PLC0415  as for the desk

        return 0 if self.ledger.rehearsing else take_time(self.desk, stopping)

    def rehearse(self, on: bool = True) -> None:  # noqa: FBT001, FBT002  reads as said
        """Judge and answer from now on without writing anything: each document stands alone against what is stored."""
        self.ledger.rehearsing = on

    def close(self) -> None:
        """Release the folder."""
        if "views" in self.__dict__:
            self.views.close()
        if "audit" in self.__dict__:
            self.audit.close()
        if "quarantine" in self.__dict__:
            self.quarantine.close()
        self.journal.close()
        self.tables.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kept_at(folder: Path, settings: Settings, file: str) -> Path | str | None:
    """Where a node keeps what is beside its journal: in its database, in this file of its folder, or (None) nowhere."""
    if settings.engine == "memory":
        return None
    return settings.database or folder / file


def open_audit(folder: Path, settings: Settings, tables: Tables) -> AuditRecord:
    """The audit record of a node whose tables are open.

    Raises:
        AuditBroken: it cannot be opened.
    """
    at = kept_at(folder, settings, AUDIT)
    # A database keeps the head of the record with each line; of a file, the tables beside it do.
    return AuditRecord.open(at, None if settings.database else lambda head: tables.set_meta(HEAD, head))


def is_node(folder: Path) -> bool:
    """Whether a node has been made in this folder; nothing is opened or written."""
    return any((folder / name).exists() for name in (JOURNAL, TABLES, IMPORTING, DATABASE))


def check_folder(folder: Path, *, half_made: bool = False) -> None:
    """A node is made in a folder of its own; one not filled to the end, left, or without its journal, stays shut.

    Raises:
        NodeUnusable: the folder holds something else, or a node that is not whole.
    """
    try:
        held = {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return
    except OSError as error:
        raise NodeUnusable(
            f"the folder {folder} cannot be used: {error.strerror}; choose another with --dir"
        ) from error
    if IMPORTING in held:
        raise NodeUnusable(f"an import into {folder} was not finished: delete the folder and import again")
    if not half_made:
        _check_moves(folder, held)
    database = read_settings(folder).database
    if database and JOURNAL in held:
        raise NodeUnusable(
            f"{folder} keeps a journal of its own, which the setting database would leave behind: take it out, or "
            "carry the node over with suyuan export and import"
        )
    if DATABASE in held and not database:
        raise NodeUnusable(
            f"the journal of {folder} is in a database: name it with the setting database; a new one is not started, "
            "for then paid boxes would be paid again"
        )
    if DATABASE in held:
        return
    if TABLES in held and JOURNAL not in held:
        raise NodeUnusable(
            f"{folder} has lost its {JOURNAL}: restore it from a copy; it is not started anew, for then paid boxes "
            "would be paid again"
        )
    others = sorted(name for name in held - {SECRETS, FILE, MOVING} if not name.startswith("."))
    if JOURNAL not in held and others:
        raise NodeUnusable(f"{folder} holds something else ({others[0]}): choose an empty or new folder with --dir")


def _check_moves(folder: Path, held: set[str]) -> None:
    if MOVED in held:
        raise NodeUnusable(f"the node in {folder} has moved: {(folder / MOVED).read_text().strip()}")
    if MOVING in held:
        came_from = (folder / MOVING).read_text().strip()
        raise NodeUnusable(f"a move from {came_from} into {folder} was not finished: run suyuan move again")


def make_database(address: str, *, distribute: bool = False) -> str:
    """Make the tables of a journal in a database, if there are none; answers what names the record.

    Raises:
        JournalRefusal: the database cannot be reached or used.
    """
    journal = PostgresJournal(address, distribute=distribute)
    journal.close()
    return journal.identity


def database_faults(address: str) -> list[str]:
    """Which rules for one schema on PostgreSQL and Citus the tables of the journal break, in words.

    Raises:
        JournalRefusal: the database cannot be reached, or holds no journal.
    """
    journal = PostgresJournal(address, make=False)
    try:
        return journal.faults()
    finally:
        journal.close()


def _opened(folder: Path, settings: Settings) -> tuple[Journal, Privacy]:
    """The journal, and the secrets that belong with it."""
    if not settings.database:
        privacy = _privacy(folder)
        return _journal(folder, settings), privacy
    journal = PostgresJournal(settings.database, make=not (folder / DATABASE).exists())
    try:
        _await_secrets(folder, journal)
        privacy = _privacy(folder)
        _join(folder, journal, privacy)
    except BaseException:
        journal.close()
        raise
    return journal, privacy


def _await_secrets(folder: Path, journal: PostgresJournal) -> None:
    """Where the database has a record already, its secrets are to be brought; new ones would only be in the way."""
    if journal.mark() and not (folder / SECRETS).exists():
        raise NodeUnusable(
            f"the database has the record of a node whose secrets are not in {folder}: copy {SECRETS} there from a "
            "host that uses this database"
        )


def _journal(folder: Path, settings: Settings) -> Journal:
    if settings.engine == "memory":
        if (folder / JOURNAL).exists():
            raise NodeUnusable(f"{folder} keeps a journal: the engine memory would not see it; use the engine rocks")
        return MemoryJournal()
    return RocksJournal(
        folder / JOURNAL,
        block_cache_bytes=settings.block_cache_mb * MIB,
        write_buffer_bytes=settings.write_buffer_mb * MIB,
    )


def _join(folder: Path, journal: PostgresJournal, privacy: Privacy) -> None:
    """See that folder, secrets and database belong together; the first time, note in each that they do."""
    marker = folder / DATABASE
    held = marker.read_text().strip() if marker.exists() else ""  # empty also where its writing was cut off
    if held and held != journal.identity:
        raise NodeUnusable(
            f"{folder} belongs with the record {held[:8]}… and the setting database names {journal.identity[:8]}…: "
            "name the database that it had, or use a new folder"
        )
    mark = secrets_mark(privacy)
    if journal.mark(mark) != mark:
        raise NodeUnusable(
            f"the secrets in {folder} are not those of the database: its pseudonyms and seals would not match. Copy "
            f"{SECRETS} from a host that uses this database"
        )
    if not held:
        try:
            _write_whole(marker, f"{journal.identity}\n".encode(), 0o644)
        except OSError as error:
            raise NodeUnusable(
                f"{marker} cannot be written: {error.strerror}; see to the disk and its rights"
            ) from error


def _check_secrets(folder: Path, tables: Tables, privacy: Privacy) -> None:
    """The tables know with which secrets they began: others, say of another node, would find nobody again."""
    mark, held = secrets_mark(privacy), tables.meta(SECRETS_MARK)
    if held is None:
        tables.set_meta(SECRETS_MARK, mark)
    elif held != mark:
        tables.close()
        raise NodeUnusable(
            f"{folder / SECRETS} is not that of this node: nothing sealed could be opened and nobody would be known "
            "again. Bring back the one that belongs here"
        )


def secrets_mark(privacy: Privacy) -> str:
    """Tells whether two nodes have the same secrets, and nothing else of them; keys that follow do not change it."""
    return hashlib.sha256(b"".join(privacy.keys()[:2])).hexdigest()[:16]


def _privacy(folder: Path) -> Privacy:
    """The node's secrets: made once, readable by its owner only. Lost secrets are never replaced in silence."""
    path = folder / SECRETS
    if not path.exists():
        if (folder / JOURNAL).exists() or (folder / DATABASE).exists():
            raise NodeUnusable(f"{path} is missing beside a journal: restore it, or pseudonyms would no longer match")
        place_secrets(folder, b"".join((*Privacy.new().keys(), Signer.new().seed)))
    return read_secrets(folder)


def read_secrets(folder: Path) -> Privacy:
    """The secrets kept in a node's folder.

    Raises:
        NodeUnusable: they cannot be read.
    """
    kept = _kept_secrets(folder)
    try:
        return Privacy(kept.person_key, kept.seal_key, *kept.later_seal_keys)
    except ValueError as error:
        raise NodeUnusable(f"{folder / SECRETS} cannot be used: {error}; restore it from its backup") from error


def _kept_secrets(folder: Path) -> _Secrets:
    path = folder / SECRETS
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Secrets)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise NodeUnusable(f"{path} cannot be read: {error}; restore it from its backup") from error


def _signer(folder: Path) -> Signer:
    """The key that signs; an older folder gets one, whose owner by now is this process alone (it holds the journal)."""
    with _SIGNER_MADE_ONCE:
        kept = _kept_secrets(folder)
        if not kept.sign_key:
            kept = msgspec.structs.replace(kept, sign_key=Signer.new().seed)
            _write_secrets(folder, kept, anew=False)
    try:
        return Signer(kept.sign_key)
    except ValueError as error:
        raise NodeUnusable(f"{folder / SECRETS} cannot be used: {error}; restore it from its backup") from error


_SIGNER_MADE_ONCE = threading.Lock()


def sign_chain_of(folder: Path) -> list[Link]:
    """The public keys that ever signed for the node in a folder, the newest last."""
    return _kept_secrets(folder).sign_chain or [Link(_signer(folder).public, 0)]


def rotate_sign_key(folder: Path, now: int) -> Link:
    """Replace the key that signs by a new one, which the old one signs; a server takes it up when it starts again.

    Raises:
        NodeUnusable: the secrets cannot be read or written.
    """
    with secrets_changed(folder) as kept:
        old, new = _signer(folder), Signer.new()
        chain = followed(_kept_secrets(folder).sign_chain, old, new, now)
        _write_secrets(folder, msgspec.structs.replace(kept, sign_key=new.seed, sign_chain=chain), anew=False)
    return chain[-1]


def rotate_seal_key(folder: Path) -> str:
    """Seal new messages with a new key from the next start on; answers its version. Earlier messages keep theirs.

    Raises:
        NodeUnusable: the secrets cannot be read or written, or there were too many keys already.
    """
    with secrets_changed(folder) as kept:
        later = [*kept.later_seal_keys, random.token_bytes(len(kept.seal_key))]
        try:
            version = Privacy(kept.person_key, kept.seal_key, *later).seal_version
        except ValueError as error:
            raise NodeUnusable(f"no key was replaced: {error}") from error
        _write_secrets(folder, msgspec.structs.replace(kept, later_seal_keys=later), anew=False)
    return version


@contextmanager
def secrets_changed(folder: Path) -> Iterator[_Secrets]:
    """The secrets, for one change at a time."""
    if not (folder / SECRETS).exists():
        raise NodeUnusable(f"there are no secrets in {folder}: name the folder of a node with --dir")
    with (folder / f".{SECRETS}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _kept_secrets(folder)


def first_keys(keys: bytes) -> bytes:
    """Of secrets as `place_secrets` takes them, those that pseudonyms and seals belong with: 32 and 16 bytes."""
    kept = _secrets_in(keys)
    return kept.person_key + kept.seal_key


def _secrets_in(keys: bytes) -> _Secrets:
    if len(keys) <= 32 + 16 + 32:
        return _Secrets(keys[:32], keys[32:48], keys[48:])
    return msgspec.json.decode(keys, type=_Secrets)


def place_secrets(folder: Path, keys: bytes) -> None:
    """Write a node's secrets into its folder, whole or not at all.

    They are 32, 16 and, but for old ones, 32 bytes, or the content of their file where a key was ever replaced.
    Secrets that are there already stay: of two processes that make a node at the same time, the first one's hold.

    Raises:
        NodeUnusable: the folder cannot be written.
    """
    _write_secrets(folder, _secrets_in(keys), anew=True)


def _write_secrets(folder: Path, secrets: _Secrets, *, anew: bool) -> None:
    """Into the folder, for its owner only; `anew` leaves those alone that are there."""
    path = folder / SECRETS
    try:
        _write_whole(path, msgspec.json.encode(secrets), 0o600, anew=anew)
    except OSError as error:
        raise NodeUnusable(f"{path} cannot be written: {error.strerror}; choose another folder with --dir") from error


def _write_whole(path: Path, content: bytes, mode: int, *, anew: bool = False) -> None:
    """On disk under its name when this returns, whole or not at all; `anew` leaves alone what is there."""
    unfinished = path.with_name(f".{path.name}.{random.token_hex(4)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if anew:
            with suppress(FileExistsError):
                os.link(unfinished, path)
        else:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    entries = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(entries)  # or a loss of power could take the name back
    finally:
        os.close(entries)
