"""The embedded journal: RocksDB in one folder, one owner, group commit, nothing acknowledged before it is on disk."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
)

from suyuan.ledger.events import Event
from suyuan.ledger.journal import History
from suyuan.storage.batch import Deadline, batch_key, batches_before, position_of
from suyuan.storage.current import PINNED, CurrentValues
from suyuan.storage.folder import DATABASE, is_new, owned, tag_folder
from suyuan.storage.group import GroupCommit, Request
from suyuan.storage.packed import (
    CHUNK_EVENTS,
    PackedHistory,
    batch_size,
    chunk_key,
    deadline_key,
    deadline_of,
    extended,
    packed_batch,
    sequence_of,
    unpacked_batch,
)
from suyuan.storage.refusals import JournalRefusal, JournalStopped, JournalUnusable, folder_refusal

MIB = 1 << 20
Key = str | int | float | bytes | bool  # what rocksdict takes; here always bytes
FAMILIES = ("spill", "log", "due", "documents")

SPLIT_KEYS_MIN = 2_000
"""From so many keys on, two threads read half each: 4.8 instead of 6.9 µs a key (`spec/engines.md` §1)."""

PAGE_KEYS = 1_000


class RocksJournal(GroupCommit):
    """A journal in a folder. Any number of threads of one process may use it.

    `stop_at_damage` opens a journal whose log is damaged, and gives up what was written after the damage.
    `_sync=False` exists for the test which shows that a missing fdatasync would be noticed.

    Raises:
        JournalInUse: another process, or another part of this one, owns the folder.
        JournalUnusable: the folder is not writable, of another version, incomplete or damaged.
    """

    def __init__(
        self,
        path: Path,
        *,
        block_cache_bytes: int = 256 * MIB,
        write_buffer_bytes: int = 256 * MIB,
        current_bytes: int = 64 * MIB,
        stop_at_damage: bool = False,
        _sync: bool = True,
    ) -> None:
        super().__init__()
        self._path = path
        self._owner: int | None = owned(path)
        try:
            self._open(Cache(block_cache_bytes), write_buffer_bytes, stop_at_damage=stop_at_damage)
            self._end = self._find_end()  # number of the last batch and the position after it, always of one moment
            self._handed = self._end  # what was handed out last needs no second look when its holder comes again
            pinned = {stored.decode(): value for stored, value in self._scan_prefix(PINNED.encode())}
        except BaseException:
            os.close(self._owner)
            raise
        self._current = CurrentValues(current_bytes, pinned)
        self._sync = _sync
        self._second_reader = ThreadPoolExecutor(1, "journal-reader")
        self._writing = Lock()  # held while a group is written
        self._unsynced: dict[str, bytes] = {}  # what is visible in the database and not yet known to be on disk
        self._stopped = ""  # why nothing is written any more

    def _open(self, cache: Cache, write_buffer_bytes: int, *, stop_at_damage: bool) -> None:
        new = is_new(self._path)
        options = _options(cache, write_buffer_bytes, new=new, stop_at_damage=stop_at_damage)
        try:
            self._histories = Rdict(str(self._path / DATABASE), options, dict.fromkeys(FAMILIES, options))
        except Exception as error:
            raise _open_refusal(self._path, error) from error
        self._families = {name: self._histories.get_column_family(name) for name in FAMILIES}
        self._handles = {name: self._histories.get_column_family_handle(name) for name in FAMILIES}
        if new:
            tag_folder(self._path)

    def fetch(self, keys: Iterable[str]) -> dict[str, History]:
        """The histories of the keys; a key never written has sequence 0."""
        chunks = self._chunks
        return {key: PackedHistory(value, key, chunks) for key, value in self._values(keys).items()}

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        """Write all or nothing, durably before it returns; answers the new position, or the keys that went stale.

        Who comes while nobody writes leads: takes all who wait, and writes for all of them in one synced batch.

        Raises:
            JournalStopped: this write or an earlier one failed. Whether this one was kept is unknown.
        """
        return self._commit(Request(events, expected, documents or {}))

    def append_each(self, batches: Sequence[tuple[Sequence[Event], Mapping[str, int], Mapping[str, bytes]]]) -> None:
        """Write batches one after the other with one sync for all, each as `append` would: for restoring a record.

        Raises:
            ValueError: a batch does not follow what is there; none after it is written.
            JournalStopped: as for `append`.
        """
        requests = [Request(*batch) for batch in batches]
        self._write_group(requests)
        for request in requests:
            if request.failure is not None:
                raise request.failure
            if isinstance(request.answer, list):
                raise ValueError(f"{request.answer[0]} has a gap")  # noqa: TRY004  the journal's own word for it

    def latest_arrival(self) -> int:
        """Arrival (µs UTC) of what was written last; 0 where nothing is."""
        number, _ = self._end
        return max(event.arrived for event in unpacked_batch(self._record(number))) if number else 0

    def _write_group(self, group: list[Request]) -> None:
        with self._writing:
            try:
                if not self._stopped:
                    self._write(group)
            except BaseException as error:
                self._stopped = _stop_words(self._path, error)
                if not isinstance(error, Exception):
                    raise
            finally:
                for request in group:
                    if request.answer is None:
                        request.failure = JournalStopped(self._stopped)

    def _write(self, group: list[Request]) -> None:
        """Answer every request of the group: stale, or written in one synced batch with the others."""
        values = self._values(key for request in group for key in request.expected)
        batch = WriteBatch(raw_mode=True)
        written: dict[str, None] = {}
        documents: dict[str, bytes] = {}
        answers: list[bytes | list[str]] = []
        last, position = self._end
        for request in group:
            stale = [key for key, sequence in request.expected.items() if sequence_of(values[key]) != sequence]
            if not stale:
                if request.packed:
                    last += 1
                    position = self._put_events(request, last, values, batch)
                written.update(dict.fromkeys(request.keys))
                documents = {**request.documents, **documents}
            answers.append(stale or position)
        for key in sorted(written):  # in order, RocksDB takes them a quarter faster (measured)
            batch.put(key.encode(), values[key])
        for digest, sealed in documents.items():
            if self.document(digest) is None:
                batch.put(digest.encode(), sealed, self._handles["documents"])
        self._unsynced = {key: values[key] for key in written}
        if len(batch):
            # Not as one synced write, for that would stop all Python threads until the disk has answered.
            self._histories.write(batch)
            if self._sync:
                self._histories.flush_wal(sync=True)
        self._end = last, position
        self._current.publish(self._unsynced)
        self._unsynced = {}
        for request, answer in zip(group, answers, strict=True):
            request.answer = answer

    def _put_events(self, request: Request, number: int, values: dict[str, bytes], batch: WriteBatch) -> bytes:
        """File a request's events in the log and under deadlines, and extend the values that the group will write.

        Answers the position after them.
        """
        spill, log, due, _ = self._handles.values()
        for key, event in zip(request.keys, request.packed, strict=True):
            values[key], chunk = extended(values[key], event)
            if chunk:
                batch.put(chunk_key(key, sequence_of(values[key]) // CHUNK_EVENTS - 1), chunk, spill)
        record = packed_batch(len(request.packed), b"".join(request.packed))
        batch.put(batch_key(number), record, log)
        for deadline in request.opened:
            batch.put(deadline_key(deadline), b"", due)
        for deadline in request.closed:
            batch.delete(deadline_key(deadline), due)
        return position_of(number, record)

    def since(self, position: bytes | None, limit: int) -> tuple[list[Event], bytes]:
        """Whole batches after a position, in order of arrival, and the position after them; at least one if any."""
        records, reached = self.stored_since(position, limit)
        return [event for record in records for event in unpacked_batch(record)], reached

    def stored_since(self, position: bytes | None, limit: int) -> tuple[list[bytes], bytes]:
        """The same batches as stored (`packed.unpacked_batch`), for who unpacks them elsewhere."""
        last, end = self._end
        if position == end:
            return [], end
        reached, handed = self._handed
        if position != handed:
            reached = batches_before(position, last, self._record)
        found: list[bytes] = []
        events = 0
        records = self._scan(self._families["log"], batch_key(reached + 1))
        while reached < last:
            stored, record = next(records, (b"", b""))
            if stored != batch_key(reached + 1):
                raise self._unreadable(f"batch {reached + 1} is missing from its log")
            events += batch_size(record)
            if found and events > limit:
                break
            found.append(record)
            reached += 1
        if found:
            end = position_of(reached, found[-1])
            self._handed = reached, end
        return found, end

    def _record(self, number: int) -> bytes:
        record = self._read(self._families["log"], [batch_key(number)])[0]
        if record is None:
            raise self._unreadable(f"batch {number} is missing from its log")
        return record

    def due(self, until: int, limit: int) -> list[Deadline]:
        """Open deadlines up to `until` (µs UTC), earliest first, as (deadline, key, sequence)."""
        found: list[Deadline] = []
        for stored, _ in islice(self._scan(self._families["due"], b""), limit):
            deadline = deadline_of(stored)
            if deadline[0] > until:
                break
            found.append(deadline)
        return found

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with the prefix, in order; those added meanwhile may be among them."""
        first = begin = prefix.encode()
        while True:
            # A page at a time: a reader who never comes back for the rest must not keep the database open.
            page = [stored for stored, _ in islice(self._scan_prefix(first, begin), PAGE_KEYS)]
            yield from map(bytes.decode, page)
            if len(page) < PAGE_KEYS:
                return
            begin = page[-1] + b"\0"

    def document(self, digest: str) -> bytes | None:
        """A sealed raw message by its hash."""
        return self._read(self._families["documents"], [digest.encode()])[0]

    def copy(self, path: Path) -> None:
        """A consistent copy of the journal up to now, in a new folder; files are shared where the disk allows it.

        Raises:
            JournalUnusable: the folder exists already, or cannot be written.
        """
        try:
            path.mkdir(parents=True)
            Checkpoint(self._histories).create_checkpoint(str(path / DATABASE))
            tag_folder(path)
        except FileExistsError:
            raise JournalUnusable(f"The copy would go to {path}, which exists. Name a new folder.") from None
        except OSError as error:
            raise folder_refusal(path, error) from error
        except Exception as error:
            raise JournalUnusable(f"The copy to {path} was not finished: {error}. Delete it and try again.") from error

    def close(self) -> None:
        """Release files and locks. Closing twice is harmless."""
        with self._writing:
            if self._owner is None:
                return
            self._stopped = self._stopped or f"The journal in {self._path} is closed."
            self._second_reader.shutdown()
            with suppress(Exception):  # a full disk: what was acknowledged is in the log already
                for family in (*self._families.values(), self._histories):
                    family.close()
            self._handles.clear()  # each of them would keep the database open
            os.close(self._owner)
            self._owner = None

    def _values(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Stored values by key, `b""` where nothing is stored; from memory where they are known to be current."""
        found, unknown, generations = self._current.find(keys)
        if unknown:
            unknown = sorted(set(unknown))
            stored = self._read_many([key.encode() for key in unknown])
            read = {key: value or b"" for key, value in zip(unknown, stored, strict=True)}
            self._await_disk(read)
            self._current.offer(read, generations)
            found.update(read)
        return found

    def _await_disk(self, read: dict[str, bytes]) -> None:
        """Return when what was read is on disk: an answer that rests on it acknowledges it."""
        if not self._unsynced.keys().isdisjoint(read):
            with self._writing:
                if not self._unsynced.keys().isdisjoint(read):
                    raise JournalStopped(self._stopped)

    def _read_many(self, keys: list[bytes]) -> list[bytes | None]:
        if len(keys) < SPLIT_KEYS_MIN:
            return self._read(self._histories, keys)
        half = len(keys) // 2
        rest = self._second_reader.submit(self._read, self._histories, keys[half:])
        return self._read(self._histories, keys[:half]) + rest.result()

    def _chunks(self, key: str, count: int) -> list[bytes]:
        """The first so many spilled chunks of a key; they never change."""
        chunks = self._read(self._families["spill"], [chunk_key(key, number) for number in range(count)])
        found = [chunk for chunk in chunks if chunk is not None]
        if len(found) < count:
            raise self._unreadable(f"older events of {key} are missing")
        return found

    def _read(self, family: Rdict, keys: list[bytes]) -> list[bytes | None]:
        try:
            return cast(list[bytes | None], family.get(cast(list[Key], keys)))
        except Exception as error:
            raise self._unreadable(error) from error

    def _scan(self, family: Rdict, begin: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in order from `begin` on. A block that cannot be read is an error, never an early end."""
        try:
            position = family.iter()
            position.seek(begin)
            while position.valid():
                yield position.key(), position.value()
                position.next()
            position.status()
        except Exception as error:
            raise self._unreadable(error) from error

    def _scan_prefix(self, prefix: bytes, begin: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for stored, value in self._scan(self._histories, begin or prefix):
            if not stored.startswith(prefix):
                return
            yield stored, value

    def _unreadable(self, what: object) -> JournalRefusal:
        if self._owner is None:
            return JournalStopped(self._stopped)
        return JournalUnusable(
            f"The journal in {self._path} cannot be read: {what}. Check the disk; restore the folder from a copy."
        )

    def _find_end(self) -> tuple[int, bytes]:
        """Number of the last batch and the position after it."""
        log = self._families["log"].iter()
        log.seek_to_last()
        if not log.valid():
            return 0, position_of(0)
        number = int.from_bytes(log.key(), "big")
        return number, position_of(number, log.value())


def _options(cache: Cache, write_buffer_bytes: int, *, new: bool, stop_at_damage: bool) -> Options:
    """Settings that worked in `spec/engines.md` §1."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_block_size(4096)
    table.set_bloom_filter(10, block_based=False)
    table.set_cache_index_and_filter_blocks(v=True)  # so that memory has one bound
    table.set_pin_l0_filter_and_index_blocks_in_cache(v=True)
    options = Options(raw_mode=True)
    options.create_if_missing(new)
    options.create_missing_column_families(new)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_level_compaction_dynamic_level_bytes(v=True)
    options.set_write_buffer_size(write_buffer_bytes // 2)
    options.set_db_write_buffer_size(write_buffer_bytes)  # of all families together
    options.set_max_write_buffer_number(3)
    options.set_max_total_wal_size(512 * MIB)  # bounds the time that opening takes
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(3)
    # A torn tail is what an interrupted write leaves. Damage before the tail would lose what was acknowledged,
    # so it is not passed over in silence.
    options.set_wal_recovery_mode(
        DBRecoveryMode.point_in_time() if stop_at_damage else DBRecoveryMode.tolerate_corrupted_tail_records()
    )
    return options


def _open_refusal(path: Path, error: Exception) -> JournalUnusable:
    if "Corruption" in str(error):
        return JournalUnusable(
            f"The journal in {path} is damaged: {error}. Restore the folder from a copy. "
            "If the damage came with a loss of power, what it hit was never acknowledged: "
            "then open once with stop_at_damage, which keeps everything before the damage."
        )
    return JournalUnusable(
        f"The journal in {path} cannot be opened: {error}. "
        "See that the disk has space, that this user may write there, and that nothing else uses the folder."
    )


def _stop_words(path: Path, error: BaseException) -> str:
    return (
        f"The journal in {path} could not write: {str(error) or type(error).__name__}. "
        "Nothing more is taken, and whether the last facts were kept is unknown. Mend the cause (often a full disk), "
        "start again, and send them once more: what was kept is recognised."
    )
