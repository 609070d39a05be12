"""The page that proves the sales of a box: made here, checked on the reader's own device where it can."""

import asyncio
import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from suyuan.codes.recognise import recognise
from suyuan.lookup.moment import iso_time
from suyuan.lookup.proven import ProvenSales
from suyuan.portals.access import caller_of
from suyuan.portals.api.proof import proven
from suyuan.portals.pages.citizen import CODE_LENGTH_MAX, when
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.site import site_of
from suyuan.proof.verifier import ED25519, Key, Promise, ProofWrong, Proven, Verdict, verify_file

FILE_MAX = 4_000_000

SCRIPT_TEXTS = {
    "checking": "Checking on this device …",
    "proven": "Proven: checked on this device",
    "promised": "Signed by this platform, not sealed yet",
    "altered": "Not proven: altered, or not copied whole",
    "unable": "This browser cannot check signatures itself. Use the form below: the platform checks it.",
    "sale": "Sale",
    "undone": "Return or cancellation",
    "other": "Record",
    "hidden": "place not public",
    "recorded": "recorded",
    "checkpoint": "Checkpoint",
    "segments": "segments",
    "events": "records in all",
    "by": "to be sealed by",
    "part": "What was altered",
}

TITLES = {
    "proven": ("good", "These sales are in the signed record"),
    "promised": ("calm", "Recorded, and signed; not sealed yet"),
    "kept_back": ("calm", "This proof is not given to the public"),
    "none": ("calm", "There is nothing to prove yet"),
    "ask": ("calm", "Prove that a sale is in the record"),
    "checked": ("good", "Proven: the file is as this platform made it"),
    "wrong": ("bad", "Not proven: altered, or not copied whole"),
}
"""By what came of it: tone and title. In English; pages translate it."""


async def show(request: Request) -> Response:
    """The proof of the code in the address; without one, where to check a file."""
    text = request.query_params.get("code", "")[:CODE_LENGTH_MAX].strip()
    if not text:
        return _page(request, "ask")
    site = site_of(request)
    code = recognise(text, "scan", site.node.catalogue.maker_rules)
    await site.limits.check_code(caller_of(request), code)
    found = await site.query(proven, site, text)
    verdict = verify_file(found.file) if found.file else None
    return _page(request, _outcome(found), code=code.text or text, verdict=verdict, file=found.file)


def _outcome(found: ProvenSales) -> str:
    if found.proven:
        return "proven"
    return "promised" if found.waiting else "kept_back" if found.kept_back else "none"


async def check(request: Request) -> Response:
    """A proof file that somebody has, for browsers that cannot check it themselves."""
    async with request.form(max_files=1, max_fields=3) as form:
        sent = form.get("file")
        data = await sent.read(FILE_MAX + 1) if isinstance(sent, UploadFile) else b""
    if not data:
        return _page(request, "ask", notice="Choose the proof file first.", status=422)
    public = await site_of(request).query(_public, request)
    try:
        verdict = await asyncio.to_thread(verify_file, data[:FILE_MAX], public)
    except ProofWrong as wrong:
        return _page(request, "wrong", part=wrong.part, status=422)
    return _page(request, "checked", verdict=verdict)


def _public(request: Request) -> Key:
    """The first key: who trusts it trusts all that follow."""
    return Key(ED25519, site_of(request).node.sign_chain[0].public)


def _page(
    request: Request,
    outcome: str,
    *,
    code: str = "",
    verdict: Verdict | None = None,
    file: bytes = b"",
    part: str = "",
    notice: str = "",
    status: int = 200,
) -> Response:
    site, language = site_of(request), language_of(request)

    def told(words: str) -> str:
        return text_of(request, words)

    tone, title = TITLES[outcome]
    values: dict[str, Any] = {
        "outcome": outcome,
        "tone": tone,
        "title": told(title),
        "notice": told(notice) if notice else "",
        "code": code,
        "part": part,
        "lines": _lines(verdict, language, told) if verdict else [],
        "facts": _facts(verdict, language, told) if verdict else [],
        "minutes": site.settings.lake_seal_minutes,
        "texts": {name: told(words) for name, words in SCRIPT_TEXTS.items()},
        "node": {"keys": [link.public.hex() for link in site.node.sign_chain]},
        "file": json.loads(file) if file else None,
    }
    response = page(request, "proof/proof.html", values, status)
    response.headers["cache-control"] = "no-store"
    return response


def _lines(verdict: Verdict, language: str, told: Any) -> list[dict[str, str]]:  # noqa: ANN401  translates
    """One line for each record: what, when, where."""

    def line(each: Proven | Promise) -> dict[str, str]:
        what = {"sale": told("Sale"), "undone": told("Return or cancellation")}.get(each.what, told("Record"))
        place = f"{each.actor} · {each.region}" if each.actor else told("place not public")
        happened = iso_time(each.event_time)
        return {"what": what, "time": happened, "when": when(happened, language), "place": place, "key": each.key}

    return [*map(line, verdict.records), *map(line, verdict.promises)]


def _facts(verdict: Verdict, language: str, told: Any) -> list[tuple[str, str]]:  # noqa: ANN401  translates
    checkpoint = verdict.checkpoint
    if checkpoint is None:
        return [(told("to be sealed by"), when(verdict.promises[0].by, language))]
    return [
        (told("Checkpoint"), f"{checkpoint.segments} {told('segments')}, {checkpoint.events} {told('records in all')}"),
        (told("Signed at"), when(checkpoint.time, language)),
        (told("Public key"), verdict.key.text(checkpoint.origin)),
    ]
