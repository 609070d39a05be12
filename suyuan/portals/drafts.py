"""Drafts: files chosen and not sent yet; judged as if sent, mended line by line, then sent or dropped.

A draft is a folder, with all that is known of it, so that every server process of a host shows it. The process that
runs through it holds a lock, which ends with that process.
"""

import asyncio
import csv
import fcntl
import io
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import msgspec
from starlette.concurrency import run_in_threadpool

from suyuan.formats.api.answers import line_answer, problem_answer
from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import NOTE
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import REASON_COLUMNS, Rejects
from suyuan.formats.summary import Summary, fate_of, faults_of
from suyuan.formats.tables import delimiter_of
from suyuan.intake.upload import DATA_TYPES
from suyuan.ledger.scan import Result, Scan
from suyuan.ledger.statuses import STATUS
from suyuan.portals.quarantined import left_out_in_chinese
from suyuan.settlement.claim import ClaimVerdict

FILE_BYTES_MAX = 64 << 20
"""About half a million lines; larger files go by the interface or the command line, beside the counter."""
DRAFTS_MAX = 50
"""On one server at a time; each is a file on its disk."""
DRAFTS_OF_ONE = 3
PREFIX = "suyuan-drafts-"
DRAFTS = "drafts"
"""The file of a node's folder that says where its drafts are."""
KEEP_SECONDS = 2 * 3600
"""How long a draft waits for its sender."""
KEEP_EVERY = 0.5
"""Seconds after which a run through a file tells other processes how far it is."""
TOLD = "told.json"
RUNNING = frozenset({"judging", "sending"})
MAY_BE = {"judging": {"chosen", "judged"}, "sending": {"judged"}}
"""From which states a run through a draft may begin."""
CHUNK_ROWS = 2_000
"""Lines judged together."""
BAD_MAX, GOOD_MAX = 500, 100
"""Lines that are shown; the figures count all, and the file of rejects holds all that were not taken."""
MENDED_BYTES_MAX = 100_000
"""One line as mended."""

State = Literal["chosen", "judging", "judged", "sending", "sent", "failed"]
Take = Callable[[Document], Awaitable[Outcome]]


class DraftRow(msgspec.Struct, kw_only=True):
    """One line of a draft and what became of it, or would; words in both languages."""

    where: str
    fate: str
    """accepted, repeated, conflicts, rejected or note."""
    status: str = ""
    code: str = ""
    value: str = ""
    what: str = ""
    what_zh: str = ""
    do: str = ""
    do_zh: str = ""
    cells: list[tuple[str, str]] = []
    """Column and text, where the line can be mended here."""


class Told(msgspec.Struct, kw_only=True):
    """What is known of a draft, as it is kept beside its file."""

    name: str
    party: str
    person: str
    kind: str
    made: float
    """Seconds since 1970."""
    state: State = "chosen"
    done: int = 0
    summary: Summary = msgspec.field(default_factory=Summary)
    bad: list[DraftRow] = []
    good: list[DraftRow] = []
    fatal: list[tuple[str, str]] = []
    """Parts of which nothing could be read, in English and Chinese."""
    batches: dict[str, str] = {}
    """Batch number that was given to what was sent → what a deletion calls its kind (`inv_data_type`)."""
    undone: bool = False
    kept: int = 0
    """Scans of kinds that cannot be taken back here."""


class Draft:
    """One file of one person."""

    def __init__(self, folder: Path, told: Told) -> None:
        self.folder = folder
        self.id = folder.name
        self.path = folder / "file"
        self.told = told
        self.task: asyncio.Task[None] | None = None
        self._lock: int | None = None
        self._kept_at = 0.0

    @classmethod
    def new(cls, folder: Path, told: Told) -> Self:
        """A draft in a folder of its own."""
        made = folder / secrets.token_urlsafe(12)
        made.mkdir()
        draft = cls(made, told)
        draft.keep()
        return draft

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The draft in a folder, as whichever process left it; None where it was dropped."""
        try:
            draft = cls(folder, msgspec.json.decode((folder / TOLD).read_bytes(), type=Told))
        except (OSError, msgspec.DecodeError):
            return None
        if draft.state in RUNNING and draft.hold():
            # Nobody runs through it any more: that process was killed.
            draft.told.state = "failed"
            draft.keep()
            draft.let_go()
        return draft

    def keep(self) -> None:
        """Leave what is known where every process finds it, whole."""
        unfinished = self.folder / f".{TOLD}.{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):  # somebody dropped it meanwhile
            unfinished.write_bytes(msgspec.json.encode(self.told))
            unfinished.replace(self.folder / TOLD)
        self._kept_at = time.monotonic()

    def hold(self) -> bool:
        """Keep other processes, and whoever else asks here, from running through it; whether that was free."""
        try:
            opened = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            return False
        self._lock = opened
        return True

    def let_go(self) -> None:
        """Others may run through it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def start(self, state: State, take: Take) -> bool:
        """Run through the file in a task of this process, if nobody runs through it and it is in order to."""
        if not self.hold():
            return False
        held = Draft.read(self.folder)  # another process may have run through it since
        if held is None or held.state not in MAY_BE[state]:
            self.let_go()
            return False
        self.told = held.told
        self.begin(state)
        self.task = asyncio.create_task(self.run(take, sending=state == "sending"))
        return True

    @property
    def state(self) -> State:
        """What is being done with it, or was."""
        return self.told.state

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def rejects(self) -> Path:
        """Where lines that were not taken are written."""
        return self.folder / "rejects.csv"

    def begin(self, state: State) -> None:
        """Before each run through the file."""
        told = self.told
        told.state, told.done, told.summary = state, 0, Summary()
        told.bad, told.good, told.fatal = [], [], []
        for old in self.folder.glob("rejects*"):
            old.unlink()
        self.keep()

    async def run(self, take: Take, *, sending: bool) -> None:
        """Go through the whole file: as a rehearsal, or for good."""
        documents = open_documents(self.path, self.told.party, self.told.kind, CHUNK_ROWS)
        try:
            with Rejects(self.rejects) as rejects:
                number = 0
                while (document := await run_in_threadpool(next, documents, None)) is not None:
                    number += 1
                    if sending:
                        self._name_batch(document, number)
                    await self._take(take, document, rejects)
                    if time.monotonic() > self._kept_at + KEEP_EVERY:
                        await run_in_threadpool(self.keep)
                    await asyncio.sleep(0)
            await run_in_threadpool(self._show_cells)
            self.told.state = "sent" if sending else "judged"
        except Exception:
            self.told.state = "failed"
            raise
        finally:
            self.keep()
            self.let_go()

    async def _take(self, take: Take, document: Document, rejects: Rejects) -> None:
        outcome = await take(document)
        told = self.told
        told.summary.add(document, outcome)
        rejects.add(document, faults_of(document, outcome))
        told.done += len(document.raw)
        if outcome.fatal:
            words = outcome.fatal.replace(f"{self.path.name}: ", "")
            told.fatal.append((words, left_out_in_chinese(words)))
            return
        for row in _rows(document, outcome):
            into, most = (told.good, GOOD_MAX) if row.fate in {"accepted", "repeated"} else (told.bad, BAD_MAX)
            if len(into) < most:
                into.append(row)

    def _name_batch(self, document: Document, number: int) -> None:
        """A number by which this part can be deleted again, where its lines bring none of their own."""
        batch = f"{self.id}-{number}"
        for record in document.records:
            if not isinstance(record, Scan):
                continue
            if record.kind not in DATA_TYPES:
                self.told.kept += 1
            elif "batch" not in record.references:
                data_type = DATA_TYPES[record.kind]
                record.references["batch"] = f"{batch}-{data_type}"
                self.told.batches[record.references["batch"]] = data_type

    # Mending

    def _show_cells(self) -> None:
        """Give the bad lines of a table their fields, so that they can be mended."""
        lines, header = self._table()
        if not lines:
            return
        for row in self.told.bad:
            number = int(row.where) if row.where.isdecimal() else 0
            if row.fate == "rejected" and 0 < number <= len(lines) and number != header:
                row.cells = self._cells(lines, header, number)

    def _table(self) -> tuple[list[bytes], int]:
        """The lines of a plain table and the number of its header (0 for lines of JSON); nothing for other files."""
        raw = self.path.read_bytes()
        start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
        if raw[:2] in {b"\x1f\x8b", b"PK"} or start[:1] == b"[":
            return [], 0
        lines = raw.split(b"\n")
        if start.startswith(b"{"):
            return (lines, 0) if len([line for line in lines if line.strip()]) > 1 else ([], 0)
        return lines, next(number for number, line in enumerate(lines, 1) if line.strip())

    @staticmethod
    def _cells(lines: list[bytes], header: int, number: int) -> list[tuple[str, str]]:
        line = _text(lines[number - 1])
        if not header:
            return [("", line)]
        head = _text(lines[header - 1]).removeprefix("\ufeff")
        delimiter = delimiter_of(head)
        names = next(csv.reader([head], delimiter=delimiter))
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:
            return [("", line)]
        if len(fields) != len(names):
            return [("", line)]
        return [(name.strip(), field) for name, field in zip(names, fields, strict=True) if name not in REASON_COLUMNS]

    def mend(self, mended: dict[int, list[str]]) -> None:
        """Replace lines of the table by number: by their fields in order, or, of one text, by the line itself."""
        lines, header = self._table()
        if not lines:
            return
        encoding = _encoding(b"\n".join(lines))
        for number, fields in mended.items():
            if not 0 < number <= len(lines) or number == header:
                continue
            before = self._cells(lines, header, number)
            if len(before) == 1 and not before[0][0]:
                text = fields[0].replace("\n", " ").replace("\r", " ")
            elif len(fields) == len(before):
                text = self._joined(lines, header, number, fields)
            else:
                continue
            lines[number - 1] = text.encode(encoding, "replace")[:MENDED_BYTES_MAX]
        self.path.write_bytes(b"\n".join(lines))

    @staticmethod
    def _joined(lines: list[bytes], header: int, number: int, fields: list[str]) -> str:
        head = _text(lines[header - 1]).removeprefix("\ufeff")
        delimiter = delimiter_of(head)
        names = next(csv.reader([head], delimiter=delimiter))
        held = next(csv.reader([_text(lines[number - 1])], delimiter=delimiter))
        new = iter(fields)
        row = [old if name in REASON_COLUMNS else next(new) for name, old in zip(names, held, strict=True)]
        out = io.StringIO()
        clean = [field.replace("\n", " ").replace("\r", " ") for field in row]
        csv.writer(out, delimiter=delimiter, lineterminator="").writerow(clean)
        return out.getvalue()

    def drop(self) -> None:
        """Forget the file."""
        if self.task is not None:
            self.task.cancel()
        self.let_go()
        shutil.rmtree(self.folder, ignore_errors=True)


def _text(line: bytes) -> str:
    line = line.rstrip(b"\r")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("gb18030", "replace")


def _encoding(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def _rows(document: Document, outcome: Outcome) -> Iterator[DraftRow]:
    """One row for each problem and each result, in order of the lines."""
    table = document.format == "table"
    place = f"{document.first_line}: " if document.first_line and not table else ""
    for problem in dict.fromkeys(document.problems):
        told = problem_answer(problem)
        yield DraftRow(
            where=place + problem.where,
            fate="note" if problem.code == NOTE else "rejected",
            status=problem.code,
            value=problem.value,
            what=told.what,
            what_zh=told.what_zh,
            do=told.do,
            do_zh=told.do_zh,
        )
    for result in outcome.results:
        if isinstance(result, ClaimVerdict):
            yield from _claim_rows(place, result)
        else:
            yield _row(place, result)


def _claim_rows(place: str, verdict: ClaimVerdict) -> Iterator[DraftRow]:
    """A claim by its lines; what concerns all of it stands first."""
    fate = fate_of(verdict)
    if verdict.problems or not verdict.lines:
        words = "; ".join(verdict.problems)
        yield DraftRow(where=place, fate=fate, status=verdict.verdict, what=words, what_zh=words)
    for line in verdict.lines:
        status = STATUS[line.status]
        yield DraftRow(
            where=place + line.where,
            fate=fate,
            status=line.status,
            code=line.product,
            what=f"{line.verdict}: {status.meaning}",
            what_zh=f"{_VERDICTS_ZH[line.verdict]}：{line.message or status.meaning_zh}",
            do=status.next_action,
            do_zh=line.next_action or status.next_action_zh,
        )


_VERDICTS_ZH = {"pay": "支付", "hold": "暂缓", "refuse": "拒付"}


def _row(place: str, result: Result) -> DraftRow:
    told = line_answer(result)
    return DraftRow(
        where=place + result.where,
        fate=fate_of(result),
        status=result.status,
        code=result.code,
        what=told.meaning,
        what_zh=told.message or told.meaning_zh,
        do=told.next_action,
        do_zh=told.next_action_zh,
    )


class Drafts:
    """All drafts of a host, in a folder that goes with its last server process.

    `mark` is a file that names the folder, and is locked by every process that uses it: where nobody does, a server
    was killed, and what it left is taken away, for what people chose is not to lie about.
    """

    def __init__(self, mark: Path | None = None) -> None:
        self._mark = mark
        self._lock: int | None = None
        self._running: dict[str, Draft] = {}
        """Drafts that this process runs through."""
        if mark is None:
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            return
        self._lock, alone = _locked(mark)
        if alone:
            self._forget_left(mark)
            mark.write_text(tempfile.mkdtemp(prefix=PREFIX), encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.folder = Path(mark.read_text(encoding="utf-8"))

    @staticmethod
    def _forget_left(mark: Path) -> None:
        left = Path(mark.read_text(encoding="utf-8"))
        if left.name.startswith(PREFIX):
            shutil.rmtree(left, ignore_errors=True)

    def new(self, name: str, party: str, person: str, kind: str) -> Draft | None:
        """A new draft; None where too many wait. The oldest of the same person gives way, but not while it is sent."""
        everybody = self._held()
        own = [draft for draft in everybody if (draft.told.party, draft.told.person) == (party, person)]
        idle = [draft for draft in own if draft.state != "sending"]
        for draft in idle[: max(0, len(own) - DRAFTS_OF_ONE + 1)]:
            self.drop(draft)
            own.remove(draft)
        if len(own) >= DRAFTS_OF_ONE or len(everybody) >= DRAFTS_MAX:
            return None
        return Draft.new(self.folder, Told(name=name, party=party, person=person, kind=kind, made=time.time()))

    def find(self, name: str, party: str, person: str) -> Draft | None:
        """A draft by its id, for the person whose it is and for nobody else."""
        found = next((draft for draft in self._held() if draft.id == name), None)
        return found if found is not None and (found.told.party, found.told.person) == (party, person) else None

    def start(self, draft: Draft, state: State, take: Take) -> None:
        """Run through a draft in this process, if nobody does."""
        if draft.start(state, take):
            self._running[draft.id] = draft
            assert draft.task is not None, "just begun"
            draft.task.add_done_callback(lambda _: self._running.pop(draft.id, None))

    def drop(self, draft: Draft) -> None:
        """Forget one."""
        running = self._running.pop(draft.id, draft)
        running.drop()

    def _held(self) -> list[Draft]:
        """All drafts, the oldest first; those that waited for too long are forgotten."""
        found = []
        for folder in self.folder.iterdir():
            draft = self._running.get(folder.name) or (Draft.read(folder) if (folder / TOLD).exists() else None)
            if draft is None:
                continue
            if time.time() - draft.told.made > KEEP_SECONDS and draft.state != "sending":
                self.drop(draft)
            else:
                found.append(draft)
        return sorted(found, key=lambda draft: draft.told.made)

    def close(self) -> None:
        """End what this process runs; the last one forgets all drafts, and their folder."""
        for draft in list(self._running.values()):
            self.drop(draft)
        if self._lock is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        if _is_alone(self._lock):
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._mark is not None:
                self._mark.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


def _locked(mark: Path) -> tuple[int, bool]:
    """The file, locked for this process beside others, or for it alone where there are none; and which of both."""
    while True:
        lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        alone = _is_alone(lock)
        if not alone:
            fcntl.flock(lock, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if mark.stat().st_ino == os.fstat(lock).st_ino:
                return lock, alone
        os.close(lock)  # the last one has just taken it away: a new one is made


def _is_alone(lock: int) -> bool:
    """Whether no other process has the file locked; then it is ours alone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
