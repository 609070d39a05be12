"""Files of any size beside the counter, and EPCIS capture: the same formats as on the command line, with a dry run."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats import epcis
from suyuan.formats.api.answers import (
    LineAnswer,
    ProblemAnswer,
    UploadAnswer,
    line_answer,
    problem_answers,
    upload_answer,
)
from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import refusal as refusal_in_words
from suyuan.formats.reading import open_documents
from suyuan.formats.summary import Summary
from suyuan.intake import Desk
from suyuan.intake import take as take_at
from suyuan.ledger.ledger import Ledger
from suyuan.ledger.scan import Result
from suyuan.ledger.statuses import STATUS
from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import LATER, TAKING, operation, query_of
from suyuan.portals.api.uploads import HEADERS, may_speak, take
from suyuan.portals.failing import is_poison
from suyuan.portals.problem import Refused
from suyuan.portals.quarantined import LEFT_OUT, kept_apart, left_out, put_apart
from suyuan.portals.site import Site, site_of
from suyuan.settlement.claim import ClaimVerdict

FILE_BYTES_MAX = 1 << 30
EPCIS_BYTES_MAX = 32 << 20
CHUNK_ROWS = 2_000
"""Lines that are taken at once: small enough for the counter to be served in between."""
TOLD_MAX = 1_000
"""Results and problems that are told one by one; the figures count all."""
KINDS = (
    "application/octet-stream",
    "text/csv",
    "application/x-ndjson",
    "application/json",
    "application/gzip",
    "application/zip",
    "application/x-gzip",
)


class FilesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a file is to be read."""

    kind: Annotated[
        str, Meta(max_length=20, description="What happened, where the table does not say: sold, received …")
    ] = ""
    institution: Annotated[str, Meta(max_length=40, description="For whom, where the file does not say.")] = ""
    dry_run: Annotated[bool, Meta(description="Judge and answer, and write nothing.")] = False


class FileAnswer(msgspec.Struct, kw_only=True):
    """What became of a file."""

    dry_run: bool
    documents: int
    summary: Summary
    """Counts of records, as `suyuan ingest` prints them."""
    lines: int
    """Lines that were taken up."""
    left_out: int
    """Problems that kept a line out."""
    statuses: dict[str, int]
    """Leading status → how many lines."""
    told: list[LineAnswer]
    """Lines that want a look, the first 1,000."""
    problems: list[ProblemAnswer]
    """The first 1,000."""
    fatal: list[str]
    """Parts of the file of which nothing could be read."""


@operation(
    "takeFile",
    "Uploads",
    "A file of any size: CSV, lines of JSON, NHSA messages, EPCIS documents; also .gz and .zip",
    about="Read in parts beside the counter, so that nobody waits for it there. With `dry_run=true` everything is "
    "judged and answered and nothing is written. A part that was taken stays taken if the connection breaks: send the "
    "same file again, what stands is answered as before.",
    body_kinds=KINDS,
    query=FilesQuery,
    answer=FileAnswer,
    errors=("not_allowed", *TAKING),
)
async def take_file(request: Request) -> Response:
    """A bulk upload."""
    query, site, caller = query_of(request, FilesQuery), site_of(request), caller_of(request)
    codec.check_kind(request, KINDS)
    may_speak(caller, query.institution, site.node.catalogue, site.node.ledger.clock())
    by = query.institution or caller.party
    found = _Sum(dry_run=query.dry_run)
    with tempfile.NamedTemporaryFile(prefix="upload-", dir=site.drafts.folder) as file:
        await _spool(request, file)
        documents = open_documents(Path(file.name), by, query.kind, CHUNK_ROWS)
        desk = rehearsal(site) if query.dry_run else None
        while (document := await run_in_threadpool(next, documents, None)) is not None:
            found.add(document, await _outcome(request, desk, document, query.kind))
    answer = found.answer()
    if answer.fatal and not (answer.lines or answer.problems):
        name = Path(file.name).name  # ours, which says nothing to the sender
        raise Refused("field_unusable", where="body", what=answer.fatal[0].removeprefix(f"{name}: "))
    return codec.answer(answer)


async def _spool(request: Request, file: IO[bytes]) -> None:
    """The body into a file of its own, block by block."""
    size = 0
    async for block in request.stream():
        size += len(block)
        if size > FILE_BYTES_MAX:
            raise codec.too_large(FILE_BYTES_MAX, str(size))
        await run_in_threadpool(file.write, block)
    await run_in_threadpool(file.flush)


async def _outcome(request: Request, desk: Desk | None, document: Document, kind: str = "") -> Outcome:
    site, caller = site_of(request), caller_of(request)
    document.software = document.software or caller.software
    if desk is not None:
        return await run_in_threadpool(rehearsed, desk, document, caller.party)
    return await taken(site, document, caller.party, kind)


async def taken(site: Site, document: Document, by: str, kind: str = "") -> Outcome:
    """One part of a file, taken in; where our own code fails on it, it is kept apart, and the others go on."""
    try:
        if document.crash is not None:
            door = f"table/{kind}" if kind and document.format == "table" else document.format
            apart = (door, "read", document.raw, document.institution)
            raise await run_in_threadpool(put_apart, site.node, *apart, error=document.crash)
        if document.fatal:
            return Outcome(fatal=document.fatal, problems=document.problems)
        return await site.take(document, by, "bulk")
    except Refused as refusal:
        if refusal.error.code not in LEFT_OUT:
            raise
        return Outcome(fatal=left_out(refusal), problems=document.problems)


def rehearsed(desk: Desk, document: Document, by: str) -> Outcome:
    """One part of a file, judged; what our own code fails on is told, and not kept: tried again, it would be taken."""
    if document.fatal:
        return Outcome(fatal=document.fatal, problems=document.problems)
    try:
        outcome = take_at(desk, document, by)
    except Exception as error:
        if not is_poison(error):
            raise
        return Outcome(fatal=refusal_in_words("failed"), problems=document.problems)
    for result in outcome.results:
        if isinstance(result, Result):
            result.alert = ""  # nothing was raised
    return outcome


def rehearsal(site: Site) -> Desk:
    """A desk that judges against what is stored and writes nothing; the node's own desk goes on as it was."""
    ledger = Ledger(site.node.journal, site.node.ledger.clock)
    ledger.rehearsing = True
    return replace(site.node.desk, ledger=ledger)


class _Sum:
    """What became of the documents of a file so far."""

    def __init__(self, *, dry_run: bool) -> None:
        self._found = FileAnswer(
            dry_run=dry_run,
            documents=0,
            summary=Summary(),
            lines=0,
            left_out=0,
            statuses={},
            told=[],
            problems=[],
            fatal=[],
        )
        self._statuses: Counter[str] = Counter()

    def add(self, document: Document, outcome: Outcome) -> None:
        """Count one document."""
        found = self._found
        found.documents += 1
        found.summary.add(document, outcome)
        if outcome.fatal:
            if len(found.fatal) < TOLD_MAX:
                found.fatal.append(outcome.fatal)
            return
        for result in _lines(outcome):
            found.lines += 1
            self._statuses[result.status] += 1
            if STATUS[result.status].layer != "fine" and len(found.told) < TOLD_MAX:
                found.told.append(line_answer(result))
        problems = problem_answers([*document.problems, *outcome.problems])
        found.left_out += sum(problem.code == "malformed" for problem in problems)
        found.problems += problems[: TOLD_MAX - len(found.problems)]

    def answer(self) -> FileAnswer:
        """The whole answer."""
        self._found.statuses = dict(self._statuses)
        return self._found


def _lines(outcome: Outcome) -> Iterator[Result]:
    """Results of lines; of a claim, one for each of its lines."""
    for result in outcome.results:
        if isinstance(result, ClaimVerdict):
            for line in result.lines:
                yield Result(line.where, "", "", line.status, line.reasons, result.first, "", line.message)
        else:
            yield result


# EPCIS


class CaptureQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a document is to be taken."""

    institution: Annotated[str, Meta(max_length=40, description="For whom, where the document names no sender.")] = ""
    dry_run: Annotated[bool, Meta(description="Judge and answer, and write nothing.")] = False


@operation(
    "captureEpcis",
    "Uploads",
    "Capture an EPCIS 2.0 document, query document or single event (JSON-LD)",
    about="Events without fault are taken, the others come back with their fault. Contexts are never loaded.",
    body_kinds=("application/json", "application/ld+json"),
    query=CaptureQuery,
    answer=UploadAnswer,
    errors=("not_allowed", *LATER),
    headers=HEADERS,
    example={
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-09T02:00:00Z",
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent",
                    "eventTime": "2026-03-09T02:00:00Z",
                    "eventTimeZoneOffset": "+08:00",
                    "epcList": ["urn:epc:id:sgtin:690123456.0789.SN1000000000001"],
                    "action": "OBSERVE",
                    "bizStep": "shipping",
                }
            ]
        },
    },
)
async def capture(request: Request) -> Response:
    """An EPCIS document."""
    query, site = query_of(request, CaptureQuery), site_of(request)
    raw = await codec.bytes_of(request, ("application/json", "application/ld+json"), EPCIS_BYTES_MAX)
    with kept_apart(site.node, "epcis", raw, caller_of(request).party, dry_run=query.dry_run):
        document = await run_in_threadpool(epcis.read, raw)
    document.institution = query.institution or document.institution
    if query.institution == "" and site.party(document.institution) is None:
        # A sender that is named by an address of its own, and not by a code known here, is the caller.
        document.institution = ""
    if query.dry_run:
        may_speak(caller_of(request), document.institution, site.node.catalogue, site.node.ledger.clock())
        outcome: Any = await _outcome(request, rehearsal(site), document)
        if outcome.fatal:
            raise Refused("field_unusable", where="body", what=outcome.fatal)
    else:
        outcome = await take(request, document, "bulk")
    answer = upload_answer(document, outcome)
    answer.dry_run = query.dry_run
    return codec.answer(answer)
