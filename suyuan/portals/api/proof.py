"""Proofs for anybody: the sales of a box, growth between checkpoints, the checkpoints themselves, and the keys."""

import base64
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from suyuan.codes.recognise import recognise
from suyuan.lake.refusals import LakeRefusal
from suyuan.lookup.proven import ProvenSales, prove_sales
from suyuan.node import NodeUnusable
from suyuan.portals import codec
from suyuan.portals.access import caller_of
from suyuan.portals.api.operation import CodeText, operation, query_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site, site_of
from suyuan.proof import verifier
from suyuan.proof.checkpoints import CheckpointRefused
from suyuan.proof.prover import Prover
from suyuan.proof.verifier import ED25519, Checkpoint, Key

GROUP = "Proof"
TEXT = "text/plain"
KEPT = {"cache-control": "public, max-age=31536000, immutable"}
"""A checkpoint never changes."""
ALTERED = (
    "A record of this code is no longer what was sealed, and nothing is signed for it. Tell those who run this "
    "platform: `suyuan verify --node` shows them what was altered."
)
FRESH = {"cache-control": "no-cache"}

Segments = Annotated[
    int, Meta(ge=1, description="Segments of a checkpoint, its second line.", extra_json_schema={"examples": [1]})
]


class ProofQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be proven."""

    code: CodeText


class GrowthQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Between which checkpoints."""

    old: Segments
    new: Annotated[int, Meta(ge=0, description="0 for the newest.")] = 0


class ProofKey(msgspec.Struct, kw_only=True):
    """One public key, signed by the one before it."""

    public: str
    """Ed25519, 32 bytes in Base64."""
    since: int
    """µs UTC; 0 for the first."""
    signature: str
    """Of the key before, in Base64; empty for the first."""


class ProofKeys(msgspec.Struct, kw_only=True):
    """With what this node signs."""

    name: str
    """As it stands on the first line of every checkpoint."""
    key: str
    """The newest key as `<name>+<id>+<base64>`, for `suyuan verify --key`."""
    sm2_key: str
    """The SM2 key likewise; empty where there is none."""
    keys: list[ProofKey]


@operation(
    "proveSales",
    GROUP,
    "The proof of the sales of a box, for anybody to check",
    about="A file: each sale that a citizen is told, with its path to a signed checkpoint; a signed promise of what is "
    "not sealed yet. It names no person, and no place that citizens are not told. `suyuan verify`, or the one file at "
    "/verifier.py, checks it without this node.",
    query=ProofQuery,
    errors=("not_found",),
)
async def prove(request: Request) -> Response:
    """The proof file."""
    query, site = query_of(request, ProofQuery), site_of(request)
    code = recognise(query.code, "scan", site.node.catalogue.maker_rules)
    await site.limits.check_code(caller_of(request), code)
    found = await site.query(proven, site, query.code)
    if not found.file:
        raise Refused("not_found", where="code", value=query.code, what=_why(found))
    name = quote("".join(sign if sign.isalnum() else "-" for sign in code.text)[:80])
    headers = {"content-disposition": f'attachment; filename="proof-{name}.json"', "cache-control": "no-store"}
    return Response(found.file, headers=headers, media_type=codec.JSON)


def proven(site: Site, text: str) -> ProvenSales:
    """What can be proven of a code now.

    Raises:
        Refused: as by `prover_of`; or a sale is no longer what was sealed.
    """
    node = site.node
    found = prove_sales(node.ledger, node.catalogue, prover_of(site), node.promise, text)
    if found.altered:
        raise Refused("not_found", where="code", value=text, what=ALTERED)
    return found


def prover_of(site: Site) -> Prover:
    """Who makes the proofs of a site.

    Raises:
        Refused: another host keeps the sealed record, or the engine keeps nothing that could be sealed.
    """
    if not site.node.keeps_record():
        raise Refused("unavailable", what="Another server of this node keeps the sealed record: ask that one.")
    try:
        return site.node.prover
    except NodeUnusable as error:
        raise Refused("not_found", what=str(error)) from error


def _why(found: ProvenSales) -> str:
    if found.kept_back:
        return "The proof would tell a place that citizens are not told."
    return "No sale of this code is recorded: there is nothing to prove."


@operation(
    "proveGrowth",
    GROUP,
    "The proof that the record has only grown between two checkpoints",
    query=GrowthQuery,
    errors=("not_found",),
)
async def growth(request: Request) -> Response:
    """The proof file of growth."""
    query, site = query_of(request, GrowthQuery), site_of(request)
    old, new = await _checkpoint(site, query.old), await _checkpoint(site, query.new)
    if old.segments > new.segments:
        raise Refused("field_unusable", where="old", value=str(query.old), what="It is newer than the other one.")
    file = await site.query(prover_of(site).growth, old, new)
    return Response(file, headers=FRESH, media_type=codec.JSON)


@operation("proofKeys", GROUP, "The keys with which this node signs its checkpoints", answer=ProofKeys)
async def keys(request: Request) -> Response:
    """All public keys, each signed by the one before it."""
    return codec.answer(await site_of(request).query(_keys, site_of(request)), headers=FRESH)


def _keys(site: Site) -> ProofKeys:
    node, prover = site.node, prover_of(site)
    name = prover.checkpoints.origin
    links = [
        ProofKey(
            public=base64.b64encode(link.public).decode(),
            since=link.since,
            signature=base64.b64encode(link.signature).decode(),
        )
        for link in node.sign_chain
    ]
    sm2 = prover.sm2.text(name) if prover.sm2 is not None else ""
    return ProofKeys(name=name, key=Key(ED25519, node.signer.public).text(name), sm2_key=sm2, keys=links)


async def latest(request: Request) -> Response:
    """The newest checkpoint, as it may be printed."""
    return await _note(site_of(request), 0, FRESH)


async def kept(request: Request) -> Response:
    """One checkpoint, by its number of segments."""
    text = request.path_params["segments"]
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text)):  # noqa: PLR2004  as many as there can be
        raise Refused("not_found", where="segments", value=text)
    return await _note(site_of(request), int(text), KEPT)


async def _note(site: Site, segments: int, headers: dict[str, str]) -> Response:
    found = await _checkpoint(site, segments)
    note = site.node.checkpoints.note(found.segments)
    return Response(note, headers=headers, media_type=TEXT)


async def _checkpoint(site: Site, segments: int) -> Checkpoint:
    """A checkpoint by its number of segments; 0 is the newest."""
    checkpoints = prover_of(site).checkpoints
    try:
        found = await site.query(checkpoints.read, segments) if segments else await site.query(checkpoints.latest)
    except (CheckpointRefused, LakeRefusal) as error:
        raise Refused("not_found", where="segments", value=str(segments), what="No such checkpoint.") from error
    if found is None:
        raise Refused("not_found", where="segments", value="0", what="Nothing is sealed yet: no checkpoint was signed.")
    return found


async def program(_: Request) -> Response:
    """The program that checks proofs: one file, which needs no node."""
    headers = {"content-disposition": 'attachment; filename="verifier.py"', **FRESH}
    return FileResponse(verifier.__file__, headers=headers, media_type=TEXT)
