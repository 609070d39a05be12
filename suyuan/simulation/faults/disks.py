"""The engines under the simulation: a node opened on each, its process killed, its disk torn, and opened again."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

from suyuan.carry import export_node, import_node
from suyuan.carry.backup import back_up
from suyuan.carry.restore import restore_node
from suyuan.catalogue.content import Content
from suyuan.ledger.journal import Journal
from suyuan.node import JOURNAL, Node, place_secrets
from suyuan.settings import FILE
from suyuan.simulation.faults.clock import Clock
from suyuan.simulation.faults.postgres import FaultyPostgres, drop_database, new_database
from suyuan.simulation.faults.store import FaultyJournal
from suyuan.storage.memory import MemoryJournal
from suyuan.storage.postgres import PostgresJournal
from suyuan.storage.refusals import JournalInUse, JournalUnusable
from suyuan.storage.rocks import RocksJournal

COPIES_MAX = 10
"""Tries at copying a folder; what is folded in was left by a connection that somebody let go of."""


class Server:
    """One process that serves: a node whose journal has faults."""

    def __init__(self, number: int, node: Node, journal: FaultyJournal) -> None:
        self.number = number
        self.node = node
        self.journal = journal


class Disk(Protocol):
    """An engine with its servers, as the simulation needs it."""

    servers: list[Server]

    def open_all(self) -> None:
        """Open every server for the first time."""
        ...

    def recover(self, server: Server) -> str:
        """Open a crashed server again on what its crash left; says what was special about it, mostly nothing."""
        ...

    def restart(self, server: Server) -> None:
        """Close a server in good order and open it again."""
        ...

    def power_cut(self) -> None:
        """End all servers at once, without a word; they are to be recovered."""
        ...

    def open_second(self) -> str:
        """Start another process on the same folder; answers what is wrong with what came of it, mostly nothing."""
        ...

    def cut_idle(self) -> None:
        """Cut the connections to the store that nobody uses just now, where there are any."""
        ...

    def move(self) -> bool:
        """Carry everything into a new place and go on there; False where this engine has none."""
        ...

    def back_up(self) -> Callable[[], object] | None:
        """How a backup is taken while uploads go on; None where this engine has none."""
        ...

    def restore(self) -> bool:
        """Add to the backup what it lacks, restore it into a new place and go on there; False where there is none."""
        ...

    def journal(self) -> Journal:
        """The journal as it is, without faults."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Ground(NamedTuple):
    """Where a run takes place, and what decides it."""

    folder: Path
    seed: str
    content: Content
    """The country's catalogue."""
    clock: Clock
    wrapped: Callable[[Journal], FaultyJournal]
    """Puts a journal behind faults."""
    rng: Random


class _Place:
    """What all engines share: the country's catalogue and secrets, and how a node is opened and put behind faults."""

    def __init__(self, ground: Ground) -> None:
        self.servers: list[Server] = []
        self._folder = ground.folder
        self._content = ground.content
        self._clock = ground.clock
        self._wrapped = ground.wrapped
        self._rng = ground.rng
        self._keys = Random(f"{ground.seed}:secrets").randbytes(80)  # noqa: S311  of a country that does not exist
        self._opened = 0

    def _prepared(self, name: str, **settings: str) -> Path:
        """A folder with the country's secrets and with settings, ready for a node."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        place_secrets(folder, self._keys)
        (folder / FILE).write_text("".join(f'{key} = "{value}"\n' for key, value in settings.items()))
        return folder

    def _server(self, number: int, folder: Path, journal: Journal | None = None) -> Server:
        node = Node.open(folder, self._clock, block_cache_mb=8)
        if not node.catalogue.content.parties:
            if node.settings.engine != "memory":
                node.tables.save_catalogue(self._content)
            node.use_catalogue(self._content)
        faulty = self._put_behind_faults(journal or node.journal)
        node.journal = faulty
        self._opened += 1
        node.ledger.journal = faulty
        # The tag of a process is drawn by chance; here the seed says it, so that a run can be repeated to the byte.
        node.ledger.tag = f"{self._opened:06x}"
        return Server(number, node, faulty)

    def _put_behind_faults(self, journal: Journal) -> FaultyJournal:
        return self._wrapped(journal)

    def cut_idle(self) -> None:
        """Most engines have no connections."""

    def back_up(self) -> Callable[[], object] | None:
        """How a backup is taken while uploads go on; None where this engine has none."""
        return None

    def restore(self) -> bool:
        """Add to the backup what it lacks, restore it into a new place and go on there; False where there is none."""
        return False

    def _replace(self, server: Server, new: Server) -> None:
        self.servers[self.servers.index(server)] = new


class MemoryDisk(_Place):
    """Several servers over one journal in memory, which outlives them as a disk would."""

    def __init__(self, ground: Ground, *, servers: int) -> None:
        super().__init__(ground)
        self.shared: Journal = MemoryJournal()
        self._count = servers

    def open_all(self) -> None:
        """Open every server for the first time."""
        self.servers = [self._open(number) for number in range(self._count)]

    def _open(self, number: int) -> Server:
        return self._server(number, self._prepared(f"memory-{self._opened}", engine="memory"), self.shared)

    def recover(self, server: Server) -> str:
        """Open another one in its place."""
        _abandon(server)
        self._replace(server, self._open(server.number))
        return ""

    def restart(self, server: Server) -> None:
        """As for a crash: nothing is kept outside the journal."""
        self.recover(server)

    def power_cut(self) -> None:
        """End all servers at once."""
        for server in self.servers:
            server.journal.down = True

    def open_second(self) -> str:
        """Any number of servers may share a journal in memory."""
        return ""

    def move(self) -> bool:
        """There is no folder to move."""
        return False

    def journal(self) -> Journal:
        """The journal as it is, without faults."""
        return self.shared

    def close(self) -> None:
        """Release the servers' files."""
        for server in self.servers:
            _abandon(server)


class RocksDisk(_Place):
    """One server over a folder. A crash copies the folder as the disk has it, and goes on with the copy."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._current = Path()

    def open_all(self) -> None:
        """Make the node's folder and open its server."""
        self._current = self._prepared("rocks-0")
        self.servers = [self._open()]

    def _open(self) -> Server:
        server = self._server(0, self._current)
        server.journal.before_write = self._look
        server.journal.short_of_space = self._short_of_space
        return server

    def _log(self) -> Path:
        """The file to which the engine appends now."""
        return max((self._current / JOURNAL / "db").glob("*.log"))

    def _look(self) -> Callable[[], None]:
        """Where the log ends before a write; what is answered takes a part of that write off the copy of the disk."""
        log = self._log()
        before = log.stat().st_size

        def tear() -> None:
            copied = self._current / JOURNAL / "db" / log.name
            written = copied.read_bytes()
            kept = self._rng.randint(before, len(written))
            rest = bytes(len(written) - kept) if self._rng.random() < 0.25 else b""  # noqa: PLR2004  or never written
            copied.write_bytes(written[:kept] + rest)

        return tear

    def _short_of_space(self) -> AbstractContextManager[None]:
        return _file_size_limit(self._log().stat().st_size + self._rng.randint(0, 2000))

    def recover(self, server: Server) -> str:
        """Open what a crash left: a copy of the folder, its log cut or zeroed where the last write was under way."""
        old = self._current
        self._current = self._folder / f"rocks-{self._opened}"
        # As the disk has it at this moment; the old process is ended after that, and what it still says is not heard.
        _copy(old, self._current)
        _abandon(server)
        shutil.rmtree(old, ignore_errors=True)
        if server.journal.torn is not None:
            server.journal.torn()
        return self._open_recovered(server)

    def _open_recovered(self, server: Server) -> str:
        try:
            self._replace(server, self._open())
        except JournalUnusable as refusal:
            if "stop_at_damage" not in str(refusal):
                raise
            # What the words say: damage by a loss of power was never acknowledged, and is given up once.
            RocksJournal(self._current / JOURNAL, stop_at_damage=True, block_cache_bytes=8 << 20).close()
            self._replace(server, self._open())
            return "opened with stop_at_damage"
        return ""

    def restart(self, server: Server) -> None:
        """Close in good order and open again."""
        server.node.close()
        self._replace(server, self._open())

    def power_cut(self) -> None:
        """End the server without a word."""
        self.servers[0].journal.down = True

    def open_second(self) -> str:
        """A second process on the folder must be refused with words."""
        try:
            second = RocksJournal(self._current / JOURNAL)
        except JournalInUse as refusal:
            return (
                "" if "in use by process" in str(refusal) else f"a second server was refused without words: {refusal}"
            )
        second.close()
        return "a second server opened the folder beside the first"

    def move(self) -> bool:
        """Export everything, import it into a new folder, and go on there."""
        server = self.servers[0]
        old, file = self._current, self._folder / "moved.zip"
        server.node.journal = server.journal.inner
        export_node(server.node, file, secrets=True)
        _abandon(server)
        self._current = self._folder / f"rocks-{self._opened}"
        import_node(self._current, file)
        file.unlink()
        self._go_on(server, old)
        return True

    def back_up(self) -> Callable[[], object] | None:
        """How a backup is taken while uploads go on."""
        node = self.servers[0].node
        return lambda: back_up(node, self._folder / "backup", secrets=True)

    def restore(self) -> bool:
        """Add to the backup what it lacks, restore it into a new folder, and go on there."""
        server, old = self.servers[0], self._current
        server.node.journal = server.journal.inner
        back_up(server.node, self._folder / "backup", secrets=True)
        _abandon(server)
        self._current = self._folder / f"rocks-{self._opened}"
        restore_node(self._current, self._folder / "backup")
        self._go_on(server, old)
        return True

    def _go_on(self, server: Server, old: Path) -> None:
        """Open what was moved; it is another history, and its backup begins anew."""
        shutil.rmtree(self._folder / "backup", ignore_errors=True)
        shutil.rmtree(old)
        self._replace(server, self._open())

    def journal(self) -> Journal:
        """The journal as it is, without faults."""
        return self.servers[0].journal.inner

    def close(self) -> None:
        """Release the folder."""
        for server in self.servers:
            _abandon(server)


class PostgresDisk(_Place):
    """Several servers on one real database. A crash drops the connections of one; nobody else notices."""

    def __init__(self, ground: Ground, *, servers: int, database: str) -> None:
        super().__init__(ground)
        self._count = servers
        self._database_server = database
        self._database = new_database(database, ground.seed)
        self._direct: PostgresJournal | None = None
        self.horizon = True

    def open_all(self) -> None:
        """Open every server for the first time."""
        self.servers = [self._open(number) for number in range(self._count)]
        self._direct = PostgresJournal(self._database)

    def _open(self, number: int) -> Server:
        folder = self._folder / f"postgres-{number}"
        if not folder.exists():
            self._prepared(folder.name, database=self._database)
        return self._server(number, folder)

    def _put_behind_faults(self, journal: Journal) -> FaultyJournal:
        journal.close()
        faulty = self._wrapped(journal)
        faulty.inner = FaultyPostgres(self._database, faulty.weather, faulty.stage, horizon=self.horizon)
        return faulty

    def recover(self, server: Server) -> str:
        """Open it again in its folder."""
        _abandon(server)
        self._replace(server, self._open(server.number))
        return ""

    def restart(self, server: Server) -> None:
        """As for a crash, but in good order."""
        self.recover(server)

    def power_cut(self) -> None:
        """End all servers at once; the database goes on, as it is another machine."""
        for server in self.servers:
            server.journal.down = True

    def open_second(self) -> str:
        """Any number of servers may share a database."""
        return ""

    def cut_idle(self) -> None:
        """End idle connections at the server."""
        for server in self.servers:
            assert isinstance(server.journal.inner, FaultyPostgres), "opened so"
            server.journal.inner.cut_idle()

    def move(self) -> bool:
        """There is no folder to move."""
        return False

    def journal(self) -> Journal:
        """The journal as it is, without faults."""
        assert self._direct is not None, "opened"
        return self._direct

    def close(self) -> None:
        """Close everything and drop the database."""
        for server in self.servers:
            _abandon(server)
        if self._direct is not None:
            self._direct.close()
        drop_database(self._database_server, self._database)


def disk_of(engine: str, ground: Ground, database: str) -> Disk:
    """The engine of that name: memory, rocks or postgres (on the server at `database`).

    Raises:
        ValueError: there is none of that name.
    """
    if engine == "memory":
        return MemoryDisk(ground, servers=ground.rng.randint(1, 3))
    if engine == "rocks":
        return RocksDisk(ground)
    if engine == "postgres":
        return PostgresDisk(ground, servers=ground.rng.randint(1, 3), database=database)
    raise ValueError(f"engine {engine!r}: say memory, rocks or postgres")


def _copy(old: Path, new: Path) -> None:
    """Copy a folder that a server has open; begun anew where a list's log was folded into its file meanwhile."""
    for _ in range(COPIES_MAX):
        try:
            shutil.copytree(old, new, ignore=shutil.ignore_patterns("*-shm"))
        except shutil.Error:
            shutil.rmtree(new)
        else:
            return
    raise AssertionError(f"{old} does not keep still")


def _abandon(server: Server) -> None:
    """Let go of a server's files, whatever state it is in."""
    with suppress(Exception):
        server.node.close()


@contextmanager
def _file_size_limit(most: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: to whoever writes, the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
