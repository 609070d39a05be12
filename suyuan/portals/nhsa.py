"""The NHSA address: messages as hospitals and pharmacies send them today, answered in their own envelope."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats import nhsa
from suyuan.formats.document import Document, Outcome
from suyuan.formats.faults import UnreadableError, refusal_in_chinese
from suyuan.formats.nhsa import sign_in
from suyuan.formats.nhsa.envelope import Envelope, open_envelope
from suyuan.formats.nhsa.reply import refused, told
from suyuan.formats.nhsa.settle import require_scans
from suyuan.formats.times import digits17
from suyuan.intake.desk import day_of
from suyuan.ledger.scan import Scan
from suyuan.portals.access import EVERYBODY, OFFICIALS, ROLE_OF_KIND, SENDERS, Role, caller_of, neighbourhood
from suyuan.portals.nhsa_proofs import NOBODY, NotProven, Proofs, Proven, proofs_of
from suyuan.portals.problem import Refused
from suyuan.portals.quarantined import kept_apart
from suyuan.portals.signatures import sm3
from suyuan.portals.site import Site, site_of
from suyuan.storage.clients import Client

CALLERS: frozenset[Role] = EVERYBODY - OFFICIALS - {"auditor", "security_officer", "administrator"}
"""Who sends messages, and those whom only the message or its address makes known."""
MEDIA_TYPE = "application/json;charset=UTF-8"
BULK_RECORDS = 200
"""From so many records on, a batch waits in the lane of files: the counter is for people who wait."""
NOT_REMEMBERED = False
LARGE_BYTES = 64_000
"""From so many bytes on, a body is parsed beside the event loop."""
PIECE_BYTES = 64 << 10
"""A message that comes without a proof beside it is counted in pieces of so many bytes,"""
UNPROVEN = "unproven"
"""in this lane of the limits."""
ANSWER_SECONDS = 9.0
"""Clients give up after 10 (T25): a moment before, they are told that the outcome is not known yet."""


class _Call(NamedTuple):
    """A message at the door, with what is agreed with its institution."""

    envelope: Envelope
    raw: bytes
    client: Client
    by: Proven = NOBODY
    """The party that proved itself: it speaks for itself or by delegation."""
    software: str = ""
    """Of the client, as the HTTP header says; a message that names its vendor is believed first."""

    @property
    def infcode(self) -> str:
        """How this client is answered."""
        return self.client.infcode


async def call(request: Request) -> Response:
    """One message (`docs/nhsa-address.md`): every answer is an NHSA envelope, whatever the HTTP status."""
    site = site_of(request)
    proofs = _proofs(request, site)
    suspicion = await _suspicion(request, site, proofs)
    raw = await request.body()
    try:
        envelope = await _opened(site, raw, request.path_params.get("infno", ""))
    except UnreadableError as error:
        return _refusal(site, refusal_in_chinese(str(error)))
    client = await _client(site, proofs, envelope.institution)
    one = _Call(envelope, raw, client, software=caller_of(request).software)
    try:
        one = await _proven(site, proofs, one, await _caller(request, site, proofs, one))
    except NotProven as failure:
        return await _not_proven(request, site, failure, one.infcode)
    if suspicion:
        site.limits.give_back(UNPROVEN, neighbourhood(caller_of(request).address), suspicion)
    _know(request, site, one)
    site.limits.check_software(one.envelope.software or one.software)
    if one.envelope.infno in {sign_in.SIGN_IN, sign_in.SIGN_OUT}:
        return await _signed(site, proofs, one)
    return await _answer(site, one)


async def _client(site: Site, proofs: Proofs, institution: str) -> Client:
    """What is agreed with an institution."""
    return await site.of_tables(proofs.remembers_client(institution), proofs.client, institution)


async def _suspicion(request: Request, site: Site, proofs: Proofs) -> int:
    """Count what is about to be read of somebody who has not proved anything yet, in pieces; answers how many.

    Whoever has no proof could otherwise have us read and parse the largest message that is taken, for ever.

    Raises:
        Refused: too much was read from there already that proved nothing.
    """
    caller, token = caller_of(request), request.path_params.get("token")
    if token is None and caller.party and "x-tif-signature" not in request.headers:
        return 0
    if token is not None:
        with suppress(NotProven):
            await _by_path(site, proofs, token, caller.address)
            return 0
    said = request.headers.get("content-length", "")
    pieces = -(-int(said or site.settings.body_bytes_max) // PIECE_BYTES) or 1
    site.limits.check_here(UNPROVEN, neighbourhood(caller.address), pieces)
    return pieces


async def _not_proven(request: Request, site: Site, failure: NotProven, infcode: str) -> Response:
    """A wrong proof counts as a try to sign in; whoever tries too often is told so beside what is wrong."""
    words = f"身份验证未通过：{failure}"
    try:
        await site.limits.check("sign_in", f"wrong {neighbourhood(caller_of(request).address)}")
    except Refused as refusal:
        response = _refusal(site, f"{words}；{refusal.error.title_zh}，{refusal.error.do_zh}", 429, infcode)
        response.headers.update(refusal.headers)
        return response
    return _refusal(site, words, infcode=infcode)


def _proofs(request: Request, site: Site) -> Proofs:
    """The proofs of this site, made when it is first called."""
    state = request.app.state
    if not hasattr(state, "nhsa_proofs"):
        state.nhsa_proofs = proofs_of(site.node)
    proofs = state.nhsa_proofs
    assert isinstance(proofs, Proofs), "set here alone"
    return proofs


async def _opened(site: Site, raw: bytes, infno: str) -> Envelope:
    """The envelope; a large one off the event loop, on which everybody waits. Raises UnreadableError."""
    if len(raw) > LARGE_BYTES:
        return await site.query(open_envelope, raw, infno)
    return open_envelope(raw, infno)


async def _by_path(site: Site, proofs: Proofs, token: str, address: str) -> Proven:
    """The institution whose path token this is. Raises NotProven."""
    known = site.node.tables.remembers(token.partition(".")[0])
    return await site.of_tables(known, proofs.by_path, token, address)


async def _caller(request: Request, site: Site, proofs: Proofs, one: _Call) -> Proven:
    """Who proved itself beside the message; nobody where only the message itself can tell. Raises NotProven."""
    caller = caller_of(request)
    token = request.path_params.get("token")
    if token is not None:
        return await _by_path(site, proofs, token, caller.address)
    if "x-tif-signature" in request.headers:
        return await site.of_tables(NOT_REMEMBERED, proofs.by_headers, request.headers, one.raw, caller.address)
    return Proven(caller.party, caller.key) if caller.role in SENDERS else NOBODY


async def _by_sign_in(site: Site, proofs: Proofs, institution: str, sign_no: str) -> Proven:
    """Who signed in under this number for the institution; nobody after its end."""
    return await site.of_tables(proofs.remembers_sign_in(sign_no), proofs.by_sign_in, institution, sign_no)


async def _proven(site: Site, proofs: Proofs, one: _Call, by: Proven) -> _Call:
    """The call with the party that speaks, after what the message itself proves. Raises NotProven."""
    if not one.envelope.institution and by.party:
        one = one._replace(client=await _client(site, proofs, by.party))
    if one.client.verify != "off":
        signer = await site.query(proofs.by_cainfo, one.envelope, one.client, one.raw)
        by = by if by.party else signer
    elif not by.party:
        by = await _by_sign_in(site, proofs, one.envelope.institution, one.envelope.sign_no)
    listed = site.party(by.party)
    if listed is not None and ROLE_OF_KIND.get(listed.kind) not in SENDERS:
        raise NotProven(f"{by.party} 不是上传机构")
    if not by.party:
        raise NotProven("请使用平台签发的地址令牌、x-tif签名、密钥或已登记的cainfo签名；签到号仅当日有效")
    return one._replace(by=by)


def _know(request: Request, site: Site, one: _Call) -> None:
    """Tell the door who it was, where only the message or its address could: for the log and the figures."""
    caller = caller_of(request)
    if caller.party:
        return
    listed = site.party(one.by.party)
    role = ROLE_OF_KIND[listed.kind] if listed else "institution"
    known = msgspec.structs.replace(caller, role=role, party=one.by.party, key=one.by.key)
    request.scope["state"]["caller"] = known


async def _answer(site: Site, one: _Call) -> Response:
    with kept_apart(site.node, "nhsa", one.raw, one.by.party):
        if len(one.raw) > LARGE_BYTES:
            document = await site.query(nhsa.read_opened, one.raw, one.envelope)
        else:
            document = nhsa.read_opened(one.raw, one.envelope)
    if one.client.scan_required:
        require_scans(document)
    document.software = document.software or one.software
    try:
        outcome = await _taken(site, document, one.by.party)
    except Refused as refusal:
        if refusal.error.code != "deferred":
            raise
        return _deferred(site, document, refusal, one.infcode)
    if outcome is None:
        words = "报文仍在处理，结果未知：请稍后以原报文重发查询，重发不会重复记录"
        return _refusal(site, words, 504, one.infcode)
    return Response(nhsa.answer(document, outcome, one.infcode), media_type=MEDIA_TYPE)


async def _taken(site: Site, document: Document, by: str) -> Outcome | None:
    """What became of it; None while that is not known and the client would give up waiting."""
    assert by, "without a caller this would be the operator's own word"
    lane = "bulk" if len(document.records) > BULK_RECORDS else "counter"
    taking = asyncio.ensure_future(site.take(document, by, lane))
    done, _ = await asyncio.wait({taking}, timeout=ANSWER_SECONDS)
    if done:
        return taking.result()
    taking.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for its words any more
    return None


def _deferred(site: Site, document: Document, refusal: Refused, infcode: str) -> Response:
    """Laid aside: for goods the call went through; of a claim nothing is said but that it is not decided."""
    if not all(isinstance(record, Scan) for record in document.records):
        return _refusal(site, "报文已暂存，结果未知：请稍后以原报文重发查询，重发不会重复记录", 504, infcode)
    words = f"{refusal.error.title_zh}，{refusal.error.do_zh}"
    output = {"result": {"retRslt": "1", "msgRslt": words}}
    return Response(told(output, site.node.ledger.clock(), "", infcode), media_type=MEDIA_TYPE)


async def _signed(site: Site, proofs: Proofs, one: _Call) -> Response:
    """9001 and 9002: of the caller itself or of who delegated to it."""
    now = site.node.ledger.clock()
    institution = one.client.institution
    if not site.node.catalogue.may_speak(institution, one.by.party, day_of(now)):
        return _refusal(
            site, f"{one.by.party} 无权代表 {institution}：请使用本机构凭证，或由其委托", infcode=one.infcode
        )
    if one.envelope.infno == sign_in.SIGN_IN:
        output = sign_in.signed_in(await site.query(proofs.sign_in, institution, one.by), now)
    else:
        sign_no = sign_in.asked_sign_no(one.envelope)
        if (await _by_sign_in(site, proofs, institution, sign_no)).party:
            await site.query(proofs.sign_out, sign_no)
        output = sign_in.signed_out(now)
    area = institution[1:7] if institution[1:7].isdigit() else "000000"
    reference = f"{area}{digits17(now)[:14]}{int(sm3(one.raw)[:12], 16) % 10**10:010d}"
    return Response(told(output, now, reference, one.infcode), media_type=MEDIA_TYPE)


def tell(request: Request, refusal: Refused) -> Response:
    """What the door refuses, as an envelope; callers who proved nothing are answered as the message itself would be."""
    site = site_of(request)
    error = refusal.error
    if error.code == "body_too_large":
        words = f"报文超过大小限制{site.settings.body_bytes_max}字节，请拆分后上传"
    else:
        words = f"{error.title_zh}，{refusal.do or error.do_zh}"
    return _refusal(site, words, 200 if error.status in {401, 403} else error.status)


def _refusal(site: Site, words: str, status: int = 200, infcode: str = "number") -> Response:
    return Response(refused(words, site.node.ledger.clock(), infcode), status, media_type=MEDIA_TYPE)
