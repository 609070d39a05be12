"""Uploading a file from a page: judged without writing, mended line by line, sent when its reader says so."""

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from suyuan.formats.api.answers import line_answer
from suyuan.formats.document import Document, Outcome
from suyuan.ledger.scan import Result
from suyuan.portals import codec
from suyuan.portals.access import Caller, caller_of
from suyuan.portals.api.files import rehearsal, rehearsed, taken
from suyuan.portals.drafts import BAD_MAX, FILE_BYTES_MAX, RUNNING, Draft, DraftRow
from suyuan.portals.pages.institution import around, institution_of
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.settlement.claim import Undo

KINDS = ("received", "shipped", "refused", "counted", "changed", "sold", "returned", "exited", "packed", "unpacked")
"""What a table of an institution may tell."""
FATE_WORDS = {
    "accepted": "taken",
    "repeated": "sent before",
    "conflicts": "conflict",
    "rejected": "not taken",
    "note": "remark",
}
FIELDS_MAX = 20_000
BLOCK = 1 << 20
TOO_LARGE = "The file is larger than 64 MB: send it in parts, or by the interface."


async def choose(request: Request) -> Response:
    """The form."""
    return _form(request)


def _form(request: Request, fault: str = "", kind: str = "", status: int = 200) -> Response:
    site, institution = site_of(request), institution_of(request)
    values = {"fault": text_of(request, fault) if fault else "", "kinds": KINDS, "kind": kind}
    return page(request, "institution/upload.html", values | around(request, site, institution, "upload"), status)


async def begin(request: Request) -> Response:
    """A chosen file: kept as a draft, and judged."""
    site, institution, caller = site_of(request), institution_of(request), caller_of(request)
    size = request.headers.get("content-length", "")
    if not size.isdigit() or int(size) > FILE_BYTES_MAX + BLOCK:
        # A body of unknown or greater length would be kept on disk before it could be measured.
        return _form(request, TOO_LARGE, status=413)
    async with request.form(max_files=1, max_fields=5) as form:
        file, kind = form.get("file"), str(form.get("kind", ""))
        if not isinstance(file, UploadFile) or not file.filename:
            return _form(request, "Choose a file first.", kind, 422)
        draft = site.drafts.new(
            Path(file.filename).name[:120], institution, caller.person, kind if kind in KINDS else ""
        )
        if draft is None:
            return _form(request, "Too many files wait on this server: try again in a few minutes.", kind, 503)
        if not await _keep(file, draft):
            site.drafts.drop(draft)
            return _form(request, TOO_LARGE, kind, 413)
    _judge(site, draft, caller)
    return RedirectResponse(f"/institution/upload/{draft.id}", 303)


async def _keep(file: UploadFile, draft: Draft) -> bool:
    """The file on disk; false where it is too large."""
    size = 0
    with draft.path.open("wb") as kept:
        while block := await file.read(BLOCK):
            size += len(block)
            if size > FILE_BYTES_MAX:
                return False
            await run_in_threadpool(kept.write, block)
    return True


def _judge(site: Site, draft: Draft, caller: Caller) -> None:
    """Begin to judge a draft: against what is stored, and without writing."""
    desk = rehearsal(site)

    async def take(document: Document) -> Outcome:
        document.software = document.software or caller.software
        return await run_in_threadpool(rehearsed, desk, document, draft.told.party)

    site.drafts.start(draft, "judging", take)


def _draft(request: Request) -> Draft:
    """The draft of an address, if it is the caller's own.

    Raises:
        Refused: there is none, or it is somebody else's.
    """
    name = str(request.path_params["draft"])
    draft = site_of(request).drafts.find(name, institution_of(request), caller_of(request).person)
    if draft is None:
        raise Refused("not_found", where="draft", value=name, what="It was dropped, or is somebody else's.")
    return draft


async def show(request: Request) -> Response:
    """A draft: how far it is, or each line with its outcome."""
    draft, site = _draft(request), site_of(request)
    told, chinese = draft.told, language_of(request) == "zh"
    seen: set[str] = set()
    values = {
        "draft": draft,
        "told": told,
        "running": draft.state in RUNNING,
        "summary": told.summary,
        "chinese": chinese,
        "fatals": [words_zh if chinese else words for words, words_zh in told.fatal],
        "bad": [_shown(row, seen) for row in sorted(told.bad, key=_line)],
        "more_bad": len(told.bad) >= BAD_MAX,
        "mendable": draft.state == "judged" and any(row.cells for row in told.bad),
        "good": told.good,
        "fate_words": {name: text_of(request, word) for name, word in FATE_WORDS.items()},
        "undone": text_of(request, "It was taken back."),
    }
    return page(request, "institution/draft.html", values | around(request, site, told.party, "upload"))


def _line(row: DraftRow) -> int:
    """By line of the table; what has no line stands first."""
    return int(row.where) if row.where.isdecimal() else 0


def _shown(row: DraftRow, seen: set[str]) -> dict[str, Any]:
    """A row for the page; of several faults of one line the first carries its fields."""
    first = row.where not in seen
    seen.add(row.where)
    return {name: getattr(row, name) for name in DraftRow.__struct_fields__} | {"first": first}


async def progress(request: Request) -> Response:
    """How far a run is."""
    draft = _draft(request)
    told = draft.told
    answer = {"running": draft.state in RUNNING, "done": told.done, "size": draft.size}
    return codec.answer(answer, headers={"cache-control": "no-store"})


async def mend(request: Request) -> Response:
    """Lines as mended in the page: written into the draft, which is judged again."""
    draft, site = _draft(request), site_of(request)
    async with request.form(max_files=0, max_fields=FIELDS_MAX) as sent:
        cells: dict[int, dict[int, str]] = {}
        for name, value in sent.items():
            line, _, column = name.partition(".")
            if line.isdecimal() and column.isdecimal() and isinstance(value, str):
                cells.setdefault(int(line), {})[int(column)] = value
    if draft.state == "judged":
        mended = {line: [fields[column] for column in sorted(fields)] for line, fields in cells.items()}
        await run_in_threadpool(draft.mend, mended)
        _judge(site, draft, caller_of(request))
    return RedirectResponse(f"/institution/upload/{draft.id}", 303)


async def send(request: Request) -> Response:
    """Send a judged draft for good."""
    draft, site, caller = _draft(request), site_of(request), caller_of(request)
    if draft.state == "judged":

        async def take(document: Document) -> Outcome:
            document.software = document.software or caller.software
            return await taken(site, document, draft.told.party, draft.told.kind)

        site.drafts.start(draft, "sending", take)
    return RedirectResponse(f"/institution/upload/{draft.id}", 303)


async def rejects(request: Request) -> Response:
    """What was not taken, with the reasons in front, to be mended and sent again."""
    draft = _draft(request)
    if not draft.rejects.exists() or draft.state in RUNNING:
        raise Refused("not_found", where="rejects", value=draft.id)
    name = f"{Path(draft.told.name).stem}-rejects.csv"
    return FileResponse(draft.rejects, filename=name, headers={"cache-control": "no-store"})


async def undo(request: Request) -> Response:
    """Delete what a draft told, batch by batch (3507)."""
    draft, site, caller = _draft(request), site_of(request), caller_of(request)
    told = draft.told
    if draft.state == "sent" and told.batches and not told.undone:
        document = Document(
            format="desk",
            infno="desk",
            msgid=f"undo-{draft.id}",
            institution=told.party,
            software=caller.software,
            raw=codec.to_json({"undo": told.batches}),
            records=[
                Undo(kind="corrected", where=batch, references={"batch": batch}, data_type=data_type)
                for batch, data_type in told.batches.items()
            ],
        )
        outcome = await site.take(document, told.party, "bulk")
        told.undone = True
        told.bad = [
            _undone(result) for result in outcome.results if isinstance(result, Result) and not _is_done(result)
        ]
        told.good = []
        await run_in_threadpool(draft.keep)
    return RedirectResponse(f"/institution/upload/{draft.id}", 303)


def _is_done(result: Result) -> bool:
    return result.status in {"accepted", "first_answer", "undo_not_found"}


def _undone(result: Result) -> DraftRow:
    told = line_answer(result)
    return DraftRow(
        where=result.where,
        fate="rejected",
        status=result.status,
        what=told.meaning,
        what_zh=told.message or told.meaning_zh,
        do=told.next_action,
        do_zh=told.next_action_zh,
    )


async def drop(request: Request) -> Response:
    """Forget a draft that is not under way."""
    draft, site = _draft(request), site_of(request)
    if draft.state != "sending":
        site.drafts.drop(draft)
    return RedirectResponse("/institution/upload", 303)
