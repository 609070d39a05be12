"""Who is calling: software with a key or a signature, a person with a session, a listed network, or a citizen."""

import hashlib
import hmac
import re
import time
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from starlette.requests import Request
from starlette.types import Message, Receive

from suyuan.portals.access import ROLE_OF_KIND, ROLES, Caller, Role, neighbourhood
from suyuan.portals.problem import Refused
from suyuan.portals.signatures import KeyWrong, hmac_sm3, same, sm3, verify_sm2
from suyuan.portals.site import Site
from suyuan.storage.credentials import Credential, proves, within_networks
from suyuan.storage.people import Person

SOFTWARE = "x-client-software"
BODY_DIGEST = "x-content-sm3"
"""SM3 of the body in hexadecimal digits: part of what is signed, and compared with the body as it comes."""
HMAC, SM2 = "suyuan-hmac-sm3", "suyuan-sm2"
COOKIE = "suyuan_session"
FORM_TOKEN = "form_token"  # noqa: S105  the field's name
FORM_HEADER = "x-form-token"

FORM_KINDS = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""What a page of another site can send without asking first; everything else it cannot send at all."""
SIGN_IN = "/sign-in"
"""Its form may have been opened before a sign-in in another tab; that our own page sent it is checked there."""
PEEK = 64 << 10
"""Bytes at the begin of a form within which its token stands: it is the first field."""

_NOTHING = sm3(b"")
_PART = re.compile(r"(\w+)=([^,\s]+)")
_NONCE = re.compile(r"[\w.-]{8,64}", re.ASCII)
_FIELD = re.compile(rb'name="form_token"\r\n(?:[^\r\n]+\r\n)*\r\n([\w-]{1,64})\r\n')


async def identify(site: Site, request: Request) -> Caller:
    """The caller of a request.

    Raises:
        Refused: something was shown as proof, and it proves nothing.
    """
    software = request.headers.get(SOFTWARE, "")[:100]
    address = request.client.host if request.client else ""
    scheme, _, proof = request.headers.get("authorization", "").partition(" ")
    if scheme:
        try:
            credential = await _proven(site, request, scheme.lower(), proof.strip(), address)
        except Refused as refusal:
            if refusal.error.code == "signature_wrong":
                await site.limits.check("sign_in", f"wrong {neighbourhood(address)}")
            raise
        return _software(site, credential, software, address)
    if token := request.cookies.get(COOKIE):
        found = await site.query(site.node.tables.session_of, token, site.settings.session_idle_seconds)
        if found is not None:
            request.scope["state"][FORM_TOKEN] = form_token_of(token)
            session, person = found
            held = await site.query(site.node.tables.password_of, person.name) if not person.subject else None
            must_change = held is not None and held.must_change
            return caller_for(site, person, session.id, address, must_change=must_change)
    if getattr(request.scope["state"].get("url"), "kind", "") == "nhsa":
        listed = [one for one in await site.networks() if within_networks(address, one.networks)]
        if listed:
            return _software(site, listed[0], software, address)
    return Caller(software=software, address=address)


# Software


async def _proven(site: Site, request: Request, scheme: str, proof: str, address: str) -> Credential:
    """The credential that the Authorization header proves."""
    if scheme == "bearer":
        key, _, secret = proof.partition(".")
        credential = await site.credential(key)
        right = credential is not None and credential.kind == "key" and proves(credential, secret)
    elif scheme in (HMAC, SM2):
        credential, right = await _signed(site, request, scheme, dict(_PART.findall(proof)))
    else:
        raise _wrong("This way to sign is not known.", value=scheme)
    if credential is None or not right:
        raise _wrong("The key is unknown or ended, or its secret is another.")
    if credential.networks and not within_networks(address, credential.networks):
        raise _wrong("This key is not taken from this network.")
    return credential


async def _signed(site: Site, request: Request, scheme: str, told: dict[str, str]) -> tuple[Credential | None, bool]:
    """The credential that is named, and whether the signature is its own; the nonce of a right one is used up."""
    if not {"id", "time", "nonce", "signature"} <= told.keys() or not _NONCE.fullmatch(told["nonce"]):
        raise _wrong("Write id, time, nonce (8 to 64 letters or digits) and signature, separated by commas.")
    if not (told["time"].isascii() and told["time"].isdigit() and len(told["time"]) < 12):  # noqa: PLR2004  digits
        raise _wrong("The time is a number of seconds since 1970.", value=told["time"])
    credential = await site.credential(told["id"])
    if credential is None:
        return None, False
    digest = request.headers.get(BODY_DIGEST, _NOTHING).lower()
    message = signed_text(request.method, target_of(request), told["time"], told["nonce"], digest)
    if scheme == HMAC:
        secret = site.node.tables.secret_of(credential) if credential.kind == "key" else None
        right = secret is not None and same(told["signature"], hmac_sm3(secret, message).hex())
    else:
        try:
            right = credential.kind == "sm2" and await site.query(
                verify_sm2, credential.public_key, message, told["signature"]
            )
        except KeyWrong:
            right = False
    if right and (fault := await site.nonces.fault(credential.id, int(told["time"]), told["nonce"], time.time())):
        raise _wrong(fault)
    request.scope["state"]["body_sm3"] = digest
    return credential, right


def signed_text(method: str, target: str, at: str, nonce: str, digest: str) -> bytes:
    """What is signed: five lines, without one at the end (`docs/access.md`)."""
    return f"{method.upper()}\n{target}\n{at}\n{nonce}\n{digest}".encode()


def target_of(request: Request) -> str:
    """Path and query as they came over the wire."""
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _software(site: Site, credential: Credential, software: str, address: str) -> Caller:
    party = credential.institution
    listed = site.party(party)
    role = ROLE_OF_KIND.get(listed.kind, "citizen") if listed else "institution"
    region = listed.region if listed else ""
    return Caller(role=role, party=party, region=region, key=credential.id, software=software, address=address)


def _wrong(what: str, value: str = "") -> Refused:
    return Refused("signature_wrong", value=value, what=what, headers={"www-authenticate": "Bearer"})


# People


def caller_for(
    site: Site, person: Person, session: str = "", address: str = "", *, must_change: bool = False
) -> Caller:
    """A person as a caller, with the region of the party where the account names none."""
    role: Role = next((one for one in ROLES if one == person.role), "citizen")
    listed = site.party(person.institution) if person.institution else None
    return Caller(
        role=role,
        party=person.institution,
        region=person.region or (listed.region if listed else ""),
        fund=person.fund,
        person=person.name,
        session=session,
        address=address,
        must_change=must_change,
    )


def form_token_of(token: str) -> str:
    """What forms of a session carry: it follows from the cookie, which another site can neither read nor guess."""
    return hashlib.sha256(f"form {token}".encode("utf-8", "surrogatepass")).hexdigest()[:40]


def from_here(request: Request) -> bool:
    """Whether a browser says that a page of ours sent this; an old one at least names the origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


# Bodies


async def checked_body(request: Request, receive: Receive) -> Receive:
    """The body of a request, held to what was signed or to the token of a form.

    Raises:
        Refused: a form without its token.
    """
    state = request.scope["state"]
    digest, token = state.get("body_sm3"), state.get(FORM_TOKEN)
    if digest is not None:
        return _held_to(digest, receive)
    unsafe = request.method not in {"GET", "HEAD", "OPTIONS"}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not token or not unsafe or kind not in FORM_KINDS or request.url.path == SIGN_IN:
        return receive
    if hmac.compare_digest(request.headers.get(FORM_HEADER, "").encode(), token.encode()):
        return receive
    head, begun = await _head(receive)
    if not any(hmac.compare_digest(found, token.encode()) for found in _tokens(kind, head)):
        raise Refused("forged_form", where=FORM_TOKEN)
    return _again(begun, receive)


def _held_to(digest: str, receive: Receive) -> Receive:
    """Each part on its way; the last one is given only if all of them have the digest that was signed."""
    found = hashes.Hash(hashes.SM3())

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            found.update(message.get("body", b""))
            if not message.get("more_body") and not same(found.copy().finalize().hex(), digest):
                raise _wrong(f"The body is not the one that was signed: {BODY_DIGEST} is another.")
        return message

    return checked


async def _head(receive: Receive) -> tuple[bytes, list[Message]]:
    """The begin of a body, and the messages in which it came."""
    begun: list[Message] = []
    size = 0
    while size < PEEK:
        message = await receive()
        begun.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(message.get("body", b"") for message in begun), begun


def _tokens(kind: str, head: bytes) -> list[bytes]:
    if kind == "multipart/form-data":
        return _FIELD.findall(head)
    if kind == "application/x-www-form-urlencoded":
        return [one.encode() for one in parse_qs(head.decode("latin-1"), max_num_fields=1000).get(FORM_TOKEN, [])]
    return []


def _again(begun: list[Message], receive: Receive) -> Receive:
    """The messages taken already, then the rest."""
    waiting = iter(begun)

    async def replayed() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return replayed
