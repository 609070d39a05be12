"""Drafts: files chosen and not sent yet; judged as if sent, mended line by line, then sent or dropped."""

import asyncio
import csv
import io
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool

from suyuan.formats.api.answers import line_answer, problem_answer
from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import NOTE, refusal_in_chinese
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import REASON_COLUMNS, Rejects
from suyuan.formats.summary import Summary, fate_of, faults_of
from suyuan.formats.tables import delimiter_of
from suyuan.intake.upload import DATA_TYPES
from suyuan.ledger.scan import Result, Scan
from suyuan.ledger.statuses import STATUS
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
CHUNK_ROWS = 2_000
"""Lines judged together."""
BAD_MAX, GOOD_MAX = 500, 100
"""Lines that are shown; the figures count all, and the file of rejects holds all that were not taken."""
MENDED_BYTES_MAX = 100_000
"""One line as mended."""

State = Literal["judging", "judged", "sending", "sent", "failed"]
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


class Draft:
    """One file of one person."""

    def __init__(self, folder: Path, name: str, party: str, person: str, kind: str) -> None:
        self.id = secrets.token_urlsafe(12)
        self.folder = folder / self.id
        self.folder.mkdir()
        self.path = self.folder / "file"
        self.name = name
        self.party = party
        self.person = person
        self.kind = kind
        self.made = time.monotonic()
        self.state: State = "judging"
        self.done = 0
        self.summary = Summary()
        self.bad: list[DraftRow] = []
        self.good: list[DraftRow] = []
        self.fatal: list[tuple[str, str]] = []
        """Parts of which nothing could be read, in English and Chinese."""
        self.batches: dict[str, str] = {}
        """Batch number that was given to what was sent → what a deletion calls its kind (`inv_data_type`)."""
        self.undone = False
        self.kept = 0
        """Scans of kinds that cannot be taken back here."""
        self.task: asyncio.Task[None] | None = None

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
        self.state, self.done, self.summary = state, 0, Summary()
        self.bad, self.good, self.fatal = [], [], []
        for old in self.folder.glob("rejects*"):
            old.unlink()

    async def run(self, take: Take, *, sending: bool) -> None:
        """Go through the whole file: as a rehearsal, or for good."""
        documents = open_documents(self.path, self.party, self.kind, CHUNK_ROWS)
        try:
            with Rejects(self.rejects) as rejects:
                number = 0
                while (document := await run_in_threadpool(next, documents, None)) is not None:
                    number += 1
                    if sending:
                        self._name_batch(document, number)
                    await self._take(take, document, rejects)
                    await asyncio.sleep(0)
            await run_in_threadpool(self._show_cells)
            self.state = "sent" if sending else "judged"
        except Exception:
            self.state = "failed"
            raise

    async def _take(self, take: Take, document: Document, rejects: Rejects) -> None:
        if document.fatal:
            outcome = Outcome(fatal=document.fatal)
        else:
            outcome = await take(document)
        self.summary.add(document, outcome)
        rejects.add(document, faults_of(document, outcome))
        self.done += len(document.raw)
        if outcome.fatal:
            words = outcome.fatal.replace(f"{self.path.name}: ", "")
            self.fatal.append((words, refusal_in_chinese(words)))
            return
        for row in _rows(document, outcome):
            into, most = (self.good, GOOD_MAX) if row.fate in {"accepted", "repeated"} else (self.bad, BAD_MAX)
            if len(into) < most:
                into.append(row)

    def _name_batch(self, document: Document, number: int) -> None:
        """A number by which this part can be deleted again, where its lines bring none of their own."""
        batch = f"{self.id}-{number}"
        for record in document.records:
            if not isinstance(record, Scan):
                continue
            if record.kind not in DATA_TYPES:
                self.kept += 1
            elif "batch" not in record.references:
                data_type = DATA_TYPES[record.kind]
                record.references["batch"] = f"{batch}-{data_type}"
                self.batches[record.references["batch"]] = data_type

    # Mending

    def _show_cells(self) -> None:
        """Give the bad lines of a table their fields, so that they can be mended."""
        lines, header = self._table()
        if not lines:
            return
        for row in self.bad:
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
    """All drafts of a server, in a folder that goes with it.

    `mark` is a file that names the folder: a server that was killed leaves both behind, and the next one takes them
    away, for what people chose is not to lie about.
    """

    def __init__(self, mark: Path | None = None) -> None:
        self._mark = mark
        if mark is not None and mark.is_file():
            left = Path(mark.read_text(encoding="utf-8"))
            if left.name.startswith(PREFIX):
                shutil.rmtree(left, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._drafts: dict[str, Draft] = {}
        if mark is not None:
            mark.write_text(str(self.folder), encoding="utf-8")

    def new(self, name: str, party: str, person: str, kind: str) -> Draft | None:
        """A new draft; None where too many wait. The oldest of the same person gives way, but not while it is sent."""
        self._forget_old()
        own = [draft for draft in self._drafts.values() if (draft.party, draft.person) == (party, person)]
        idle = [draft for draft in own if draft.state != "sending"]
        for draft in idle[: max(0, len(own) - DRAFTS_OF_ONE + 1)]:
            self.drop(draft)
            own.remove(draft)
        if len(own) >= DRAFTS_OF_ONE or len(self._drafts) >= DRAFTS_MAX:
            return None
        draft = Draft(self.folder, name, party, person, kind)
        self._drafts[draft.id] = draft
        return draft

    def find(self, name: str, party: str, person: str) -> Draft | None:
        """A draft by its id, for the person whose it is and for nobody else."""
        self._forget_old()
        draft = self._drafts.get(name)
        return draft if draft is not None and (draft.party, draft.person) == (party, person) else None

    def drop(self, draft: Draft) -> None:
        """Forget one."""
        self._drafts.pop(draft.id, None)
        draft.drop()

    def _forget_old(self) -> None:
        now = time.monotonic()
        for draft in [one for one in self._drafts.values() if now - one.made > KEEP_SECONDS and one.state != "sending"]:
            self.drop(draft)

    def close(self) -> None:
        """Forget all, and their folder."""
        for draft in list(self._drafts.values()):
            self.drop(draft)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)
